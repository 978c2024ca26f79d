"""What an extraction will cost: measured on a few batches, not guessed."""

import resource
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from w2sprobe.cache import store_size_bytes
from w2sprobe.errors import OutputError
from w2sprobe.extraction.forward import Extractor
from w2sprobe.tokens import BATCH_OVERHEAD, length_sorted_batches

SAMPLE_ROWS = 64
SEED = 0
SPARE_BYTES = 64 << 20  # for ids, HDF5's own tables and whatever else the disk is for


@dataclass(frozen=True)
class Plan:
    """Cost of an extraction.

    Parameters
    ----------
    disk_bytes : int
        Of the layers that are still to be written.
    free_bytes : int
        On the disk of the store.
    seconds : float
        All rows, at the rate measured.
    rows_per_second : float
    memory_bytes : int
        Peak of this process during the sample, and the two shards in memory; of the GPU's memory
        where the model is on one.
    """

    disk_bytes: int
    free_bytes: int
    seconds: float
    rows_per_second: float
    memory_bytes: int


def measure(
    extractor: Extractor,
    input_ids: Sequence[np.ndarray],
    spans: np.ndarray,
    layers: Sequence[int],
    *,
    disk_bytes: int,
    folder: Path,
    rows_per_shard: int,
) -> Plan:
    """Run a random sample of the rows and scale its time to all of them.

    Parameters
    ----------
    extractor : Extractor
    input_ids, spans, layers
        As in `Extractor.states`; all rows.
    disk_bytes : int
    folder : Path
        Of the store; need not exist.
    rows_per_shard : int

    Returns
    -------
    Plan
    """
    n = len(input_ids)
    sample = np.random.default_rng(SEED).permutation(n)[:SAMPLE_ROWS]
    chosen = [input_ids[row] for row in sample]
    extractor.states(chosen[:4], spans[sample[:4]], layers)  # the first pass also allocates
    start = time.perf_counter()
    extractor.states(chosen, spans[sample], layers)
    seconds = time.perf_counter() - start
    lengths = np.array([len(row) for row in input_ids])
    budget = extractor.batch_tokens
    shards = [lengths[first : first + rows_per_shard] for first in range(0, n, rows_per_shard)]
    scale = sum(_cost(shard, budget) for shard in shards) / _cost(lengths[sample], budget)
    return Plan(
        disk_bytes=disk_bytes,
        free_bytes=free_bytes(folder),
        seconds=seconds * scale,
        rows_per_second=n / (seconds * scale),
        memory_bytes=_peak_memory() + 2 * disk_bytes * min(rows_per_shard, n) // n,
    )


def check_disk(folder: Path, needed: int) -> None:
    """Refuse an extraction that the disk cannot hold.

    Raises
    ------
    OutputError
        Too little space; says how much there is and how much is needed.
    """
    free = free_bytes(folder)
    if needed + SPARE_BYTES > free:
        raise OutputError(
            f"the store needs {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free",
            where=str(folder),
            advice="Free space, choose another --store, or take fewer --layers.",
        )


def free_bytes(folder: Path) -> int:
    """Free space of the disk that a folder is on, or will be."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def size_bytes(spans: np.ndarray, n_layers: int, width: int, dtype: str, *, average: bool) -> int:
    """Bytes of the vectors that the spans stand for."""
    vectors = len(spans) if average else int(np.diff(spans, axis=1).sum())
    return store_size_bytes(vectors, n_layers, width, dtype)


def _cost(lengths: np.ndarray, budget: int) -> float:
    batches = length_sorted_batches(lengths, budget)
    return float(sum(len(rows) * lengths[rows].max() + BATCH_OVERHEAD for rows in batches))


def _peak_memory() -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
