import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.metrics.cases import laws, models
from w2sprobe.errors import InputError
from w2sprobe.metrics import (
    Estimate,
    bootstrap_pgr,
    expected_gap_se,
    gap_objection,
    roc_auc,
    rows_for_gap,
    rows_to_resolve,
)

gaps = st.floats(0.001, 0.5)
errors = st.floats(0, 0.3)
row_counts = st.integers(1, 10_000)


def known(gap, gap_se):
    return Estimate(gap, ((gap_se**2, math.inf),))


@pytest.mark.parametrize(
    ("gap", "gap_se", "thresholds", "objection"),
    [
        (0.05, 0.01, {}, ""),
        (0.03, 0.0075, {}, ""),
        (0.57 - 0.54, 0.001, {}, ""),  # 0.03, but for the last bits
        (0.029, 0.001, {}, "gap 0.029 < 0.03"),
        (0.05, 0.02, {}, "gap/SE 2.5 < 4"),
        (0.05, 0.02, {"min_gap_se": 2}, ""),
        (0.05, 0.001, {"min_gap": 0.1}, "gap 0.050 < 0.1"),
        (0.05, math.nan, {}, ""),
        (-0.2, 0.001, {}, "gap -0.200 < 0.03"),
        (0.0, 0.0, {"min_gap": 0, "min_gap_se": 0}, "no gap"),
        (math.nan, math.nan, {}, ""),
    ],
)
def test_objections_to_a_gap(gap, gap_se, thresholds, objection):
    parts = () if math.isnan(gap_se) else ((gap_se**2, math.inf),)
    assert gap_objection(Estimate(gap, parts), **thresholds) == objection


def test_two_seeds_that_agree_by_luck_resolve_nothing():
    of_rows_and_seeds = Estimate(0.1, ((0.001**2, math.inf), (0.01**2, 1.0)))
    assert of_rows_and_seeds.value / of_rows_and_seeds.se > 9
    assert gap_objection(of_rows_and_seeds) == "gap/SE 10.0 < 12.6"
    assert not gap_objection(Estimate(0.2, of_rows_and_seeds.parts))


# --- rows for a measured gap


def test_rows_to_resolve_by_hand():
    assert rows_to_resolve(0.1, 0.05, 500) == 2000  # 2 standard errors: 4 times the rows
    assert rows_to_resolve(0.1, 0.025, 500) == 500
    assert rows_to_resolve(0.1, 0.0125, 500) == 125  # resolved: fewer would have done
    assert rows_to_resolve(0.1, 0.05, 500, min_gap_se=2) == 500
    assert rows_to_resolve(0.07, 0.02, 100) == 131  # 130.6
    assert rows_to_resolve(0.1, 0.0, 500) == 2


@pytest.mark.parametrize("gap", [0.029, 0.0, -0.1])
def test_no_number_of_rows_makes_a_gap_larger(gap):
    assert rows_to_resolve(gap, 0.01, 500) is None


def test_rows_to_resolve_follows_the_thresholds():
    assert rows_to_resolve(0.02, 0.005, 500, min_gap=0.02) == 500
    assert rows_to_resolve(0.57 - 0.54, 0.0075, 500) == 500  # 0.03, but for the last bits
    assert rows_to_resolve(0.0, 0.0, 500, min_gap=0) is None


@laws
@given(gaps, errors, row_counts)
def test_rows_to_resolve_is_the_smallest_number_without_objection(gap, gap_se, n_rows):
    rows = rows_to_resolve(gap, gap_se, n_rows, min_gap=0)
    enough = gap_se * math.sqrt(n_rows / rows)
    assert not gap_objection(known(gap, enough * (1 - 1e-6)), min_gap=0)
    if rows > 2:
        fewer = gap_se * math.sqrt(n_rows / (rows - 1))
        assert gap_objection(known(gap, fewer * (1 + 1e-6)), min_gap=0)


def test_the_error_of_a_gap_falls_as_the_root_of_rows():
    small, large = (bootstrap_pgr(*models(n)) for n in (500, 4500))
    # each error is that of one sample within a sixth
    assert small.gap_se / large.gap_se == pytest.approx(3, rel=0.17)


@pytest.mark.parametrize(
    "arguments", [(math.nan, 0.1, 9), (0.1, math.nan, 9), (0.1, -1, 9), (0.1, 0.1, 0)]
)
def test_rows_to_resolve_refuses(arguments):
    with pytest.raises(InputError):
        rows_to_resolve(*arguments)


