"""Mass-mean probe: the difference of the weighted class means."""

import numpy as np
from numpy.typing import ArrayLike

from w2sprobe.errors import InputError
from w2sprobe.probes._base import LinearProbe
from w2sprobe.probes._checks import check_activations, check_labels


class MassMeanProbe(LinearProbe):
    """Direction from the mean of class 0 to the mean of class 1.

    Parameters
    ----------
    whiten : bool, default False
        Multiply the direction by the pseudo-inverse of the within-class covariance (linear
        discriminant analysis).

    Attributes
    ----------
    coef_ : ndarray of float64, shape (d,)
    intercept_ : float
        The point half-way between the means has P(label = 1) = 0.5.

    Notes
    -----
    theta = sum(q x) / sum(q) - sum((1 - q) x) / sum(1 - q), q the soft label; Marks & Tegmark,
    "The Geometry of Truth", arXiv 2310.06824, for hard labels.
    """

    def __init__(self, *, whiten: bool = False) -> None:
        self.whiten = whiten

    def fit(self, X: ArrayLike, y: ArrayLike) -> "MassMeanProbe":
        """Compute the class means.

        Parameters
        ----------
        X : array_like of float, shape (n, d)
        y : array_like of float, shape (n,)
            Hard or soft labels in [0, 1].

        Returns
        -------
        MassMeanProbe

        Raises
        ------
        InputError
            Shape, range or a value that is not finite; all labels 0 or all 1.
        """
        points = check_activations(X).astype(np.float64)
        soft = check_labels(y, len(points))
        if not 0 < soft.sum() < len(soft):
            raise InputError(f"all labels are {soft[0]:g}", allowed="labels of both classes")
        one = soft @ points / soft.sum()
        zero = (1 - soft) @ points / (1 - soft).sum()
        direction = one - zero
        if self.whiten:
            total = np.cov(points, rowvar=False, bias=True)
            share = soft.mean()
            within = np.atleast_2d(total) - share * (1 - share) * np.outer(direction, direction)
            direction = np.linalg.pinv(within, hermitian=True) @ direction
        self.coef_ = direction
        self.intercept_ = float(-direction @ (one + zero) / 2)
        self._set_fitted(points.shape[1])
        return self
