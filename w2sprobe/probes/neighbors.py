"""Exact nearest neighbours by any backend, and approximate ones with a measured recall."""

import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import xxhash
from numpy.typing import ArrayLike

from w2sprobe.checks import check_activations, check_groups, check_k
from w2sprobe.errors import InputError, UnknownName
from w2sprobe.probes import backends
from w2sprobe.probes._exact import Frame, nearest_of, search_again
from w2sprobe.probes._kernels import Copies, expand_copies
from w2sprobe.probes._symmetric import symmetric_candidates
from w2sprobe.probes._threads import in_parts

SPARE = 24  # candidates beyond k, so that the proof seldom fails
RECALL_QUERIES = 256  # on which the recall of an approximate search is measured

EXACT: dict[str, backends.Backend] = {
    "symmetric": lambda points, _, n_candidates: symmetric_candidates(points, n_candidates),
    "faiss-cpu": backends.faiss_cpu,
    "faiss-gpu": backends.faiss_gpu,
    "torch": backends.blocked_torch,
}
APPROXIMATE: dict[str, backends.Backend] = {
    "faiss-ivf": backends.faiss_ivf,
    "faiss-hnsw": backends.faiss_hnsw,
    "faiss-gpu-float16": backends.faiss_gpu_float16,
}
BACKENDS = ("auto", *EXACT, *APPROXIMATE)


class _DistancesAndIndices(NamedTuple):
    distances: np.ndarray
    indices: np.ndarray


class Neighbors(_DistancesAndIndices):
    """The pair `(distances, indices)`, with attributes that say how it was searched.

    Attributes
    ----------
    distances : ndarray of float32, shape (m, k)
        Euclidean, ascending.
    indices : ndarray of int64, shape (m, k)
    recall : float
        Share of the true neighbours among these, in [0, 1]: 1 by proof for an exact backend,
        measured on a sample of the queries for an approximate one.
    n_searched_again : int
        Distinct queries that were searched again in float64, as the proof failed for them.
    """

    backend: str
    recall: float
    n_searched_again: int

    def __new__(
        cls,
        distances: np.ndarray,
        indices: np.ndarray,
        *,
        backend: str = "custom",
        recall: float = 1.0,
        n_searched_again: int = 0,
    ) -> "Neighbors":
        """Make the pair; attributes are not part of the tuple, so that it unpacks to two arrays."""
        pair = super().__new__(cls, distances, indices)
        pair.backend, pair.recall, pair.n_searched_again = backend, recall, n_searched_again
        return pair

    def first(self, k: int) -> "Neighbors":
        """The k nearest of these, with the same attributes."""
        return Neighbors(self.distances[:, :k], self.indices[:, :k], **vars(self))


# the signature of nearest_neighbors, for functions that take its place
Search = Callable[..., Neighbors]


def nearest_neighbors(
    X: ArrayLike,
    Q: ArrayLike | None = None,
    *,
    k: int,
    backend: str = "auto",
    exclude_self: bool = False,
    groups: ArrayLike | None = None,
) -> Neighbors:
    """The k rows of X nearest to each query, by Euclidean distance.

    Parameters
    ----------
    X : array_like of float, shape (n, d)
        Finite; used as float32.
    Q : array_like of float, shape (m, d), optional
        Queries; None searches X in itself.
    k : int
        From 1 to n less the rows that a query leaves out.
    backend : str, default "auto"
        Exact: "symmetric" (CPU, only Q=None, half of the products), "faiss-cpu", "faiss-gpu" (all
        GPUs), "torch" (blocked; on the GPU if torch sees one). Approximate, with a measured recall:
        "faiss-ivf", "faiss-hnsw", "faiss-gpu-float16". "auto" takes the fastest exact one here.
    exclude_self : bool, default False
        Only with Q=None: a row is left out of its own neighbours, by index and not by distance.
    groups : array_like, shape (n,), optional
        Only with Q=None: rows of the same value (copies of a text, answers to one question) are
        not one another's neighbours, and no row is its own.

    Returns
    -------
    Neighbors
        A pair (distances, indices), each of shape (m, k), ascending by (distance in float64, row);
        distances are then rounded to float32.

    Raises
    ------
    InputError
        Shape, width, k out of range, a value that is not finite, groups beside queries, or
        "symmetric" with queries.
    UnknownName
        No such backend.
    MissingDependency
        The backend is not installed, or finds no GPU.

    Notes
    -----
    Backends rank by |x|² + |q|² - 2 x·q in float32, which loses digits between near rows. So they
    give more than k candidates, whose distances are computed again in float64 from differences. A
    query whose worst-case rounding error leaves room for a missed neighbour is searched again in
    float64, so that all exact backends return the same neighbours.
    """
    if backend not in BACKENDS:
        raise UnknownName("backend", backend, BACKENDS)
    points = check_activations(X)
    queries = None if Q is None else check_activations(Q, "Q", points.shape[1])
    if queries is not None and backend == "symmetric":
        raise InputError("backend 'symmetric' searches a set in itself", allowed="Q=None")
    if queries is not None and groups is not None:
        raise InputError("groups are given beside Q", allowed="groups with Q=None")
    group = _groups(len(points), groups, exclude_self=exclude_self and queries is None)
    n_left_out = int(np.bincount(group).max()) if len(group) else 0
    k = check_k(k, "k", len(points) - n_left_out)
    if backend == "auto":
        backend = _fastest(k + n_left_out, itself=queries is None)

    # equal rows are searched once and expanded afterwards, so copies never fill up the candidates
    distinct, member = _distinct(points)
    unique_points = points[distinct] if len(distinct) < len(points) else points
    query_points = unique_points if queries is None else queries
    copies = _copies(member, member if queries is None else np.arange(len(queries)), group)
    n_wanted = min(len(unique_points), k + n_left_out)
    frame = Frame.of(unique_points, query_points)
    squared, rows, n_again = _search_distinct(unique_points, query_points, n_wanted, backend, frame)
    all_squared, indices = _all_rows(squared, rows, copies, k)
    recall = 1.0
    if backend in APPROXIMATE:
        sample = np.random.default_rng(0).permutation(len(query_points))[:RECALL_QUERIES]
        exact = search_again(unique_points, query_points[sample], frame, n_wanted)
        squared, rows = squared.copy(), rows.copy()  # `indices` may be `rows` itself
        squared[sample], rows[sample] = exact
        _, true = _all_rows(squared, rows, copies, k)
        recall = _recall(indices, true, np.isin(copies.query, sample))
    distances = np.sqrt(all_squared).astype(np.float32)
    return Neighbors(distances, indices, backend=backend, recall=recall, n_searched_again=n_again)


