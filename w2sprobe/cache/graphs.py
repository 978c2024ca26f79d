"""Neighbour graphs beside the activations: the nearest rows of every row of a layer."""

from pathlib import Path

import numpy as np

from w2sprobe.atomic import atomic_path
from w2sprobe.cache.failures import DAMAGE
from w2sprobe.cache.hdf5 import (
    ChecksumMismatch,
    create_file,
    open_file,
    read_dataset,
    write_dataset,
)
from w2sprobe.cache.layout import NEIGHBORS
from w2sprobe.errors import StoreDamaged

REMAKE = "Delete it: neighbours are searched again when they are needed."


def write_graph(path: Path, address: str, distances: np.ndarray, indices: np.ndarray) -> None:
    """Write a neighbour graph, atomically: float32 and int64, each (rows, k)."""
    with atomic_path(path) as temporary, create_file(temporary, address) as file:
        write_dataset(file, "distances", np.ascontiguousarray(distances), "float32")
        write_dataset(file, "indices", np.ascontiguousarray(indices), "int64")


def read_graph(path: Path, address: str) -> tuple[np.ndarray, np.ndarray]:
    """Distances and indices of a neighbour graph.

    Raises
    ------
    StoreDamaged
        The file differs from what was written, or belongs to another search.
    """
    try:
        with open_file(path) as file:
            if file.attrs["address"] != address.encode():
                raise StoreDamaged("graph of another search", where=str(path), advice=REMAKE)
            return read_dataset(file["distances"]), read_dataset(file["indices"])
    except (ChecksumMismatch, *DAMAGE) as error:
        raise StoreDamaged(f"cannot be read: {error}", where=str(path), advice=REMAKE) from error


def graph_files(folder: Path) -> list[Path]:
    """Neighbour graphs of a store."""
    graphs = folder / NEIGHBORS
    files = sorted(graphs.iterdir()) if graphs.is_dir() else []
    return [file for file in files if not file.name.startswith(".")]
