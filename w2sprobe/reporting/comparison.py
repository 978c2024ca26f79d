"""A comparison of methods as tables in the terminal."""

import math
from collections.abc import Iterator, Sequence

from rich.markup import escape
from rich.table import Table

from w2sprobe.comparison import (
    Analysis,
    Comparison,
    Difference,
    FamilyRow,
    Judgement,
    MethodRow,
    SeedRow,
    SupervisorGain,
)
from w2sprobe.reporting._cells import interval_text, number, plain_table, pvalue
from w2sprobe.reporting.table import with_interval

NAMES = {"pgr": "PGR", "auc": "AUC"}
DIGITS = {"pgr": 3, "auc": 4}
METHODS_A_TABLE = 6  # with their baseline: 100 to 120 columns
TESTS = {"t": "t p", "wilcoxon": "Wilcoxon p", "sign": "sign p"}
SIDES = {
    "two-sided": "two-sided",
    "greater": "one-sided, the method is better",
    "less": "one-sided, the method is worse",
}


def comparison_tables(comparison: Comparison) -> Iterator[Table]:
    """Tables of a comparison.

    Parameters
    ----------
    comparison : Comparison

    Yields
    ------
    Table
        Tasks and methods in each unit, gains over the weak model, then the noise of seeds where
        there are several.
    """
    for unit in dict.fromkeys(row.unit for row in comparison.methods):
        yield from _tasks(comparison, unit)
        yield from _methods(comparison, unit)
    if comparison.supervisor_gains:
        yield _supervisor_gains(comparison)
        yield from _shrunken(comparison)
    if comparison.seeds:
        yield _seeds(comparison)


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


def _tasks(comparison: Comparison, unit: str) -> Iterator[Table]:
    """Tasks as rows, methods as columns: several tables where a terminal cannot hold them all."""
    against = comparison.against
    others = list(dict.fromkeys(row.method for row in comparison.methods))
    for start in range(0, max(len(others), 1), METHODS_A_TABLE):
        methods = [against, *others[start : start + METHODS_A_TABLE]]
        yield _some_methods(comparison, unit, methods, first=start == 0)


def _some_methods(comparison: Comparison, unit: str, methods: list[str], *, first: bool) -> Table:
    table = plain_table(
        f"{NAMES[unit]} of each task" + ("" if first else ", continued"),
        "Means over seeds. PGR of tasks with a remark is shown and not averaged."
        if unit == "pgr"
        else "Means over seeds.",
    )
    table.add_column("task", no_wrap=True)
    ends = ("seeds", "weak", "ceiling", "gap", "SE") if first else ()
    # spaces: long names break between words
    names = [name.replace("_", " ") for name in methods]
    for column in (*ends, *names):
        table.add_column(escape(column), justify="right", overflow="fold")
    table.add_column("remark", no_wrap=True)
    for row in comparison.tasks:
        remark = row.excluded if unit == "pgr" else "saturated" if row.saturated else ""
        of_ends = (row.weak_auc, row.ceiling_auc, row.gap, row.gap_se)
        table.add_row(
            escape(row.task),
            *((str(row.n_seeds), *map(number, of_ends)) if first else ()),
            *(number(getattr(row, unit).get(name, math.nan)) for name in methods),
            remark,
            style="dim" if remark else None,
        )
    return table


def _methods(comparison: Comparison, unit: str) -> Iterator[Table]:
    """The primary family, then the methods outside it."""
    rows = [row for row in comparison.methods if row.unit == unit]
    primary = [row for row in rows if row.primary]
    others = [row for row in rows if not row.primary]
    title = f"{NAMES[unit]}: difference to {comparison.against}"
    sides = SIDES[comparison.analysis.alternative]
    intervals = f"Tasks: {_which(comparison, unit)}. Brackets: Student's t, 95 %, over tasks."
    if primary:
        (family,) = (one for one in comparison.families if one.unit == unit)
        n = len(primary)
        adjusted = f"; in parentheses by Holm for {n} methods" if n > 1 else ""
        yield _some_differences(
            comparison,
            primary,
            title,
            f"{intervals} p: {sides}{adjusted}.\n"
            "MDE: smallest true mean difference that the t test finds with a power of 80 %"
            + (" at the first level of Holm" if n > 1 else "")
            + f".{_equivalence(comparison, unit)}\n{family_text(family, comparison)}",
        )
    if others:
        yield _some_differences(
            comparison,
            others,
            f"{title}, outside the primary family",
            f"Controls, methods that saw true labels, and others that are not compared for their "
            f"merit. {intervals}\np: {sides}, not adjusted for the number of methods; verdicts "
            "follow from it.",
        )


def _some_differences(
    comparison: Comparison, rows: Sequence[MethodRow], title: str, caption: str
) -> Table:
    table = plain_table(title, caption)
    table.add_column("method")
    unit = rows[0].unit
    columns = ["tasks", "wins", "losses", "mean", "median", "SD", "MDE", *TESTS.values()]
    columns += ["TOST p"] if unit == "auc" else []
    for column in columns:
        table.add_column(column, justify="right")
    table.add_column("verdict")
    several = sum(row.primary for row in rows) > 1
    for row in rows:
        table.add_row(
            escape(row.method),
            f"{row.n} of {row.n_shown}",
            str(row.wins),
            str(row.losses),
            *_differences(row, DIGITS[unit]),
            number(row.detectable, DIGITS[unit]),
            *(_pvalue(row, test, adjusted=several) for test in TESTS),
            *([_pvalue(row, "equivalence", adjusted=several)] if unit == "auc" else []),
            judgement_text(row.verdict, comparison.analysis),
        )
    return table


