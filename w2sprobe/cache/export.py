"""Exports layers as Parquet or numpy files, for tools that do not know this package."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from w2sprobe.atomic import atomic_folder
from w2sprobe.cache.card import CARD, make_card, numpy_code, parquet_code
from w2sprobe.cache.layout import GENERATED
from w2sprobe.cache.manifest import read_manifest
from w2sprobe.cache.reader import ActivationStore
from w2sprobe.cache.streaming import AUTO, ExportType, layer_parts
from w2sprobe.cache.tables import ID, config_name, rows_table, write_parquet_layer
from w2sprobe.cache.transfer import wanted_layers
from w2sprobe.errors import UnknownName

FORMATS = ("parquet", "npy")


@dataclass(frozen=True)
class Export:
    """What was exported.

    Parameters
    ----------
    path : Path
        Folder of the files.
    n_rows : int
        Rows of every layer.
    dtype : str
        float32 or float16.
    largest_change : float
        Largest change of a vector by rounding to float16, relative to its norm; 0 without rounding.
    """

    path: Path
    layers: tuple[int, ...]
    n_rows: int
    dtype: str
    largest_change: float


def export_store(
    source: str | Path,
    folder: str | Path,
    layers: Sequence[int] | None = None,
    *,
    format: str = "parquet",
    dtype: str = AUTO,
    columns: Mapping[str, Sequence[Any]] | None = None,
    license: str | None = None,
) -> Export:
    """Write layers of a store into a new folder, in a format that other tools read.

    `parquet`: `layer_<l>/*.parquet` with columns `id` and `vector`, for
    `pandas.read_parquet(folder / "layer_10")`, and a README.md with which
    `datasets.load_dataset(folder, "layer_10")` works. Ragged stores have a column `vectors` instead
    (a list, one vector per token), and for conversations `roles` (see `ActivationStore.roles`).

    `npy`: `layer_<l>.npy` and `ids.npy` for `numpy.load`; ragged stores also have `offsets.npy`
    and, for conversations, `roles.npy`.

    Parameters
    ----------
    source : str or Path
        Folder or fsspec URL of a finished store. One layer of one shard is in memory at a time.
    folder : str or Path
        New folder; it appears when it is complete.
    layers : sequence of int, optional
        All by default.
    format : {"parquet", "npy"}
        See above.
    dtype : {"auto", "float32", "float16"}
        Auto: float16 for a float16 store, otherwise float32; both are exact. float16 rounds
        float32 and bfloat16 values.
    columns : mapping of str to sequence, optional
        Labels, texts or other columns: one value per row of the store, in its order. With `npy`
        they are in `rows.parquet`.
    license : str, optional
        Licence that README.md states, as the Hugging Face Hub spells it (apache-2.0, mit, other).

    Raises
    ------
    UnknownName
        No such format or type.
    InputError
        No such layer; a value that float16 cannot hold; a column of another length
        or with a name that is taken.
    OutputError
        The folder exists, or cannot be written.
    StoreDamaged
        A value differs from its checksum.
    """
    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    store = ActivationStore.open(source)
    kind, wanted = ExportType(store.dtype, dtype), wanted_layers(store, layers)
    rows = rows_table(store, columns or {})
    with atomic_folder(Path(folder)) as temporary:
        if format == "parquet":
            for layer in wanted:
                write_parquet_layer(store, layer, temporary, kind, rows)
            code = parquet_code(Path(folder).name, store, wanted[0])
        else:
            _write_npy(store, wanted, temporary, kind, rows)
            code = numpy_code(store, wanted[0], kind)
        if (store.path / GENERATED).is_file():
            (temporary / GENERATED).write_bytes((store.path / GENERATED).read_bytes())
        pattern = "{}/*.parquet" if format == "parquet" else None
        card = make_card(store, wanted, kind, code=code, parquet=pattern, license=license)
        (temporary / CARD).write_text(card, encoding="utf-8")
    return Export(Path(folder), wanted, len(store), kind.name, kind.largest_change)


def _write_npy(
    store: ActivationStore, layers: Sequence[int], folder: Path, kind: ExportType, rows: pa.Table
) -> None:
    np.save(folder / "ids.npy", store.ids)
    if store.ragged:
        np.save(folder / "offsets.npy", store.offsets)
    if store.roles is not None:
        np.save(folder / "roles.npy", store.roles)
    if rows.column_names != [ID]:
        pq.write_table(rows, folder / "rows.parquet", compression="zstd")
    shape = (int(store.offsets[-1]), store.hidden_size)
    for layer in layers:
        path = folder / f"{config_name(layer)}.npy"
        with path.open("wb") as file:
            header = {"descr": kind.numpy.str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for index in range(read_manifest(store.path).n_shards):
                for _, values in layer_parts(store, index, layer, kind):
                    file.write(np.ascontiguousarray(values).data)
