"""Validation of a task's columns, the same for files, folders and tables in memory.

A whole column is tested first, which is fast; only if that fails are rows visited one by one, to
convert them or to name the first invalid one.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from w2sprobe.cells import (
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
from w2sprobe.messages import conversation

IS_TEST: dict[object, bool] = {"train": False, "test": True}  # values of the column split
MAX_ID = 256  # characters; ids appear in messages
MAX_GROUP = 64  # characters; numpy stores every string as wide as the longest
GROUP_DIGITS = 32  # hex digits of the hash that replaces a longer group
MAX_VALUES = 8  # labels listed in a message
MESSAGES = "messages"  # column of conversations


@dataclass(frozen=True)
class ColumnNames:
    """Names of required and optional columns, with the words and the example for messages."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    words: str
    example: str

    def missing(self, given: Collection[str]) -> list[str]:
        """Required names that are not given; conversations in `messages` replace `text`."""
        return [
            name
            for name in self.required
            if name not in given and not (name == "text" and MESSAGES in given)
        ]

    @property
    def all(self) -> tuple[str, ...]:
        """Required, then optional names."""
        return (*self.required, *self.optional)


TASK = ColumnNames(
    ("text", "label"),
    (MESSAGES, "id", "group", "split"),
    "columns text and label, optionally id, group and split; for conversations, messages instead "
    "of text",
    '{"text": "...", "label": 1}',
)
TEXTS = ColumnNames(
    ("id", "text"),
    (MESSAGES,),
    "columns id and text; for conversations, messages instead of text",
    '{"id": "a", "text": "..."}',
)


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()  # cell of a record without this key; None is a value that the source holds


@dataclass(frozen=True)
class RawColumns:
    """Unchecked cells of a source.

    Parameters
    ----------
    cells : dict of str to list
        Columns among those of `TASK`, of equal length: text or messages, and label, at least.
    where : str
        Name of the source in messages.
    locate : callable
        Row number, from 0, to the words that help a user find the row, such as "a.csv, line 3".
    """

    cells: dict[str, Cells]
    where: str
    locate: Callable[[int], str]


class RecordColumns:
    """Columns collected from records; other keys are discarded at once."""

    def __init__(self, wanted: ColumnNames = TASK) -> None:
        self._wanted = wanted
        self._cells: dict[str, Cells] = {name: [] for name in wanted.all}
        self._pairs = list(self._cells.items())
        self._first_keys: list[str] = []

    def add(self, record: Mapping[Any, Any]) -> None:
        """Append one row."""
        if not self._first_keys:
            self._first_keys = [str(name) for name in record]
        for name, column in self._pairs:
            column.append(record.get(name, ABSENT))

    def present(self, where: str) -> dict[str, Cells]:
        """Return the columns that at least one record has.

        Raises
        ------
        InputError
            A required column is missing.
        """
        cells = {name: cells for name, cells in self._pairs if cells.count(ABSENT) < len(cells)}
        _check_required(self._wanted, cells, self._first_keys, where)
        return cells


def pick_columns(names: Sequence[str], where: str, wanted: ColumnNames = TASK) -> list[str]:
    """Choose the columns to read.

    Raises
    ------
    InputError
        A required column is missing, or a column to read occurs twice.
    """
    _check_required(wanted, names, names, where)
    picked = [name for name in wanted.all if name in names]
    doubled = [name for name in picked if names.count(name) > 1]
    if doubled:
        raise InputError(
            f"doubled column {', '.join(map(repr, doubled))}",
            where=where,
            advice="Remove or rename all but one.",
        )
    return picked


