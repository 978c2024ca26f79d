import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2sprobe.errors import InputError
from w2sprobe.metrics import capa

laws = settings(deadline=None, max_examples=60, derandomize=True)
nan = math.nan


@st.composite
def predictions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth and two models, in multiples of 1/16 so that 1 - p is exact."""
    n = draw(st.integers(1, 30))
    sixteenths = st.lists(st.integers(0, 16), min_size=n, max_size=n)
    p, q = (np.array(draw(sixteenths)) / 16 for _ in range(2))
    return np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n))), p, q


@pytest.mark.parametrize(
    ("truth", "p", "q", "expected"),
    [
        # accuracies 3/4 and 1/2, agree on 3 of 4: expected 3/8 + 1/8 = 1/2
        ([1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], (3 / 4 - 1 / 2) / (1 / 2)),
        # equal hard predictions, whatever the accuracy
        ([1, 1, 0, 0], [1, 0, 0, 1], [1, 0, 0, 1], 1),
        ([1, 1, 0, 0], [1, 1, 0, 1], [1, 1, 0, 1], 1),
        # opposite predictions at accuracy 1/2: never agree
        ([1, 1, 0, 0], [1, 0, 0, 1], [0, 1, 1, 0], -1),
        # accuracies 1/2, right on independent halves of the rows
        ([1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 1, 0], 0),
        # both 3/4, one wrong on a row where the other is right: agree on 1/2, expected 5/8
        ([1, 1, 1, 1], [0, 1, 1, 1], [1, 0, 1, 1], (1 / 2 - 5 / 8) / (3 / 8)),
        # a model that is right for sure agrees with any other as often as chance
        ([1, 0, 1, 0], [1, 0, 1, 0], [1, 0, 0, 1], 0),
        # soft: agree with .8 * .6 + .2 * .4 = .56 on both rows, as expected
        ([1, 0], [0.8, 0.2], [0.6, 0.4], 0),
        # soft: P(true label) is .9, .5 and .7, .3; observed .66 and .5, expected .7 * .5 + .3 * .5
        ([1, 0], [0.9, 0.5], [0.7, 0.7], (0.58 - 0.5) / 0.5),
        # both certain and right everywhere, or wrong everywhere: no room to differ
        ([1, 0], [1, 0], [1, 0], nan),
        ([1, 0], [0, 1], [0, 1], nan),
    ],
)
def test_capa_by_hand(truth: list[int], p: list[float], q: list[float], expected: float) -> None:
    assert capa(truth, p, q) == pytest.approx(expected, nan_ok=True)


def test_an_unsure_model_is_not_one_with_itself() -> None:
    assert capa([1, 0, 1], [0.9, 0.3, 0.2], [0.9, 0.3, 0.2]) < 0.5
    assert capa([1, 0, 1], [1, 0, 0], [1, 0, 0]) == 1


@pytest.mark.parametrize("hard", [False, True])
def test_independent_errors_give_0_and_shared_ones_more(hard: bool) -> None:
    generator = np.random.default_rng(0)
    n = 40_000
    truth = generator.integers(0, 2, n)
    easy = generator.uniform(size=n)  # rows that both models find easy, where errors are shared

    def predict(share: float) -> np.ndarray:
        right = share * easy + (1 - share) * generator.uniform(size=n)
        p = np.where(truth == 1, right, 1 - right)
        return (p > 0.5).astype(float) if hard else p

    # standard error of the mean agreement is at most .5 / sqrt(n) = .0025, twice that of kappa
    assert capa(truth, predict(0), predict(0)) == pytest.approx(0, abs=4 * 0.005)
    assert capa(truth, predict(0.7), predict(0.7)) > 0.05


@laws
@given(predictions())
def test_laws(rows: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    truth, p, q = rows
    value = capa(truth, p, q)
    for same in (
        capa(truth, q, p),
        capa(~truth, 1 - p, 1 - q),
        capa(truth[::-1], p[::-1], q[::-1]),
    ):
        assert same == pytest.approx(value, nan_ok=True)
    a, b = (np.where(truth, of_model, 1 - of_model) for of_model in (p, q))
    expected = a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean())
    if expected == 1:
        assert math.isnan(value)
        return
    assert -1 - 1e-9 <= value <= 1 + 1e-9
    # with two options the numerator is twice the covariance of the chances to be right
    assert value == pytest.approx(2 * np.cov(a, b, bias=True)[0, 1] / (1 - expected), abs=1e-9)


def test_which_rows_are_wrong_matters_and_not_only_how_many() -> None:
    truth = np.ones(8)
    p = np.array([0, 0, 1, 1, 1, 1, 1, 1])
    assert capa(truth, p, p) == 1
    assert capa(truth, p, p[::-1]) < 0


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (([], [], []), ["truth has shape (0,)"]),
        (([0, 2], [0, 1], [0, 1]), ["truth is 2, row 1", "0 or 1"]),
        (([0, 1], [0, 1.5], [0, 1]), ["p is 1.5, row 1", "0 to 1"]),
        (([0, 1], [0, 1], [0, nan]), ["q is nan, row 1"]),
        (([0, 1], [0, 1], [0, 1, 1]), ["q has shape (3,)", "(2,)"]),
    ],
)
def test_refused(arguments: tuple[list[float], ...], parts: list[str]) -> None:
    with pytest.raises(InputError) as error:
        capa(*arguments)
    for part in parts:
        assert part in str(error.value)
