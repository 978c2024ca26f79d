"""Assignment of rows to splits by hash, independent of row order and machine.

Each split owns an interval of hash space, [0, 1), and takes the groups whose hashes fall into it. A
split that lacks rows then gets groups that are left over from other intervals. So adding a row
moves no other row, with two exceptions: it may push the last row out of a full split, and it may
replace a row that another interval lent to a split that lacked some. Where the default share of
`test` shrinks because there are more rows, some test rows become training rows.
"""

import hashlib
import math
from typing import NamedTuple

import numpy as np

from w2sprobe.data.rows import Rows
from w2sprobe.data.splits import SPLIT_NAMES, Count, Splits, SplitSizes
from w2sprobe.errors import InputError

TESTING: tuple[str, ...] = ("test",)
TRAINING: tuple[str, ...] = ("val", "weak_train", "strong_train")
FILL_ORDER = TESTING + TRAINING

# Default shares for a source that sets test rows aside; `test` is all of those.
SHARES_HELD_OUT = SplitSizes(0.45, 0.45, 0.1, 1.0)
# Default shares for all other sources: `test` is as large as `ENOUGH_TEST_ROWS`, within bounds.
VAL_SHARE, LEAST_TEST_SHARE, MOST_TEST_SHARE = 0.1, 0.2, 0.4
# Test rows that resolve a gap of .05 between weak model and ceiling, i.e. make it 4 standard errors
# (`w2sprobe.metrics.gap_objection`). The variance of an AUC A from n test rows, half of either
# class, is
#     (A (1 - A) + (n/2 - 1) (A / (2 - A) + 2 A^2 / (1 + A) - 2 A^2)) / (n/2)^2
# (Hanley & McNeil, Radiology 143, 1982), and that of a difference of two AUCs s^2 + t^2 - 2 r s t,
# where r, their correlation, is about .6 for scores that correlate by .7 within classes (Hanley &
# McNeil, Radiology 148, 1983). Then 1,000 rows resolve a gap of .053 above a weak AUC of .75 and of
# .042 above .85; 200 rows resolve .113 and .089. docs/tasks.md has the cost in training rows.
ENOUGH_TEST_ROWS = 1000
# Largest default sizes: those of the source experiments.
PUBLISHED = {"weak_train": 5000, "strong_train": 5000, "val": 1000, "test": 5000}

MORE_ROWS = "Choose smaller splits, or give more rows."

Counts = tuple[int, int]  # rows of label 0 and of label 1


def make_splits(
    rows: Rows,
    sizes: SplitSizes | None = None,
    seed: int = 0,
    *,
    keep_prior: bool = False,
) -> Splits:
    """Cut a task into four splits; their rows are in the order of their hashes.

    Parameters
    ----------
    rows : Rows
        Held-out rows go to `test` or are not used. Without any, all rows may go to any split.
    sizes : SplitSizes, optional
        Numbers of rows are met exactly; shares may be missed by a few rows where groups do not fit.
        None: 20 % of the rows to test, or more, up to 40 %, to have 1,000 of them; 10 % to val,
        half of the rest to each training split. With held-out rows: all of them to test, and 45,
        45 and 10 % of the others. At most the published 5,000, 5,000, 1,000 and 5,000.
    keep_prior : bool, default False
        False: half of each split is label 0, half label 1; surplus rows are dropped. True: each
        split has the class proportions of the rows that it is cut from.

    Raises
    ------
    InputError
        Too few rows: says how many of each label are needed and found. A group larger than every
        split. An odd number of rows for a balanced split. A negative seed.

    Notes
    -----
    Groups (a row without one is a group) are visited in the order of SHA-256(seed, group), three
    times: see `_assign`. Rows that the split of their group has no room for are dropped. If a group
    has held-out and other rows, the others are dropped first.
    """
    if not isinstance(seed, int) or seed < 0:
        raise InputError(f"split seed is {seed!r}", allowed="0, 1, 2, ...")
    kept, dropped = _without_straddlers(rows)
    pools = {name: _count(kept.labels[_pool(kept, name)]) for name in SPLIT_NAMES}
    wanted = sizes or _default_sizes(kept, pools["test"], keep_prior=keep_prior)
    most = {} if sizes else PUBLISHED
    quotas = _quotas(kept, wanted, most, pools, keep_prior=keep_prior)
    _check_quotas(kept, quotas, pools, keep_prior=keep_prior)
    hashes = [_hash(seed, "row", name) for name in kept.ids.tolist()]
    groups = _groups(kept, seed, hashes)
    _check_group_sizes(kept, groups, quotas)
    members = _assign(groups, kept.labels.tolist(), quotas, _intervals(kept, sizes, wanted, quotas))
    members = {name: sorted(part, key=hashes.__getitem__) for name, part in members.items()}
    for name, size in wanted.items():
        missing = sum(quotas[name]) - len(members[name])
        if missing and isinstance(size, float) and not keep_prior:
            members[name] = _balance(kept.labels, members[name])
        if missing and isinstance(size, int):
            raise InputError(
                f"too few rows: {name} lacks {missing}",
                where=kept.name,
                allowed=_needed(kept, quotas),
                advice=MORE_ROWS,
            )
        _check_both_labels(kept, name, members[name])
    used = np.concatenate([kept.labels[part] for part in members.values()])
    left = np.array(_count(kept.labels)) - np.array(_count(used))
    return Splits(
        **{name: kept.select(part) for name, part in members.items()},
        dropped={**dropped, "unused_label_0": int(left[0]), "unused_label_1": int(left[1])},
        about={"split_seed": seed, "keep_prior": keep_prior},
    )


