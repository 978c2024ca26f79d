"""AUC, performance gap recovered, and how sure we are of them: numpy and scipy only.

"Weak", "student" and "ceiling" are the weak supervisor, the strong model trained on its labels and
the strong model trained on the truth; all three are scored on the same test rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from w2sprobe.errors import InputError, UnknownName

MIN_GAP = 0.03  # a smaller gap between weak and ceiling is not resolved, however sure it is
MIN_GAP_Z = 4.0  # nor is one of fewer standard errors
CONFIDENCE = 0.95
MAX_REDRAWN = 0.1  # share of replicates without a class, beyond which the rest says little
TIE_DECIMALS = 12  # differences that agree so far tie: rounding noise must not decide a rank
ALTERNATIVES = ("greater", "less", "two-sided")
BLOCK_CELLS = 1 << 19  # replicates x rows held at once

Interval = tuple[float, float]


@dataclass(frozen=True)
class BootstrapPGR:
    """PGR and its parts, with percentile intervals of 95 % (`CONFIDENCE`).

    Parameters
    ----------
    weak_auc, student_auc, ceiling_auc : float
        In [0, 1]; each with an interval of the same name.
    gap : float
        ceiling_auc - weak_auc; positive where the strong model on truth is better.
    gap_se : float
        Standard deviation of the gap over replicates.
    delta_auc : float
        student_auc - weak_auc; positive where the student beats its supervisor.
    pgr : float
        delta_auc / gap; nan where the gap is 0.
    pgr_interval : tuple of float
        (-inf, inf) where more than 2.5 % of the replicates have no positive gap; nan with `pgr`.
    resolved : bool
        gap >= `MIN_GAP` and gap >= `MIN_GAP_Z` * gap_se: only then is `pgr` worth averaging.
    no_gap_share : float
        Share of replicates whose gap is not positive; they have no PGR and are left out of
        `pgr_interval`.
    n_redrawn : int
        Replicates drawn again because all of their rows were of one class.
    """

    weak_auc: float
    weak_auc_interval: Interval
    student_auc: float
    student_auc_interval: Interval
    ceiling_auc: float
    ceiling_auc_interval: Interval
    gap: float
    gap_interval: Interval
    gap_se: float
    delta_auc: float
    delta_auc_interval: Interval
    pgr: float
    pgr_interval: Interval
    resolved: bool
    no_gap_share: float
    n_redrawn: int


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


def roc_auc(truth: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Chance that a row of class 1 scores above a row of class 0, ties counting one half.

    Parameters
    ----------
    truth : array_like of 0 and 1, shape (n,)
        Both classes present.
    scores : array_like of float, shape (n,)
        Finite; higher means more like class 1. Only their order matters.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    InputError
        Shapes differ, `truth` is not 0 or 1 or has one class, or a score is not finite.

    Notes
    -----
    The Mann-Whitney statistic with midranks, divided by its maximum.

    Examples
    --------
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    0.875
    """
    positive = _check_truth(truth)
    beats = _Beats(positive, _check_scores(scores, "scores", len(positive)))
    n_pairs = int(positive.sum()) * int((~positive).sum())
    return int(beats.below.sum() + beats.upto.sum()) / (2 * n_pairs)


def pgr(weak: float, student: float, ceiling: float) -> float:
    """Compute the performance gap recovered: (student - weak) / (ceiling - weak).

    Parameters
    ----------
    weak, student, ceiling : float
        One metric, usually AUC, of the three models on the same rows.

    Returns
    -------
    float
        0: as good as the weak model; 1: as good as the ceiling; below 0 and above 1 occur.
        nan where ceiling equals weak.

    Notes
    -----
    Source: Burns et al., arXiv 2312.09390.

    Examples
    --------
    >>> pgr(0.5, 0.75, 1.0)
    0.5
    """
    return (student - weak) / (ceiling - weak) if ceiling != weak else float("nan")


