from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2sprobe.data import SPLIT_NAMES, Rows, Splits, SplitSizes, make_splits
from w2sprobe.errors import InputError, UnknownName

PROPERTY = settings(deadline=None, max_examples=40, derandomize=True)


def make_rows(labels: list[int], groups: list[int] | None = None) -> Rows:
    return Rows(
        np.array([f"id{row}" for row in range(len(labels))]),
        [f"text {row}" for row in range(len(labels))],
        np.array(labels, dtype=np.int64),
        None if groups is None else np.array([f"group{group}" for group in groups]),
        "made up",
    )


def balanced(n: int, group_size: int | None = None) -> Rows:
    groups = None if group_size is None else [row // group_size for row in range(n)]
    return make_rows([row % 2 for row in range(n)], groups)


def contents(splits: Splits) -> dict[str, list[str]]:
    return {name: rows.ids.tolist() for name, rows in splits.items()}


def assert_sound(splits: Splits, rows: Rows) -> None:
    """Disjoint, balanced, no group on two sides, nothing lost without a count, cells intact."""
    parts = [part for _, part in splits.items()]
    ids = [name for part in parts for name in part.ids.tolist()]
    assert len(set(ids)) == len(ids), "a row on two sides"
    for part in parts:
        assert 2 * part.labels.sum() == len(part), "not balanced"
        assert len(part) > 0, "an empty split"
    groups = [set(part.groups.tolist()) for part in parts if part.groups is not None]
    if groups:
        assert sum(map(len, groups)) == len(set.union(*groups)), "a group on two sides"
    assert len(ids) + sum(splits.dropped.values()) == len(rows), "rows not counted"
    label_of = dict(zip(rows.ids.tolist(), rows.labels.tolist(), strict=True))
    for part in parts:
        assert part.labels.tolist() == [label_of[name] for name in part.ids.tolist()]
        assert part.texts == [name.replace("id", "text ") for name in part.ids.tolist()]


@st.composite
def tasks(draw: st.DrawFn) -> Rows:
    n = draw(st.integers(80, 200))
    rare = draw(st.integers(30, n // 2))
    label = draw(st.integers(0, 1))
    labels = [label] * rare + [1 - label] * (n - rare)
    if not draw(st.booleans()):
        return make_rows(labels)
    return make_rows(labels, draw(st.lists(st.integers(0, 60), min_size=n, max_size=n)))


@PROPERTY
@given(tasks(), st.integers(0, 5), st.randoms(use_true_random=False))
def test_sound_and_independent_of_row_order(rows: Rows, seed: int, random: Random) -> None:
    splits = make_splits(rows, seed=seed)
    assert_sound(splits, rows)
    order = list(range(len(rows)))
    random.shuffle(order)
    shuffled = make_splits(rows.select(order), seed=seed)
    assert contents(shuffled) == contents(splits)
    assert shuffled.dropped == splits.dropped


def test_soundness_check_can_fail() -> None:
    rows = balanced(100, group_size=5)
    splits = make_splits(rows)
    leaking = Splits(splits.test, splits.strong_train, splits.val, splits.test, splits.dropped)
    with pytest.raises(AssertionError, match="a row on two sides"):
        assert_sound(leaking, rows)
    ungrouped = make_splits(balanced(100))
    moved = Splits(
        **{
            name: rows.select([int(one.removeprefix("id")) for one in part.ids.tolist()])
            for name, part in ungrouped.items()
        },
        dropped=ungrouped.dropped,
    )
    with pytest.raises(AssertionError, match="a group on two sides"):
        assert_sound(moved, rows)


@PROPERTY
@given(
    st.tuples(*[st.integers(1, 8)] * 4),
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(0, 5),
)
def test_sizes_are_met_exactly(
    halves: tuple[int, int, int, int], more_0: int, more_1: int, seed: int
) -> None:
    rows = make_rows([0] * (sum(halves) + more_0) + [1] * (sum(halves) + more_1))
    sizes = SplitSizes(*(2 * half for half in halves))
    splits = make_splits(rows, sizes, seed=seed)
    assert_sound(splits, rows)
    assert splits.sizes == sizes
    assert splits.dropped == {"unused_label_0": more_0, "unused_label_1": more_1}


@PROPERTY
@given(st.integers(2, 7), st.integers(0, 20))
def test_groups_stay_whole_and_sizes_are_met(group_size: int, seed: int) -> None:
    rows = balanced(400, group_size)
    splits = make_splits(rows, SplitSizes(60, 60, 20, 40), seed=seed)
    assert_sound(splits, rows)
    assert splits.sizes == SplitSizes(60, 60, 20, 40)


def test_rows_are_in_the_order_of_their_hashes_not_of_their_labels() -> None:
    test = make_splits(balanced(1000)).test
    changes = int((np.diff(test.labels) != 0).sum())
    assert 70 <= changes <= 130  # 199 neighbours of 200 fair coins: 99.5, five standard errors 35


def test_seeds_differ() -> None:
    rows = balanced(100)
    first, second = (contents(make_splits(rows, seed=seed)) for seed in (0, 1))
    assert first != second


def test_a_label_flip_keeps_the_rows() -> None:
    rows = balanced(200)
    flipped = Rows(rows.ids, rows.texts, 1 - rows.labels)
    assert contents(make_splits(flipped)) == contents(make_splits(rows))


def test_rows_do_not_move_between_runs() -> None:
    """Pinned: another hash or order would silently make old results incomparable."""
    assert contents(make_splits(balanced(20))) == {
        "weak_train": ["id10", "id8", "id2", "id7", "id17", "id9"],
        "strong_train": ["id0", "id12", "id1", "id5", "id14", "id3"],
        "val": ["id18", "id11"],
        "test": ["id19", "id16", "id6", "id13"],
    }


def test_default_sizes() -> None:
    assert make_splits(balanced(1000)).sizes == SplitSizes(350, 350, 100, 200)
    assert make_splits(balanced(20)).sizes == SplitSizes(6, 6, 2, 4)
    assert make_splits(balanced(40_000)).sizes == SplitSizes(5000, 5000, 1000, 5000)
    lopsided = make_rows([0] * 900 + [1] * 100)
    assert make_splits(lopsided).sizes == SplitSizes(70, 70, 20, 40)


@pytest.mark.parametrize(
    ("sizes", "part"),
    [((3, 2, 2, 2), "3 rows for weak_train"), ((2, 2, 2, 0), "0 rows for test")],
)
def test_sizes_must_be_even(sizes: tuple[int, int, int, int], part: str) -> None:
    with pytest.raises(InputError, match=part) as error:
        SplitSizes(*sizes)
    assert "even" in str(error.value)


@pytest.mark.parametrize(
    ("rows", "sizes", "parts"),
    [
        (
            make_rows([0] * 50 + [1] * 9),
            SplitSizes(8, 8, 2, 4),
            ["strong_train lacks 2", "at least 11 rows of each", "50 of label 0 and 9 of label 1"],
        ),
        (make_rows([0] * 50 + [1] * 9), None, ["at least 10 rows of each", "9 of label 1"]),
        (balanced(40, group_size=40), None, ["lacks", "groups that must stay whole"]),
        (balanced(48, group_size=12), SplitSizes(14, 14, 4, 8), ["lacks", "groups"]),
        (make_rows([]), None, ["0 of label 0 and 0 of label 1"]),
    ],
)
def test_too_few_rows(rows: Rows, sizes: SplitSizes | None, parts: list[str]) -> None:
    with pytest.raises(InputError, match="too few rows") as error:
        make_splits(rows, sizes)
    for part in [*parts, "made up"]:
        assert part in str(error.value)


@pytest.mark.parametrize("group_size", [None, 3])
def test_round_trip(tmp_path: Path, group_size: int | None) -> None:
    splits = make_splits(balanced(100, group_size))
    path = tmp_path / "new" / "splits.parquet"
    splits.write(path)
    again = Splits.read(path)
    assert contents(again) == contents(splits)
    assert again.dropped == splits.dropped
    for name in SPLIT_NAMES:
        here, there = splits[name], again[name]
        assert there.texts == here.texts
        assert there.labels.tolist() == here.labels.tolist()
        assert there.labels.dtype == here.labels.dtype
        assert (there.groups is None) == (here.groups is None)
        if here.groups is not None and there.groups is not None:
            assert there.groups.tolist() == here.groups.tolist()
        assert there.name == here.name
    columns = {"id", "text", "label", "split"} | ({"group"} if group_size else set())
    assert set(pq.read_table(path).column_names) == columns


def test_reading_something_else(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    with pytest.raises(InputError, match="cannot read splits"):
        Splits.read(path)
    pq.write_table(pa.table({"id": ["a"]}), path)
    with pytest.raises(InputError, match="not written as splits"):
        Splits.read(path)


def test_unknown_split() -> None:
    with pytest.raises(UnknownName, match="unknown split 'train'"):
        make_splits(balanced(40))["train"]


PINNED = {
    "weak_train": ["id10", "id8", "id2", "id7", "id17", "id9"],
    "strong_train": ["id0", "id12", "id1", "id5", "id14", "id3"],
    "val": ["id18", "id11"],
    "test": ["id19", "id16", "id6", "id13"],
}
