"""Tasks by name: where rows come from, and what all of them have in common."""

import difflib
import hashlib
import unicodedata
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from w2sprobe.data.bigbench import read_bigbench
from w2sprobe.data.callables import looks_like_callable, read_callable
from w2sprobe.data.files import FILE_KINDS, is_task_file, read_file
from w2sprobe.data.folders import read_folder
from w2sprobe.data.registry import HUB_TASKS, read_hub_task
from w2sprobe.data.rows import Rows, SourceRows
from w2sprobe.data.splits import Splits, SplitSizes, is_splits_file
from w2sprobe.data.splitting import make_splits
from w2sprobe.errors import InputError, UnknownName
from w2sprobe.fingerprint import fingerprint_strings

BIGBENCH = "bigbench:"
ID_LENGTH = 16  # hex digits of a text's SHA-256

Formatting = Literal["repaired", "published"]


@dataclass(frozen=True)
class Task:
    """A binary text task.

    Parameters
    ----------
    rows : Rows
        No text twice, whitespace aside; both classes occur.
    dropped : dict of str to int
        Rows of the source that are not in `rows`, a reason.
    made_of : dict
        Where the rows come from; JSON, without paths.
    """

    rows: Rows
    dropped: dict[str, int] = field(default_factory=dict)
    made_of: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of ids, texts, labels, groups and what is held out; not of their order or place."""
        rows = self.rows
        order = np.argsort(rows.ids, kind="stable")
        nothing = [""] * len(rows)
        groups = nothing if rows.groups is None else rows.groups[order].tolist()
        aside = nothing if rows.held_out is None else rows.held_out[order].astype(str).tolist()
        return fingerprint_strings(
            rows.ids[order].tolist(),
            [rows.texts[row] for row in order],
            rows.labels[order].astype(str).tolist(),
            groups,
            aside,
        )


def load_task(
    name: str | Path,
    *,
    positive: str | None = None,
    negative: str | None = None,
    formatting: Formatting = "repaired",
) -> Task:
    """Load a task by name, from a file, a folder or a function.

    Parameters
    ----------
    name : str or Path
        One of the source experiments' tasks (`HUB_TASKS`), `bigbench:<task>`, a file of JSON
        lines, CSV or Parquet (also `.gz`, `.zst`), a folder that `save_to_disk` of the datasets
        library wrote, or a function `module:function`. Files, folders and functions give text and
        label (0 or 1), optionally id, group, and split (train or test).
    positive, negative : str, optional
        Classes of a BIG-bench task that become 1 and 0.
    formatting : {"repaired", "published"}, default "repaired"
        Of the source experiments' tasks: as published, their known bugs included, or mended.

    Returns
    -------
    Task

    Raises
    ------
    InputError
        Not there, unreadable, an unusable cell, one class only, an option that this kind of task
        does not have.
    UnknownName
        No BIG-bench task, class or formatting of this name.
    IdMismatch
        An id occurs twice.

    Notes
    -----
    A row without id is known by the first 16 hex digits of its text's SHA-256. Of texts that
    differ in whitespace or in how accents are encoded only, and have one label, the row with the
    smallest SHA-256 of its id is kept, a held-out one first; those that occur with both labels are
    dropped everywhere.
    """
    name = _checked_name(name)
    if formatting not in get_args(Formatting):
        raise UnknownName("formatting", formatting, get_args(Formatting))
    if (positive or negative) and not name.startswith(BIGBENCH):
        raise InputError(
            f"classes {positive!r} and {negative!r} chosen",
            where=name,
            allowed="classes of a BIG-bench task",
            advice="Other tasks have labels 0 and 1; leave --positive and --negative out.",
        )
    if formatting != "repaired" and name not in HUB_TASKS:
        raise InputError(
            f"formatting {formatting!r}",
            where=name,
            allowed="repaired; only the source experiments' tasks have a published one",
        )
    return make_task(name, _read(name, positive, negative, formatting))


def _checked_name(name: object) -> str:
    if isinstance(name, str | Path):
        return str(name)
    raise InputError(
        f"task is a {type(name).__name__}",
        allowed="a name, or a path as str or Path",
        advice="Write rows to a file, such as rows.parquet, or name a function that returns them: "
        "module:function.",
    )


def _read(
    name: str, positive: str | None, negative: str | None, formatting: Formatting
) -> SourceRows:
    if name in HUB_TASKS:
        return read_hub_task(name, published=formatting == "published")
    if name.startswith(BIGBENCH):
        task = name.removeprefix(BIGBENCH)
        return read_bigbench(task, positive=positive, negative=negative)
    if is_task_file(name):
        if is_splits_file(Path(name)):
            raise InputError(
                "rows that are split already", where=name, advice="Read them with load_splits."
            )
        return read_file(Path(name))
    if looks_like_callable(name):
        return read_callable(name)
    if Path(name).is_dir():
        return read_folder(Path(name))
    near = difflib.get_close_matches(name, HUB_TASKS, n=1)
    raise InputError(
        f"unknown task {name!r}",
        allowed=f"a name that w2sprobe tasks ls lists, bigbench:NAME, a file ({FILE_KINDS}), a "
        "folder that save_to_disk wrote, or module:function",
        advice=f"Did you mean {near[0]!r}?" if near else "",
    )


def load_splits(
    name: str | Path,
    *,
    positive: str | None = None,
    negative: str | None = None,
    formatting: Formatting = "repaired",
    rows: int | str | None = None,
    sizes: SplitSizes | None = None,
    seed: int = 0,
    keep_prior: bool = False,
    read: dict[str, Task] | None = None,
) -> Splits:
    """Load a task and cut it, or read splits that were written before.

    Parameters
    ----------
    name : str or Path
        As in `load_task`, or a Parquet file that `Splits.write` wrote; that one is taken as it is.
    positive, negative, formatting
        As in `load_task`.
    rows : int or str, optional
        Cut only so many rows of the task, the first by their hashes whatever the seed, groups
        whole: many cuts then share activations. `"A:B"` takes those from place A on and before
        place B, so that `"0:900"` and `"900:"` have no row in common. Default: all.
    sizes, seed, keep_prior
        As in `make_splits`.
    read : dict of str to Task, optional
        Tasks that were read already, which other cuts need not read again; a new one is added.

    Returns
    -------
    Splits
        `dropped` counts all rows of the source that are in no split; `about` holds the task's
        name, its fingerprint and what it was made of.

    Raises
    ------
    InputError
        As `load_task` and `make_splits`; options given for splits that are cut already; `rows`
        that are no number and no slice, or hold none of the task's.
    """
    name = _checked_name(name)
    if is_task_file(name) and is_splits_file(Path(name)):
        if positive or negative or rows or sizes or seed or keep_prior or formatting != "repaired":
            raise InputError(
                "options given for rows that are split already",
                where=name,
                advice="Leave classes, formatting, rows, sizes, seed and prior out.",
            )
        return Splits.read(name)
    known = {} if read is None else read
    key = repr((name, positive, negative, formatting))
    if key not in known:
        known[key] = load_task(name, positive=positive, negative=negative, formatting=formatting)
    task = known[key]
    chosen = task.rows if rows is None else _some(task.rows, *row_slice(rows), where=name)
    splits = make_splits(chosen, sizes, seed, keep_prior=keep_prior)
    about: dict[str, Any] = {"task": name, "fingerprint": task.fingerprint}
    about["made_of"] = task.made_of
    dropped: dict[str, int] = {**task.dropped, **splits.dropped}
    if len(chosen) < len(task.rows):
        about["rows"] = len(chosen)
        if isinstance(rows, str):
            about["rows_slice"] = rows
        dropped["beyond the rows asked for"] = len(task.rows) - len(chosen)
    return replace(splits, dropped=dropped, about={**about, **splits.about})


def row_slice(rows: int | str) -> tuple[int, int | None]:
    """Begin and end of a part of a task, among its rows in the order of their hashes.

    Parameters
    ----------
    rows : int or str
        The end, or `"begin:end"`, either of which may be empty.

    Returns
    -------
    tuple of int and (int or None)
        Begin, and end; None: no end.

    Raises
    ------
    InputError
        Neither a number nor a slice that can hold rows.
    """
    begin, colon, end = str(rows).rpartition(":")
    parts = (begin, end) if colon else ("", end)
    if all(not part or part.isdecimal() for part in parts) and (colon or end):
        first, last = int(parts[0] or 0), int(parts[1]) if parts[1] else None
        if last is None or last > first:
            return first, last
    raise InputError(f"rows is {rows!r}", allowed="a number, or a slice such as 0:900 or 900:")


def _some(rows: Rows, begin: int, end: int | None, *, where: str) -> Rows:
    """Groups whose first row is in this part, in the order of the groups' hashes; groups whole."""
    names = (rows.ids if rows.groups is None else rows.groups).tolist()
    members: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        members.setdefault(name, []).append(row)
    chosen: list[int] = []
    passed = 0
    for name in sorted(members, key=_hash):
        if begin <= passed and (end is None or passed < end):
            chosen += members[name]
        passed += len(members[name])
    if not chosen:
        raise InputError(
            f"no rows from place {begin} on", where=where, allowed=f"less than {len(rows)}"
        )
    return rows.select(sorted(chosen))


