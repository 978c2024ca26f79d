"""Backends that find candidates: FAISS on GPUs or CPU, a blocked torch search, approximate indexes.

Each takes centred float32 points and queries, and how many candidates are wanted.
"""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from w2sprobe.errors import InputError, MissingDependency
from w2sprobe.probes._exact import UNIT_FLOAT32, product_error, squared_norms
from w2sprobe.probes._kernels import NeighborCandidates

GPU_BYTES = 1 << 30  # of points, and of queries, on a GPU at a time
GPU_MAX_CANDIDATES = 2048  # FAISS's own limit on a GPU
BLOCK_QUERIES, BLOCK_POINTS = 2048, 8192  # of the torch search: 64 MB of distances
IVF_N_PROBE = 16  # lists searched, of sqrt(n)
HNSW_LINKS, HNSW_EF_SEARCH = 32, 128

Backend = Callable[[np.ndarray, np.ndarray, int], NeighborCandidates]


def faiss_cpu(points: np.ndarray, queries: np.ndarray, n_candidates: int) -> NeighborCandidates:
    """FAISS's exhaustive search."""
    near, rows = import_faiss().knn(queries, points, n_candidates)
    return _full_distances(points, near, rows)


def faiss_gpu(points: np.ndarray, queries: np.ndarray, n_candidates: int) -> NeighborCandidates:
    """FAISS's exhaustive search, with the queries split over all GPUs."""
    return _on_gpus(points, queries, n_candidates, np.dtype(np.float32))


def faiss_gpu_float16(
    points: np.ndarray, queries: np.ndarray, n_candidates: int
) -> NeighborCandidates:
    """The same on vectors rounded to float16: half the memory; approximate."""
    # coordinates are up to 2**40, beyond float16: scale the largest to 256
    largest = max(np.abs(points).max(), np.abs(queries).max())
    scale = np.float32(256 / largest if largest else 1)
    return _on_gpus(points * scale, queries * scale, n_candidates, np.dtype(np.float16))


def faiss_ivf(points: np.ndarray, queries: np.ndarray, n_candidates: int) -> NeighborCandidates:
    """FAISS's inverted file: only the lists of the nearest cluster centres; approximate."""
    faiss = import_faiss()
    n_lists = max(1, round(len(points) ** 0.5))
    index = faiss.index_factory(points.shape[1], f"IVF{n_lists},Flat")
    index.cp.min_points_per_centroid = 1  # else FAISS prints a warning about small sets
    index.train(points)
    index.add(points)
    index.nprobe = IVF_N_PROBE
    return _full_distances(points, *index.search(queries, n_candidates))


def faiss_hnsw(points: np.ndarray, queries: np.ndarray, n_candidates: int) -> NeighborCandidates:
    """FAISS's navigable small-world graph; approximate."""
    faiss = import_faiss()
    index = faiss.IndexHNSWFlat(points.shape[1], HNSW_LINKS)
    index.add(points)
    index.hnsw.efSearch = max(HNSW_EF_SEARCH, 2 * n_candidates)
    return _full_distances(points, *index.search(queries, n_candidates))


def blocked_torch(points: np.ndarray, queries: np.ndarray, n_candidates: int) -> NeighborCandidates:
    """Products of blocks, merged by topk, on the GPU that torch sees or on the CPU."""
    import torch

    from w2sprobe.devices import full_float32, resolve_device

    device = resolve_device()
    norms = torch.from_numpy(squared_norms(points).astype(np.float32))
    near = np.empty((len(queries), n_candidates), dtype=np.float32)
    rows = np.empty((len(queries), n_candidates), dtype=np.int64)
    with full_float32():
        for start in range(0, len(queries), BLOCK_QUERIES):
            part = slice(start, start + BLOCK_QUERIES)
            block_queries = torch.from_numpy(queries[part]).to(device)
            best_values = torch.empty((len(block_queries), 0), dtype=torch.float32, device=device)
            best_rows = torch.empty((len(block_queries), 0), dtype=torch.int64, device=device)
            for low in range(0, len(points), BLOCK_POINTS):
                block = torch.from_numpy(points[low : low + BLOCK_POINTS]).to(device)
                block_norms = norms[low : low + BLOCK_POINTS].to(device)
                # |x|² - 2 q·x: |q|² is the same for all rows of a query
                values = torch.addmm(block_norms, block_queries, block.T, alpha=-2)
                value, row = values.topk(min(n_candidates, len(block)), largest=False)
                value = torch.cat([best_values, value], dim=1)
                row = torch.cat([best_rows, row + low], dim=1)
                best_values, order = value.topk(min(n_candidates, value.shape[1]), largest=False)
                best_rows = row.gather(1, order)
            near[part], rows[part] = best_values.cpu().numpy(), best_rows.cpu().numpy()
    # addmm adds |x|² as one more term of the sum
    error = product_error(points.shape[1] + 1, UNIT_FLOAT32, rounded_norms=True)
    limit = _largest(near, len(points))
    return NeighborCandidates(near, rows, limit, squared_norms(queries), *error)


