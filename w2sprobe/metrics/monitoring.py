"""Recall at a fixed rate of false alarms: what a probe that watches a model would detect."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from w2sprobe.errors import InputError
from w2sprobe.metrics._checks import check_groups, check_probabilities, check_scores, check_truth
from w2sprobe.metrics.estimates import CONFIDENCE, Interval, t_quantile
from w2sprobe.metrics.gaps import TIE_DECIMALS

FALSE_POSITIVE_RATES = (0.001, 0.005, 0.01, 0.05)
TAIL = (1 - CONFIDENCE) / 2


@dataclass(frozen=True)
class RecallAtFPR:
    """Recall at one false-positive rate, with its 95 % interval over rows.

    Parameters
    ----------
    fpr : float
        Largest share of rows of class 0 above the threshold.
    recall : float
        Share of the rows of class 1 above the threshold; nan with fewer than `n_needed` rows of
        class 0.
    interval : tuple of float
        Ends in [0, 1]; nan where `recall` is. The lower end is 0 if the rows of class 0 cannot
        bound the threshold from above, which takes 3.7 / fpr of them.
    threshold : float
        A row is above it if its score is larger; -inf if every row of class 0 may be above.
    n_zeros, n_needed : int
        Rows of class 0, and how many the rate needs: 1 / fpr, so that one may be above.
    """

    fpr: float
    recall: float
    interval: Interval
    threshold: float
    n_zeros: int
    n_needed: int


def recall_at_fpr(truth: ArrayLike, p: ArrayLike, fpr: float) -> float:
    """Share of ones above the lowest threshold with a false-positive rate of at most `fpr`.

    Parameters
    ----------
    truth : array_like of 0 and 1, shape (n,)
        Both classes present.
    p : array_like of float, shape (n,)
        P(label = 1), in [0, 1]. Only their order matters; rows of equal p lie on the same side.
    fpr : float
        Largest share of zeros above the threshold, in [0, 1]. The rate reached moves in steps of
        1 / (number of zeros): with fewer than 1 / fpr zeros no false positive is allowed at all.

    Returns
    -------
    float
        In [0, 1], higher is better; a point of the ROC curve, without interpolation.

    Raises
    ------
    InputError
        Shapes differ, `truth` is not 0 or 1 or has one class, or a number is outside [0, 1].

    Examples
    --------
    >>> recall_at_fpr([0, 0, 0, 0, 1, 1], [0.1, 0.2, 0.3, 0.6, 0.5, 0.7], 0.2)
    0.5
    >>> recall_at_fpr([0, 0, 0, 0, 1, 1], [0.1, 0.2, 0.3, 0.6, 0.5, 0.7], 0.25)
    1.0
    """
    _check_rate(fpr)
    positive, values = check_probabilities(truth, p)
    if positive.all() or not positive.any():
        raise InputError(
            f"truth has one class in {len(values)} rows", allowed="rows of both classes"
        )
    zeros = np.sort(values[~positive])[::-1]
    return float((values[positive] > _threshold(zeros, _n_allowed(len(zeros), fpr))).mean())


def recalls_at_fpr(
    truth: ArrayLike,
    scores: ArrayLike,
    fprs: Sequence[float] = FALSE_POSITIVE_RATES,
    groups: ArrayLike | None = None,
) -> tuple[RecallAtFPR, ...]:
    """Recall at each false-positive rate, with 95 % intervals over rows or groups of rows.

    Parameters
    ----------
    truth : array_like of 0 and 1, shape (n,)
        Both classes present.
    scores : array_like of float, shape (n,)
        Finite; higher means more like class 1. Only their order matters; rows of equal score lie on
        the same side of a threshold.
    fprs : sequence of float, each above 0 and at most 1
        Default: .001, .005, .01 and .05.
    groups : array_like of str or int, shape (n,), optional
        Rows that share a value (a passage, a conversation) are one unit. None: rows are
        independent; if they are not, the intervals are too narrow.

    Raises
    ------
    InputError
        As `roc_auc`; a rate of 0 or outside [0, 1]; groups of one value only.

    Notes
    -----
    Two sources of noise, each with its own interval, are combined by square-and-add (Newcombe 1998,
    Statistics in Medicine 17, 873-890; Zou & Donner 2008, 27, 1693-1702, equation 8):

    - Rows of class 1, at the threshold taken as fixed: Wilson's interval of a share (1927).
    - Rows of class 0, which set the threshold: the number of them above the true threshold is
      binomial, so two of their scores bound it without assumptions on the distribution (Hilgers
      1991, Methods of Information in Medicine 30, 96-101), and the recalls at these bound the
      recall.

    With groups, both use the effective number of rows (Rao & Scott 1992, Biometrics 48, 577-585).
    A bootstrap instead repeats the few highest zeros and never sees a higher one: with 1 / fpr
    zeros its intervals hold the truth in about 70 % of samples (`docs/coverage.md`).

    Examples
    --------
    >>> truth = np.arange(2000) % 2
    >>> scores = np.arange(2000) / 1000 % 1 + truth
    >>> (found,) = recalls_at_fpr(truth, scores, [0.01])
    >>> found.recall, [round(end, 3) for end in found.interval]
    (1.0, [0.996, 1.0])
    >>> recalls_at_fpr(truth[:100], scores[:100])[0].n_needed
    1000
    """
    positive = check_truth(truth)
    values = check_scores(scores, "scores", len(positive)).astype(np.float64)
    units = None if groups is None else check_groups(groups, len(positive))
    for fpr in fprs:
        _check_rate(fpr)
        if fpr == 0:
            raise InputError("fpr is 0", allowed="above 0, at most 1")
    ones, zeros = (
        ScoredClass(values[of_class], None if units is None else units[of_class])
        for of_class in (positive, ~positive)
    )
    return tuple(_recall(ones, zeros, fpr) for fpr in fprs)


@dataclass(frozen=True)
class ScoredClass:
    """Scores of the rows of one class, and the groups of these rows."""

    scores: np.ndarray
    groups: np.ndarray | None

    def share_above(self, threshold: float) -> float:
        """Share of the rows whose score is larger."""
        return float((self.scores > threshold).mean())

    def n_effective(self, threshold: float) -> float:
        """Rows, less if rows of a group are above the threshold together.

        Rows / design effect of the share above the threshold, if that is more than 1: Rao & Scott
        1992.
        """
        above = self.scores > threshold
        n, share = len(above), above.mean()
        if self.groups is None or share in (0, 1):
            return float(n)
        _, group = np.unique(self.groups, return_inverse=True)
        sums = np.bincount(group, above - share)
        if len(sums) < 2:
            return 1.0
        variance = len(sums) / (len(sums) - 1) * float(sums @ sums) / n**2
        design_effect = round(variance / (share * (1 - share) / (n - 1)), TIE_DECIMALS)
        return float(n / max(1.0, design_effect))


def _recall(ones: ScoredClass, zeros: ScoredClass, fpr: float) -> RecallAtFPR:
    n_zeros, n_needed = len(zeros.scores), math.ceil(round(1 / fpr, 9))
    if n_zeros < n_needed:
        return RecallAtFPR(fpr, math.nan, (math.nan, math.nan), math.nan, n_zeros, n_needed)
    falling = np.sort(zeros.scores)[::-1]
    threshold = _threshold(falling, _n_allowed(n_zeros, fpr))
    recall = ones.share_above(threshold)
    low, high = wilson(recall, ones.n_effective(threshold))
    lowest, highest = _bounds(ones, falling, fpr, int(zeros.n_effective(threshold)))
    # Zou & Donner 2008, equation 8: distances from the estimate are added as squares
    interval = (
        max(0.0, recall - math.hypot(recall - low, recall - lowest)),
        min(1.0, recall + math.hypot(high - recall, highest - recall)),
    )
    return RecallAtFPR(fpr, recall, interval, threshold, n_zeros, n_needed)


def _check_rate(fpr: float) -> None:
    if not 0 <= fpr <= 1:
        raise InputError(f"fpr is {fpr!r}", allowed="0 to 1")


def _n_allowed(n_zeros: int, fpr: float) -> int:
    """Most false positives whose rate is not above `fpr`."""
    # i / n is rounded as in a ROC curve's rates, while fpr * n might round to the next integer
    return int((np.arange(1, n_zeros + 1) / n_zeros <= fpr).sum())


def _threshold(zeros: np.ndarray, n_above: int) -> float:
    """Lowest score that at most `n_above` zeros, sorted downwards, exceed."""
    return float(zeros[n_above]) if n_above < len(zeros) else -math.inf


def wilson(share: float, n: float) -> Interval:
    """Wilson 1927, Journal of the American Statistical Association 22, 209-212."""
    z = t_quantile(TAIL, math.inf)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return middle - reach, middle + reach


def _bounds(ones: ScoredClass, falling: np.ndarray, fpr: float, n: int) -> Interval:
    """Recalls at the 95 % bounds of the threshold that a share `fpr` of all zeros exceeds.

    `falling` are the scores of the zeros, sorted downwards; `n` is their effective number.
    """
    from scipy import special  # scipy.stats takes a second to load

    # Of n zeros, K ~ Bin(n, fpr) exceed the threshold: it is below the K-th highest score and not
    # below the next one. K = 0 leaves no bound.
    cumulated = special.bdtr(np.arange(n + 1), n, fpr)
    fewest, most = (int(np.searchsorted(cumulated, tail)) for tail in (TAIL, 1 - TAIL))
    n_rows = len(falling) / n  # rows per effective row
    few, many = math.floor(fewest * n_rows), math.ceil(most * n_rows)
    lowest = float((ones.scores >= falling[few - 1]).mean()) if few else 0.0
    return lowest, ones.share_above(_threshold(falling, many))
