"""What a store looks like on disk: names, format version, encodings, checksums.

The only file that knows them; docs/file-formats.md says the same in prose. What may be asked of
a store, and what is refused, is decided in `writer` and `reader`.
"""

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from w2sprobe.atomic import write_json
from w2sprobe.errors import InputError, StoreDamaged, UnknownName
from w2sprobe.fingerprint import fingerprint

FORMAT = "w2sprobe-activations"
VERSION = 1
MANIFEST = "manifest.json"
SHARDS = "shards"
IDS = "ids"
LAYERS = "layers"
TEXT = "utf-8"
# zlib.crc32 finds every burst of up to 32 bits at 2.4 GB/s, where SHA-256 does 1.6 (with the
# processor's help), BLAKE2b 1.0, and an unchecked read of the page cache with its cast 1.4
CHECKSUM = "crc32"

# numpy has no bfloat16: its bit pattern is kept, the upper half of a float32
STORED: dict[str, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),
}
BFLOAT16_EXPONENT = 0x7F80


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` says; `report` is None until the store is finished."""

    identity: dict[str, Any]
    ids_fingerprint: str
    n_rows: int
    rows_per_shard: int
    layers: tuple[int, ...]
    hidden_size: int
    dtype: str
    report: dict[str, Any] | None = None

    @property
    def n_shards(self) -> int:
        """Shards of a complete store."""
        return -(-self.n_rows // self.rows_per_shard)

    def rows(self, index: int) -> slice:
        """Rows of the store that a shard holds."""
        start = index * self.rows_per_shard
        return slice(start, min(start + self.rows_per_shard, self.n_rows))

    def shape(self, index: int) -> tuple[int, int]:
        """Shape of a layer in a shard."""
        rows = self.rows(index)
        return rows.stop - rows.start, self.hidden_size

    def finished(self, report: dict[str, Any]) -> "Manifest":
        """Return the manifest of the finished store."""
        return replace(self, report=report)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of the file, without its checksum."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "address": fingerprint(self.identity),
            "identity": self.identity,
            "ids_fingerprint": self.ids_fingerprint,
            "n_rows": self.n_rows,
            "rows_per_shard": self.rows_per_shard,
            "layers": list(self.layers),
            "hidden_size": self.hidden_size,
            "dtype": self.dtype,
            "report": self.report,
        }


def store_size_bytes(n_rows: int, n_layers: int, hidden_size: int, dtype: str) -> int:
    """Disk space of a store's activations; ids and HDF5's own tables come on top.

    Parameters
    ----------
    n_rows, n_layers, hidden_size : int
        Rows, layers and width.
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


def has_manifest(folder: Path) -> bool:
    """Whether the folder says that it is a store."""
    return (folder / MANIFEST).is_file()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json`, atomically."""
    content = manifest.to_dict()
    write_json(folder / MANIFEST, {**content, "checksum": fingerprint(content)})


def read_manifest(folder: Path) -> Manifest:
    """Read `manifest.json`.

    Raises
    ------
    InputError
        No store here, or one of another format version.
    StoreDamaged
        Not what was written.
    """
    where = str(folder / MANIFEST)
    if not has_manifest(folder):
        raise InputError(
            f"no activation store in {str(folder)!r}: no {MANIFEST}",
            advice="`w2sprobe extract` makes one.",
        )
    try:
        content = json.loads((folder / MANIFEST).read_bytes())
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
        checksum = content.pop("checksum")
        if checksum != fingerprint(content):
            raise StoreDamaged("manifest differs from its checksum", where=where)
        return Manifest(
            identity=content["identity"],
            ids_fingerprint=content["ids_fingerprint"],
            n_rows=content["n_rows"],
            rows_per_shard=content["rows_per_shard"],
            layers=tuple(content["layers"]),
            hidden_size=content["hidden_size"],
            dtype=content["dtype"],
            report=content["report"],
        )
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise StoreDamaged(f"manifest cannot be read: {error!r}", where=where) from error


def shard_name(index: int) -> str:
    """Path of a shard within the store."""
    return f"{SHARDS}/{index:05d}.h5"


def layer_name(layer: int) -> str:
    """Path of a layer's dataset within a shard."""
    return f"{LAYERS}/{layer}"


def absent_shards(folder: Path, manifest: Manifest) -> list[int]:
    """Shards that have no file."""
    return [
        index for index in range(manifest.n_shards) if not (folder / shard_name(index)).is_file()
    ]


