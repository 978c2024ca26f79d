"""Rows of a task: ids, texts, labels and groups, checked."""

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
from w2sprobe.messages import conversation, messages_of

CHATS = "conversations"  # enters the fingerprint of rows that are some


@dataclass(frozen=True)
class SourceRows:
    """Checked columns of a source, before deduplication.

    Parameters
    ----------
    texts : list of str
        Not empty, valid Unicode.
    groups : list of str, optional
        Rows of one group stay in one split.
    held_out : list of bool, optional
        True: the source sets this row aside for testing. None: the source has one split only.
    dropped : dict of str to int
        Reason to number of rows that were left out.
    made_of : dict
        Where the rows come from: JSON, stored with the splits.
    chats : bool, default False
        The texts are conversations, as in `Rows`.
    """

    texts: list[str]
    labels: list[int]
    ids: list[str] | None = None
    groups: list[str] | None = None
    held_out: list[bool] | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    made_of: dict[str, Any] = field(default_factory=dict)
    chats: bool = False


@dataclass(frozen=True, repr=False)
class Rows:
    """Texts with their true labels.

    Columns are lists, arrays or series; cells are read as in a file.

    Parameters
    ----------
    ids : sequence of str or int, length n
        Unique; kept as an ndarray of str.
    texts : sequence of str, length n
        Not empty, valid Unicode; kept as a list.
    labels : sequence of int, length n
        Truth, 0 or 1; kept as an ndarray of int64.
    groups : sequence of str or int, length n, optional
        Rows of one group (a passage, an author) stay in one split. None: each row is a group.
    name : str, default ""
        Task name.
    held_out : sequence of bool, length n, optional
        True: the source sets this row aside for testing, so it goes to `test` or is not used.
        None: any row may go to any split.
    chats : bool, default False
        The texts are conversations: lists of messages with `role` and `content`, or their JSON;
        kept as canonical JSON. Models read them through their chat template.

    Raises
    ------
    InputError
        Columns of different length, or an invalid cell; names its row.
    IdMismatch
        An id occurs twice.
    """

    ids: np.ndarray
    texts: list[str]
    labels: np.ndarray
    groups: np.ndarray | None = None
    name: str = ""
    held_out: np.ndarray | None = None
    chats: bool = False

    def __post_init__(self) -> None:
        self._set("ids", all_names, partial(as_name, "id"), np.str_)
        if self.chats:
            self._set("texts", lambda _: False, conversation)
        else:
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
        """Check a column and store it as a list or an array."""

        def locate(row: int) -> str:
            return f"{self.name}, row {row + 1} (counted from 1)".removeprefix(", ")

        cells = as_cells(getattr(self, column), f"{self.name}, {column}".removeprefix(", "))
        values = converted(cells, all_fine, convert, locate)
        object.__setattr__(self, column, values if dtype is None else np.array(values, dtype=dtype))

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def content(self) -> str:
        """Fingerprint of ids and texts; depends on their order."""
        # a text that spells a conversation is not one
        kind = [[CHATS] * len(self)] if self.chats else []
        return fingerprint_strings(self.ids.tolist(), self.texts, *kind)

    @cached_property
    def identity(self) -> str:
        """Fingerprint of ids, texts, labels and groups."""
        groups = None if self.groups is None else self.groups.tolist()
        return fingerprint([self.content, self.labels.tolist(), groups])

    def blind(self) -> "Rows":
        """Return the same rows with all labels 0, for code that must not see the truth."""
        return replace(self, labels=np.zeros(len(self), dtype=np.int64))

    def __repr__(self) -> str:
        ones = int(self.labels.sum())
        return f"Rows({self.name!r}: {len(self)} rows, {ones} of label 1)"

    def records(self) -> list[dict[str, str]]:
        """Rows as dicts of id and text (or messages), as `w2sprobe.extract` takes them."""
        column = "messages" if self.chats else "text"
        return [
            {"id": name, column: text}
            for name, text in zip(self.ids.tolist(), self.texts, strict=True)
        ]

    @cached_property
    def plain_texts(self) -> list[str]:
        """Texts as people read them: of a conversation, `role: content`, one message a line."""
        if not self.chats:
            return self.texts
        return [
            "\n".join(f"{message['role']}: {message['content']}" for message in messages_of(text))
            for text in self.texts
        ]

    def text_of(self) -> dict[str, str]:
        """Texts by id."""
        return dict(zip(self.ids.tolist(), self.texts, strict=True))

    def select(self, rows: Sequence[int] | np.ndarray) -> "Rows":
        """Return the rows at these positions, in this order.

        Parameters
        ----------
        rows : sequence of int, each in [0, n - 1]
            Without repeats.
        """
        chosen = np.asarray(rows, dtype=np.int64)
        return Rows(
            self.ids[chosen],
            [self.texts[row] for row in chosen],
            self.labels[chosen],
            None if self.groups is None else self.groups[chosen],
            self.name,
            None if self.held_out is None else self.held_out[chosen],
            self.chats,
        )


def _all_binary(cells: Cells) -> bool:
    return set(map(type, cells)) <= {int, bool} and set(cells) <= {0, 1}


def check_unique(ids: list[str], where: str) -> None:
    """Check that no id occurs twice.

    Raises
    ------
    IdMismatch
        Names the first three ids that do.
    """
    if len(set(ids)) < len(ids):
        doubled = [name for name, count in Counter(ids).items() if count > 1]
        raise IdMismatch(f"doubled ids {first_few(doubled)}", where=where)


def join_rows(*parts: Rows) -> Rows:
    """Concatenate rows, dropping their groups; IdMismatch if a row is in two parts.

    Raises
    ------
    InputError
        Some parts hold texts, others conversations.
    """
    if len({part.chats for part in parts}) > 1:
        raise InputError("texts and conversations cannot be joined")
    return Rows(
        np.concatenate([part.ids for part in parts]),
        [text for part in parts for text in part.texts],
        np.concatenate([part.labels for part in parts]),
        chats=parts[0].chats,
    )


def truth_table(*parts: Rows) -> LabelTable:
    """True labels of the rows of all parts as a label table.

    Raises
    ------
    IdMismatch
        A row is in two parts.
    """
    return LabelTable(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )
