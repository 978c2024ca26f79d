"""Who finds candidates: FAISS on GPUs or CPU, a blocked torch search, approximate indexes.

Each backend takes centred float32 points and queries and returns `Candidates`.
"""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from w2sprobe.errors import InputError, MissingDependency
from w2sprobe.probes._exact import Candidates, product_error, squared_norms

UNIT = 2.0**-24  # unit roundoff of float32
GPU_BYTES = 1 << 30  # of points, and of queries, on a GPU at a time
GPU_MOST = 2048  # candidates that FAISS finds on a GPU
BLOCK_QUERIES, BLOCK_POINTS = 2048, 8192  # of the torch search: 64 MB of distances
IVF_PROBED = 16  # lists that are searched of the sqrt(n) there are
HNSW_LINKS, HNSW_EFFORT = 32, 128

Backend = Callable[[np.ndarray, np.ndarray, int], Candidates]


def faiss_cpu(points: np.ndarray, queries: np.ndarray, n_candidates: int) -> Candidates:
    """FAISS's exhaustive search."""
    near, rows = import_faiss().knn(queries, points, n_candidates)
    return _full_distances(points, near, rows)


def faiss_gpu(points: np.ndarray, queries: np.ndarray, n_candidates: int) -> Candidates:
    """FAISS's exhaustive search on every GPU, each with a share of the queries."""
    return _on_gpus(points, queries, n_candidates, np.dtype(np.float32))


def faiss_gpu_float16(points: np.ndarray, queries: np.ndarray, n_candidates: int) -> Candidates:
    """The same on vectors rounded to float16: half the memory, no longer exact."""
    # of coordinates of about 2**40, which float16 does not hold: the largest becomes 256
    largest = max(np.abs(points).max(), np.abs(queries).max())
    down = np.float32(256 / largest if largest else 1)
    return _on_gpus(points * down, queries * down, n_candidates, np.dtype(np.float16))


def faiss_ivf(points: np.ndarray, queries: np.ndarray, n_candidates: int) -> Candidates:
    """The lists of the nearest cluster centres; approximate."""
    faiss = import_faiss()
    n_lists = max(1, round(len(points) ** 0.5))
    index = faiss.index_factory(points.shape[1], f"IVF{n_lists},Flat")
    index.cp.min_points_per_centroid = 1  # no advice on stdout about small sets
    index.train(points)
    index.add(points)
    index.nprobe = IVF_PROBED
    return _full_distances(points, *index.search(queries, n_candidates))


def faiss_hnsw(points: np.ndarray, queries: np.ndarray, n_candidates: int) -> Candidates:
    """A walk on a navigable graph; approximate."""
    faiss = import_faiss()
    index = faiss.IndexHNSWFlat(points.shape[1], HNSW_LINKS)
    index.add(points)
    index.hnsw.efSearch = max(HNSW_EFFORT, 2 * n_candidates)
    return _full_distances(points, *index.search(queries, n_candidates))


def blocked_torch(points: np.ndarray, queries: np.ndarray, n_candidates: int) -> Candidates:
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
            asked = torch.from_numpy(queries[part]).to(device)
            best: tuple[torch.Tensor, torch.Tensor] | None = None
            for low in range(0, len(points), BLOCK_POINTS):
                block = torch.from_numpy(points[low : low + BLOCK_POINTS]).to(device)
                offsets = norms[low : low + BLOCK_POINTS].to(device)
                values = torch.addmm(offsets, asked, block.T, alpha=-2)
                value, row = values.topk(min(n_candidates, len(block)), largest=False)
                row += low
                if best is not None:
                    value, row = torch.cat([best[0], value], 1), torch.cat([best[1], row], 1)
                    value, order = value.topk(min(n_candidates, value.shape[1]), largest=False)
                    row = row.gather(1, order)
                best = value, row
            assert best is not None  # noqa: S101 - there are points
            near[part], rows[part] = best[0].cpu().numpy(), best[1].cpu().numpy()
    # |x|² is one more term of the sum
    bound = product_error(points.shape[1] + 1, UNIT, rounded_norms=True)
    limit = _farthest(near, len(points))
    return Candidates(near, rows, limit, squared_norms(queries), *bound)


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
) -> Candidates:
    if not has_faiss_gpu():
        raise MissingDependency(
            "faiss finds no GPU",
            advice="Install w2sprobe[gpu] on a machine with a GPU, or pass backend='faiss-cpu'.",
        )
    if n_candidates > GPU_MOST:
        raise InputError(
            f"{n_candidates} candidates are too many for FAISS on a GPU",
            allowed=f"up to {GPU_MOST}",
            advice="Ask for fewer neighbours, or pass backend='torch'.",
        )
    faiss = import_faiss()
    n_gpus = faiss.get_num_gpus()
    stored, asked = points.astype(dtype, copy=False), queries.astype(dtype, copy=False)

    def search(gpu: int, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # points and queries go to the GPU in blocks, so that they may be larger than its memory
        found: tuple[np.ndarray, np.ndarray] = faiss.knn_gpu(
            faiss.StandardGpuResources(),
            part,
            stored,
            n_candidates,
            device=gpu,
            vectorsMemoryLimit=GPU_BYTES,
            queriesMemoryLimit=GPU_BYTES,
        )
        return found

    parts = [part for part in np.array_split(asked, n_gpus) if len(part)]
    with ThreadPoolExecutor(n_gpus) as pool:
        found = list(pool.map(search, range(len(parts)), parts))
    return _full_distances(points, *(np.concatenate(column) for column in zip(*found, strict=True)))


def _full_distances(points: np.ndarray, near: np.ndarray, rows: np.ndarray) -> Candidates:
    """Candidates whose `near` are whole squared distances, FAISS's float32 norms included."""
    bound = product_error(points.shape[1], UNIT, rounded_norms=True)
    limit = _farthest(near, len(points))
    return Candidates(near, rows, limit, np.zeros(len(near)), *bound)


def _farthest(near: np.ndarray, n_points: int) -> np.ndarray:
    """The limit of candidates that are the nearest of all points."""
    everything = near.shape[1] >= n_points
    return np.full(len(near), np.inf) if everything else near.max(axis=1)
