"""A probe's own labels for the rows that it is fitted on."""

from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from w2sprobe.checks import optional_groups
from w2sprobe.errors import InputError
from w2sprobe.folds import FOLDS, folds_of
from w2sprobe.probes import KNNProbe

IN_SAMPLE: Final = "in-sample"
CrossFit = int | Literal["in-sample"] | None  # folds, none, or what suits the probe


def relabel(
    probe: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    cv: CrossFit = None,
    groups: ArrayLike | None = None,
) -> np.ndarray:
    """The probe's own labels for the rows that it is fitted on.

    Parameters
    ----------
    probe : estimator
        As in `w2sprobe.probes`; a clone is fitted.
    X : array_like of float, shape (n, d)
    y : array_like of float, shape (n,)
        Soft labels in [0, 1].
    cv : int in [2, n] or "in-sample", optional
        Predict each row by a probe fitted on the other folds. None: 5 folds; a kNN probe is fitted
        once and leaves the row itself out. "in-sample": by a probe fitted on all rows, the row
        itself included, as published.
    groups : array_like, shape (n,), optional
        Rows of one value, such as copies of a text, have no say in one another's labels: they
        share a fold, and do not vote on one another. In-sample they are not heeded.

    Returns
    -------
    ndarray of float64, shape (n,)
        P(label = 1).

    Raises
    ------
    InputError
        `cv` is out of range; whatever the probe refuses.

    Notes
    -----
    A linear probe fitted on the rows that it relabels mostly repeats their labels, above all where
    d is near n. A probe with a method `cross_fit(X, y, cv, groups)` fits its folds itself.
    """
    if not hasattr(probe, "predict_proba"):
        raise InputError(f"{type(probe).__name__} predicts nothing", allowed="a probe that does")
    fitted = clone(probe)
    points, soft = np.asarray(X), np.asarray(y)
    together = optional_groups(groups, len(points))
    cv = resolve_cv(fitted, cv)
    if cv is None:
        return np.asarray(fitted.fit(X, y, together).predict_train_proba()[:, 1])
    if cv == IN_SAMPLE:
        return np.asarray(fitted.fit(X, y).predict_proba(X)[:, 1])
    folds = folds_of(len(points), cv, together)
    if hasattr(fitted, "cross_fit"):
        return np.asarray(fitted.cross_fit(points, soft, cv, together))
    predicted = np.empty(len(points))
    for fold in range(cv):
        out = folds == fold
        predicted[out] = fitted.fit(points[~out], soft[~out]).predict_proba(points[out])[:, 1]
    return predicted


def resolve_cv(probe: Any, cv: CrossFit) -> CrossFit:
    """Folds that a probe takes where none are given; None where it leaves out rows by itself."""
    return FOLDS if cv is None and not isinstance(probe, KNNProbe) else cv
