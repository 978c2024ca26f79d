"""Rows: what a task consists of, whatever it was read from."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from w2sprobe.cells import (
    Cells,
    all_filled,
    all_names,
    as_cells,
    as_name,
    binary,
    converted,
    filled,
)
from w2sprobe.errors import IdMismatch, InputError, first_few
from w2sprobe.fingerprint import fingerprint, fingerprint_strings
from w2sprobe.labels import LabelTable


@dataclass(frozen=True)
class SourceRows:
    """What a reader of a source returns: checked columns of equal length, nothing deduplicated.

    Parameters
    ----------
    texts : list of str
        Not empty, valid Unicode.
    labels : list of int, each 0 or 1
    ids, groups : list of str, optional
        Where the source has them.
    held_out : list of bool, optional
        True: the source sets this row aside for testing. None: the source has one part only.
    dropped : dict of str to int
        Rows of the source that are not here, a reason.
    made_of : dict
        Where the rows come from, for people and records; JSON.
    """

    texts: list[str]
    labels: list[int]
    ids: list[str] | None = None
    groups: list[str] | None = None
    held_out: list[bool] | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    made_of: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
class Rows:
    """Texts with their true labels.

    Columns are lists, arrays or series; a cell means what it means in a file.

    Parameters
    ----------
    ids : sequence of str or int, length n
        Unique; kept as an ndarray of str.
    texts : sequence of str, length n
        Not empty, valid Unicode; kept as a list.
    labels : sequence of int, length n
        Truth, 0 or 1; kept as an ndarray of int64.
    groups : sequence of str or int, length n, optional
        Rows of one group (a passage, an author) must not be split. None: each row stands alone.
    name : str, default ""
        Of the task.
    held_out : sequence of bool, length n, optional
        True: the source sets this row aside for testing, so it is tested on or not used at all.
        None: any row may go anywhere.

    Raises
    ------
    InputError
        Columns of different length; a cell that cannot be used: names its row.
    IdMismatch
        An id occurs twice.
    """

    ids: np.ndarray
    texts: list[str]
    labels: np.ndarray
    groups: np.ndarray | None = None
    name: str = ""
    held_out: np.ndarray | None = None

    def __post_init__(self) -> None:
        self._set("ids", all_names, partial(as_name, "id"), np.str_)
        self._set("texts", all_filled, partial(filled, "text"))
        self._set("labels", _all_binary, partial(binary, "label"), np.int64)
        if self.groups is not None:
            self._set("groups", all_names, partial(as_name, "group"), np.str_)
        if self.held_out is not None:
            self._set("held_out", _all_binary, partial(binary, "held_out"), np.bool_)
        lengths = {"ids": len(self.ids), "texts": len(self.texts), "labels": len(self.labels)}
        for name in ("groups", "held_out"):
            column = getattr(self, name)
            if column is not None:
                lengths[name] = len(column)
        if len(set(lengths.values())) > 1:
            raise InputError(f"columns of different length: {lengths}", where=self.name)
        check_unique(self.ids.tolist(), self.name)

    def _set(
        self,
        column: str,
        all_fine: Callable[[Cells], bool],
        convert: Callable[[Any], Any],
        dtype: type | None = None,
    ) -> None:
        """Take a column as it was given and keep it as it should be."""

        def place(row: int) -> str:
            return f"{self.name}, row {row + 1} (counted from 1)".removeprefix(", ")

        cells = as_cells(getattr(self, column), f"{self.name}, {column}".removeprefix(", "))
        values = converted(cells, all_fine, convert, place)
        object.__setattr__(self, column, values if dtype is None else np.array(values, dtype=dtype))

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def content(self) -> str:
        """Fingerprint of ids and texts, in their order."""
        return fingerprint_strings(self.ids.tolist(), self.texts)

    @cached_property
    def identity(self) -> str:
        """Fingerprint of ids, texts, labels and groups."""
        groups = None if self.groups is None else self.groups.tolist()
        return fingerprint([self.content, self.labels.tolist(), groups])

    def blind(self) -> "Rows":
        """Return the same rows with all labels 0: for work that must not see the truth."""
        return replace(self, labels=np.zeros(len(self), dtype=np.int64))

    def __repr__(self) -> str:
        ones = int(self.labels.sum())
        return f"Rows({self.name!r}: {len(self)} rows, {ones} of label 1)"

    def records(self) -> list[dict[str, str]]:
        """Rows as dicts of id and text, as `w2sprobe.extract` takes them."""
        return [
            {"id": name, "text": text}
            for name, text in zip(self.ids.tolist(), self.texts, strict=True)
        ]

    def text_of(self) -> dict[str, str]:
        """Texts by id."""
        return dict(zip(self.ids.tolist(), self.texts, strict=True))

    def select(self, rows: Sequence[int] | np.ndarray) -> "Rows":
        """Return the rows at these positions, in this order.

        Parameters
        ----------
        rows : sequence of int, each in [0, n - 1]
            None twice.
        """
        chosen = np.asarray(rows, dtype=np.int64)
        return Rows(
            self.ids[chosen],
            [self.texts[row] for row in chosen],
            self.labels[chosen],
            None if self.groups is None else self.groups[chosen],
            self.name,
            None if self.held_out is None else self.held_out[chosen],
        )


def _all_binary(cells: Cells) -> bool:
    return set(map(type, cells)) <= {int, bool} and set(cells) <= {0, 1}


def check_unique(ids: list[str], where: str) -> None:
    """Refuse ids that occur twice.

    Raises
    ------
    IdMismatch
        Names the first three.
    """
    if len(set(ids)) < len(ids):
        doubled = [name for name, count in Counter(ids).items() if count > 1]
        raise IdMismatch(f"doubled ids {first_few(doubled)}", where=where)


def join_rows(*parts: Rows) -> Rows:
    """Rows of all parts, one after the other, without groups; IdMismatch if a row is in two."""
    return Rows(
        np.concatenate([part.ids for part in parts]),
        [text for part in parts for text in part.texts],
        np.concatenate([part.labels for part in parts]),
    )


def truth_table(*parts: Rows) -> LabelTable:
    """Labels of the rows of all parts as a table: training on truth is training on this one.

    Raises
    ------
    IdMismatch
        A row is in two parts.
    """
    return LabelTable(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )
