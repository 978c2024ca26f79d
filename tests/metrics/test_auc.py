import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from tests.metrics.cases import laws
from w2sprobe.errors import InputError
from w2sprobe.metrics import roc_auc, soft_auc


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


def naive_soft_auc(q, scores):
    """The double sum over ordered pairs of different rows."""
    right = pairs = 0.0
    for i in range(len(q)):
        for j in range(len(q)):
            if i != j:
                weight = q[i] * (1 - q[j])
                pairs += weight
                right += weight * ((scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j]))
    return right / pairs


ANY_LABEL = st.sampled_from([0.0, 1.0, 0.5, 5e-324, 1 - 2**-53]) | st.floats(0, 1)
SIXTEENTHS = st.integers(0, 16).map(lambda n: n / 16)  # what is shifted and flipped exactly


@st.composite
def softly_labelled_rows(draw, label=ANY_LABEL):
    """Labels of 0 and 1, tiny ones and equal ones among them; few distinct scores."""
    labels = st.lists(label, min_size=2, max_size=25)
    q = draw(labels.filter(lambda q: any(q) and not all(x == 1 for x in q)))
    scores = draw(st.lists(st.integers(-4, 4), min_size=len(q), max_size=len(q)))
    return np.array(q), np.array(scores, dtype=np.float64)


@laws
@given(softly_labelled_rows())
def test_soft_auc_is_the_double_sum(rows):
    q, scores = rows
    if q.max() > 1e-300:  # below, the naive sum underflows
        assert soft_auc(q, scores) == pytest.approx(naive_soft_auc(q, scores), abs=1e-12)
    assert 0 <= soft_auc(q, scores) <= 1


@laws
@given(scored_rows())
def test_soft_auc_of_hard_labels_is_auc(rows):
    truth, scores = rows
    assert soft_auc(truth, scores) == roc_auc(truth, scores)


@laws
@given(softly_labelled_rows())
def test_soft_auc_laws(rows):
    q, scores = rows
    auc = soft_auc(q, scores)
    assert soft_auc(q, np.exp(scores)) == auc  # monotone transform
    assert soft_auc(q, -scores) == pytest.approx(1 - auc, abs=1e-12)
    assert soft_auc(q[::-1], scores[::-1]) == pytest.approx(auc, abs=1e-12)
    assert soft_auc(q, np.zeros(len(q))) == 0.5


@laws
@given(softly_labelled_rows(SIXTEENTHS))
def test_soft_auc_of_flipped_labels(rows):
    q, scores = rows
    assert soft_auc(1 - q, scores) == pytest.approx(1 - soft_auc(q, scores), abs=1e-12)


@laws
@given(softly_labelled_rows(SIXTEENTHS), st.integers(0, 2**32 - 1))
def test_soft_auc_ranks_predictions_alike_when_labels_shift_or_shrink(rows, seed):
    """Only differences of labels count, so shifted and shrunk ones choose the same predictions."""
    q, scores = rows
    other = np.random.default_rng(seed).permutation(scores)
    gains = [soft_auc(at, scores) - soft_auc(at, other) for at in (q, q / 2, q / 2 + 0.5)]
    signs = {float(np.sign(gain)) for gain in gains if abs(gain) > 1e-9}
    assert len(signs) <= 1
    # hard labels of the shifted ones would all be 0, or 1: there AUC does not exist
    if abs(gains[0]) > 1e-6:
        assert len(signs) == 1


def test_soft_auc_is_the_ratio_of_expectations():
    """Of drawn labels: pairs in the right order to all pairs, within four standard errors."""
    rng = np.random.default_rng(0)
    q, scores = rng.random(30) * 0.4, rng.normal(size=30)
    n_draws = 4000
    drawn = rng.random((n_draws, 30)) < q
    beats = (scores[:, None] > scores) + 0.5 * (scores[:, None] == scores)
    right = np.einsum("di,dj,ij->d", drawn, ~drawn, beats)
    pairs = drawn.sum(axis=1) * (~drawn).sum(axis=1)
    ratio = right.sum() / pairs.sum()
    error = (right - ratio * pairs).std() / pairs.mean() / math.sqrt(n_draws)
    assert abs(soft_auc(q, scores) - ratio) < 4 * error < 0.02
    assert abs(soft_auc(q > 0.2, scores) - ratio) > 4 * error, "another number could be told"


@pytest.mark.parametrize(
    ("q", "part"),
    [
        ([0.3], "of 1 rows"),
        ([], "of 0 rows"),
        ([0, 0, 0], "not all 0"),
        ([1, 1], "not all 1"),
        ([0.5, 1.5], "1.5, row 1"),
        ([0.5, math.nan], "nan, row 1"),
        ([[0.5, 0.5]], "shape"),
    ],
)
def test_soft_auc_refuses_what_has_no_pair_and_says_why(q, part):
    with pytest.raises(InputError, match=part):
        soft_auc(q, np.zeros(len(q)))


@pytest.mark.parametrize("q", [[0.5, 0], [0.5, 1], [0.2, 0.2], [5e-324, 0]])
def test_one_uncertain_label_is_enough(q):
    assert soft_auc(q, [2.0, 1.0]) == pytest.approx(naive_soft_auc(q, [2.0, 1.0]))
