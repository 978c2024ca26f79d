import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from w2sprobe.errors import InputError
from w2sprobe.indicators import (
    indicators,
    misfit_kl,
    misfit_squared,
    representation_gap,
    subspace_overlap,
)

laws = settings(deadline=None, max_examples=40, derandomize=True)
nan, inf = math.nan, math.inf

# Unit vectors over four rows, orthogonal to each other and to the constant
FIRST, SECOND, THIRD = 0.5 * np.array([[1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]])


def columns(*vectors):
    return np.stack(vectors, axis=1)


def overlap(X, Z):
    return subspace_overlap(X, Z, n_components=0.8)


def gap(X, Z):
    return representation_gap(X, Z, beta=0.05)


@st.composite
def pairs(draw):
    """Activations of two models that share some directions; n below, at or above d."""
    n, d, e = (draw(st.integers(low, 12)) for low in (4, 1, 1))
    generator = np.random.default_rng(draw(st.integers(0, 10**6)))
    shared = generator.normal(size=(n, 3))
    X, Z = (
        (shared @ generator.normal(size=(3, width)) + generator.normal(size=(n, width)))
        for width in (d, e)
    )
    return X, Z, generator


@st.composite
def soft_labels(draw):
    """Two columns of multiples of 1/16, so that 1 - q is exact and ties are common."""
    n = draw(st.integers(1, 30))
    sixteenths = st.lists(st.integers(0, 16), min_size=n, max_size=n)
    return np.array(draw(sixteenths)) / 16, np.array(draw(sixteenths)) / 16


def rotation(generator, width):
    return stats.ortho_group.rvs(width, random_state=generator) if width > 1 else -np.eye(1)


# --- misfit


@pytest.mark.parametrize(
    ("p", "q", "squared", "kl"),
    [
        ([0.5], [0.5], 0, 0),
        ([1, 0], [0.5, 0.5], 0.25, math.log(2)),
        ([0.5], [0.25], 0.0625, 0.5 * math.log(2) + 0.5 * math.log(2 / 3)),
        ([0, 1], [0, 1], 0, 0),  # hard labels that the probe repeats exactly
        ([0.5, 0.5], [0, 0.5], 0.125, inf),
        ([0.5, 0.5], [1, 0.5], 0.125, inf),
        ([0, 1], [1, 0], 1, inf),
    ],
)
def test_misfit_by_hand(p, q, squared, kl):
    assert misfit_squared(p, q) == pytest.approx(squared)
    assert misfit_kl(p, q) == pytest.approx(kl)


def test_kl_has_a_direction():
    # KL(p || q), not KL(q || p): an undecided probe of a sure label costs more than the reverse
    assert misfit_kl([0.5], [0.01]) > 2 * misfit_kl([0.01], [0.5])


@laws
@given(soft_labels())
def test_misfit_laws(rows):
    p, q = rows
    assert 0 <= misfit_squared(p, q) <= 1
    assert misfit_squared(1 - p, 1 - q) == pytest.approx(misfit_squared(p, q))
    assert misfit_kl(1 - p, 1 - q) == pytest.approx(misfit_kl(p, q))
    assert misfit_kl(p, p) == misfit_squared(p, p) == 0
    # Pinsker's inequality
    assert misfit_kl(p, q) >= 2 * misfit_squared(p, q) - 1e-12
    inner = np.clip(q, 0.1, 0.9)
    expected = [stats.entropy([a, 1 - a], [b, 1 - b]) for a, b in zip(p, inner, strict=True)]
    assert misfit_kl(p, inner) == pytest.approx(np.mean(expected))


def test_flipping_only_one_side_changes_the_misfit():
    assert misfit_squared([0.1], [0.2]) != pytest.approx(misfit_squared([0.9], [0.2]))


# --- two models


