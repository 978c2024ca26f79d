"""kNN probe: the mean soft label of the nearest rows."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from w2sprobe.errors import InputError
from w2sprobe.probes._base import ProbeEstimator, two_columns
from w2sprobe.probes._checks import check_activations, check_k, check_labels
from w2sprobe.probes.neighbors import Search, nearest_neighbors


def knn_path(
    X: ArrayLike,
    y: ArrayLike,
    Q: ArrayLike | None = None,
    *,
    ks: Sequence[int],
    include_self: bool = False,
    search: Search = nearest_neighbors,
) -> np.ndarray:
    """Soft votes of the k nearest rows, for every k, from one search.

    Parameters
    ----------
    X : array_like of float, shape (n, d)
        Activations, finite. Neither centred nor scaled for the vote.
    y : array_like of float, shape (n,)
        Soft labels, P(label = 1), in [0, 1].
    Q : array_like of float, shape (m, d), optional
        Queries. None asks about the rows of X, each leaving itself out.
    ks : sequence of int, each in [1, n], or [1, n - 1] where rows leave themselves out
        Results follow this order.
    include_self : bool, default False
        Only with Q=None: a row counts as its own neighbour, as in the source experiments.
    search : callable, default nearest_neighbors
        Finds the neighbours; `w2sprobe.searches.StoredSearch` reads them from a store.

    Returns
    -------
    ndarray of float64, shape (len(ks), m)
        Mean soft label of the k nearest rows, in [0, 1].

    Raises
    ------
    InputError
        Shape, range or a value that is not finite.

    Notes
    -----
    Euclidean distance in float32; equal distances keep the lower row. One search at max(ks), then
    a cumulative mean.
    """
    points = check_activations(X)
    soft = check_labels(y, len(points))
    leaves_out = Q is None and not include_self
    if not len(ks):
        raise InputError("ks is empty", allowed="at least one k")
    counts = np.array([check_k(k, "k", len(points) - leaves_out) for k in ks])
    _, found = search(points, Q, k=int(counts.max()), exclude_self=leaves_out)
    sums = np.cumsum(soft[found], axis=1)
    votes: np.ndarray = sums[:, counts - 1].T / counts[:, None]
    return votes.clip(0, 1)  # sums of ones may round past their count


class KNNProbe(ProbeEstimator):
    """Mean soft label of the k nearest training rows.

    Parameters
    ----------
    n_neighbors : int, default 50
        k, at most the number of rows (one fewer where rows leave themselves out).
    search : callable, default nearest_neighbors
        Finds the neighbours; `w2sprobe.searches.StoredSearch` reads them from a store.

    Attributes
    ----------
    n_features_in_ : int
        Width of the activations.
    """

    def __init__(self, n_neighbors: int = 50, search: Search = nearest_neighbors) -> None:
        self.n_neighbors = n_neighbors
        self.search = search

    def fit(self, X: ArrayLike, y: ArrayLike) -> "KNNProbe":
        """Keep the rows.

        Parameters
        ----------
        X : array_like of float, shape (n, d)
        y : array_like of float, shape (n,)
            Hard or soft labels in [0, 1].

        Returns
        -------
        KNNProbe

        Raises
        ------
        InputError
            Shape, range or a value that is not finite; fewer rows than neighbours.
        """
        points = check_activations(X)
        soft = check_labels(y, len(points))
        check_k(self.n_neighbors, "n_neighbors", len(points))
        self._X, self._y = points, soft
        self._set_fitted(points.shape[1])
        return self

    def predict_train_proba(self, *, include_self: bool = False) -> np.ndarray:
        """Predictions for the rows it was fitted on.

        Parameters
        ----------
        include_self : bool, default False
            Count a row among its own neighbours, as in the source experiments.

        Returns
        -------
        ndarray of float64, shape (n, 2)

        Raises
        ------
        InputError
            Not fitted.
        """
        self._check_fitted()
        votes = knn_path(
            self._X,
            self._y,
            ks=[self.n_neighbors],
            include_self=include_self,
            search=self.search,
        )
        return two_columns(votes[0])

    def _votes(self, Q: np.ndarray) -> np.ndarray:
        votes: np.ndarray = knn_path(
            self._X, self._y, Q, ks=[self.n_neighbors], search=self.search
        )[0]
        return votes
