"""What a store looks like on disk: names, format version, encodings, checksums.

The only file that knows them; docs/file-formats.md says the same in prose. What may be asked of
a store, and what is refused, is decided in `writer` and `reader`.
"""

import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import h5py
import numpy as np
import xxhash
from upath import UPath

from w2sprobe.atomic import atomic_path
from w2sprobe.errors import (
    InputError,
    MissingDependency,
    StoreDamaged,
    StoreUnavailable,
    UnknownName,
)
from w2sprobe.fingerprint import fingerprint

FORMAT = "w2sprobe-activations"
VERSION = 2
MANIFEST = "manifest.json"
SHARDS = "shards"
WHOLE = "activations.h5"
NEIGHBORS = "neighbors"
IDS = "ids"
OFFSETS = "offsets"
LAYERS = "layers"
TEXT = "utf-8"
POSITIONS = "int64"
# XXH3 of 64 bits: a damaged file passes with odds of 5e-20; 31 GB/s where zlib's CRC-32 does 4
CHECKSUM = "xxh3_64"
# HDF5 ignores the bytes before its own; ours hold the checksum of all that follow
HEAD_BYTES = 512
COMPRESSIONS = ("bitshuffle-zstd",)
CHUNK_BYTES = 1 << 20

# numpy has no bfloat16: its bit pattern is kept, the upper half of a float32
STORED: dict[str, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),
}
BFLOAT16_EXPONENT = 0x7F80
BFLOAT16_NAN = 0x7FC0
# HDF5's message on a file that is open for writing, or was when its process died
OPEN_FOR_WRITING = "already open for write"


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` says.

    `layers` are in every shard; `pending` are being added. `runs` has one entry for each
    extraction that finished.
    """

    identity: dict[str, Any]
    model: str
    ids_fingerprint: str
    n_rows: int
    rows_per_shard: int
    hidden_size: int
    dtype: str
    ragged: bool
    compression: str | None
    layers: tuple[int, ...]
    pending: tuple[int, ...]
    runs: tuple[dict[str, Any], ...] = ()

    @property
    def address(self) -> str:
        """Fingerprint of all that determines the values."""
        return fingerprint(self.identity)

    @property
    def target(self) -> tuple[int, ...]:
        """Layers that a finished store will have."""
        return tuple(sorted({*self.layers, *self.pending}))

    @property
    def n_shards(self) -> int:
        """Shards of a complete store."""
        return -(-self.n_rows // self.rows_per_shard)

    def rows(self, index: int) -> slice:
        """Rows of the store that a shard holds."""
        start = index * self.rows_per_shard
        return slice(start, min(start + self.rows_per_shard, self.n_rows))

    def extended(self, layers: Sequence[int]) -> "Manifest":
        """Return the manifest of a store to which layers are being added."""
        return replace(self, pending=tuple(sorted({*self.pending, *layers} - {*self.layers})))

    def finished(self, layers: Sequence[int], run: dict[str, Any]) -> "Manifest":
        """Return the manifest of the store once these layers are in every shard."""
        return replace(
            self,
            layers=tuple(sorted({*self.layers, *layers})),
            pending=tuple(sorted({*self.pending} - {*layers})),
            runs=(*self.runs, run),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the content of the file, without its checksum."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "address": self.address,
            "identity": self.identity,
            "model": self.model,
            "ids_fingerprint": self.ids_fingerprint,
            "n_rows": self.n_rows,
            "rows_per_shard": self.rows_per_shard,
            "hidden_size": self.hidden_size,
            "dtype": self.dtype,
            "ragged": self.ragged,
            "compression": self.compression,
            "layers": list(self.layers),
            "pending": list(self.pending),
            "runs": list(self.runs),
        }


def store_size_bytes(n_rows: int, n_layers: int, hidden_size: int, dtype: str) -> int:
    """Disk space of a store's activations; ids and HDF5's own tables come on top.

    Parameters
    ----------
    n_rows, n_layers, hidden_size : int
        Rows (tokens of a ragged store), layers and width.
    dtype : {"float32", "float16", "bfloat16"}
        As stored.

    Returns
    -------
    int

    Examples
    --------
    >>> store_size_bytes(10_000, 17, 2048, "bfloat16")
    696320000
    """
    return n_rows * n_layers * hidden_size * stored_type(dtype).itemsize


def stored_type(dtype: str) -> np.dtype[Any]:
    """Type of the arrays that hold a dtype, in memory and on disk.

    Raises
    ------
    UnknownName
        Not a dtype of stores.
    """
    if dtype not in STORED:
        raise UnknownName("dtype", dtype, STORED)
    return STORED[dtype]


def as_folder(path: str | Path) -> Path:
    """Local path, or for an fsspec URL (s3://, gs://, https://, hf://, memory://) its like."""
    return UPath(path) if "://" in str(path) else Path(path)  # type: ignore[return-value]


def has_manifest(folder: Path) -> bool:
    """Whether the folder says that it is a store."""
    try:
        return (folder / MANIFEST).is_file()
    except PermissionError as error:
        _refuse(folder / MANIFEST, error)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json`, atomically."""
    with atomic_path(folder / MANIFEST) as temporary:
        temporary.write_bytes(_manifest_bytes(manifest))


def _manifest_bytes(manifest: Manifest) -> bytes:
    content = manifest.to_dict()
    content["checksum"] = fingerprint(content)
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def read_manifest(folder: Path) -> Manifest:
    """Read `manifest.json`.

    Raises
    ------
    InputError
        No store here, or one of another format version.
    StoreDamaged
        Not what was written.
    StoreUnavailable
        It cannot be read now, such as without permission.
    """
    where = str(folder / MANIFEST)
    if not has_manifest(folder):
        alone = folder.name == WHOLE or (folder / WHOLE).is_file()
        raise InputError(
            f"no activation store in {str(folder)!r}: no {MANIFEST}",
            advice=f"{WHOLE} alone holds no values: copy {MANIFEST} and {SHARDS}/, too, and name "
            "the folder."
            if alone
            else "`w2sprobe extract` makes one.",
        )
    try:
        data = (folder / MANIFEST).read_bytes()
        content = json.loads(data)
        if content.get("format") != FORMAT:
            raise InputError(
                f"unknown format {content.get('format')!r}", where=where, allowed=FORMAT
            )
        if content["version"] != VERSION:
            raise InputError(
                f"store of format version {content['version']!r}",
                where=where,
                allowed=f"version {VERSION}",
                advice="Use the w2sprobe that wrote it, or extract again into another folder.",
            )
        manifest = Manifest(
            identity=content["identity"],
            model=content["model"],
            ids_fingerprint=content["ids_fingerprint"],
            n_rows=content["n_rows"],
            rows_per_shard=content["rows_per_shard"],
            hidden_size=content["hidden_size"],
            dtype=content["dtype"],
            ragged=content["ragged"],
            compression=content["compression"],
            layers=tuple(content["layers"]),
            pending=tuple(content["pending"]),
            runs=tuple(content["runs"]),
        )
    except OSError as error:
        _refuse(folder / MANIFEST, error)
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise StoreDamaged(f"manifest cannot be read: {error!r}", where=where) from error
    # byte for byte, so that no flipped bit passes, white space included
    if data != _manifest_bytes(manifest):
        raise StoreDamaged("manifest differs from its checksum", where=where)
    return manifest


def shard_name(index: int) -> str:
    """Path of a shard within the store."""
    return f"{SHARDS}/{index:05d}.h5"


def layer_name(layer: int) -> str:
    """Path of a layer's dataset within a shard."""
    return f"{LAYERS}/{layer}"


