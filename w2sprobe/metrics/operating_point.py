"""A fixed threshold: recall and false-positive rate there, and how both change with the scores."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from w2sprobe.metrics._checks import check_groups, check_scores, check_truth
from w2sprobe.metrics.estimates import Interval
from w2sprobe.metrics.monitoring import ScoredClass, wilson


@dataclass(frozen=True)
class Rate:
    """Share of the rows of one class above a threshold, with its 95 % interval (Wilson 1927).

    Parameters
    ----------
    n_effective : float
        Rows of the class; fewer if rows of a group are above the threshold together.
    """

    value: float
    interval: Interval
    n_effective: float


@dataclass(frozen=True)
class RateChange:
    """A rate at a fixed threshold, before and after the scores changed.

    Parameters
    ----------
    change : float
        New less saved rate.
    interval : tuple of float
        95 % interval of the change.
    """

    saved: Rate
    new: Rate
    change: float
    interval: Interval

    @property
    def outside(self) -> bool:
        """Whether the new rate is outside the interval of the saved one."""
        low, high = self.saved.interval
        return not low <= self.new.value <= high

    @property
    def moved(self) -> bool:
        """Whether it is outside, and the interval of the change excludes 0."""
        return self.outside and not self.interval[0] <= 0 <= self.interval[1]


def rates_at(
    truth: ArrayLike, scores: ArrayLike, threshold: float, groups: ArrayLike | None = None
) -> tuple[Rate, Rate]:
    """Recall and false-positive rate of the rows whose score is above a threshold.

    Parameters
    ----------
    truth : array_like of 0 and 1, shape (n,)
        Both classes present.
    scores : array_like of float, shape (n,)
        Finite; higher means more like class 1.
    groups : array_like of str or int, shape (n,), optional
        Rows that share a value are one unit.

    Raises
    ------
    InputError
        As `roc_auc`; groups of one value only.

    Examples
    --------
    >>> recall, fpr = rates_at([0, 0, 0, 0, 1, 1], [0.1, 0.2, 0.3, 0.6, 0.5, 0.7], 0.4)
    >>> recall.value, fpr.value, [round(end, 2) for end in fpr.interval]
    (1.0, 0.25, [0.05, 0.7])
    """
    positive = check_truth(truth)
    values = check_scores(scores, "scores", len(positive)).astype(np.float64)
    units = None if groups is None else check_groups(groups, len(positive))
    rates = []
    for of_class in (positive, ~positive):
        scored = ScoredClass(values[of_class], None if units is None else units[of_class])
        share, n = scored.share_above(threshold), scored.n_effective(threshold)
        low, high = wilson(share, n)
        # rounding may leave the share itself just outside
        rates.append(Rate(share, (max(0.0, min(low, share)), min(1.0, max(high, share))), n))
    return rates[0], rates[1]


def rate_change(
    saved: Rate, new: Rate, above: tuple[np.ndarray, np.ndarray] | None = None
) -> RateChange:
    """Change of a rate between two sets of scores.

    Parameters
    ----------
    above : (ndarray of bool, ndarray of bool), each of shape (n,), optional
        Saved and new decisions for the same rows of the class. None: the rates are of other rows.

    Notes
    -----
    Square-and-add of two Wilson intervals: Newcombe 1998, Statistics in Medicine 17, 873-890,
    method 10, for other rows; 2635-2650, method 10, for the same rows.
    """
    phi = 0.0 if above is None else _correlation(*above)
    change = new.value - saved.value

    def reach(up: float, down: float) -> float:
        return math.sqrt(max(0.0, up**2 + down**2 - 2 * phi * up * down))

    low = change - reach(new.value - new.interval[0], saved.interval[1] - saved.value)
    high = change + reach(new.interval[1] - new.value, saved.value - saved.interval[0])
    return RateChange(saved, new, change, (max(-1.0, low), min(1.0, high)))


def _correlation(saved: np.ndarray, new: np.ndarray) -> float:
    """Correlation of two decisions on the same rows, with Newcombe's continuity correction."""
    n = len(saved)
    both, neither = int((saved & new).sum()), int((~saved & ~new).sum())
    only_saved, only_new = int((saved & ~new).sum()), int((~saved & new).sum())
    product = int(saved.sum()) * int(new.sum())
    product *= (n - int(saved.sum())) * (n - int(new.sum()))
    if not product:
        return 0.0
    covariance = both * neither - only_saved * only_new
    corrected = max(covariance - n / 2, 0) if covariance > 0 else covariance
    return corrected / math.sqrt(product)
