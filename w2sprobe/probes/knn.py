"""kNN probe: the mean soft label of the nearest rows."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from w2sprobe.checks import (
    Preprocess,
    check_activations,
    check_k,
    check_keep,
    check_label_vectors,
    n_left_out,
    optional_groups,
)
from w2sprobe.errors import InputError
from w2sprobe.folds import FOLDS, folds_of
from w2sprobe.probes._kernels import Voters, vote
from w2sprobe.probes._threads import in_parts
from w2sprobe.probes.estimator import ProbeEstimator, check_fitted, two_columns
from w2sprobe.probes.neighbors import Search, nearest_neighbors
from w2sprobe.probes.preprocess import Preprocessing

KS = (5, 10, 20, 50, 100, 200, 400)  # default grid, for a few hundred rows and more
NO_GROUP = np.empty(0, dtype=np.int64)
ALL_VOTE = np.empty((0, 0), dtype=bool)


def knn_path(
    X: ArrayLike,
    y: ArrayLike,
    Q: ArrayLike | None = None,
    *,
    ks: Sequence[int],
    include_self: bool = False,
    groups: ArrayLike | None = None,
    preprocess: Preprocess = "none",
    search: Search = nearest_neighbors,
    keep: ArrayLike | None = None,
) -> np.ndarray:
    """Soft votes of the k nearest rows, for every k and label vector, from one search.

    Parameters
    ----------
    X : array_like of float, shape (n, d)
        Activations, finite.
    y : array_like of float, shape (n,) or (v, n)
        Soft labels, P(label = 1), in [0, 1]; several vectors share the search.
    Q : array_like of float, shape (m, d), optional
        Queries. None asks about the rows of X, each leaving itself out.
    ks : sequence of int
        Each from 1 to the number of kept rows, less those that a query leaves out. Results follow
        this order.
    include_self : bool, default False
        Only with Q=None: a row counts as its own neighbour, as in the source experiments.
    groups : array_like, shape (n,), optional
        Only with Q=None: rows of the same value, such as copies of a text, do not vote on one
        another.
    preprocess : {"none", "center", "standardize"}, default "none"
        Learnt from all rows of X; "center" changes no neighbour.
    search : callable, default nearest_neighbors
        Finds the neighbours; `w2sprobe.searches.StoredSearch` keeps them in a store.
    keep : array_like of bool, shape (n,) or (v, n), optional
        Rows that may vote, for each label vector; the others still get a prediction. Votes are
        those of a search among the kept rows alone.

    Returns
    -------
    ndarray of float64, shape (len(ks), m), or (v, len(ks), m)
        Mean soft label of the k nearest rows, in [0, 1].

    Raises
    ------
    InputError
        Shape, range or a value that is not finite; `groups` beside `include_self` or queries.
    UnknownName
        No such preprocessing.

    Notes
    -----
    Euclidean distance; of equal distances the lower row comes first. One search, then a running
    mean over neighbours. With `keep` the search goes somewhat beyond max(ks); a query that still
    has too few kept neighbours for a label vector is searched again among that vector's rows.
    """
    points = check_activations(X)
    soft, several = check_label_vectors(y, len(points))
    if groups is not None and (include_self or Q is not None):
        raise InputError("groups are given beside include_self or Q", allowed="groups with neither")
    leave_out = Q is None and not include_self
    group = optional_groups(groups, len(points))
    kept = None if keep is None else check_keep(keep, soft.shape)
    checked = _check_ks(ks, *_max_k(len(points), kept, group, itself=leave_out))
    order = np.argsort(checked, kind="stable")
    counts = np.array(checked)[order]
    moved = Preprocessing.fit(points, preprocess)
    queries = None if Q is None else moved.apply(check_activations(Q, "Q", points.shape[1]))
    points = moved.apply(points)
    n_out = n_left_out(group, itself=leave_out)
    k = int(counts[-1])
    k_searched = k if kept is None else min(len(points) - n_out, _k_beyond(k, kept))
    neighbors = search(points, queries, k=k_searched, exclude_self=leave_out, groups=group).indices
    voters = Voters(soft, ALL_VOTE if kept is None else np.ascontiguousarray(kept), NO_GROUP)
    ascending, short = _vote(neighbors, voters, NO_GROUP, counts)
    if kept is not None and short.any():
        asked = points if queries is None else queries
        group_of = np.arange(len(points)) if group is None else group
        for vector in np.flatnonzero(short.any(axis=1)):
            rows, few = np.flatnonzero(kept[vector]), np.flatnonzero(short[vector])
            again = search(points[rows], asked[few], k=min(k + n_out, len(rows))).indices
            # this search knows no groups: rows of the query's own are left out by the vote
            own = (group_of[rows], group_of[few]) if leave_out else (NO_GROUP, NO_GROUP)
            voters = Voters(soft[vector : vector + 1, rows], ALL_VOTE, own[0])
            ascending[vector][:, few] = _vote(again, voters, own[1], counts)[0][0]
    votes = np.empty_like(ascending)
    votes[:, order] = ascending
    votes = votes.clip(0, 1)  # sums of ones may round past their count
    return votes if several else votes[0]


def knn_cross_fit(
    X: ArrayLike,
    y: ArrayLike,
    *,
    ks: Sequence[int],
    cv: int = FOLDS,
    groups: ArrayLike | None = None,
    preprocess: Preprocess = "none",
    search: Search = nearest_neighbors,
    keep: ArrayLike | None = None,
) -> np.ndarray:
    """Out-of-fold votes for every k and label vector: only rows of other folds vote.

    Parameters
    ----------
    X, y, search
        As in `knn_path`.
    ks : sequence of int
        Each from 1 to the number of rows that are kept outside every fold. Results follow this
        order.
    cv : int, default 5, in [2, n]
        Folds; the same as in `logistic_cross_fit`.
    groups : array_like, shape (n,), optional
        Rows of the same value are in the same fold.
    preprocess : {"none", "center", "standardize"}, default "none"
        Learnt from the other folds.
    keep : array_like of bool, shape (n,) or (v, n), optional
        As in `knn_path`; folds do not depend on it.

    Returns
    -------
    ndarray of float64, shape (len(ks), n), or (v, len(ks), n)
        Mean soft label of the k nearest rows outside the row's fold, in [0, 1].

    Raises
    ------
    InputError
        As in `knn_path`; `cv` is out of range.
    UnknownName
        No such preprocessing.

    Notes
    -----
    One search per fold. Together they cost about as much as one leave-one-out search, which uses
    the symmetry of distances but searches all n rows.
    """
    points = check_activations(X)
    soft, several = check_label_vectors(y, len(points))
    kept = None if keep is None else check_keep(keep, soft.shape)
    folds = folds_of(len(points), cv, optional_groups(groups, len(points)))
    max_k, of = _max_k(len(points), kept, folds, itself=True)
    counts = _check_ks(ks, max_k, of or f"the rows outside the largest of {cv} folds")
    votes = np.empty((len(soft), len(counts), len(points)))
    for fold in range(cv):
        out = folds == fold
        votes[..., out] = knn_path(
            points[~out],
            soft[:, ~out],
            points[out],
            ks=counts,
            preprocess=preprocess,
            search=search,
            keep=None if kept is None else kept[:, ~out],
        )
    return votes if several else votes[0]


def _vote(
    neighbors: np.ndarray, voters: Voters, own_group: np.ndarray, ks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Votes (v, len(ks), m) of ascending `ks`, and which queries lack voters, (v, m)."""
    votes = np.empty((len(voters.soft), len(ks), len(neighbors)))
    short = np.zeros((len(voters.soft), len(neighbors)), dtype=bool)
    in_parts(vote, len(neighbors), neighbors, voters, own_group, ks, votes, short)
    return votes, short


