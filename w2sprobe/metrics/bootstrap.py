"""Performance gap recovered on one task, and how sure we are of it.

"Weak", "student" and "ceiling" are the weak supervisor, the strong model trained on its labels and
the strong model trained on the truth; all three are scored on the same test rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from w2sprobe.errors import InputError
from w2sprobe.metrics._checks import check_groups, check_scores, check_seeds, check_truth
from w2sprobe.metrics.auc import Beats
from w2sprobe.metrics.gaps import MIN_GAP, MIN_GAP_SE, gap_objection

CONFIDENCE = 0.95
MAX_REDRAWN = 0.1  # share of replicates without a class, beyond which the rest says little
BLOCK_CELLS = 1 << 19  # replicates x rows held at once

Interval = tuple[float, float]


@dataclass(frozen=True)
class BootstrapPGR:
    """PGR and its parts, with percentile intervals of 95 % (`CONFIDENCE`).

    Parameters
    ----------
    weak_auc, student_auc, ceiling_auc : float
        In [0, 1], of several seeds the mean; each with an interval of the same name.
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
        No objection of `gap_objection`: only then is `pgr` worth averaging.
    no_gap_share : float
        Share of replicates whose gap is not positive; they have no PGR and are left out of
        `pgr_interval`.
    n_redrawn : int
        Replicates drawn again because all of their rows were of one class.
    n_seeds : int
        Seeds that were drawn from; 1: the intervals know of no noise from seeds.
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
    n_seeds: int


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
    min_gap: float = MIN_GAP,
    min_gap_se: float = MIN_GAP_SE,
) -> BootstrapPGR:
    """AUC, gap and PGR of three models with paired bootstrap intervals over rows and seeds.

    Parameters
    ----------
    truth : array_like of 0 and 1, shape (n,)
        Both classes present.
    weak, student, ceiling : array_like of float, shape (n,) or (n_seeds, n)
        Scores of the same rows, finite; higher means more like class 1. Several rows are one
        training run each: run i of the models that have several belongs to the same seed, a
        model with one run serves all seeds.
    n_resamples : int, at least 2
        Replicates.
    groups : array_like, shape (n,), optional
        Rows that share a value (a passage, a scenario) are drawn together. None: every row alone,
        which gives too narrow intervals when rows depend on one another.
    seed : int
        Same seed, same intervals.
    min_gap, min_gap_se : float
        Thresholds of `resolved`, as in `gap_objection`.

    Returns
    -------
    BootstrapPGR
        Of several seeds: mean AUCs, and the PGR of these means.

    Raises
    ------
    InputError
        As `roc_auc`, for each model; fewer than 2 groups or replicates; a negative seed; models
        that differ in the number of their seeds.

    Notes
    -----
    Every replicate draws rows (or groups) once for all three models, so that what the models have
    in common cancels in differences (Efron & Tibshirani 1993). Of several seeds it draws as many
    again, with replacement and independently of the rows, since all seeds meet the same rows: the
    bootstrap of two crossed factors (Owen 2007, The pigeonhole bootstrap), whose variance errs
    upwards in what rows and seeds have in common. Seeds alone err downwards, by the factor
    (s - 1) / s of s seeds. Replicates of one class have no AUC
    and are drawn again, with a count: the intervals are conditional on both classes. A ratio whose
    denominator may be 0 has no finite interval (Fieller 1954), hence `resolved` and the unbounded
    `pgr_interval`. O(n) time a replicate; memory does not grow with `n_resamples` times n.
    """
    (result,) = bootstrap_pgrs(
        truth,
        weak,
        {"student": student},
        ceiling,
        n_resamples=n_resamples,
        groups=groups,
        seed=seed,
        min_gap=min_gap,
        min_gap_se=min_gap_se,
    ).values()
    return result


