import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.metrics.cases import laws, models
from w2sprobe.metrics import accuracy_influence, auc_influence, roc_auc

samples = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=4, max_size=30).filter(
    lambda rows: 0 < sum(label for label, _ in rows) < len(rows)
)


def arrays(rows):
    return np.array([label for label, _ in rows]), np.array([score for _, score in rows], float)


@laws
@given(samples)
def test_auc_is_roc_auc_and_influences_of_each_class_sum_to_0(rows):
    positive, scores = arrays(rows)
    auc, influence = auc_influence(positive, scores)
    assert auc == pytest.approx(roc_auc(positive, scores))
    assert influence[positive].sum() == pytest.approx(0, abs=1e-12)
    assert influence[~positive].sum() == pytest.approx(0, abs=1e-12)


@laws
@given(samples, st.data())
def test_influence_is_the_derivative_by_the_weight_of_a_row(rows, data):
    positive, scores = arrays(rows)
    row = data.draw(st.integers(0, len(rows) - 1))
    weights = np.ones(len(rows))
    step = 1e-6

    def weighted_auc():
        pairs = np.outer(weights[positive], weights[~positive])
        beats = (scores[positive][:, None] > scores[~positive]) + 0.5 * (
            scores[positive][:, None] == scores[~positive]
        )
        return (pairs * beats).sum() / pairs.sum()

    before = weighted_auc()
    weights[row] += step
    slope = (weighted_auc() - before) / step
    assert auc_influence(positive, scores)[1][row] == pytest.approx(slope, abs=1e-5)


def test_squares_are_the_variance_of_the_bootstrap():
    truth, weak, *_ = models(400, seed=3)
    _, influence = auc_influence(truth == 1, weak)
    random = np.random.default_rng(0)
    drawn = random.integers(400, size=(3000, 400))
    replicates = [roc_auc(truth[rows], weak[rows]) for rows in drawn]
    # the standard deviation of 3,000 replicates is right to 1.3 %
    assert np.sqrt((influence**2).sum()) == pytest.approx(np.std(replicates), rel=0.05)


def test_delong_by_hand():
    # two of class 1 (3, 2) against two of class 0 (1, 2): placements 1, .75 and .5, .25 beaten
    auc, influence = auc_influence(np.array([True, True, False, False]), np.array([3, 2, 1, 2]))
    assert auc == 0.875
    assert influence.tolist() == [0.0625, -0.0625, 0.0625, -0.0625]


def test_accuracy():
    positive, scores = np.array([True, False, True, False]), np.array([0.9, 0.5, 0.2, 0.7])
    accuracy, influence = accuracy_influence(positive, scores)
    assert accuracy == 0.5  # one half is no 1
    assert influence.tolist() == [0.125, 0.125, -0.125, -0.125]
