"""Rows and tables of other libraries as columns: dicts, data frames, data sets."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from w2sprobe.cells import Cells, as_cells, shown
from w2sprobe.data.columns import PARTS, RecordColumns, Wanted, pick_columns
from w2sprobe.errors import InputError, first_few

KINDS = "rows as dicts, or a table (a data set, a data frame, a dict of lists)"


def read_table(table: object, wanted: Wanted, where: str) -> dict[str, Cells]:
    """Read the columns that are wanted.

    Parameters
    ----------
    table : object
        Rows as mappings, in any iterable; a `datasets.Dataset`, a data frame, a dict of columns;
        where a column `split` is wanted, also a dict of tables "train" and "test", to be joined.
    wanted : Wanted
    where : str
        The source, for messages.

    Returns
    -------
    dict of str to list
        Of equal length.

    Raises
    ------
    InputError
        Something else; a column is missing, or columns differ in length.
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
    """Tables in a dict, such as a `datasets.DatasetDict`; empty where there are none."""
    if not isinstance(table, Mapping):
        return {}
    marks = ("column_names", "columns")
    parts = {str(name): part for name, part in table.items()}
    return parts if any(hasattr(part, mark) for part in parts.values() for mark in marks) else {}


def _joined(parts: dict[str, object], wanted: Wanted, where: str) -> dict[str, Cells]:
    """Columns of tables that are called train and test, and `split`, which says whose a row is."""
    chosen = next(iter(parts))
    if "split" not in wanted.optional or (len(parts) > 1 and not {*parts} <= {*PARTS}):
        raise InputError(
            f"tables {first_few(parts)} where one should be",
            where=where,
            allowed="one table" + ", or train and test" * ("split" in wanted.optional),
            advice=f"Choose one, as in tables[{chosen!r}], or join them.",
        )
    found = {name: read_table(part, wanted, f"{where}, {name}") for name, part in parts.items()}
    if len(found) == 1:
        return found[chosen]
    columns = {name: list(cells) for name, cells in found.items()}
    if "split" in columns[chosen] or len({frozenset(names) for names in columns.values()}) > 1:
        raise InputError(
            f"columns {columns} of tables to be joined",
            where=where,
            allowed="the same columns, and no split among them",
        )
    cells = {
        name: [cell for part in found.values() for cell in part[name]] for name in columns[chosen]
    }
    cells["split"] = [name for name, part in found.items() for _ in part[columns[chosen][0]]]
    return cells


def _column_names(table: object) -> list[str] | None:
    """Names of a table's columns; None where it is no table, or one that only streams."""
    if not hasattr(table, "__getitem__") or not hasattr(table, "__len__"):
        return None
    if isinstance(table, Mapping):
        return [str(name) for name in table]
    names = getattr(table, "column_names", getattr(table, "columns", None))
    return None if names is None else [str(name) for name in names]


def _columns_of_table(table: Any, names: list[str], wanted: Wanted, where: str) -> dict[str, Cells]:
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