# --- rows before anything is measured


def test_expected_gap_se_by_hand():
    # A = .75: Q1 = .6, Q2 = .642857; 10 rows a class: (.1875 + 9 (.04 + .08035714 ...)) / 100
    one = (0.1875 + 9 * (0.6 - 0.5625 + 9 / 14 - 0.5625)) / 100
    assert expected_gap_se(0.75, 0.75, 20, 0) == pytest.approx(math.sqrt(2 * one))
    assert expected_gap_se(0.75, 0.75, 20, 0.5) == pytest.approx(math.sqrt(one))
    assert expected_gap_se(0.75, 0.75, 20, 1) == pytest.approx(0, abs=1e-9)
    assert expected_gap_se(0.75, 1.0, 20, 0.7) == pytest.approx(math.sqrt(one))  # no error at 1


@pytest.mark.parametrize(
    ("weak", "ceiling", "n_rows", "ratio"),
    # gap / SE of tasks of the source experiments, unpaired, as computed by others
    [
        (0.974, 0.985, 856, 1.6),
        (0.536, 0.560, 5000, 2.1),
        (0.717, 0.801, 638, 3.1),
        (0.989, 0.995, 5000, 3.3),
        (0.993, 0.999, 2980, 3.7),
    ],
)
def test_expected_gap_se_of_published_aucs(weak, ceiling, n_rows, ratio):
    found = (ceiling - weak) / expected_gap_se(weak, ceiling, n_rows, 0)
    assert found == pytest.approx(ratio, abs=0.05)


@pytest.mark.parametrize("auc", [0.6, 0.8, 0.95])
def test_expected_variance_is_that_of_simulated_aucs(auc):
    generator = np.random.default_rng(0)
    n, n_samples = 60, 1000
    truth = np.repeat([0, 1], n // 2)
    # class 1 exceeds class 0 with chance auc where scores are exponential
    scale = np.where(truth, auc / (1 - auc), 1.0)
    found = np.std([roc_auc(truth, generator.exponential(scale)) for _ in range(n_samples)], ddof=1)
    # one of two equal, independent models; SD of an SD from n samples: 1 / root 2n, skewed: twice
    expected = expected_gap_se(auc, auc, n, 0) / math.sqrt(2)
    assert abs(found / expected - 1) < 4 * 2 / math.sqrt(2 * n_samples)


def test_the_correlated_difference_is_that_of_simulated_models():
    generator = np.random.default_rng(1)
    truth = np.repeat([0, 1], 100)
    aucs = []
    for _ in range(800):
        shared = generator.normal(size=200)
        both = [truth + shared + generator.normal(size=200) * noise for noise in (0.9, 0.5)]
        aucs.append([roc_auc(truth, scores) for scores in both])
    weak, ceiling = np.array(aucs).T
    expected = expected_gap_se(weak.mean(), ceiling.mean(), 200, np.corrcoef(weak, ceiling)[0, 1])
    assert np.std(ceiling - weak, ddof=1) == pytest.approx(expected, rel=4 / math.sqrt(2 * 800))


@laws
@given(gaps, st.floats(0.5, 0.99), st.floats(-1, 0.95), st.floats(0, 8))
def test_rows_for_gap_are_just_enough(gap, auc, correlation, min_gap_se):
    auc = min(auc, 1 - gap)
    rows = rows_for_gap(gap, auc, correlation, min_gap_se=min_gap_se)
    assert gap >= min_gap_se * expected_gap_se(auc, auc + gap, rows, correlation)
    if rows > 2:
        assert gap < min_gap_se * expected_gap_se(auc, auc + gap, rows - 1, correlation)


def test_rows_before_and_after_agree():
    rows = rows_for_gap(0.05, 0.7, 0.6)
    gap_se = expected_gap_se(0.7, 0.75, 500, 0.6)
    assert rows_to_resolve(0.05, gap_se, 500) == pytest.approx(rows, rel=0.01)


@pytest.mark.parametrize("arguments", [(0.0,), (-0.1,), (0.3, 0.8), (0.1, 0.8, 1.1), (math.nan,)])
def test_rows_for_gap_refuses(arguments):
    with pytest.raises(InputError):
        rows_for_gap(*arguments)
    with pytest.raises(InputError, match="min_gap_se"):
        rows_for_gap(min_gap_se=math.inf)
    with pytest.raises(InputError, match="n_rows"):
        expected_gap_se(0.7, 0.8, 1, 0)