@pytest.mark.parametrize(
    ("X", "Z", "n_components", "expected"),
    [
        (columns(FIRST), columns(FIRST), 1, 1),
        (columns(FIRST), columns(SECOND), 1, 0),
        (columns(FIRST), columns(FIRST + SECOND), 1, 1 / 2),
        (columns(2 * FIRST, SECOND), columns(2 * SECOND, FIRST), 1, 0),
        (columns(2 * FIRST, SECOND), columns(2 * SECOND, FIRST), 2, 1),
        (columns(2 * FIRST, SECOND), columns(2 * THIRD, FIRST), 2, 1 / 2),
        (columns(2 * FIRST, SECOND), columns(2 * SECOND, FIRST), 0.79, 0),  # 4/5 in the first
        (columns(2 * FIRST, SECOND), columns(2 * SECOND, FIRST), 0.81, 1),
        (columns(2 * FIRST, SECOND), columns(SECOND, FIRST), 0.79, 1),  # one direction in two
    ],
)
def test_subspace_overlap_by_hand(X, Z, n_components, expected):
    found = subspace_overlap(X, Z, n_components=n_components)
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("X", "Z", "beta", "expected"),
    [
        (columns(FIRST), columns(SECOND), 1, 1 / 2),  # half learned, none of it by the weak model
        (columns(FIRST), columns(FIRST), 1, 1 / 4),
        (columns(FIRST), columns(FIRST), 1 / 3, 3 / 16),
        (columns(FIRST), np.ones((4, 2)), 1 / 3, 3 / 4),  # the weak model knows nothing
        (np.ones((4, 2)), columns(FIRST), 1 / 3, 0),  # neither does the strong one
        # shares of variance 4/5 and 1/5, learned to 4/5 and 1/2; the weak model has the first
        (columns(2 * FIRST, SECOND), columns(FIRST), 1 / 5, 1 / 2),
        (columns(2 * FIRST, SECOND), columns(SECOND), 1 / 5, 4 / 5),
    ],
)
def test_representation_gap_by_hand(X, Z, beta, expected):
    assert representation_gap(X, Z, beta=beta) == pytest.approx(expected, abs=1e-12)


@laws
@given(pairs(), st.floats(0.001, 10))
def test_two_models_agree_with_the_naive_formulas(pair, beta):
    n = len(pair[0])
    X, Z = (part - part.mean(axis=0) for part in pair[:2])
    strong, weak = X @ X.T / n, Z @ Z.T / n
    P_s, P_w = (K @ np.linalg.inv(K + beta * np.trace(K) * np.eye(n)) for K in (strong, weak))
    expected = np.linalg.norm(P_s @ (np.eye(n) - P_w), 2)
    assert representation_gap(X, Z, beta=beta) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    one_s, one_w = (np.linalg.eigh(K)[1][:, -1] for K in (strong, weak))
    assert subspace_overlap(X, Z, n_components=1) == pytest.approx((one_s @ one_w) ** 2, abs=1e-3)


@pytest.mark.parametrize("between", [overlap, gap])
@laws
@given(pair=pairs())
def test_laws_of_two_models(between, pair):
    X, Z, generator = pair
    found = between(X, Z)
    assert 0 <= found <= 1
    order = generator.permutation(len(X))
    assert between(X[order], Z[order]) == pytest.approx(found, abs=1e-4)
    moved = 0.5 * X @ rotation(generator, X.shape[1]) + generator.normal(size=X.shape[1])
    turned = 3 * Z @ rotation(generator, Z.shape[1]) + generator.normal(size=Z.shape[1])
    assert between(moved, turned) == pytest.approx(found, abs=1e-4)


@laws
@given(pairs())
def test_a_model_and_itself(pair):
    X, Z, _ = pair
    assert overlap(X, X) == pytest.approx(1)
    assert gap(X, X) <= 1 / 4 + 1e-9
    assert overlap(X, Z) == pytest.approx(overlap(Z, X))


def test_counterexamples_to_the_laws():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(30, 4))
    Z = X + generator.normal(size=(30, 4))
    skewed = X * [1, 1, 1, 9]
    for between in (overlap, gap):
        assert abs(between(X[::-1], Z) - between(X, Z)) > 0.01  # rows must correspond
        assert abs(between(skewed, Z) - between(X, Z)) > 0.01  # scaling one feature is no rotation
    assert abs(gap(X, Z[:, :1]) - gap(Z[:, :1], X)) > 0.01  # the gap is from weak to strong


