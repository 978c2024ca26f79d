"""Loading of tasks by name, deduplication of their rows, and cutting them into splits."""

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
from w2sprobe.data.rows import CHATS, Rows, SourceRows, join_rows
from w2sprobe.data.splits import Splits, SplitSizes, is_splits_file
from w2sprobe.data.splitting import make_splits
from w2sprobe.data.stress import DROPPED, Stress
from w2sprobe.errors import InputError, UnknownName
from w2sprobe.fingerprint import fingerprint, fingerprint_strings

BIGBENCH = "bigbench:"
ID_LENGTH = 16  # hex digits of a text's SHA-256

Formatting = Literal["repaired", "published"]


@dataclass(frozen=True)
class Task:
    """A binary text task.

    Parameters
    ----------
    rows : Rows
        No two texts are the same up to whitespace; both classes occur.
    dropped : dict of str to int
        Reason to number of source rows that are not in `rows`.
    made_of : dict
        Where the rows come from: JSON, without folder names.
    """

    rows: Rows
    dropped: dict[str, int] = field(default_factory=dict)
    made_of: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of ids, texts, labels, groups and held-out rows; independent of order and source."""
        rows = self.rows
        order = np.argsort(rows.ids, kind="stable")
        empty = [""] * len(rows)
        groups = empty if rows.groups is None else rows.groups[order].tolist()
        held_out = empty if rows.held_out is None else rows.held_out[order].astype(str).tolist()
        return fingerprint_strings(
            rows.ids[order].tolist(),
            [rows.texts[row] for row in order],
            rows.labels[order].astype(str).tolist(),
            groups,
            held_out,
            *([[CHATS] * len(rows)] if rows.chats else []),
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
        A task of the source experiments (`HUB_TASKS`); `bigbench:<task>`; a file of JSON lines, CSV
        or Parquet (also `.gz`, `.zst`); a folder that `save_to_disk` of the datasets library wrote;
        or a function `module:function`. Files, folders and functions give columns text (or
        messages: conversations) and label (0 or 1), optionally id, group and split (train or test).
    positive, negative : str, optional
        Classes of a BIG-bench task that become 1 and 0.
    formatting : {"repaired", "published"}, default "repaired"
        "published" keeps the known bugs of the source experiments' tasks.

    Raises
    ------
    InputError
        Missing or unreadable source, invalid cell, rows of one class only, or an option that does
        not apply to this kind of task.
    UnknownName
        Unknown BIG-bench task, class or formatting.
    IdMismatch
        An id occurs twice.

    Notes
    -----
    The id of a row without one is the first 16 hex digits of its text's SHA-256. Texts are the same
    if they differ only in whitespace or in the encoding of accents. Of the rows with the same text
    and label, the held-out one is kept, else the one with the smallest SHA-256 of its id. Rows with
    the same text and both labels are dropped.
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
        allowed=f"a name from `w2sprobe tasks ls`, bigbench:NAME, a file ({FILE_KINDS}), a "
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
    stress: Stress | None = None,
    read: dict[str, Task] | None = None,
) -> Splits:
    """Load a task and cut it, or read splits that were written before.

    `positive`, `negative` and `formatting` are those of `load_task`; `sizes`, `seed` and
    `keep_prior` those of `make_splits`.

    Parameters
    ----------
    name : str or Path
        As in `load_task`, or a Parquet file that `Splits.write` wrote, whose splits are returned
        unchanged.
    rows : int or str, optional
        Use only the first so many rows in the order of their hashes, which do not depend on the
        seed, so that many cuts share activations. Groups stay whole. A slice `"A:B"` takes rows A
        to B - 1 of this order: `"0:900"` and `"900:"` have no row in common. Default: all.
    stress : Stress, optional
        What to change about the task to test methods: a planted text, unbalanced classes.
    read : dict of str to Task, optional
        Tasks that were loaded before and need not be read again; a new one is added.

    Returns
    -------
    Splits
        `dropped` counts all rows of the source that are in no split; `about` holds the task's
        name, its fingerprint and its `made_of`.

    Raises
    ------
    InputError
        As `load_task` and `make_splits`; options given for rows that are split already; `rows`
        that are neither a number nor a slice, or select no rows.
    """
    name = _checked_name(name)
    if is_task_file(name) and is_splits_file(Path(name)):
        cuts = rows or sizes or seed or keep_prior or (stress and stress.settings)
        if positive or negative or cuts or formatting != "repaired":
            raise InputError(
                "options given for rows that are split already",
                where=name,
                advice="Leave classes, formatting, rows, sizes, seed, prior and planted texts out.",
            )
        return Splits.read(name)
    tasks = {} if read is None else read
    key = repr((name, positive, negative, formatting))
    if key not in tasks:
        tasks[key] = load_task(name, positive=positive, negative=negative, formatting=formatting)
    task, n_thinned = _thinned(tasks[key], stress or Stress())
    chosen = task.rows if rows is None else _select_slice(task.rows, *row_slice(rows), where=name)
    has_prior = keep_prior or (stress is not None and stress.prior is not None)
    splits = make_splits(chosen, sizes, seed, keep_prior=has_prior)
    about: dict[str, Any] = {
        "task": name,
        "fingerprint": task.fingerprint,
        "made_of": task.made_of,
    }
    dropped: dict[str, int] = {**task.dropped, **splits.dropped}
    if stress is not None and stress.settings:
        content = dict(stress.settings)
        if stress.without_answer is not None:
            others = _all_rows(stress.without_answer)
            splits = stress.mix(splits, others)
            content["without_answer"] = others.identity  # not the name of a file
        splits = stress.plant(splits)
        about["stress"] = stress.settings
        about["fingerprint"] = fingerprint([task.fingerprint, content])
        dropped |= {DROPPED: n_thinned} if n_thinned else {}
    if len(chosen) < len(task.rows):
        about["rows"] = len(chosen)
        if isinstance(rows, str):
            about["rows_slice"] = rows
        dropped["beyond the rows asked for"] = len(task.rows) - len(chosen)
    return replace(splits, dropped=dropped, about={**about, **splits.about})


def _thinned(task: Task, stress: Stress) -> tuple[Task, int]:
    rows, n_dropped = stress.thin(task.rows)
    return (task if rows is task.rows else replace(task, rows=rows)), n_dropped


def _all_rows(name: str) -> Rows:
    """All rows of a task, or of a file of splits, in the order of their ids."""
    if is_task_file(name) and is_splits_file(Path(name)):
        rows = join_rows(*(part for _, part in Splits.read(name).items()))
    else:
        rows = load_task(name).rows
    return rows.select(np.argsort(rows.ids, kind="stable"))


def row_slice(rows: int | str) -> tuple[int, int | None]:
    """Parse a number of rows, or a slice `"begin:end"` either side of which may be empty.

    Raises
    ------
    InputError
        Neither a number nor a slice that can hold rows.

    Examples
    --------
    >>> row_slice(900), row_slice("900:")
    ((0, 900), (900, None))
    """
    begin, colon, end = str(rows).rpartition(":")
    parts = (begin, end) if colon else ("", end)
    if all(not part or part.isdecimal() for part in parts) and (colon or end):
        first, last = int(parts[0] or 0), int(parts[1]) if parts[1] else None
        if last is None or last > first:
            return first, last
    raise InputError(f"rows is {rows!r}", allowed="a number, or a slice such as 0:900 or 900:")


def _select_slice(rows: Rows, begin: int, end: int | None, *, where: str) -> Rows:
    """Select the groups whose first row is in the slice, in the order of the groups' hashes."""
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
            f"no rows from {begin} on", where=where, allowed=f"a start below {len(rows)}"
        )
    return rows.select(sorted(chosen))


