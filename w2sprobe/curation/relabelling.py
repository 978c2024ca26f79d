"""Relabelling: a probe's predictions for its own training rows, out-of-fold or in-sample."""

from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from w2sprobe.checks import optional_groups
from w2sprobe.errors import InputError
from w2sprobe.folds import FOLDS, folds_of
from w2sprobe.probes import KNNProbe

IN_SAMPLE: Final = "in-sample"
CrossFit = int | Literal["in-sample"] | None  # number of folds, no folds, or the probe's default


def relabel(
    probe: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    cv: CrossFit = None,
    groups: ArrayLike | None = None,
) -> np.ndarray:
    """Predict the labels of a probe's own training rows, out-of-fold by default.

    Parameters
    ----------
    probe : estimator
        As in `w2sprobe.probes`; a clone is fitted.
    X : array_like of float, shape (n, d)
    y : array_like of float, shape (n,)
        Soft labels in [0, 1].
    cv : int in [2, n] or "in-sample", optional
        Number of folds; each row is predicted by a probe fitted on the other folds. None: 5, except
        for a kNN probe, which is fitted once and leaves the row itself out. "in-sample", as
        published: a probe fitted on all rows, the row itself included.
    groups : array_like, shape (n,), optional
        Rows of a group, such as copies of a text, share a fold and do not vote on one another.
        Ignored in-sample.

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
    In-sample, a linear probe mostly repeats the labels it was fitted on, above all if d is near n.
    A probe with a method `cross_fit(X, y, cv, groups)` fits its folds itself.
    """
    if not hasattr(probe, "predict_proba"):
        raise InputError(f"{type(probe).__name__} predicts nothing", allowed="a probe that does")
    fitted = clone(probe)
    points, soft = np.asarray(X), np.asarray(y)
    group_ids = optional_groups(groups, len(points))
    cv = resolve_cv(fitted, cv)
    if cv is None:
        return np.asarray(fitted.fit(X, y, group_ids).predict_train_proba()[:, 1])
    if cv == IN_SAMPLE:
        return np.asarray(fitted.fit(X, y).predict_proba(X)[:, 1])
    folds = folds_of(len(points), cv, group_ids)
    if hasattr(fitted, "cross_fit"):
        return np.asarray(fitted.cross_fit(points, soft, cv, group_ids))
    predicted = np.empty(len(points))
    for fold in range(cv):
        held_out = folds == fold
        fold_probe = fitted.fit(points[~held_out], soft[~held_out])
        predicted[held_out] = fold_probe.predict_proba(points[held_out])[:, 1]
    return predicted


def resolve_cv(probe: Any, cv: CrossFit) -> CrossFit:
    """Number of folds that a probe needs by default; None for kNN, which leaves out rows itself."""
    return FOLDS if cv is None and not isinstance(probe, KNNProbe) else cv
