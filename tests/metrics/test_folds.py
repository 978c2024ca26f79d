import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from tests.metrics.cases import laws
from w2sprobe.errors import InputError
from w2sprobe.metrics import auc_inside_folds, roc_auc


@st.composite
def cross_fitted(draw):
    """Truth, several vectors of scores with ties, and folds, some of one class or of one row."""
    n = draw(st.integers(1, 30))
    truth = np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    vectors = draw(st.integers(1, 3))
    flat = draw(st.lists(st.integers(-3, 3), min_size=n * vectors, max_size=n * vectors))
    folds = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    return truth, np.array(flat, dtype=np.float64).reshape(vectors, n), folds


@laws
@given(cross_fitted())
def test_it_is_the_mean_of_the_aucs_of_the_folds(rows):
    truth, scores, folds = rows
    masks = [folds == fold for fold in set(folds.tolist())]
    of_both = [mask for mask in masks if len(set(truth[mask].tolist())) == 2]
    found = auc_inside_folds(truth, scores, folds)
    assert (found.n_folds, found.n_folds_total) == (len(of_both), len(masks))
    if not of_both:
        assert found.auc is None
        return
    assert found.auc.shape == (len(scores),)
    for auc, vector in zip(found.auc, scores, strict=True):
        expected = np.mean([roc_auc_score(truth[mask], vector[mask]) for mask in of_both])
        assert auc == pytest.approx(expected, abs=1e-12)
        assert auc_inside_folds(truth, vector, folds).auc == auc


@laws
@given(cross_fitted())
def test_folds_may_have_different_scales(rows):
    truth, scores, folds = rows
    one = auc_inside_folds(truth, scores, folds)
    other = auc_inside_folds(truth, 3 * scores + 100 * folds, folds)
    np.testing.assert_array_equal(one.auc, other.auc)


@laws
@given(cross_fitted())
def test_one_fold_is_the_auc_of_all_rows(rows):
    truth, scores, _ = rows
    found = auc_inside_folds(truth, scores, None)
    if len(set(truth.tolist())) == 2:
        assert found.auc.tolist() == [roc_auc(truth, vector) for vector in scores]
    else:
        assert found == (None, 0, 1)


def test_permuted_labels_inside_folds_average_one_half():
    """Why it has no bias: all orders of a fold's labels are as likely, and no score moves."""
    scores, folds = np.array([3.0, 1.0, 2.0, 0.5, 9.0, 9.0, 7.0]), np.array([0, 0, 0, 0, 1, 1, 1])
    orders = [
        np.concatenate([np.roll([1, 0, 0, 0], first), np.roll([1, 1, 0], second)])
        for first in range(4)
        for second in range(3)
    ]
    aucs = [auc_inside_folds(truth, scores, folds).auc for truth in orders]
    assert np.mean(aucs) == pytest.approx(0.5)
    assert np.mean([roc_auc(truth, scores) for truth in orders]) > 0.6, "folds have their scales"


@pytest.mark.parametrize(
    ("truth", "scores", "folds", "part"),
    [
        ([0, 1], [0.1, 0.2, 0.3], [0, 0], r"truth of shape \(2,\), scores of \(3,\)"),
        ([0, 1], [[[0.1, 0.2]]], [0, 0], "scores of"),
        ([0, 2], [0.1, 0.2], [0, 0], "other values than 0 and 1"),
        ([0, 1], [0.1, np.nan], [0, 1], "not finite"),
        ([0, 1], [0.1, 0.2], [0], r"folds of shape \(1,\). Allowed: \(2,\)"),
    ],
)
def test_what_cannot_be_scored_is_refused(truth, scores, folds, part):
    with pytest.raises(InputError, match=part):
        auc_inside_folds(truth, scores, folds)
