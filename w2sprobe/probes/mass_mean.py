"""Mass-mean probe: the difference of the class means, weighted by soft labels."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.special import expit

from w2sprobe.checks import (
    Preprocess,
    check_activations,
    check_both_classes,
    check_keep,
    check_label_vectors,
    optional_groups,
)
from w2sprobe.devices import resolve_device, to_tensor
from w2sprobe.errors import InputError
from w2sprobe.folds import FOLDS, folds_of
from w2sprobe.probes.estimator import LinearProbe, out_of_fold
from w2sprobe.probes.preprocess import BLOCK_ROWS, Preprocessing

SEPARATED = 1e-6  # share of the variance along a direction below which classes are separated


def mass_mean_cross_fit_path(
    X: ArrayLike,
    y: ArrayLike,
    *,
    whiten: bool = False,
    cv: int = FOLDS,
    groups: ArrayLike | None = None,
    preprocess: Preprocess = "none",
    device: str = "auto",
    keep: ArrayLike | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Out-of-fold predictions of `MassMeanProbe` and its fit on all rows, for every label vector.

    Parameters
    ----------
    y : array_like of float, shape (n,) or (v, n)
        Soft labels in [0, 1]; one matrix product gives the means of all vectors and folds.
    whiten, preprocess, device
        As in `MassMeanProbe`; "standardize" is learnt from all rows of the other folds.
    cv, groups, keep
        As in `logistic_cross_fit_path`.

    Returns
    -------
    p : ndarray of float64, shape (n,), or (v, n)
        P(label = 1) of each row by the fit on the other folds.
    coef, intercept : ndarray of float64, shapes (d,) and (), or (v, d) and (v,)
        Fit on all rows that are kept.

    Raises
    ------
    InputError
        Shape, range or a value that is not finite; `cv` is out of range; only one class in a fit.
    UnknownName
        No such preprocessing.
    """
    torch_device = resolve_device(device)
    points = check_activations(X)
    soft, several = check_label_vectors(y, len(points))
    folds = folds_of(len(points), cv, optional_groups(groups, len(points)))
    # no row is in fold -1: the fit without that fold is the fit on all rows
    fitted_on = folds != np.append(np.arange(cv), -1)[:, None]
    counted = fitted_on[:, None] & (True if keep is None else check_keep(keep, soft.shape))
    counted = np.broadcast_to(counted, (len(fitted_on), *soft.shape))
    _check_fits(counted, soft)
    coef, intercept = _fits_without_folds(
        points, soft, fitted_on, counted, whiten=whiten, preprocess=preprocess, device=torch_device
    )
    p = np.stack(
        [
            expit(out_of_fold(points, folds, coef[:, [vector]], intercept[:, [vector]])[0])
            for vector in range(len(soft))
        ]
    )
    return (p, coef[-1], intercept[-1]) if several else (p[0], coef[-1, 0], intercept[-1, 0])


class MassMeanProbe(LinearProbe):
    """Direction from the mean of class 0 to the mean of class 1.

    Parameters
    ----------
    whiten : bool, default False
        Multiply the direction by the pseudo-inverse of the within-class covariance (linear
        discriminant analysis).
    preprocess : {"none", "center", "standardize"}, default "none"
        Learnt from the training rows; "center" changes nothing.
    device : str, default "auto"
        Where the covariance is multiplied and inverted: "cpu", "cuda", "cuda:1"; "auto" takes a
        GPU where there is one.

    Attributes
    ----------
    coef_ : ndarray of float64, shape (d,)
        For X as given, not preprocessed.
    intercept_ : float
        Makes P(label = 1) = 0.5 half-way between the means.

    Notes
    -----
    theta = sum(q x) / sum(q) - sum((1 - q) x) / sum(1 - q), q the soft label; Marks & Tegmark,
    "The Geometry of Truth", arXiv 2310.06824, section 5, for hard labels. The within-class
    covariance is that of all rows less s (1 - s) theta theta', s = mean(q). Without `whiten` only
    the ranking means something: theta has the unit of the activations, so probabilities are not
    calibrated.
    """

    def __init__(
        self, *, whiten: bool = False, preprocess: Preprocess = "none", device: str = "auto"
    ) -> None:
        self.whiten = whiten
        self.preprocess = preprocess
        self.device = device

    def fit(self, X: ArrayLike, y: ArrayLike) -> "MassMeanProbe":
        """Compute the class means.

        Parameters
        ----------
        X : array_like of float, shape (n, d)
        y : array_like of float, shape (n,)
            Hard or soft labels in [0, 1].

        Raises
        ------
        InputError
            Shape, range or a value that is not finite; all labels 0 or all 1.
        UnknownName
            No such preprocessing.
        """
        torch_device = resolve_device(self.device)
        points, soft = self._begin_fit(X, y)
        check_both_classes(soft)
        preprocessing = Preprocessing.fit(points, self.preprocess)
        points = preprocessing.apply(points)
        (mean_1,), (mean_0,) = _class_means(points, soft[None], np.ones((1, len(soft))))
        direction = mean_1 - mean_0
        if self.whiten:
            share = soft.mean()
            mean = share * mean_1 + (1 - share) * mean_0
            theta = to_tensor(direction, torch_device)
            unscaled = np.ones(points.shape[1])
            direction = _whitened(points, mean, unscaled, theta, share * (1 - share))
        self.coef_ = direction / preprocessing.scale
        self.intercept_ = float(
            -direction @ (mean_1 + mean_0) / 2 - self.coef_ @ preprocessing.centre
        )
        return self


