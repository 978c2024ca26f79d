"""L2 logistic regression on soft labels, a whole path of penalties from one set-up."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning

from w2sprobe.errors import InputError
from w2sprobe.probes._base import LinearProbe
from w2sprobe.probes._checks import check_activations, check_labels

TOLERANCE = 1e-6  # of the gradient's norm
MAX_ITERATIONS = 100
SHRINK, ENOUGH = 0.5, 1e-4  # of the line search (Armijo)


@dataclass(frozen=True)
class _Fit:
    """One minimum, in the coordinates of the centred data."""

    weights: np.ndarray
    intercept: float
    n_iter: int
    gradient_norm: float


def logistic_path(
    X: ArrayLike, y: ArrayLike, *, l2s: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Logistic regression for every penalty.

    Parameters
    ----------
    X : array_like of float, shape (n, d)
        Activations, finite. Neither centred nor scaled for the penalty.
    y : array_like of float, shape (n,)
        Soft labels, P(label = 1), in [0, 1].
    l2s : sequence of float, each above 0
        Results follow this order.

    Returns
    -------
    coef : ndarray of float64, shape (len(l2s), d)
    intercept : ndarray of float64, shape (len(l2s),)

    Raises
    ------
    InputError
        Shape, range or a value that is not finite; labels that are all 0 or all 1.

    Warns
    -----
    ConvergenceWarning
        A gradient norm above 1e-6.

    Notes
    -----
    Minimises mean BCE(sigmoid(X w + b), y) + l2 |w|², b free, by Newton's method in float64 with
    an Armijo line search, each penalty starting from the next larger one. With n < d the weights
    lie in the row space of the centred X, so the problem is solved in its n coordinates. The
    objective is that of EleutherAI's weak-to-strong code; scikit-learn's C is 1 / (2 n l2).
    """
    fits, basis, centre = _solve_path(X, y, l2s)
    coef = np.stack([fit.weights if basis is None else basis @ fit.weights for fit in fits])
    return coef, np.array([fit.intercept for fit in fits]) - coef @ centre


class LogisticProbe(LinearProbe):
    """Logistic regression on soft labels with an L2 penalty.

    Parameters
    ----------
    l2 : float, default 1e-2
        Weight of |w|² beside the mean loss; above 0.

    Attributes
    ----------
    coef_ : ndarray of float64, shape (d,)
    intercept_ : float
    n_iter_ : int
        Newton steps.
    gradient_norm_ : float
        At the solution.
    converged_ : bool
        Whether it is at most 1e-6.
    """

    def __init__(self, l2: float = 1e-2) -> None:
        self.l2 = l2

    def fit(self, X: ArrayLike, y: ArrayLike) -> "LogisticProbe":
        """Minimise the objective of `logistic_path`.

        Parameters
        ----------
        X : array_like of float, shape (n, d)
        y : array_like of float, shape (n,)
            Hard or soft labels in [0, 1].

        Returns
        -------
        LogisticProbe
        """
        (fit,), basis, centre = _solve_path(X, y, [self.l2])
        self.coef_ = fit.weights if basis is None else basis @ fit.weights
        self.intercept_ = float(fit.intercept - self.coef_ @ centre)
        self.n_iter_, self.gradient_norm_ = fit.n_iter, fit.gradient_norm
        self.converged_ = fit.gradient_norm <= TOLERANCE
        self._set_fitted(len(self.coef_))
        return self


def _solve_path(
    X: ArrayLike, y: ArrayLike, l2s: Sequence[float]
) -> tuple[list[_Fit], np.ndarray | None, np.ndarray]:
    """Fits in the order of `l2s`, the basis of their weights (None: X's own), and X's centre."""
    points = check_activations(X)
    soft = check_labels(y, len(points))
    if not len(l2s) or not all(np.isfinite(l2) and l2 > 0 for l2 in l2s):
        raise InputError(f"l2 is {list(l2s)!r}", allowed="numbers above 0")
    if soft.min() == soft.max() and soft[0] in (0, 1):
        raise InputError(f"all labels are {soft[0]:g}", allowed="labels of both classes")
    centre = points.mean(axis=0, dtype=np.float64)
    data, basis = points - centre, None
    if data.shape[0] < data.shape[1]:
        basis, triangle = np.linalg.qr(data.T)
        data = triangle.T
    fits: dict[int, _Fit] = {}
    start = np.zeros(data.shape[1] + 1)
    for index in sorted(range(len(l2s)), key=lambda i: -l2s[i]):
        fit = _newton(data, soft, float(l2s[index]), start)
        start = np.append(fit.weights, fit.intercept)
        fits[index] = fit
    return [fits[index] for index in range(len(l2s))], basis, centre


def _newton(data: np.ndarray, soft: np.ndarray, l2: float, start: np.ndarray) -> _Fit:
    """Damped Newton on (weights, intercept)."""
    n, d = data.shape
    point = start.copy()
    value, margin = _objective(data, soft, l2, point)
    for iteration in range(MAX_ITERATIONS + 1):
        p = expit(margin)
        residual = (p - soft) / n
        gradient = np.append(data.T @ residual + 2 * l2 * point[:-1], residual.sum())
        norm = float(np.linalg.norm(gradient))
        if norm <= TOLERANCE or iteration == MAX_ITERATIONS:
            break
        curvature = p * (1 - p) / n
        hessian = np.empty((d + 1, d + 1))
        hessian[:d, :d] = data.T @ (curvature[:, None] * data)
        hessian[np.arange(d), np.arange(d)] += 2 * l2
        hessian[:d, d] = hessian[d, :d] = data.T @ curvature
        hessian[d, d] = curvature.sum() + 1e-12  # saturated rows leave the intercept flat
        step = cho_solve(cho_factor(hessian, check_finite=False), gradient, check_finite=False)
        size, decrease = 1.0, float(gradient @ step)
        while True:
            trial = point - size * step
            trial_value, trial_margin = _objective(data, soft, l2, trial)
            if trial_value <= value - ENOUGH * size * decrease or size < 1e-8:
                break
            size *= SHRINK
        point, value, margin = trial, trial_value, trial_margin
    if norm > TOLERANCE:
        warnings.warn(
            f"logistic probe, l2={l2}: gradient norm {norm:.1e} after {iteration} steps",
            ConvergenceWarning,
            stacklevel=4,
        )
    return _Fit(point[:-1], float(point[-1]), iteration, norm)


def _objective(
    data: np.ndarray, soft: np.ndarray, l2: float, point: np.ndarray
) -> tuple[float, np.ndarray]:
    margin = data @ point[:-1] + point[-1]
    loss = np.logaddexp(0, margin) - soft * margin
    return float(loss.mean() + l2 * point[:-1] @ point[:-1]), margin
