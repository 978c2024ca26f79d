"""Indicators against measured gains as tables in the terminal."""

import math
from collections.abc import Iterator, Sequence

from rich.markup import escape
from rich.table import Table

from w2sprobe.comparison import GainRow, Unit
from w2sprobe.reporting._cells import plain_table, pvalue
from w2sprobe.reporting.table import with_interval

UNITS: dict[Unit, str] = {"auc": "AUC gain", "pgr": "PGR"}


def gain_tables(rows: Sequence[GainRow]) -> Iterator[Table]:
    """One table a method: a row an indicator, AUC gain and PGR side by side."""
    for method in dict.fromkeys(row.method for row in rows):
        own = [row for row in rows if row.method == method]
        yield _table(method, own)


def _table(method: str, rows: Sequence[GainRow]) -> Table:
    names = dict.fromkeys(row.indicator for row in rows)
    caption = (
        f"Spearman over points, a task and pair of models each; brackets: 95 % intervals. p: "
        f"two-sided, by permutation; in parentheses by Holm for {len(names)} indicators.\n"
        "PGR: of tasks that count; indicators may share the weak AUC with it: prefer AUC gain."
    )
    if any(row.n > row.n_tasks for row in rows):
        caption += (
            "\nPairs share tasks, so points are not independent: intervals are too narrow, p too "
            "small."
        )
    table = plain_table(f"Indicators and the gain of {method}", caption)
    table.add_column("indicator")
    for name in UNITS.values():
        table.add_column("points", justify="right")
        table.add_column(name, justify="right")
        table.add_column("p", justify="right")
    by_key = {(row.indicator, row.unit): row for row in rows}
    for indicator in names:
        table.add_row(
            escape(indicator), *(part for unit in UNITS for part in _cells(by_key[indicator, unit]))
        )
    return table


def _cells(row: GainRow) -> tuple[str, str, str]:
    if math.isnan(row.correlation):
        text = "-"
    elif math.isnan(row.interval[0]):
        text = f"{row.correlation:+.2f}"
    else:
        text = escape(with_interval(row.correlation, row.interval, 2))
    return str(row.n), text, pvalue(row.pvalue, row.holm)
