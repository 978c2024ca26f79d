"""Nearest neighbours: exact, whoever finds them, and how they were found."""

import sys
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import xxhash
from numpy.typing import ArrayLike

from w2sprobe.checks import check_activations, check_groups, check_k
from w2sprobe.errors import InputError, UnknownName
from w2sprobe.probes import backends
from w2sprobe.probes._exact import Frame, expand, nearest_of, search_again
from w2sprobe.probes._symmetric import symmetric_candidates

SPARE = 24  # candidates beyond k, so that rounding seldom leaves a doubt
SAMPLE = 256  # queries on which the recall of an approximate search is measured

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
NOTES = ("backend", "recall", "n_searched_again")
BACKENDS = ("auto", *EXACT, *APPROXIMATE)


class _Pair(NamedTuple):
    distances: np.ndarray
    indices: np.ndarray


class Neighbors(_Pair):
    """`(distances, indices)`, and how they were found.

    Attributes
    ----------
    distances : ndarray of float32, shape (m, k)
        Euclidean, ascending.
    indices : ndarray of int64, shape (m, k)
    backend : str
        Who found them.
    recall : float
        Share of the true neighbours among them, in [0, 1]: 1 by proof for an exact backend,
        measured on a sample of the queries for an approximate one.
    n_searched_again : int
        Distinct queries whose float32 distances left a doubt, so that they were searched again
        in float64.
    """

    backend: str
    recall: float
    n_searched_again: int

    def __new__(
        cls,
        distances: np.ndarray,
        indices: np.ndarray,
        *,
        backend: str,
        recall: float = 1.0,
        n_searched_again: int = 0,
    ) -> "Neighbors":
        """Attributes beside the pair; they are no part of the tuple."""
        pair = super().__new__(cls, distances, indices)
        pair.backend, pair.recall, pair.n_searched_again = backend, recall, n_searched_again
        return pair

    def __reduce__(self) -> tuple[object, ...]:
        attributes = {name: getattr(self, name) for name in NOTES}
        return partial(Neighbors, **attributes), tuple(self)

    def first(self, k: int) -> "Neighbors":
        """The k nearest of them."""
        attributes = {name: getattr(self, name) for name in NOTES}
        return Neighbors(self.distances[:, :k], self.indices[:, :k], **attributes)


