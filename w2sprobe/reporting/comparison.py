"""Tables of a comparison of methods."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from operator import attrgetter
from typing import Any

from w2sprobe.comparison import (
    Analysis,
    Comparison,
    Difference,
    FamilyRow,
    Judgement,
    MethodRow,
    SeedRow,
    SupervisorGain,
    TaskRow,
)
from w2sprobe.reporting.numbers import with_interval
from w2sprobe.reporting.table import Cell, Column, Table, Tone, numeric
from w2sprobe.reporting.wording import counted
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
    """All tables of a comparison, in the order in which a terminal shows them."""
    for unit in units_of(comparison):
        yield task_table(comparison, unit)
        yield from method_tables(comparison, unit)
    yield from supervisor_gain_tables(comparison)
    if comparison.seeds:
        yield seeds_table(comparison)


def units_of(comparison: Comparison) -> list[str]:
    """Units in which methods are compared: "pgr", "auc" or both."""
    return list(dict.fromkeys(row.unit for row in comparison.methods))


def judgement_text(judgement: Judgement, analysis: Analysis) -> str:
    """A judgement, with the margin where it is "no difference".

    Examples
    --------
    >>> judgement_text("no difference", Analysis())
    'no difference beyond ±0.01'
    """
    return judgement + (f" beyond ±{analysis.margin:g}" if judgement == "no difference" else "")


def family_text(family: FamilyRow, comparison: Comparison) -> str:
    """Smallest p value and difference that the tests of a family can detect, in words."""
    n, alpha = len(family.methods), comparison.analysis.alpha
    text = (
        f"With {counted(family.n_tasks, 'task')}, the smallest possible p of the Wilcoxon and sign "
        f"tests is {family.least_pvalue:.2g}"
        + (f", or {family.least_holm:.2g} after Holm for {n} methods" if n > 1 else "")
        + (f": they cannot reach {alpha:g}." if family.least_holm >= alpha else ".")
    )
    if not math.isnan(family.detectable):
        digits = DIGITS[family.unit]
        text += (
            " A true mean difference of "
            f"{family.detectable:.{digits}f}{', the median MDE,' if n > 1 else ''} is detected in "
            "80 % of such studies."
        )
    return text


def task_table(comparison: Comparison, unit: str) -> Table:
    """Mean of every method on every task, beside weak model and ceiling."""
    others = dict.fromkeys(row.method for row in comparison.methods)

    def remark(row: TaskRow) -> str:
        return row.excluded if unit == "pgr" else "saturated" if row.saturated else ""

    def column(method: str) -> Column:
        # spaces: long names break between words
        return numeric(method.replace("_", " "), lambda row: getattr(row, unit).get(method))

    return Table.of(
        f"{NAMES[unit]} of each task",
        (
            Column("task"),
            numeric("seeds", "n_seeds"),
            numeric("weak", "weak_auc"),
            numeric("ceiling", "ceiling_auc"),
            numeric("gap"),
            numeric("SE", "gap_se"),
            replace(column(comparison.against), pinned=True),
            *map(column, others),
            Column("remark", remark, pinned=True),
        ),
        comparison.tasks,
        "Means over runs."
        + (" PGRs of tasks with a remark do not enter averages." if unit == "pgr" else ""),
        unresolved=lambda row: bool(remark(row)),
    )


def method_tables(comparison: Comparison, unit: str) -> Iterator[Table]:
    """Difference of each method to the baseline: the primary family, then the others."""
    rows = [row for row in comparison.methods if row.unit == unit]
    primary = [row for row in rows if row.primary]
    others = [row for row in rows if not row.primary]
    runs = any(row.n_runs != row.n for row in rows)
    title = f"{NAMES[unit]}: difference to {comparison.against}"
    sides = SIDES[comparison.analysis.alternative]
    intervals = (
        f"Tasks: {_which(comparison, unit)}. Brackets: 95 % intervals, Student's t over tasks."
    )
    if runs:
        intervals += " Runs: those that both methods have, over all tasks."
    if primary:
        (family,) = (row for row in comparison.families if row.unit == unit)
        n = len(primary)
        yield Table.of(
            title,
            _difference_columns(comparison, unit, runs=runs, several=n > 1),
            primary,
            f"{intervals} p: {sides}{f'; in parentheses after Holm for {n} methods' * (n > 1)}.\n"
            "MDE: minimum detectable effect, the smallest true mean difference that the t test "
            "detects with 80 % power"
            + (" at the first step of Holm" if n > 1 else "")
            + f".{_equivalence(comparison, unit)}\n{family_text(family, comparison)}",
        )
    if others:
        yield Table.of(
            f"{title}, outside the primary family",
            _difference_columns(comparison, unit, runs=runs, several=False),
            others,
            f"Controls, methods that saw true labels, and others that do not compete with the "
            f"baseline. {intervals}\np: {sides}, not corrected for the number of methods; verdicts "
            "use these p values.",
        )


def _difference_columns(
    comparison: Comparison, unit: str, *, runs: bool, several: bool
) -> Iterator[Column]:
    def test(title: str, name: str) -> Column:
        value, adjusted = attrgetter(f"{name}_pvalue"), attrgetter(f"{name}_holm")
        if several:
            return numeric(title, lambda row: Cell.pvalue(value(row), adjusted(row)))
        return numeric(title, lambda row: Cell.pvalue(value(row)))

    digits = DIGITS[unit]
    yield Column("method")
    yield numeric("tasks", lambda row: Cell.number(row.n, f"{row.n} of {row.n_shown}"))
    if runs:
        yield numeric("runs", "n_runs")
    yield from (numeric("wins"), numeric("losses"))
    mean, *spread = _distribution(lambda row: row, digits)
    first, *tests = (test(title, name) for name, title in TESTS.items())
    yield from (mean, first, _verdict(comparison), *spread)
    yield numeric("MDE", lambda row: Cell.number(row.detectable, digits=digits))
    yield from tests
    if unit == "auc":
        yield test("TOST p", "equivalence")


def _distribution(of: Callable[[Any], Difference], digits: int) -> Iterator[Column]:
    """Mean, median and spread of differences."""
    yield numeric("mean", lambda row: Cell.estimate(of(row).mean, of(row).mean_interval, digits))
    yield numeric("median", lambda row: Cell.number(of(row).median, digits=digits, signed=True))
    yield numeric("SD", lambda row: Cell.number(of(row).sd, digits=digits))


def _equivalence(comparison: Comparison, unit: str) -> str:
    if unit != "auc":
        return ""
    return (
        f" TOST p: small where the mean lies within ±{comparison.analysis.margin:g} AUC; a large "
        "p of the other tests does not show that."
    )


def _verdict(comparison: Comparison) -> Column:
    def cell(row: MethodRow | SupervisorGain) -> Cell:
        text = judgement_text(row.verdict, comparison.analysis)
        return Cell(text, text, TONES[row.verdict])

    return Column("verdict", cell)


def supervisor_gain_tables(comparison: Comparison) -> Iterator[Table]:
    """Gains over the weak model: means over tasks, then the baseline's gain on each task."""
    rows = comparison.supervisor_gains
    if rows:
        yield _gains_table(comparison)
    for row in rows:
        # without standard errors nothing can be shrunk
        known = any(not math.isnan(task.shrunken_interval[0]) for task in row.tasks)
        if row.method == comparison.against and known:
            yield _task_gains_table(row, {row.task: row.gap for row in comparison.tasks})


