"""Shards: HDF5 files of some rows each, with all layers of these rows."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from w2sprobe.cache.dtypes import STORED
from w2sprobe.cache.failures import DAMAGE
from w2sprobe.cache.hdf5 import (
    ChecksumMismatch,
    check_bytes,
    create_file,
    create_layers_group,
    load_hdf5plugin,
    open_file,
    read_dataset,
    write_dataset,
)
from w2sprobe.cache.layout import (
    FORMAT,
    IDS,
    LAYERS,
    OFFSETS,
    ROLES,
    SHARDS,
    VERSION,
    layer_name,
    shard_name,
)
from w2sprobe.cache.manifest import Manifest
from w2sprobe.errors import StoreDamaged

TEXT = "utf-8"
INTEGERS = "int64"
BYTES = "int8"
TYPES = {**STORED, INTEGERS: np.dtype("<i8"), BYTES: np.dtype("i1")}
CHUNK_BYTES = 1 << 20
REPAIR = "`w2sprobe store repair` computes this shard anew, and only this one."


def write_shard(
    path: Path,
    manifest: Manifest,
    index: int,
    ids: Sequence[str],
    id_bytes: int,
    states: Mapping[int, np.ndarray],
    offsets: np.ndarray | None,
    roles: np.ndarray | None = None,
) -> None:
    """Write the file of a shard; equal arguments give equal bytes."""
    options = dict(load_hdf5plugin().Bitshuffle(cname="zstd")) if manifest.compression else {}
    with create_file(path, manifest.address) as file:
        create_layers_group(file)
        file.attrs["first_row"] = np.int64(manifest.rows(index).start)
        write_ids(file, ids, id_bytes)
        if offsets is not None:
            write_offsets(file, offsets)
        if roles is not None:
            write_roles(file, roles)
        # ascending, so that layers added later give the bytes of a single run
        for layer in sorted(states):
            # the memory order may change here, values may not
            values = np.ascontiguousarray(states[layer])
            chunks = (max(1, CHUNK_BYTES // max(1, values[:1].nbytes)), values.shape[1])
            filters = {**options, "chunks": tuple(map(min, chunks, values.shape))}
            compressed = options and values.size
            write_dataset(
                file,
                layer_name(layer),
                values,
                manifest.dtype,
                **(filters if compressed else {}),
            )


def write_ids(file: h5py.File, ids: Sequence[str], id_bytes: int) -> None:
    """Write row ids as strings of `id_bytes` bytes each."""
    encoded = np.array([name.encode() for name in ids], dtype=h5py.string_dtype(TEXT, id_bytes))
    write_dataset(file, IDS, encoded, TEXT)


def write_offsets(file: h5py.File, offsets: np.ndarray) -> None:
    """Write the number of vectors before each row, and in all."""
    write_dataset(file, OFFSETS, offsets.astype("<i8"), INTEGERS)


def write_roles(file: h5py.File, roles: np.ndarray) -> None:
    """Write the role of each vector's token: 0 none, 1 system, 2 user, 3 assistant."""
    write_dataset(file, ROLES, roles.astype("i1"), BYTES)


def read_ids(folder: Path, manifest: Manifest, index: int) -> list[str]:
    """Row ids of a shard; StoreDamaged unless they pass every check."""
    return [name.decode(TEXT) for name in _read(folder, manifest, index, IDS).tolist()]


def read_offsets(folder: Path, manifest: Manifest, index: int) -> np.ndarray:
    """Vectors before each row of a ragged store's shard, and in all of it: (rows + 1,)."""
    return _read(folder, manifest, index, OFFSETS)


def read_roles(folder: Path, manifest: Manifest, index: int) -> np.ndarray:
    """Role of each vector's token in a shard of conversations: int8, (vectors,)."""
    return _read(folder, manifest, index, ROLES)


def read_all_roles(folder: Path, manifest: Manifest, absent: Collection[int] = ()) -> np.ndarray:
    """Role of each vector's token in the store: int8, (vectors,)."""
    present = [index for index in range(manifest.n_shards) if index not in absent]
    parts = [read_roles(folder, manifest, index) for index in present]
    return np.concatenate([np.zeros(0, dtype=np.int8), *parts])


def read_all_offsets(folder: Path, manifest: Manifest, absent: Collection[int] = ()) -> np.ndarray:
    """Vectors before each row of the store, and in all: (n_rows + 1,).

    How many tokens the rows of an `absent` shard have is unknown: they count as having none.
    """
    lengths = np.ones(manifest.n_rows, dtype=np.int64)
    if manifest.ragged:
        for index in range(manifest.n_shards):
            lengths[manifest.rows(index)] = (
                0 if index in absent else np.diff(read_offsets(folder, manifest, index))
            )
    return np.concatenate([[0], np.cumsum(lengths)])