@pytest.mark.parametrize("shape", [(4, 3), (4, 9), (1, 3)])
def test_equal_rows_have_no_directions(shape):
    same = np.full(shape, 0.1, dtype=np.float32)
    other = np.random.default_rng(0).normal(size=shape)
    for X, Z in ((same, other), (other, same), (same, same)):
        assert math.isnan(overlap(X, Z))
        assert math.isnan(subspace_overlap(X, Z, n_components=3))
    assert gap(same, other) == 0


def test_more_features_than_rows_form_no_more_than_n_directions():
    generator = np.random.default_rng(0)
    X, Z = generator.normal(size=(5, 50)), generator.normal(size=(5, 40))
    assert subspace_overlap(X, Z, n_components=4) == pytest.approx(1)  # all that 5 rows allow
    with pytest.raises(InputError, match="1 to 4"):
        subspace_overlap(X, Z, n_components=5)


# --- all at once


def rows(n=40):
    generator = np.random.default_rng(0)
    X, Z = generator.normal(size=(n, 6)), generator.normal(size=(n, 3))
    return X, generator.uniform(size=n), generator.uniform(size=n), Z


def test_indicators_are_what_the_functions_give():
    X, q, p, Z = rows()
    q[0] = 0.0
    found = indicators(X, q, p, Z)
    assert found == {
        "misfit_squared": misfit_squared(p, q),
        "misfit_kl": inf,
        "subspace_overlap": subspace_overlap(X, Z),
        "representation_gap": representation_gap(X, Z),
    }
    assert all(type(value) is float for value in found.values())


def test_indicators_without_weak_activations():
    X, q, p, _ = rows()
    assert indicators(X, q, p) == {
        "misfit_squared": misfit_squared(p, q),
        "misfit_kl": misfit_kl(p, q),
    }


def test_inputs_are_left_alone():
    arrays = [part.astype(np.float32) for part in rows()]
    copies = [part.copy() for part in arrays]
    indicators(*arrays)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


# --- what is refused

A, B = columns(FIRST, SECOND), columns(SECOND, THIRD)


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (lambda: misfit_squared([0.1], [0.1, 0.2]), ["shape (1,)", "(2,)"]),
        (lambda: misfit_squared([], []), ["no labels", "one row"]),
        (lambda: misfit_squared([0.1, 1.5], [0.1, 0.2]), ["1.5 in row 1", "0 to 1"]),
        (lambda: misfit_squared([0.1], [nan]), ["nan in row 0"]),
        (lambda: misfit_squared(0.1, 0.2), ["shape ()"]),
        (lambda: misfit_kl([[0.1]], [[0.2]]), ["shape (1, 1)"]),
        (lambda: indicators([1.0, 2.0], [0.1], [0.1]), ["X of shape (2,)"]),
        (lambda: overlap(np.empty((0, 3)), B), ["X of shape (0, 3)"]),
        (lambda: gap(A * inf, B), ["not finite"]),
        (lambda: gap(A, B[:, 0]), ["Z of shape (4,)"]),
        (lambda: overlap(A, B[:3]), ["Z has 3 rows"]),
        (lambda: gap(A, B[:3]), ["Z has 3 rows"]),
        (lambda: subspace_overlap(A, B, n_components=3), ["n_components is 3", "1 to 2"]),
        (lambda: subspace_overlap(A, B, n_components=0), ["n_components is 0", "(0, 1)"]),
        (lambda: subspace_overlap(A, B, n_components=1.0), ["n_components is 1.0"]),
        (lambda: subspace_overlap(A, B, n_components=True), ["n_components is True"]),
        (lambda: subspace_overlap(A, B, n_components=nan), ["n_components is nan"]),
        (lambda: representation_gap(A, B, beta=0), ["beta is 0", "above 0"]),
        (lambda: representation_gap(A, B, beta=inf), ["beta is inf"]),
        (lambda: indicators(A, [0.1] * 3, [0.1] * 3), ["shape (3,)", "(4,)"]),
        (lambda: indicators(A, [0.1] * 4, [0.1] * 4, B[:3]), ["Z has 3 rows"]),
    ],
)
def test_refused(call, parts):
    with pytest.raises(InputError) as error:
        call()
    for part in parts:
        assert part in str(error.value)
