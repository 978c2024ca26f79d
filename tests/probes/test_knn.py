import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2sprobe.errors import InputError
from w2sprobe.probes import KNNProbe, knn_path

RANDOM = np.random.default_rng(0)
X, Y, Q = RANDOM.normal(size=(40, 6)), RANDOM.random(40), RANDOM.normal(size=(11, 6))


@pytest.mark.parametrize("queries", [None, Q])
def test_a_path_is_the_loop_of_single_fits(queries: np.ndarray | None) -> None:
    ks = [7, 1, 30]
    path = knn_path(X, Y, queries, ks=ks)
    for k, votes in zip(ks, path, strict=True):
        probe = KNNProbe(k).fit(X, Y)
        alone = probe.predict_train_proba() if queries is None else probe.predict_proba(queries)
        np.testing.assert_allclose(votes, alone[:, 1], atol=1e-12)


def test_one_neighbour_with_self_returns_the_labels() -> None:
    np.testing.assert_allclose(knn_path(X, Y, ks=[1], include_self=True)[0], Y)
    assert not np.allclose(knn_path(X, Y, ks=[1])[0], Y)


def test_all_neighbours_vote_the_mean() -> None:
    np.testing.assert_allclose(knn_path(X, Y, Q, ks=[40])[0], np.full(11, Y.mean()))


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 30))
def test_permuting_rows_permutes_votes(seed: int, k: int) -> None:
    order = np.random.default_rng(seed).permutation(len(X))
    np.testing.assert_allclose(
        knn_path(X[order], Y[order], ks=[k])[0], knn_path(X, Y, ks=[k])[0][order], atol=1e-12
    )


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.integers(1, 40), st.floats(-100, 100))
def test_turning_labels_and_shifting_rows(k: int, shift: float) -> None:
    votes = knn_path(X, Y, Q, ks=[k])
    np.testing.assert_allclose(knn_path(X, 1 - Y, Q, ks=[k]), 1 - votes, atol=1e-12)
    np.testing.assert_allclose(knn_path(X + shift, Y, Q + shift, ks=[k]), votes, atol=1e-6)


def test_the_estimator_follows_scikit_learn() -> None:
    probe = KNNProbe(5).fit(X, Y > 0.5)
    both = probe.predict_proba(Q)
    np.testing.assert_allclose(both.sum(axis=1), 1)
    np.testing.assert_array_equal(probe.predict(Q), both[:, 1] > 0.5)


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: KNNProbe(5).predict_proba(Q), "not fitted"),
        (lambda: KNNProbe(5).predict_train_proba(), "not fitted"),
        (lambda: KNNProbe(41).fit(X, Y), "n_neighbors is 41"),
        (lambda: KNNProbe(40).fit(X, Y).predict_train_proba(), "1 to 39"),
        (lambda: KNNProbe(5).fit(X, Y + 1), "0 to 1"),
        (lambda: KNNProbe(5).fit(X, Y[:-1]), r"\(40,\)"),
        (
            lambda: KNNProbe(5).fit(X, Y).predict(Q[:, :3]),
            "3 features, but KNNProbe is expecting 6",
        ),
        (lambda: knn_path(X, Y, ks=[]), "ks is empty"),
    ],
)
def test_bad_input(call, part: str) -> None:
    with pytest.raises(InputError, match=part):
        call()