def write_shard(
    path: Path,
    manifest: Manifest,
    index: int,
    ids: Sequence[str],
    states: Mapping[int, np.ndarray],
) -> None:
    """Write one shard's file; equal arguments give equal bytes."""
    encoded = [name.encode() for name in ids]
    text = h5py.string_dtype(TEXT, max(map(len, encoded)))
    with h5py.File(_create_without_times(path)) as file:
        file.attrs["format"] = np.bytes_(FORMAT)
        file.attrs["version"] = np.int64(VERSION)
        file.attrs["address"] = np.bytes_(fingerprint(manifest.identity))
        file.attrs["first_row"] = np.int64(manifest.rows(index).start)
        _write_dataset(file, IDS, np.array(encoded, dtype=text), TEXT)
        for layer in manifest.layers:
            # the memory order may change here, values may not
            values = np.ascontiguousarray(states[layer])
            _write_dataset(file, layer_name(layer), values, manifest.dtype)


def read_ids(folder: Path, manifest: Manifest, index: int) -> list[str]:
    """Row ids of a shard; StoreDamaged unless all of it fits."""
    return [name.decode(TEXT) for name in _read(folder, manifest, index, IDS).tolist()]


def read_layer(folder: Path, manifest: Manifest, index: int, layer: int) -> np.ndarray:
    """One layer of a shard as stored; StoreDamaged unless all of it fits."""
    return _read(folder, manifest, index, layer_name(layer))


def check_shard(folder: Path, manifest: Manifest, index: int) -> list[str]:
    """Everything that is wrong with a shard; reads it all."""
    problems = []
    for name in (IDS, *map(layer_name, manifest.layers)):
        try:
            _read(folder, manifest, index, name)
        except StoreDamaged as error:
            problems.append(str(error))
    return problems


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


def _create_without_times(path: Path) -> h5py.h5f.FileID:
    """Create a file with checksummed HDF5 metadata (HDF5 1.8 and later) and no time stamps."""
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_V18, h5py.h5f.LIBVER_V18)
    # h5py before 3.15 stamps groups, the root among them, unless told in its low-level interface
    root, group = h5py.h5p.create(h5py.h5p.FILE_CREATE), h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    root.set_obj_track_times(False)
    group.set_obj_track_times(False)
    file = h5py.h5f.create(os.fsencode(path), h5py.h5f.ACC_TRUNC, root, access)
    h5py.h5g.create(file, LAYERS.encode(), gcpl=group)
    return file


def _write_dataset(file: h5py.File, name: str, values: np.ndarray, encoding: str) -> None:
    dataset = file.create_dataset(name, data=values, track_times=False)
    dataset.attrs["encoding"] = np.bytes_(encoding)
    dataset.attrs[CHECKSUM] = np.uint32(zlib.crc32(values.data))


def _read(folder: Path, manifest: Manifest, index: int, name: str) -> np.ndarray:
    """Values of a dataset as stored, after every check."""
    path = folder / shard_name(index)
    encoding = TEXT if name == IDS else manifest.dtype
    shape = manifest.shape(index)[:1] if name == IDS else manifest.shape(index)
    try:
        # files never change once they have their name, and some network disks cannot lock
        with h5py.File(path, "r", locking=False) as file:
            dataset = file[name]
            facts = {
                "format": (file.attrs["format"], FORMAT.encode()),
                "version": (file.attrs["version"], VERSION),
                "address": (file.attrs["address"], fingerprint(manifest.identity).encode()),
                "first_row": (file.attrs["first_row"], manifest.rows(index).start),
                "encoding": (dataset.attrs["encoding"], encoding.encode()),
                "shape": (dataset.shape, shape),
            }
            if encoding != TEXT:
                facts["type"] = (dataset.dtype, STORED[encoding])
            wrong = [
                f"{key} is {found!r} instead of {expected!r}"
                for key, (found, expected) in facts.items()
                if found != expected
            ]
            if not wrong:
                values: np.ndarray = dataset[()]
                if zlib.crc32(values.data) != dataset.attrs[CHECKSUM]:
                    wrong = ["values differ from their checksum"]
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        wrong = [f"cannot be read: {error}"] if path.is_file() else ["no such file"]
    if wrong:
        raise StoreDamaged(
            "; ".join(wrong),
            where=f"shard {index}, {name.replace(f'{LAYERS}/', 'layer ')} of {str(folder)!r}",
            advice=f"Delete {path} and extract again: only its rows are computed anew.",
        )
    return values
