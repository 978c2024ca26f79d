"""What a cell of a user's table means, the same from CSV, JSON, Parquet and Python.

One rule a kind of column: names of rows, 0 or 1, numbers. What no rule covers is refused; nothing
is guessed. CSV cells are text, so text and values that say the same have to mean the same.
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

# finds True, 1.0, numpy's and Decimal's, too: they equal 0 or 1
BINARY: dict[object, int] = {
    **dict.fromkeys((0, "0", "0.0", "false"), 0),
    **dict.fromkeys((1, "1", "1.0", "true"), 1),
}
BINARY_ALLOWED = "true or false, 1 or 0"
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
GAPS = {"None", "absent", "nan", "NaT", "<NA>", ""}  # how tables show a cell that is not there
FILL = "Fill the cell or remove the row."
MAX_SHOWN = 60  # characters of a cell in a message


def shown(value: object) -> str:
    """Show a cell in a message, cut where it is long."""
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def is_gap(value: object) -> bool:
    """Whether a cell is empty, however its table says so."""
    return str(value) in GAPS


def as_cells(column: Any, where: str) -> Cells:
    """Cells of a list, an array, a series or a column of Arrow's.

    Raises
    ------
    InputError
        Something else: a single value, a set (which has no order), a mapping.
    """
    # Arrow; numpy, pandas, torch
    for method in ("to_pylist", "tolist"):
        try:
            column = getattr(column, method, lambda column=column: column)()
        except UnicodeDecodeError as error:  # Arrow reads what is no UTF-8 without looking
            raise InputError(f"not UTF-8: {error}", where=where) from error
    alone = isinstance(column, str | bytes | Mapping | AbstractSet)
    if alone or not isinstance(column, Iterable):
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
    place: Callable[[int], str],
) -> Cells:
    """Return the column itself where all of it is fine, else each cell converted.

    Raises
    ------
    InputError
        As `convert` does, with the `place` that is made of the row's position.
    """
    if all_fine(cells):
        return cells
    values = []
    for row, cell in enumerate(cells):
        try:
            values.append(convert(cell))
        except InputError as error:
            raise InputError(
                error.what, where=place(row), allowed=error.allowed, advice=error.advice
            ) from error
    return values


def all_filled(cells: Cells) -> bool:
    """Strings of valid Unicode that are more than white space, all of them."""
    if set(map(type, cells)) != {str} or not all(map(str.strip, cells)):
        return False
    try:
        deque(map(str.encode, cells), maxlen=0)  # runs the map and keeps nothing
    except UnicodeEncodeError:
        return False
    return True


def all_names(cells: Cells) -> bool:
    """Strings as `as_name` returns them, all of them."""
    return all_filled(cells) and not any("\0" in cell for cell in cells)


def filled(column: str, value: object) -> str:
    """Text of a cell that holds some."""
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
    return str(value)  # numpy's strings are a subclass


def key(column: str, value: object, advice: str = "") -> str:
    """Text, or the digits of an integer; a float is refused: CSV may say 7.0 or 7 for it."""
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
    """A key without NUL, which numpy and HDF5 drop at the end of a string."""
    found = key(column, value)
    if "\0" in found:
        raise InputError(
            f"{column} with a NUL character, {shown(found)}", advice="Remove the character."
        )
    return found


def as_names(column: Any, where: str) -> list[str]:
    """Ids of rows, in their order.

    Raises
    ------
    InputError
        No column, or a cell that is no name: says in which row, from 0.
    """
    return converted(
        as_cells(column, where),
        all_names,
        partial(as_name, "id"),
        lambda row: f"{where}, row {row}",
    )


def as_binary(value: object) -> int | None:
    """0 or 1, or what says the same: false, true, as text in any case, too. None: neither."""
    try:
        return BINARY.get(value.strip().lower() if isinstance(value, str) else value)
    except TypeError:  # a list cannot be looked up
        return None


def binary(column: str, value: object) -> int:
    """As `as_binary`; anything else is refused."""
    found = as_binary(value)
    if found is None:
        advice = FILL if is_gap(value) else ""
        raise InputError(f"{column} is {shown(value)}", allowed=BINARY_ALLOWED, advice=advice)
    return found


def number(column: str, value: object) -> float:
    """A finite number, or text that is one; true and false are 1 and 0."""
    found = None
    try:
        if isinstance(value, str):
            text = value.strip().lower()
            found = float(text) if NUMBER.fullmatch(text) else None
            if text in ("true", "false"):
                found = float(BINARY[text])
        elif isinstance(value, Real | Decimal | np.bool_):
            found = float(value)
    except (OverflowError, ValueError):  # an endless integer, a signalling NaN
        found = None
    if found is None or not np.isfinite(found):
        advice = FILL if is_gap(value) else ""
        raise InputError(f"{column} is {shown(value)}", allowed="a number", advice=advice)
    return found