def bootstrap_pgr(
    truth: npt.ArrayLike,
    weak: npt.ArrayLike,
    student: npt.ArrayLike,
    ceiling: npt.ArrayLike,
    *,
    n_resamples: int = 2000,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
) -> BootstrapPGR:
    """AUC, gap and PGR of three models with paired bootstrap intervals over test rows.

    Parameters
    ----------
    truth : array_like of 0 and 1, shape (n,)
        Both classes present.
    weak, student, ceiling : array_like of float, shape (n,)
        Scores of the same rows, finite; higher means more like class 1.
    n_resamples : int, at least 2
        Replicates.
    groups : array_like, shape (n,), optional
        Rows that share a value (a passage, a scenario) are drawn together. None: every row alone,
        which gives too narrow intervals when rows depend on one another.
    seed : int
        Same seed, same intervals.

    Returns
    -------
    BootstrapPGR

    Raises
    ------
    InputError
        As `roc_auc`, for each model; fewer than 2 groups or replicates; a negative seed.

    Notes
    -----
    Every replicate draws rows (or groups) once for all three models, so that what the models have
    in common cancels in differences (Efron & Tibshirani 1993). Replicates of one class have no AUC
    and are drawn again, with a count: the intervals are conditional on both classes. A ratio whose
    denominator may be 0 has no finite interval (Fieller 1954), hence `resolved` and the unbounded
    `pgr_interval`. O(n) time a replicate; memory does not grow with `n_resamples` times n.
    """
    positive = _check_truth(truth)
    n = len(positive)
    models = [
        _Beats(positive, _check_scores(scores, name, n))
        for name, scores in (("weak", weak), ("student", student), ("ceiling", ceiling))
    ]
    unit, n_units = _check_groups(groups, n)
    if n_resamples < 2:
        raise InputError(f"n_resamples too small: {n_resamples!r}", allowed="at least 2")
    if seed < 0:
        raise InputError(f"seed negative: {seed!r}", allowed="0 or more")

    def interval(replicates: np.ndarray) -> Interval:
        low, high = np.quantile(replicates, [tail, 1 - tail])
        return float(low), float(high)

    tail = (1 - CONFIDENCE) / 2
    aucs, n_redrawn = _replicates(models, unit, n_units, n_resamples, seed)
    once = np.ones((1, n), dtype=np.int64)
    weak_auc, student_auc, ceiling_auc = (float(model.auc(once)[0]) for model in models)
    delta, gap = aucs[1] - aucs[0], aucs[2] - aucs[0]
    has_gap = gap > 0
    no_gap_share = float(np.mean(gap <= 0))
    if ceiling_auc == weak_auc:
        pgr_interval = (float("nan"), float("nan"))
    elif no_gap_share > tail:
        pgr_interval = (float("-inf"), float("inf"))
    else:
        pgr_interval = interval(delta[has_gap] / gap[has_gap])
    gap_se = float(gap.std(ddof=1))
    point_gap = ceiling_auc - weak_auc
    return BootstrapPGR(
        weak_auc=weak_auc,
        weak_auc_interval=interval(aucs[0]),
        student_auc=student_auc,
        student_auc_interval=interval(aucs[1]),
        ceiling_auc=ceiling_auc,
        ceiling_auc_interval=interval(aucs[2]),
        gap=point_gap,
        gap_interval=interval(gap),
        gap_se=gap_se,
        delta_auc=student_auc - weak_auc,
        delta_auc_interval=interval(delta),
        pgr=pgr(weak_auc, student_auc, ceiling_auc),
        pgr_interval=pgr_interval,
        resolved=point_gap >= MIN_GAP and point_gap >= MIN_GAP_Z * gap_se,
        no_gap_share=no_gap_share,
        n_redrawn=n_redrawn,
    )


def auc_intervals(
    truth: npt.ArrayLike,
    scores: Sequence[npt.ArrayLike],
    *,
    n_resamples: int = 2000,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
) -> list[Interval] | None:
    """95 % bootstrap intervals of the AUCs of several scores of the same rows.

    Parameters
    ----------
    truth : array_like of 0 and 1, shape (n,)
        Both classes present.
    scores : sequence of array_like of float, shape (n,)
        Finite; higher means more like class 1.
    n_resamples : int
        Replicates; the same ones for all scores.
    groups : array_like, shape (n,), optional
        As in `bootstrap_pgr`.
    seed : int
        Same seed, same intervals.

    Returns
    -------
    list of tuple of float, or None
        None: the rows or groups are too few, so that more than `MAX_REDRAWN` of all replicates
        would lack a class and the others would all be alike.

    Raises
    ------
    InputError
        As `roc_auc`.
    """
    positive = _check_truth(truth)
    n = len(positive)
    models = [
        _Beats(positive, _check_scores(one, f"scores {number}", n))
        for number, one in enumerate(scores)
    ]
    if groups is not None and len(np.unique(np.asarray(groups))) < 2:
        return None
    unit, n_units = _check_groups(groups, n)
    aucs, n_redrawn = _replicates(models, unit, n_units, n_resamples, seed)
    if n_redrawn > MAX_REDRAWN * (n_redrawn + n_resamples):
        return None
    tail = (1 - CONFIDENCE) / 2
    bounds = np.quantile(aucs, [tail, 1 - tail], axis=1)
    return [(float(low), float(high)) for low, high in bounds.T]


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
    Differences that agree to `TIE_DECIMALS` decimals count as equal.

    Examples
    --------
    >>> paired_tests([0.4, 0.5, 0.7], [0.3, 0.6, 0.4]).wins
    2
    """
    if alternative not in ALTERNATIVES:
        raise UnknownName("alternative", alternative, ALTERNATIVES)
    first = np.asarray(a, dtype=np.float64)
    if first.ndim != 1 or len(first) < 2:
        raise InputError(f"a has shape {first.shape}", allowed="(n,), n at least 2")
    difference = np.round(
        _check_scores(first, "a", len(first)) - _check_scores(b, "b", len(first)), TIE_DECIMALS
    )
    wins, losses = int((difference > 0).sum()), int((difference < 0).sum())

    def pvalue(test: Callable[..., Any], *arguments: object) -> float:
        return float(test(*arguments, alternative=alternative).pvalue)

    return PairedTests(
        n=len(difference),
        wins=wins,
        t_pvalue=pvalue(stats.ttest_1samp, difference, 0.0) if np.ptp(difference) else float("nan"),
        wilcoxon_pvalue=pvalue(stats.wilcoxon, difference) if wins + losses else 1.0,
        sign_pvalue=pvalue(stats.binomtest, wins, wins + losses) if wins + losses else 1.0,
    )


class _Beats:
    """How many rows of class 0 each row of class 1 beats, by one model's scores."""

    def __init__(self, positive: np.ndarray, scores: np.ndarray) -> None:
        ones, zeros = np.flatnonzero(positive), np.flatnonzero(~positive)
        self.ones = ones[np.argsort(scores[ones])]
        self.zeros = zeros[np.argsort(scores[zeros])]
        # of the sorted rows of class 0, those strictly below, and those below or tied
        self.below = np.searchsorted(scores[self.zeros], scores[self.ones], side="left")
        self.upto = np.searchsorted(scores[self.zeros], scores[self.ones], side="right")

    def auc(self, counts: np.ndarray) -> np.ndarray:
        """AUC when row i occurs counts[:, i] times; exact in integers up to the division."""
        ones, zeros = counts[:, self.ones], counts[:, self.zeros]
        beaten = np.zeros((len(counts), len(self.zeros) + 1), dtype=np.int64)
        np.cumsum(zeros, axis=1, out=beaten[:, 1:])
        twice = np.einsum("ri,ri->r", ones, beaten[:, self.below] + beaten[:, self.upto])
        return np.asarray(twice / (2 * ones.sum(axis=1) * beaten[:, -1]))