def bootstrap_pgrs(
    truth: npt.ArrayLike,
    weak: npt.ArrayLike,
    students: Mapping[str, npt.ArrayLike],
    ceiling: npt.ArrayLike,
    *,
    n_resamples: int = 2000,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
    min_gap: float = MIN_GAP,
    min_gap_se: float = MIN_GAP_SE,
) -> dict[str, BootstrapPGR]:
    """`bootstrap_pgr` of several students of one weak model and ceiling, on the same resamples.

    Parameters
    ----------
    truth, weak, ceiling, n_resamples, groups, seed, min_gap, min_gap_se
        As in `bootstrap_pgr`.
    students : mapping of str to array_like
        Each as `student` there. One more costs a quarter of a call of its own.

    Returns
    -------
    dict of str to BootstrapPGR
        What `bootstrap_pgr` returns of each.

    Raises
    ------
    InputError
        As `bootstrap_pgr`.
    """
    positive = check_truth(truth)
    n = len(positive)
    named = {"weak": weak, **{f"student {name}": one for name, one in students.items()}}
    named["ceiling"] = ceiling
    if len(students) == 1:
        named = dict(zip(("weak", "student", "ceiling"), named.values(), strict=True))
    models = [
        [Beats(positive, run) for run in check_seeds(scores, name, n)]
        for name, scores in named.items()
    ]
    n_seeds = max(map(len, models))
    if any(len(runs) not in (1, n_seeds) for runs in models):
        *first, last = named
        raise InputError(
            f"{', '.join(first)} and {last} have "
            f"{', '.join(str(len(runs)) for runs in models)} seeds",
            allowed="the same number, or one",
        )
    unit, n_units = check_groups(groups, n)
    if n_resamples < 2:
        raise InputError(f"n_resamples too small: {n_resamples!r}", allowed="at least 2")
    if seed < 0:
        raise InputError(f"seed negative: {seed!r}", allowed="0 or more")
    aucs, n_redrawn = _replicates(models, unit, n_units, n_resamples, seed)
    once = np.ones((1, n), dtype=np.int64)
    means = [float(np.mean([run.auc(once)[0] for run in runs])) for runs in models]

    def result(place: int) -> BootstrapPGR:
        three = [0, place, len(models) - 1]
        (weak_auc, student_auc, ceiling_auc), drawn = [means[one] for one in three], aucs[three]
        delta, gap = drawn[1] - drawn[0], drawn[2] - drawn[0]
        gap_se = float(gap.std(ddof=1))
        point_gap = ceiling_auc - weak_auc
        unsure = gap_objection(point_gap, gap_se, min_gap=min_gap, min_gap_se=min_gap_se)
        return BootstrapPGR(
            weak_auc=weak_auc,
            weak_auc_interval=_interval(drawn[0]),
            student_auc=student_auc,
            student_auc_interval=_interval(drawn[1]),
            ceiling_auc=ceiling_auc,
            ceiling_auc_interval=_interval(drawn[2]),
            gap=point_gap,
            gap_interval=_interval(gap),
            gap_se=gap_se,
            delta_auc=student_auc - weak_auc,
            delta_auc_interval=_interval(delta),
            pgr=pgr(weak_auc, student_auc, ceiling_auc),
            pgr_interval=_pgr_interval(delta, gap, has_pgr=ceiling_auc != weak_auc),
            resolved=not unsure,
            no_gap_share=float(np.mean(gap <= 0)),
            n_redrawn=n_redrawn,
            n_seeds=n_seeds,
        )

    return {name: result(place) for place, name in enumerate(students, start=1)}


def _pgr_interval(delta: np.ndarray, gap: np.ndarray, *, has_pgr: bool) -> Interval:
    if not has_pgr:
        return float("nan"), float("nan")
    if float(np.mean(gap <= 0)) > (1 - CONFIDENCE) / 2:
        return float("-inf"), float("inf")
    return _interval(delta[gap > 0] / gap[gap > 0])


def _interval(replicates: np.ndarray) -> Interval:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return float(low), float(high)


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
    positive = check_truth(truth)
    n = len(positive)
    models = [
        [Beats(positive, check_scores(one, f"scores {number}", n))]
        for number, one in enumerate(scores)
    ]
    if groups is not None and len(np.unique(np.asarray(groups))) < 2:
        return None
    unit, n_units = check_groups(groups, n)
    aucs, n_redrawn = _replicates(models, unit, n_units, n_resamples, seed)
    if n_redrawn > MAX_REDRAWN * (n_redrawn + n_resamples):
        return None
    tail = (1 - CONFIDENCE) / 2
    bounds = np.quantile(aucs, [tail, 1 - tail], axis=1)
    return [(float(low), float(high)) for low, high in bounds.T]


def _replicates(
    models: list[list[Beats]], unit: np.ndarray, n_units: int, n_resamples: int, seed: int
) -> tuple[np.ndarray, int]:
    """Mean AUC of each model's runs in each replicate, and the number drawn again.

    The first has shape (len(models), n_resamples).
    """
    generator = np.random.default_rng(seed)
    n_seeds = max(map(len, models))
    # a stream of its own: rows are drawn alike whatever the number of seeds
    drawn_seeds = np.random.default_rng([seed, 1]).integers(n_seeds, size=(n_resamples, n_seeds))
    ones = models[0][0].ones
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
        block = slice(done, done + len(counts))
        for row, runs in enumerate(models):
            every = np.stack([run.auc(counts) for run in runs], axis=1)
            if len(runs) > 1:
                every = np.take_along_axis(every, drawn_seeds[block], axis=1)
            aucs[row, block] = every.mean(axis=1)
        done += len(counts)
        n_drawn += size
    return aucs, n_drawn - n_resamples
