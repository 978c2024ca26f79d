import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from tests.metrics.cases import laws
from w2sprobe.errors import InputError
from w2sprobe.metrics import roc_auc


@st.composite
def scored_rows(draw):
    """Few distinct scores, so that ties are common; both classes."""
    truth = draw(
        st.lists(st.integers(0, 1), min_size=2, max_size=30).filter(lambda t: len({*t}) == 2)
    )
    scores = draw(st.lists(st.integers(-4, 4), min_size=len(truth), max_size=len(truth)))
    return np.array(truth), np.array(scores, dtype=np.float64)


@pytest.mark.parametrize(
    ("truth", "scores", "expected"),
    [
        ([0, 1], [0.1, 0.2], 1.0),
        ([0, 1], [0.2, 0.1], 0.0),
        ([0, 1, 0, 1], [7, 7, 7, 7], 0.5),
        ([0, 0, 1, 1], [1, 3, 2, 4], 0.75),
        ([1, 0, 0], [2, 2, 1], 0.75),  # beats one, ties one
        ([True, False, True], [0.5, 0.5, 0.9], 0.75),
    ],
)
def test_auc_by_hand(truth, scores, expected):
    assert roc_auc(truth, scores) == expected
    assert roc_auc(truth[::-1], scores[::-1]) == expected  # row order does not decide ties


@laws
@given(scored_rows())
def test_auc_agrees_with_scipy_and_sklearn(rows):
    truth, scores = rows
    u = stats.mannwhitneyu(scores[truth == 1], scores[truth == 0]).statistic
    assert roc_auc(truth, scores) == pytest.approx(u / (truth.sum() * (1 - truth).sum()))
    assert roc_auc(truth, scores) == pytest.approx(roc_auc_score(truth, scores))


@laws
@given(scored_rows())
def test_auc_laws(rows):
    truth, scores = rows
    auc = roc_auc(truth, scores)
    assert roc_auc(truth, np.exp(scores)) == auc  # monotone transform
    assert roc_auc(truth, scores.astype(np.float32) / 3) == auc
    assert roc_auc(truth, -scores) == pytest.approx(1 - auc)
    assert roc_auc(1 - truth, scores) == pytest.approx(1 - auc)
    assert roc_auc(np.tile(truth, 3), np.tile(scores, 3)) == pytest.approx(auc)


def test_auc_sees_a_transform_that_is_not_monotone():
    assert roc_auc([0, 1], np.square([-2, 1])) != roc_auc([0, 1], [-2, 1])


@pytest.mark.parametrize(
    ("truth", "scores", "parts"),
    [
        ([1, 1], [0.1, 0.2], ["truth has one class", "both classes"]),
        ([], [], ["truth has one class in 0 rows"]),
        ([0, 0.3, 1, 2], [1, 2, 3, 4], ["truth is 0.3, row 1", "1 more", "0 and 1"]),
        ([0, math.nan], [1, 2], ["truth is nan"]),
        ([[0, 1]], [1, 2], ["truth has shape (1, 2)"]),
        ([0, 1], [1.0, math.nan], ["scores is nan, row 1", "finite"]),
        ([0, 1], [math.inf, 1.0], ["scores is inf, row 0", "finite"]),
        ([0, 1], [1, 2, 3], ["scores has shape (3,)", "(2,)"]),
        ([0, 1], [[1], [2]], ["scores has shape (2, 1)"]),
        ([0, 1], ["a", "b"], ["scores has dtype", "numbers"]),
    ],
)
def test_auc_refuses(truth, scores, parts):
    with pytest.raises(InputError) as error:
        roc_auc(truth, scores)
    for part in parts:
        assert part in str(error.value)
