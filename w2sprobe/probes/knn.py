"""kNN probe: the mean soft label of the nearest rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from w2sprobe.checks import (
    Preprocess,
    check_activations,
    check_k,
    check_keep,
    check_label_vectors,
    most_neighbors,
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
# empty arrays mean "not given": compiled loops take no None
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
    """Mean soft labels of the k nearest rows, for every k and label vector, from one search.

    Distances are Euclidean; of equally distant rows the lower one comes first.

    Parameters
    ----------
    X : array_like of float, shape (n, d)
        Activations, finite.
    y : array_like of float, shape (n,) or (v, n)
        Soft labels, P(label = 1), in [0, 1]; several vectors share the search.
    Q : array_like of float, shape (m, d), optional
        Queries. None: the rows of X, each left out of its own neighbours.
    ks : sequence of int
        Each from 1 to the number of kept rows, less those that a query leaves out.
    include_self : bool, default False
        Only with Q=None: a row counts as its own neighbour, as in the source experiments.
    groups : array_like, shape (n,), optional
        Only with Q=None: rows of the same value, such as copies of a text, are not one another's
        neighbours.
    preprocess : {"none", "center", "standardize"}, default "none"
        Learnt from all rows of X; "center" changes no neighbour.
    search : callable, default nearest_neighbors
        Finds the neighbours; `w2sprobe.searches.StoredSearch` keeps them in a store.
    keep : array_like of bool, shape (n,) or (v, n), optional
        Rows that may be neighbours, for each label vector; the others still get a prediction.

    Returns
    -------
    ndarray of float64, shape (len(ks), m), or (v, len(ks), m)
        In [0, 1], in the order of `ks`.

    Raises
    ------
    InputError
        Shape, range or a value that is not finite; `groups` beside `include_self` or queries.
    UnknownName
        No such preprocessing.
    """
    points = check_activations(X)
    soft, several = check_label_vectors(y, len(points))
    if groups is not None and (include_self or Q is not None):
        raise InputError("groups are given beside include_self or Q", allowed="groups with neither")
    leave_out = Q is None and not include_self
    group = optional_groups(groups, len(points))
    kept = None if keep is None else check_keep(keep, soft.shape)
    counts = _check_ks(ks, len(points), kept, group, itself=leave_out)
    preprocessing = Preprocessing.fit(points, preprocess)
    queries = None if Q is None else preprocessing.apply(check_activations(Q, "Q", points.shape[1]))
    knn = _KNN(preprocessing.apply(points), queries, soft, kept, group, leave_out, search)
    order = np.argsort(counts, kind="stable")
    votes = np.empty((len(soft), len(counts), len(knn.query_points)))
    votes[:, order] = knn.votes(np.array(counts)[order])
    votes = votes.clip(0, 1)  # sums of ones may round past their count
    return votes if several else votes[0]


@dataclass(frozen=True)
class _KNN:
    """Checked arguments of `knn_path`; n rows, m queries, v label vectors."""

    points: np.ndarray  # (n, d), preprocessed
    queries: np.ndarray | None  # (m, d); None: the rows themselves
    soft: np.ndarray  # (v, n)
    kept: np.ndarray | None  # (v, n)
    group: np.ndarray | None  # (n,)
    leave_out: bool  # whether a query leaves out itself and its group
    search: Search

    @property
    def query_points(self) -> np.ndarray:
        return self.points if self.queries is None else self.queries

    def votes(self, ks: np.ndarray) -> np.ndarray:
        """Mean labels of the k nearest rows that vote, for ascending ks: (v, len(ks), m)."""
        k, n_out = int(ks[-1]), n_left_out(self.group, itself=self.leave_out)
        if self.kept is not None:  # more neighbours, as some of them are not kept
            k = min(len(self.points) - n_out, _k_beyond(k, self.kept))
        neighbors = self.search(
            self.points, self.queries, k=k, exclude_self=self.leave_out, groups=self.group
        ).indices
        voting = ALL_VOTE if self.kept is None else np.ascontiguousarray(self.kept)
        votes, short = _vote(neighbors, Voters(self.soft, voting, NO_GROUP), NO_GROUP, ks)
        if self.kept is not None:
            # queries that still have too few kept neighbours are searched among the kept rows
            for vector in np.flatnonzero(short.any(axis=1)).tolist():
                few = np.flatnonzero(short[vector])
                rows = np.flatnonzero(self.kept[vector])
                votes[vector][:, few] = self._votes_among(rows, few, vector, ks)
        return votes

    def _votes_among(
        self, rows: np.ndarray, few: np.ndarray, vector: int, ks: np.ndarray
    ) -> np.ndarray:
        """Votes of a few queries for one label vector, searched among some rows: (len(ks), few)."""
        n_out = n_left_out(self.group, itself=self.leave_out)
        k = min(int(ks[-1]) + n_out, len(rows))
        neighbors = self.search(self.points[rows], self.query_points[few], k=k).indices
        row_group = query_group = NO_GROUP
        if self.leave_out:
            # this search knows no groups: the vote leaves out the query's own
            group_of = np.arange(len(self.points)) if self.group is None else self.group
            row_group, query_group = group_of[rows], group_of[few]
        voters = Voters(self.soft[vector : vector + 1, rows], ALL_VOTE, row_group)
        votes: np.ndarray = _vote(neighbors, voters, query_group, ks)[0][0]
        return votes


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
    """Out-of-fold predictions for every k and label vector, from one search per fold.

    All searches together cost about as much as one leave-one-out search.

    Parameters
    ----------
    X, y, ks, search, keep
        As in `knn_path`, with neighbours from the other folds only.
    cv : int, default 5, in [2, n]
        Folds; the same as in `logistic_cross_fit`, whatever `keep` is.
    groups : array_like, shape (n,), optional
        Rows of the same value are in the same fold.
    preprocess : {"none", "center", "standardize"}, default "none"
        Learnt from the other folds.

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
    """
    points = check_activations(X)
    soft, several = check_label_vectors(y, len(points))
    kept = None if keep is None else check_keep(keep, soft.shape)
    folds = folds_of(len(points), cv, optional_groups(groups, len(points)))
    outside = f"the rows outside the largest of {cv} folds"
    counts = _check_ks(ks, len(points), kept, folds, itself=True, candidates=outside)
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


def _check_ks(
    ks: Sequence[int],
    n: int,
    keep: np.ndarray | None,
    groups: np.ndarray | None,
    *,
    itself: bool,
    candidates: str = "",
) -> list[int]:
    """Return ks that every query has neighbours for; messages name the candidates."""
    if np.ndim(ks) != 1:
        raise InputError(f"ks is {ks!r}", allowed="a sequence, such as [1, 10, 50]")
    if not len(ks):
        raise InputError("ks is empty", allowed="at least one k")
    max_k = n - n_left_out(groups, itself=itself)
    if keep is not None:
        by_vector = [most_neighbors(mask, groups, itself=itself) for mask in keep]
        worst = int(np.argmin(by_vector))
        max_k = by_vector[worst]
        candidates = f"the rows that label vector {worst} keeps for every query"
    return [check_k(k, "k", max_k, candidates) for k in ks]


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
        points, soft = self._begin_fit(X, y)
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

    def _predict_p(self, X: np.ndarray) -> np.ndarray:
        queries = self._preprocessing.apply(X)
        votes: np.ndarray = knn_path(
            self._X, self._y, queries, ks=[self.n_neighbors], search=self.search
        )[0]
        return votes
