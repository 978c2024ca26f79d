import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2sprobe.errors import InputError
from w2sprobe.metrics import Scorecard, overlap, scorecard

# rows:   wrong, removed   right, removed   wrong, kept   right, kept (4)
KEEP = [False, False, False, True, True, True, True, True]
SOFT = [0.9, 0.6, 0.2, 0.8, 0.5, 0.1, 1.0, 0.7]
TRUTH = [0, 0, 0, 0, 0, 0, 1, 1]


def test_golden() -> None:
    assert scorecard(KEEP, SOFT, TRUTH) == Scorecard(
        n=8,
        removed=3,
        removed_share=3 / 8,
        share_of_ones_before=5 / 8,
        share_of_ones_after=3 / 5,
        noise_before=3 / 8,
        noise_after=1 / 5,
        precision=2 / 3,
        recall=2 / 3,
    )


def test_noise_is_unknown_without_truth() -> None:
    assert scorecard(KEEP, SOFT) == Scorecard(8, 3, 3 / 8, 5 / 8, 3 / 5)


@pytest.mark.parametrize(
    ("keep", "truth", "undefined"),
    [
        ([True, True], [0, 0], {"precision"}),
        ([True, True], [0, 1], {"precision", "recall"}),
        ([False, True], [0, 1], {"recall"}),
        ([False, False], [1, 1], {"share_of_ones_after", "noise_after"}),
    ],
)
def test_a_share_of_nothing_is_nan(keep, truth, undefined: set[str]) -> None:
    card = vars(scorecard(keep, [0.1, 0.9], truth))
    assert {name for name, value in card.items() if math.isnan(value)} == undefined


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 40), st.integers(0, 10**6))
def test_noise_is_split_between_removed_and_kept(n: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    keep, soft, truth = random.random(n) < 0.6, random.random(n), random.integers(0, 2, n)
    card = scorecard(keep, soft, truth)
    wrong_removed = 0 if keep.all() else card.precision * card.removed
    wrong_kept = 0 if not keep.any() else card.noise_after * (n - card.removed)
    assert wrong_removed + wrong_kept == pytest.approx(card.noise_before * n)
    mirrored = scorecard(keep, 1 - soft, 1 - truth)
    assert mirrored.share_of_ones_before == pytest.approx(1 - card.share_of_ones_before)
    np.testing.assert_equal(mirrored.precision, card.precision)
    np.testing.assert_equal(mirrored.recall, card.recall)


def test_overlap_of_every_pair() -> None:
    masks = {
        "a": [False, False, True, True],
        "b": [False, True, False, True],
        "c": [True, True, True, False],
        "all kept": [True] * 4,
    }
    assert overlap(masks) == {
        ("a", "b"): 1 / 3,
        ("a", "c"): 0.0,
        ("a", "all kept"): 0.0,
        ("b", "c"): 0.0,
        ("b", "all kept"): 0.0,
        ("c", "all kept"): 0.0,
    }
    assert overlap({"one": masks["a"], "other": masks["a"]}) == {("one", "other"): 1.0}
    assert overlap({"one": [True, True], "other": [True, True]}) == {("one", "other"): 1.0}
    assert overlap({"alone": [True]}) == {}


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: scorecard([0, 1], [0.1, 0.2]), "keep is int64"),
        (lambda: scorecard([[True]], [0.1]), r"shape \(1, 1\)"),
        (lambda: scorecard([True, False], [0.1]), r"soft_label has shape \(1,\)"),
        (lambda: scorecard([True], [1.1]), r"soft_label is 1\.1, row 0"),
        (lambda: scorecard([True, True], [0.1, 0.2], [1, 0.5]), r"truth is 0\.5, row 1"),
        (lambda: scorecard([True, True], [0.1, 0.2], [1]), r"truth has shape \(1,\)"),
        (lambda: overlap({"a": [True], "b": [0.5]}), "b is float64"),
        (lambda: overlap({"a": [True], "b": [True, True]}), "different lengths"),
    ],
)
def test_bad_input(call, part: str) -> None:
    with pytest.raises(InputError, match=part):
        call()
