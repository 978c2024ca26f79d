"""Comparison of the methods of one pair of models with a baseline method, over tasks."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import NoReturn

from w2sprobe.comparison._base import UNKNOWN, FrozenModel
from w2sprobe.comparison.analysis import Analysis
from w2sprobe.comparison.differences import TESTS, Difference, Judgement, difference, judgement
from w2sprobe.comparison.family import Role, role_of
from w2sprobe.comparison.scores import Pair, Score, by_pair, complete_scores, pair_name
from w2sprobe.comparison.seeds import SeedRow, seed_row
from w2sprobe.comparison.supervisor_gains import SupervisorGain, supervisor_gains
from w2sprobe.comparison.tasks import UNITS, Seeds, TaskRow, Unit, by_method, task_rows, value_of
from w2sprobe.errors import InputError, UnknownName
from w2sprobe.metrics import detectable_effect, holm, least_pvalue

EQUIVALENCE = "equivalence"
BASELINES = ("student", "xent")  # names of the plain student: ours, and the source's


class PairRow(FrozenModel):
    """Difference between a method and the baseline on one task, over the seeds that both have."""

    method: str
    task: str
    n_seeds: int
    auc_difference: float
    pgr_difference: float


class MethodRow(Difference):
    """Difference between a method and the baseline in AUC or PGR; `n_shown` tasks have both.

    `n_runs` counts the seeds that both have, over the tasks that count. In the `primary` family
    `t_holm` and the other `_holm` fields are p values adjusted for its size, which give the
    `verdict`; other methods have nan there and a verdict from the plain p values. `detectable` is
    the minimum detectable effect: the smallest true mean difference that the t test finds with a
    power of 80 %, in the family at the first level of Holm.
    """

    method: str
    unit: Unit
    role: Role
    primary: bool
    n_shown: int
    n_runs: int
    t_holm: float = UNKNOWN
    wilcoxon_holm: float = UNKNOWN
    sign_holm: float = UNKNOWN
    equivalence_holm: float = UNKNOWN
    detectable: float = UNKNOWN
    verdict: Judgement = "undecided"


class FamilyRow(FrozenModel):
    """What the tests of the primary family can show at best, in one unit.

    `n_tasks` is the number of tasks of the method that has most. `least_pvalue` is the smallest p
    value that Wilcoxon's and the sign test can give with these, `least_holm` the same after Holm:
    where it is not below the level, these two tests cannot reject. `detectable` is the median of
    the methods' minimum detectable effects.
    """

    unit: Unit
    methods: tuple[str, ...]
    n_tasks: int
    least_pvalue: float
    least_holm: float
    detectable: float


class Comparison(FrozenModel):
    """Comparison of the methods of one pair of models; `notes` say what could not be done."""

    weak_model: str
    strong_model: str
    against: str
    analysis: Analysis
    tasks: tuple[TaskRow, ...]
    pairs: tuple[PairRow, ...]
    methods: tuple[MethodRow, ...]
    families: tuple[FamilyRow, ...]
    supervisor_gains: tuple[SupervisorGain, ...]
    seeds: tuple[SeedRow, ...]
    notes: tuple[str, ...]


def compare(
    scores: Iterable[Score],
    *,
    methods: Sequence[str] = (),
    against: str | None = None,
    units: Sequence[Unit] = UNITS,
    analysis: Analysis | None = None,
) -> Comparison:
    """Compare methods with a baseline method, and all of them with their weak model, over tasks.

    Parameters
    ----------
    scores : iterable of Score
        Of one pair of models; completed here, as by `complete_scores`.
    methods : sequence of str, optional
        Methods to compare with it; default: all others.
    against : str, optional
        Baseline method; default: student, or xent, its name in the source experiments.
    units : sequence of {"pgr", "auc"}
        In PGR only tasks whose gap is resolved count; in AUC all do.

    Returns
    -------
    Comparison
        Without differences where there is no other method.

    Raises
    ------
    InputError
        No baseline, or nothing to compare it with, not even its weak model; several
        pairs of models (`by_pair` separates them); a method with two roles; as `complete_scores`.
    UnknownName
        No such method.
    """
    analysis = analysis or Analysis()
    completed = complete_scores(scores)
    weak_model, strong_model = _only_pair(completed)
    table = by_method(completed)
    against, *asked_for = choose_methods(table, methods, against)
    compared = tuple(asked_for) or tuple(name for name in table if name != against)
    named = {name: table[name] for name in (against, *compared)}
    tasks = task_rows(named, analysis)
    roles = _roles(completed, compared)
    primary = [name for name in compared if _is_primary(name, roles[name], analysis)]
    gains = supervisor_gains(tasks, [against, *compared], primary, analysis)
    if against in compared or not (compared or gains):
        _refuse_comparison(against, table)
    pairs = tuple(_pairs(named, against, compared, tasks))
    counted = _counted(tasks)
    rows = {
        unit: _method_rows(roles, primary, pairs, unit, counted[unit], analysis) for unit in units
    }
    return Comparison(
        weak_model=weak_model,
        strong_model=strong_model,
        against=against,
        analysis=analysis,
        tasks=tasks,
        pairs=pairs,
        methods=tuple(row for unit in units for row in rows[unit]),
        families=tuple(_family(rows[unit], unit, analysis) for unit in units if primary),
        supervisor_gains=gains,
        seeds=_seeds(named, counted, units),
        notes=tuple(_notes(tasks, named, against, analysis)),
    )


def _refuse_comparison(against: str, scored: Collection[str]) -> NoReturn:
    raise InputError(
        f"nothing to compare {against!r} with",
        allowed="another method than the one that is compared against",
        advice=f"Methods with scores: {', '.join(scored)}.",
    )


def _counted(tasks: Sequence[TaskRow]) -> dict[Unit, list[str]]:
    """Names of the tasks that count in each unit."""
    return {
        "pgr": [row.task for row in tasks if not row.excluded],
        "auc": [row.task for row in tasks if not row.saturated],
    }


def _seeds(
    named: Mapping[str, Mapping[str, Seeds]],
    counted: Mapping[Unit, Sequence[str]],
    units: Sequence[Unit],
) -> tuple[SeedRow, ...]:
    rows = (
        seed_row(name, by_task, unit, counted[unit])
        for unit in units
        for name, by_task in named.items()
    )
    return tuple(row for row in rows if row is not None)


def _roles(scores: Iterable[Score], compared: Sequence[str]) -> dict[str, Role]:
    """Role of each method, from its scores, or by its name where they do not say."""
    firsts: dict[str, Score] = {}
    roles = {name: role_of(name, {}) for name in compared}
    for score in scores:
        if not score.role or score.method not in roles:
            continue
        roles[score.method] = score.role
        first = firsts.setdefault(score.method, score)
        if first.role != score.role:
            raise InputError(
                f"role of {score.method!r} is {first.role} and {score.role}",
                where=f"{first.where} and {score.where}",
                allowed="one role per method",
            )
    return roles


def _is_primary(method: str, role: Role, analysis: Analysis) -> bool:
    return role == "competitor" if analysis.family is None else method in analysis.family


def _only_pair(scores: Sequence[Score]) -> Pair:
    pairs = list(by_pair(scores)) or [("", "")]
    if len(pairs) > 1:
        raise InputError(
            f"scores of {len(pairs)} pairs of models: {', '.join(map(pair_name, pairs))}",
            allowed="one pair: each has its own weak models and ceilings",
            advice="Choose one with --pair, or separate them with by_pair.",
        )
    return pairs[0]


def choose_methods(
    scored: Collection[str], methods: Sequence[str], against: str | None
) -> tuple[str, ...]:
    """Names of the baseline method and, after it, of the methods that were asked for.

    Parameters
    ----------
    scored : collection of str
        Methods that have scores.
    methods, against
        As in `compare`.

    Raises
    ------
    InputError
        No `against`, and no scores of its default.
    UnknownName
        No such method.
    """
    if against is None:
        against = next((name for name in BASELINES if name in scored), None)
        if against is None:
            raise InputError(
                f"no method named {' or '.join(BASELINES)} to compare against",
                allowed=", ".join(sorted(scored)) or "scores of at least 2 methods",
                advice="Name one with --against.",
            )
    for name in (against, *methods):
        if name not in scored:
            raise UnknownName("method", name, scored)
    return (against, *dict.fromkeys(methods))


def _pairs(
    named: dict[str, dict[str, Seeds]],
    against: str,
    compared: Sequence[str],
    tasks: Sequence[TaskRow],
) -> Iterator[PairRow]:
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
    roles: Mapping[str, Role],
    primary: Collection[str],
    pairs: Sequence[PairRow],
    unit: Unit,
    counted: Sequence[str],
    analysis: Analysis,
) -> list[MethodRow]:
    margin = analysis.margin if unit == "auc" else None
    rows = []
    for method, role in roles.items():
        shown = [pair for pair in pairs if pair.method == method]
        kept = [pair for pair in shown if pair.task in counted]
        values = [getattr(pair, f"{unit}_difference") for pair in kept]
        known = [value for value in values if not math.isnan(value)]
        rows.append(
            MethodRow(
                method=method,
                unit=unit,
                role=role,
                primary=method in primary,
                n_shown=len(shown),
                n_runs=sum(pair.n_seeds for pair in kept),
                **difference(known, analysis.alternative, margin).model_dump(),
            )
        )
    return _adjusted(rows, analysis)


def _adjusted(rows: Sequence[MethodRow], analysis: Analysis) -> list[MethodRow]:
    """Rows with p values adjusted in the primary family, detectable effects and verdicts."""
    holm_values = {
        f"{test}_holm": holm(
            [getattr(row, f"{test}_pvalue") if row.primary else UNKNOWN for row in rows]
        )
        for test in (*TESTS, EQUIVALENCE)
    }
    n_tests = sum(row.primary and not math.isnan(row.t_pvalue) for row in rows)
    adjusted = []
    for number, row in enumerate(rows):
        of_family = {name: float(values[number]) for name, values in holm_values.items()}
        different, same = (
            of_family[f"{test}_holm"] if row.primary else getattr(row, f"{test}_pvalue")
            for test in ("t", EQUIVALENCE)
        )
        # Holm compares the smallest p value with alpha / number of tests
        level = analysis.alpha / max(n_tests, 1) if row.primary else analysis.alpha
        detectable = UNKNOWN
        if row.sd > 0:
            detectable = detectable_effect(
                row.sd, row.n, alpha=level, alternative=analysis.alternative
            )
        verdict = judgement(row.mean, different, same, analysis)
        update = {**of_family, "verdict": verdict, "detectable": detectable}
        adjusted.append(row.model_copy(update=update))
    return adjusted


def _family(all_rows: Sequence[MethodRow], unit: Unit, analysis: Analysis) -> FamilyRow:
    rows = [row for row in all_rows if row.primary]
    n_tasks = max(row.n for row in rows)
    least = least_pvalue(n_tasks, analysis.alternative)
    known = [row.detectable for row in rows if not math.isnan(row.detectable)]
    return FamilyRow(
        unit=unit,
        methods=tuple(row.method for row in rows),
        n_tasks=n_tasks,
        least_pvalue=least,
        least_holm=min(1.0, least * len(rows)),
        detectable=median(known) if known else UNKNOWN,
    )


def _notes(
    tasks: Sequence[TaskRow],
    named: dict[str, dict[str, Seeds]],
    against: str,
    analysis: Analysis,
) -> Iterator[str]:
    absent = [name for name in analysis.family or () if name not in named or name == against]
    if absent:
        yield f"The family names {', '.join(absent)}, not among the methods compared here."
    n_unknown = sum(math.isnan(row.gap) for row in tasks)
    if n_unknown:
        yield (
            f"{n_unknown} of {len(tasks)} tasks have no weak_auc and ceiling_auc: their gaps were "
            "not checked."
        )
    without_se = {
        task
        for by_task in named.values()
        for task, seeds in by_task.items()
        if any(math.isnan(score.gap_se) for score in seeds.values())
    }
    n_without = sum(row.task in without_se and not math.isnan(row.gap) for row in tasks)
    if n_without:
        yield (
            f"{n_without} of {len(tasks)} tasks have no gap_se: the noise of test rows in their "
            "gaps is not known."
        )
    yield from _unpaired(named, against)


def _unpaired(named: Mapping[str, Mapping[str, Seeds]], against: str) -> Iterator[str]:
    """Notes on scores that no difference uses; methods with equally many share a note."""
    runs = {
        name: {(task, seed) for task, seeds in by_task.items() for seed in seeds}
        for name, by_task in named.items()
    }
    by_number: dict[int, list[str]] = {}
    for name in named:
        by_number.setdefault(len(runs[name] ^ runs[against]), []).append(name)
    for n_alone, names in by_number.items():
        if n_alone:
            each = " each" if len(names) > 1 else ""
            yield (
                f"{n_alone} scores{each} of {', '.join(names)} or {against} have no counterpart of "
                "the same task and seed in the other: left out of differences."
            )
