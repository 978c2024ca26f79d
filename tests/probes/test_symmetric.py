import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.probes.cases import KINDS, points
from w2sprobe.probes import _symmetric
from w2sprobe.probes._symmetric import symmetric_candidates


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    st.sampled_from(sorted(set(KINDS) - {"tiny", "huge"})),
    st.integers(1, 120),
    st.sampled_from([1, 2, 3, 5, 40]),
    st.sampled_from([16, 48, 2048]),
    st.integers(0, 10**6),
)
def test_no_rejected_row_is_below_the_limit(
    kind: str, n: int, n_candidates: int, block: int, seed: int
) -> None:
    X = points(kind, n, 4, seed)
    X -= X.mean(axis=0)
    n_candidates = min(n, n_candidates)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_symmetric, "BLOCK", block)
        found = symmetric_candidates(X, n_candidates)
    wide = X.astype(np.float64)
    true = ((wide[:, None] - wide[None]) ** 2).sum(axis=2)
    norms = np.linalg.norm(wide, axis=1)
    error = found.relative * (norms[:, None] + norms[None]) ** 2
    filled = found.rows >= 0
    counts = filled.sum(axis=1)
    assert (counts >= n_candidates).all()
    assert (filled == (np.arange(filled.shape[1]) < counts[:, None])).all()  # then room to spare
    query, place = np.nonzero(filled)
    row, near = found.rows[query, place], found.near[query, place]
    times = np.zeros((n, n), dtype=int)
    np.add.at(times, (query, row), 1)
    assert times.max() == 1
    assert (np.abs(near + found.offset[query] - true[query, row]) <= error[query, row]).all()
    assert (near <= found.limit[query]).all()
    left_out = times == 0
    at_most = true - found.offset[:, None] + error
    assert (at_most >= found.limit[:, None])[left_out].all()
    assert (np.isinf(found.limit) == ~left_out.any(axis=1)).all()
