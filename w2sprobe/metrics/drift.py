"""Whether a saved probe still holds on new states of its model: AUC, and rates at its threshold."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from w2sprobe.errors import InputError
from w2sprobe.metrics.estimates import Estimate
from w2sprobe.metrics.folds import auc_inside_folds
from w2sprobe.metrics.nested import ScoredRun, mean_scores
from w2sprobe.metrics.operating_point import RateChange

Verdict = Literal["holds", "threshold stale", "degraded", "unsure"]
TOLERANCE = 0.02  # loss of AUC that is tolerated
MIN_ROWS = 20  # of each class; with fewer, intervals of AUCs near 1 are too narrow


def auc_estimate(
    truth: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike | None = None,
    folds: ArrayLike | None = None,
) -> Estimate:
    """AUC with the variance that the rows give it.

    Parameters
    ----------
    truth : array_like of 0 and 1, shape (n,)
    scores : array_like of float, shape (n,)
        Finite; higher means more like class 1.
    groups : array_like of str or int, shape (n,), optional
        Rows that share a value are one unit.
    folds : array_like, shape (n,), optional
        Rows of one value were scored by one fit. Then the AUC is the mean of those inside folds.

    Returns
    -------
    Estimate
        Without parts where a class, in a fold or altogether, has only one row or group.

    Raises
    ------
    InputError
        As `roc_auc`; no fold has rows of both classes.
    """
    labels, values = np.asarray(truth), np.asarray(scores)
    units = None if groups is None else np.asarray(groups)
    numbers = np.zeros(len(labels), dtype=np.int64) if folds is None else np.asarray(folds)
    auc = auc_inside_folds(labels, values, numbers).auc
    if auc is None:
        raise InputError("truth has one class in every fold", allowed="rows of both classes")
    rows = [numbers == fold for fold in np.unique(numbers)]
    rows = [of_fold for of_fold in rows if 0 < labels[of_fold].sum() < of_fold.sum()]
    parts = []
    for of_fold in rows:
        inside = None if units is None else units[of_fold]
        run = ScoredRun(labels[of_fold], {"auc": values[of_fold]}, groups=inside)
        try:
            ((variance, df),) = mean_scores([run]).contrast({"auc": 1}).parts
        except InputError:  # a class in one row or group alone
            return Estimate(float(auc), ())
        # folds have no rows in common
        parts.append((variance / len(rows) ** 2, df))
    return Estimate(float(auc), tuple(parts))


def auc_change(
    truth: ArrayLike, new: ArrayLike, saved: ArrayLike, groups: ArrayLike | None = None
) -> Estimate:
    """Change of the AUC between two sets of scores of the same rows.

    Parameters
    ----------
    truth, groups
        As in `auc_estimate`.
    new, saved : array_like of float, shape (n,)

    Returns
    -------
    Estimate
        AUC of `new` less that of `saved`: above 0 where it rose.

    Raises
    ------
    InputError
        As `roc_auc`; a class in one row or group alone.
    """
    scores = {"new": np.asarray(new), "saved": np.asarray(saved)}
    units = None if groups is None else np.asarray(groups)
    means = mean_scores([ScoredRun(np.asarray(truth), scores, groups=units)])
    return means.contrast({"new": 1, "saved": -1})


def judge(
    change: Estimate,
    rates: dict[str, RateChange],
    n_of_class: tuple[int, int],
    *,
    tolerance: float = TOLERANCE,
) -> tuple[Verdict, tuple[str, ...]]:
    """Decide whether a probe holds.

    Parameters
    ----------
    change : Estimate
        New less saved AUC.
    rates : dict of str to RateChange
        Rates at the saved threshold by name; empty without a threshold.
    n_of_class : (int, int)
        Rows of each class that were scored anew.
    tolerance : float, default TOLERANCE
        Loss of AUC that is tolerated, at least 0.

    Returns
    -------
    str
        - unsure: fewer than `MIN_ROWS` rows of a class.
        - degraded: the interval of the AUC change is below -tolerance.
        - unsure: that interval includes -tolerance.
        - threshold stale: a rate has moved, see `RateChange.moved`.
        - unsure: a rate is outside its interval, but the change might be 0.
        - holds: otherwise.

        The first that applies.
    tuple of str
        Reasons, one sentence each.
    """
    if min(n_of_class) < MIN_ROWS or not change.parts:
        return "unsure", (f"{min(n_of_class)} rows of a class; {MIN_ROWS} are needed",)
    low, high = change.interval
    shown = f"AUC {change.value:+.3f} [{low:+.3f}, {high:+.3f}]"
    moved = tuple(_moved(name, rate) for name, rate in rates.items() if rate.moved)
    if high < -tolerance:
        return "degraded", (f"{shown}: a loss of more than {tolerance:g}", *moved)
    if low < -tolerance:
        doubt = f"{shown}: a loss of {tolerance:g} is neither excluded nor certain"
        return "unsure", (doubt, *moved)
    holds = f"{shown}: a loss of more than {tolerance:g} is excluded"
    if moved:
        return "threshold stale", (holds, *moved)
    doubtful = [_moved(name, rate) for name, rate in rates.items() if rate.outside]
    if doubtful:
        return "unsure", (holds, *(f"{text}, but the change may be chance" for text in doubtful))
    return "holds", (holds,)


def _moved(name: str, rate: RateChange) -> str:
    low, high = rate.saved.interval
    return f"{name} {rate.new.value:.3f} left {low:.3f} to {high:.3f}, its interval when saved"