def make_task(name: str, source: SourceRows) -> Task:
    """Deduplicate the rows of a source and give them ids.

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
        source.chats,
    )
    dropped = {**source.dropped, **repeats}
    labels = np.unique(rows.labels).tolist()
    if len(labels) < 2:
        some = {reason: count for reason, count in dropped.items() if count}
        raise InputError(
            f"only label {labels[0]} in {len(rows)} usable rows" if labels else "no usable rows",
            where=name,
            allowed="rows of label 0 and of label 1",
            advice=f"Dropped: {some}." if some else "",
        )
    return Task(rows, dropped, source.made_of)


def _column(values: list[Any] | None, kept: list[int], dtype: type) -> np.ndarray | None:
    return None if values is None else np.array([values[row] for row in kept], dtype=dtype)


def _without_repeats(source: SourceRows, ids: list[str]) -> tuple[list[int], dict[str, int]]:
    """Rows to keep, so that no text occurs twice, and how many are dropped for what reason."""
    keys = [_text_key(text) for text in source.texts]

    def rank(row: int) -> tuple[bool, str, str]:
        is_held_out = source.held_out is not None and source.held_out[row]
        return not is_held_out, _hash(ids[row]), source.groups[row] if source.groups else ""

    kept_row: dict[bytes, int] = {}
    contradicting = set()
    for row, key in enumerate(keys):
        other = kept_row.setdefault(key, row)
        if other == row:
            continue
        if source.labels[other] != source.labels[row]:
            contradicting.add(key)
        elif rank(row) < rank(other):
            kept_row[key] = row
    counts = {"repeated_text": 0, "whitespace_variant": 0, "contradicting_labels": 0}
    for row, key in enumerate(keys):
        if key in contradicting:
            counts["contradicting_labels"] += 1
        elif row != kept_row[key]:
            is_same = source.texts[row] == source.texts[kept_row[key]]
            counts["repeated_text" if is_same else "whitespace_variant"] += 1
    return sorted(row for key, row in kept_row.items() if key not in contradicting), counts


def _text_key(text: str) -> bytes:
    """Hash of a text up to whitespace and encoding of accents; it takes less memory than a copy."""
    normal = unicodedata.normalize("NFC", " ".join(text.split()))
    return hashlib.sha256(normal.encode()).digest()[:16]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
