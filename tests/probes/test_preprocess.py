import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from tests.probes.cases import problem
from w2sprobe.errors import UnknownName
from w2sprobe.probes import (
    KNNProbe,
    LogisticProbe,
    MassMeanProbe,
    TopoFilter,
    knn_path,
    logistic_path,
    preprocess,
)
from w2sprobe.probes.preprocess import Preprocessing


@settings(deadline=None, max_examples=30, derandomize=True)
@given(st.integers(2, 60), st.integers(1, 8), st.integers(0, 10**6), st.floats(-1e4, 1e4))
def test_standardize_is_scikit_learns(n: int, d: int, seed: int, shift: float) -> None:
    X = (problem(n, d, seed)[0] + shift).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preprocess, "BLOCK_ROWS", 7)
        found = Preprocessing.fit(X, "standardize")
        moved = found.apply(X)
    peer = StandardScaler().fit(X.astype(np.float64))
    varied = peer.scale_ > 1e-6 * np.abs(peer.mean_)
    np.testing.assert_allclose(found.centre, peer.mean_, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.scale[varied], peer.scale_[varied], rtol=1e-9)
    expected = peer.transform(X.astype(np.float64))
    np.testing.assert_allclose(moved[:, varied], expected[:, varied], atol=1e-5)
    assert moved.dtype == np.float32


def test_none_returns_the_same_array_and_center_subtracts_the_mean() -> None:
    X = problem(30, 4, 0)[0]
    assert Preprocessing.fit(X, "none").apply(X) is X
    before = X.copy()
    moved = Preprocessing.fit(X, "center").apply(X)
    np.testing.assert_allclose(moved, X - X.mean(axis=0, dtype=np.float64), atol=1e-6)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("value", [0.0, 3.7, -1e4, 1e15, 1e-30])
def test_columns_that_do_not_vary_stay_zero(value: float) -> None:
    X = problem(50, 3, 0)[0]
    X[:, 1] = value
    found = Preprocessing.fit(X, "standardize")
    moved = found.apply(X)
    assert found.scale[1] == 1
    np.testing.assert_allclose(moved[:, 1], 0, atol=1e-6 * max(1, abs(value)))
    assert moved[:, 0].std() == pytest.approx(1, abs=1e-5)


def test_a_small_column_far_from_the_origin_still_varies() -> None:
    X = np.full((40, 1), 1000, dtype=np.float32)
    X[::2] += np.float32(0.001)  # a few units in the last place
    moved = Preprocessing.fit(X, "standardize").apply(X)
    np.testing.assert_allclose(np.abs(moved), 1, atol=1e-3)


@pytest.mark.parametrize(
    "fit",
    [
        lambda X, y: knn_path(X, y, ks=[3], preprocess="whiten"),
        lambda X, y: logistic_path(X, y, l2s=[0.1], preprocess="whiten"),
        lambda X, y: KNNProbe(3, preprocess="whiten").fit(X, y),
        lambda X, y: LogisticProbe(preprocess="whiten").fit(X, y),
        lambda X, y: MassMeanProbe(preprocess="whiten").fit(X, y),
        lambda X, y: TopoFilter(3, 3, preprocess="whiten").fit(X, y),
    ],
)
def test_an_unknown_name_is_refused(fit) -> None:
    with pytest.raises(UnknownName, match=r"'whiten'\. Allowed: center, none"):
        fit(*problem(30, 4, 0))


@pytest.mark.parametrize(
    "probe",
    [
        lambda how: KNNProbe(5, preprocess=how),
        lambda how: LogisticProbe(preprocess=how),
        lambda how: MassMeanProbe(preprocess=how),
        lambda how: MassMeanProbe(whiten=True, preprocess=how),
    ],
)
def test_standardize_is_scaling_by_hand(probe) -> None:
    X, y = problem(60, 5, 1)
    Q = problem(20, 5, 2)[0]
    wide = X.astype(np.float64)
    centre, scale = wide.mean(axis=0), wide.std(axis=0)
    by_hand = probe("none").fit((X - centre) / scale, y).predict_proba((Q - centre) / scale)
    inside = probe("standardize").fit(X, y).predict_proba(Q)
    np.testing.assert_allclose(inside, by_hand, atol=1e-5)
    plain = probe("none").fit(X, y).predict_proba(Q)
    np.testing.assert_allclose(probe("center").fit(X, y).predict_proba(Q), plain, atol=1e-5)
    if "whiten=True" not in repr(probe("none")):  # which is scale-free by itself
        assert np.abs(inside - plain).max() > 1e-3