def import_faiss() -> Any:
    """Import faiss when it is needed.

    Raises
    ------
    MissingDependency
        It is not installed.

    Notes
    -----
    On macOS the wheels of torch and faiss each bring an OpenMP runtime, and parallel regions of
    FAISS crash once both are loaded (faiss-wheels#73, faiss#2463). One thread is safe there.
    """
    try:
        import faiss
    except ImportError as error:
        raise MissingDependency(
            "faiss is not installed",
            advice="Install w2sprobe[cpu], or w2sprobe[gpu] on a machine with a GPU.",
        ) from error
    if sys.platform == "darwin":
        faiss.omp_set_num_threads(1)
    return faiss


def has_faiss() -> bool:
    """Whether faiss is installed."""
    try:
        import_faiss()
    except MissingDependency:
        return False
    return True


def has_faiss_gpu() -> bool:
    """Whether faiss is installed, built for GPUs, and finds one."""
    if not has_faiss():
        return False
    faiss = import_faiss()
    return hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0


def _on_gpus(
    points: np.ndarray, queries: np.ndarray, n_candidates: int, dtype: np.dtype[Any]
) -> NeighborCandidates:
    if not has_faiss_gpu():
        raise MissingDependency(
            "faiss finds no GPU",
            advice="Install w2sprobe[gpu] on a machine with a GPU, or pass backend='faiss-cpu'.",
        )
    if n_candidates > GPU_MAX_CANDIDATES:
        raise InputError(
            f"{n_candidates} candidates are too many for FAISS on a GPU",
            allowed=f"up to {GPU_MAX_CANDIDATES}",
            advice="Ask for fewer neighbours, or pass backend='torch'.",
        )
    faiss = import_faiss()
    n_gpus = faiss.get_num_gpus()
    stored, searched = points.astype(dtype, copy=False), queries.astype(dtype, copy=False)

    def search(gpu: int, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # points and queries go to the GPU in blocks, so that they may be larger than its memory
        near_and_rows: tuple[np.ndarray, np.ndarray] = faiss.knn_gpu(
            faiss.StandardGpuResources(),
            part,
            stored,
            n_candidates,
            device=gpu,
            vectorsMemoryLimit=GPU_BYTES,
            queriesMemoryLimit=GPU_BYTES,
        )
        return near_and_rows

    parts = [part for part in np.array_split(searched, n_gpus) if len(part)]
    with ThreadPoolExecutor(n_gpus) as pool:
        near, rows = zip(*pool.map(search, range(len(parts)), parts), strict=True)
    return _full_distances(points, np.concatenate(near), np.concatenate(rows))


def _full_distances(points: np.ndarray, near: np.ndarray, rows: np.ndarray) -> NeighborCandidates:
    """Candidates whose `near` are whole squared distances, with norms in float32 as FAISS has."""
    error = product_error(points.shape[1], UNIT_FLOAT32, rounded_norms=True)
    return NeighborCandidates(near, rows, _largest(near, len(points)), np.zeros(len(near)), *error)


def _largest(near: np.ndarray, n_points: int) -> np.ndarray:
    """`limit` of candidates that are the nearest of all points; inf where all are candidates."""
    everything = near.shape[1] >= n_points
    return np.full(len(near), np.inf) if everything else near.max(axis=1)
