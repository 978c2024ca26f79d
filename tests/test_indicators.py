import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from w2sprobe import indicators as module
from w2sprobe.errors import InputError
from w2sprobe.indicators import (
    calibration_error,
    cka,
    confidence_share,
    effective_rank,
    indicators,
    label_entropy,
    misfit_kl,
    misfit_squared,
    overlap_density,
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


def test_kl_is_clipped_only_when_asked_and_then_on_both_sides():
    assert misfit_kl([0.5], [0.0], clip=0.25) == pytest.approx(misfit_kl([0.5], [0.25]))
    assert misfit_kl([1.0], [0.0], clip=0.25) == pytest.approx(misfit_kl([0.75], [0.25]))
    assert misfit_kl([0.0], [0.1], clip=0.25) == 0
    assert misfit_kl([0.0], [0.1]) > 0


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


# --- labels


@pytest.mark.parametrize(
    ("q", "entropy", "share"),
    [
        ([0, 1, 1], 0, 1),
        ([0.5, 0.5], 1, 0),
        ([0.5, 0.0], 0.5, 0.5),
        ([1 / 4], 2 - 0.75 * math.log2(3), 0),
        ([0.9], 0.9 * math.log2(10 / 9) + 0.1 * math.log2(10), 0),  # not above 0.9
    ],
)
def test_labels_by_hand(q, entropy, share):
    assert label_entropy(q) == pytest.approx(entropy)
    assert confidence_share(q) == share


@laws
@given(soft_labels())
def test_label_laws(rows):
    q, _ = rows
    assert 0 <= label_entropy(q) <= 1 + 1e-12
    assert label_entropy(q) == pytest.approx(
        np.mean([stats.entropy([a, 1 - a], base=2) for a in q])
    )
    assert label_entropy(1 - q) == pytest.approx(label_entropy(q))
    assert confidence_share(1 - q) == confidence_share(q)
    assert confidence_share(q, above=0.5) == np.mean(q != 0.5)
    assert confidence_share(q, above=0.8) >= confidence_share(q, above=0.9)


# --- calibration


@pytest.mark.parametrize(
    ("q", "reference", "n_bins", "expected"),
    [
        ([0, 1], [0, 1], 10, 0),
        ([0, 1], [1, 0], 10, 1),
        ([0.5, 0.5], [0, 1], 10, 0),
        ([0.2, 0.2, 0.2, 0.2, 0.2], [1, 0, 0, 0, 0], 10, 0),
        ([0.2, 0.2, 0.8, 0.8], [0, 1, 1, 1], 10, 0.25),
        ([0.2, 0.2, 0.8, 0.8], [0, 1, 1, 1], 1, 0.25),
        ([0.1, 0.9], [1, 0], 1, 0),  # one bin sees only the means
        ([0.1, 0.9], [1, 0], 2, 0.9),
        ([0.4, 0.5], [1, 0], 2, 0.55),  # an edge belongs to the bin above
        ([0.75, 1.0], [1, 1], 4, 0.125),  # 1 belongs to the last bin
    ],
)
def test_calibration_by_hand(q, reference, n_bins, expected):
    assert calibration_error(q, reference, n_bins=n_bins) == pytest.approx(expected)


@laws
@given(soft_labels(), st.integers(1, 20))
def test_calibration_is_the_plain_sum_over_bins(rows, n_bins):
    q, p = rows
    reference = p > 0.5
    expected = 0.0
    for i in range(n_bins):
        inside = (i / n_bins <= q) & ((q < (i + 1) / n_bins) | (i == n_bins - 1))
        if inside.any():
            expected += inside.mean() * abs(reference[inside].mean() - q[inside].mean())
    error = calibration_error(q, reference, n_bins=n_bins)
    assert error == pytest.approx(expected)
    assert 0 <= error <= 1
    assert calibration_error(reference, reference, n_bins=n_bins) == 0


# --- overlap density

# angles in degrees: three hard rows, and easy rows near to and far from them
HARD, NEAR, FAR = (0, 2, 4), (6, 8), (80, 85, 90)


def directions(*degrees):
    return columns(np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees)))


def naive_change_point(values):
    """Largest value of the lower part, by trying every split."""
    ordered = np.sort(values)
    errors = [
        sum(len(part) * np.var(part) for part in (ordered[:i], ordered[i:]))
        for i in range(1, len(ordered))
    ]
    return ordered[int(np.argmin(errors))]


