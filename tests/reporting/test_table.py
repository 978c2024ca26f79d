"""Tables: cells of records, and how they are drawn in a terminal."""

import math
from operator import itemgetter
from types import SimpleNamespace

import hypothesis.strategies as st
import pytest
from hypothesis import given
from rich.console import Console

from w2sprobe.reporting.table import MANY, Cell, Column, Table, numeric


def printed(table: Table, width: int) -> list[str]:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(table)
    return capture.get().splitlines()


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
    assert "[b]t" in " ".join(printed(table, 100))  # no markup


@given(
    widths=st.lists(st.integers(1, 30), min_size=1, max_size=12),
    width=st.integers(70, 200),
)
def test_no_number_is_cut_however_narrow_the_terminal(widths: list[int], width: int) -> None:
    values = [str(at % 10) * long for at, long in enumerate(widths)]
    columns = [Column("first", lambda _: "row")]
    columns += [numeric(f"title {at}", itemgetter(at)) for at in range(len(values))]
    lines = printed(Table.of("t", columns, [list(map(Cell.of, values))], "A note."), width)
    assert all(len(line) <= width for line in lines)
    rows = [line.split() for line in lines if line.split()[:1] == ["row"]]
    assert [value for row in rows for value in row[1:]] == values
    assert lines[-1].strip() == "A note."
