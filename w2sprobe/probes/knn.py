"""kNN probe: the mean soft label of the nearest rows."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from w2sprobe.checks import (
    check_activations,
    check_k,
    check_labels,
    n_left_out,
    optional_groups,
)
from w2sprobe.errors import InputError
from w2sprobe.folds import FOLDS, folds_of
from w2sprobe.probes.estimator import ProbeEstimator, check_fitted, two_columns
from w2sprobe.probes.neighbors import Search, nearest_neighbors
from w2sprobe.probes.preprocess import Preprocess, Preprocessing


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
) -> np.ndarray:
    """Soft votes of the k nearest rows, for every k, from one search.

    Parameters
    ----------
    X : array_like of float, shape (n, d)
        Activations, finite.
    y : array_like of float, shape (n,)
        Soft labels, P(label = 1), in [0, 1].
    Q : array_like of float, shape (m, d), optional
        Queries. None asks about the rows of X, each leaving itself out.
    ks : sequence of int, each from 1 to n less the rows that a query leaves out
        Results follow this order.
    include_self : bool, default False
        Only with Q=None: a row counts as its own neighbour, as in the source experiments.
    groups : array_like, shape (n,), optional
        Only with Q=None: a row leaves out all rows of its value here, such as copies of its text.
    preprocess : {"none", "center", "standardize"}, default "none"
        Learnt from X; "center" moves no neighbour.
    search : callable, default nearest_neighbors
        Finds the neighbours; `w2sprobe.searches.StoredSearch` reads them from a store.

    Returns
    -------
    ndarray of float64, shape (len(ks), m)
        Mean soft label of the k nearest rows, in [0, 1].

    Raises
    ------
    InputError
        Shape, range or a value that is not finite; `groups` beside `include_self` or queries.
    UnknownName
        No such preprocessing.

    Notes
    -----
    Euclidean distance; equal distances keep the lower row. One search at max(ks), then a
    cumulative mean.
    """
    points = check_activations(X)
    soft = check_labels(y, len(points))
    if groups is not None and (include_self or Q is not None):
        raise InputError("groups are given beside include_self or Q", allowed="groups with neither")
    leaves_out = Q is None and not include_self
    together = optional_groups(groups, len(points))
    n_out = n_left_out(together, itself=leaves_out)
    counts = np.array(_check_ks(ks, len(points) - n_out))
    moved = Preprocessing.fit(points, preprocess)
    queries = None if Q is None else moved.apply(check_activations(Q, "Q", points.shape[1]))
    found = search(
        moved.apply(points), queries, k=int(counts.max()), exclude_self=leaves_out, groups=together
    ).indices
    votes = np.empty((len(counts), len(found)))
    total, done = np.zeros(len(found)), 0
    for place in np.argsort(counts, kind="stable"):
        # a running sum over k: no (m, k) array of labels, whatever k is
        for column in range(done, counts[place]):
            total += soft[found[:, column]]
        done = counts[place]
        votes[place] = total / done
    return votes.clip(0, 1)  # sums of ones may round past their count


def knn_cross_fit(
    X: ArrayLike,
    y: ArrayLike,
    *,
    ks: Sequence[int],
    cv: int = FOLDS,
    groups: ArrayLike | None = None,
    preprocess: Preprocess = "none",
    search: Search = nearest_neighbors,
) -> np.ndarray:
    """Out-of-fold votes for every k: each row's neighbours are rows of the other folds.

    Parameters
    ----------
    X, y, search
        As in `knn_path`.
    ks : sequence of int, each from 1 to n less the rows of the largest fold
        Results follow this order.
    cv : int, default 5, in [2, n]
        Folds, the same as those of `logistic_cross_fit`.
    groups : array_like, shape (n,), optional
        Rows of one value stay in one fold.
    preprocess : {"none", "center", "standardize"}, default "none"
        Learnt anew from the other folds.

    Returns
    -------
    ndarray of float64, shape (len(ks), n)
        Mean soft label of the k nearest rows outside the row's fold, in [0, 1].

    Raises
    ------
    InputError
        As in `knn_path`; `cv` is out of range.
    UnknownName
        No such preprocessing.

    Notes
    -----
    One search a fold: together about as much work as one that leaves out single rows, where the
    symmetry of X in itself is of use but all n rows are searched.
    """
    points = check_activations(X)
    soft = check_labels(y, len(points))
    folds = folds_of(len(points), cv, optional_groups(groups, len(points)))
    most = len(points) - n_left_out(folds, itself=True)
    counts = _check_ks(ks, most, f"the rows outside the largest of {cv} folds")
    votes = np.empty((len(counts), len(points)))
    for fold in range(cv):
        out = folds == fold
        votes[:, out] = knn_path(
            points[~out], soft[~out], points[out], ks=counts, preprocess=preprocess, search=search
        )
    return votes


def _check_ks(ks: Sequence[int], most: int, of: str = "") -> list[int]:
    if np.ndim(ks) != 1:
        raise InputError(f"ks is {ks!r}", allowed="a sequence, such as [1, 10, 50]")
    if not len(ks):
        raise InputError("ks is empty", allowed="at least one k")
    return [check_k(k, "k", most, of) for k in ks]


class KNNProbe(ProbeEstimator):
    """Mean soft label of the k nearest training rows.

    Parameters
    ----------
    n_neighbors : int, default 50
        k, at most the number of rows (less those that a row leaves out of its own vote).
    search : callable, default nearest_neighbors
        Finds the neighbours; `w2sprobe.searches.StoredSearch` reads them from a store, and
        `functools.partial(nearest_neighbors, backend=...)` names a backend.
    preprocess : {"none", "center", "standardize"}, default "none"
        Fitted on the training rows.

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
        """Keep the rows.

        Parameters
        ----------
        X : array_like of float, shape (n, d)
        y : array_like of float, shape (n,)
            Hard or soft labels in [0, 1].
        groups : array_like, shape (n,), optional
            Rows of one value do not vote on one another in `predict_train_proba`.

        Returns
        -------
        KNNProbe

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
