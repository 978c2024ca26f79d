"""Two methods over several tasks: tests, intervals, several comparisons at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from w2sprobe.errors import InputError, UnknownName
from w2sprobe.metrics._checks import check_scores
from w2sprobe.metrics.estimates import CONFIDENCE, Interval
from w2sprobe.metrics.gaps import TIE_DECIMALS

EXACT_WITH_TIES = 20  # pairs; beyond, the normal approximation with tie correction
ALTERNATIVES = ("greater", "less", "two-sided")


@dataclass(frozen=True)
class PairedTests:
    """Whether a exceeds b over the same tasks.

    Parameters
    ----------
    n : int
        Pairs.
    wins : int
        Pairs with a > b, whatever the alternative.
    t_pvalue : float
        Paired t test; nan where all differences are equal.
    wilcoxon_pvalue : float
        Signed-rank test; pairs without a difference are dropped.
    sign_pvalue : float
        Exact binomial test of the wins; pairs without a difference are dropped.
    """

    n: int
    wins: int
    t_pvalue: float
    wilcoxon_pvalue: float
    sign_pvalue: float


@dataclass(frozen=True)
class TaskBootstrap:
    """Mean and median over tasks, with percentile intervals of 95 %.

    Parameters
    ----------
    mean, median : float
        Each with an interval of the same name.
    """

    mean: float
    mean_interval: Interval
    median: float
    median_interval: Interval


def paired_tests(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    alternative: Literal["greater", "less", "two-sided"] = "greater",
) -> PairedTests:
    """t, Wilcoxon and sign test of paired results, such as the PGR of two methods over tasks.

    Parameters
    ----------
    a, b : array_like of float, shape (n,)
        Finite, n at least 2; a[i] and b[i] belong to the same task.
    alternative : "greater", "less" or "two-sided"
        "greater": a tends to exceed b.

    Returns
    -------
    PairedTests

    Raises
    ------
    InputError
        Shapes differ, fewer than 2 pairs, or a value is not finite: leave out a task whose PGR is
        undefined, in both.
    UnknownName
        No such alternative.

    Notes
    -----
    Differences that agree to `TIE_DECIMALS` decimals count as equal. The signed-rank test is exact:
    without ties up to 50 pairs, as scipy has it, with ties up to `EXACT_WITH_TIES`.

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
        t_pvalue=pvalue(stats.ttest_1samp, difference, 0.0) if np.ptp(difference) else float("nan"),
        wilcoxon_pvalue=_signed_rank_pvalue(difference[difference != 0], alternative),
        sign_pvalue=pvalue(stats.binomtest, wins, wins + losses) if wins + losses else 1.0,
    )


def _signed_rank_pvalue(difference: np.ndarray, alternative: str) -> float:
    """Of differences that are not 0."""
    from scipy import stats

    n = len(difference)
    if not n:
        return 1.0
    if n > EXACT_WITH_TIES or len(np.unique(np.abs(difference))) == n:
        return float(stats.wilcoxon(difference, alternative=alternative).pvalue)
    # scipy tries all 2^n signs in Python; the sum of ranks has few values, so add rank by rank
    ranks = np.rint(2 * stats.rankdata(np.abs(difference))).astype(int)  # twice: midranks
    chance = np.zeros(ranks.sum() + 1)
    chance[0] = 1
    for rank in ranks:
        chance[rank:] += chance[:-rank].copy()
        chance /= 2
    found = ranks[difference > 0].sum()
    greater, less = float(chance[found:].sum()), float(chance[: found + 1].sum())
    return {"greater": greater, "less": less}.get(alternative, min(1.0, 2 * min(greater, less)))


def task_bootstrap(
    differences: npt.ArrayLike, *, n_resamples: int = 10_000, seed: int = 0
) -> TaskBootstrap:
    """Mean and median of one number a task, with bootstrap intervals over tasks.

    Parameters
    ----------
    differences : array_like of float, shape (n,)
        Finite, n at least 2; such as the PGR of one method less that of another.
    n_resamples : int
        Replicates.
    seed : int
        Same seed, same intervals.

    Returns
    -------
    TaskBootstrap

    Raises
    ------
    InputError
        Fewer than 2 tasks, or a value is not finite.

    Notes
    -----
    Tasks are drawn as if they were independent; intervals are those of other tasks like these.
    What seeds and test rows add to a difference is in it, since it adds to the spread of tasks.
    """
    from scipy import stats

    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise InputError(f"differences has shape {values.shape}", allowed="(n,), n at least 2")
    check_scores(values, "differences", len(values))

    def interval(statistic: Callable[..., Any]) -> Interval:
        # sorted: the order of tasks must not decide which of them are drawn
        found = stats.bootstrap(
            (np.sort(values),),
            statistic,
            n_resamples=n_resamples,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval
        return float(found.low), float(found.high)

    return TaskBootstrap(
        mean=float(values.mean()),
        mean_interval=interval(np.mean),
        median=float(np.median(values)),
        median_interval=interval(np.median),
    )


def holm(pvalues: npt.ArrayLike) -> np.ndarray:
    """P values adjusted for their number, so that the chance of any false alarm stays bounded.

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

    Notes
    -----
    Step-down: the i-th smallest of n is multiplied by n - i + 1, and none falls below a smaller
    one (Holm 1979, Scandinavian Journal of Statistics 6). No assumption on how tests depend.

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
    factors = np.arange(len(order), 0, -1)
    adjusted = np.full(len(raw), np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * raw[order]), 1)
    return adjusted