def _pvalue(row: MethodRow, test: str, *, adjusted: bool) -> str:
    value = getattr(row, f"{test}_pvalue")
    return pvalue(value, getattr(row, f"{test}_holm") if adjusted else None)


def _equivalence(comparison: Comparison, unit: str) -> str:
    if unit != "auc":
        return ""
    return (
        f" TOST p: small where the mean surely lies within ±{comparison.analysis.margin:g} AUC; a "
        "large p of the other tests does not show that."
    )


def _supervisor_gains(comparison: Comparison) -> Table:
    rows = comparison.supervisor_gains
    n_primary = sum(row.primary for row in rows)
    table = plain_table(
        "AUC gain over the weak model",
        "All tasks, whatever their gap. Brackets: 95 %. p: two-sided t test over tasks"
        + (f"; in parentheses by Holm for {n_primary} competitors" if n_primary > 1 else "")
        + ".\nPooled: random-effects model, mean at the mean gap; tau: SD of true gains over "
        "tasks, around the model; slope: gain for each unit of gap, biased by noise of the gap.\n"
        "Pooled PGR: sum of gains over sum of gaps, Fieller's interval over tasks.",
    )
    table.add_column("method")
    for column in ("tasks", "wins", "losses", "mean", "t p"):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    for column in ("pooled mean", "tau", "slope", "pooled PGR"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            escape(row.method),
            str(row.n),
            str(row.wins),
            str(row.losses),
            _with(row.mean, row.mean_interval, 3),
            pvalue(row.t_pvalue, row.t_holm if n_primary > 1 else None),
            judgement_text(row.verdict, comparison.analysis),
            _with(row.pooled_mean, row.pooled_interval, 3),
            number(row.tau),
            _with(row.slope, row.slope_interval, 2),
            _pooled_pgr(row),
        )
    return table


def _pooled_pgr(row: SupervisorGain) -> str:
    if row.pgr_interval is None:
        return escape(with_interval(row.pgr, None, 2))
    return _with(row.pgr, row.pgr_interval, 2)


def _shrunken(comparison: Comparison) -> Iterator[Table]:
    """Gains of the baseline, task by task, where their standard errors are known."""
    for row in comparison.supervisor_gains:
        known = [task for task in row.tasks if not math.isnan(task.shrunken_interval[0])]
        if row.method != comparison.against or not known:
            continue
        table = plain_table(
            f"AUC gain of {row.method} over the weak model, task by task",
            "SE: over test rows and seeds. Shrunken: drawn towards the pooled model the more the "
            "noisier the task; 95 %.",
        )
        table.add_column("task", no_wrap=True)
        for column in ("gain", "SE", "shrunken"):
            table.add_column(column, justify="right")
        for task in known:
            table.add_row(
                escape(task.task),
                f"{task.gain:+.3f}",
                number(task.gain_se),
                _with(task.shrunken, task.shrunken_interval, 3),
            )
        yield table


def _seeds(comparison: Comparison) -> Table:
    parted = any(row.components for row in comparison.seeds)
    table = plain_table(
        "Noise of seeds",
        "Seed SD: of one run within a task. "
        + (
            "Of these: parts that cuts of the rows (split) and seeds of the weak and the strong "
            "model add; what never varies apart stands together. "
            if parted
            else ""
        )
        + "Noise of mean: SD that seeds alone give to the mean difference of two runs.\nA/A: one "
        "seed less another of the same method; p two-sided.",
    )
    for column in ("method", "unit"):
        table.add_column(column)
    for column in ("tasks", "runs", "seed SD"):
        table.add_column(column, justify="right")
    if parted:
        table.add_column("of these")
    for column in ("task SD", "noise of mean"):
        table.add_column(column, justify="right")
    table.add_column("A/A seeds")
    for column in ("mean", "median", "SD", "t p", "Wilcoxon p"):
        table.add_column(column, justify="right")
    for row in comparison.seeds:
        digits = DIGITS[row.unit]
        table.add_row(
            escape(row.method),
            NAMES[row.unit],
            str(row.n_tasks),
            str(row.n_scores),
            escape(f"{row.seed_sd:.{digits}f} {interval_text(row.seed_sd_interval, digits)}"),
            *([_components(row, digits)] if parted else []),
            number(row.task_sd, digits),
            number(row.noise_of_mean, digits),
            escape(" - ".join(row.aa_seeds)),
            *_differences(row.aa, digits),
            pvalue(row.aa.t_pvalue),
            pvalue(row.aa.wilcoxon_pvalue),
        )
    return table


def _components(row: SeedRow, digits: int) -> str:
    return "; ".join(f"{part.name} {part.sd:.{digits}f}" for part in row.components)


def _which(comparison: Comparison, unit: str) -> str:
    analysis = comparison.analysis
    if analysis.saturated_only:
        return "all but saturated ones, as published"
    if unit == "auc":
        return "all, whatever the gap"
    return f"gap at least {analysis.min_gap:g} and {analysis.min_gap_se:g} standard errors"


def _differences(row: Difference, digits: int) -> tuple[str, str, str]:
    if math.isnan(row.mean):
        return "-", "-", "-"
    median = f"{row.median:+.{digits}f}"
    return _with(row.mean, row.mean_interval, digits), median, number(row.sd, digits)


def _with(value: float, interval: tuple[float, float], digits: int) -> str:
    """Signed value with its interval, as far as they are known."""
    if math.isnan(value):
        return "-"
    if math.isnan(interval[0]):
        return f"{value:+.{digits}f}"
    return escape(with_interval(value, interval, digits))
