"""`activations.h5`: all shards as one virtual dataset per layer, for plain HDF5 tools."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from w2sprobe.atomic import atomic_path
from w2sprobe.cache.dtypes import BFLOAT16_NAN, stored_type
from w2sprobe.cache.hdf5 import create_file, create_layers_group
from w2sprobe.cache.layout import VIRTUAL, layer_name, shard_name
from w2sprobe.cache.manifest import Manifest
from w2sprobe.cache.shards import write_ids, write_offsets, write_roles


def write_virtual(
    folder: Path,
    manifest: Manifest,
    ids: Sequence[str],
    offsets: np.ndarray,
    roles: np.ndarray | None = None,
) -> None:
    """Write `activations.h5`, atomically.

    `offsets` are the vectors before each row, and in all: (n_rows + 1,), also where not ragged.
    """
    with (
        atomic_path(folder / VIRTUAL) as temporary,
        create_file(temporary, manifest.address) as file,
    ):
        create_layers_group(file)
        write_ids(file, ids, max(len(name.encode()) for name in ids))
        if manifest.ragged:
            write_offsets(file, offsets)
        if roles is not None:
            write_roles(file, roles)
        for layer in manifest.layers:
            _write_virtual_layer(file, manifest, layer, offsets)


def _write_virtual_layer(
    file: h5py.File, manifest: Manifest, layer: int, offsets: np.ndarray
) -> None:
    dtype = stored_type(manifest.dtype)
    name = layer_name(layer)
    shape = (int(offsets[-1]), manifest.hidden_size)
    # h5py's high-level interface stamps virtual datasets with the time
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    # HDF5 shows the fill value for rows whose shard is absent: NaN, not 0, which looks like data
    nan = BFLOAT16_NAN if manifest.dtype == "bfloat16" else np.nan
    properties.set_fill_value(np.array(nan, dtype=dtype))
    for index in range(manifest.n_shards):
        rows = manifest.rows(index)
        start, stop = int(offsets[rows.start]), int(offsets[rows.stop])
        part = (stop - start, manifest.hidden_size)
        target = h5py.h5s.create_simple(shape)
        target.select_hyperslab((start, 0), part)
        # a relative path, so that the folder can be moved
        source = shard_name(index).encode()
        properties.set_virtual(target, source, name.encode(), h5py.h5s.create_simple(part))
    kind, space = h5py.h5t.py_create(dtype), h5py.h5s.create_simple(shape)
    h5py.h5d.create(file.id, name.encode(), kind, space, dcpl=properties)
    file[name].attrs["encoding"] = np.bytes_(manifest.dtype)
