import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.probes.cases import assert_same, naive
from w2sprobe.probes._kernels import Copies, Voters, expand_copies, select, squared_distance, vote

NONE = np.empty(0, dtype=np.int64)


@settings(deadline=None, max_examples=200, derandomize=True)
@given(st.integers(1, 60), st.integers(0, 200), st.booleans(), st.integers(0, 10**6))
def test_select_moves_the_smallest_to_the_front(k: int, more: int, ties: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    n, capacity = k + more, k + more + 16
    near = np.full((1, capacity), -99, dtype=np.float32)  # behind n, not to be touched
    near[:, :n] = random.integers(0, 4, size=n) if ties else random.normal(size=n)
    before, rows = near[0].copy(), np.arange(capacity, dtype=np.int32)[None].copy()
    largest = select(near, rows, 0, n, k)
    np.testing.assert_array_equal(np.sort(near[0, :k]), np.sort(before[:n])[:k])
    np.testing.assert_array_equal(before[rows[0]], near[0])
    assert largest == near[0, :k].max()
    np.testing.assert_array_equal(near[0, n:], before[n:])


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(1, 30), st.integers(1, 8), st.integers(0, 10**6), st.booleans())
def test_expanding_copies_equals_searching_them(n: int, d: int, seed: int, grouped: bool) -> None:
    random = np.random.default_rng(seed)
    X = random.integers(0, 2, size=(n, min(d, 3))).astype(np.float32)
    _, first, member = np.unique(X, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)  # distinct rows in the order of their first copies
    known, member = X[first[order]], np.argsort(order)[member]
    group = random.integers(0, 3, n) if grouped else NONE
    k = n - (int(np.bincount(group).max()) if grouped else 0)
    if not k:
        return
    distances, rows = naive(known, k=len(known))
    starts = np.concatenate([[0], np.cumsum(np.bincount(member))])
    copies = Copies(member, np.argsort(member, kind="stable"), starts, group)
    squared, indices = np.empty((n, k)), np.empty((n, k), dtype=np.int64)
    expand_copies(distances**2, rows, copies, squared, indices, 0, n)
    expected = naive(X, k=k, groups=group if grouped else None)
    assert_same((np.sqrt(squared), indices), expected)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(2, 30), st.booleans(), st.booleans(), st.integers(0, 10**6))
def test_votes_are_means_over_the_first_voters(
    n: int, some_kept: bool, grouped: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    soft, ks = random.random((2, n)), np.array([1, 2, 2, 5])
    neighbors = random.permuted(np.tile(np.arange(n), (4, 1)), axis=1)
    keep = random.random((2, n)) < 0.5 if some_kept else np.empty((0, 0), dtype=bool)
    group, own = (random.integers(0, 3, n), np.array([0, 1, 2, 0])) if grouped else (NONE, NONE)
    votes, short = np.full((2, len(ks), 4), np.nan), np.zeros((2, 4), dtype=bool)
    vote(neighbors, Voters(soft, keep, group), own, ks, votes, short, 0, 4)
    for vector in range(2):
        for query in range(4):
            voting = [
                soft[vector, row]
                for row in neighbors[query]
                if (not some_kept or keep[vector, row])
                and (not grouped or group[row] != own[query])
            ]
            assert short[vector, query] == (len(voting) < 5)
            expected = [np.mean(voting[:k]) if k <= len(voting) else np.nan for k in ks]
            np.testing.assert_allclose(votes[vector, :, query], expected)


@pytest.mark.parametrize("d", [1, 7, 16, 1000])
def test_a_squared_distance_is_exact_in_float64(d: int) -> None:
    x, y = np.random.default_rng(d).normal(size=(2, d)).astype(np.float32)
    expected = float(((x.astype(np.float64) - y) ** 2).sum())
    assert squared_distance(x, y) == pytest.approx(expected, rel=1e-12)
    assert squared_distance(x, x) == 0
    assert squared_distance(x, y) == squared_distance(y, x)
