from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2sprobe.data import Rows, Splits, SplitSizes, make_splits
from w2sprobe.data.splitting import ENOUGH_TEST_ROWS
from w2sprobe.errors import InputError
from w2sprobe.metrics import MIN_GAP_SE, bootstrap_pgr

PROPERTY = settings(deadline=None, max_examples=40, derandomize=True)


def make_rows(
    labels: list[int], groups: list[int] | None = None, held_out: list[bool] | None = None
) -> Rows:
    return Rows(
        np.array([f"id{row}" for row in range(len(labels))], dtype=np.str_),
        [f"text {row}" for row in range(len(labels))],
        np.array(labels, dtype=np.int64),
        None if groups is None else np.array([f"group{group}" for group in groups]),
        "made up",
        None if held_out is None else np.array(held_out),
    )


def balanced(n: int, group_size: int | None = None) -> Rows:
    groups = None if group_size is None else [row // group_size for row in range(n)]
    return make_rows([row % 2 for row in range(n)], groups)


def contents(splits: Splits) -> dict[str, list[str]]:
    return {name: rows.ids.tolist() for name, rows in splits.items()}


def split_of(splits: Splits) -> dict[str, str]:
    return {row: name for name, ids in contents(splits).items() for row in ids}


def assert_sound(splits: Splits, rows: Rows, *, prior: bool = False) -> None:
    """Disjoint, balanced, no group on two sides, held-out rows tested on, nothing uncounted."""
    parts = [part for _, part in splits.items()]
    ids = [name for part in parts for name in part.ids.tolist()]
    assert len(set(ids)) == len(ids), "a row on two sides"
    for part in parts:
        assert prior or 2 * part.labels.sum() == len(part), "not balanced"
        assert len(part) > 0, "an empty split"
    groups = [set(part.groups.tolist()) for part in parts if part.groups is not None]
    if groups:
        assert sum(map(len, groups)) == len(set.union(*groups)), "a group on two sides"
    if rows.held_out is not None:
        aside = set(rows.ids[rows.held_out].tolist())
        assert set(splits.test.ids.tolist()) <= aside, "tested on a row that is not held out"
        assert not aside & set(splits.stored.ids[: -len(splits.test)].tolist()), "trained on one"
        assert not aside & set(splits.weak_train.ids.tolist()), "trained on a held-out row"
    assert len(ids) + sum(splits.dropped.values()) == len(rows), "rows not counted"
    label_of = dict(zip(rows.ids.tolist(), rows.labels.tolist(), strict=True))
    for part in parts:
        assert part.labels.tolist() == [label_of[name] for name in part.ids.tolist()]
        assert part.texts == [name.replace("id", "text ") for name in part.ids.tolist()]


@st.composite
def tasks(draw: st.DrawFn) -> Rows:
    n = draw(st.integers(120, 240))
    share = draw(st.integers(30, 50))
    label = draw(st.integers(0, 1))
    labels = [label if (row * 37) % 100 < share else 1 - label for row in range(n)]
    groups = draw(st.none() | st.lists(st.integers(0, 60), min_size=n, max_size=n))
    aside = draw(st.none() | st.integers(3, 5))
    held_out = None if aside is None else [row % aside == 0 for row in range(n)]
    if groups and aside:  # most groups lie on one side of the source's test set
        groups = [2 * group + (row % aside == 0) for row, group in enumerate(groups)]
    return make_rows(labels, groups, held_out)


@PROPERTY
@given(tasks(), st.integers(0, 5), st.booleans(), st.randoms(use_true_random=False))
def test_sound_and_independent_of_row_order(
    rows: Rows, seed: int, prior: bool, random: Random
) -> None:
    splits = make_splits(rows, seed=seed, keep_prior=prior)
    assert_sound(splits, rows, prior=prior)
    order = list(range(len(rows)))
    random.shuffle(order)
    shuffled = make_splits(rows.select(order), seed=seed, keep_prior=prior)
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
    aside = make_rows([row % 2 for row in range(100)], held_out=[row < 30 for row in range(100)])
    with pytest.raises(AssertionError, match="not held out"):
        assert_sound(ungrouped, aside)


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


@PROPERTY
@given(
    st.integers(0, 20), st.booleans(), st.sampled_from([1, 3]), st.sampled_from([None, 4]),
    st.sampled_from([2, 3]),
)  # fmt: skip
def test_added_rows_move_no_row(
    seed: int, prior: bool, group_size: int, aside: int | None, every: int
) -> None:
    """Enough rows for every split to fill its sizes from its own part of hash space."""

    def cut(n: int) -> dict[str, str]:
        rows = make_rows(
            [int(row // 24 % every == row % every) for row in range(n)],
            [row // group_size for row in range(n)],
            None if aside is None else [row // group_size % aside == 0 for row in range(n)],
        )
        return split_of(make_splits(rows, SplitSizes(60, 60, 20, 40), seed, keep_prior=prior))

    before, after = cut(1200), cut(1320)
    assert all(after.get(row, name) == name for row, name in before.items())
    pushed_out = len(before.keys() - after.keys())
    assert pushed_out <= 50  # of 180: a tenth more rows push out a tenth, give or take


def stand_ins(n: int) -> float:
    """Rows expected to lack where each default interval of hash space is to hold its share."""
    # an interval of share p lacks .4 sqrt(p (1 - p) n / 2) rows of a label on average
    return sum(2 * 0.4 * (p * (1 - p) * n / 2) ** 0.5 for p in (0.35, 0.35, 0.1, 0.2))


@pytest.mark.parametrize("n", [1000, 2000, 5000])
def test_default_shares_move_few_rows(n: int) -> None:
    """Those that stand in where an interval of hash space happens to hold too few rows."""
    few, many = (split_of(make_splits(balanced(size))) for size in (n, n + n // 10))
    moved = [row for row, name in few.items() if many.get(row, name) != name]
    crossing = [row for row in moved if "test" in (few[row], many[row])]
    assert len(moved) <= 2 * stand_ins(n)
    assert len(crossing) <= stand_ins(n)


def test_a_test_share_that_shrinks_gives_rows_to_training_and_moves_no_others() -> None:
    n, more = 3000, 4500
    few, many = (split_of(make_splits(balanced(size))) for size in (n, more))
    moved = Counter((name, many[row]) for row, name in few.items() if many.get(row, name) != name)
    into_weak, into_strong = (moved.pop(("test", name)) for name in ("weak_train", "strong_train"))
    given = (1000 / n - 1000 / more) * n
    assert abs(into_weak + into_strong - given) <= stand_ins(n)
    assert abs(into_weak - into_strong) <= stand_ins(n)
    assert moved.total() <= stand_ins(n)


def test_rows_are_in_the_order_of_their_hashes_not_of_their_labels() -> None:
    test = make_splits(balanced(1000)).test
    changes = int((np.diff(test.labels) != 0).sum())
    assert 150 <= changes <= 250  # 399 neighbours of fair coins: 199.5, five s. e. are 50


def test_seeds_differ() -> None:
    rows = balanced(100)
    first, second = (contents(make_splits(rows, seed=seed)) for seed in (0, 1))
    assert first != second


def test_a_label_flip_keeps_the_rows() -> None:
    rows = balanced(200)
    flipped = Rows(rows.ids, rows.texts, 1 - rows.labels)
    assert contents(make_splits(flipped)) == contents(make_splits(rows))


def test_rows_do_not_move_between_releases() -> None:
    """Pinned: another hash or order would silently make old results incomparable."""
    assert contents(make_splits(balanced(20), SplitSizes(0.35, 0.35, 0.1, 0.2))) == PINNED
    assert contents(make_splits(balanced(20))) == PINNED_DEFAULT


def test_default_sizes() -> None:
    assert make_splits(balanced(20)).sizes == SplitSizes(4, 4, 2, 8)
    assert make_splits(balanced(1000)).sizes == SplitSizes(250, 250, 100, 400)
    assert make_splits(balanced(2500)).sizes == SplitSizes(624, 624, 250, 1000)
    assert make_splits(balanced(4000)).sizes == SplitSizes(1300, 1300, 400, 1000)
    assert make_splits(balanced(5000)).sizes == SplitSizes(1750, 1750, 500, 1000)
    assert make_splits(balanced(40_000)).sizes == SplitSizes(5000, 5000, 1000, 5000)
    lopsided = make_rows([0] * 900 + [1] * 100)
    assert make_splits(lopsided).sizes == SplitSizes(50, 50, 20, 80)


def standard_errors(weak: float, gap: float, n: int, correlation: float) -> float:
    """A gap of AUC in its standard errors, by Hanley & McNeil, as make_splits has it."""

    def deviation(auc: float) -> float:
        pairs = auc / (2 - auc) + 2 * auc**2 / (1 + auc) - 2 * auc**2
        return ((auc * (1 - auc) + (n / 2 - 1) * pairs) / (n / 2) ** 2) ** 0.5

    s, t = deviation(weak), deviation(weak + gap)
    return gap / (s**2 + t**2 - 2 * correlation * s * t) ** 0.5


@pytest.mark.parametrize(
    ("n", "weak", "correlation", "gap"),
    [
        (200, 0.75, 0.6, 0.113),
        (200, 0.85, 0.6, 0.089),
        (200, 0.75, 0.4, 0.134),
        (200, 0.85, 0.4, 0.103),
        (400, 0.75, 0.6, 0.082),
        (400, 0.85, 0.6, 0.064),
        (400, 0.75, 0.4, 0.098),
        (400, 0.85, 0.4, 0.076),
        (ENOUGH_TEST_ROWS, 0.75, 0.6, 0.053),
        (ENOUGH_TEST_ROWS, 0.85, 0.6, 0.042),
        (ENOUGH_TEST_ROWS, 0.75, 0.4, 0.064),
        (ENOUGH_TEST_ROWS, 0.85, 0.4, 0.050),
        (5000, 0.75, 0.6, 0.025),
        (5000, 0.85, 0.6, 0.020),
        (5000, 0.75, 0.4, 0.030),
        (5000, 0.85, 0.4, 0.024),
    ],
)
def test_the_smallest_resolved_gaps_of_the_documentation(
    n: int, weak: float, correlation: float, gap: float
) -> None:
    assert standard_errors(weak, gap, n, correlation) >= MIN_GAP_SE
    assert standard_errors(weak, gap - 0.001, n, correlation) < MIN_GAP_SE


def test_the_formula_of_the_documentation_agrees_with_the_bootstrap() -> None:
    """Normal scores of AUC .75 and .85 that correlate by .7 within classes."""
    n = ENOUGH_TEST_ROWS
    random, truth = np.random.default_rng(0), np.arange(n) % 2
    shared, own = random.normal(size=(2, n))
    weak = shared + 0.954 * truth  # sqrt(2) times the normal quantile of the AUC
    ceiling = 0.7 * shared + 0.51**0.5 * own + 1.466 * truth
    found = bootstrap_pgr(truth, weak, ceiling, ceiling)
    assert found.resolved
    expected = standard_errors(found.weak_auc, found.gap, n, 0.6)
    assert found.gap / found.gap_se == pytest.approx(expected, rel=0.1)


def test_shares() -> None:
    splits = make_splits(balanced(1000), SplitSizes(0.29, 0.3, 0.1, 0.31))
    assert splits.sizes == SplitSizes(290, 300, 100, 310)
    mixed = make_splits(balanced(1000), SplitSizes(100, 0.3, 50, 0.31))
    assert mixed.sizes == SplitSizes(100, 300, 50, 310)
    lopsided = make_rows([0] * 900 + [1] * 100)
    assert make_splits(lopsided, SplitSizes(0.4, 0.4, 0.1, 0.1)).sizes == SplitSizes(80, 80, 20, 20)


@PROPERTY
@given(tasks(), st.tuples(*[st.integers(1, 5)] * 4), st.integers(0, 5), st.booleans())
def test_shares_are_nearly_met(
    rows: Rows, parts: tuple[int, int, int, int], seed: int, prior: bool
) -> None:
    """Also where they sum to 1 and groups do not fit."""
    aside = rows.held_out is not None
    total = sum(parts[:3]) + (0 if aside else parts[3])
    shares = [part / total for part in parts]
    shares[3] = 1.0 if aside else shares[3]
    splits = make_splits(rows, SplitSizes(*shares), seed=seed, keep_prior=prior)
    assert_sound(splits, rows, prior=prior)
    if rows.groups is None:
        lost = sum(splits.dropped.values())
        zeros, ones = np.bincount(rows.labels, minlength=2)
        assert lost <= (0 if prior else abs(int(zeros) - int(ones))) + 2 * 4 + (8 if aside else 0)


@PROPERTY
@given(st.integers(20, 80), st.integers(0, 5))
def test_a_prior_is_kept_to_the_last_row(ones: int, seed: int) -> None:
    rows = make_rows([1] * ones + [0] * (100 - ones))
    splits = make_splits(rows, SplitSizes(35, 35, 15, 15), seed=seed, keep_prior=True)
    assert sum(splits.dropped.values()) == 0


def test_held_out_rows_are_the_test_set() -> None:
    rows = make_rows([row % 2 for row in range(1000)], held_out=[row < 100 for row in range(1000)])
    splits = make_splits(rows)
    assert_sound(splits, rows)
    assert splits.sizes == SplitSizes(404, 404, 90, 100)
    shares = make_splits(rows, SplitSizes(0.1, 0.2, 0.1, 0.5))
    assert shares.sizes == SplitSizes(90, 180, 90, 50)


def test_a_group_on_both_sides_of_the_test_set_is_held_out() -> None:
    rows = make_rows(
        [row % 2 for row in range(400)],
        groups=[row // 2 if row >= 40 else row // 4 for row in range(400)],
        held_out=[row % 4 < 2 if row < 40 else row < 100 for row in range(400)],
    )
    splits = make_splits(rows)
    assert_sound(splits, rows)
    assert splits.test.groups is not None
    assert {f"group{number}" for number in range(10)} <= set(splits.test.groups.tolist())
    assert splits.dropped["group_is_held_out"] == 20
    assert splits.sizes.val == 30, "a tenth of what can be trained on"


def test_prior_is_kept() -> None:
    rows = make_rows([int(row % 5 == 0) for row in range(1000)])
    splits = make_splits(rows, keep_prior=True)
    assert splits.sizes == SplitSizes(250, 250, 100, 400)
    assert {name: int(part.labels.sum()) for name, part in splits.items()} == {
        "weak_train": 50,
        "strong_train": 50,
        "val": 20,
        "test": 80,
    }
    assert splits.about == {"split_seed": 0, "keep_prior": True}
    odd = make_splits(rows, SplitSizes(51, 51, 15, 33), keep_prior=True)
    assert odd.sizes == SplitSizes(51, 51, 15, 33)


@pytest.mark.parametrize(
    ("rows", "sizes", "parts"),
    [
        (
            make_rows([0] * 50 + [1] * 9),
            SplitSizes(8, 8, 2, 4),
            ["at least 11 rows of label 0 and 11 of label 1", "found 50 and 9"],
        ),
        (
            make_rows([0] * 50 + [1] * 9),
            None,
            ["val would have 0 of label 0", "both labels in every split"],
        ),
        (balanced(48, group_size=12), SplitSizes(14, 14, 4, 8), ["lacks", "groups"]),
        (make_rows([]), None, ["0 of label 0 and 0 of label 1"]),
        (balanced(100), SplitSizes(0.5, 0.5, 0.1, 0.1), ["at least 60 rows"]),
        (
            make_rows([0, 1] * 50, held_out=[row < 4 for row in range(100)]),
            SplitSizes(10, 10, 4, 8),
            ["for test at least 4 rows of label 0", "found 2 and 2"],
        ),
    ],
)
def test_too_few_rows(rows: Rows, sizes: SplitSizes | None, parts: list[str]) -> None:
    with pytest.raises(InputError, match="too few rows") as error:
        make_splits(rows, sizes)
    for part in [*parts, "made up"]:
        assert part in str(error.value)


def test_a_rare_class_in_a_small_split() -> None:
    rows = make_rows([int(row % 50 == 0) for row in range(1000)])
    splits = make_splits(rows, SplitSizes(100, 100, 10, 100), keep_prior=True)
    assert splits.counts()["val"] == {"label_0": 9, "label_1": 1}, "2 % of 10 are rounded up"
    rarer = make_rows([int(row < 3) for row in range(1000)])
    with pytest.raises(InputError, match="too few rows"):
        make_splits(rarer, SplitSizes(100, 100, 10, 100), keep_prior=True)


def test_groups_that_leave_a_split_with_one_label() -> None:
    rows = make_rows([int(row // 10 % 4 == 0) for row in range(200)], [r // 10 for r in range(200)])
    refused = 0
    for seed in range(30):
        try:
            splits = make_splits(rows, seed=seed, keep_prior=True)
        except InputError as error:
            refused += "groups stay whole" in str(error)
        else:
            assert all(0 < part.labels.sum() < len(part) for _, part in splits.items())
    assert refused > 0


def test_a_test_set_of_one_label() -> None:
    rows = make_rows(
        [row % 2 for row in range(100)], held_out=[row % 10 == 0 for row in range(100)]
    )
    with pytest.raises(InputError, match="10 of label 0 and 0 of label 1 for test") as error:
        make_splits(rows)
    assert "leave that column out" in str(error.value)


@pytest.mark.parametrize("seed", [-1, "a"])
def test_impossible_seeds(seed: object) -> None:
    with pytest.raises(InputError, match="split seed"):
        make_splits(balanced(100), seed=seed)  # type: ignore[arg-type]


def test_a_group_larger_than_every_split() -> None:
    rows = make_rows([row % 2 for row in range(100)], [0] * 50 + list(range(1, 51)))
    with pytest.raises(InputError, match="group 'group0' has 50 rows in made up") as error:
        make_splits(rows)
    assert "at most 40" in str(error.value)


def test_odd_sizes() -> None:
    with pytest.raises(InputError, match="3 rows for weak_train") as error:
        make_splits(balanced(100), SplitSizes(3, 2, 2, 2))
    assert "--keep-prior" in str(error.value)


PINNED = {
    "weak_train": ["id8", "id2", "id7", "id17", "id0", "id3"],
    "strong_train": ["id18", "id9", "id1", "id5", "id14", "id4"],
    "val": ["id10", "id11"],
    "test": ["id19", "id16", "id6", "id13"],
}
PINNED_DEFAULT = {
    "weak_train": ["id8", "id2", "id7", "id17"],
    "strong_train": ["id5", "id14", "id3", "id4"],
    "val": ["id10", "id11"],
    "test": ["id19", "id16", "id6", "id18", "id13", "id0", "id9", "id1"],
}
