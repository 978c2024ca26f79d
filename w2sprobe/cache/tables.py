"""Layers as Parquet files, one per shard, with the ids and other columns of their rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from w2sprobe.cache.manifest import read_manifest
from w2sprobe.cache.reader import ActivationStore
from w2sprobe.cache.streaming import ExportType, layer_parts
from w2sprobe.errors import InputError

ID, VECTOR, VECTORS, ROLES = "id", "vector", "vectors", "roles"


def config_name(layer: int) -> str:
    """Name of a layer's files, and of its configuration in `datasets`."""
    return f"layer_{layer}"


def rows_table(store: ActivationStore, columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    """Ids of the store's rows and other columns, which are in its order.

    Raises
    ------
    InputError
        A column of another length, or with a name that is taken.
    """
    for name, values in columns.items():
        if name in (ID, VECTOR, VECTORS, ROLES):
            raise InputError(f"a column {name!r}", allowed="other names: this one is the export's")
        if len(values) != len(store):
            raise InputError(f"column {name!r} of {len(values)} rows", allowed=str(len(store)))
    return pa.table({ID: store.ids.tolist(), **columns})


def write_parquet_layer(
    store: ActivationStore, layer: int, folder: Path, kind: ExportType, rows: pa.Table
) -> None:
    """Write `layer_<l>/<shard>.parquet` for every shard; `rows` as from `rows_table`."""
    schema = _schema(store, kind, rows.schema)
    (folder / config_name(layer)).mkdir(parents=True)
    element = f"{VECTORS}.list.element.list.element" if store.ragged else f"{VECTOR}.list.element"
    # the lower half of a widened bfloat16 is zero: by streams of bytes, zstd takes no space for it
    encoding = {element: "BYTE_STREAM_SPLIT"} if kind.name == "float32" else None
    for index in range(read_manifest(store.path).n_shards):
        path = folder / config_name(layer) / f"{index:05d}.parquet"
        with pq.ParquetWriter(
            path, schema, compression="zstd", use_dictionary=False, column_encoding=encoding
        ) as writer:
            for part, values in layer_parts(store, index, layer, kind):
                arrays = [*rows[part].columns, *_vectors(store, part, values)]
                table = pa.Table.from_arrays(arrays, schema=schema)
                writer.write_table(table, row_group_size=len(table))


def _schema(store: ActivationStore, kind: ExportType, rows: pa.Schema) -> pa.Schema:
    vector = pa.list_(pa.from_numpy_dtype(kind.numpy), store.hidden_size)
    fields = [*rows, (VECTORS, pa.list_(vector)) if store.ragged else (VECTOR, vector)]
    if store.roles is not None:
        fields.append((ROLES, pa.list_(pa.int8())))
    return pa.schema(fields)


def _vectors(store: ActivationStore, rows: slice, values: np.ndarray) -> list[pa.Array]:
    """Column of vectors, and for conversations the one of roles."""
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    vectors = pa.FixedSizeListArray.from_arrays(flat, store.hidden_size)
    if not store.ragged:
        return [vectors]
    offsets = store.offsets[rows.start : rows.stop + 1]
    local = pa.array((offsets - offsets[0]).astype(np.int32))
    lists = [pa.ListArray.from_arrays(local, vectors)]
    if store.roles is not None:
        roles = pa.array(store.roles[offsets[0] : offsets[-1]])
        lists.append(pa.ListArray.from_arrays(local, roles))
    return lists
