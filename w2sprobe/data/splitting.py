"""How rows find their split: by hashes, so that neither order nor machine has a say.

Each split owns an interval of hash space and takes its rows from there. What it lacks then comes
from rows left over elsewhere. So a row that is added moves no other one, unless its split is full
(it may push out the last one) or another one is short (it may take a stand-in's place). Where the
default share of `test` shrinks because there are more rows, some of its rows go to training.
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
# default share of the rows that a split can be cut from, where rows are set aside for testing;
# where none are: that of `val`, the bounds of that of `test`, and the rows that are enough for it
# (`make_splits`); and the published sizes, which are the most that is taken
SHARES_HELD_OUT = SplitSizes(0.45, 0.45, 0.1, 1.0)
VAL_SHARE, LEAST_TEST_SHARE, MOST_TEST_SHARE = 0.1, 0.2, 0.4
ENOUGH_TEST_ROWS = 1000
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
    """Cut a task into four splits.

    Parameters
    ----------
    rows : Rows
        Those that are held out go to `test` or nowhere. Without any, all may go everywhere.
    sizes : SplitSizes, optional
        Rows are met exactly; of shares a little less is taken where groups do not fit. None: 20
        percent to test, or as much as makes 1,000 rows, but at most 40; 10 to val, half of the rest
        to either training split (with rows that are held out: all of them to test, 45, 45 and 10
        percent of the others); at most the published 5,000, 5,000, 1,000 and 5,000.
    seed : int, default 0
        Other seeds give other splits.
    keep_prior : bool, default False
        False: half of each split is label 0, half label 1; surplus rows are dropped. True: each
        split has the classes in the proportion of the rows that it was cut from.

    Returns
    -------
    Splits
        Rows of a split are in the order of their hashes; the order of `rows` has no influence.

    Raises
    ------
    InputError
        Too few rows: says how many of each label are needed and found. A group larger than every
        split. An odd number of rows for a balanced split. A negative seed.

    Notes
    -----
    Groups (a row without one is its own) come in the order of SHA-256(seed, group). Test, val,
    weak_train and strong_train, in this order, own intervals of hash space as long as their
    sizes. A group goes to the owner of its hash if that can use all its rows. Each of the others
    is offered to its owner once more, for the rows that this can use, and after that to all splits:
    it goes to the first that can use most of it. What a group's split cannot use is dropped. Of a
    group with rows inside and outside the source's test set, those outside are dropped first.

    The default test size is what lets a gap between weak model and ceiling be resolved, that is, be
    4 standard errors (`w2sprobe.metrics.gap_objection`). Of n test rows, half of either class, an
    AUC A has the variance

        (A (1 - A) + (n/2 - 1) (A / (2 - A) + 2 A^2 / (1 + A) - 2 A^2)) / (n/2)^2

    (Hanley & McNeil, Radiology 143, 1982), and a difference of two AUCs the variance s^2 + t^2 -
    2 r s t, r being their correlation (Hanley & McNeil, Radiology 148, 1983): about .6 where scores
    correlate by .7 within classes. There 1,000 rows resolve a gap of .053 above a weak AUC of .75
    and of .042 above .85, 200 rows one of .113 and .089. docs/tasks.md says what training loses.
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
    places = _assign(groups, kept.labels.tolist(), quotas, _intervals(kept, sizes, wanted, quotas))
    places = {name: sorted(place, key=hashes.__getitem__) for name, place in places.items()}
    for name, size in wanted.items():
        short = sum(quotas[name]) - len(places[name])
        if short and isinstance(size, float) and not keep_prior:
            places[name] = _even_out(kept.labels, places[name])
        _check_filled(kept, name, places[name], quotas, short=short if isinstance(size, int) else 0)
    used = np.concatenate([kept.labels[place] for place in places.values()])
    left = np.array(_count(kept.labels)) - np.array(_count(used))
    return Splits(
        **{name: kept.select(place) for name, place in places.items()},
        dropped={**dropped, "unused_label_0": int(left[0]), "unused_label_1": int(left[1])},
        about={"split_seed": seed, "keep_prior": keep_prior},
    )


class _Group(NamedTuple):
    """Rows that stay together, in hash order."""

    key: bytes
    rows: list[int]
    counts: Counts
    splits: tuple[str, ...]  # where it may go, in FILL_ORDER


def _count(labels: np.ndarray) -> Counts:
    zeros, ones = np.bincount(labels, minlength=2).tolist()
    return zeros, ones


def _pool(rows: Rows, name: str) -> np.ndarray:
    """Mask of the rows that a split can be cut from."""
    if rows.held_out is None:
        return np.ones(len(rows), dtype=bool)
    return rows.held_out if name == "test" else ~rows.held_out


def _without_straddlers(rows: Rows) -> tuple[Rows, dict[str, int]]:
    """Rows without those to train on whose group has rows that are held out, and their number."""
    if rows.groups is None or rows.held_out is None:
        return rows, {}
    aside = np.isin(rows.groups, rows.groups[rows.held_out]) & ~rows.held_out
    return rows.select(np.flatnonzero(~aside)), {"group_is_held_out": int(aside.sum())}