class _Group(NamedTuple):
    """Rows that stay together."""

    key: bytes  # SHA-256
    rows: list[int]  # in the order of their hashes
    counts: Counts
    splits: tuple[str, ...]  # those it may go to, in FILL_ORDER


def _count(labels: np.ndarray) -> Counts:
    zeros, ones = np.bincount(labels, minlength=2).tolist()
    return zeros, ones


def _pool(rows: Rows, name: str) -> np.ndarray:
    """Mask of the pool of a split: the rows that it can be cut from."""
    if rows.held_out is None:
        return np.ones(len(rows), dtype=bool)
    return rows.held_out if name == "test" else ~rows.held_out


def _without_straddlers(rows: Rows) -> tuple[Rows, dict[str, int]]:
    """Drop training rows whose group also has held-out rows; return the rest and a count."""
    if rows.groups is None or rows.held_out is None:
        return rows, {}
    straddles = np.isin(rows.groups, rows.groups[rows.held_out]) & ~rows.held_out
    return rows.select(np.flatnonzero(~straddles)), {"group_is_held_out": int(straddles.sum())}


def _default_sizes(rows: Rows, pool: Counts, *, keep_prior: bool) -> SplitSizes:
    """Shares to use when the user gives none; `pool` counts the rows `test` can be cut from."""
    if rows.held_out is not None:
        return SHARES_HELD_OUT
    enough = ENOUGH_TEST_ROWS / max(_usable(pool, keep_prior=keep_prior), 1)
    test = min(max(LEAST_TEST_SHARE, enough), MOST_TEST_SHARE)
    train = (1 - VAL_SHARE - test) / 2
    return SplitSizes(train, train, VAL_SHARE, test)


