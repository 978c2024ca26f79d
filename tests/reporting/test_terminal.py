"""Tables in a terminal: split rather than cut, without markup, unresolved rows dimmed."""

from operator import itemgetter

import hypothesis.strategies as st
from hypothesis import given
from rich.console import Console

from tests.reporting.cases import printed
from w2sprobe.reporting.table import Cell, Column, Table, numeric


@given(
    widths=st.lists(st.integers(1, 30), min_size=1, max_size=12),
    width=st.integers(70, 200),
)
def test_no_number_is_cut_however_narrow_the_terminal(widths: list[int], width: int) -> None:
    values = [str(at % 10) * long for at, long in enumerate(widths)]
    columns = [Column("first", lambda _: "row")]
    columns += [numeric(f"title {at}", itemgetter(at)) for at in range(len(values))]
    table = Table.of("t", columns, [list(map(Cell.of, values))], "A note.")
    lines = printed(table, width=width).splitlines()
    assert all(len(line) <= width for line in lines)
    rows = [line.split() for line in lines if line.split()[:1] == ["row"]]
    assert [value for row in rows for value in row[1:]] == values
    assert lines[-1].strip() == "A note."


def test_parts_repeat_pinned_columns_and_share_a_note() -> None:
    columns = [Column("task", lambda _: "reviews"), Column("method", lambda _: "knn", pinned=True)]
    columns += [numeric(f"score {number}", lambda _: 0.5) for number in range(6)]
    text = printed(Table.of("Scores", columns, [None], "One note."), width=50)
    assert "Scores, continued" in text
    assert text.count("reviews") == text.count("knn") > 1
    assert text.count("One note.") == 1


def test_texts_are_not_markup_and_long_ones_wrap() -> None:
    words = "[bold]one[/bold] two three four five six seven eight nine ten"
    columns = [Column("name", lambda _: "[b]n"), Column("text", lambda _: words, wrap=True)]
    lines = printed(Table.of("", columns, [None]), width=45).splitlines()
    assert all(len(line) <= 45 for line in lines)
    text = " ".join(" ".join(lines).split())
    assert "[b]n" in text
    assert "[bold]one[/bold]" in text
    assert len([line for line in lines if line.strip()]) > 3


def test_unresolved_rows_are_dimmed_only_beside_others() -> None:
    def styled(values: list[float]) -> str:
        console = Console(width=80, color_system="standard", force_terminal=True)
        table = Table.of("", [numeric("gap", lambda x: x)], values, unresolved=lambda x: x < 0.5)
        with console.capture() as capture:
            console.print(table)
        return capture.get()

    dimmed = "\x1b[2m"
    assert dimmed in styled([0.1, 0.9])
    assert dimmed not in styled([0.1, 0.2])
