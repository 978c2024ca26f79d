"""Two methods over several tasks: tests, intervals, correction for several comparisons."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from w2sprobe.errors import InputError, UnknownName
from w2sprobe.metrics._checks import check_scores
from w2sprobe.metrics.estimates import CONFIDENCE, Interval, t_quantile
from w2sprobe.metrics.gaps import TIE_DECIMALS

EXACT_WITH_TIES = 20  # pairs; with more, the normal approximation with tie correction
Alternative = Literal["greater", "less", "two-sided"]
ALTERNATIVES: tuple[Alternative, ...] = get_args(Alternative)


@dataclass(frozen=True)
class PairedTests:
    """Tests of whether a exceeds b over the same tasks.

    Parameters
    ----------
    n : int
        Pairs.
    wins, losses : int
        Pairs with a > b and with a < b, whatever the alternative.
    t_pvalue : float
        Paired t test; nan where all differences are equal.
    wilcoxon_pvalue : float
        Signed-rank test; pairs without a difference are dropped.
    sign_pvalue : float
        Exact binomial test of the wins; pairs without a difference are dropped.
    """

    n: int
    wins: int
    losses: int
    t_pvalue: float
    wilcoxon_pvalue: float
    sign_pvalue: float


@dataclass(frozen=True)
class TaskMean:
    """Mean over tasks, with Student's t interval of 95 %.

    Parameters
    ----------
    n : int
        Tasks.
    mean, median : float
        nan without tasks.
    mean_interval : tuple of float
        nan for fewer than 2 tasks, like `sd` and `pvalue`.
    sd : float
        Standard deviation over tasks, with n - 1 in the denominator.
    pvalue : float
        Two-sided t test of the hypothesis that the mean is 0; nan where all values are equal.
    """

    n: int
    mean: float
    mean_interval: Interval
    sd: float
    median: float
    pvalue: float


def paired_tests(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    alternative: Alternative = "greater",
) -> PairedTests:
    """t, Wilcoxon and sign test of paired results, such as the PGR of two methods over tasks.

    Parameters
    ----------
    a, b : array_like of float, shape (n,)
        Finite, n at least 2; a[i] and b[i] belong to the same task. Leave out, in both, tasks whose
        PGR is undefined. Differences that agree to `TIE_DECIMALS` decimals tie.
    alternative : "greater", "less" or "two-sided"
        "greater": a tends to exceed b.

    Raises
    ------
    InputError
        Shapes differ, fewer than 2 pairs, or a value is not finite.
    UnknownName
        No such alternative.

    Examples
    --------
    >>> paired_tests([0.4, 0.5, 0.7], [0.3, 0.6, 0.4]).wins
    2
    """
    from scipy import stats

    if alternative not in ALTERNATIVES:
        raise UnknownName("alternative", alternative, ALTERNATIVES)
    first = np.asarray(a, dtype=np.float64)
    if first.ndim != 1 or len(first) < 2:
        raise InputError(f"a has shape {first.shape}", allowed="(n,), n at least 2")
    difference = np.round(
        check_scores(first, "a", len(first)) - check_scores(b, "b", len(first)), TIE_DECIMALS
    )
    wins, losses = int((difference > 0).sum()), int((difference < 0).sum())

    def pvalue(test: Callable[..., Any], *arguments: object) -> float:
        return float(test(*arguments, alternative=alternative).pvalue)

    return PairedTests(
        n=len(difference),
        wins=wins,
        losses=losses,
        t_pvalue=pvalue(stats.ttest_1samp, difference, 0.0) if np.ptp(difference) else math.nan,
        wilcoxon_pvalue=_signed_rank_pvalue(difference[difference != 0], alternative),
        sign_pvalue=pvalue(stats.binomtest, wins, wins + losses) if wins + losses else 1.0,
    )


def _signed_rank_pvalue(difference: np.ndarray, alternative: str) -> float:
    """P value of Wilcoxon's signed-rank test for differences that are not 0."""
    from scipy import stats

    n = len(difference)
    if not n:
        return 1.0
    if n > EXACT_WITH_TIES or len(np.unique(np.abs(difference))) == n:
        return float(stats.wilcoxon(difference, alternative=alternative).pvalue)
    # Exact with ties. scipy tries all 2^n signs in Python; the sum of ranks has few values, so its
    # distribution is built rank by rank. Twice the midranks are integers.
    ranks = np.rint(2 * stats.rankdata(np.abs(difference))).astype(int)
    chance = np.zeros(ranks.sum() + 1)
    chance[0] = 1
    for rank in ranks:
        chance[rank:] += chance[:-rank].copy()
        chance /= 2
    rank_sum = ranks[difference > 0].sum()
    greater, less = float(chance[rank_sum:].sum()), float(chance[: rank_sum + 1].sum())
    return {"greater": greater, "less": less}.get(alternative, min(1.0, 2 * min(greater, less)))