def read_layer(folder: Path, manifest: Manifest, index: int, layer: int) -> np.ndarray:
    """One layer of a shard as stored; StoreDamaged unless it passes every check."""
    return _read(folder, manifest, index, layer_name(layer))


def present_shards(folder: Path, manifest: Manifest) -> set[int]:
    """Shards that have a file, going by names alone."""
    shards = folder / SHARDS
    names = {f"{SHARDS}/{item.name}" for item in shards.iterdir()} if shards.is_dir() else set()
    return {index for index in range(manifest.n_shards) if shard_name(index) in names}


def stored_layers(folder: Path, manifest: Manifest, index: int) -> list[int]:
    """Layers that the file of a shard holds; none where it is absent, damaged or of another store.

    Raises
    ------
    StoreUnavailable
        The file cannot be opened now, for another reason than damage.
    """
    path = folder / shard_name(index)
    if not path.is_file():
        return []
    try:
        with open_file(path) as file:
            if _differences(_attributes(file, manifest, index)):
                return []
            return sorted(map(int, file[LAYERS]))
    except DAMAGE:
        return []


def check_shard(folder: Path, manifest: Manifest, index: int) -> list[str]:
    """List everything that is wrong with a shard; reads all of it.

    Raises
    ------
    StoreUnavailable
        The file cannot be read now, for another reason than damage.
    """
    names = [
        IDS,
        *([OFFSETS] if manifest.ragged else []),
        *([ROLES] if manifest.has_roles else []),
        *map(layer_name, manifest.layers),
    ]
    problems = []
    for name in names:
        try:
            _read(folder, manifest, index, name)
        except StoreDamaged as error:
            problems.append(str(error))
    # the file's own checksum last: it finds damage in bytes that belong to no dataset
    path = folder / shard_name(index)
    return problems or [_damage(folder, index, [problem]) for problem in check_bytes(path)]


def _read(folder: Path, manifest: Manifest, index: int, name: str) -> np.ndarray:
    """Values of a dataset as stored, after every check."""
    path = folder / shard_name(index)
    encoding = {IDS: TEXT, OFFSETS: INTEGERS, ROLES: BYTES}.get(name, manifest.dtype)
    if manifest.compression:
        load_hdf5plugin()
    try:
        with open_file(path) as file:
            dataset = file[name]
            pairs = _attributes(file, manifest, index)
            pairs["encoding"] = (dataset.attrs["encoding"], encoding.encode())
            pairs["shape"] = (dataset.shape, _shape(file, manifest, index, name))
            if encoding != TEXT:
                pairs["type"] = (dataset.dtype, TYPES[encoding])
            wrong = _differences(pairs)
            if not wrong:
                values = read_dataset(dataset)
                # values under damaged ids could be taken for those of other rows
                if name != IDS:
                    read_dataset(file[IDS])
    except ChecksumMismatch as error:
        wrong = [str(error)]
    except DAMAGE as error:
        wrong = [f"cannot be read: {error}"] if path.is_file() else ["no such file"]
    if wrong:
        raise StoreDamaged(_damage(folder, index, wrong, name), advice=REPAIR)
    return values


def _attributes(file: h5py.File, manifest: Manifest, index: int) -> dict[str, tuple[Any, Any]]:
    """Root attributes of a shard beside what the manifest leads to expect."""
    return {
        "format": (file.attrs["format"], FORMAT.encode()),
        "version": (file.attrs["version"], VERSION),
        "address": (file.attrs["address"], manifest.address.encode()),
        "first_row": (file.attrs["first_row"], manifest.rows(index).start),
    }


def _shape(file: h5py.File, manifest: Manifest, index: int, name: str) -> tuple[int, ...]:
    """Shape that a dataset of the shard must have."""
    rows = manifest.rows(index)
    n = rows.stop - rows.start
    if name == IDS:
        return (n,)
    if name == OFFSETS:
        return (n + 1,)
    n_vectors = int(file[OFFSETS][-1]) if manifest.ragged else n
    return (n_vectors,) if name == ROLES else (n_vectors, manifest.hidden_size)


def _differences(pairs: Mapping[str, tuple[Any, Any]]) -> list[str]:
    return [
        f"{key} is {actual!r} instead of {expected!r}"
        for key, (actual, expected) in pairs.items()
        if actual != expected
    ]


def _damage(folder: Path, index: int, wrong: Sequence[str], name: str = "") -> str:
    what = f", {name.replace(f'{LAYERS}/', 'layer ')}" if name else ""
    return f"{'; '.join(wrong)} in shard {index}{what} of {str(folder)!r}"