def _k_beyond(k: int, keep: np.ndarray) -> int:
    """Neighbours to search so that most queries have k kept ones among them; at most 2 k."""
    share = float(keep.mean(axis=1).min())
    # mean plus four standard deviations, as if rows were left out at random
    return min(2 * k, int(np.ceil((k + 4 * np.sqrt(k * (1 - share))) / share)))


def _max_k(
    n: int, keep: np.ndarray | None, groups: np.ndarray | None, *, itself: bool
) -> tuple[int, str]:
    """Largest k that every query has neighbours for; with `keep`, also where it comes from."""
    if keep is None:
        return n - n_left_out(groups, itself=itself), ""
    largest = [
        int(mask.sum())
        - (n_left_out(None if groups is None else groups[mask], itself=itself) if mask.any() else 0)
        for mask in keep
    ]
    worst = int(np.argmin(largest))
    return largest[worst], f"the rows that label vector {worst} keeps for every query"


def _check_ks(ks: Sequence[int], max_k: int, of: str = "") -> list[int]:
    if np.ndim(ks) != 1:
        raise InputError(f"ks is {ks!r}", allowed="a sequence, such as [1, 10, 50]")
    if not len(ks):
        raise InputError("ks is empty", allowed="at least one k")
    return [check_k(k, "k", max_k, of) for k in ks]