def make_task(name: str, source: SourceRows) -> Task:
    """Deduplicated rows of a source, with ids.

    Parameters
    ----------
    name : str
        Of the task, for messages and records.
    source : SourceRows

    Returns
    -------
    Task

    Raises
    ------
    InputError
        Fewer than two classes are left.
    """
    ids = source.ids or [_hash(text)[:ID_LENGTH] for text in source.texts]
    kept, repeats = _without_repeats(source, ids)
    rows = Rows(
        np.array([ids[row] for row in kept], dtype=np.str_),
        [source.texts[row] for row in kept],
        np.array([source.labels[row] for row in kept], dtype=np.int64),
        _column(source.groups, kept, np.str_),
        name,
        _column(source.held_out, kept, np.bool_),
    )
    found = np.unique(rows.labels).tolist()
    if len(found) < 2:
        what = f"only label {found[0]} in {len(rows)} usable rows" if found else "no usable rows"
        dropped = {
            reason: count for reason, count in {**source.dropped, **repeats}.items() if count
        }
        raise InputError(
            what,
            where=name,
            allowed="rows of label 0 and of label 1",
            advice=f"Dropped: {dropped}." if dropped else "",
        )
    return Task(rows, {**source.dropped, **repeats}, source.made_of)


def _column(values: list[Any] | None, kept: list[int], dtype: type) -> np.ndarray | None:
    return None if values is None else np.array([values[row] for row in kept], dtype=dtype)


