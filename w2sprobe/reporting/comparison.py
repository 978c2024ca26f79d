"""A comparison of methods as tables in the terminal."""

import math
from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from w2sprobe.comparison import Comparison, Difference
from w2sprobe.reporting._cells import interval_text, number, plain_table, pvalue
from w2sprobe.reporting.table import with_interval

NAMES = {"pgr": "PGR", "auc": "AUC"}
DIGITS = {"pgr": 3, "auc": 4}
METHODS_A_TABLE = 6  # with their baseline: 100 to 120 columns


def comparison_tables(comparison: Comparison) -> Iterator[Table]:
    """Tasks and methods in each unit, then the noise of seeds where there are several."""
    for unit in dict.fromkeys(row.unit for row in comparison.methods):
        yield from _tasks(comparison, unit)
        yield _methods(comparison, unit)
    if comparison.seeds:
        yield _seeds(comparison)


def _tasks(comparison: Comparison, unit: str) -> Iterator[Table]:
    """Tasks as rows, methods as columns: several tables where a terminal cannot hold them all."""
    against = comparison.against
    others = list(dict.fromkeys(row.method for row in comparison.methods))
    for start in range(0, max(len(others), 1), METHODS_A_TABLE):
        methods = [against, *others[start : start + METHODS_A_TABLE]]
        yield _some_methods(comparison, unit, methods, first=start == 0)


def _some_methods(comparison: Comparison, unit: str, methods: list[str], *, first: bool) -> Table:
    table = plain_table(
        f"{NAMES[unit]} a task" + ("" if first else ", continued"),
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


def _methods(comparison: Comparison, unit: str) -> Table:
    rows = [row for row in comparison.methods if row.unit == unit]
    adjusted = len(rows) > 1
    table = plain_table(
        f"{NAMES[unit]}: difference to {comparison.against}",
        f"Tasks: {_which(comparison, unit)}. Brackets: 95 % bootstrap intervals over tasks. "
        "p: one-sided, the method is better"
        + (f"; in parentheses by Holm for {len(rows)} methods." if adjusted else "."),
    )
    table.add_column("method")
    for column in ("tasks", "wins", "mean", "median", "SD", "t p", "Wilcoxon p", "sign p"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            escape(row.method),
            f"{row.n} of {row.n_shown}",
            str(row.wins),
            *_differences(row, DIGITS[unit]),
            *(
                pvalue(
                    getattr(row, f"{test}_pvalue"),
                    getattr(row, f"{test}_holm") if adjusted else None,
                )
                for test in ("t", "wilcoxon", "sign")
            ),
        )
    return table


def _seeds(comparison: Comparison) -> Table:
    table = plain_table(
        "Noise of seeds",
        "Seed SD: of one run within a task. Noise of mean: SD that seeds alone give to the mean "
        "difference of two runs.\nA/A: one seed less another of the same method; p two-sided.",
    )
    for column in ("method", "unit"):
        table.add_column(column)
    for column in ("tasks", "runs", "seed SD", "task SD", "noise of mean"):
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
            number(row.task_sd, digits),
            number(row.noise_of_mean, digits),
            escape(" - ".join(row.aa_seeds)),
            *_differences(row.aa, digits),
            pvalue(row.aa.t_pvalue),
            pvalue(row.aa.wilcoxon_pvalue),
        )
    return table


def _which(comparison: Comparison, unit: str) -> str:
    if comparison.saturated_only:
        return "all but saturated ones, as published"
    if unit == "auc":
        return "all, whatever the gap"
    return f"gap at least {comparison.min_gap:g} and {comparison.min_gap_se:g} standard errors"


def _differences(row: Difference, digits: int) -> tuple[str, str, str]:
    if row.n < 2:
        mean = "-" if math.isnan(row.mean) else f"{row.mean:+.{digits}f}"
        return mean, mean, "-"
    return (
        escape(with_interval(row.mean, row.mean_interval, digits)),
        escape(with_interval(row.median, row.median_interval, digits)),
        f"{row.sd:.{digits}f}",
    )