def _fits_without_folds(
    points: np.ndarray,
    soft: np.ndarray,
    fitted_on: np.ndarray,
    counted: np.ndarray,
    *,
    whiten: bool,
    preprocess: Preprocess,
    device: torch.device,
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (f, v, d) and intercepts (f, v) of fits on the rows `counted` (f, v, n).

    The rows `fitted_on` (f, n), which `keep` does not reduce, give the scale of each fit.
    """
    means = _class_means(
        points, np.tile(soft, (len(fitted_on), 1)), counted.reshape(-1, len(points))
    )
    shape = (*counted.shape[:2], points.shape[1])
    mean_1, mean_0 = (mean.reshape(shape) for mean in means)
    coef = mean_1 - mean_0
    for fold, rows in enumerate(fitted_on):
        scale = Preprocessing.fit(points[rows], preprocess).scale
        coef[fold] /= scale
        if whiten:
            coef[fold] = _whitened_vectors(points, scale, coef[fold], soft, counted[fold], device)
        coef[fold] /= scale
    # the boundary is half-way between the means
    intercept = -(coef * (mean_1 + mean_0)).sum(axis=-1) / 2
    return coef, intercept


def _check_fits(counted: np.ndarray, soft: np.ndarray) -> None:
    """Refuse a fit (f, v, n) without rows, or with one class."""
    for fold in counted:
        for rows, vector in zip(fold, soft, strict=True):
            if not rows.any():
                raise InputError("keep leaves a fit no rows", allowed="rows of both classes")
            check_both_classes(vector[rows])


def _class_means(
    points: np.ndarray, soft: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Means of class 1 and of class 0, (c, d) each, for soft labels and row weights (c, n)."""
    weights = np.concatenate([soft * weight, (1 - soft) * weight])
    weights /= weights.sum(axis=1, keepdims=True)
    means = np.zeros((len(weights), points.shape[1]))
    for start in range(0, len(points), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        means += weights[:, part] @ points[part].astype(np.float64)
    return means[: len(soft)], means[len(soft) :]


def _whitened_vectors(
    points: np.ndarray,
    scale: np.ndarray,
    directions: np.ndarray,
    soft: np.ndarray,
    counted: np.ndarray,
    device: torch.device,
) -> np.ndarray:
    """Whitened directions (v, d) of label vectors that are each fitted on the rows `counted`."""
    whitened = np.empty_like(directions)
    # label vectors that are fitted on the same rows share a covariance
    masks, mask_of = np.unique(counted, axis=0, return_inverse=True)
    for number, mask in enumerate(masks):
        vectors = np.flatnonzero(mask_of.ravel() == number)
        share = soft[vectors][:, mask].mean(axis=1)
        whitened[vectors] = _whitened_together(
            points[mask], scale, directions[vectors], share * (1 - share), device
        )
    return whitened


def _whitened_together(
    points: np.ndarray,
    scale: np.ndarray,
    directions: np.ndarray,
    between: np.ndarray,
    device: torch.device,
) -> np.ndarray:
    """`_whitened` for every direction (v, d) and `between` (v,), from one pseudo-inverse.

    With T the covariance of all rows, the within-class one is W = T - b theta theta', so that by
    Sherman & Morrison W⁺ theta = T⁺ theta / (1 - b theta' T⁺ theta). Where the denominator is near
    0, as for hard labels of separated classes, W itself is inverted.
    """
    thetas = to_tensor(directions, device)
    mean = points.mean(axis=0, dtype=np.float64)
    inverse = torch.linalg.pinv(
        _covariance(torch.zeros_like(thetas.T @ thetas), points, mean, scale), hermitian=True
    )
    whitened = np.empty_like(directions)
    for vector, (theta, share) in enumerate(zip(thetas, between, strict=True)):
        solved = inverse @ theta
        denominator = 1 - share * float(theta @ solved)
        if denominator > SEPARATED:
            whitened[vector] = (solved / denominator).cpu().numpy()
        else:
            whitened[vector] = _whitened(points, mean, scale, theta, share)
    return whitened


def _whitened(
    points: np.ndarray, mean: np.ndarray, scale: np.ndarray, theta: torch.Tensor, between: float
) -> np.ndarray:
    """Direction times the pseudo-inverse of the within-class covariance of (x - mean) / scale."""
    within = _covariance(-between * torch.outer(theta, theta), points, mean, scale)
    whitened: np.ndarray = (torch.linalg.pinv(within, hermitian=True) @ theta).cpu().numpy()
    return whitened


def _covariance(
    start: torch.Tensor, points: np.ndarray, mean: np.ndarray, scale: np.ndarray
) -> torch.Tensor:
    """Add the covariance of (x - mean) / scale to `start`, (d, d)."""
    centre, widths = (to_tensor(values, start.device) for values in (mean, scale))
    for low in range(0, len(points), BLOCK_ROWS):
        block = to_tensor(points[low : low + BLOCK_ROWS], start.device).double() - centre
        block /= widths
        start.addmm_(block.T, block, alpha=1 / len(points))
    return start