def _replicates(
    models: list[_Beats], unit: np.ndarray, n_units: int, n_resamples: int, seed: int
) -> tuple[np.ndarray, int]:
    """AUC of each model in each replicate, (3, n_resamples), and the number drawn again."""
    generator = np.random.default_rng(seed)
    ones = models[0].ones
    aucs = np.empty((len(models), n_resamples))
    done = n_drawn = 0
    # ends: whatever the data, at least every second replicate holds both classes on average
    while done < n_resamples:
        size = min(max(1, BLOCK_CELLS // len(unit)), n_resamples - done)
        drawn = generator.integers(n_units, size=(size, n_units))
        drawn += n_units * np.arange(size)[:, np.newaxis]
        counts = np.bincount(drawn.ravel(), minlength=size * n_units).reshape(size, n_units)
        counts = counts[:, unit]
        n_ones = counts[:, ones].sum(axis=1)
        counts = counts[(n_ones > 0) & (n_ones < counts.sum(axis=1))]
        for row, model in enumerate(models):
            aucs[row, done : done + len(counts)] = model.auc(counts)
        done += len(counts)
        n_drawn += size
    return aucs, n_drawn - n_resamples


def _check_truth(truth: npt.ArrayLike) -> np.ndarray:
    values = np.asarray(truth)
    if values.ndim != 1:
        raise InputError(f"truth has shape {values.shape}", allowed="(n,)")
    positive = np.asarray(values == 1)
    bad = np.flatnonzero(~(positive | (values == 0)))
    if bad.size:
        raise InputError(
            f"truth is {values.tolist()[bad[0]]!r}, row {bad[0]} (and {bad.size - 1} more)",
            allowed="0 and 1",
        )
    if positive.all() or not positive.any():
        raise InputError(
            f"truth has one class in {len(values)} rows",
            allowed="rows of both classes",
            advice="AUC compares the two; score more rows.",
        )
    return positive


def _check_scores(scores: npt.ArrayLike, name: str, n: int) -> np.ndarray:
    values = np.asarray(scores)
    if values.shape != (n,):
        raise InputError(f"{name} has shape {values.shape}", allowed=f"({n},), one a row")
    if values.dtype.kind not in "biuf":
        raise InputError(f"{name} has dtype {values.dtype}", allowed="numbers")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise InputError(
            f"{name} is {values.tolist()[bad[0]]!r}, row {bad[0]} (and {bad.size - 1} more)",
            allowed="finite numbers",
        )
    return values


def _check_groups(groups: npt.ArrayLike | None, n: int) -> tuple[np.ndarray, int]:
    if groups is None:
        return np.arange(n), n
    values = np.asarray(groups)
    if values.shape != (n,):
        raise InputError(f"groups has shape {values.shape}", allowed=f"({n},), one a row")
    names, unit = np.unique(values, return_inverse=True)
    if len(names) < 2:
        raise InputError(
            "groups has 1 value", allowed="at least 2 groups", advice="Pass groups=None."
        )
    return unit, len(names)
