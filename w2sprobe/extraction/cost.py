"""Cost of an extraction, measured on a few batches."""

import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from w2sprobe.atomic import check_writable
from w2sprobe.cache import is_store
from w2sprobe.devices import resolve_device
from w2sprobe.errors import InputError
from w2sprobe.extraction.disk import check_disk, free_bytes
from w2sprobe.extraction.forward import Extractor
from w2sprobe.extraction.request import ROWS_PER_SHARD, ExtractionRequest, TokenizedRows
from w2sprobe.tokens import BATCH_OVERHEAD, length_sorted_batches

SAMPLE_ROWS = 64
SEED = 0


@dataclass(frozen=True)
class ExtractionCost:
    """Disk, time and memory that an extraction will take.

    Parameters
    ----------
    disk_bytes : int
        Size of the requested layers; 0 where the store has them.
    free_bytes : int
        Free space on the disk of the store.
    seconds : float
        Time for all rows, at the measured rate.
    memory_bytes : int
        Peak of this process during the sample, and the two shards in memory; of the GPU's memory
        where the model is on a GPU.
    """

    disk_bytes: int
    free_bytes: int
    seconds: float
    rows_per_second: float
    memory_bytes: int


def plan_extraction(
    request: ExtractionRequest,
    path: str | Path,
    *,
    batch_tokens: int | None = None,
    rows_per_shard: int = ROWS_PER_SHARD,
    device: str = "auto",
    device_map: str | None = None,
) -> ExtractionCost:
    """Measure a few batches of an extraction; nothing is written. Parameters as in `extract`.

    Where the store already has the layers, nothing is measured and all costs are 0.

    Raises
    ------
    InputError
        A text that does not fit, an unknown device, or tokens that the model is to generate.
    StoreMismatch
        The folder holds a store of another model, other rows or other settings.
    OutputError
        The disk cannot hold the store, or cannot be written to.
    """
    if request.generate:
        raise InputError("a dry run does not measure generated tokens", advice="Run it.")
    chosen_device, folder = resolve_device(device), Path(path)
    if is_store(folder) and request.writer(folder).is_complete():
        return ExtractionCost(0, free_bytes(folder), 0.0, 0.0, 0)
    check_writable(folder)
    rows = request.tokenize()
    disk_bytes = request.layer_bytes(rows) * len(request.layers)
    check_disk(folder, disk_bytes)
    network = request.load_model(chosen_device, device_map)
    extractor = request.extractor(network, batch_tokens)
    seconds = _measure(extractor, rows, request.layers, rows_per_shard)
    n = len(rows.input_ids)
    return ExtractionCost(
        disk_bytes=disk_bytes,
        free_bytes=free_bytes(folder),
        seconds=seconds,
        rows_per_second=n / seconds,
        # one shard is computed while the one before is written
        memory_bytes=_peak_memory() + 2 * disk_bytes * min(rows_per_shard, n) // n,
    )


def _measure(
    extractor: Extractor, rows: TokenizedRows, layers: tuple[int, ...], rows_per_shard: int
) -> float:
    """Seconds for all rows: the time of a random sample, scaled by the cost of the batches."""
    n = len(rows.input_ids)
    sample = np.random.default_rng(SEED).permutation(n)[:SAMPLE_ROWS]
    tokens = [rows.input_ids[row] for row in sample]
    # the first pass also allocates memory: it is not timed
    kept = [rows.kept[row] for row in sample]
    extractor.states(tokens[:4], kept[:4], layers)
    start = time.perf_counter()
    extractor.states(tokens, kept, layers)
    seconds = time.perf_counter() - start
    lengths = np.array([len(row) for row in rows.input_ids])
    budget = extractor.batch_tokens
    # batches do not cross shards
    shards = [lengths[first : first + rows_per_shard] for first in range(0, n, rows_per_shard)]
    total = sum(_batch_cost(shard, budget) for shard in shards)
    return seconds * total / _batch_cost(lengths[sample], budget)


def _batch_cost(lengths: np.ndarray, budget: int) -> float:
    """Cost of rows in tokens, padding and the fixed cost of each batch included."""
    batches = length_sorted_batches(lengths, budget)
    return float(sum(len(rows) * lengths[rows].max() + BATCH_OVERHEAD for rows in batches))


def _peak_memory() -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kB on Linux
