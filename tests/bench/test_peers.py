"""The peers are right, so that agreeing with them means something."""

import numpy as np
import pytest
from scipy.optimize import minimize

from w2sprobe.bench import peers
from w2sprobe.bench.parts import objective
from w2sprobe.probes.backends import has_faiss

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 5)).astype(np.float32)
SOFT = RANDOM.random(60)
SQUARED = ((X[:, None].astype(np.float64) - X[None]) ** 2).sum(axis=2)


def searches() -> list[str]:
    return ["cdist_topk", *["faiss_flat"] * has_faiss()]


@pytest.mark.parametrize("name", searches())
def test_a_search_returns_the_nearest_rows_itself_included(name: str) -> None:
    indices = getattr(peers, name)(X, 7)
    np.testing.assert_array_equal(indices, np.argsort(SQUARED, axis=1)[:, :7])


@pytest.mark.parametrize("name", ["lbfgs", "doubled_rows"])
@pytest.mark.parametrize("l2", [1e-2, 1.0])
def test_a_logistic_fit_minimises_the_objective(name: str, l2: float) -> None:
    best = minimize(lambda w: objective(X, SOFT, l2, w[:-1], w[-1]), np.zeros(6)).fun
    coef, intercept = getattr(peers, name)(X, SOFT, l2)
    assert coef.shape == (5,)
    assert objective(X, SOFT, l2, coef, intercept) == pytest.approx(best, abs=1e-6)


def test_topofilter_removes_an_isolated_group_and_the_given_share() -> None:
    rows = np.concatenate([X, X[:6] + 100])  # far from the others, of one class
    soft = np.concatenate([np.repeat([0.1, 0.9], 30), np.full(6, 0.9)])
    component, keep = peers.dense_topofilter(rows, soft, k=4, contamination=0.2)
    assert component[:60].sum() > 50
    assert not component[60:].any()
    assert not keep[~component].any()
    assert (~keep).sum() == max(round(0.2 * 66), (~component).sum())