def naive_overlap_density(X, q):
    confidence = 2 * abs(q - 0.5)
    confident = confidence > naive_change_point(confidence)
    alignment = [
        max(abs(x @ y) / np.linalg.norm(x) / np.linalg.norm(y) for y in X[~confident])
        for x in X[confident]
    ]
    return np.mean(np.array(alignment) > naive_change_point(alignment))


def test_overlap_density_by_hand():
    X = directions(*HARD, *NEAR, *FAR)
    q = np.array([0.5, 0.55, 0.45, 0.9, 0.1, 0.95, 0.05, 0.9])
    assert overlap_density(X, q) == 2 / 5
    # opposite directions are as near; lengths have no say
    assert overlap_density(X * [[1], [1], [1], [-3], [2], [1], [1], [9]], q) == 2 / 5
    # the same rows, with the hard ones among the far
    assert overlap_density(directions(88, 86, 84, *NEAR, *FAR), q) == 3 / 5


def test_overlap_density_reads_the_right_part_of_ties():
    X = directions(*HARD, *NEAR, *FAR)
    assert overlap_density(X, [0.5] * 3 + [0, 1, 0, 1, 1]) == 2 / 5
    assert overlap_density(X, [0.5] * 3 + [0.9, 0.1, 0.9, 0.1, 0.1]) == 2 / 5  # 0.8, but for bits


@laws
@given(st.integers(0, 10**6), st.integers(5, 40), st.integers(2, 6))
def test_overlap_density_is_the_naive_one(seed, n, d):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n, d)).astype(np.float32).astype(np.float64)
    q = generator.beta(0.4, 0.4, size=n)
    found = overlap_density(X, q)
    confidence = 2 * abs(q - 0.5)
    if np.sum(confidence > naive_change_point(confidence)) == 1:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(naive_overlap_density(X, q))
        assert 0 < found < 1
    order = generator.permutation(n)
    again = [
        overlap_density(X[order], q[order]),
        overlap_density(X, 1 - q),
        overlap_density(4 * X, q),
        overlap_density(X @ np.diag(generator.choice([-1.0, 1.0], d)), q),
    ]
    assert again == pytest.approx([found] * 4, nan_ok=True)


def test_overlap_density_does_not_depend_on_the_block(monkeypatch):
    generator = np.random.default_rng(0)
    X, q = generator.normal(size=(60, 5)), generator.uniform(size=60)
    whole = overlap_density(X, q)
    monkeypatch.setattr(module, "BLOCK_ROWS", 7)
    assert overlap_density(X, q) == whole
    assert overlap_density(X[::-1], q) != whole  # labels of other rows do change it


def test_zero_rows_resemble_nothing():
    X = directions(0, 0, 3, 4, 0) * [[1], [0], [1], [1], [0]]
    assert overlap_density(X, [0.5, 0.5, 1, 1, 1]) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("X", "q"),
    [
        (directions(0, 10, 20), [0.7, 0.7, 0.7]),
        (directions(0, 10, 20), [0, 1, 1]),  # hard labels: all equally confident
        (directions(0, 10, 20), [0.7, 0.3, 0.7]),
        (directions(0, 10, 20), [0.5, 0.5, 1]),  # one confident row: nothing to split
        (directions(30, 30, 30, 30), [0.5, 0.5, 1, 1]),
        (np.zeros((4, 2)), [0.5, 0.5, 1, 1]),
    ],
)
def test_without_a_change_point_there_is_no_density(X, q):
    assert math.isnan(overlap_density(X, q))


def without_change_point(n_trials=100):
    """How often rows of two directions, hard and easy, have no density: all cosines are equal."""
    generator = np.random.default_rng(0)
    lengths = np.arange(1, 60, 2)[:, np.newaxis]
    q = np.repeat([0.5, 1.0], [10, 20])
    found = [
        overlap_density(lengths * np.repeat(generator.integers(1, 9, (2, 7)), [10, 20], axis=0), q)
        for _ in range(n_trials)
    ]
    return np.isnan(found).mean()


def test_rounding_noise_makes_no_change_point(monkeypatch):
    assert without_change_point() == 1
    monkeypatch.setattr(module, "TIE_DECIMALS", 17)
    assert without_change_point() < 1


# --- effective rank


