"""A comparison of methods as tables."""

import math
from collections.abc import Iterator, Sequence

from w2sprobe.comparison import (
    Analysis,
    Comparison,
    FamilyRow,
    Judgement,
    MethodRow,
    SeedRow,
    SupervisorGain,
    TaskRow,
)
from w2sprobe.reporting.numbers import with_interval
from w2sprobe.reporting.table import Cell, Column, Row, Table, Tone
from w2sprobe.results import Interval

NAMES = {"pgr": "PGR", "auc": "AUC"}
DIGITS = {"pgr": 3, "auc": 4}
TESTS = {"t": "t p", "wilcoxon": "Wilcoxon p", "sign": "sign p"}
SIDES = {
    "two-sided": "two-sided",
    "greater": "one-sided, the method is better",
    "less": "one-sided, the method is worse",
}
TONES: dict[Judgement, Tone] = {
    "better": "good",
    "worse": "bad",
    "no difference": "",
    "undecided": "",
}


def comparison_tables(comparison: Comparison) -> Iterator[Table]:
    """All tables of a comparison, in the order of the terminal.

    Parameters
    ----------
    comparison : Comparison

    Yields
    ------
    Table
        Tasks and methods in each unit, gains over the weak model, then the noise of seeds where
        there are several.
    """
    for unit in units_of(comparison):
        yield task_table(comparison, unit)
        yield from method_tables(comparison, unit)
    yield from supervisor_gain_tables(comparison)
    if comparison.seeds:
        yield seeds_table(comparison)


def units_of(comparison: Comparison) -> list[str]:
    """In what methods are compared: pgr, auc or both."""
    return list(dict.fromkeys(row.unit for row in comparison.methods))


def judgement_text(judgement: Judgement, analysis: Analysis) -> str:
    """What tests say of a difference, in words.

    Parameters
    ----------
    judgement : Judgement
    analysis : Analysis
        Has the margin of "no difference".

    Returns
    -------
    str

    Examples
    --------
    >>> judgement_text("no difference", Analysis())
    'no difference beyond ±0.01'
    """
    return judgement + (f" beyond ±{analysis.margin:g}" if judgement == "no difference" else "")


def family_text(family: FamilyRow, comparison: Comparison) -> str:
    """What the tests of the primary family can show at best, in a sentence or two.

    Parameters
    ----------
    family : FamilyRow
    comparison : Comparison
        The family is of it.

    Returns
    -------
    str
    """
    n, alpha = len(family.methods), comparison.analysis.alpha
    tasks = f"With {family.n_tasks} task{'' if family.n_tasks == 1 else 's'}"
    text = (
        f"{tasks} the least p of Wilcoxon's and the sign test is {_small(family.least_pvalue)}"
        + (f", after Holm for {n} methods {_small(family.least_holm)}" if n > 1 else "")
        + (f": they cannot reach {alpha:g}." if family.least_holm >= alpha else ".")
    )
    if not math.isnan(family.detectable):
        digits = DIGITS[family.unit]
        text += (
            " A true mean difference of "
            f"{family.detectable:.{digits}f}{', the median MDE,' if n > 1 else ''} is found in "
            "80 % of such studies."
        )
    return text


def _small(value: float) -> str:
    return f"{value:.2g}"


def task_table(comparison: Comparison, unit: str, prefix: str = "") -> Table:
    """Every method's mean on every task, between its ends.

    Parameters
    ----------
    comparison : Comparison
    unit : {"pgr", "auc"}
    prefix : str, optional
        Of the table's name.

    Returns
    -------
    Table
    """
    others = dict.fromkeys(row.method for row in comparison.methods)
    return Table(
        f"{prefix}{unit}-tasks",
        f"{NAMES[unit]} of each task",
        (
            Column("task"),
            *_numbers("seeds", "weak", "ceiling", "gap", "SE"),
            Column(_words(comparison.against), number=True, pinned=True),
            *_numbers(*map(_words, others)),
            Column("remark", pinned=True),
        ),
        [_task_row(row, unit, (comparison.against, *others)) for row in comparison.tasks],
        "Means over seeds. PGR of tasks with a remark is shown and not averaged."
        if unit == "pgr"
        else "Means over seeds.",
        searchable=len(comparison.tasks) > 12,
    )


def _task_row(row: TaskRow, unit: str, methods: Sequence[str]) -> Row:
    remark = row.excluded if unit == "pgr" else "saturated" if row.saturated else ""
    values = getattr(row, unit)
    return Row(
        (
            Cell.of(row.task),
            Cell.count(row.n_seeds),
            *map(Cell.number, (row.weak_auc, row.ceiling_auc, row.gap, row.gap_se)),
            *(Cell.number(values.get(name)) for name in methods),
            Cell.of(remark),
        ),
        unresolved=bool(remark),
    )


def _words(method: str) -> str:
    """A name as the title of a column: long ones break between words."""
    return method.replace("_", " ")


