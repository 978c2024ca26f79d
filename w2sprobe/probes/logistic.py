"""L2 logistic regression on soft labels, for many penalties, label vectors and folds at once."""

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning

from w2sprobe.checks import (
    Preprocess,
    check_activations,
    check_both_classes,
    check_keep,
    check_l2,
    check_label_vectors,
    check_labels,
    optional_groups,
)
from w2sprobe.errors import InputError
from w2sprobe.folds import FOLDS, folds_of
from w2sprobe.probes._newton import TOLERANCE, Minima, minimise
from w2sprobe.probes.estimator import LinearProbe, check_fitted, out_of_fold, two_columns
from w2sprobe.probes.preprocess import Preprocessing, check_preprocess

L2S = tuple(float(f"{value:.3g}") for value in np.logspace(-4, 3, 15))  # tried by l2="auto"


def logistic_path(
    X: ArrayLike,
    y: ArrayLike,
    *,
    l2s: Sequence[float],
    preprocess: Preprocess = "none",
    device: str = "auto",
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients for every penalty and every label vector, all solved together.

    Parameters
    ----------
    X : array_like of float, shape (n, d)
        Activations, finite.
    y : array_like of float, shape (n,) or (v, n)
        Soft labels, P(label = 1), in [0, 1]. Several vectors cost little more than one: they share
        each pass over X.
    l2s : sequence of float, each above 0
    preprocess : {"none", "center", "standardize"}, default "none"
        Scaling changes what the penalty costs; "center" changes nothing, as the intercept is free.
    device : str, default "auto"
        "cpu", "cuda", "cuda:1"; "auto" takes a GPU if there is one.

    Returns
    -------
    coef : ndarray of float64, shape (len(l2s), d), or (v, len(l2s), d)
        For X as given, not preprocessed; in the order of `l2s`.
    intercept : ndarray of float64, shape (len(l2s),), or (v, len(l2s))

    Raises
    ------
    InputError
        Shape, range or a value that is not finite; labels all 0 or all 1.
    UnknownName
        No such preprocessing.

    Warns
    -----
    ConvergenceWarning
        A gradient norm above 1e-6.

    Notes
    -----
    Minimises mean BCE(sigmoid(X w + b), y) + l2 |w|², b free: the objective of EleutherAI's
    weak-to-strong code; scikit-learn's C is 1 / (2 n l2). Solved by truncated Newton steps
    (`_newton.minimise`) to a float64 gradient norm of 1e-6.
    """
    points = check_activations(X)
    soft, several = check_label_vectors(y, len(points))
    penalties = check_l2(l2s)
    preprocessing = Preprocessing.fit(points, preprocess)
    minima = _solve(preprocessing.apply(points), soft, penalties, device=device)
    coef, intercept = _as_given(minima, preprocessing)
    if not several:
        return coef, intercept
    shape = (len(soft), len(penalties))
    return coef.reshape(*shape, -1), intercept.reshape(shape)


def logistic_cross_fit(
    X: ArrayLike,
    y: ArrayLike,
    *,
    l2s: Sequence[float],
    cv: int = FOLDS,
    groups: ArrayLike | None = None,
    preprocess: Preprocess = "none",
    device: str = "auto",
) -> np.ndarray:
    """Out-of-fold predictions for every penalty; all folds and penalties are solved together.

    Parameters
    ----------
    X, l2s, preprocess, device
        As in `logistic_path`; "standardize" is learnt from the training rows of each fold.
    y : array_like of float, shape (n,)
    cv : int, default 5, in [2, n]
    groups : array_like, shape (n,), optional
        Rows of the same value are in the same fold.

    Returns
    -------
    ndarray of float64, shape (len(l2s), n)
        P(label = 1) of each row, predicted by the fit on the other folds.

    Raises
    ------
    InputError
        As in `logistic_path`; `cv` is out of range; training rows of a fold have one label only.
    UnknownName
        No such preprocessing.

    Warns
    -----
    ConvergenceWarning
        A gradient norm above 1e-6.
    """
    margins = _held_out_margins(X, y, l2s, cv, groups, preprocess, device)
    p: np.ndarray = expit(margins)
    return p


def logistic_cross_fit_path(
    X: ArrayLike,
    y: ArrayLike,
    *,
    l2s: Sequence[float],
    cv: int = FOLDS,
    groups: ArrayLike | None = None,
    preprocess: Preprocess = "none",
    device: str = "auto",
    keep: ArrayLike | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Out-of-fold predictions and the fit on all rows, which is solved like one more fold.

    Parameters
    ----------
    X, l2s, cv, groups, preprocess, device
        As in `logistic_cross_fit`.
    y : array_like of float, shape (n,) or (v, n)
        Soft labels in [0, 1]; several vectors share each pass over X.
    keep : array_like of bool, shape (n,) or (v, n), optional
        Rows that each label vector is fitted on; the others are predicted too. Folds, and what
        "standardize" learns, do not depend on it.

    Returns
    -------
    p : ndarray of float64, shape (len(l2s), n), or (v, len(l2s), n)
        P(label = 1) of each row, predicted by the fit on the other folds.
    coef : ndarray of float64, shape (len(l2s), d), or (v, len(l2s), d)
        Fit on all rows that are kept.
    intercept : ndarray of float64, shape (len(l2s),), or (v, len(l2s))

    Raises
    ------
    InputError
        As in `logistic_cross_fit`.
    UnknownName
        No such preprocessing.

    Warns
    -----
    ConvergenceWarning
        A gradient norm above 1e-6.
    """
    points = check_activations(X)
    soft, several = check_label_vectors(y, len(points))
    folds = folds_of(len(points), cv, optional_groups(groups, len(points)))
    kept = None if keep is None else check_keep(keep, soft.shape)
    # no row is in fold -1: the fit without that fold is the fit on all rows
    left_out = np.append(np.arange(cv), -1)
    coef, intercept = _fits_without(
        left_out, folds, points, soft, check_l2(l2s), preprocess, device, kept
    )
    p = np.stack(
        [
            expit(out_of_fold(points, folds, coef[:, vector], intercept[:, vector]))
            for vector in range(len(soft))
        ]
    )
    return (p, coef[-1], intercept[-1]) if several else (p[0], coef[-1, 0], intercept[-1, 0])


def _held_out_margins(
    X: ArrayLike,
    y: ArrayLike,
    l2s: Sequence[float],
    cv: int,
    groups: ArrayLike | None,
    preprocess: Preprocess,
    device: str,
) -> np.ndarray:
    """Out-of-fold margins x·w + b for every penalty, (p, n)."""
    points = check_activations(X)
    soft = check_labels(y, len(points))
    penalties = check_l2(l2s)
    folds = folds_of(len(points), cv, optional_groups(groups, len(points)))
    coef, intercept = _fits_without(
        np.arange(cv), folds, points, soft[None], penalties, preprocess, device
    )
    return out_of_fold(points, folds, coef[:, 0], intercept[:, 0])


def _fits_without(
    left_out: np.ndarray,
    folds: np.ndarray,
    points: np.ndarray,
    soft: np.ndarray,
    penalties: np.ndarray,
    preprocess: Preprocess,
    device: str,
    keep: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (f, v, p, d) and intercepts (f, v, p), each fitted without one fold."""
    shape = (len(left_out), len(soft), len(penalties))
    fitted_on = folds != left_out[:, None]
    if preprocess == "standardize":  # each fold has rows of its own scale, so a solve of its own
        coef, intercept = np.empty((*shape, points.shape[1])), np.empty(shape)
        for fold, rows in enumerate(fitted_on):
            preprocessing = Preprocessing.fit(points[rows], preprocess)
            weight = None if keep is None else _shares(keep[:, rows])
            minima = _solve(
                preprocessing.apply(points[rows]),
                soft[:, rows],
                penalties,
                device=device,
                weight=weight,
            )
            fold_coef, fold_intercept = _as_given(minima, preprocessing)
            coef[fold] = fold_coef.reshape(*shape[1:], -1)
            intercept[fold] = fold_intercept.reshape(shape[1:])
        return coef, intercept
    check_preprocess(preprocess)
    # folds share the rows: a row that a fold leaves out has weight 0 there
    counted = fitted_on[:, None] & (np.ones((len(soft), 1), dtype=bool) if keep is None else keep)
    minima = _solve(
        points,
        np.tile(soft, (len(left_out), 1)),
        penalties,
        device=device,
        weight=_shares(counted.reshape(-1, len(points))),
    )
    return minima.coef.reshape(*shape, -1), minima.intercept.reshape(shape)


def _shares(counted: np.ndarray) -> np.ndarray:
    """Weights (c, n) of the rows that count: equal, and adding up to 1 for each mask."""
    if not counted.any(axis=1).all():
        raise InputError("keep leaves a fit no rows", allowed="rows of both classes in every fold")
    shares: np.ndarray = counted / counted.sum(axis=1, keepdims=True)
    return shares


class LogisticProbe(LinearProbe):
    """Logistic regression on soft labels with an L2 penalty.

    Parameters
    ----------
    l2 : float or "auto", default 1e-2
        Weight of |w|² beside the mean loss; above 0. "auto" chooses from `L2S` by the smallest
        out-of-fold loss against the given labels, over 5 folds.
    preprocess : {"none", "center", "standardize"}, default "none"
        As in `logistic_path`; learnt from the training rows of each fit.
    device : str, default "auto"
        As in `logistic_path`.

    Attributes
    ----------
    coef_ : ndarray of float64, shape (d,)
        For X as given, not preprocessed.
    l2_ : float
        Penalty that was used.
    oof_loss_ : ndarray of float64, shape (len(L2S),)
        Only with l2="auto": mean out-of-fold BCE of each penalty of `L2S`; lower is better.
    n_iter_ : int
        Newton steps.
    gradient_norm_ : float
        At the solution, intercept included, for the preprocessed rows.
    converged_ : bool
        Whether it is at most 1e-6.
    """

    def __init__(
        self,
        l2: float | Literal["auto"] = 1e-2,
        preprocess: Preprocess = "none",
        device: str = "auto",
    ) -> None:
        self.l2 = l2
        self.preprocess = preprocess
        self.device = device

    def fit(self, X: ArrayLike, y: ArrayLike, groups: ArrayLike | None = None) -> "LogisticProbe":
        """Minimise the objective of `logistic_path`.

        Parameters
        ----------
        X : array_like of float, shape (n, d)
        y : array_like of float, shape (n,)
            Hard or soft labels in [0, 1].
        groups : array_like, shape (n,), optional
            Rows of the same value are in the same fold of a cross-fit.

        Raises
        ------
        InputError
            Shape, range or a value that is not finite; labels all 0 or all 1.
        UnknownName
            No such preprocessing.
        """
        points, soft = self._begin_fit(X, y)
        check_both_classes(soft)
        group = optional_groups(groups, len(points))
        if isinstance(self.l2, str) and self.l2 != "auto":
            raise InputError(f"l2 is {self.l2!r}", allowed="a number above 0, or 'auto'")
        if isinstance(self.l2, str):
            margins = _held_out_margins(
                points, soft, L2S, FOLDS, group, self.preprocess, self.device
            )
            # BCE from margins: where p rounds to 0 or 1, the loss stays finite
            self.oof_loss_ = (np.logaddexp(0, margins) - soft * margins).mean(axis=1)
            self.l2_ = L2S[int(self.oof_loss_.argmin())]
        else:
            self.l2_ = float(check_l2([self.l2])[0])
        preprocessing = Preprocessing.fit(points, self.preprocess)
        minima = _solve(
            preprocessing.apply(points), soft[None], np.array([self.l2_]), device=self.device
        )
        (self.coef_,), (intercept,) = _as_given(minima, preprocessing)
        self.intercept_ = float(intercept)
        self.n_iter_, self.gradient_norm_ = int(minima.n_iter[0]), float(minima.gradient_norm[0])
        self.converged_ = self.gradient_norm_ <= TOLERANCE
        self._training = points, soft, group
        return self

    def predict_train_proba(self, *, cv: int | None = FOLDS) -> np.ndarray:
        """Predictions for the rows it was fitted on.

        Parameters
        ----------
        cv : int, optional, default 5
            Predict each row by a fit on the other folds, with the penalty `l2_`. With l2="auto"
            that penalty was chosen on all rows; `cross_fit` chooses it within the other folds.
            None: in-sample predictions, which repeat the labels if d is not well below n.

        Returns
        -------
        ndarray of float64, shape (n, 2)

        Raises
        ------
        InputError
            Not fitted here, or `cv` is out of range.
        """
        check_fitted(self)
        if not hasattr(self, "_training"):
            raise InputError("a loaded probe has not kept its rows", advice="Fit it again.")
        points, soft, groups = self._training
        if cv is None:
            return two_columns(self._predict_p(points))
        return two_columns(self._held_out(points, soft, self.l2_, cv, groups)[0])

    def cross_fit(
        self, X: ArrayLike, y: ArrayLike, cv: int = FOLDS, groups: ArrayLike | None = None
    ) -> np.ndarray:
        """Out-of-fold P(label = 1), with the penalty chosen inside the other folds.

        Parameters
        ----------
        X, y, groups
            As in `fit`.
        cv : int, default 5
            Folds. With l2="auto", each fold's penalty is chosen within the other folds.

        Returns
        -------
        ndarray of float64, shape (n,)

        Raises
        ------
        InputError
            As in `fit`, or `cv` is out of range.
        """
        if self.l2 != "auto":
            (p,) = self._held_out(X, y, self.l2, cv, groups)
            return np.asarray(p)
        points = check_activations(X)
        soft = check_labels(y, len(points))
        group = optional_groups(groups, len(points))
        p = np.empty(len(points))
        folds = folds_of(len(points), cv, group)
        for fold in range(cv):
            out = folds == fold
            inner = LogisticProbe("auto", self.preprocess, self.device)
            inner.fit(points[~out], soft[~out], None if group is None else group[~out])
            p[out] = inner._predict_p(points[out])
        return p

    def _held_out(
        self, X: ArrayLike, y: ArrayLike, l2: Any, cv: int, groups: ArrayLike | None
    ) -> np.ndarray:
        return logistic_cross_fit(
            X, y, l2s=[l2], cv=cv, groups=groups, preprocess=self.preprocess, device=self.device
        )


def _solve(
    points: np.ndarray,
    soft: np.ndarray,
    penalties: np.ndarray,
    *,
    device: str,
    weight: np.ndarray | None = None,
) -> Minima:
    """Minima for every row of `soft` (v, n) and `weight`, and within it every penalty."""
    for row, vector in enumerate(soft):
        check_both_classes(vector if weight is None else vector[weight[row] > 0])
    if weight is None:
        weight = np.full((1, len(points)), 1 / len(points))
    minima = minimise(
        points,
        soft,
        weight,
        np.tile(penalties, len(soft)),
        np.repeat(np.arange(len(soft)), len(penalties)),
        device=device,
    )
    worst = int(minima.gradient_norm.argmax())
    if not minima.gradient_norm[worst] <= TOLERANCE:  # nan is not small
        warnings.warn(
            f"logistic probe, l2={penalties[worst % len(penalties)]:g}: gradient norm "
            f"{minima.gradient_norm[worst]:.1e} after {minima.n_iter[worst]} steps",
            ConvergenceWarning,
            stacklevel=3,
        )
    return minima


def _as_given(minima: Minima, preprocessing: Preprocessing) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and intercepts for the rows as given, from those for preprocessed rows."""
    coef: np.ndarray = minima.coef / preprocessing.scale
    return coef, minima.intercept - coef @ preprocessing.centre