@pytest.mark.parametrize(
    ("X", "expected"),
    [
        (columns(FIRST), 1),
        (columns(FIRST, FIRST), 1),
        (columns(FIRST, SECOND), 2),
        (columns(FIRST, SECOND, THIRD), 3),
        (columns(FIRST, SECOND, np.full(4, 7.0)), 2),  # a constant feature
        (columns(2 * FIRST, SECOND), 5 / 4 ** (4 / 5)),  # variances 4/5 and 1/5
    ],
)
def test_effective_rank_by_hand(X, expected):
    assert effective_rank(X) == pytest.approx(expected)


@laws
@given(pairs())
def test_effective_rank_laws(pair):
    X, _, generator = pair
    n, d = X.shape
    rank = effective_rank(X)
    variances = np.linalg.eigvalsh(np.atleast_2d(np.cov(X, rowvar=False)))
    assert rank == pytest.approx(np.exp(stats.entropy(np.maximum(variances, 0))), rel=1e-5)
    assert 1 - 1e-9 <= rank <= min(n - 1, d) + 1e-9
    moved = 3 * X[generator.permutation(n)] @ rotation(generator, d) + generator.normal(size=d)
    assert effective_rank(moved) == pytest.approx(rank, rel=1e-4)
    assert effective_rank(np.concatenate([X, X])) == pytest.approx(rank, rel=1e-4)


def test_scaling_one_feature_changes_the_effective_rank():
    assert effective_rank(columns(9 * FIRST, SECOND)) < 1.2


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


@pytest.mark.parametrize(
    ("X", "Z", "expected"),
    [
        (columns(FIRST), columns(FIRST), 1),
        (columns(FIRST), columns(SECOND), 0),
        (columns(FIRST), columns(FIRST, SECOND), 1 / math.sqrt(2)),
        (columns(FIRST, SECOND), columns(SECOND, THIRD), 1 / 2),
        (columns(2 * FIRST, SECOND), columns(FIRST, SECOND), 5 / math.sqrt(2 * 17)),
    ],
)
def test_cka_by_hand(X, Z, expected):
    assert cka(X, Z) == pytest.approx(expected, abs=1e-12)


@laws
@given(pairs(), st.floats(0.001, 10))
def test_two_models_agree_with_the_naive_formulas(pair, beta):
    n = len(pair[0])
    X, Z = (part - part.mean(axis=0) for part in pair[:2])
    strong, weak = X @ X.T / n, Z @ Z.T / n
    P_s, P_w = (K @ np.linalg.inv(K + beta * np.trace(K) * np.eye(n)) for K in (strong, weak))
    expected = np.linalg.norm(P_s @ (np.eye(n) - P_w), 2)
    assert representation_gap(X, Z, beta=beta) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    alignment = np.sum(strong * weak) / np.linalg.norm(strong) / np.linalg.norm(weak)
    assert cka(X, Z) == pytest.approx(alignment, rel=1e-4)
    one_s, one_w = (np.linalg.eigh(K)[1][:, -1] for K in (strong, weak))
    assert subspace_overlap(X, Z, n_components=1) == pytest.approx((one_s @ one_w) ** 2, abs=1e-3)


@pytest.mark.parametrize("between", [overlap, gap, cka])
@laws
@given(pair=pairs())
def test_two_models_laws(between, pair):
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
    assert cka(X, X) == pytest.approx(1)
    assert gap(X, X) <= 1 / 4 + 1e-9
    assert cka(X, Z) == pytest.approx(cka(Z, X))
    assert overlap(X, Z) == pytest.approx(overlap(Z, X))


def test_what_the_laws_do_not_hold_for():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(30, 4))
    Z = X + generator.normal(size=(30, 4))
    skewed = X * [1, 1, 1, 9]
    for between in (overlap, gap, cka):
        assert abs(between(X[::-1], Z) - between(X, Z)) > 0.01  # rows must correspond
        assert abs(between(skewed, Z) - between(X, Z)) > 0.01  # scaling one feature is no rotation
    assert abs(gap(X, Z[:, :1]) - gap(Z[:, :1], X)) > 0.01  # the gap is from weak to strong


@pytest.mark.parametrize("shape", [(4, 3), (4, 9), (1, 3)])
def test_equal_rows_have_no_directions(shape):
    same = np.full(shape, 0.1, dtype=np.float32)
    other = np.random.default_rng(0).normal(size=shape)
    assert math.isnan(effective_rank(same))
    for X, Z in ((same, other), (other, same), (same, same)):
        assert math.isnan(cka(X, Z))
        assert math.isnan(overlap(X, Z))
        assert math.isnan(subspace_overlap(X, Z, n_components=3))
    assert gap(same, other) == 0


