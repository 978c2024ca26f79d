"""CSV rows: every row knows its file and line, and a cell that cannot be used is refused."""

from pathlib import Path

import pytest

from w2sprobe.comparison._tables import csv_rows, names_of, text
from w2sprobe.errors import InputError


def rows_of(folder: Path, content: str) -> list[tuple[dict[str, str], str]]:
    path = folder / "table.csv"
    path.write_bytes(content.encode())
    return list(csv_rows(path, lambda _names, _path: None))


def test_rows_come_by_column_with_their_number_and_line(tmp_path: Path) -> None:
    (first, where), (second, _) = rows_of(tmp_path, 'task,auc\n"a\nb",.5\nc,\n')
    assert first == {"task": "a\nb", "auc": ".5"}
    assert where == f"{tmp_path / 'table.csv'}, data row 1 (line 3)"  # the cell holds a line break
    assert second == {"task": "c", "auc": ""}


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    ((row, _),) = rows_of(tmp_path, "\ufefftask\r\na\r\n")
    assert row == {"task": "a"}


def test_columns_are_checked_before_any_row_and_even_without_a_header(tmp_path: Path) -> None:
    seen = []
    path = tmp_path / "table.csv"
    for content in ("task,auc\n", ""):
        path.write_text(content, encoding="utf-8")
        assert not list(csv_rows(path, lambda names, _: seen.append(list(names))))
    assert seen == [["task", "auc"], []]


@pytest.mark.parametrize("line", ["a", "a,.5,.6"])
def test_a_row_of_another_length_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match=r"number of cells differs.*data row 2 \(line 3\)"):
        rows_of(tmp_path, f"task,auc\nb,.4\n{line}\n")


def test_names_are_stripped_and_optional_ones_may_be_missing() -> None:
    row = {"task": " a ", "seed": None, "auc": ".5"}
    assert names_of(row, ("task",), ("seed", "split"), "row 1") == {
        "task": "a",
        "seed": "",
        "split": "",
    }


def test_an_empty_required_cell_is_refused() -> None:
    with pytest.raises(InputError, match=r"empty cell in row 1, column task.*a name"):
        names_of({"task": " "}, ("task",), (), "row 1")


def test_cells_of_parquet_become_text() -> None:
    assert [text(cell) for cell in (None, 3, " a ", 0)] == ["", "3", "a", "0"]