def task_mean(differences: npt.ArrayLike) -> TaskMean:
    """Mean of one number per task, with Student's t interval over tasks.

    Parameters
    ----------
    differences : array_like of float, shape (n,)
        Finite; such as the AUC of one method less that of another, one per task.

    Returns
    -------
    TaskMean
        The tasks count as independent draws: the interval is about further tasks like these, and
        the noise of seeds and test rows is part of their spread.

    Raises
    ------
    InputError
        Another shape, or a value is not finite.

    Examples
    --------
    >>> over_tasks = task_mean([0.01, 0.03, 0.02, 0.04])
    >>> round(over_tasks.mean, 3), [round(end, 3) for end in over_tasks.mean_interval]
    (0.025, [0.004, 0.046])
    """
    values = _check_differences(differences)
    if len(values) < 2:
        only = float(values[0]) if len(values) else math.nan
        return TaskMean(len(values), only, (math.nan, math.nan), math.nan, only, math.nan)
    from scipy import stats

    n, mean, sd = len(values), float(values.mean()), float(values.std(ddof=1))
    # Student 1908, Biometrika 6. A percentile bootstrap of few tasks is too narrow: nominal 95 %
    # cover 85 % with 5 tasks, 88 % with 8.
    reach = t_quantile((1 - CONFIDENCE) / 2, n - 1) * sd / math.sqrt(n)
    return TaskMean(
        n=n,
        mean=mean,
        mean_interval=(mean - reach, mean + reach),
        sd=sd,
        median=float(np.median(values)),
        pvalue=float(stats.ttest_1samp(values, 0.0).pvalue) if _vary(values) else math.nan,
    )


def equivalence(differences: npt.ArrayLike, margin: float) -> float:
    """P value of two one-sided t tests (TOST): small where the mean is within ± margin of 0.

    Parameters
    ----------
    differences : array_like of float, shape (n,)
        Finite, one per task.
    margin : float, above 0
        Largest difference that counts as none, in the unit of the differences.

    Returns
    -------
    float
        The larger of the two p values; nan for fewer than 2 tasks, and where all values are equal.

    Raises
    ------
    InputError
        Another shape, a value that is not finite, or no positive margin.

    Notes
    -----
    Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15.

    Examples
    --------
    >>> round(equivalence([0.001, -0.002, 0.003, 0.0], margin=0.01), 4)
    0.0014
    """
    values = _check_differences(differences)
    if not 0 < margin < math.inf:
        raise InputError(f"margin is {margin!r}", allowed="a number above 0")
    if len(values) < 2 or not _vary(values):
        return math.nan
    from scipy import stats

    # one test rejects a mean of -margin or less, the other one of margin or more
    above = stats.ttest_1samp(values, -margin, alternative="greater")
    below = stats.ttest_1samp(values, margin, alternative="less")
    return float(max(above.pvalue, below.pvalue))


def _check_differences(differences: npt.ArrayLike) -> np.ndarray:
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1:
        raise InputError(f"differences has shape {values.shape}", allowed="(n,)")
    return check_scores(values, "differences", len(values))


def _vary(values: np.ndarray) -> bool:
    """Whether values differ by more than rounding noise: only then is there a t test."""
    return bool(np.ptp(np.round(values, TIE_DECIMALS)))


def holm(pvalues: npt.ArrayLike) -> np.ndarray:
    """Adjust p values so that the chance of any false alarm stays bounded (Holm 1979).

    Parameters
    ----------
    pvalues : array_like of float, shape (n,)
        In [0, 1]; nan for a test that could not be made, which then does not count.

    Returns
    -------
    ndarray of float64, shape (n,)
        In the same order, never below the raw ones; nan where those are.

    Raises
    ------
    InputError
        Another shape, or a value outside [0, 1].

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    raw = np.asarray(pvalues, dtype=np.float64)
    if raw.ndim != 1:
        raise InputError(f"pvalues has shape {raw.shape}", allowed="(n,)")
    bad = np.flatnonzero((raw < 0) | (raw > 1))
    if bad.size:
        raise InputError(f"pvalues is {raw[bad[0]]}, row {bad[0]}", allowed="0 to 1, or nan")
    made = np.flatnonzero(~np.isnan(raw))
    order = made[np.argsort(raw[made])]
    # step-down: the i-th smallest of n times n - i + 1, and none below a smaller one
    factors = np.arange(len(order), 0, -1)
    adjusted = np.full(len(raw), np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * raw[order]), 1)
    return adjusted