# nearest_neighbors, or a function that stands in for it
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
    k : int, from 1 to n less the rows that a query leaves out
        Neighbours a query.
    backend : str, default "auto"
        Exact: "symmetric" (CPU, X in itself, half of the products), "faiss-cpu", "faiss-gpu" (every
        GPU), "torch" (blocked; its GPU where it has one). Approximate, with a measured recall:
        "faiss-ivf", "faiss-hnsw", "faiss-gpu-float16". "auto" takes the fastest exact one here.
    exclude_self : bool, default False
        Only with Q=None: a row is left out of its own neighbours, by index and not by distance.
    groups : array_like, shape (n,), optional
        Only with Q=None: rows of one value (copies of a text, answers to one question) are not
        one another's neighbours; a row is of its own group.

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
    Backends rank by |x|² + |q|² - 2 x·q in float32, in which near rows cancel. They therefore give
    a few candidates more than k on centred rows; distances are computed anew in float64 from
    differences, and a query whose worst-case rounding error leaves room for a missed neighbour is
    searched again in float64: all exact backends return the same neighbours. Equal rows are
    searched once and then counted out, so that any number of copies keeps its order.
    """
    if backend not in BACKENDS:
        raise UnknownName("backend", backend, BACKENDS)
    points = check_activations(X)
    queries = points if Q is None else check_activations(Q, "Q", points.shape[1])
    if Q is not None and backend == "symmetric":
        raise InputError("backend 'symmetric' searches a set in itself", allowed="Q=None")
    if Q is not None and groups is not None:
        raise InputError("groups are given beside Q", allowed="groups with Q=None")
    group = _groups(len(points), groups, exclude_self=exclude_self and Q is None)
    largest = int(np.bincount(group).max()) if len(group) else 0
    k = check_k(k, "k", len(points) - largest)
    chosen = _fastest(k + largest, itself=Q is None) if backend == "auto" else backend

    distinct, member = _distinct(points)
    known = points[distinct] if len(distinct) < len(points) else points
    asked = known if Q is None else queries
    n_wanted = min(len(known), k + largest)
    frame = Frame.of(known, asked)
    squared, rows, n_again = _search(known, asked, n_wanted, chosen, frame)
    query = member if Q is None else np.arange(len(queries))
    counted = partial(_count_out, query=query, member=member, group=group, k=k)
    distances, indices = counted(squared, rows)
    recall = 1.0
    if chosen in APPROXIMATE:
        sample = np.random.default_rng(0).permutation(len(asked))[:SAMPLE]
        true = squared.copy(), rows.copy()
        true[0][sample], true[1][sample] = search_again(known, asked[sample], frame, n_wanted)
        recall = _recall(indices, counted(*true)[1], np.isin(query, sample))
    return Neighbors(
        np.sqrt(distances).astype(np.float32),
        indices,
        backend=chosen,
        recall=recall,
        n_searched_again=n_again,
    )


def _search(
    points: np.ndarray, queries: np.ndarray, k: int, backend: str, frame: Frame
) -> tuple[np.ndarray, np.ndarray, int]:
    """Squared distances, rows, and how many queries were searched again."""
    moved = frame.apply(points)
    moved_queries = moved if queries is points else frame.apply(queries)
    find = EXACT.get(backend) or APPROXIMATE[backend]
    n_candidates = min(len(points), k + SPARE)
    if backend.startswith("faiss-gpu"):  # rather a doubt more than a refusal
        n_candidates = max(k, min(n_candidates, backends.GPU_MOST))
    found = find(moved, moved_queries, n_candidates)
    del moved, moved_queries
    squared, rows, proven = nearest_of(points, queries, frame, found, k)
    if backend in APPROXIMATE:  # as they are, unless there are too few
        proven = (found.rows >= 0).sum(axis=1) >= k
    doubtful = np.flatnonzero(~proven)
    if len(doubtful):
        squared[doubtful], rows[doubtful] = search_again(points, queries[doubtful], frame, k)
    return squared, rows, len(doubtful)


def _count_out(
    squared: np.ndarray,
    rows: np.ndarray,
    *,
    query: np.ndarray,
    member: np.ndarray,
    group: np.ndarray,
    k: int,
) -> tuple[np.ndarray, np.ndarray]:
    """From distinct rows to all rows, without those of a query's group."""
    counts = np.bincount(member)
    if len(counts) == len(member) and not len(group):
        return squared, rows
    members = np.argsort(member, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)])
    return expand(squared, rows, query, members, starts, group, k)


def _recall(found: np.ndarray, true: np.ndarray, measured: np.ndarray) -> float:
    """Share of the true neighbours of the measured queries that were found."""
    pairs = zip(found[measured], true[measured], strict=True)
    hits: int = sum(len(np.intersect1d(*pair)) for pair in pairs)
    return float(hits / (int(measured.sum()) * true.shape[1]))


def _fastest(k: int, *, itself: bool) -> str:
    """The exact backend for k distinct neighbours; FAISS is imported only where it may be taken."""
    import torch

    if torch.cuda.is_available():
        return "faiss-gpu" if k <= backends.GPU_MOST and backends.has_faiss_gpu() else "torch"
    if itself:
        return "symmetric"
    # beside torch, FAISS has one thread on macOS
    return "torch" if sys.platform == "darwin" or not backends.has_faiss() else "faiss-cpu"


def _distinct(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First rows of each value, and for each row the number of its value."""
    numbers: dict[bytes, int] = {}
    member = np.empty(len(points), dtype=np.int64)
    for row, values in enumerate(points):
        member[row] = numbers.setdefault(xxhash.xxh3_128_digest(values.data), len(numbers))
    _, first = np.unique(member, return_index=True)
    return first, member


def _groups(n: int, groups: ArrayLike | None, *, exclude_self: bool) -> np.ndarray:
    """Group numbers of the rows; empty where no row is left out."""
    if groups is not None:
        return check_groups(groups, n)
    return np.arange(n) if exclude_self else np.empty(0, dtype=np.int64)
