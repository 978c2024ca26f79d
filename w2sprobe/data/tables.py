"""Columns of in-memory tables: rows as dicts, data frames, data sets."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from w2sprobe.cells import Cells, as_cells, shown
from w2sprobe.data.columns import IS_TEST, ColumnNames, RecordColumns, pick_columns
from w2sprobe.errors import InputError, first_few

KINDS = "rows as dicts, or a table (a data set, a data frame, a dict of lists)"


def read_table(table: object, wanted: ColumnNames, where: str) -> dict[str, Cells]:
    """Read the wanted columns of a table.

    Parameters
    ----------
    table : object
        Rows as mappings, in any iterable; a `datasets.Dataset`, a data frame or a dict of columns.
        If a column `split` is wanted, also a dict of the tables "train" and "test".
    where : str
        Name of the source in messages.

    Returns
    -------
    dict of str to list
        Columns of equal length.

    Raises
    ------
    InputError
        Another type; a missing column; columns of different length.
    """
    parts = _parts(table)
    if parts:
        return _joined(parts, wanted, where)
    names = _column_names(table)
    if names is not None:
        return _columns_of_table(cast(Any, table), names, wanted, where)
    if isinstance(table, str | bytes) or not isinstance(table, Iterable):
        raise InputError(
            f"{_kind(table)} where rows should be",
            where=where,
            allowed=f"{KINDS}, with {wanted.words}",
        )
    rows = RecordColumns(wanted)
    for number, record in enumerate(table, start=1):
        if not isinstance(record, Mapping):
            raise InputError(
                f"{_kind(record)} where a row should be, {shown(record)}",
                where=f"{where}, row {number} (counted from 1)",
                allowed=f"mappings, as in {wanted.example}",
            )
        rows.add(record)
    return rows.present(where)


def _parts(table: object) -> dict[str, object]:
    """Tables in a dict, such as a `datasets.DatasetDict`; empty if `table` is none."""
    if not isinstance(table, Mapping):
        return {}
    marks = ("column_names", "columns")
    parts = {str(name): part for name, part in table.items()}
    return parts if any(hasattr(part, mark) for part in parts.values() for mark in marks) else {}


def _joined(parts: dict[str, object], wanted: ColumnNames, where: str) -> dict[str, Cells]:
    """Concatenate the tables train and test, and add the column `split`; or take a single table."""
    first = next(iter(parts))
    if "split" not in wanted.optional or (len(parts) > 1 and not {*parts} <= {*IS_TEST}):
        raise InputError(
            f"tables {first_few(parts)} where one should be",
            where=where,
            allowed="one table" + ", or train and test" * ("split" in wanted.optional),
            advice=f"Choose one, as in tables[{first!r}], or join them.",
        )
    read = {name: read_table(part, wanted, f"{where}, {name}") for name, part in parts.items()}
    if len(read) == 1:
        return read[first]
    columns = {name: list(cells) for name, cells in read.items()}
    if "split" in columns[first] or len({frozenset(names) for names in columns.values()}) > 1:
        raise InputError(
            f"columns {columns} of tables to be joined",
            where=where,
            allowed="the same columns, and no split among them",
        )
    cells = {
        name: [cell for part in read.values() for cell in part[name]] for name in columns[first]
    }
    cells["split"] = [name for name, part in read.items() for _ in part[columns[first][0]]]
    return cells


def _column_names(table: object) -> list[str] | None:
    """Column names of a table; None for other objects and for tables that can only be streamed."""
    if not hasattr(table, "__getitem__") or not hasattr(table, "__len__"):
        return None
    if isinstance(table, Mapping):
        return [str(name) for name in table]
    names = getattr(table, "column_names", getattr(table, "columns", None))
    return None if names is None else [str(name) for name in names]


def _columns_of_table(
    table: Any, names: list[str], wanted: ColumnNames, where: str
) -> dict[str, Cells]:
    picked = pick_columns(names, where, wanted)
    if hasattr(table, "with_format") and hasattr(table, "select_columns"):
        # a datasets.Dataset gives rows and columns one by one, but Arrow tables whole
        table = table.select_columns(picked).with_format("arrow")[:]
    cells = {name: as_cells(table[name], f"{where}, column {name}") for name in picked}
    lengths = {name: len(column) for name, column in cells.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"columns of different length: {lengths}", where=where)
    return cells


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