class KNNProbe(ProbeEstimator):
    """Mean soft label of the k nearest training rows.

    Parameters
    ----------
    n_neighbors : int, default 50
        k, at most the number of rows (less those that a row leaves out of its own vote).
    search : callable, default nearest_neighbors
        Finds the neighbours. `functools.partial(nearest_neighbors, backend=...)` chooses a backend;
        `w2sprobe.searches.StoredSearch` keeps neighbours in a store.
    preprocess : {"none", "center", "standardize"}, default "none"
        Learnt from the training rows.

    Attributes
    ----------
    n_features_in_ : int
        Width of the activations.
    """

    def __init__(
        self,
        n_neighbors: int = 50,
        search: Search = nearest_neighbors,
        preprocess: Preprocess = "none",
    ) -> None:
        self.n_neighbors = n_neighbors
        self.search = search
        self.preprocess = preprocess

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> "KNNProbe":
        """Store the rows and labels.

        Parameters
        ----------
        X : array_like of float, shape (n, d)
        y : array_like of float, shape (n,)
            Hard or soft labels in [0, 1].
        groups : array_like, shape (n,), optional
            Rows of the same value do not vote on one another in `predict_train_proba`.

        Raises
        ------
        InputError
            Shape, range or a value that is not finite; fewer rows than neighbours.
        UnknownName
            No such preprocessing.
        """
        points, soft = self._start(X, y)
        check_k(self.n_neighbors, "n_neighbors", len(points))
        self._groups = optional_groups(groups, len(points))
        self._preprocessing = Preprocessing.fit(points, self.preprocess)
        self._X, self._y = self._preprocessing.apply(points), soft
        return self

    def predict_train_proba(self, *, include_self: bool = False) -> np.ndarray:
        """Predictions for the rows it was fitted on.

        Parameters
        ----------
        include_self : bool, default False
            Count a row, and its group, among its own neighbours, as in the source experiments.

        Returns
        -------
        ndarray of float64, shape (n, 2)

        Raises
        ------
        InputError
            Not fitted, or too few rows outside a row's group.
        """
        check_fitted(self)
        votes = knn_path(
            self._X,
            self._y,
            ks=[self.n_neighbors],
            include_self=include_self,
            groups=None if include_self else self._groups,
            search=self.search,
        )
        return two_columns(votes[0])

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_X")

    def _votes(self, X: np.ndarray) -> np.ndarray:
        queries = self._preprocessing.apply(X)
        votes: np.ndarray = knn_path(
            self._X, self._y, queries, ks=[self.n_neighbors], search=self.search
        )[0]
        return votes
