"""Exact nearest neighbours in float32, through FAISS on CPU or GPU."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from w2sprobe.errors import MissingDependency, UnknownName
from w2sprobe.probes._checks import check_activations, check_k

# nearest_neighbors, or a function that stands in for it
Search = Callable[..., tuple[np.ndarray, np.ndarray]]
BACKENDS = ("auto", "faiss-cpu", "faiss-gpu")
BLOCK_VALUES = 1 << 24  # values of one block of candidate differences: 64 MB of float32


def nearest_neighbors(
    X: ArrayLike,
    Q: ArrayLike | None = None,
    *,
    k: int,
    backend: str = "auto",
    exclude_self: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """The k rows of X nearest to each query, by Euclidean distance.

    Parameters
    ----------
    X : array_like of float, shape (n, d)
        Finite.
    Q : array_like of float, shape (m, d), optional
        Queries; None searches X in itself.
    k : int, in [1, n], or [1, n - 1] with `exclude_self`
        Neighbours a query.
    backend : {"auto", "faiss-cpu", "faiss-gpu"}
        auto takes the GPU where faiss and the machine have one.
    exclude_self : bool, default False
        Only with Q=None: a row is left out of its own neighbours, by index and not by distance.

    Returns
    -------
    distances : ndarray of float32, shape (m, k)
        Not squared, ascending.
    indices : ndarray of int64, shape (m, k)
        Rows of X; equal distances come in the order of rows.

    Raises
    ------
    InputError
        Shape, width, k out of range, or a value that is not finite.
    UnknownName
        No such backend.
    MissingDependency
        faiss is not installed, or has no GPU support where a GPU is asked for.

    Notes
    -----
    FAISS ranks by |x|² - 2 x·q, in which near rows cancel: X is centred first, a few more than k
    candidates are taken, and their distances computed from differences decide. Among more rows at
    one distance than there are spare candidates, which of them are found is FAISS's choice.
    """
    if backend not in BACKENDS:
        raise UnknownName("backend", backend, BACKENDS)
    points = check_activations(X)
    queries = points if Q is None else check_activations(Q, "Q", points.shape[1])
    own = exclude_self and Q is None
    k = check_k(k, "k", len(points) - own)
    centre = points.mean(axis=0, dtype=np.float64).astype(np.float32)
    points = points - centre
    queries = points if Q is None else queries - centre
    spare = 8  # candidates whose rounded distances may be a shade too large
    found = _search(points, queries, min(len(points), k + own + spare), backend)
    distances = _distances(points, queries, found)
    if own:
        distances[found == np.arange(len(points))[:, None]] = np.inf
    order = np.lexsort((found, distances), axis=1)[:, :k]
    return np.take_along_axis(distances, order, 1), np.take_along_axis(found, order, 1)


def _search(points: np.ndarray, queries: np.ndarray, k: int, backend: str) -> np.ndarray:
    faiss = _import_faiss()
    on_gpu = hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0
    if backend == "faiss-gpu" and not on_gpu:
        raise MissingDependency(
            "faiss finds no GPU",
            advice="Install w2sprobe[gpu] on a machine with a GPU, or pass backend='faiss-cpu'.",
        )
    index = faiss.IndexFlatL2(points.shape[1])
    if on_gpu and backend != "faiss-cpu":
        index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
    index.add(points)
    indices: np.ndarray = index.search(queries, k)[1]
    return indices


def _import_faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MissingDependency(
            "faiss is not installed",
            advice="Install w2sprobe[cpu], or w2sprobe[gpu] on a machine with a GPU.",
        ) from error
    return faiss


def _distances(points: np.ndarray, queries: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Distances of each query to its candidates, from differences, block by block."""
    distances = np.empty(found.shape, dtype=np.float32)
    step = max(1, BLOCK_VALUES // (found.shape[1] * points.shape[1]))
    for start in range(0, len(queries), step):
        rows = slice(start, start + step)
        difference = points[found[rows]] - queries[rows, None, :]
        np.sqrt(np.einsum("mkd,mkd->mk", difference, difference), out=distances[rows])
    return distances
