"""Methods against one of them: which tasks count, differences, tests, noise of seeds."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from itertools import combinations
from typing import Literal, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict

from w2sprobe.comparison.scores import Score, complete_scores
from w2sprobe.errors import InputError, UnknownName
from w2sprobe.metrics import (
    MIN_GAP,
    MIN_GAP_SE,
    gap_objection,
    holm,
    paired_tests,
    pgr,
    task_bootstrap,
    variance_components,
)
from w2sprobe.results import Interval

Unit = Literal["pgr", "auc"]
UNITS: tuple[Unit, ...] = get_args(Unit)
BASELINES = ("student", "xent")  # what the plain student is called: by us, in the source
SATURATED = 0.999
TESTS = ("t", "wilcoxon", "sign")
UNKNOWN = float("nan")
UNKNOWN_INTERVAL = (UNKNOWN, UNKNOWN)

Seeds = dict[str, Score]  # a method's scores on one task


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskRow(_Row):
    """One task: its gap, and every method's mean over seeds.

    `resolved` tasks have a gap that is large and sure enough for a PGR. `excluded` says why the
    task's PGR is not averaged; empty where it is. `saturated` tasks are left out in AUC as well.
    nan: not known.
    """

    task: str
    n_seeds: int
    weak_auc: float
    ceiling_auc: float
    gap: float
    gap_se: float
    resolved: bool
    excluded: str
    saturated: bool
    auc: dict[str, float]
    pgr: dict[str, float]


class PairRow(_Row):
    """A method less the one it is compared against, on one task, over the seeds both have."""

    method: str
    task: str
    n_seeds: int
    auc_difference: float
    pgr_difference: float


class Difference(_Row):
    """Mean, median, intervals over tasks and tests of one difference a task.

    `n` tasks count, `wins` of them are above 0; `sd` is the standard deviation over tasks. p
    values are one-sided (greater) for methods and two-sided for A/A. nan where
    there are too few tasks.
    """

    n: int
    wins: int
    mean: float = UNKNOWN
    mean_interval: Interval = UNKNOWN_INTERVAL
    median: float = UNKNOWN
    median_interval: Interval = UNKNOWN_INTERVAL
    sd: float = UNKNOWN
    t_pvalue: float = UNKNOWN
    wilcoxon_pvalue: float = UNKNOWN
    sign_pvalue: float = UNKNOWN


class MethodRow(Difference):
    """A method against another in one unit; `n_shown` tasks have both.

    `t_holm` and its like are the p values adjusted for the number of methods.
    """

    method: str
    unit: Unit
    n_shown: int
    t_holm: float = UNKNOWN
    wilcoxon_holm: float = UNKNOWN
    sign_holm: float = UNKNOWN


class SeedRow(_Row):
    """Noise of a method's seeds in one unit, from tasks that count.

    `seed_sd` is the standard deviation of one run within a task, with its interval; `task_sd` that
    of the tasks' own levels (0 where the estimate of the variance is negative). `noise_of_mean` is
    the standard deviation that seeds alone give to the mean difference of two runs over `n_tasks`
    tasks: sqrt(2 / n_tasks) seed_sd. `aa` is the A/A comparison: the method's seed `aa_seeds[0]`
    less its seed `aa_seeds[1]`.
    """

    method: str
    unit: Unit
    n_scores: int
    n_tasks: int
    seed_sd: float
    seed_sd_interval: Interval
    task_sd: float
    noise_of_mean: float
    aa_seeds: tuple[str, str]
    aa: Difference


class Comparison(_Row):
    """Everything that `w2sprobe stats` prints. `notes` say what could not be done."""

    against: str
    min_gap: float
    min_gap_se: float
    saturated_only: bool
    tasks: tuple[TaskRow, ...]
    pairs: tuple[PairRow, ...]
    methods: tuple[MethodRow, ...]
    seeds: tuple[SeedRow, ...]
    notes: tuple[str, ...]


def compare(
    scores: Iterable[Score],
    *,
    methods: Sequence[str] = (),
    against: str | None = None,
    units: Sequence[Unit] = UNITS,
    min_gap: float = MIN_GAP,
    min_gap_se: float = MIN_GAP_SE,
    saturated_only: bool = False,
) -> Comparison:
    """Compare methods with one of them over tasks.

    Parameters
    ----------
    scores : iterable of Score
        Completed here, as by `complete_scores`.
    methods : sequence of str, optional
        Those to compare; default: all others.
    against : str, optional
        The one to compare with; default: student, or xent as the source calls it.
    units : sequence of {"pgr", "auc"}
        In PGR only tasks whose gap is resolved count; in AUC, where no gap is divided by, all do.
    min_gap, min_gap_se : float
        When a gap is resolved, as in `gap_objection`.
    saturated_only : bool, default False
        As published: leave out, in both units, only tasks on which the weak model, the ceiling
        and every method have an AUC of at least .999, whatever the gaps of the others.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        Nothing to compare, or with; as `complete_scores`.
    UnknownName
        No such method.
    """
    table = _by_method(complete_scores(scores))
    against = _baseline(table, against)
    compared = tuple(dict.fromkeys(methods)) or tuple(name for name in table if name != against)
    for name in compared:
        if name not in table:
            raise UnknownName("method", name, table)
    if not compared or against in compared:
        raise InputError(
            f"nothing to compare {against!r} with",
            allowed="another method than the one that is compared against",
            advice=f"Methods there: {', '.join(table)}.",
        )
    named = {name: table[name] for name in (against, *compared)}
    objection = partial(gap_objection, min_gap=min_gap, min_gap_se=min_gap_se)
    tasks = _task_rows(named, objection, saturated_only=saturated_only)
    pairs = tuple(_pairs(named, against, compared, tasks))
    counted: dict[Unit, list[str]] = {
        "pgr": [row.task for row in tasks if not row.excluded],
        "auc": [row.task for row in tasks if not row.saturated],
    }
    return Comparison(
        against=against,
        min_gap=min_gap,
        min_gap_se=min_gap_se,
        saturated_only=saturated_only,
        tasks=tasks,
        pairs=pairs,
        methods=tuple(
            row for unit in units for row in _method_rows(compared, pairs, unit, counted[unit])
        ),
        seeds=tuple(
            row
            for unit in units
            for name, by_task in named.items()
            for row in _seed_rows(name, by_task, unit, counted[unit])
        ),
        notes=tuple(_notes(tasks, named, against)),
    )


def _by_method(scores: Iterable[Score]) -> dict[str, dict[str, Seeds]]:
    table: dict[str, dict[str, Seeds]] = {}
    for score in scores:
        table.setdefault(score.method, {}).setdefault(score.task, {})[score.seed] = score
    return table


def _baseline(table: dict[str, dict[str, Seeds]], against: str | None) -> str:
    if against is None:
        against = next((name for name in BASELINES if name in table), None)
        if against is None:
            raise InputError(
                f"no method named {' or '.join(BASELINES)} to compare against",
                allowed=", ".join(table) or "scores of at least 2 methods",
                advice="Name one with --against.",
            )
    elif against not in table:
        raise UnknownName("method", against, table)
    return against


def _task_rows(
    named: dict[str, dict[str, Seeds]],
    objection: Callable[[float, float], str],
    *,
    saturated_only: bool,
) -> tuple[TaskRow, ...]:
    """Every task that any of the methods has."""
    rows = []
    for task in dict.fromkeys(task for by_task in named.values() for task in by_task):
        here = {name: by_task[task] for name, by_task in named.items() if task in by_task}
        # ends are the same for all methods of a seed, so each seed is taken once
        ends = list({seed: one for seeds in here.values() for seed, one in seeds.items()}.values())
        weak, ceiling = (_mean(ends, name) for name in ("weak_auc", "ceiling_auc"))
        # not divided by a root of seeds: all of them meet the same test rows
        gap, gap_se = ceiling - weak, _mean(ends, "gap_se")
        auc = {name: _value(seeds.values(), "auc") for name, seeds in here.items()}
        saturated = saturated_only and all(
            value >= SATURATED for value in (weak, ceiling, *auc.values())
        )
        unresolved = objection(gap, gap_se)
        excluded = unresolved
        if saturated_only:
            no_gap = gap_objection(gap, UNKNOWN, min_gap=-math.inf)
            excluded = "saturated" if saturated else no_gap
        rows.append(
            TaskRow(
                task=task,
                n_seeds=len(ends),
                weak_auc=weak,
                ceiling_auc=ceiling,
                gap=gap,
                gap_se=gap_se,
                resolved=not unresolved,
                excluded=excluded,
                saturated=saturated,
                auc=auc,
                pgr={name: _value(seeds.values(), "pgr") for name, seeds in here.items()},
            )
        )
    return tuple(rows)


def _pairs(
    named: dict[str, dict[str, Seeds]],
    against: str,
    compared: Sequence[str],
    tasks: Sequence[TaskRow],
) -> Iterable[PairRow]:
    for method in compared:
        for row in tasks:
            ours, theirs = (named[name].get(row.task, {}) for name in (method, against))
            both = [seed for seed in ours if seed in theirs]
            if both:
                auc, pgr_ = (
                    _value([ours[seed] for seed in both], unit)
                    - _value([theirs[seed] for seed in both], unit)
                    for unit in ("auc", "pgr")
                )
                yield PairRow(
                    method=method,
                    task=row.task,
                    n_seeds=len(both),
                    auc_difference=auc,
                    pgr_difference=pgr_,
                )


def _method_rows(
    compared: Sequence[str], pairs: Sequence[PairRow], unit: Unit, counted: Sequence[str]
) -> list[MethodRow]:
    rows = []
    for method in compared:
        own = [pair for pair in pairs if pair.method == method]
        values = [getattr(pair, f"{unit}_difference") for pair in own if pair.task in counted]
        difference = _difference([value for value in values if not math.isnan(value)], "greater")
        rows.append(
            MethodRow(method=method, unit=unit, n_shown=len(own), **difference.model_dump())
        )
    adjusted = {
        f"{test}_holm": holm([getattr(row, f"{test}_pvalue") for row in rows]) for test in TESTS
    }
    return [
        row.model_copy(update={name: float(values[at]) for name, values in adjusted.items()})
        for at, row in enumerate(rows)
    ]


def _difference(values: list[float], alternative: Literal["greater", "two-sided"]) -> Difference:
    if len(values) < 2:
        only = values[0] if values else UNKNOWN
        return Difference(n=len(values), wins=int(only > 0), mean=only, median=only)
    tests = paired_tests(values, np.zeros(len(values)), alternative=alternative)
    return Difference(
        n=tests.n,
        wins=tests.wins,
        sd=float(np.std(values, ddof=1)),
        **vars(task_bootstrap(values)),
        **{f"{test}_pvalue": getattr(tests, f"{test}_pvalue") for test in TESTS},
    )


def _seed_rows(
    method: str, by_task: dict[str, Seeds], unit: Unit, counted: Sequence[str]
) -> Iterable[SeedRow]:
    """One row, or none where no task that counts has two seeds."""
    known: dict[str, dict[str, float]] = {}
    for task in counted:
        values = {seed: _value([one], unit) for seed, one in by_task.get(task, {}).items()}
        known[task] = {seed: value for seed, value in values.items() if not math.isnan(value)}
    shared = Counter(pair for seeds in known.values() for pair in combinations(sorted(seeds), 2))
    if not shared:
        return
    flat = [(task, value) for task, seeds in known.items() for value in seeds.values()]
    parts = variance_components([value for _, value in flat], [task for task, _ in flat])
    # of the pairs on most tasks, the first by name
    first, second = max(sorted(shared), key=shared.__getitem__)
    differences = [
        seeds[first] - seeds[second] for seeds in known.values() if {first, second} <= {*seeds}
    ]
    low, high = parts.within_interval
    yield SeedRow(
        method=method,
        unit=unit,
        n_scores=parts.n,
        n_tasks=parts.n_groups,
        seed_sd=math.sqrt(parts.within),
        seed_sd_interval=(math.sqrt(low), math.sqrt(high)),
        task_sd=math.sqrt(max(parts.between, 0)),
        noise_of_mean=math.sqrt(2 * parts.within / parts.n_groups),
        aa_seeds=(first, second),
        aa=_difference(differences, "two-sided"),
    )


def _mean(scores: Iterable[Score], name: str) -> float:
    return float(np.mean([getattr(score, name) for score in scores]))


def _value(scores: Collection[Score], unit: Unit) -> float:
    """Mean AUC; the PGR of mean AUCs, a steadier ratio than the mean of ratios."""
    if unit == "auc":
        return _mean(scores, "auc")
    ends = [_mean(scores, name) for name in ("weak_auc", "auc", "ceiling_auc")]
    return _mean(scores, "pgr") if np.isnan(ends).any() else pgr(*ends)


def _notes(
    tasks: Sequence[TaskRow],
    named: dict[str, dict[str, Seeds]],
    against: str,
) -> Iterable[str]:
    n_unknown = sum(math.isnan(row.gap) for row in tasks)
    if n_unknown:
        yield (
            f"{n_unknown} of {len(tasks)} tasks have no weak_auc and ceiling_auc: their gaps were "
            "not checked."
        )
    n_without = sum(math.isnan(row.gap_se) and not math.isnan(row.gap) for row in tasks)
    if n_without:
        yield (
            f"{n_without} of {len(tasks)} tasks have no gap_se: nothing is known of the error of "
            "their gaps, only of their size."
        )
    runs = {
        name: {(task, seed) for task, seeds in by_task.items() for seed in seeds}
        for name, by_task in named.items()
    }
    for name in named:
        n_alone = len(runs[name] ^ runs[against])
        if n_alone:
            yield (
                f"{n_alone} scores of {name} or {against} have no counterpart of the same task "
                "and seed in the other: left out of differences."
            )
