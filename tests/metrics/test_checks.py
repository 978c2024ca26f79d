"""Input validation: each check accepts the ends of its range and names the first row beyond it."""

import numpy as np
import pytest

from w2sprobe.errors import InputError
from w2sprobe.metrics._checks import (
    check_groups,
    check_labels,
    check_probabilities,
    check_scores,
    check_soft_labels,
    check_truth,
)


def test_truth_becomes_a_mask_of_class_one() -> None:
    mask = check_truth([0, 1, 1.0, False])
    assert mask.dtype == bool
    assert mask.tolist() == [False, True, True, False]


def test_the_ends_of_a_range_are_allowed() -> None:
    assert check_soft_labels([0, 1]).tolist() == [0, 1]
    assert check_labels([0.0, 1.0], "p", 2).tolist() == [0, 1]
    assert check_labels([0, 1], "truth", 2, hard=True).tolist() == [0, 1]
    assert check_scores([True, False], "s", 2).tolist() == [1, 0]


def test_one_certain_row_leaves_a_chance_of_a_pair() -> None:
    """Labels may all be likely: a pair of a 1 and a 0 is impossible only if all are certain."""
    assert check_soft_labels([0, 0.1]).tolist() == [0, 0.1]
    assert check_soft_labels([1, 0.9]).tolist() == [1, 0.9]


def test_probabilities_may_belong_to_one_class_and_become_floats() -> None:
    positive, p = check_probabilities([1], [1])
    assert positive.tolist() == [True]
    assert p.dtype == np.float64


def test_group_names_may_be_of_any_type() -> None:
    assert check_groups(["b", "a"], 2).tolist() == ["b", "a"]


@pytest.mark.parametrize(
    ("check", "parts"),
    [
        (lambda: check_truth([[0, 1]]), ["truth has shape (1, 2)", "(n,)"]),
        (
            lambda: check_truth([0, 2, 1, np.nan]),
            ["truth is 2.0, row 1 (and 1 more)", "0 and 1"],
        ),
        (lambda: check_truth([1, 1]), ["one class in 2 rows", "score more rows"]),
        (lambda: check_truth([0]), ["one class in 1 rows"]),
        (lambda: check_soft_labels([[0.5, 0.5]]), ["soft_labels has shape (1, 2)", "(n,)"]),
        (
            lambda: check_soft_labels([0.5, -0.1, 1.1]),
            ["soft_labels is -0.1, row 1 (and 1 more)", "0 to 1"],
        ),
        (lambda: check_soft_labels([0.5, np.nan]), ["soft_labels is nan, row 1"]),
        (lambda: check_soft_labels([0.5]), ["soft_labels of 1 rows leave no chance"]),
        (lambda: check_soft_labels([0, 0]), ["soft_labels of 2 rows leave no chance"]),
        (lambda: check_soft_labels([1, 1]), ["not all 0 and not all 1"]),
        (lambda: check_scores([0.5], "s", 2), ["s has shape (1,)", "(2,), one per row"]),
        (lambda: check_scores([[0.5]], "s", 1), ["s has shape (1, 1)"]),
        (lambda: check_scores(["a"], "s", 1), ["s has dtype <U1", "numbers"]),
        (lambda: check_scores([1j], "s", 1), ["s has dtype complex128"]),
        (
            lambda: check_scores([0, np.inf, np.nan], "s", 3),
            ["s is inf, row 1 (and 1 more)", "finite numbers"],
        ),
        (
            lambda: check_labels([0.5, 1.5, -0.5], "p", 3),
            ["p is 1.5, row 1 (and 1 more)", "0 to 1"],
        ),
        (lambda: check_labels([-0.5], "p", 1), ["p is -0.5, row 0 (and 0 more)"]),
        (lambda: check_labels([0.5], "truth", 1, hard=True), ["truth is 0.5, row 0", "0 or 1"]),
        (lambda: check_probabilities([], []), ["truth has shape (0,)", "at least one row"]),
        (lambda: check_probabilities([[1]], [1]), ["truth has shape (1, 1)"]),
        (lambda: check_probabilities([0.5], [1], "labels"), ["labels is 0.5, row 0", "0 or 1"]),
        (lambda: check_probabilities([1], [2]), ["p is 2, row 0", "0 to 1"]),
        (lambda: check_groups(["a"], 2), ["groups has shape (1,)", "(2,), one per row"]),
        (lambda: check_groups(["a", "a"], 2), ["groups has 1 value", "Pass groups=None."]),
    ],
)
def test_a_refusal_names_the_value_and_what_is_allowed(check, parts: list[str]) -> None:
    with pytest.raises(InputError) as error:
        check()
    for part in parts:
        assert part in str(error.value)
