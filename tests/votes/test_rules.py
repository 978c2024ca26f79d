"""Rules alone, on predictions and labels; test_curated.py compares them with the array filters."""

import numpy as np
import pytest

from w2sprobe.errors import InputError
from w2sprobe.votes.rules import (
    FILTER_RULES,
    RANDOM,
    by_confident_learning,
    by_disagreement,
    by_majority,
    check_rule,
    groups_of,
)

SOFT = np.array([0.9, 0.8, 0.7, 0.6, 0.4, 0.3, 0.2, 0.1])
P = np.array([0.9, 0.1, 0.7, 0.9, 0.4, 0.9, 0.2, 0.2])


def test_the_largest_disagreement_goes_first() -> None:
    result = by_disagreement(P, SOFT, 0.25, per_class=False)
    np.testing.assert_allclose(result.score, np.abs(P - SOFT))
    assert np.flatnonzero(~result.keep).tolist() == [1, 5]
    assert (result.criterion, result.cut) == ("disagreement", "among the largest 25 %")


def test_each_class_gives_the_same_share() -> None:
    p = np.where(SOFT > 0.5, 1 - SOFT, SOFT)  # contradicts class 1 only
    together = by_disagreement(p, SOFT, 0.5, per_class=False)
    assert np.flatnonzero(~together.keep).tolist() == [0, 1, 2, 3]
    apart = by_disagreement(p, SOFT, 0.5, per_class=True)
    assert np.flatnonzero(~apart.keep).tolist() == [0, 1, 4, 5]
    assert apart.cut == "among the largest 50 % of its class"


def test_ties_up_to_rounding_go_by_position() -> None:
    soft, p = np.full(4, 0.7), np.array([0.3, 0.3 - 1e-14, 0.3, 0.3 - 1e-14])
    assert by_disagreement(p, soft, 0.5, per_class=False).keep.tolist() == [False] * 2 + [True] * 2


@pytest.mark.parametrize("contamination", [0.1, 0.33, 0.9])
def test_the_share_is_rounded_to_whole_rows(contamination: float) -> None:
    removed = ~by_disagreement(P, SOFT, contamination, per_class=False).keep
    assert removed.sum() == round(contamination * len(SOFT))


def test_a_majority_removes_and_a_tie_keeps() -> None:
    soft, share = np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.5, 0.4, 0.5, 0.6])
    result = by_majority(share, soft, None, per_class=False)
    assert result.keep.tolist() == [True, False, True, False]
    ranked = by_majority(share, soft, 0.25, per_class=False)
    assert ranked.keep.tolist() == [True, False, True, True], "equal scores: the first goes"


def test_confident_learning_ranks_by_the_other_label() -> None:
    result = by_confident_learning(P, SOFT, 0.25, per_class=False)
    np.testing.assert_allclose(result.score, np.where(SOFT > 0.5, 1 - P, P))
    assert np.flatnonzero(~result.keep).tolist() == [1, 5]


def test_confident_learning_needs_both_classes_to_estimate_errors() -> None:
    with pytest.raises(InputError, match="all hard labels are 1"):
        by_confident_learning(P, np.full(8, 0.9), None, per_class=False)


def test_classes_are_apart_or_together() -> None:
    zeros, ones = groups_of(SOFT, per_class=True)
    assert (zeros.tolist(), ones.tolist()) == ([4, 5, 6, 7], [0, 1, 2, 3])
    (rows,) = groups_of(SOFT, per_class=False)
    assert rows.tolist() == list(range(8))


@pytest.mark.parametrize("rule", [*FILTER_RULES, RANDOM])
def test_contaminations(rule: str) -> None:
    for wrong in (0, 1, -0.1, 2):
        with pytest.raises(InputError, match="contamination is"):
            check_rule(rule, wrong, per_class=False)
    check_rule(rule, 0.1, per_class=True)
    if rule in FILTER_RULES and FILTER_RULES[rule].finds_share:
        check_rule(rule, None, per_class=False)
        with pytest.raises(InputError, match="per_class without a contamination"):
            check_rule(rule, None, per_class=True)
    else:
        with pytest.raises(InputError, match="contamination is None"):
            check_rule(rule, None, per_class=False)