def present_shards(folder: Path, manifest: Manifest) -> set[int]:
    """Shards that have a file."""
    shards = folder / SHARDS
    names = {item.name for item in shards.iterdir()} if shards.is_dir() else set()
    return {i for i in range(manifest.n_shards) if shard_name(i).rpartition("/")[2] in names}


def absent_layers(folder: Path, manifest: Manifest, index: int, layers: Sequence[int]) -> list[int]:
    """Which of some layers a shard does not hold; all of them where it is damaged.

    Raises
    ------
    StoreUnavailable
        It cannot be opened now, for another reason than damage.
    """
    path = folder / shard_name(index)
    if not path.is_file():
        return list(layers)
    try:
        with _open(path) as file:
            if _wrong(_facts(file, manifest, index)):
                return list(layers)
            return [layer for layer in layers if layer_name(layer) not in file]
    except DAMAGE:
        return list(layers)


def layers_of(path: Path) -> list[int]:
    """Layers that a shard's file holds; none where there is no file or it is damaged.

    Raises
    ------
    StoreUnavailable
        It cannot be opened now, for another reason than damage.
    """
    if not path.is_file():
        return []
    try:
        with _open(path) as file:
            return sorted(map(int, file[LAYERS]))
    except DAMAGE:
        return []


def write_shard(
    path: Path,
    manifest: Manifest,
    index: int,
    ids: Sequence[str],
    id_bytes: int,
    states: Mapping[int, np.ndarray],
    offsets: np.ndarray | None,
) -> None:
    """Write one shard's file; equal arguments give equal bytes."""
    options = dict(_hdf5plugin().Bitshuffle(cname="zstd")) if manifest.compression else {}
    with _create(path, manifest.address) as file:
        _make_group(file)
        file.attrs["first_row"] = np.int64(manifest.rows(index).start)
        _write_ids(file, ids, id_bytes)
        if offsets is not None:
            _write_dataset(file, OFFSETS, offsets.astype("<i8"), POSITIONS)
        for layer in sorted(states):
            # the memory order may change here, values may not
            values = np.ascontiguousarray(states[layer])
            chunks = (max(1, CHUNK_BYTES // max(1, values[:1].nbytes)), values.shape[1])
            filters = {**options, "chunks": tuple(map(min, chunks, values.shape))}
            compressed = options and values.size
            _write_dataset(
                file,
                layer_name(layer),
                values,
                manifest.dtype,
                **(filters if compressed else {}),
            )


def write_whole(folder: Path, manifest: Manifest, ids: Sequence[str], offsets: np.ndarray) -> None:
    """Write `activations.h5`: every layer of all shards as one virtual dataset, atomically.

    `offsets` are the tokens before each row; of a store that is not ragged, the rows.
    """
    dtype = stored_type(manifest.dtype)
    with (
        atomic_path(folder / WHOLE) as temporary,
        _create(temporary, manifest.address) as file,
    ):
        _make_group(file)
        _write_ids(file, ids, max(len(name.encode()) for name in ids))
        if manifest.ragged:
            _write_dataset(file, OFFSETS, offsets.astype("<i8"), POSITIONS)
        for layer in manifest.layers:
            shape = (int(offsets[-1]), manifest.hidden_size)
            properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            properties.set_obj_track_times(False)
            # what plain HDF5 shows for the rows of a shard that is not there
            nan = BFLOAT16_NAN if manifest.dtype == "bfloat16" else np.nan
            properties.set_fill_value(np.array(nan, dtype=dtype))
            for index in range(manifest.n_shards):
                rows = manifest.rows(index)
                start, stop = int(offsets[rows.start]), int(offsets[rows.stop])
                part = (stop - start, manifest.hidden_size)
                place = h5py.h5s.create_simple(shape)
                place.select_hyperslab((start, 0), part)
                properties.set_virtual(
                    place,
                    shard_name(index).encode(),
                    layer_name(layer).encode(),
                    h5py.h5s.create_simple(part),
                )
            kind, space = h5py.h5t.py_create(dtype), h5py.h5s.create_simple(shape)
            name = layer_name(layer).encode()
            h5py.h5d.create(file.id, name, kind, space, dcpl=properties)
            file[layer_name(layer)].attrs["encoding"] = np.bytes_(manifest.dtype)


def read_ids(folder: Path, manifest: Manifest, index: int) -> list[str]:
    """Row ids of a shard; StoreDamaged unless all of it fits."""
    return [name.decode(TEXT) for name in _read(folder, manifest, index, IDS).tolist()]


def read_offsets(folder: Path, manifest: Manifest, index: int) -> np.ndarray:
    """Tokens before each row of a ragged store's shard, and in all of it: (rows + 1,)."""
    return _read(folder, manifest, index, OFFSETS)


def read_all_offsets(folder: Path, manifest: Manifest) -> np.ndarray:
    """Vectors before each row of the store, and in all: (n_rows + 1,)."""
    lengths = np.ones(manifest.n_rows, dtype=np.int64)
    if manifest.ragged:
        for index in range(manifest.n_shards):
            lengths[manifest.rows(index)] = np.diff(read_offsets(folder, manifest, index))
    return np.concatenate([[0], np.cumsum(lengths)])


def read_layer(folder: Path, manifest: Manifest, index: int, layer: int) -> np.ndarray:
    """One layer of a shard as stored; StoreDamaged unless all of it fits."""
    return _read(folder, manifest, index, layer_name(layer))


def check_shard(folder: Path, manifest: Manifest, index: int) -> list[str]:
    """Everything that is wrong with a shard; reads it all.

    Raises
    ------
    StoreUnavailable
        It cannot be read now, for another reason than damage.
    """
    names = [IDS, *([OFFSETS] if manifest.ragged else []), *map(layer_name, manifest.layers)]
    problems = []
    for name in names:
        try:
            _read(folder, manifest, index, name)
        except StoreDamaged as error:
            problems.append(str(error))
    path = folder / shard_name(index)
    # damage in bytes that belong to no dataset
    return problems or [_damage(folder, index, [problem]) for problem in check_seal(path)]


def check_whole(folder: Path) -> list[str]:
    """Whatever is wrong with `activations.h5`; StoreUnavailable as in `check_shard`."""
    return [f"{problem} in {str(folder / WHOLE)!r}." for problem in check_seal(folder / WHOLE)]


def graph_path(folder: Path, address: str) -> Path:
    """Where a neighbour graph lies in a store."""
    return folder / NEIGHBORS / f"{address}.h5"


def write_graph(path: Path, address: str, distances: np.ndarray, indices: np.ndarray) -> None:
    """Write a neighbour graph, atomically: float32 and int64, each (rows, k)."""
    with atomic_path(path) as temporary, _create(temporary, address) as file:
        _write_dataset(file, "distances", np.ascontiguousarray(distances), "float32")
        _write_dataset(file, "indices", np.ascontiguousarray(indices), POSITIONS)


def read_graph(path: Path, address: str) -> tuple[np.ndarray, np.ndarray]:
    """Distances and indices of a neighbour graph.

    Raises
    ------
    StoreDamaged
        Not what was written.
    """
    try:
        with _open(path) as file:
            if file.attrs["address"] != address.encode():
                raise StoreDamaged("graph of something else", where=str(path), advice=REMAKE)
            return _sound_values(file["distances"]), _sound_values(file["indices"])
    except (_Unsound, *DAMAGE) as error:
        raise StoreDamaged(f"cannot be read: {error}", where=str(path), advice=REMAKE) from error


def graph_files(folder: Path) -> list[Path]:
    """Neighbour graphs of a store."""
    graphs = folder / NEIGHBORS
    files = sorted(graphs.iterdir()) if graphs.is_dir() else []
    return [file for file in files if not file.name.startswith(".")]


def check_graph(path: Path) -> list[str]:
    """Whatever is wrong with a neighbour graph; StoreUnavailable as in `check_shard`."""
    return [f"{problem} in {str(path)!r}" for problem in check_seal(path)]


def check_seal(path: Path) -> list[str]:
    """Whatever is wrong with a file as a whole.

    Raises
    ------
    StoreUnavailable
        It cannot be read now, for another reason than damage.
    """
    if not path.is_file():
        return ["no such file"]
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            expected = _head(iter(lambda: file.read(1 << 22), b""))
    except OSError as error:
        _refuse(path, error)
    if head == expected:
        return []
    try:
        with _open(path):  # a file that is being written to differs, too
            pass
    except DAMAGE as error:
        return [f"cannot be read: {error}"]
    return ["file differs from its checksum"]


def _head(blocks: Iterable[bytes | memoryview]) -> bytes:
    digest = xxhash.xxh3_64()
    for block in blocks:
        digest.update(block)
    text = f"{FORMAT} {VERSION}\n{CHECKSUM} of what follows byte {HEAD_BYTES}: "
    return f"{text}{digest.hexdigest()}\n".encode().ljust(HEAD_BYTES, b"\0")


def non_finite(stored: np.ndarray, dtype: str) -> np.ndarray:
    """Mask of infinities and NaN among stored values."""
    mask: np.ndarray = (
        (stored & BFLOAT16_EXPONENT) == BFLOAT16_EXPONENT
        if dtype == "bfloat16"
        else ~np.isfinite(stored)
    )
    return mask


def to_float32(stored: np.ndarray, dtype: str, out: np.ndarray) -> None:
    """Widen stored values into `out` (float32); exact for every dtype."""
    if dtype == "bfloat16":
        np.left_shift(stored, 16, out=out.view(np.uint32), dtype=np.uint32)
    else:
        out[...] = stored


@contextmanager
def _create(path: Path, address: str) -> Iterator[h5py.File]:
    """Make a file with checksummed HDF5 metadata (HDF5 1.10 and later) and no time stamps.

    It is built in memory and written with plain writes: where the disk is full, these raise, and
    HDF5's own may crash the process.
    """
    # not HDF5's own memory files: before HDF5 2.0 (h5py 3.16), the image that it gives of one fails
    # its own checksum
    memory = io.BytesIO()
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, memory)
    # h5py before 3.15 stamps groups, the root among them, unless told in its low-level interface
    root = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    root.set_userblock(HEAD_BYTES)
    root.set_obj_track_times(False)
    with h5py.File(h5py.h5f.create(os.fsencode(path), h5py.h5f.ACC_TRUNC, root, access)) as file:
        file.attrs["format"] = np.bytes_(FORMAT)
        file.attrs["version"] = np.int64(VERSION)
        file.attrs["address"] = np.bytes_(address)
        yield file
    image = memory.getbuffer()[HEAD_BYTES:]
    with path.open("wb") as target:
        target.write(_head([image]))
        target.write(image)


def _make_group(file: h5py.File) -> None:
    properties = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    properties.set_obj_track_times(False)
    h5py.h5g.create(file.id, LAYERS.encode(), gcpl=properties)


def _write_ids(file: h5py.File, ids: Sequence[str], id_bytes: int) -> None:
    encoded = np.array([name.encode() for name in ids], dtype=h5py.string_dtype(TEXT, id_bytes))
    _write_dataset(file, IDS, encoded, TEXT)


def _write_dataset(
    file: h5py.File, name: str, values: np.ndarray, encoding: str, **options: Any
) -> None:
    dataset = file.create_dataset(name, data=values, track_times=False, **options)
    dataset.attrs["encoding"] = np.bytes_(encoding)
    dataset.attrs[CHECKSUM] = np.uint64(xxhash.xxh3_64_intdigest(values.data))


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
        _hdf5plugin()


def _hdf5plugin() -> Any:
    try:
        import hdf5plugin  # registers its filters with HDF5
    except ImportError as error:
        raise MissingDependency(
            "compressed stores need hdf5plugin", advice='Run: pip install "w2sprobe[compression]"'
        ) from error
    return hdf5plugin


# what h5py raises for a file that is not as it was written
DAMAGE = (OSError, KeyError, RuntimeError, ValueError, TypeError)


@contextmanager
def _open(path: Path) -> Iterator[h5py.File]:
    """Open for reading; StoreUnavailable where something else than damage is in the way."""
    try:
        if not isinstance(path, Path):  # an fsspec URL
            # small blocks: a layer lies in one piece, and little else is wanted
            with path.open("rb", block_size=1 << 20) as stream, h5py.File(stream, "r") as file:
                yield file
            return
        # files never change once they have their name, and some network disks cannot lock
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except OSError as error:
        # the system's own errors have a number; those of HDF5 about what it reads have none
        if OPEN_FOR_WRITING in str(error) or (
            error.errno is not None and not isinstance(error, FileNotFoundError)
        ):
            _refuse(path, error)
        raise


def _refuse(path: Path, error: OSError) -> NoReturn:
    """Say why a file cannot be read, with nothing said of damage."""
    if OPEN_FOR_WRITING in str(error) or isinstance(error, BlockingIOError):
        raise StoreUnavailable(
            "open for writing by another process",
            where=str(path),
            advice="Close it there, then try again. If that process has died, delete this file and "
            "run the same extraction again.",
        ) from error
    if isinstance(error, PermissionError):
        raise StoreUnavailable(
            "no permission to read", where=str(path), advice="Ask its owner for the right to."
        ) from error
    raise StoreUnavailable(
        f"cannot be read now: {error}", where=str(path), advice="Mend that, then try again."
    ) from error


def _read(folder: Path, manifest: Manifest, index: int, name: str) -> np.ndarray:
    """Values of a dataset as stored, after every check."""
    path = folder / shard_name(index)
    encoding = {IDS: TEXT, OFFSETS: POSITIONS}.get(name, manifest.dtype)
    if manifest.compression:
        _hdf5plugin()
    try:
        with _open(path) as file:
            dataset = file[name]
            facts = _facts(file, manifest, index)
            facts["encoding"] = (dataset.attrs["encoding"], encoding.encode())
            facts["shape"] = (dataset.shape, _shape(file, manifest, index, name))
            if encoding != TEXT:
                facts["type"] = (dataset.dtype, STORED.get(encoding, np.dtype("<i8")))
            wrong = _wrong(facts)
            if not wrong:
                values = _sound_values(dataset)
                # numbers are worth nothing if it is not sure whose they are
                if name != IDS:
                    _sound_values(file[IDS])
    except _Unsound as error:
        wrong = [str(error)]
    except DAMAGE as error:
        wrong = [f"cannot be read: {error}"] if path.is_file() else ["no such file"]
    if wrong:
        raise StoreDamaged(_damage(folder, index, wrong, name), advice=REPAIR)
    return values


class _Unsound(Exception):
    """A dataset is not what was written."""


def _sound_values(dataset: h5py.Dataset) -> np.ndarray:
    values: np.ndarray = dataset[()]
    if xxhash.xxh3_64_intdigest(values.data) != dataset.attrs[CHECKSUM]:
        what = "ids" if dataset.name == f"/{IDS}" else "values"
        raise _Unsound(f"{what} differ from their checksum")
    return values


REMAKE = "Delete it: neighbours are searched again when they are needed."
REPAIR = "`w2sprobe store repair` computes this shard anew, and only this one."


def _damage(folder: Path, index: int, wrong: Sequence[str], name: str = "") -> str:
    what = f", {name.replace(f'{LAYERS}/', 'layer ')}" if name else ""
    return f"{'; '.join(wrong)} in shard {index}{what} of {str(folder)!r}"


def _facts(file: h5py.File, manifest: Manifest, index: int) -> dict[str, tuple[Any, Any]]:
    return {
        "format": (file.attrs["format"], FORMAT.encode()),
        "version": (file.attrs["version"], VERSION),
        "address": (file.attrs["address"], manifest.address.encode()),
        "first_row": (file.attrs["first_row"], manifest.rows(index).start),
    }


def _shape(file: h5py.File, manifest: Manifest, index: int, name: str) -> tuple[int, ...]:
    rows = manifest.rows(index)
    n = rows.stop - rows.start
    if name == IDS:
        return (n,)
    if name == OFFSETS:
        return (n + 1,)
    return (int(file[OFFSETS][-1]) if manifest.ragged else n, manifest.hidden_size)


def _wrong(facts: Mapping[str, tuple[Any, Any]]) -> list[str]:
    return [
        f"{key} is {found!r} instead of {expected!r}"
        for key, (found, expected) in facts.items()
        if found != expected
    ]
