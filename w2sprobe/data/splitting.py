"""How rows find their split: by hashes, so that neither order nor machine has a say.

Each split owns an interval of hash space and takes its rows from there. What it lacks then comes
from rows left over elsewhere. So a row that is added moves no other one, unless its split is full
(it may push out the last one) or another one is short (it may take a stand-in's place).
"""

import hashlib
import math
from typing import NamedTuple

import numpy as np

from w2sprobe.data.rows import Rows
from w2sprobe.data.splits import SPLIT_NAMES, Splits, SplitSizes
from w2sprobe.errors import InputError

TESTING: tuple[str, ...] = ("test",)
TRAINING: tuple[str, ...] = ("val", "weak_train", "strong_train")
FILL_ORDER = TESTING + TRAINING
# share of the rows that a split can be cut from, without and with rows set aside for testing;
# and the published sizes, which are the most that is taken
SHARES = SplitSizes(0.35, 0.35, 0.1, 0.2)
SHARES_HELD_OUT = SplitSizes(0.45, 0.45, 0.1, 1.0)
PUBLISHED = {"weak_train": 5000, "strong_train": 5000, "val": 1000, "test": 5000}

MORE_ROWS = "Choose smaller splits, or give more rows."

Counts = tuple[int, int]  # rows of label 0 and of label 1


def make_splits(
    rows: Rows, sizes: SplitSizes | None = None, seed: int = 0, *, keep_prior: bool = False
) -> Splits:
    """Cut a task into four splits.

    Parameters
    ----------
    rows : Rows
        Those that are held out go to `test` or nowhere. Without any, all may go everywhere.
    sizes : SplitSizes, optional
        None: 35, 35, 10 and 20 percent (45, 45 and 10 of the rows that are not held out, and all
        that are), at most the published 5,000, 5,000, 1,000 and 5,000; a little less where groups
        do not fit.
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
        split. An odd number of rows for a balanced split.

    Notes
    -----
    Groups (a row without one is its own) come in the order of SHA-256(seed, group). Test, val,
    weak_train and strong_train, in this order, own intervals of hash space as long as their
    sizes. A group goes to the owner of its hash if that can use all its rows. The others are then
    offered to all splits: each goes to the first that can use most of it, and what that one cannot
    use is dropped. A group with rows on both sides of the source's test set is held out.
    """
    pools = {name: _count(rows.labels[_pool(rows, name)]) for name in SPLIT_NAMES}
    quotas = _quotas(rows, sizes, pools, keep_prior=keep_prior)
    if any(min(quota) < 1 for quota in quotas.values()):
        raise InputError(
            "too few rows: every split needs both labels",
            where=rows.name,
            allowed=_needed(rows, quotas),
            advice=MORE_ROWS,
        )
    hashes = [_hash(seed, "row", name) for name in rows.ids.tolist()]
    groups = _groups(rows, seed, hashes)
    _check_group_sizes(rows, groups, quotas)
    places = _assign(groups, rows.labels.tolist(), quotas, _intervals(rows, sizes, quotas))
    places = {name: sorted(place, key=hashes.__getitem__) for name, place in places.items()}
    if sizes is None and not keep_prior:
        places = {name: _even_out(rows.labels, place) for name, place in places.items()}
    short = {name: sum(quotas[name]) - len(place) for name, place in places.items()}
    if (sizes and any(short.values())) or not all(places.values()):
        lacking = ", ".join(f"{name} lacks {count}" for name, count in short.items() if count)
        raise InputError(
            f"too few rows: {lacking}",
            where=rows.name,
            allowed=_needed(rows, quotas),
            advice=MORE_ROWS,
        )
    used = np.concatenate([rows.labels[place] for place in places.values()])
    left = np.array(_count(rows.labels)) - np.array(_count(used))
    return Splits(
        **{name: rows.select(place) for name, place in places.items()},
        dropped={f"unused_label_{label}": int(count) for label, count in enumerate(left)},
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


def _quotas(
    rows: Rows, sizes: SplitSizes | None, pools: dict[str, Counts], *, keep_prior: bool
) -> dict[str, Counts]:
    """Rows of each label that each split wants."""
    quotas = {}
    for name, size in (sizes or _default_shares(rows)).items():
        zeros, ones = pools[name]
        usable = zeros + ones if keep_prior else 2 * min(zeros, ones)
        if isinstance(size, float):
            size = math.floor(size * usable + 1e-9)  # .29 * 100 is 28.999...
            size -= 0 if keep_prior else size % 2
        elif size % 2 and not keep_prior:
            raise InputError(
                f"{size} rows for {name}",
                allowed="even numbers: splits are half label 0, half label 1",
                advice="Or keep the classes as they are: --keep-prior.",
            )
        if sizes is None:
            size = min(size, PUBLISHED[name])
        n_ones = round(size * ones / max(zeros + ones, 1)) if keep_prior else size // 2
        quotas[name] = (size - n_ones, n_ones)
    return quotas


def _default_shares(rows: Rows) -> SplitSizes:
    return SHARES if rows.held_out is None else SHARES_HELD_OUT


def _intervals(
    rows: Rows, sizes: SplitSizes | None, quotas: dict[str, Counts]
) -> dict[tuple[str, ...], list[tuple[float, str]]]:
    """Splits a group may go to: the upper ends of their intervals of hash space, from 0 to 1."""
    nominal = dict((sizes or _default_shares(rows)).items())
    if any(isinstance(size, int) for size in nominal.values()):
        nominal = {name: sum(quota) for name, quota in quotas.items()}
    sides = [FILL_ORDER] if rows.held_out is None else [TESTING, TRAINING]
    ends: dict[tuple[str, ...], list[tuple[float, str]]] = {}
    for side in sides:
        total, reached = sum(nominal[name] for name in side), 0.0
        ends[side] = []
        for name in side:
            reached += nominal[name]
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
        inside, splits = members[key], FILL_ORDER
        if held_out is not None:
            aside = [row for row in inside if held_out[row]]
            inside, splits = (aside, TESTING) if aside else (inside, TRAINING)
        inside = sorted(inside, key=hashes.__getitem__)
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
        return sum(min(count, free) for count, free in zip(group.counts, room[name], strict=True))

    def fill(name: str, group: _Group) -> None:
        for row in group.rows:
            if room[name][labels[row]]:
                room[name][labels[row]] -= 1
                places[name].append(row)

    stand_ins = []
    for group in groups:
        place = int.from_bytes(group.key[:6], "big") / (1 << 48)
        owner = next(name for end, name in intervals[group.splits] if place < end or end >= 1)
        zeros, ones = group.counts
        if zeros <= room[owner][0] and ones <= room[owner][1]:
            fill(owner, group)
        else:
            stand_ins.append(group)
    for group in stand_ins:
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
    sides = [SPLIT_NAMES] if rows.held_out is None else [SPLIT_NAMES[:3], SPLIT_NAMES[3:]]
    needs = []
    for side in sides:
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