def _gains_table(comparison: Comparison) -> Table:
    rows = comparison.supervisor_gains
    n_primary = sum(row.primary for row in rows)
    several = n_primary > 1

    def own_pgr(row: SupervisorGain) -> Cell:
        return _ratio(row.own_pgr, row.own_pgr_interval)

    own_ceilings = any(row.n_own_pgr for row in rows)
    return Table.of(
        "AUC gain over the weak model",
        (
            Column("method"),
            numeric("tasks", "n"),
            numeric("wins"),
            numeric("losses"),
            numeric("mean", lambda row: Cell.estimate(row.mean, row.mean_interval)),
            numeric("t p", lambda row: Cell.pvalue(row.t_pvalue, row.t_holm if several else None)),
            _verdict(comparison),
            numeric("pooled mean", lambda row: Cell.estimate(row.pooled_mean, row.pooled_interval)),
            numeric("tau"),
            numeric("slope", lambda row: Cell.estimate(row.slope, row.slope_interval, 2)),
            numeric("pooled PGR", lambda row: _ratio(row.pgr, row.pgr_interval)),
            *([numeric("own pooled PGR", own_pgr)] if own_ceilings else []),
        ),
        rows,
        "All tasks, whatever their gap. Brackets: 95 % intervals. p: two-sided t test over tasks"
        + (f"; in parentheses after Holm for {n_primary} competitors" if several else "")
        + f". The p of {comparison.against} is a question of its own and not corrected.\n"
        "Pooled mean: random-effects model at the mean gap. tau: SD of the true gains of tasks "
        "around this model. slope: gain per unit of gap, biased by noise of the gap.\n"
        "Pooled PGR: sum of gains over sum of gaps, Fieller's interval over tasks"
        + ("; own: gaps to the same learner fitted on true labels." if own_ceilings else "."),
    )


