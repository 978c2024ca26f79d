"""Streams a layer in parts of bounded size, as float32 or float16, for files of other tools."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from w2sprobe.cache.dtypes import to_float32
from w2sprobe.cache.manifest import read_manifest
from w2sprobe.cache.reader import ActivationStore
from w2sprobe.cache.shards import read_layer
from w2sprobe.errors import InputError, UnknownName, first_few

EXPORTED: dict[str, np.dtype[Any]] = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2")}
AUTO = "auto"
PART_BYTES = 1 << 25  # of a row group in Parquet, which readers hold in memory as a whole


class ExportType:
    """Converts stored values to float32 or float16, and measures what rounding changes.

    Parameters
    ----------
    stored : str
        Type of the store.
    wanted : {"auto", "float32", "float16"}
        Auto: float16 for a float16 store, otherwise float32; both are exact.

    Attributes
    ----------
    name : str
        float32 or float16.
    narrows : bool
        Whether values are rounded.
    largest_change : float
        So far, the largest change of a vector by rounding, relative to its norm.
    """

    def __init__(self, stored: str, wanted: str = AUTO) -> None:
        if wanted not in (AUTO, *EXPORTED):
            raise UnknownName("dtype", wanted, (AUTO, *EXPORTED))
        exact = "float16" if stored == "float16" else "float32"
        self.stored, self.name = stored, exact if wanted == AUTO else wanted
        self.narrows = self.name != exact and self.name == "float16"
        self.largest_change = 0.0

    @property
    def numpy(self) -> np.dtype[Any]:
        """Numpy's type."""
        return EXPORTED[self.name]

    def cast(self, stored: np.ndarray) -> np.ndarray:
        """Convert vectors, (n, d); values that float16 cannot hold become infinite."""
        if self.stored == self.name:
            return stored
        wide = np.empty(stored.shape, dtype=np.float32)
        to_float32(stored, self.stored, wide)
        if not self.narrows:
            return wide
        with np.errstate(over="ignore"):  # `layer_parts` refuses infinity and says where it is
            narrow = wide.astype(self.numpy)
        # in float64, because squares of large activations exceed float32
        change = np.linalg.norm(narrow.astype(np.float64) - wide, axis=1)
        norm = np.linalg.norm(wide.astype(np.float64), axis=1)
        relative = np.divide(change, norm, out=np.zeros_like(norm), where=norm > 0)
        self.largest_change = max(self.largest_change, float(relative.max(initial=0.0)))
        return narrow


def layer_parts(
    store: ActivationStore, index: int, layer: int, kind: ExportType
) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows and vectors of one layer of a shard, in parts of about `PART_BYTES`.

    Raises
    ------
    InputError
        A value that float16 cannot hold; names the ids.
    StoreDamaged
        A value differs from its checksum.
    """
    manifest = read_manifest(store.path)
    stored = read_layer(store.path, manifest, index, layer)
    held, offsets = manifest.rows(index), store.offsets
    most = max(1, PART_BYTES // (manifest.hidden_size * kind.numpy.itemsize))
    start = held.start
    while start < held.stop:
        fitting = int(np.searchsorted(offsets, offsets[start] + most, side="right")) - 1
        rows = slice(start, min(max(fitting, start + 1), held.stop))
        first, last = offsets[rows.start], offsets[rows.stop]
        values = kind.cast(stored[first - offsets[held.start] : last - offsets[held.start]])
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if bad.size:
            _refuse(store, layer, np.unique(np.searchsorted(offsets, first + bad, "right") - 1))
        yield rows, values
        start = rows.stop


def _refuse(store: ActivationStore, layer: int, rows: np.ndarray) -> None:
    raise InputError(
        f"activations beyond float16 for ids {first_few(store.ids[rows].tolist())}",
        where=f"layer {layer} of {str(store.path)!r}",
        allowed="up to 65,504",
        advice="Export as float32.",
    )
