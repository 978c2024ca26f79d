"""What a task's columns may hold, wherever they come from.

A whole column is tested at C speed; rows are walked to convert it, or to name the first bad one.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from w2sprobe.cells import (
    BINARY,
    FILL,
    MAX_SHOWN,
    Cells,
    all_filled,
    all_names,
    as_binary,
    converted,
    filled,
    is_gap,
    key,
    shown,
)
from w2sprobe.data.rows import SourceRows
from w2sprobe.data.splits import SPLIT_NAMES
from w2sprobe.errors import IdMismatch, InputError, first_few

PARTS: dict[object, bool] = {"train": False, "test": True}
MAX_ID = 256  # characters; ids are shown to people
MAX_GROUP = 64  # characters; arrays of strings are as wide as their longest
DIGEST = 32  # hex digits that stand for a longer group
MAX_VALUES = 8  # labels listed in a message


@dataclass(frozen=True)
class Wanted:
    """Columns that are asked for, and how messages say so."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    words: str
    example: str

    @property
    def all(self) -> tuple[str, ...]:
        """Both."""
        return (*self.required, *self.optional)


TASK = Wanted(
    ("text", "label"),
    ("id", "group", "split"),
    "columns text and label, optionally id, group and split",
    '{"text": "...", "label": 1}',
)
TEXTS = Wanted(("id", "text"), (), "columns id and text", '{"id": "a", "text": "..."}')


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()  # the cell of a row that lacks the column; None is a value that was written


@dataclass(frozen=True)
class RawColumns:
    """Cells as they came, and how to name their place.

    Parameters
    ----------
    cells : dict of str to list
        Columns among those of `TASK`, text and label at least, of equal length.
    where : str
        The source.
    place : callable
        From a row's position, from 0, to its place in the source as a person would look for it.
    """

    cells: dict[str, Cells]
    where: str
    place: Callable[[int], str]


class RecordColumns:
    """Columns gathered from records, one at a time; what is not wanted is let go at once."""

    def __init__(self, wanted: Wanted = TASK) -> None:
        self._wanted = wanted
        self._cells: dict[str, Cells] = {name: [] for name in wanted.all}
        self._pairs = list(self._cells.items())
        self._first: list[str] = []

    def add(self, record: Mapping[Any, Any]) -> None:
        """Take one row."""
        if not self._first:
            self._first = [str(name) for name in record]
        for name, column in self._pairs:
            column.append(record.get(name, ABSENT))

    def present(self, where: str) -> dict[str, Cells]:
        """Columns that at least one record has.

        Raises
        ------
        InputError
            One that is required is not among them.
        """
        cells = {name: cells for name, cells in self._pairs if cells.count(ABSENT) < len(cells)}
        _check_required(self._wanted, cells, self._first, where)
        return cells


def pick_columns(found: Sequence[str], where: str, wanted: Wanted = TASK) -> list[str]:
    """Columns to read, of those that the source has.

    Raises
    ------
    InputError
        One that is required is not among them, or one that is wanted is there twice.
    """
    _check_required(wanted, found, found, where)
    picked = [name for name in wanted.all if name in found]
    doubled = [name for name in picked if found.count(name) > 1]
    if doubled:
        raise InputError(
            f"doubled column {', '.join(map(repr, doubled))}",
            where=where,
            advice="Remove or rename all but one.",
        )
    return picked


def check_columns(raw: RawColumns, made_of: dict[str, Any]) -> SourceRows:
    """Check every cell.

    Parameters
    ----------
    raw : RawColumns
        Emptied column by column, so that none is held as it was and as it becomes.
    made_of : dict
        As in `SourceRows`.

    Returns
    -------
    SourceRows

    Raises
    ------
    InputError
        No rows; a text that is empty or no text, a label other than 0 or 1, an empty or overlong
        id, an empty group, a part other than train and test.
    IdMismatch
        An id occurs twice.
    """
    cells, place = raw.cells, raw.place
    if not cells["text"]:
        raise InputError("no rows", where=raw.where, allowed=f"rows with {TASK.words}")
    labels = _labels(cells.pop("label"), place)
    texts = converted(cells.pop("text"), all_filled, partial(filled, "text"), place)
    ids = groups = held_out = None
    if "id" in cells:
        ids = converted(cells.pop("id"), partial(_all_short, MAX_ID), _id, place)
        _check_unique(ids, place)
    if "group" in cells:
        groups = converted(cells.pop("group"), partial(_all_short, MAX_GROUP), _group, place)
    if "split" in cells:
        held_out = _held_out(cells.pop("split"), place)
    return SourceRows(texts, labels, ids, groups, held_out, made_of=made_of)


