"""Tasks by name: where rows come from, and what all of them have in common."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from w2sprobe.data.bigbench import read_bigbench
from w2sprobe.data.files import READERS, read_file
from w2sprobe.data.rows import Rows, check_unique
from w2sprobe.errors import InputError
from w2sprobe.fingerprint import sha256_file

BIGBENCH = "bigbench:"
ID_LENGTH = 16  # hex digits of a text's SHA-256


@dataclass(frozen=True)
class Task:
    """A binary text task.

    Parameters
    ----------
    rows : Rows
        No text twice; both classes occur.
    identity : dict
        What the rows were made of, for content addresses; no paths.
    dropped : dict of str to int
        Rows of the source that are not in `rows`, a reason.
    """

    rows: Rows
    identity: dict[str, Any]
    dropped: dict[str, int]


def load_task(name: str, *, positive: str | None = None, negative: str | None = None) -> Task:
    """Load a task by name or from a file.

    Parameters
    ----------
    name : str
        `bigbench:<task>`, or a local `.jsonl`, `.json` (lines), `.csv` or `.parquet` file with
        columns text and label (0 or 1), optionally id and group.
    positive, negative : str, optional
        Classes of a BIG-bench task that become 1 and 0.

    Returns
    -------
    Task

    Raises
    ------
    InputError
        No such file, BIG-bench not fetched, an unusable cell, one class only.
    UnknownName
        No such BIG-bench task or class.
    IdMismatch
        An id of the file occurs twice.

    Notes
    -----
    A row without id is known by the first 16 hex digits of its text's SHA-256. A text that occurs
    again with the same label is dropped; one that occurs with both labels is dropped everywhere.
    """
    if name.startswith(BIGBENCH):
        source = read_bigbench(name.removeprefix(BIGBENCH), positive=positive, negative=negative)
        return _make_task(
            name, source.texts, source.labels, identity=source.identity, dropped=source.dropped
        )
    path = Path(name)
    if path.suffix.lower() not in READERS:
        raise InputError(
            f"unknown task {name!r}",
            allowed=f"bigbench:<task>, or a file: {', '.join(READERS)}",
        )
    if positive or negative:
        raise InputError(
            f"classes {positive!r} and {negative!r} chosen for a file",
            where=name,
            advice="A file has labels 0 and 1; leave --positive and --negative out.",
        )
    columns = read_file(path)
    return _make_task(
        name,
        columns.texts,
        columns.labels,
        ids=columns.ids,
        groups=columns.groups,
        identity={"sha256": sha256_file(path), "columns": columns.names},
        dropped={},
    )


def _make_task(
    name: str,
    texts: list[str],
    labels: list[int],
    *,
    ids: list[str] | None = None,
    groups: list[str] | None = None,
    identity: dict[str, Any],
    dropped: dict[str, int],
) -> Task:
    if ids is not None:
        check_unique(ids, name)
    kept, repeats = _without_repeats(texts, labels)
    names = [ids[row] if ids else _hash(texts[row]) for row in kept]
    rows = Rows(
        np.array(names, dtype=np.str_),
        [texts[row] for row in kept],
        np.array([labels[row] for row in kept], dtype=np.int64),
        np.array([groups[row] for row in kept], dtype=np.str_) if groups else None,
        name,
    )
    found = np.unique(rows.labels).tolist()
    if len(found) < 2:
        what = f"only label {found[0]} in {len(rows)} usable rows" if found else "no usable rows"
        raise InputError(what, where=name, allowed="rows of label 0 and of label 1")
    return Task(rows, identity, {**dropped, **repeats})


def _without_repeats(texts: list[str], labels: list[int]) -> tuple[list[int], dict[str, int]]:
    """Positions of the rows to keep, and how many are not: a text is there once, with one label."""
    first: dict[str, int] = {}
    contradicting = set()
    for row, text in enumerate(texts):
        if labels[first.setdefault(text, row)] != labels[row]:
            contradicting.add(text)
    kept = [row for text, row in first.items() if text not in contradicting]
    contradictions = sum(text in contradicting for text in texts)
    repeated = len(texts) - contradictions - len(kept)
    return kept, {"repeated_text": repeated, "contradicting_labels": contradictions}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]
