"""Weights of layers in a stack."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from w2sprobe.votes.stacking import stack_weights


def loss(w: np.ndarray, P: np.ndarray, labels: np.ndarray, ridge: float) -> float:
    return float(((labels - w @ P) ** 2).mean() + ridge * ((w - 1 / len(P)) ** 2).sum())


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(1, 31), st.integers(2, 60), st.floats(0, 1), st.integers(0, 10_000))
def test_no_other_weights_are_better(n_layers, n, ridge, seed) -> None:
    random = np.random.default_rng(seed)
    P, labels = random.random((n_layers, n)), random.random(n)
    weights = stack_weights(P, labels, ridge)
    assert weights.min() >= 0
    assert_allclose(weights.sum(), 1)
    best = loss(weights, P, labels, ridge)
    others = [*random.dirichlet(np.full(n_layers, 0.3), 50), *np.eye(n_layers)]
    steps = [weights + (other - weights) * 1e-3 for other in others]  # the loss is convex
    assert all(loss(other, P, labels, ridge) >= best - 1e-9 for other in [*others, *steps])


def test_a_layer_that_knows_the_labels_has_all_the_weight_and_a_ridge_shares_it() -> None:
    labels = np.array([0.0, 1.0, 0.0, 1.0, 1.0, 0.0])
    P = np.array([np.abs(labels - 0.05), np.full(6, 0.5), 1 - labels])
    assert_allclose(stack_weights(P, labels, ridge=0), [1, 0, 0], atol=1e-6)
    assert_allclose(stack_weights(P, labels, ridge=1e4), np.full(3, 1 / 3), atol=1e-3)


def test_two_equal_layers_share_their_weight() -> None:
    random = np.random.default_rng(0)
    one, other = random.random((2, 40))
    weights = stack_weights(np.array([one, one, other]), one)
    assert_allclose(weights[0], weights[1], atol=1e-6)
    assert weights[2] < 0.1
