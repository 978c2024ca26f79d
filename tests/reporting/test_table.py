"""Tables: cells and columns of records."""

import math
from types import SimpleNamespace

import pytest

from w2sprobe.reporting.table import MANY, Cell, Column, Table, numeric


@pytest.mark.parametrize(
    ("cell", "text", "sort"),
    [
        (Cell.number(0.25), "0.250", "0.25"),
        (Cell.number(0.25, digits=1, signed=True), "+0.2", "0.25"),
        (Cell.number(None), "-", ""),
        (Cell.number(math.nan, "in words"), "-", ""),
        (Cell.count(46460), "46,460", "46460.0"),
        (Cell.estimate(0.5, (0.4, 0.6)), "+0.500 [+0.400, +0.600]", "0.5"),
        (Cell.estimate(0.5, (0.4, 0.6), 1, signed=False), "0.5 [0.4, 0.6]", "0.5"),
        (Cell.estimate(0.5, None), "+0.500", "0.5"),
        (Cell.estimate(0.5, (math.nan, math.nan)), "+0.500", "0.5"),
        (Cell.estimate(math.nan, (0.4, 0.6)), "-", ""),
        (Cell.pvalue(0.0001, 0.012), "<0.001 (0.012)", "0.0001"),
        (Cell.pvalue(None), "-", ""),
    ],
)
def test_cells_say_what_is_known_and_sort_by_it(cell: Cell, text: str, sort: str) -> None:
    assert (cell.text, cell.sort) == (text, sort)


def test_a_column_makes_cells_of_attributes_and_of_values() -> None:
    record = SimpleNamespace(task="[b]t", n=1200, inner=SimpleNamespace(auc=0.5))
    columns = (
        Column("task"),
        numeric("rows", "n"),
        numeric("AUC", "inner.auc"),
        Column("same", lambda one: Cell(one.task, "1", "good")),
        Column("none", lambda _: None),
    )
    table = Table.of("t", columns, [record] * (MANY + 1), unresolved=lambda one: one.n > 1)
    assert [cell.text for cell in table.rows[0].cells] == ["[b]t", "1,200", "0.500", "[b]t", "-"]
    assert table.searchable
    assert table.rows[0].unresolved
