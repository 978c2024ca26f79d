"""What a probe does to labels: relabel rows, or choose which to keep."""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.model_selection import KFold

from w2sprobe.errors import InputError
from w2sprobe.labels import LabelTable
from w2sprobe.probes import TopoFilter

FOLD_SEED = 0
RELABEL_FOLDS = 5
Action = Literal["relabel", "filter"]


def curate(
    probe: Any,
    action: Action,
    X: ArrayLike,
    labels: LabelTable,
    *,
    contamination: float = 0.1,
    cv: int | None = None,
) -> LabelTable:
    """Relabel or filter the rows of a table.

    Parameters
    ----------
    probe : estimator
        As in `w2sprobe.probes`; TopoFilter, which brings its own contamination, only filters.
    action : {"relabel", "filter"}
    X : array_like of float, shape (n, d)
        Activations of the table's rows, in its order.
    labels : LabelTable
    contamination : float, default 0.1, in (0, 1)
        Share of the rows that a filter removes.
    cv : int, optional
        Folds, as in `relabel`. None: 5 where a probe that cannot leave a row out of its own vote
        relabels, none elsewhere.

    Returns
    -------
    LabelTable
        New soft labels and the old `keep`, or the old soft labels and a new `keep`.

    Raises
    ------
    InputError
        TopoFilter is asked to relabel; whatever `relabel` and `filter_by_disagreement` refuse.
    """
    soft, keep = labels.soft_label, labels.keep
    if isinstance(probe, TopoFilter):
        if action == "relabel":
            raise InputError("TopoFilter cannot relabel", allowed="filter")
        keep = clone(probe).fit(X, soft).keep_mask_
    elif action == "relabel":
        if cv is None and not hasattr(probe, "predict_train_proba"):
            cv = RELABEL_FOLDS
        soft = relabel(probe, X, soft, cv=cv)
    else:
        keep = filter_by_disagreement(probe, X, soft, contamination=contamination, cv=cv)
    return LabelTable(labels.ids, soft, keep)


def relabel(probe: Any, X: ArrayLike, y: ArrayLike, *, cv: int | None = None) -> np.ndarray:
    """The probe's own labels for the rows that it is fitted on.

    Parameters
    ----------
    probe : estimator
        As in `w2sprobe.probes`; a clone is fitted.
    X : array_like of float, shape (n, d)
    y : array_like of float, shape (n,)
        Soft labels in [0, 1].
    cv : int, optional
        Predict each row by a probe fitted on the other folds. None: by a probe fitted on all rows,
        a kNN probe leaving the row itself out.

    Returns
    -------
    ndarray of float64, shape (n,)
        P(label = 1).

    Raises
    ------
    InputError
        `cv` is out of range; whatever the probe refuses.
    """
    if cv is None:
        fitted = clone(probe).fit(X, y)
        inner = hasattr(fitted, "predict_train_proba")
        both = fitted.predict_train_proba() if inner else fitted.predict_proba(X)
        return np.asarray(both[:, 1])
    points, soft = np.asarray(X), np.asarray(y)
    if not 2 <= cv <= len(points):
        raise InputError(f"cv is {cv!r}", allowed=f"2 to {len(points)}, the rows")
    predicted = np.empty(len(points))
    for rest, fold in KFold(cv, shuffle=True, random_state=FOLD_SEED).split(points):
        predicted[fold] = (
            clone(probe).fit(points[rest], soft[rest]).predict_proba(points[fold])[:, 1]
        )
    return predicted


def filter_by_disagreement(
    probe: Any, X: ArrayLike, y: ArrayLike, *, contamination: float = 0.1, cv: int | None = None
) -> np.ndarray:
    """Rows to keep when those go whose label is furthest from the probe's prediction.

    Parameters
    ----------
    probe, X, y, cv
        As in `relabel`.
    contamination : float, default 0.1, in (0, 1)
        Share of the rows to remove, rounded to whole rows; ties go by position, first removed
        first.

    Returns
    -------
    ndarray of bool, shape (n,)
        True: keep.

    Raises
    ------
    InputError
        `contamination` or `cv` is out of range; whatever the probe refuses.
    """
    if not 0 < contamination < 1:
        raise InputError(f"contamination is {contamination!r}", allowed="above 0, below 1")
    difference = np.abs(relabel(probe, X, y, cv=cv) - np.asarray(y, dtype=np.float64))
    keep = np.ones(len(difference), dtype=bool)
    keep[np.argsort(-difference, kind="stable")[: round(contamination * len(keep))]] = False
    return keep


def filter_at_random(n: int, n_removed: int, *, seed: int = 0) -> np.ndarray:
    """Rows to keep when as many go as another filter removes, whichever: its control.

    Parameters
    ----------
    n : int
        Rows.
    n_removed : int, in [0, n]
        Rows to remove.
    seed : int, default 0

    Returns
    -------
    ndarray of bool, shape (n,)
        True: keep.

    Raises
    ------
    InputError
        `n_removed` is out of range.
    """
    if not 0 <= n_removed <= n:
        raise InputError(f"n_removed is {n_removed!r}", allowed=f"0 to {n}")
    keep = np.ones(n, dtype=bool)
    keep[np.random.default_rng(seed).choice(n, n_removed, replace=False)] = False
    return keep
