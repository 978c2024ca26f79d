import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from w2sprobe.errors import InputError
from w2sprobe.probes import LogisticProbe, logistic_path

L2S = [1e-1, 1e-4, 1e-2]


def problem(n: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, d)) * random.uniform(0.1, 5, size=d) + random.normal(size=d)
    return X.astype(np.float32), random.random(n)


def gradient_norm(X: np.ndarray, y: np.ndarray, l2: float, w: np.ndarray, b: float) -> float:
    points = X.astype(np.float64)
    residual = (expit(points @ w + b) - y) / len(y)
    return float(np.linalg.norm(np.append(points.T @ residual + 2 * l2 * w, residual.sum())))


@settings(deadline=None, max_examples=20, derandomize=True)
@given(st.integers(3, 60), st.integers(1, 60), st.integers(0, 10**6))
def test_the_gradient_vanishes(n: int, d: int, seed: int) -> None:
    X, y = problem(n, d, seed)
    coef, intercept = logistic_path(X, y, l2s=L2S)
    for l2, w, b in zip(L2S, coef, intercept, strict=True):
        assert gradient_norm(X, y, l2, w, b) < 1e-5  # 1e-6 with the centred X
        assert gradient_norm(X, y, l2, w + 0.1, b) > 1e-4


@pytest.mark.parametrize(("n", "d"), [(80, 5), (30, 70)])
def test_agrees_with_scikit_learn(n: int, d: int) -> None:
    X, y = problem(n, d, 1)
    probe = LogisticProbe(l2=1e-2).fit(X, y)
    peer = LogisticRegression(C=1 / (2 * n * 1e-2), tol=1e-10, max_iter=10_000)
    peer.fit(
        np.vstack([X, X]).astype(np.float64),
        np.repeat([1, 0], n),
        sample_weight=np.concatenate([y, 1 - y]),
    )
    np.testing.assert_allclose(probe.coef_, peer.coef_[0], atol=1e-4)
    assert probe.intercept_ == pytest.approx(peer.intercept_[0], abs=1e-3)
    assert probe.converged_
    assert probe.gradient_norm_ <= 1e-6


def test_a_path_is_the_loop_of_single_fits() -> None:
    X, y = problem(60, 8, 2)
    coef, intercept = logistic_path(X, y, l2s=L2S)
    for row, l2 in enumerate(L2S):
        probe = LogisticProbe(l2).fit(X, y)
        np.testing.assert_allclose(coef[row], probe.coef_, atol=1e-4)
        assert intercept[row] == pytest.approx(probe.intercept_, abs=1e-4)


def test_laws() -> None:
    X, y = problem(50, 6, 3)
    base = LogisticProbe().fit(X, y)
    twice = LogisticProbe().fit(np.vstack([X, X]), np.concatenate([y, y]))
    np.testing.assert_allclose(twice.coef_, base.coef_, atol=1e-5)
    mirrored = LogisticProbe().fit(X, 1 - y)
    np.testing.assert_allclose(mirrored.predict_proba(X), base.predict_proba(X)[:, ::-1], atol=1e-5)
    moved = LogisticProbe().fit(X + 8, y)
    np.testing.assert_allclose(moved.predict_proba(X + 8), base.predict_proba(X), atol=1e-4)
    order = np.random.default_rng(0).permutation(50)
    np.testing.assert_allclose(LogisticProbe().fit(X[order], y[order]).coef_, base.coef_, atol=1e-5)


def test_separable_labels_and_constant_features() -> None:
    X = np.ones((40, 3), dtype=np.float32)
    X[:20, 0] = -1
    y = np.repeat([0.0, 1.0], 20)
    probe = LogisticProbe(l2=1e-4).fit(X, y)
    assert (probe.predict(X) == y).all()
    assert probe.converged_
    np.testing.assert_allclose(probe.coef_[1:], 0, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda X, y: LogisticProbe(l2=0).fit(X, y), "l2 is"),
        (lambda X, y: logistic_path(X, y, l2s=[]), "l2 is"),
        (lambda X, y: LogisticProbe().fit(X, np.ones(20)), "all labels are 1"),
        (lambda X, y: LogisticProbe().fit(X, y - 1), "0 to 1"),
        (lambda X, y: LogisticProbe().predict(X), "not fitted"),
    ],
)
def test_bad_input(call, part: str) -> None:
    with pytest.raises(InputError, match=part):
        call(*problem(20, 3, 0))