def _default_sizes(rows: Rows, pool: Counts, *, keep_prior: bool) -> SplitSizes:
    """Shares where none were asked for; `pool`: what `test` can be cut from."""
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
    """Rows of each label that each split wants."""
    given = dict(wanted.items())
    quotas = {}
    for side in _sides(rows):
        zeros, ones = pools[side[0]]
        taken = taken_ones = 0
        for name in side:
            size = _rows_wanted(name, given[name], pools[name], keep_prior=keep_prior)
            size = min(size, most.get(name, size))
            taken += size
            # rounded over all splits up to here, so that their sum is that of the pool; and a
            # split of both labels where there are both
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
    """Refuse early what cannot be filled, whatever the groups."""
    for name, (zeros, ones) in pools.items():
        if not zeros or not ones:
            aside = rows.held_out is not None
            raise InputError(
                f"too few rows: {zeros} of label 0 and {ones} of label 1 for {name}",
                where=rows.name,
                allowed="rows of both labels",
                advice="Rows with split 'test' are tested on, the others train; or leave that "
                "column out." * aside,
            )
    if any(
        sum(sum(quotas[name]) for name in side) > _usable(pools[side[0]], keep_prior=keep_prior)
        for side in _sides(rows)
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


def _check_filled(
    rows: Rows, name: str, place: list[int], quotas: dict[str, Counts], *, short: int
) -> None:
    """Refuse a split that groups have left short, empty or with one label."""
    if short:
        raise InputError(
            f"too few rows: {name} lacks {short}",
            where=rows.name,
            allowed=_needed(rows, quotas),
            advice=MORE_ROWS,
        )
    found = _count(rows.labels[place])
    if min(found) < 1:
        raise InputError(
            f"too few rows: {name} would have {found[0]} of label 0 and {found[1]} of label 1, as "
            "groups stay whole",
            where=rows.name,
            allowed="both labels in every split",
            advice="Choose larger splits, finer groups, or another --split-seed.",
        )


def _sides(rows: Rows) -> list[tuple[str, ...]]:
    """Splits that are cut from the same rows, in FILL_ORDER."""
    return [FILL_ORDER] if rows.held_out is None else [TESTING, TRAINING]


def _usable(pool: Counts, *, keep_prior: bool) -> int:
    return sum(pool) if keep_prior else 2 * min(pool)


def _intervals(
    rows: Rows, sizes: SplitSizes | None, wanted: SplitSizes, quotas: dict[str, Counts]
) -> dict[tuple[str, ...], list[tuple[float, str]]]:
    """Splits a group may go to: the upper ends of their intervals of hash space, from 0 to 1."""
    nominal = dict(wanted.items())
    if any(isinstance(size, int) for size in nominal.values()):
        nominal = {name: sum(quota) for name, quota in quotas.items()}
    ends: dict[tuple[str, ...], list[tuple[float, str]]] = {}
    for side in _sides(rows):
        lengths = [(name, nominal[name]) for name in side]
        if sizes is None and side == FILL_ORDER:
            # what `test` has beyond its least share lies between the training splits: where that
            # shrinks, as rows are added, both grow into it, and no row passes from one to the other
            lengths[0] = "test", LEAST_TEST_SHARE
            lengths.insert(3, ("test", nominal["test"] - LEAST_TEST_SHARE))
        total, reached = sum(length for _, length in lengths), 0.0
        ends[side] = []
        for name, length in lengths:
            reached += length
            ends[side].append((reached / total, name))
    return ends


def _groups(rows: Rows, seed: int, hashes: list[bytes]) -> list[_Group]:
    """All groups in the order of their hashes, their rows in the order of theirs."""
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


def _assign(
    groups: list[_Group],
    labels: list[int],
    quotas: dict[str, Counts],
    intervals: dict[tuple[str, ...], list[tuple[float, str]]],
) -> dict[str, list[int]]:
    """Positions of the rows of each split; at most its quota of either label."""
    room = {name: list(quota) for name, quota in quotas.items()}
    places: dict[str, list[int]] = {name: [] for name in SPLIT_NAMES}

    def usable(group: _Group, name: str) -> int:
        zeros, ones = room[name]
        return min(group.counts[0], zeros) + min(group.counts[1], ones)

    def fill(name: str, group: _Group, *, whole: bool = False) -> bool:
        """Take what there is room for, or nothing; whether anything was taken."""
        taken = usable(group, name)
        if not taken or (whole and taken < len(group.rows)):
            return False
        for row in group.rows:
            if room[name][labels[row]]:
                room[name][labels[row]] -= 1
                places[name].append(row)
        return True

    def owner(group: _Group) -> str:
        place = int.from_bytes(group.key[:6], "big") / (1 << 48)
        return next(name for end, name in intervals[group.splits] if place < end or end >= 1)

    unfit = [group for group in groups if not fill(owner(group), group, whole=True)]
    # rows of its own interval first, so that what one split has no room for ends up in no other
    left = [group for group in unfit if not fill(owner(group), group)]
    for group in left:
        if not any(free for pair in room.values() for free in pair):
            break
        fill(max(group.splits, key=lambda name: usable(group, name)), group)  # the first of equals
    return places


def _even_out(labels: np.ndarray, place: list[int]) -> list[int]:
    """The first of each label, as many as there are of the rarer one."""
    half = min(_count(labels[place]))
    free = [half, half]
    kept = []
    for row in place:
        if free[labels[row]]:
            free[labels[row]] -= 1
            kept.append(row)
    return kept


def _needed(rows: Rows, quotas: dict[str, Counts]) -> str:
    """How many rows of each label the splits want, and how many there are."""
    needs = []
    for side in _sides(rows):
        zeros, ones = (max(1, sum(quotas[name][label] for name in side)) for label in (0, 1))
        found = _count(rows.labels[_pool(rows, side[0])])
        needs.append(
            f"for {', '.join(side)} at least {zeros} rows of label 0 and {ones} of label 1; "
            f"found {found[0]} and {found[1]}"
        )
    return "; ".join(needs) + (
        ", in groups that must stay whole" if rows.groups is not None else ""
    )


def _hash(seed: int, kind: str, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{kind}\0{name}".encode()).digest()