def method_tables(comparison: Comparison, unit: str, prefix: str = "") -> Iterator[Table]:
    """Every method less the one it is compared with: the primary family, then the others.

    Parameters
    ----------
    comparison : Comparison
    unit : {"pgr", "auc"}
    prefix : str, optional
        Of the tables' names.

    Yields
    ------
    Table
    """
    rows = [row for row in comparison.methods if row.unit == unit]
    primary = [row for row in rows if row.primary]
    others = [row for row in rows if not row.primary]
    title = f"{NAMES[unit]}: difference to {comparison.against}"
    sides = SIDES[comparison.analysis.alternative]
    intervals = f"Tasks: {_which(comparison, unit)}. Brackets: Student's t, 95 %, over tasks."
    if any(row.n_runs != row.n for row in rows):
        intervals += " Runs: over all tasks, those that both methods have."
    if primary:
        (family,) = (one for one in comparison.families if one.unit == unit)
        n = len(primary)
        adjusted = f"; in parentheses by Holm for {n} methods" if n > 1 else ""
        yield _differences(
            f"{prefix}{unit}",
            comparison,
            primary,
            title,
            f"{intervals} p: {sides}{adjusted}.\n"
            "MDE: smallest true mean difference that the t test finds with a power of 80 %"
            + (" at the first level of Holm" if n > 1 else "")
            + f".{_equivalence(comparison, unit)}\n{family_text(family, comparison)}",
        )
    if others:
        yield _differences(
            f"{prefix}{unit}-outside",
            comparison,
            others,
            f"{title}, outside the primary family",
            f"Controls, methods that saw true labels, and others that are not compared for their "
            f"merit. {intervals}\np: {sides}, not adjusted for the number of methods; verdicts "
            "follow from it.",
        )


def _differences(
    name: str, comparison: Comparison, rows: Sequence[MethodRow], title: str, note: str
) -> Table:
    unit = rows[0].unit
    runs = any(row.n_runs != row.n for row in comparison.methods)
    tests = {**TESTS, "equivalence": "TOST p"} if unit == "auc" else TESTS
    several = sum(row.primary for row in rows) > 1

    def cells(row: MethodRow) -> Iterator[Cell]:
        digits = DIGITS[unit]
        yield Cell.of(row.method)
        yield Cell.number(row.n, f"{row.n} of {row.n_shown}")
        if runs:
            yield Cell.count(row.n_runs)
        yield from map(Cell.count, (row.wins, row.losses))
        yield Cell.estimate(row.mean, row.mean_interval, digits)
        yield Cell.number(row.median, digits=digits, signed=True)
        yield from (Cell.number(value, digits=digits) for value in (row.sd, row.detectable))
        for test in tests:
            adjusted = getattr(row, f"{test}_holm") if several else None
            yield Cell.pvalue(getattr(row, f"{test}_pvalue"), adjusted)
        yield _verdict(row.verdict, comparison)

    return Table(
        name,
        title,
        (
            Column("method"),
            *_numbers("tasks", *(("runs",) if runs else ()), "wins", "losses"),
            *_numbers("mean", "median", "SD", "MDE", *tests.values()),
            Column("verdict"),
        ),
        [Row(tuple(cells(row))) for row in rows],
        note,
    )


def _equivalence(comparison: Comparison, unit: str) -> str:
    if unit != "auc":
        return ""
    return (
        f" TOST p: small where the mean surely lies within ±{comparison.analysis.margin:g} AUC; a "
        "large p of the other tests does not show that."
    )


def _verdict(said: Judgement, comparison: Comparison) -> Cell:
    text = judgement_text(said, comparison.analysis)
    return Cell(text, text, TONES[said])