def _quotas(
    rows: Rows,
    wanted: SplitSizes,
    most: dict[str, int],
    pools: dict[str, Counts],
    *,
    keep_prior: bool,
) -> dict[str, Counts]:
    """Rows of each label that each split is to have."""
    size_of = dict(wanted.items())
    quotas = {}
    for names in _splits_by_pool(rows):
        zeros, ones = pools[names[0]]
        taken = taken_ones = 0
        for name in names:
            size = _rows_wanted(name, size_of[name], pools[name], keep_prior=keep_prior)
            size = min(size, most.get(name, size))
            taken += size
            # The running total is rounded, not each split, so that rounding errors do not add up
            # to more rows of a label than there are. A split gets at least one row of each label.
            n_ones = math.floor(taken * ones / max(zeros + ones, 1) + 0.5) - taken_ones
            if size >= 2 and zeros and ones:
                n_ones = min(max(n_ones, 1), size - 1)
            taken_ones += n_ones
            quotas[name] = (size - n_ones, n_ones) if keep_prior else (size // 2, size // 2)
    return quotas


def _rows_wanted(name: str, size: Count, pool: Counts, *, keep_prior: bool) -> int:
    if isinstance(size, float):
        share = math.floor(size * _usable(pool, keep_prior=keep_prior) + 1e-9)  # .29 * 100 < 29
        return share if keep_prior else share - share % 2
    if size % 2 and not keep_prior:
        raise InputError(
            f"{size} rows for {name}",
            allowed="even numbers: splits are half label 0, half label 1",
            advice="Or keep the classes as they are: --keep-prior.",
        )
    return size


def _check_quotas(
    rows: Rows, quotas: dict[str, Counts], pools: dict[str, Counts], *, keep_prior: bool
) -> None:
    """Refuse sizes that cannot be met, however the groups fall."""
    for name, (zeros, ones) in pools.items():
        if not zeros or not ones:
            has_test_rows = rows.held_out is not None
            raise InputError(
                f"too few rows: {zeros} of label 0 and {ones} of label 1 for {name}",
                where=rows.name,
                allowed="rows of both labels",
                advice="Rows with split 'test' are tested on, the others train; or leave that "
                "column out." * has_test_rows,
            )
    if any(
        sum(sum(quotas[name]) for name in names) > _usable(pools[names[0]], keep_prior=keep_prior)
        for names in _splits_by_pool(rows)
    ):
        raise InputError(
            "too few rows", where=rows.name, allowed=_needed(rows, quotas), advice=MORE_ROWS
        )
    for name, quota in quotas.items():
        if min(quota) < 1:
            raise InputError(
                f"too few rows: {name} would have {quota[0]} of label 0 and {quota[1]} of label 1",
                where=rows.name,
                allowed="both labels in every split",
                advice=f"Choose a larger size for {name}, or give more rows.",
            )


def _check_both_labels(rows: Rows, name: str, members: list[int]) -> None:
    """Refuse a split that whole groups have left empty or with one label."""
    zeros, ones = _count(rows.labels[members])
    if not zeros or not ones:
        raise InputError(
            f"too few rows: {name} would have {zeros} of label 0 and {ones} of label 1, as "
            "groups stay whole",
            where=rows.name,
            allowed="both labels in every split",
            advice="Choose larger splits, smaller groups, or another --split-seed.",
        )


def _splits_by_pool(rows: Rows) -> list[tuple[str, ...]]:
    """Names of the splits that are cut from the same rows, in FILL_ORDER."""
    return [FILL_ORDER] if rows.held_out is None else [TESTING, TRAINING]


def _usable(pool: Counts, *, keep_prior: bool) -> int:
    return sum(pool) if keep_prior else 2 * min(pool)


def _intervals(
    rows: Rows, sizes: SplitSizes | None, wanted: SplitSizes, quotas: dict[str, Counts]
) -> dict[tuple[str, ...], list[tuple[float, str]]]:
    """Upper ends of the splits' intervals of hash space, by the splits that share a pool."""
    size_of = dict(wanted.items())
    if any(isinstance(size, int) for size in size_of.values()):
        size_of = {name: sum(quota) for name, quota in quotas.items()}
    ends: dict[tuple[str, ...], list[tuple[float, str]]] = {}
    for names in _splits_by_pool(rows):
        lengths = [(name, size_of[name]) for name in names]
        if sizes is None and names == FILL_ORDER:
            # The default test share shrinks as rows are added. Its variable part lies between the
            # two training intervals: both grow into it, and no row moves from one to the other.
            lengths[0] = "test", LEAST_TEST_SHARE
            lengths.insert(3, ("test", size_of["test"] - LEAST_TEST_SHARE))
        total, reached = sum(length for _, length in lengths), 0.0
        ends[names] = []
        for name, length in lengths:
            reached += length
            ends[names].append((reached / total, name))
    return ends


def _groups(rows: Rows, seed: int, hashes: list[bytes]) -> list[_Group]:
    """Groups in the order of their hashes."""
    labels = rows.labels.tolist()
    members: dict[bytes, list[int]] = {}
    if rows.groups is None:
        members = {key: [row] for row, key in enumerate(hashes)}
    else:
        for row, group in enumerate(rows.groups.tolist()):
            members.setdefault(_hash(seed, "group", group), []).append(row)
    held_out = None if rows.held_out is None else rows.held_out.tolist()
    groups = []
    for key in sorted(members):
        inside = sorted(members[key], key=hashes.__getitem__)
        splits = FILL_ORDER
        if held_out is not None:
            splits = TESTING if held_out[inside[0]] else TRAINING
        ones = sum(labels[row] for row in inside)
        groups.append(_Group(key, inside, (len(inside) - ones, ones), splits))
    return groups


def _check_group_sizes(rows: Rows, groups: list[_Group], quotas: dict[str, Counts]) -> None:
    if rows.groups is None:
        return
    for group in groups:
        room = max(sum(quotas[name]) for name in group.splits)
        if len(group.rows) > room:
            raise InputError(
                f"group {str(rows.groups[group.rows[0]])!r} has {len(group.rows)} rows",
                where=rows.name,
                allowed=f"at most {room}, the rows of the largest split it may go to",
                advice="Choose larger splits, or name finer groups.",
            )


class _Filling:
    """A split while it is filled."""

    def __init__(self, quota: Counts) -> None:
        self.rows: list[int] = []
        self.free = list(quota)  # rows of label 0 and of label 1 that it still takes

    def usable(self, group: _Group) -> int:
        """Rows of a group that there is room for."""
        return sum(min(count, free) for count, free in zip(group.counts, self.free, strict=True))

    def take(self, group: _Group, labels: list[int]) -> None:
        """Add the rows of a group that there is room for."""
        for row in group.rows:
            if self.free[labels[row]]:
                self.free[labels[row]] -= 1
                self.rows.append(row)


def _assign(
    groups: list[_Group],
    labels: list[int],
    quotas: dict[str, Counts],
    intervals: dict[tuple[str, ...], list[tuple[float, str]]],
) -> dict[str, list[int]]:
    """Rows of each split, at most its quota of each label."""
    splits = {name: _Filling(quotas[name]) for name in SPLIT_NAMES}

    def owner(group: _Group) -> _Filling:
        position = int.from_bytes(group.key[:6], "big") / (1 << 48)  # in hash space, [0, 1)
        return splits[next(name for end, name in intervals[group.splits] if position < end)]

    # 1. A group goes to the owner of its hash if there is room for all of its rows.
    too_large = []
    for group in groups:
        split = owner(group)
        if split.usable(group) == len(group.rows):
            split.take(group, labels)
        else:
            too_large.append(group)
    # 2. The owner takes what it has room for, before any group goes to another split.
    left = []
    for group in too_large:
        split = owner(group)
        if split.usable(group):
            split.take(group, labels)
        else:
            left.append(group)
    # 3. Each remaining group goes to the split that can use most of it, of equals the first.
    for group in left:
        if not any(any(split.free) for split in splits.values()):
            break
        best = max(group.splits, key=lambda name: splits[name].usable(group))
        splits[best].take(group, labels)
    return {name: split.rows for name, split in splits.items()}


def _balance(labels: np.ndarray, members: list[int]) -> list[int]:
    """Keep the first rows of each label, as many as there are of the rarer label."""
    half = min(_count(labels[members]))
    free = [half, half]
    kept = []
    for row in members:
        if free[labels[row]]:
            free[labels[row]] -= 1
            kept.append(row)
    return kept


def _needed(rows: Rows, quotas: dict[str, Counts]) -> str:
    """Words for the rows of each label that the splits need, and those that there are."""
    needs = []
    for names in _splits_by_pool(rows):
        zeros, ones = (max(1, sum(quotas[name][label] for name in names)) for label in (0, 1))
        found = _count(rows.labels[_pool(rows, names[0])])
        needs.append(
            f"for {', '.join(names)} at least {zeros} rows of label 0 and {ones} of label 1; "
            f"found {found[0]} and {found[1]}"
        )
    return "; ".join(needs) + (
        ", in groups that must stay whole" if rows.groups is not None else ""
    )


def _hash(seed: int, kind: str, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{kind}\0{name}".encode()).digest()