def _check_required(
    wanted: Wanted, given: Collection[str], found: Sequence[str], where: str
) -> None:
    missing = [name for name in wanted.required if name not in given]
    if missing and not found:
        raise InputError("no rows", where=where, allowed=f"rows with {wanted.words}")
    if missing:
        raise InputError(
            f"no column {', '.join(map(repr, missing))}",
            where=where,
            allowed=f"{wanted.words}; found {first_few([name[:MAX_SHOWN] for name in found], 12)}",
            advice="Rename the columns that hold them.",
        )


def _all_short(limit: int, cells: Cells) -> bool:
    return all_names(cells) and all(len(cell) <= limit for cell in cells)


def _id(value: object) -> str:
    name = key("id", value, "Fill the cell, or leave out the column id.")
    if len(name) > MAX_ID or "\0" in name:
        what = "with a NUL character" if "\0" in name else f"of {len(name)} characters"
        raise InputError(
            f"id {what}, {shown(name)}",
            allowed=f"at most {MAX_ID} characters, none of them NUL",
            advice="Shorten it, or leave out the column id: rows are then known by their text.",
        )
    return name


def _group(value: object) -> str:
    name = key("group", value, "Fill the cell, or leave out the column group.")
    # numpy drops a NUL at the end, which would join two groups
    if len(name) <= MAX_GROUP and "\0" not in name:
        return name
    return hashlib.sha256(name.encode()).hexdigest()[:DIGEST]


def _check_unique(ids: list[str], place: Callable[[int], str]) -> None:
    if len(set(ids)) == len(ids):
        return
    first: dict[str, int] = {}
    for row, name in enumerate(ids):
        if first.setdefault(name, row) != row:
            raise IdMismatch(
                f"id {shown(name)} of {place(first[name])} occurs again",
                where=place(row),
                allowed="ids that occur once",
                advice="Give each row its own id, or leave out the column id.",
            )


def _held_out(cells: Cells, place: Callable[[int], str]) -> list[bool]:
    try:
        return [PARTS[part] for part in cells]
    except (KeyError, TypeError):  # TypeError: a list cannot be looked up
        row = next(row for row, part in enumerate(cells) if part not in list(PARTS))
        if cells[row] in SPLIT_NAMES:
            raise InputError(
                f"split is {shown(cells[row])}",
                where=place(row),
                advice="These look like splits of w2sprobe that another program has rewritten, "
                "which loses what belongs to them: use the original, or cut the task again.",
            ) from None
        raise InputError(
            f"split is {shown(cells[row])}",
            where=place(row),
            allowed="'train' or 'test'",
            advice="Rename the column if it means something else, or remove rows of other parts.",
        ) from None


def _labels(cells: Cells, place: Callable[[int], str]) -> list[int]:
    try:
        return [BINARY[label] for label in cells]
    except (KeyError, TypeError):
        labels = [as_binary(label) for label in cells]  # takes TRUE, too
    good = [label for label in labels if label is not None]
    if len(good) < len(labels):
        row = labels.index(None)
        raise InputError(
            f"label is {shown(cells[row])}",
            where=place(row),
            allowed="0 or 1, false or true",
            advice=_label_advice([cell for cell in cells if not is_gap(cell)]),
        )
    return good


def _label_advice(present: Cells) -> str:
    if all(as_binary(cell) is not None for cell in present):
        return FILL
    counts = Counter(map(shown, present))
    if len(counts) == 2:
        first, second = sorted(counts)
        return f"Map your classes to 0 and 1, such as {first} to 0 and {second} to 1."
    listed = [f"{name} ({count})" for name, count in counts.most_common(MAX_VALUES)]
    if len(counts) > MAX_VALUES:
        listed.append(f"and {len(counts) - MAX_VALUES} more")
    return (
        f"A task is binary, and label holds {', '.join(listed)}: "
        "choose two classes and map them to 0 and 1."
    )
