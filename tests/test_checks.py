import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator

from w2sprobe.checks import (
    MULTICLASS,
    NotNumeric,
    check_activations,
    check_both_classes,
    check_features,
    check_groups,
    check_k,
    check_keep,
    check_l2,
    check_label_vectors,
    check_labels,
    check_target,
    most_neighbors,
    n_left_out,
    optional_groups,
)
from w2sprobe.errors import InputError


@pytest.mark.parametrize(
    "X", [[[1, 2], [3, 4]], np.asfortranarray(np.ones((3, 2))), np.ones((4, 6), np.float16)[:, ::2]]
)
def test_activations_become_contiguous_float32(X) -> None:
    matrix = check_activations(X)
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous
    np.testing.assert_array_equal(matrix, np.asarray(X))


def test_contiguous_float32_is_not_copied() -> None:
    X = np.ones((3, 2), np.float32)
    assert check_activations(X) is X


def bad_row(value: float) -> np.ndarray:
    X = np.ones((4, 3))
    X[2, 1] = value
    return X


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.ones(3), r"X of shape \(3,\).*Allowed: \(rows, width\)"),
        (np.ones((0, 3)), r"X of shape \(0, 3\)"),
        ([[1, 2], [3]], "X is no matrix"),
        ([["a"]], "X is not numeric"),
        (np.ones((2, 2), complex), "X is complex"),
        (bad_row(np.nan), "X is not finite in rows 2"),
        (bad_row(-np.inf), "X is not finite in rows 2"),
        (bad_row(1e300), "X is not finite in rows 2"),
    ],
)
def test_bad_activations(X, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_activations(X)


def test_a_sum_that_overflows_is_no_reason_to_refuse() -> None:
    large = np.full((2, 4), 3e38, np.float32)
    np.testing.assert_array_equal(check_activations(large), large)


def test_the_width_of_the_fit_is_required() -> None:
    assert check_activations(np.ones((2, 3)), width=3).shape == (2, 3)
    with pytest.raises(InputError, match=r"Q of width 3.*Allowed: 4, as fitted"):
        check_activations(np.ones((2, 3)), "Q", width=4)


def test_estimators_remember_their_columns() -> None:
    estimator = BaseEstimator()
    check_features(estimator, np.ones((2, 3)), fitting=True)
    assert estimator.n_features_in_ == 3
    assert check_features(estimator, np.ones((1, 3)), fitting=False).dtype == np.float32
    with pytest.raises(InputError, match="4 features"):
        check_features(estimator, np.ones((2, 4)), fitting=False)
    with pytest.raises(InputError, match="minimum of 2 is required"):
        check_features(estimator, np.ones((1, 3)), fitting=True, least=2)
    with pytest.raises(InputError, match="not finite"):
        check_features(estimator, bad_row(np.nan), fitting=True)
    with pytest.raises(NotNumeric):
        check_features(estimator, np.array([[{}]], dtype=object), fitting=True)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0.5, 1.2, -1], r"label 1.2 in row 1 \(and 1 more\)"),
        ([0.5, np.nan, 0], "label nan in row 1"),
        ([0, 1, 2], MULTICLASS),
        ([[0, 1, 1]], r"labels of shape \(1, 3\).*one per row"),
        (["a", "b", "c"], "labels are not numeric"),
    ],
)
def test_bad_labels(y, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_labels(y, 3)
    assert check_labels([0, True, 0.5], 3).tolist() == [0, 1, 0.5]


def test_one_or_several_label_vectors() -> None:
    one, several = check_label_vectors([0, 1, 0.5], 3)
    assert (one.shape, several) == ((1, 3), False)
    two, several = check_label_vectors([[0, 1, 0.5], [1, 1, 0]], 3)
    assert (two.shape, several) == ((2, 3), True)
    with pytest.raises(InputError, match="no label vectors"):
        check_label_vectors(np.empty((0, 3)), 3)
    with pytest.raises(InputError, match="labels of shape"):
        check_label_vectors(np.ones((2, 4)), 3)


def test_a_mask_serves_one_or_all_label_vectors() -> None:
    mask = np.array([True, False, True])
    np.testing.assert_array_equal(check_keep(mask, (2, 3)), [mask, mask])
    own = np.array([mask, ~mask])
    np.testing.assert_array_equal(check_keep(own, (2, 3)), own)
    with pytest.raises(InputError, match=r"keep of shape \(2,\)"):
        check_keep(mask[:2], (2, 3))
    with pytest.raises(InputError, match="keep of int64"):
        check_keep(np.ones(3, np.int64), (2, 3))


def test_a_column_of_labels_is_accepted_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="column-vector"):
        assert check_target(np.array([[0], [1]]), 2).tolist() == [0, 1]
    with pytest.raises(InputError, match="1d array"):
        check_target(np.ones((2, 2)), 2)


def test_one_class_is_refused_but_soft_labels_of_one_value_are_not() -> None:
    for label in (0.0, 1.0):
        with pytest.raises(InputError, match=f"one class: all labels are {label:g}"):
            check_both_classes(np.full(3, label))
    check_both_classes(np.full(3, 0.7))
    check_both_classes(np.array([0.0, 1.0]))


@pytest.mark.parametrize("k", [0, 6, -1, 2.0, True, "3"])
def test_bad_k(k) -> None:
    with pytest.raises(InputError, match=r"k is .*Allowed: 1 to 5, the rows"):
        check_k(k, "k", 5, "the rows")
    with pytest.raises(InputError, match="with 1 sample to choose from"):
        check_k(2, "k", 1)
    assert check_k(np.int64(5), "k", 5) == 5


@pytest.mark.parametrize("l2s", [[], [0.0], [1, -1], [np.inf], [np.nan], ["a"], 1.0])
def test_bad_penalties(l2s) -> None:
    with pytest.raises(InputError, match="l2 is"):
        check_l2(l2s)
    assert check_l2([1, 0.1]).tolist() == [1, 0.1]


def test_groups_are_numbered() -> None:
    assert check_groups(["b", "a", "b"], 3).tolist() == [1, 0, 1]
    assert check_groups([7, 7, 3], 3).tolist() == [1, 1, 0]
    assert optional_groups(None, 3) is None


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([1, 2], r"groups of shape \(2,\).*one per row"),
        ([1.0, np.nan, 2.0], "groups has NaN in row 1"),
        (np.array([1, "a", None], dtype=object), "groups of several types"),
    ],
)
def test_bad_groups(groups, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_groups(groups, 3)


def test_rows_that_cannot_be_neighbours() -> None:
    assert n_left_out(np.array([1, 2, 2, 2]), itself=True) == 3
    assert n_left_out(None, itself=True) == 1
    assert n_left_out(None, itself=False) == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=1, max_size=12))
def test_every_row_has_as_many_neighbors_as_counted(rows: list[tuple[bool, int]]) -> None:
    keep, groups = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    kept = range(int(keep.sum()))
    by_group = [int((keep & (groups != group)).sum()) for group in groups[keep]]
    assert most_neighbors(keep, groups, itself=True) == min(by_group, default=0)
    assert most_neighbors(keep, None, itself=True) == max(kept, default=0)
    assert most_neighbors(keep, None, itself=False) == len(kept)
