import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.probes.cases import gradient_norm, objective, problem
from w2sprobe.devices import resolve_device
from w2sprobe.errors import InputError
from w2sprobe.probes import _newton
from w2sprobe.probes._newton import TOLERANCE, Minima, _Columns, _Problem, minimise


def solve(X: np.ndarray, soft: np.ndarray, l2s: list[float]) -> Minima:
    weight = np.full((1, len(X)), 1 / len(X))
    return minimise(X, soft, weight, np.array(l2s), device="cpu")


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.integers(1, 12), st.integers(1, 4), st.integers(0, 10**6))
def test_columns_are_solved_independently(n: int, d: int, seed: int) -> None:
    # on small integers, conjugate gradients end at a residual of exactly 0, at different steps
    random = np.random.default_rng(seed)
    X = random.integers(-2, 3, size=(n, d)).astype(np.float32)
    soft = random.choice([0.0, 0.25, 0.5, 1.0], size=(6, n))
    soft[:, 0] = 0.5  # of both classes
    l2s = [1e-3, 1e-3, 0.1, 0.1, 1.0, 1.0]
    together = solve(X, soft, l2s)
    assert np.isfinite(together.coef).all()
    assert np.isfinite(together.intercept).all()
    assert (together.gradient_norm <= TOLERANCE).all()
    for column, l2 in enumerate(l2s):
        w, b = together.coef[column], float(together.intercept[column])
        assert gradient_norm(X, soft[column], l2, w, b) <= 2e-6
        alone = solve(X, soft[column : column + 1], [l2])
        np.testing.assert_allclose(alone.coef[0], w, atol=1e-3)


def test_a_column_that_is_solved_exactly_waits_for_the_others() -> None:
    # the smallest case: 0 / 0 in the second column while the first still goes on
    X = np.array([[-1.0], [2.0]], dtype=np.float32)
    found = solve(X, np.array([[0.5, 1.0], [1.0, 0.0]]), [1.0, 1.0])
    alone = solve(X, np.array([[1.0, 0.0]]), [1.0])
    np.testing.assert_allclose(found.coef[1], alone.coef[0], atol=1e-5)
    assert (found.gradient_norm <= TOLERANCE).all()


@pytest.mark.parametrize(("n", "d"), [(40, 6), (12, 30)])
def test_rows_without_weight_do_not_count(n: int, d: int) -> None:
    X, y = problem(n, d, 0)
    inside = np.arange(n) % 4 > 0
    weight = (inside / inside.sum())[None]
    masked = minimise(X, y[None], weight, np.array([0.01]), device="cpu")
    alone = solve(X[inside], y[inside][None], [0.01])
    np.testing.assert_allclose(masked.coef, alone.coef, atol=1e-4)
    np.testing.assert_allclose(masked.intercept, alone.intercept, atol=1e-3)
    turned = np.where(inside, y, 1 - y)
    again = minimise(X, turned[None], weight, np.array([0.01]), device="cpu")
    np.testing.assert_array_equal(again.coef, masked.coef)
    assert np.abs(solve(X, y[None], [0.01]).coef - masked.coef).max() > 1e-3


def test_weights_are_repeats_of_rows() -> None:
    X, y = problem(30, 4, 1)
    times = np.random.default_rng(0).integers(1, 4, 30)
    weighted = minimise(X, y[None], (times / times.sum())[None], np.array([0.1]), device="cpu")
    repeated = solve(np.repeat(X, times, axis=0), np.repeat(y, times)[None], [0.1])
    np.testing.assert_allclose(weighted.coef, repeated.coef, atol=1e-5)


def test_gradient_and_curvature_are_those_of_the_objective(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_newton, "BLOCK_ROWS", 7)
    X, y = problem(20, 3, 0)
    rows, soft = torch.from_numpy(X), torch.from_numpy(y)[None]
    centre, l2s = rows.mean(dim=0, dtype=torch.float64), torch.tensor([0.1], dtype=torch.float64)
    weight = torch.full((1, 20), 1 / 20, dtype=torch.float64)
    part = _Problem(rows, centre)

    def value_at(point: torch.Tensor) -> torch.Tensor:
        margin = (rows.double() - centre) @ point[:-1] + point[-1]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(margin, soft[0])
        return loss + 0.1 * point[:-1].square().sum()

    point = torch.tensor([0.3, -0.2, 0.5, 0.1], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(value_at(point), point)
    hessian = torch.autograd.functional.hessian(value_at, point)
    value, gradient, curvature = part.evaluate(
        point.detach()[None], _Columns(soft, weight, l2s, torch.arange(1))
    )
    assert float(value[0]) == pytest.approx(float(value_at(point).detach()))
    torch.testing.assert_close(gradient[0], slope)
    step = torch.tensor([[1.0, 2.0, -1.0, 0.5]])
    image = part.hvp(step, curvature, l2s.float())
    torch.testing.assert_close(image[0].double(), hessian @ step[0].double(), rtol=1e-4, atol=1e-4)


def test_stopping_early_is_reported_in_the_gradient_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = problem(60, 5, 0)
    hard = (y > 0.5).astype(np.float64)
    done = solve(X, hard[None], [1e-5])
    assert done.n_iter[0] > 1
    monkeypatch.setattr(_newton, "MAX_NEWTON_STEPS", 1)
    short = solve(X, hard[None], [1e-5])
    assert short.n_iter[0] == 1
    assert short.gradient_norm[0] > TOLERANCE
    w, b = short.coef[0], float(short.intercept[0])
    assert gradient_norm(X, hard, 1e-5, w, b) <= short.gradient_norm[0] * (1 + 1e-6)
    best = objective(X, hard, 1e-5, done.coef[0], float(done.intercept[0]))
    assert objective(X, hard, 1e-5, w, b) > best


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(InputError, match="no device 'tpu'"):
        resolve_device("tpu")
