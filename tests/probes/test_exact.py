import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.probes.cases import KINDS, assert_same, naive, points
from w2sprobe.probes import _exact
from w2sprobe.probes._exact import (
    Frame,
    nearest_of,
    product_error,
    search_again,
    squared_norms,
)
from w2sprobe.probes._kernels import NeighborCandidates

NORMAL_SIZED = sorted(set(KINDS) - {"tiny"})  # subnormal products have no relative error


def products(X: np.ndarray) -> np.ndarray:
    """|x|² + |y|² - 2 x·y in float32."""
    norms = squared_norms(X).astype(np.float32)
    return norms[:, None] + norms[None] - 2 * (X @ X.T)


def everything(X: np.ndarray, bound: tuple[float, float]) -> NeighborCandidates:
    n = len(X)
    rows = np.tile(np.arange(n), (n, 1))
    return NeighborCandidates(products(X), rows, np.full(n, np.inf), np.zeros(n), *bound)


def as_given(width: int) -> Frame:
    return Frame(np.zeros(width), 1.0)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.sampled_from(NORMAL_SIZED), st.integers(1, 300), st.integers(0, 10**6))
def test_products_err_within_the_bound(kind: str, d: int, seed: int) -> None:
    X = points(kind, 30, d, seed)
    wide = X.astype(np.float64)
    true = ((wide[:, None] - wide[None]) ** 2).sum(axis=2)
    norms = np.linalg.norm(wide, axis=1)
    # two roundings of norms here, one of them in the sum of three
    share, tiny = product_error(d, 2.0**-24, rounded_norms=False)
    error = np.abs(products(X) - true)
    assert (error <= share * (norms[:, None] + norms[None]) ** 2 + tiny).all()


def test_the_error_bound_is_tight() -> None:
    X = points("random", 200, 300, 0)  # the worst case is d u: the typical one is its root
    wide = X.astype(np.float64)
    true = ((wide[:, None] - wide[None]) ** 2).sum(axis=2)
    norms = np.linalg.norm(wide, axis=1)
    share, _ = product_error(300, 2.0**-24, rounded_norms=False)
    bound = share * (norms[:, None] + norms[None]) ** 2
    assert (np.abs(products(X) - true) > bound / 1000).any()


@pytest.mark.parametrize("kind", NORMAL_SIZED)
def test_the_second_search_agrees_with_differences(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_exact, "BLOCK_ROWS", 13)
    monkeypatch.setattr(_exact, "BLOCK_VALUES", 200)
    X, Q = points(kind, 70, 9, 0), points(kind, 20, 9, 1)
    for queries in (X, Q):
        squared, rows = search_again(X, queries, Frame.of(X, queries), 11)
        assert_same((np.sqrt(squared), rows), naive(X, queries, k=11))


def test_a_query_is_proven_only_within_the_limit() -> None:
    X = points("random", 50, 6, 0)
    frame = as_given(6)
    bound = product_error(6, 2.0**-24, rounded_norms=False)
    whole = everything(X, bound)
    squared, rows, proven = nearest_of(X, X, frame, whole, 5)
    assert_same((np.sqrt(squared), rows), naive(X, k=5))
    assert proven.all()
    # a row that is left out may be as near as the k-th: no proof
    _, _, doubtful = nearest_of(X, X, frame, whole._replace(limit=squared[:, -1]), 5)
    assert not doubtful.any()
    # and far beyond it, a proof
    far = squared[:, -1] + 0.1
    _, _, sure = nearest_of(X, X, frame, whole._replace(limit=far), 5)
    assert sure.all()


def test_too_few_candidates_prove_nothing() -> None:
    X = points("random", 20, 6, 0)
    found = everything(X, product_error(6, 2.0**-24, rounded_norms=False))
    found.rows[3, 4:] = -1
    _, _, proven = nearest_of(X, X, as_given(6), found, 5)
    np.testing.assert_array_equal(proven, np.arange(20) != 3)


def test_the_offset_completes_the_approximate_distance() -> None:
    X = points("outlier columns", 60, 6, 0)
    frame = Frame.of(X, X)
    moved = frame.apply(X)
    norms = squared_norms(moved)
    near = norms.astype(np.float32)[None] - 2 * (moved @ moved.T)
    rows = np.tile(np.arange(60), (60, 1))
    bound = product_error(6, 2.0**-24, rounded_norms=False)
    whole = NeighborCandidates(near, rows, np.full(60, np.inf), norms, *bound)
    squared, found, proven = nearest_of(X, X, frame, whole, 5)
    assert_same((np.sqrt(squared), found), naive(X, k=5))
    assert proven.all()


@pytest.mark.parametrize("size", [1e-37, 1e-20, 1.0, 1e20, 3e38])
def test_a_frame_scales_any_rows_to_the_middle_of_float32(size: float) -> None:
    X = (points("random", 40, 5, 0) / 10 * size).astype(np.float32)
    frame = Frame.of(X, X[:3])
    moved = frame.apply(X)
    assert 2.0**36 < np.abs(moved).max() < 2.0**41
    assert np.frexp(frame.scale)[0] == 0.5
    wide = (X - frame.centre) * frame.scale
    np.testing.assert_allclose(moved, wide, rtol=2.0**-24)


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_largest_coordinate_of_either_sign_sets_the_scale(sign: int) -> None:
    """Centring may double it; beyond 2**41 squares would leave float32's range sooner or later."""
    X = (sign * np.geomspace(1, 3e37, 24).reshape(6, 4)).astype(np.float32)
    framed = Frame.of(X, X[:2]).apply(X)
    assert 2**38 < np.abs(framed).max() < 2**41