def test_more_features_than_rows_form_no_more_than_n_directions():
    generator = np.random.default_rng(0)
    X, Z = generator.normal(size=(5, 50)), generator.normal(size=(5, 40))
    assert effective_rank(X) <= 4
    assert subspace_overlap(X, Z, n_components=4) == pytest.approx(1)  # all that 5 rows allow
    with pytest.raises(InputError, match="1 to 4"):
        subspace_overlap(X, Z, n_components=5)


# --- all at once

SINGLE = [
    "misfit_squared",
    "misfit_kl",
    "label_entropy",
    "confidence_share",
    "calibration_error",
    "overlap_density",
    "effective_rank",
]
PAIRED = ["subspace_overlap", "representation_gap", "cka"]


def rows(n=40):
    generator = np.random.default_rng(0)
    X, Z = generator.normal(size=(n, 6)), generator.normal(size=(n, 3))
    return X, generator.uniform(size=n), generator.uniform(size=n), Z


def test_indicators_are_what_the_functions_give():
    X, q, p, Z = rows()
    q[0] = 0.0
    found = indicators(X, q, p, Z, n_components=2, beta=0.1, clip=0.05)
    assert found == {
        "misfit_squared": misfit_squared(p, q),
        "misfit_kl": misfit_kl(p, q, clip=0.05),
        "label_entropy": label_entropy(q),
        "confidence_share": confidence_share(q),
        "calibration_error": calibration_error(q, p > 0.5),
        "overlap_density": overlap_density(X, q),
        "effective_rank": effective_rank(X),
        "subspace_overlap": subspace_overlap(X, Z, n_components=2),
        "representation_gap": representation_gap(X, Z, beta=0.1),
        "cka": cka(X, Z),
    }
    assert all(type(value) is float for value in found.values())
    assert indicators(X, q, p)["misfit_kl"] == inf


def test_indicators_without_weak_activations():
    X, q, p, Z = rows()
    assert list(indicators(X, q, p)) == SINGLE
    assert list(indicators(X, q, p, Z)) == SINGLE + PAIRED


def test_inputs_are_left_alone():
    arrays = [part.astype(np.float32) for part in rows()]
    copies = [part.copy() for part in arrays]
    indicators(*arrays, clip=0.1)
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
        (lambda: misfit_kl([0.1], [0.2], clip=0.0), ["clip is 0.0", "None"]),
        (lambda: misfit_kl([0.1], [0.2], clip=0.5), ["clip is 0.5"]),
        (lambda: label_entropy(["a"]), ["not numeric"]),
        (lambda: label_entropy([-0.1]), ["-0.1 in row 0"]),
        (lambda: confidence_share([0.1], above=1.0), ["above is 1.0"]),
        (lambda: confidence_share([0.1], above=0.4), ["above is 0.4"]),
        (lambda: calibration_error([0.1, 0.2], [0, 0.5]), ["reference is 0.5, row 1", "0 and 1"]),
        (lambda: calibration_error([0.1], [0, 1]), ["shape (2,)"]),
        (lambda: calibration_error([0.1], [0], n_bins=0), ["n_bins is 0"]),
        (lambda: calibration_error([0.1], [0], n_bins=2.0), ["n_bins is 2.0"]),
        (lambda: overlap_density(A, [0.1]), ["shape (1,)", "(4,)"]),
        (lambda: overlap_density(A * [[1], [nan], [1], [1]], [0.1] * 4), ["not finite in rows 1"]),
        (lambda: effective_rank([1.0, 2.0]), ["X of shape (2,)"]),
        (lambda: effective_rank(np.empty((0, 3))), ["X of shape (0, 3)"]),
        (lambda: effective_rank(A * inf), ["not finite"]),
        (lambda: cka(A, B[:3]), ["Z has 3 rows", "4"]),
        (lambda: cka(A, B[:, 0]), ["Z of shape (4,)"]),
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
        (lambda: indicators(A, [0.1] * 4, [0.1] * 4, beta=-1), ["beta is -1"]),
        (lambda: indicators(A, [0.1] * 4, [0.1] * 4, n_components=1.5), ["n_components is 1.5"]),
    ],
)
def test_refused(call, parts):
    with pytest.raises(InputError) as error:
        call()
    for part in parts:
        assert part in str(error.value)
