import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.model_selection import KFold

from tests.curation.cases import FLIPPED, TRUTH, N, X, Y
from w2sprobe.curation import relabel
from w2sprobe.errors import InputError
from w2sprobe.folds import FOLD_SEED
from w2sprobe.probes import KNNProbe, LogisticProbe, MassMeanProbe, knn_path

HONEST = [
    pytest.param(KNNProbe(9), None, id="knn"),
    pytest.param(LogisticProbe(), None, id="logistic"),
    pytest.param(MassMeanProbe(), None, id="mass-mean"),
    pytest.param(KNNProbe(9), 5, id="knn cross-fitted"),
    pytest.param(LogisticProbe(), 5, id="logistic cross-fitted"),
    pytest.param(MassMeanProbe(), 5, id="mass-mean cross-fitted"),
]


@pytest.mark.parametrize(("probe", "cv"), HONEST)
def test_relabelling_repairs_flipped_labels(probe, cv: int | None) -> None:
    soft = relabel(probe, X, Y, cv=cv)
    assert soft.shape == (N,)
    assert (soft > 0.5).astype(int)[FLIPPED].tolist() == TRUTH[FLIPPED].tolist()


@pytest.mark.parametrize(("probe", "cv"), HONEST)
def test_a_row_s_label_does_not_influence_its_prediction(probe, cv: int | None) -> None:
    changed = Y.copy()
    changed[7] = 1 - changed[7]
    before, after = relabel(probe, X, Y, cv=cv)[7], relabel(probe, X, changed, cv=cv)[7]
    assert after == pytest.approx(before, abs=1e-6)


def test_in_sample_it_does() -> None:
    changed = Y.copy()
    changed[7] = 1 - changed[7]
    for probe in (KNNProbe(9), LogisticProbe(), MassMeanProbe()):
        inside = [relabel(probe, X, y, cv="in-sample")[7] for y in (Y, changed)]
        assert abs(inside[0] - inside[1]) > 1e-4  # 1e-6 is what the test above allows


def test_in_sample_is_a_fit_on_all_rows() -> None:
    expected = LogisticProbe().fit(X, Y).predict_proba(X)[:, 1]
    np.testing.assert_array_equal(relabel(LogisticProbe(), X, Y, cv="in-sample"), expected)
    own = relabel(KNNProbe(1), X, Y, cv="in-sample")
    np.testing.assert_array_equal(own, Y)  # each row is its own neighbour


def test_cross_fitting_is_a_loop_over_folds() -> None:
    expected = np.empty(N)
    for rest, out in KFold(4, shuffle=True, random_state=FOLD_SEED).split(X):
        expected[out] = MassMeanProbe().fit(X[rest], Y[rest]).predict_proba(X[out])[:, 1]
    np.testing.assert_array_equal(relabel(MassMeanProbe(), X, Y, cv=4), expected)


def test_knn_leaves_each_row_out() -> None:
    np.testing.assert_array_equal(relabel(KNNProbe(9), X, Y), knn_path(X, Y, ks=[9])[0])


class Scripted(BaseEstimator):
    """Answers that tell which method was asked."""

    def fit(self, X, y):
        return self

    def predict_proba(self, Q):
        return np.full((len(Q), 2), 0.2)

    def predict_train_proba(self, cv: int = 5):
        raise AssertionError("only a kNN probe is asked for predictions of its own rows")

    def cross_fit(self, X, y, cv, groups=None):
        return np.full(len(X), cv / 10)


@pytest.mark.parametrize(("cv", "answer"), [("in-sample", 0.2), (3, 0.3), (None, 0.5)])
def test_a_probe_may_cross_fit_itself(cv, answer: float) -> None:
    assert (relabel(Scripted(), X, Y, cv=cv) == answer).all()


@pytest.mark.parametrize("cv", [None, 3])
def test_the_probe_given_stays_unfitted(cv: int | None) -> None:
    probe = KNNProbe(9)
    relabel(probe, X, Y, cv=cv)
    assert not hasattr(probe, "n_features_in_")


@pytest.mark.parametrize("cv", [1, 0, N + 1, 2.5, True, "insample"])
def test_bad_folds(cv) -> None:
    with pytest.raises(InputError, match=rf"cv is {cv!r}.*Allowed: 2 to {N}"):
        relabel(LogisticProbe(), X, Y, cv=cv)


def test_an_estimator_without_probabilities_is_refused() -> None:
    with pytest.raises(InputError, match="BaseEstimator predicts nothing"):
        relabel(BaseEstimator(), X, Y)


@pytest.mark.parametrize(
    ("probe", "cv"),
    [(KNNProbe(5), None), (KNNProbe(5), 4), (LogisticProbe(), 4), (MassMeanProbe(), 4)],
)
def test_copies_of_a_row_do_not_influence_its_prediction(probe, cv: int | None) -> None:
    twice, labels = np.vstack([X, X]), np.concatenate([Y, Y])
    groups = np.tile(np.arange(N), 2)
    changed = labels.copy()
    changed[7] = changed[7 + N] = 1 - labels[7]
    for together, same in ((groups, True), (None, False)):
        before = relabel(probe, twice, labels, cv=cv, groups=together)[7]
        after = relabel(probe, twice, changed, cv=cv, groups=together)[7]
        assert (abs(before - after) < 1e-9) == same