def check_columns(raw: RawColumns, made_of: dict[str, Any]) -> SourceRows:
    """Validate every cell.

    Parameters
    ----------
    raw : RawColumns
        Its columns are removed one by one, so that no column is in memory before and after
        conversion at the same time.
    made_of : dict
        As in `SourceRows`.

    Raises
    ------
    InputError
        No rows; a text that is empty or no string; a label other than 0 or 1; an empty or overlong
        id; an empty group; a split other than train and test.
    IdMismatch
        An id occurs twice.
    """
    cells, locate = raw.cells, raw.locate
    if not cells["label"]:
        raise InputError("no rows", where=raw.where, allowed=f"rows with {TASK.words}")
    labels = _labels(cells.pop("label"), locate)
    chats = MESSAGES in cells
    texts = checked_texts(cells, raw.where, locate)
    ids = groups = held_out = None
    if "id" in cells:
        ids = converted(cells.pop("id"), partial(_all_short, MAX_ID), _id, locate)
        _check_unique(ids, locate)
    if "group" in cells:
        groups = converted(cells.pop("group"), partial(_all_short, MAX_GROUP), _group, locate)
    if "split" in cells:
        held_out = _held_out(cells.pop("split"), locate)
    return SourceRows(texts, labels, ids, groups, held_out, made_of=made_of, chats=chats)


def checked_texts(cells: dict[str, Cells], where: str, locate: Callable[[int], str]) -> list[str]:
    """Remove the column text or messages from the cells, and validate it.

    Returns
    -------
    list of str
        Texts, or conversations as canonical JSON.

    Raises
    ------
    InputError
        Both columns, or an invalid cell; names its row.
    """
    if MESSAGES not in cells:
        return converted(cells.pop("text"), all_filled, partial(filled, "text"), locate)
    if "text" in cells:
        raise InputError(
            "columns text and messages",
            where=where,
            allowed="one of them",
            advice="Remove or rename the one that the models shall not read.",
        )
    return converted(cells.pop(MESSAGES), lambda _: False, conversation, locate)


def _check_required(
    wanted: ColumnNames, given: Collection[str], listed: Sequence[str], where: str
) -> None:
    """Refuse a source without a required column; the message lists the columns in `listed`."""
    missing = wanted.missing(given)
    if missing and not listed:
        raise InputError("no rows", where=where, allowed=f"rows with {wanted.words}")
    if missing:
        shortened = [name[:MAX_SHOWN] for name in listed]
        raise InputError(
            f"no column {', '.join(map(repr, missing))}",
            where=where,
            allowed=f"{wanted.words}; found {first_few(shortened, 12)}",
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
    # numpy drops a NUL at the end, which would merge two groups
    if len(name) <= MAX_GROUP and "\0" not in name:
        return name
    return hashlib.sha256(name.encode()).hexdigest()[:GROUP_DIGITS]


def _check_unique(ids: list[str], locate: Callable[[int], str]) -> None:
    if len(set(ids)) == len(ids):
        return
    first: dict[str, int] = {}
    for row, name in enumerate(ids):
        if first.setdefault(name, row) != row:
            raise IdMismatch(
                f"id {shown(name)} of {locate(first[name])} occurs again",
                where=locate(row),
                allowed="ids that occur once",
                advice="Give each row its own id, or leave out the column id.",
            )


def _held_out(cells: Cells, locate: Callable[[int], str]) -> list[bool]:
    try:
        return [IS_TEST[cell] for cell in cells]
    except (KeyError, TypeError):  # TypeError: a list is no key of a dict
        row = next(row for row, cell in enumerate(cells) if cell not in list(IS_TEST))
        allowed = "'train' or 'test'"
        advice = "Rename the column if it means something else, or remove rows of other splits."
        if cells[row] in SPLIT_NAMES:
            allowed = ""
            advice = (
                "These look like splits of w2sprobe that another program has rewritten, "
                "which loses their metadata: use the original file, or cut the task again."
            )
        raise InputError(
            f"split is {shown(cells[row])}", where=locate(row), allowed=allowed, advice=advice
        ) from None


def _labels(cells: Cells, locate: Callable[[int], str]) -> list[int]:
    labels = [as_binary(cell) for cell in cells]
    good = [label for label in labels if label is not None]
    if len(good) < len(labels):
        row = labels.index(None)
        raise InputError(
            f"label is {shown(cells[row])}",
            where=locate(row),
            allowed="0 or 1, false or true",
            advice=_label_advice([cell for cell in cells if not is_gap(cell)]),
        )
    return good


def _label_advice(present: Cells) -> str:
    """Say how to make the labels binary; `present` are the cells that are not empty."""
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