def _search_distinct(
    points: np.ndarray, queries: np.ndarray, k: int, backend: str, frame: Frame
) -> tuple[np.ndarray, np.ndarray, int]:
    """Squared distances and rows of the k nearest, and how many queries were searched again."""
    framed = frame.apply(points)
    framed_queries = framed if queries is points else frame.apply(queries)
    n_candidates = min(len(points), k + SPARE)
    if backend.startswith("faiss-gpu"):  # fewer spare candidates rather than a refusal
        n_candidates = max(k, min(n_candidates, backends.GPU_MAX_CANDIDATES))
    find = EXACT.get(backend) or APPROXIMATE[backend]
    candidates = find(framed, framed_queries, n_candidates)
    del framed, framed_queries
    squared, rows, proven = nearest_of(points, queries, frame, candidates, k)
    if backend in APPROXIMATE:  # taken without a proof, if there are k of them
        proven = (candidates.rows >= 0).sum(axis=1) >= k
    doubtful = np.flatnonzero(~proven)
    if len(doubtful):
        squared[doubtful], rows[doubtful] = search_again(points, queries[doubtful], frame, k)
    return squared, rows, len(doubtful)


def _distinct(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First row of each distinct value, and for each row the number of its value."""
    numbers: dict[bytes, int] = {}
    member = np.empty(len(points), dtype=np.int64)
    for row, values in enumerate(points):
        member[row] = numbers.setdefault(xxhash.xxh3_128_digest(values.data), len(numbers))
    _, first = np.unique(member, return_index=True)
    return first, member


def _copies(member: np.ndarray, query: np.ndarray, group: np.ndarray) -> Copies:
    """Rows of each distinct value, from the number of each row's value."""
    starts = np.concatenate([[0], np.cumsum(np.bincount(member))])
    return Copies(query, np.argsort(member, kind="stable"), starts, group)


def _all_rows(
    squared: np.ndarray, rows: np.ndarray, copies: Copies, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """From the nearest distinct rows to the k nearest of all rows, without a query's group."""
    if len(copies.starts) == len(copies.members) + 1 and not len(copies.group):
        return squared, rows  # no copies, and nothing left out
    m = len(copies.query)
    all_squared, all_rows = np.empty((m, k)), np.empty((m, k), dtype=np.int64)
    in_parts(expand_copies, m, squared, rows, copies, all_squared, all_rows)
    return all_squared, all_rows


def _groups(n: int, groups: ArrayLike | None, *, exclude_self: bool) -> np.ndarray:
    """Group numbers of the rows; empty where no row is left out."""
    if groups is not None:
        return check_groups(groups, n)
    return np.arange(n) if exclude_self else np.empty(0, dtype=np.int64)


def _recall(indices: np.ndarray, true: np.ndarray, measured: np.ndarray) -> float:
    """Share of the true neighbours of the measured queries that are in `indices`."""
    pairs = zip(indices[measured], true[measured], strict=True)
    hits: int = sum(len(np.intersect1d(*pair)) for pair in pairs)
    return float(hits / (int(measured.sum()) * true.shape[1]))


def _fastest(k: int, *, itself: bool) -> str:
    """The fastest exact backend for k distinct neighbours; imports FAISS only where it may win."""
    import torch

    if torch.cuda.is_available():
        few = k <= backends.GPU_MAX_CANDIDATES
        return "faiss-gpu" if few and backends.has_faiss_gpu() else "torch"
    if itself:
        return "symmetric"
    # on macOS, FAISS beside torch is limited to one thread
    return "torch" if sys.platform == "darwin" or not backends.has_faiss() else "faiss-cpu"