def _task_gains_table(row: SupervisorGain, gaps: Mapping[str, float]) -> Table:
    return Table.of(
        f"AUC gain of {row.method} over the weak model, task by task",
        (
            Column("task"),
            numeric("gap", lambda task: Cell.number(gaps[task.task], signed=True)),
            numeric("gain", lambda task: Cell.number(task.gain, signed=True)),
            numeric("SE", "gain_se"),
            numeric("shrunken", lambda task: Cell.estimate(task.shrunken, task.shrunken_interval)),
        ),
        row.tasks,
        "SE: over test rows and seeds. Shrunken: the gain with its 95 % interval, drawn towards "
        "the pooled model, the more the noisier the task.",
    )


def _ratio(value: float, interval: Interval | None) -> Cell:
    if interval is None:  # without bounds
        return Cell.number(value, with_interval(value, None, 2))
    return Cell.estimate(value, interval, 2)


def seeds_table(comparison: Comparison) -> Table:
    """Spread between the runs of each method, and what causes it."""
    has_components = any(row.components for row in comparison.seeds)
    return Table.of(
        "Noise of seeds",
        (
            Column("method"),
            Column("unit", lambda row: NAMES[row.unit]),
            numeric("tasks", "n_tasks"),
            numeric("runs", "n_scores"),
            numeric(
                "seed SD",
                lambda row: Cell.estimate(row.seed_sd, row.seed_sd_interval, signed=False),
            ),
            *([Column("of these", _components)] if has_components else []),
            numeric("task SD", "task_sd"),
            numeric("noise of mean", "noise_of_mean"),
            Column("A/A seeds", lambda row: " - ".join(row.aa_seeds)),
            *_distribution(lambda row: row.aa, 3),
            numeric("t p", lambda row: Cell.pvalue(row.aa.t_pvalue)),
            numeric("Wilcoxon p", lambda row: Cell.pvalue(row.aa.wilcoxon_pvalue)),
        ),
        comparison.seeds,
        "Seed SD: SD of single runs within a task. "
        + (
            "Of these: SDs from cuts of the rows (split) and from seeds of the weak and the strong "
            "model; sources that only vary together have one SD. "
            if has_components
            else ""
        )
        + "Noise of mean: SD that seeds alone give to the mean difference of two runs.\nA/A: "
        "difference between two seeds of the same method, p two-sided. A difference between "
        "methods that is no larger may be noise.",
    )


def _components(row: SeedRow) -> str:
    return "; ".join(f"{part.name} {part.sd:.3f}" for part in row.components)


def _which(comparison: Comparison, unit: str) -> str:
    analysis = comparison.analysis
    if analysis.saturated_only:
        return "all but saturated ones, as published"
    if unit == "auc":
        return "all, whatever the gap"
    return f"gap at least {analysis.min_gap:g} and {analysis.min_gap_se:g} standard errors"
