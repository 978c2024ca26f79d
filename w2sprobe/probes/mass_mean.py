"""Mass-mean probe: the difference of the weighted class means."""

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

SEPARATED = 1e-6  # of the variance along a direction is within classes: they are told apart


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
    X : array_like of float, shape (n, d)
        Activations, finite.
    y : array_like of float, shape (n,) or (v, n)
        Soft labels in [0, 1]; the means of all vectors and folds are one matrix product.
    whiten, preprocess, device
        As in `MassMeanProbe`; "standardize" is learnt anew from the other folds, whatever is kept.
    cv : int, default 5, in [2, n]
        Folds.
    groups : array_like, shape (n,), optional
        Rows of one value stay in one fold.
    keep : array_like of bool, shape (n,) or (v, n), optional
        Rows that each label vector is fitted on; the others are predicted all the same.

    Returns
    -------
    p : ndarray of float64, shape (n,), or (v, n)
        P(label = 1) of each row by the fit on the other folds.
    coef : ndarray of float64, shape (d,), or (v, d)
        Of the fit on all rows, or on all that are kept.
    intercept : float, or ndarray of float64, shape (v,)

    Raises
    ------
    InputError
        Shape, range or a value that is not finite; `cv` is out of range; rows of one class in a
        fit.
    UnknownName
        No such preprocessing.
    """
    place = resolve_device(device)
    points = check_activations(X)
    soft, several = check_label_vectors(y, len(points))
    folds = folds_of(len(points), cv, optional_groups(groups, len(points)))
    # no row is in fold -1: what is fitted outside it is fitted on all
    inside = folds != np.append(np.arange(cv), -1)[:, None]
    counted = inside[:, None] & (True if keep is None else check_keep(keep, soft.shape))
    counted = np.broadcast_to(counted, (len(inside), *soft.shape))
    for fold in counted:
        for rows, vector in zip(fold, soft, strict=True):
            if not rows.any():
                raise InputError("keep leaves a fit no rows", allowed="rows of both classes")
            check_both_classes(vector[rows])
    weight = counted.reshape(-1, len(points))
    one, zero = _class_means(points, np.tile(soft, (len(inside), 1)), weight)
    shape = (*counted.shape[:2], points.shape[1])
    one, zero = one.reshape(shape), zero.reshape(shape)
    coef = np.empty(shape)
    for number, rows in enumerate(inside):
        scale = Preprocessing.fit(points[rows], preprocess).scale
        direction = (one[number] - zero[number]) / scale
        if whiten:
            masks, mask_of = np.unique(counted[number], axis=0, return_inverse=True)
            for which, mask in enumerate(masks):
                vectors = np.flatnonzero(mask_of.ravel() == which)
                share = soft[vectors][:, mask].mean(axis=1)
                direction[vectors] = _whitened_together(
                    points[mask], scale, direction[vectors], share * (1 - share), place
                )
        coef[number] = direction / scale
    intercept = -(coef * (one + zero)).sum(axis=-1) / 2
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
        Fitted on the training rows; "center" changes nothing.
    device : str, default "auto"
        Where the covariance is multiplied and inverted: "cpu", "cuda", "cuda:1"; "auto" takes a
        GPU where there is one.

    Attributes
    ----------
    coef_ : ndarray of float64, shape (d,)
        Of X as given.
    intercept_ : float
        The point half-way between the means has P(label = 1) = 0.5.

    Notes
    -----
    theta = sum(q x) / sum(q) - sum((1 - q) x) / sum(1 - q), q the soft label; Marks & Tegmark,
    "The Geometry of Truth", arXiv 2310.06824, section 5, for hard labels. The within-class
    covariance is that of all rows less s (1 - s) theta theta', s = mean(q). Only the ranking of a
    direction without `whiten` means something: its length has the unit of the activations, so that
    its probabilities are not calibrated.
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

        Returns
        -------
        MassMeanProbe

        Raises
        ------
        InputError
            Shape, range or a value that is not finite; all labels 0 or all 1.
        UnknownName
            No such preprocessing.
        """
        place = resolve_device(self.device)
        points, soft = self._start(X, y)
        check_both_classes(soft)
        moved = Preprocessing.fit(points, self.preprocess)
        points = moved.apply(points)
        (one,), (zero,) = _class_means(points, soft[None], np.ones((1, len(soft))))
        direction = one - zero
        if self.whiten:
            share = soft.mean()
            middle = share * one + (1 - share) * zero
            theta = to_tensor(direction, place)
            unscaled = np.ones(points.shape[1])
            direction = _whitened(points, middle, unscaled, theta, share * (1 - share))
        self.coef_ = direction / moved.scale
        self.intercept_ = float(-direction @ (one + zero) / 2 - self.coef_ @ moved.centre)
        return self


def _class_means(
    points: np.ndarray, soft: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Means of class 1 and of class 0, (c, d) each, of label vectors and row weights (c, n)."""
    weights = np.concatenate([soft * weight, (1 - soft) * weight])
    weights /= weights.sum(axis=1, keepdims=True)
    means = np.zeros((len(weights), points.shape[1]))
    for start in range(0, len(points), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        means += weights[:, part] @ points[part].astype(np.float64)
    return means[: len(soft)], means[len(soft) :]


def _whitened_together(
    points: np.ndarray,
    scale: np.ndarray,
    directions: np.ndarray,
    between: np.ndarray,
    place: torch.device,
) -> np.ndarray:
    """`_whitened` for every direction (v, d) and `between` (v,), from one inverse.

    W = T - b theta theta', T the covariance of all rows, so that by Sherman & Morrison
    W⁺ theta = T⁺ theta / (1 - b theta' T⁺ theta): where that is near 0, as where the rows of hard
    labels are all told apart, W is inverted itself.
    """
    thetas = to_tensor(directions, place)
    mean = points.mean(axis=0, dtype=np.float64)
    inverse = torch.linalg.pinv(
        _covariance(torch.zeros_like(thetas.T @ thetas), points, mean, scale), hermitian=True
    )
    whitened = np.empty_like(directions)
    for vector, (theta, share) in enumerate(zip(thetas, between, strict=True)):
        solved = inverse @ theta
        left = 1 - share * float(theta @ solved)
        if left > SEPARATED:
            whitened[vector] = (solved / left).cpu().numpy()
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
