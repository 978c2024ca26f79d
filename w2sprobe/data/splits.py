"""Four disjoint, balanced splits, keyed by hashes: the same on every machine and in every order."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import astuple, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from w2sprobe.atomic import atomic_path
from w2sprobe.data.rows import Rows, join_rows
from w2sprobe.errors import InputError, UnknownName

SPLIT_NAMES = ("weak_train", "strong_train", "val", "test")
FILL_ORDER = ("test", "val", "weak_train", "strong_train")
# of the balanced total, in percent, and the published sizes, which are the most that is taken
SHARES = {"weak_train": 35, "strong_train": 35, "val": 10, "test": 20}
PUBLISHED = {"weak_train": 5000, "strong_train": 5000, "val": 1000, "test": 5000}
META = b"w2sprobe"  # key of what a Parquet file of splits says beside its rows


@dataclass(frozen=True)
class SplitSizes:
    """Rows a split; each even and at least 2, half of them of label 1.

    Raises
    ------
    InputError
        Odd, or less than 2.
    """

    weak_train: int
    strong_train: int
    val: int
    test: int

    def __post_init__(self) -> None:
        for name, size in zip(SPLIT_NAMES, astuple(self), strict=True):
            if size < 2 or size % 2:
                raise InputError(
                    f"{size} rows for {name}",
                    allowed="even numbers from 2 on: splits are half label 0, half label 1",
                )


@dataclass(frozen=True)
class Splits:
    """Rows by purpose: no row and no group is in two splits, and each is half label 0, half 1.

    Parameters
    ----------
    weak_train, strong_train, val, test : Rows
        Weak models are trained on the first, strong ones on the second.
    dropped : dict of str to int
        Rows of the task that are in no split, a label.
    """

    weak_train: Rows
    strong_train: Rows
    val: Rows
    test: Rows
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def sizes(self) -> SplitSizes:
        """Rows a split."""
        return SplitSizes(*(len(rows) for _, rows in self.items()))

    @property
    def stored(self) -> Rows:
        """Rows whose activations are extracted: a student trains, stops and is tested on them."""
        return join_rows(self.strong_train, self.val, self.test)

    def __getitem__(self, name: str) -> Rows:
        if name not in SPLIT_NAMES:
            raise UnknownName("split", name, SPLIT_NAMES)
        rows: Rows = getattr(self, name)
        return rows

    def items(self) -> Iterator[tuple[str, Rows]]:
        """Names and rows, in the order of `SPLIT_NAMES`."""
        return ((name, self[name]) for name in SPLIT_NAMES)

    def write(self, path: str | Path) -> None:
        """Write a Parquet file (id, text, label, group, split), atomically."""
        parts = [part for _, part in self.items()]
        columns = {
            "id": [name for part in parts for name in part.ids.tolist()],
            "text": [text for part in parts for text in part.texts],
            "label": np.concatenate([part.labels for part in parts]),
            "split": [name for name, part in self.items() for _ in range(len(part))],
        }
        if self.test.groups is not None:
            columns["group"] = [
                name for part in parts if part.groups is not None for name in part.groups.tolist()
            ]
        meta = json.dumps({"name": self.test.name, "dropped": self.dropped})
        table = pa.table(columns).replace_schema_metadata({META: meta.encode()})
        with atomic_path(Path(path)) as temporary:
            pq.write_table(table, temporary, compression="zstd")

    @classmethod
    def read(cls, path: str | Path) -> "Splits":
        """Read what `write` wrote.

        Raises
        ------
        InputError
            No such file, or not one of splits.
        """
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise InputError(f"cannot read splits {str(path)!r}: {error}") from error
        meta = (table.schema.metadata or {}).get(META)
        if meta is None:
            raise InputError(f"{str(path)!r} was not written as splits")
        about = json.loads(meta)
        rows = Rows(
            np.array(table["id"].to_pylist(), dtype=np.str_),
            table["text"].to_pylist(),
            table["label"].to_numpy(),
            np.array(table["group"].to_pylist(), dtype=np.str_)
            if "group" in table.column_names
            else None,
            about["name"],
        )
        split_of = np.array(table["split"].to_pylist(), dtype=np.str_)
        parts = {name: rows.select(np.flatnonzero(split_of == name)) for name in SPLIT_NAMES}
        return cls(**parts, dropped=about["dropped"])


def make_splits(rows: Rows, sizes: SplitSizes | None = None, seed: int = 0) -> Splits:
    """Cut a task into four balanced splits.

    Parameters
    ----------
    rows : Rows
    sizes : SplitSizes, optional
        None: 35, 35, 10 and 20 percent of the balanced total, at most the published 5,000, 5,000,
        1,000 and 5,000; a little less where groups do not fit.
    seed : int, default 0
        Other seeds give other splits.

    Returns
    -------
    Splits
        Rows of a split are in the order of their hashes; the order of `rows` has no influence.

    Raises
    ------
    InputError
        Too few rows: says how many of each label are needed and found.

    Notes
    -----
    Groups (a row without one is its own) come in the order of SHA-256(seed, group). Each goes, as
    a whole, to the first of test, val, weak_train, strong_train that can use all its rows, or else
    to the one that can use most; what that split cannot use is dropped.
    """
    found = np.bincount(rows.labels, minlength=2).tolist()
    targets = dict(
        zip(SPLIT_NAMES, astuple(sizes or _default_sizes(found, rows.name)), strict=True)
    )
    places = _assign(rows, {name: size // 2 for name, size in targets.items()}, seed)
    if sizes is None:
        places = {name: _even_out(rows.labels, place) for name, place in places.items()}
    short = {name: size - len(places[name]) for name, size in targets.items()}
    if (sizes and any(short.values())) or not all(places.values()):
        lacking = ", ".join(f"{name} lacks {count}" for name, count in short.items() if count)
        raise InputError(
            f"too few rows: {lacking}",
            where=rows.name,
            allowed=_needed(sum(targets.values()) // 2, found, grouped=rows.groups is not None),
            advice="Choose smaller sizes, or give more rows.",
        )
    used = np.concatenate([rows.labels[place] for place in places.values()])
    left = np.array(found) - np.bincount(used, minlength=2)
    return Splits(
        **{name: rows.select(place) for name, place in places.items()},
        dropped={f"unused_label_{label}": int(count) for label, count in enumerate(left)},
    )


def _default_sizes(found: list[int], where: str) -> SplitSizes:
    total = 2 * min(found)
    sizes = {name: min(PUBLISHED[name], total * share // 200 * 2) for name, share in SHARES.items()}
    if min(sizes.values()) < 2:
        needed = -(-100 // min(SHARES.values()))  # rows of a label that give the smallest split one
        raise InputError("too few rows", where=where, allowed=_needed(needed, found, grouped=False))
    return SplitSizes(**sizes)


def _needed(needed: int, found: list[int], *, grouped: bool) -> str:
    groups = ", in groups that must stay whole" if grouped else ""
    return (
        f"at least {needed} rows of each label; "
        f"found {found[0]} of label 0 and {found[1]} of label 1{groups}"
    )


def _assign(rows: Rows, halves: dict[str, int], seed: int) -> dict[str, list[int]]:
    """Positions of the rows of each split, in hash order; at most `halves` of either label."""
    ids = rows.ids.tolist()
    labels = rows.labels.tolist()
    hashes = [_hash(seed, "row", name) for name in ids]
    members: dict[bytes, list[int]] = {}
    if rows.groups is None:
        members = {hashes[row]: [row] for row in range(len(ids))}
    else:
        for row, group in enumerate(rows.groups.tolist()):
            members.setdefault(_hash(seed, "group", group), []).append(row)
    room = {name: [halves[name], halves[name]] for name in FILL_ORDER}
    places: dict[str, list[int]] = {name: [] for name in SPLIT_NAMES}
    for key in sorted(members):
        group_rows = sorted(members[key], key=hashes.__getitem__)
        counts = [0, 0]
        for row in group_rows:
            counts[labels[row]] += 1
        usable = {
            name: min(counts[0], free[0]) + min(counts[1], free[1]) for name, free in room.items()
        }
        chosen = max(FILL_ORDER, key=usable.__getitem__)  # the first of equals
        for row in group_rows:
            if room[chosen][labels[row]]:
                room[chosen][labels[row]] -= 1
                places[chosen].append(row)
    return {name: sorted(place, key=hashes.__getitem__) for name, place in places.items()}


def _even_out(labels: np.ndarray, place: list[int]) -> list[int]:
    """The first of each label, as many as there are of the rarer one."""
    half = min(np.bincount(labels[place], minlength=2).tolist())
    free = [half, half]
    kept = []
    for row in place:
        if free[labels[row]]:
            free[labels[row]] -= 1
            kept.append(row)
    return kept


def _hash(seed: int, kind: str, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{kind}\0{name}".encode()).digest()
