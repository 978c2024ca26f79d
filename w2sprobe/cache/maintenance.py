"""Housekeeping of stores: what is there, what is damaged, what can go."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from w2sprobe.atomic import check_writable
from w2sprobe.cache import layout
from w2sprobe.cache.locks import LEASE_SECONDS, is_working_file
from w2sprobe.errors import StoreDamaged, W2SProbeError

DAY = 86_400.0


@dataclass(frozen=True)
class StoreInfo:
    """A store at a glance.

    Parameters
    ----------
    path : Path
    address, model, position, dtype : str
        Empty where the manifest cannot be read.
    n_rows, hidden_size : int
    layers : tuple of int
        In every shard.
    shards : int
        That have a file.
    n_shards : int
        Of the finished store.
    bytes : int
        Of all files.
    age_days, unused_days : float
        Since the first shard was written, and since the store was last opened.
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
    shards: int = 0
    n_shards: int = 0
    bytes: int = 0
    age_days: float = 0.0
    unused_days: float = 0.0
    problem: str = ""

    @property
    def finished(self) -> bool:
        """Whether the store can be opened."""
        return bool(self.layers) and self.shards == self.n_shards

    @property
    def state(self) -> str:
        """Finished, unreadable, or how many shards there are."""
        if self.problem:
            return "unreadable"
        return "finished" if self.finished else f"{self.shards} of {self.n_shards} shards"


def find_stores(folder: str | Path) -> list[Path]:
    """Stores in a folder, or the folder itself where it is one; by name."""
    place = Path(folder)
    if layout.has_manifest(place):
        return [place]
    inside = place.iterdir() if place.is_dir() else ()
    return sorted(item for item in inside if item.is_dir() and layout.has_manifest(item))


def store_info(path: str | Path) -> StoreInfo:
    """Look at a store without reading activations, and without counting as a use of it."""
    folder = Path(path)
    files = [file.stat() for file in folder.rglob("*") if file.is_file()]
    size, now = sum(file.st_size for file in files), time.time()
    unused = (now - (folder / layout.MANIFEST).stat().st_mtime) / DAY
    age = (now - min(file.st_mtime for file in files)) / DAY
    try:
        manifest = layout.read_manifest(folder)
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
        shards=len(layout.present_shards(folder, manifest)),
        n_shards=manifest.n_shards,
        bytes=size,
        age_days=age,
        unused_days=unused,
    )


def drop_damage(path: str | Path) -> list[str]:
    """Delete the shards that are damaged; extracting again computes those and no others.

    Parameters
    ----------
    path : str or Path
        Folder of a store.

    Returns
    -------
    list of str
        What was wrong, one line each; empty where the store is sound.

    Raises
    ------
    InputError
        No store there, or one of another format version.
    StoreDamaged
        The manifest is damaged: nothing says any more what the shards hold.
    StoreUnavailable
        A file cannot be read now, such as one that another process has open for writing. Nothing
        has been deleted.
    OutputError
        The store lies where nothing can be deleted.
    """
    folder = Path(path)
    try:
        manifest = layout.read_manifest(folder)
    except StoreDamaged as error:
        raise StoreDamaged(
            error.what, where=error.where, advice="Extract again into another folder."
        ) from error
    present = layout.present_shards(folder, manifest)
    problems = [f"no shard {index}" for index in range(manifest.n_shards) if index not in present]
    found = {
        folder / layout.shard_name(index): layout.check_shard(folder, manifest, index)
        for index in sorted(present)
    }
    if manifest.layers:
        found[folder / layout.WHOLE] = layout.check_whole(folder)
    found |= {graph: layout.check_graph(graph) for graph in layout.graph_files(folder)}
    # only now: a file that cannot be judged leaves all as it is
    damaged = [file for file, wrong in found.items() if wrong]
    for file in damaged:
        check_writable(file.parent)
    for file in damaged:
        problems += found[file]
        file.unlink(missing_ok=True)
    return problems


def leftovers(folder: str | Path) -> Iterator[Path]:
    """Files that killed runs left in stores: temporary ones, and locks nobody refreshes."""
    for store in find_stores(folder):
        for file in sorted(store.rglob(".*")):
            age = time.time() - file.stat().st_mtime
            if is_working_file(file.name) and age > 2 * LEASE_SECONDS:
                yield file