def supervisor_gain_tables(comparison: Comparison, prefix: str = "") -> Iterator[Table]:
    """Gains over the weak model, over tasks; then those of the baseline, task by task.

    Parameters
    ----------
    comparison : Comparison
    prefix : str, optional
        Of the tables' names.

    Yields
    ------
    Table
        The second where standard errors are known.
    """
    rows = comparison.supervisor_gains
    if not rows:
        return
    n_primary = sum(row.primary for row in rows)
    own = any(row.n_own_pgr for row in rows)
    yield Table(
        f"{prefix}gains",
        "AUC gain over the weak model",
        (
            Column("method"),
            *_numbers("tasks", "wins", "losses", "mean", "t p"),
            Column("verdict"),
            *_numbers("pooled mean", "tau", "slope", "pooled PGR"),
            *(_numbers("own pooled PGR") if own else ()),
        ),
        [
            Row(
                (
                    Cell.of(row.method),
                    *map(Cell.count, (row.n, row.wins, row.losses)),
                    Cell.estimate(row.mean, row.mean_interval),
                    Cell.pvalue(row.t_pvalue, row.t_holm if n_primary > 1 else None),
                    _verdict(row.verdict, comparison),
                    Cell.estimate(row.pooled_mean, row.pooled_interval),
                    Cell.number(row.tau),
                    Cell.estimate(row.slope, row.slope_interval, 2),
                    _ratio(row.pgr, row.pgr_interval),
                    *((_ratio(row.own_pgr, row.own_pgr_interval),) if own else ()),
                )
            )
            for row in rows
        ],
        "All tasks, whatever their gap. Brackets: 95 %. p: two-sided t test over tasks"
        + (f"; in parentheses by Holm for {n_primary} competitors" if n_primary > 1 else "")
        + f"; that of {comparison.against} is one question, asked before all others.\n"
        "Pooled: random-effects model, mean at the mean gap; tau: SD of true gains over "
        "tasks, around the model; slope: gain for each unit of gap, biased by noise of the gap.\n"
        "Pooled PGR: sum of gains over sum of gaps, Fieller's interval over tasks"
        + ("; own: gaps to the same learner fitted on the truth." if own else "."),
    )
    for row in rows:
        known = any(not math.isnan(task.shrunken_interval[0]) for task in row.tasks)
        if row.method == comparison.against and known:
            yield _task_gains(row, comparison, prefix)


def _ratio(value: float, interval: Interval | None) -> Cell:
    if interval is None:  # without bounds
        return Cell.number(value, with_interval(value, None, 2))
    return Cell.estimate(value, interval, 2)


def _task_gains(gain: SupervisorGain, comparison: Comparison, prefix: str) -> Table:
    gaps = {row.task: row.gap for row in comparison.tasks}
    return Table(
        f"{prefix}task-gains",
        f"AUC gain of {gain.method} over the weak model, task by task",
        (Column("task"), *_numbers("gap", "gain", "SE", "shrunken")),
        [
            Row(
                (
                    Cell.of(task.task),
                    Cell.number(gaps[task.task], signed=True),
                    Cell.number(task.gain, signed=True),
                    Cell.number(task.gain_se),
                    Cell.estimate(task.shrunken, task.shrunken_interval),
                )
            )
            for task in gain.tasks
        ],
        "SE: over test rows and seeds. Shrunken: drawn towards the pooled model the more the "
        "noisier the task; 95 %.",
    )


def seeds_table(comparison: Comparison, prefix: str = "") -> Table:
    """How much one run differs from the next, and what part cuts and seeds have in it.

    Parameters
    ----------
    comparison : Comparison
    prefix : str, optional
        Of the table's name.

    Returns
    -------
    Table
    """
    parted = any(row.components for row in comparison.seeds)
    return Table(
        f"{prefix}seeds",
        "Noise of seeds",
        (
            *(Column("method"), Column("unit")),
            *_numbers("tasks", "runs", "seed SD"),
            *((Column("of these"),) if parted else ()),
            *_numbers("task SD", "noise of mean"),
            Column("A/A seeds"),
            *_numbers("mean", "median", "SD", "t p", "Wilcoxon p"),
        ),
        [Row(tuple(_seed_cells(row, parted=parted))) for row in comparison.seeds],
        "Seed SD: of one run within a task. "
        + (
            "Of these: parts that cuts of the rows (split) and seeds of the weak and the strong "
            "model add; what never varies apart stands together. "
            if parted
            else ""
        )
        + "Noise of mean: SD that seeds alone give to the mean difference of two runs.\nA/A: one "
        "seed less another of the same method: a difference between methods that is no larger says "
        "nothing; p two-sided.",
    )


def _seed_cells(row: SeedRow, *, parted: bool) -> Iterator[Cell]:
    digits, same = DIGITS[row.unit], row.aa
    yield from (Cell.of(row.method), Cell.of(NAMES[row.unit]))
    yield from map(Cell.count, (row.n_tasks, row.n_scores))
    yield Cell.estimate(row.seed_sd, row.seed_sd_interval, digits, signed=False)
    if parted:
        yield Cell.of("; ".join(f"{part.name} {part.sd:.{digits}f}" for part in row.components))
    yield from (Cell.number(value, digits=digits) for value in (row.task_sd, row.noise_of_mean))
    yield Cell.of(" - ".join(row.aa_seeds))
    yield Cell.estimate(same.mean, same.mean_interval, digits)
    yield Cell.number(same.median, digits=digits, signed=True)
    yield Cell.number(same.sd, digits=digits)
    yield from map(Cell.pvalue, (same.t_pvalue, same.wilcoxon_pvalue))


def _numbers(*titles: str) -> Iterator[Column]:
    return (Column(title, number=True) for title in titles)


def _which(comparison: Comparison, unit: str) -> str:
    analysis = comparison.analysis
    if analysis.saturated_only:
        return "all but saturated ones, as published"
    if unit == "auc":
        return "all, whatever the gap"
    return f"gap at least {analysis.min_gap:g} and {analysis.min_gap_se:g} standard errors"
