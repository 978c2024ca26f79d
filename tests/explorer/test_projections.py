import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2sprobe.explorer.projections import pca, umap


def case(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    # one direction of large mean, as in language models, and a spectrum with gaps
    X = random.normal(size=(60, 9)) * [9, 6, 4, 2, 1, 1, 1, 1, 1] + [0, 0, 3000, *[0] * 6]
    return X.astype(np.float32), random.random(60) < 0.8, random.random(60)


@settings(deadline=None, max_examples=20, derandomize=True)
@given(st.integers(0, 10_000))
def test_pca_is_that_of_a_singular_value_decomposition(seed: int) -> None:
    X, fitted, labels = case(seed)
    points, explained = pca(X, fitted, labels)
    exact = X.astype(np.float64)
    centre = exact[fitted].mean(axis=0)
    _, values, axes = np.linalg.svd(exact[fitted] - centre, full_matrices=False)
    expected = (exact - centre) @ axes[:2].T
    turned = np.sign((expected * points).sum(axis=0))
    np.testing.assert_allclose(points, expected * turned, atol=0.01)
    np.testing.assert_allclose(explained, (values**2 / (values**2).sum())[:2], rtol=1e-3)


@settings(deadline=None, max_examples=20, derandomize=True)
@given(st.integers(0, 10_000))
def test_axes_point_to_larger_labels_whatever_the_signs(seed: int) -> None:
    X, fitted, labels = case(seed)
    points, _ = pca(X, fitted, labels)
    assert (np.cov(points[fitted].T, labels[fitted])[:2, 2] >= -1e-6).all()
    mirrored, _ = pca(-X, fitted, labels)
    np.testing.assert_allclose(points, mirrored, atol=0.01)


def test_pca_of_equal_rows() -> None:
    points, explained = pca(np.full((5, 3), 7, np.float32), np.ones(5, bool), np.linspace(0, 1, 5))
    assert not points.any()
    assert explained == (0, 0)


def test_umap_is_fitted_on_the_fitted_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the package: what it is asked, and where its answers go."""

    class UMAP:
        def __init__(self, **options: object) -> None:
            assert options == {"n_components": 2, "random_state": 0, "n_jobs": 1}

        def fit(self, X: np.ndarray) -> "UMAP":
            self.embedding_ = X[:, :2]
            return self

        def transform(self, X: np.ndarray) -> np.ndarray:
            return -X[:, :2]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=UMAP))
    X, fitted, _ = case(0)
    points = umap(X, fitted)
    np.testing.assert_array_equal(points[fitted], X[fitted, :2])
    np.testing.assert_array_equal(points[~fitted], -X[~fitted, :2])
    np.testing.assert_array_equal(umap(X, np.ones(60, bool)), X[:, :2])
