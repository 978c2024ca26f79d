import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2sprobe.errors import InputError
from w2sprobe.folds import folds_of


@pytest.mark.parametrize(("n", "cv"), [(10, 2), (10, 3), (10, 10), (11, 5)])
def test_folds_are_even_and_deterministic(n: int, cv: int) -> None:
    sizes = np.bincount(folds_of(n, cv), minlength=cv)
    assert sizes.sum() == n
    assert sizes.max() - sizes.min() <= 1
    np.testing.assert_array_equal(folds_of(n, cv), folds_of(n, cv))


def test_folds_are_shuffled() -> None:
    folds = folds_of(100, 5)
    assert (np.diff(folds) != 0).sum() > 50
    assert not np.array_equal(folds, np.sort(folds))


@given(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=30).filter(lambda g: len({*g}) > 1))
def test_a_group_is_in_one_fold(names: list[str]) -> None:
    groups = np.array(names)
    folds = folds_of(len(groups), 2, groups)
    for name in {*names}:
        assert len({*folds[groups == name].tolist()}) == 1
    assert {*folds.tolist()} == {0, 1}


def test_names_and_numbers_of_groups_mean_the_same() -> None:
    numbers = np.arange(30) // 3
    names = np.array([f"group {number:02d}" for number in numbers])
    np.testing.assert_array_equal(folds_of(30, 4, numbers), folds_of(30, 4, names))


@pytest.mark.parametrize(
    ("cv", "groups", "message"),
    [
        (1, None, r"cv is 1.*Allowed: 2 to 30, the rows"),
        (31, None, r"cv is 31.*Allowed: 2 to 30, the rows"),
        (True, None, "cv is True"),
        (2.5, None, "cv is 2.5"),
        (11, np.arange(30) // 3, r"cv is 11.*Allowed: 2 to 10, the groups"),
        (2, np.arange(29), r"groups of shape \(29,\)"),
    ],
)
def test_bad_input(cv, groups, message: str) -> None:
    with pytest.raises(InputError, match=message):
        folds_of(30, cv, groups)
    assert len(folds_of(30, 2, np.arange(30) // 3)) == 30
