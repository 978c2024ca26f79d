"""Tables of indicators against measured gains."""

from collections.abc import Iterator, Sequence

from w2sprobe.comparison import GainRow, Unit
from w2sprobe.reporting.table import Cell, Column, Table, numeric, tone_of

UNITS: dict[Unit, str] = {"auc": "AUC gain", "pgr": "PGR"}


def gain_tables(rows: Sequence[GainRow]) -> Iterator[Table]:
    """One table per method, with a row per indicator: correlations with AUC gain and with PGR."""
    for method in dict.fromkeys(row.method for row in rows):
        yield _table(method, [row for row in rows if row.method == method])


def _table(method: str, rows: Sequence[GainRow]) -> Table:
    names = dict.fromkeys(row.indicator for row in rows)
    note = (
        f"Spearman correlations over points, each a task and pair of models; brackets: 95 % "
        f"intervals. p: two-sided permutation test; in parentheses after Holm for {len(names)} "
        "indicators.\nPGR: over tasks with a resolved gap. Some indicators depend on the weak AUC, "
        "as PGR does: prefer the AUC gain."
    )
    if any(row.n > row.n_tasks for row in rows):
        note += (
            "\nPairs share tasks, so points are not independent: intervals are too narrow and p "
            "values too small."
        )
    columns = [Column("indicator", str)]
    for unit, title in UNITS.items():
        by_indicator = {row.indicator: row for row in rows if row.unit == unit}
        columns += _columns(by_indicator, title)
    return Table.of(f"Indicators and the gain of {method}", columns, names, note)


def _columns(rows: dict[str, GainRow], title: str) -> Iterator[Column]:
    def correlation(name: str) -> Cell:
        row = rows[name]
        return Cell.estimate(row.correlation, row.interval, 2, tone_of(row.interval))

    yield numeric("points", lambda name: rows[name].n)
    yield numeric(title, correlation)
    yield numeric("p", lambda name: Cell.pvalue(rows[name].pvalue, rows[name].holm))