def _without_repeats(source: SourceRows, ids: list[str]) -> tuple[list[int], dict[str, int]]:
    """Positions of the rows to keep, and how many are not: a text is there once, with one label."""
    keeper: dict[bytes, int] = {}
    contradicting = set()
    # hashes, not texts: a second copy of a million texts is what memory has no room for
    keys = [_key(text) for text in source.texts]

    def rank(row: int) -> tuple[bool, str, str]:
        aside = source.held_out is not None and source.held_out[row]
        return not aside, _hash(ids[row]), source.groups[row] if source.groups else ""

    for row, key in enumerate(keys):
        other = keeper.setdefault(key, row)
        if other == row:
            continue
        if source.labels[other] != source.labels[row]:
            contradicting.add(key)
        elif rank(row) < rank(other):
            keeper[key] = row
    counts = {"repeated_text": 0, "whitespace_variant": 0, "contradicting_labels": 0}
    for row, key in enumerate(keys):
        if key in contradicting:
            counts["contradicting_labels"] += 1
        elif row != keeper[key]:
            same = source.texts[row] == source.texts[keeper[key]]
            counts["repeated_text" if same else "whitespace_variant"] += 1
    return sorted(row for key, row in keeper.items() if key not in contradicting), counts


def _key(text: str) -> bytes:
    """Hash of what a text says, however its whitespace and its accents are written."""
    return hashlib.sha256(unicodedata.normalize("NFC", " ".join(text.split())).encode()).digest()[
        :16
    ]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
