"""HDF5 files with checksums: one per dataset, and one for the whole file in its header.

The checksum of a dataset is compared at every read. That of the file also covers bytes that belong
to no dataset; it is compared by `w2sprobe store verify`.
"""

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xxhash

from w2sprobe.cache.failures import DAMAGE, is_unavailable, raise_unavailable
from w2sprobe.cache.layout import FORMAT, IDS, LAYERS, VERSION
from w2sprobe.errors import MissingDependency, UnknownName

# XXH3 of 64 bits: a damaged file passes with odds of 5e-20; 31 GB/s where zlib's CRC-32 does 4
CHECKSUM = "xxh3_64"
# HDF5 ignores the "user block" that a file starts with; ours holds the checksum of all later bytes
USER_BLOCK_BYTES = 512
COMPRESSIONS = ("bitshuffle-zstd",)


class ChecksumMismatch(Exception):
    """Values of a dataset differ from their checksum."""


@contextmanager
def create_file(path: Path, address: str) -> Iterator[h5py.File]:
    """Make an HDF5 file whose bytes depend on its content alone; written when the block ends."""
    # Built in memory and written with plain writes: on a full disk these raise an error, while
    # HDF5's own writes may crash the process. The memory is a Python object rather than HDF5's
    # "core" driver: before HDF5 2.0 (h5py 3.16), bytes read from that driver fail their checksum.
    memory = io.BytesIO()
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    # HDF5 1.10 and later checksum their own tables
    access.set_libver_bounds(h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, memory)
    # Time stamps would make equal values unequal bytes. h5py before 3.15 stamps groups, the root
    # among them, unless told otherwise in its low-level interface.
    root = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    root.set_userblock(USER_BLOCK_BYTES)
    root.set_obj_track_times(False)
    with h5py.File(h5py.h5f.create(os.fsencode(path), h5py.h5f.ACC_TRUNC, root, access)) as file:
        file.attrs["format"] = np.bytes_(FORMAT)
        file.attrs["version"] = np.int64(VERSION)
        file.attrs["address"] = np.bytes_(address)
        yield file
    image = memory.getbuffer()[USER_BLOCK_BYTES:]
    with path.open("wb") as target:
        target.write(_user_block([image]))
        target.write(image)


def create_layers_group(file: h5py.File) -> None:
    """Make the group of the layers' datasets, without a time stamp."""
    properties = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    properties.set_obj_track_times(False)
    h5py.h5g.create(file.id, LAYERS.encode(), gcpl=properties)


def write_dataset(
    file: h5py.File, name: str, values: np.ndarray, encoding: str, **options: Any
) -> None:
    """Write an array in C order with its encoding and checksum."""
    dataset = file.create_dataset(name, data=values, track_times=False, **options)
    dataset.attrs["encoding"] = np.bytes_(encoding)
    dataset.attrs[CHECKSUM] = np.uint64(xxhash.xxh3_64_intdigest(values.data))


@contextmanager
def open_file(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading.

    Raises
    ------
    StoreUnavailable
        Something other than damage prevents it: permission, a failing disk, another process.
    OSError
        The file is damaged.
    """
    try:
        if not isinstance(path, Path):  # an fsspec URL
            # small blocks: a layer is one contiguous piece, and little else is read
            with path.open("rb", block_size=1 << 20) as stream, h5py.File(stream, "r") as file:
                yield file
            return
        # no HDF5 lock: a file never changes once it has its name, and some network disks
        # cannot lock
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except OSError as error:
        if is_unavailable(error):
            raise_unavailable(path, error)
        raise


def read_dataset(dataset: h5py.Dataset) -> np.ndarray:
    """Read an array and compare it with its checksum.

    Raises
    ------
    ChecksumMismatch
        The values differ from what was written.
    """
    values: np.ndarray = dataset[()]
    if xxhash.xxh3_64_intdigest(values.data) != dataset.attrs[CHECKSUM]:
        what = "ids" if dataset.name == f"/{IDS}" else "values"
        raise ChecksumMismatch(f"{what} differ from their checksum")
    return values


def check_bytes(path: Path) -> list[str]:
    """Compare all bytes of a file with the checksum at its start; returns what is wrong.

    Raises
    ------
    StoreUnavailable
        The file cannot be read now, for another reason than damage.
    """
    if not path.is_file():
        return ["no such file"]
    try:
        with path.open("rb") as file:
            actual = file.read(USER_BLOCK_BYTES)
            expected = _user_block(iter(lambda: file.read(1 << 22), b""))
    except OSError as error:
        raise_unavailable(path, error)
    if actual == expected:
        return []
    try:
        # a file that another process is writing to also differs: opening it tells
        with open_file(path):
            pass
    except DAMAGE as error:
        return [f"cannot be read: {error}"]
    return ["file differs from its checksum"]


def check_compression(name: str | None) -> None:
    """Refuse a compression that cannot be written here.

    Raises
    ------
    UnknownName
        Not a compression of stores.
    MissingDependency
        hdf5plugin is not installed.
    """
    if name is not None and name not in COMPRESSIONS:
        raise UnknownName("compression", name, COMPRESSIONS)
    if name is not None:
        load_hdf5plugin()


def load_hdf5plugin() -> Any:
    """Import hdf5plugin, which registers its compression filters with HDF5.

    Raises
    ------
    MissingDependency
        It is not installed.
    """
    try:
        import hdf5plugin
    except ImportError as error:
        raise MissingDependency(
            "compressed stores need hdf5plugin", advice='Run: pip install "w2sprobe[compression]"'
        ) from error
    return hdf5plugin


def _user_block(blocks: Iterable[bytes | memoryview]) -> bytes:
    """User block of a file: format, version and checksum of the blocks that follow."""
    digest = xxhash.xxh3_64()
    for block in blocks:
        digest.update(block)
    text = f"{FORMAT} {VERSION}\n{CHECKSUM} of what follows byte {USER_BLOCK_BYTES}: "
    return f"{text}{digest.hexdigest()}\n".encode().ljust(USER_BLOCK_BYTES, b"\0")
