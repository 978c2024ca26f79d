"""Convert cells of a user's table: ids, texts, 0 or 1, numbers.

A cell means the same from CSV, JSON, Parquet and Python. As CSV cells are text, text means the same
as the value that it spells. Nothing is guessed: other cells are refused.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np

from w2sprobe.errors import InputError

Cells = list[Any]

# also looks up True, 1.0, numpy's and Decimal's numbers: they equal 0 or 1 and hash alike
BINARY: dict[object, int] = {
    **dict.fromkeys((0, "0", "0.0", "false"), 0),
    **dict.fromkeys((1, "1", "1.0", "true"), 1),
}
BINARY_ALLOWED = "true or false, 1 or 0"
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
MISSING = {"None", "absent", "nan", "NaT", "<NA>", ""}  # str() of missing cells, by library
FILL = "Fill the cell or remove the row."
MAX_SHOWN = 60  # characters of a cell in a message


def shown(value: object) -> str:
    """Show a cell in a message, shortened if it is long."""
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def is_gap(value: object) -> bool:
    """Whether a cell is empty or missing."""
    return str(value) in MISSING


def as_cells(column: Any, where: str) -> Cells:
    """Cells of a list, an array, a series or an Arrow column.

    Raises
    ------
    InputError
        Something else: a single value, a set (which has no order), a mapping.
    """
    for method in ("to_pylist", "tolist"):  # of Arrow; of numpy, pandas and torch
        try:
            column = getattr(column, method, lambda column=column: column)()
        except UnicodeDecodeError as error:  # Arrow decodes only here
            raise InputError(f"not UTF-8: {error}", where=where) from error
    no_sequence = isinstance(column, str | bytes | Mapping | AbstractSet)
    if no_sequence or not isinstance(column, Iterable):
        raise InputError(
            f"a {type(column).__name__} where a column should be, {shown(column)}",
            where=where,
            allowed="a list, an array or a series",
            advice="A single row is a column of one cell, in a list.",
        )
    return column if isinstance(column, list) else list(column)


def converted(
    cells: Cells,
    all_fine: Callable[[Cells], bool],
    convert: Callable[[Any], Any],
    position: Callable[[int], str],
) -> Cells:
    """Convert each cell, or return the column as it is if a fast check finds all cells fine.

    Raises
    ------
    InputError
        As `convert`, with the position of the row.
    """
    if all_fine(cells):
        return cells
    values = []
    for row, cell in enumerate(cells):
        try:
            values.append(convert(cell))
        except InputError as error:
            raise InputError(
                error.what, where=position(row), allowed=error.allowed, advice=error.advice
            ) from error
    return values


def all_filled(cells: Cells) -> bool:
    """Whether all cells are strings of valid Unicode with more than white space."""
    if set(map(type, cells)) != {str} or not all(map(str.strip, cells)):
        return False
    try:
        deque(map(str.encode, cells), maxlen=0)  # the fastest way to run an iterator
    except UnicodeEncodeError:
        return False
    return True


def all_names(cells: Cells) -> bool:
    """Whether all cells are strings that `as_name` would return unchanged."""
    return all_filled(cells) and not any("\0" in cell for cell in cells)


def filled(column: str, value: object) -> str:
    """Text that is not empty; anything else is refused."""
    if not isinstance(value, str):
        advice = FILL if is_gap(value) else "Write it as text."
        raise InputError(f"{column} is {shown(value)}", allowed="a string", advice=advice)
    if not value.strip():
        raise InputError(f"empty {column} {shown(value)}", advice=FILL)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{column} {shown(value)} holds half a surrogate pair",
            allowed="valid Unicode",
            advice="Write the character whole, or remove it.",
        ) from error
    return str(value)  # numpy.str_ becomes str


def key(column: str, value: object, advice: str = "") -> str:
    """Text, or the digits of an integer; a float is refused, as CSV may spell it 7.0 or 7."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise InputError(
            f"{column} is {shown(value)}",
            allowed="a string that is not empty, or an integer",
            advice=advice or (FILL if is_gap(value) else "Write it as text."),
        )
    return filled(column, value)


def as_name(column: str, value: object) -> str:
    """A key without NUL characters, which numpy and HDF5 drop at the end of a string."""
    name = key(column, value)
    if "\0" in name:
        raise InputError(
            f"{column} with a NUL character, {shown(name)}", advice="Remove the character."
        )
    return name


def as_names(column: Any, where: str) -> list[str]:
    """Ids of rows, in their order.

    Raises
    ------
    InputError
        Not a column, or an invalid id; names the row, counted from 0.
    """
    return converted(
        as_cells(column, where),
        all_names,
        partial(as_name, "id"),
        lambda row: f"{where}, row {row}",
    )


def as_binary(value: object) -> int | None:
    """Convert 0, 1, false or true, or their text in any case, to 0 or 1; None if it is neither."""
    try:
        return BINARY.get(value.strip().lower() if isinstance(value, str) else value)
    except TypeError:  # a list cannot be looked up
        return None


def binary(column: str, value: object) -> int:
    """Convert as `as_binary`; anything else is refused."""
    bit = as_binary(value)
    if bit is None:
        advice = FILL if is_gap(value) else ""
        raise InputError(f"{column} is {shown(value)}", allowed=BINARY_ALLOWED, advice=advice)
    return bit


def number(column: str, value: object) -> float:
    """Convert a finite number, or text that spells one, to float; true and false are 1 and 0."""
    parsed = np.nan
    try:
        if isinstance(value, str):
            text = value.strip().lower()
            if text in ("true", "false"):
                parsed = float(BINARY[text])
            elif NUMBER.fullmatch(text):
                parsed = float(text)
        elif isinstance(value, Real | Decimal | np.bool_):
            parsed = float(value)
    except (OverflowError, ValueError):  # an integer beyond float, a signalling NaN
        pass
    if not np.isfinite(parsed):
        advice = FILL if is_gap(value) else ""
        raise InputError(f"{column} is {shown(value)}", allowed="a number", advice=advice)
    return parsed
