"""CSV rows, and what their cells hold."""

import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from w2sprobe.errors import InputError


def csv_rows(
    path: Path, check_columns: Callable[[Sequence[str], Path], None]
) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each row by column, with file and row number for messages."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        check_columns(reader.fieldnames or [], path)
        for number, row in enumerate(reader, start=1):
            where = f"{path}, data row {number} (line {reader.line_num})"
            if None in row or None in row.values():
                raise InputError("number of cells differs from the header's", where=where)
            yield row, where


def names_of(
    row: dict[str, Any], required: Sequence[str], optional: Sequence[str], where: str
) -> dict[str, str]:
    """Text cells, stripped; those that are required must not be empty."""
    names = {name: text(row.get(name)) for name in (*required, *optional)}
    for name in required:
        if not names[name]:
            raise InputError("empty cell", where=f"{where}, column {name}", allowed="a name")
    return names


def text(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()
