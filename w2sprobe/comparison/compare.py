"""Methods against one of them: which tasks count, differences, tests, noise of seeds."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import combinations
from typing import Literal

import numpy as np

from w2sprobe.comparison.scores import (
    UNKNOWN,
    Pair,
    Score,
    by_pair,
    complete_scores,
    pair_name,
)
from w2sprobe.comparison.tasks import (
    UNITS,
    Row,
    Seeds,
    TaskRow,
    Unit,
    by_method,
    task_rows,
    value_of,
)
from w2sprobe.errors import InputError, UnknownName
from w2sprobe.metrics import (
    MIN_GAP,
    MIN_GAP_SE,
    holm,
    paired_tests,
    task_bootstrap,
    variance_components,
)
from w2sprobe.results import Interval

BASELINES = ("student", "xent")  # what the plain student is called: by us, in the source
TESTS = ("t", "wilcoxon", "sign")
UNKNOWN_INTERVAL = (UNKNOWN, UNKNOWN)


class PairRow(Row):
    """A method less the one it is compared against, on one task, over the seeds both have."""

    method: str
    task: str
    n_seeds: int
    auc_difference: float
    pgr_difference: float


class Difference(Row):
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

    `n_runs` counts the seeds that both have, over the tasks that count.
    `t_holm` and its like are the p values adjusted for the number of methods.
    """

    method: str
    unit: Unit
    n_shown: int
    n_runs: int
    t_holm: float = UNKNOWN
    wilcoxon_holm: float = UNKNOWN
    sign_holm: float = UNKNOWN


class SeedRow(Row):
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


class Comparison(Row):
    """Methods of one pair of models. `notes` say what could not be done."""

    weak_model: str
    strong_model: str
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
        Of one pair of models; completed here, as by `complete_scores`.
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
        Nothing to compare, or with; several pairs of models (`by_pair` parts them); as
        `complete_scores`.
    UnknownName
        No such method.
    """
    completed = complete_scores(scores)
    weak_model, strong_model = _only_pair(completed)
    table = by_method(completed)
    against, *named_methods = chosen(table, methods, against)
    compared = tuple(named_methods) or tuple(name for name in table if name != against)
    if not compared or against in compared:
        raise InputError(
            f"nothing to compare {against!r} with",
            allowed="another method than the one that is compared against",
            advice=f"Methods there: {', '.join(table)}.",
        )
    named = {name: table[name] for name in (against, *compared)}
    tasks = task_rows(named, min_gap=min_gap, min_gap_se=min_gap_se, saturated_only=saturated_only)
    pairs = tuple(_pairs(named, against, compared, tasks))
    counted: dict[Unit, list[str]] = {
        "pgr": [row.task for row in tasks if not row.excluded],
        "auc": [row.task for row in tasks if not row.saturated],
    }
    return Comparison(
        weak_model=weak_model,
        strong_model=strong_model,
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


def _only_pair(scores: Sequence[Score]) -> Pair:
    pairs = list(by_pair(scores)) or [("", "")]
    if len(pairs) > 1:
        raise InputError(
            f"scores of {len(pairs)} pairs of models: {', '.join(map(pair_name, pairs))}",
            allowed="one pair, as its weak models and ceilings are others' than the next one's",
            advice="Choose one with --pair, or part them with by_pair.",
        )
    return pairs[0]


def chosen(there: Collection[str], methods: Sequence[str], against: str | None) -> tuple[str, ...]:
    """Name the method that others are compared with, and those that were asked for.

    Parameters
    ----------
    there : collection of str
        Methods that have scores.
    methods, against
        As in `compare`.

    Returns
    -------
    tuple of str
        `against` or its default first, then `methods`, each once.

    Raises
    ------
    InputError
        No `against`, and no scores of its default.
    UnknownName
        No such method.
    """
    if against is None:
        against = next((name for name in BASELINES if name in there), None)
        if against is None:
            raise InputError(
                f"no method named {' or '.join(BASELINES)} to compare against",
                allowed=", ".join(sorted(there)) or "scores of at least 2 methods",
                advice="Name one with --against.",
            )
    for name in (against, *methods):
        if name not in there:
            raise UnknownName("method", name, there)
    return (against, *dict.fromkeys(methods))


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
                    value_of([ours[seed] for seed in both], unit)
                    - value_of([theirs[seed] for seed in both], unit)
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
        shown = [pair for pair in pairs if pair.method == method]
        own = [pair for pair in shown if pair.task in counted]
        values = [getattr(pair, f"{unit}_difference") for pair in own]
        difference = _difference([value for value in values if not math.isnan(value)], "greater")
        rows.append(
            MethodRow(
                method=method,
                unit=unit,
                n_shown=len(shown),
                n_runs=sum(pair.n_seeds for pair in own),
                **difference.model_dump(),
            )
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
        values = {seed: value_of([one], unit) for seed, one in by_task.get(task, {}).items()}
        known[task] = {seed: value for seed, value in values.items() if not math.isnan(value)}
    shared = Counter(pair for seeds in known.values() for pair in combinations(sorted(seeds), 2))
    if not shared:
        return
    flat = [(task, value) for task, seeds in known.items() for value in seeds.values()]
    tasks = [task for task, _ in flat]
    parts = variance_components([value for _, value in flat], {"task": tasks})
    within, between = parts[-1], parts[0].variance if len(parts) > 1 else UNKNOWN
    # of the pairs on most tasks, the first by name
    first, second = max(sorted(shared), key=shared.__getitem__)
    differences = [
        seeds[first] - seeds[second] for seeds in known.values() if {first, second} <= {*seeds}
    ]
    low, high = within.interval
    n_tasks = len({*tasks})
    yield SeedRow(
        method=method,
        unit=unit,
        n_scores=len(flat),
        n_tasks=n_tasks,
        seed_sd=math.sqrt(within.variance),
        seed_sd_interval=(math.sqrt(low), math.sqrt(high)),
        task_sd=math.sqrt(max(between, 0)),
        noise_of_mean=math.sqrt(2 * within.variance / n_tasks),
        aa_seeds=(first, second),
        aa=_difference(differences, "two-sided"),
    )


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
    alone: dict[int, list[str]] = {}
    for name in named:
        alone.setdefault(len(runs[name] ^ runs[against]), []).append(name)
    for n_alone, names in alone.items():
        if n_alone:
            each = " each" if len(names) > 1 else ""
            yield (
                f"{n_alone} scores{each} of {', '.join(names)} or {against} have no counterpart of "
                "the same task and seed in the other: left out of differences."
            )
