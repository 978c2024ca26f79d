"""Indicators against measured gains as tables."""

from collections.abc import Iterator, Sequence

from w2sprobe.comparison import GainRow, Unit
from w2sprobe.reporting.table import Cell, Column, Row, Table, tone_of

UNITS: dict[Unit, str] = {"auc": "AUC gain", "pgr": "PGR"}


def gain_tables(rows: Sequence[GainRow], prefix: str = "") -> Iterator[Table]:
    """One table a method: a row an indicator, AUC gain and PGR side by side."""
    for method in dict.fromkeys(row.method for row in rows):
        yield _table(method, [row for row in rows if row.method == method], prefix)


def _table(method: str, rows: Sequence[GainRow], prefix: str) -> Table:
    names = dict.fromkeys(row.indicator for row in rows)
    note = (
        f"Spearman over points, a task and pair of models each; brackets: 95 % intervals. p: "
        f"two-sided, by permutation; in parentheses by Holm for {len(names)} indicators.\n"
        "PGR: of tasks that count; indicators may share the weak AUC with it: prefer AUC gain."
    )
    if any(row.n > row.n_tasks for row in rows):
        note += (
            "\nPairs share tasks, so points are not independent: intervals are too narrow, p too "
            "small."
        )
    by_key = {(row.indicator, row.unit): row for row in rows}
    return Table(
        f"{prefix}indicators-{method.replace('_', '-')}",
        f"Indicators and the gain of {method}",
        (
            Column("indicator"),
            *(
                Column(title, number=True)
                for name in UNITS.values()
                for title in ("points", name, "p")
            ),
        ),
        [
            Row(
                (
                    Cell.of(indicator),
                    *(cell for unit in UNITS for cell in _cells(by_key[indicator, unit])),
                )
            )
            for indicator in names
        ],
        note,
    )


def _cells(row: GainRow) -> tuple[Cell, Cell, Cell]:
    return (
        Cell.count(row.n),
        Cell.estimate(row.correlation, row.interval, 2, tone_of(row.interval)),
        Cell.pvalue(row.pvalue, row.holm),
    )
