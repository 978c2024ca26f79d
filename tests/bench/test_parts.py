import numpy as np
import pytest

from w2sprobe.bench import PARTS
from w2sprobe.bench.measuring import synthetic_layer
from w2sprobe.bench.parts import objective, recall_of

FAST = ("search", "knn", "logistic", "topofilter")  # memory starts a process for each probe


@pytest.mark.parametrize("part", FAST)
def test_each_probe_agrees_with_its_peers(part: str) -> None:
    measurements = list(PARTS[part](200, 16))
    assert measurements
    for measured in measurements:
        assert measured.agrees, measured
        assert measured.ours > 0
        assert measured.ratio == measured.ours / measured.peer


def test_recall_is_the_share_of_true_neighbours() -> None:
    X, _ = synthetic_layer(60, 4)
    squared = ((X[:, None].astype(np.float64) - X[None]) ** 2).sum(axis=2)
    true = np.argsort(squared, axis=1)[:, :5]
    assert recall_of(true, X) == 1
    wrong = true.copy()
    wrong[:30, -1] = squared.argmax(axis=1)[:30]
    assert recall_of(wrong, X) == pytest.approx(1 - 30 / 300)


def test_the_objective_of_no_weights_is_that_of_a_coin() -> None:
    X, soft = synthetic_layer(40, 3)
    assert objective(X, soft, 1.0, np.zeros(3), 0.0) == pytest.approx(np.log(2))
    assert objective(X, soft, 2.0, np.ones(3) * 1e-9, 0.0) == pytest.approx(np.log(2))
