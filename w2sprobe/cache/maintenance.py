"""Housekeeping: lists stores, drops damaged files, finds what killed runs left behind."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from w2sprobe.atomic import check_writable
from w2sprobe.cache.graphs import graph_files
from w2sprobe.cache.hdf5 import check_bytes
from w2sprobe.cache.layout import MANIFEST, VIRTUAL, shard_name
from w2sprobe.cache.locks import LEASE_SECONDS, is_working_file
from w2sprobe.cache.manifest import is_store, read_manifest
from w2sprobe.cache.shards import check_shard, present_shards
from w2sprobe.errors import StoreDamaged, W2SProbeError

DAY = 86_400.0


@dataclass(frozen=True)
class StoreInfo:
    """Summary of a store.

    Parameters
    ----------
    address, model, position, dtype : str
        Empty where the manifest cannot be read.
    layers : tuple of int
        Layers that are in every shard.
    n_present, n_shards : int
        Shards that have a file; shards of the finished store.
    bytes : int
        Size of all files.
    age_days, unused_days : float
        Days since the oldest file was written, and since the store was last opened.
    problem : str
        Why the manifest cannot be read; empty where it can.
    """

    path: Path
    address: str = ""
    model: str = ""
    position: str = ""
    dtype: str = ""
    n_rows: int = 0
    hidden_size: int = 0
    layers: tuple[int, ...] = ()
    n_present: int = 0
    n_shards: int = 0
    bytes: int = 0
    age_days: float = 0.0
    unused_days: float = 0.0
    problem: str = ""

    @property
    def finished(self) -> bool:
        """Whether the store can be opened."""
        return bool(self.layers) and self.n_present == self.n_shards

    @property
    def state(self) -> str:
        """`finished`, `unreadable`, or how many shards are there."""
        if self.problem:
            return "unreadable"
        return "finished" if self.finished else f"{self.n_present} of {self.n_shards} shards"


def find_stores(folder: str | Path) -> list[Path]:
    """Stores in a folder, sorted by name; the folder itself where it is a store."""
    root = Path(folder)
    if is_store(root):
        return [root]
    inside = root.iterdir() if root.is_dir() else ()
    return sorted(item for item in inside if item.is_dir() and is_store(item))


def store_info(path: str | Path) -> StoreInfo:
    """Summarise a store without reading activations; does not count as a use of it."""
    folder = Path(path)
    files = [file.stat() for file in folder.rglob("*") if file.is_file()]
    size, now = sum(file.st_size for file in files), time.time()
    unused = (now - (folder / MANIFEST).stat().st_mtime) / DAY
    age = (now - min(file.st_mtime for file in files)) / DAY
    try:
        manifest = read_manifest(folder)
    except W2SProbeError as error:
        return StoreInfo(folder, bytes=size, age_days=age, unused_days=unused, problem=str(error))
    return StoreInfo(
        path=folder,
        address=manifest.address,
        model=manifest.model,
        position=str(manifest.identity.get("position", "")),
        dtype=manifest.dtype,
        n_rows=manifest.n_rows,
        hidden_size=manifest.hidden_size,
        layers=manifest.layers,
        n_present=len(present_shards(folder, manifest)),
        n_shards=manifest.n_shards,
        bytes=size,
        age_days=age,
        unused_days=unused,
    )


def drop_damage(path: str | Path) -> list[str]:
    """Delete damaged files; extracting again then computes the missing shards and no others.

    Returns
    -------
    list of str
        Everything that was wrong, one line each; empty where the store is sound.

    Raises
    ------
    InputError
        No store there, or a store of another format version.
    StoreDamaged
        The manifest is damaged, so that nothing says what the shards should hold.
    StoreUnavailable
        A file cannot be read now, for example because another process has it open for writing.
        Nothing has been deleted.
    OutputError
        The folder is read-only.
    """
    folder = Path(path)
    try:
        manifest = read_manifest(folder)
    except StoreDamaged as error:
        raise StoreDamaged(
            error.what, where=error.where, advice="Extract again into another folder."
        ) from error
    present = present_shards(folder, manifest)
    problems = [f"no shard {index}" for index in range(manifest.n_shards) if index not in present]
    damage = {
        folder / shard_name(index): check_shard(folder, manifest, index)
        for index in sorted(present)
    }
    others = graph_files(folder)
    if manifest.layers:  # written when the store is finished
        others.append(folder / VIRTUAL)
    for file in others:
        damage[file] = [f"{problem} in {str(file)!r}" for problem in check_bytes(file)]
    # Nothing is deleted before all files were checked: one that cannot be read now raises above
    # and leaves everything as it is.
    damaged = [file for file, wrong in damage.items() if wrong]
    for file in damaged:
        check_writable(file.parent)
    for file in damaged:
        problems += damage[file]
        file.unlink(missing_ok=True)
    return problems


def leftovers(folder: str | Path) -> Iterator[Path]:
    """Files that killed runs left in stores: old temporary files, and locks nobody refreshes."""
    for store in find_stores(folder):
        for file in sorted(store.rglob(".*")):
            age = time.time() - file.stat().st_mtime
            if is_working_file(file.name) and age > 2 * LEASE_SECONDS:
                yield file
