import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW, ttost_paired

from tests.metrics.cases import laws
from w2sprobe import metrics
from w2sprobe.errors import InputError, UnknownName
from w2sprobe.metrics import equivalence, holm, paired_tests, task_mean

# PGR of the published students over 21 tasks, read off the figures of EleutherAI, "Experiments in
# Weak-to-Strong Generalization" (2024), to about .003.
PUBLISHED_LOGCONF = [
    0.420, 0.839, 0.408, 0.696, 0.648, 0.228, 0.450, 0.234, 0.109, 0.444, 0.052,
    0.252, 1.061, 0.411, 0.492, 0.603, 0.810, 0.297, 0.450, 0.525, 0.678,
]  # fmt: skip
PUBLISHED_XENT = [
    0.285, 0.792, 0.378, 0.606, 0.504, 0.198, 0.408, 0.264, 0.219, 0.399, 0.186,
    0.225, 1.055, 0.393, 0.549, 0.564, 0.786, 0.007, 0.420, 0.474, 0.869,
]  # fmt: skip

# few distinct values, so that ties are common
differences = st.lists(st.integers(-4, 4).map(lambda i: i / 8), min_size=3, max_size=30)
pvalues = st.lists(st.floats(0, 1) | st.just(math.nan), max_size=12)


def test_published_students_give_the_published_tests():
    result = paired_tests(PUBLISHED_LOGCONF, PUBLISHED_XENT)
    assert (result.n, result.wins, result.losses) == (21, 16, 5)
    assert result.t_pvalue == pytest.approx(0.134, abs=5e-4)
    assert result.wilcoxon_pvalue == pytest.approx(0.072, abs=5e-4)
    assert result.sign_pvalue == pytest.approx(stats.binom.sf(15, 21, 0.5))


@pytest.mark.parametrize("alternative", metrics.ALTERNATIVES)
def test_paired_tests_agree_with_scipy(alternative):
    generator = np.random.default_rng(0)
    a, b = generator.normal(0.2, 1, 15), generator.normal(0, 1, 15)
    result = paired_tests(a, b, alternative=alternative)
    assert result.t_pvalue == pytest.approx(stats.ttest_rel(a, b, alternative=alternative).pvalue)
    assert result.wilcoxon_pvalue == pytest.approx(
        stats.wilcoxon(a, b, alternative=alternative).pvalue
    )
    assert result.sign_pvalue == pytest.approx(
        stats.binomtest(result.wins, 15, alternative=alternative).pvalue
    )


def test_swapping_the_methods_swaps_the_alternatives():
    greater = paired_tests(PUBLISHED_LOGCONF, PUBLISHED_XENT)
    less = paired_tests(PUBLISHED_XENT, PUBLISHED_LOGCONF, alternative="less")
    assert (less.wins, less.losses) == (5, 16)
    for name in ("t_pvalue", "wilcoxon_pvalue", "sign_pvalue"):
        assert getattr(less, name) == pytest.approx(getattr(greater, name))


def test_rounding_noise_decides_neither_ties_nor_ranks():
    a, b = [0.3, 0.2, 0.4, 0.1 + 0.2, 0.5], [0.2, 0.1, 0.3, 0.3, 0.7]
    assert len(set(np.subtract(a, b)[:3])) == 3  # 0.1 three times, but for the last bits
    assert a[3] != b[3]
    noisy, exact = paired_tests(a, b), paired_tests([1, 1, 1, 0, -2], [0, 0, 0, 0, 0])
    assert noisy.wins == exact.wins == 3
    assert noisy.wilcoxon_pvalue == exact.wilcoxon_pvalue
    assert noisy.sign_pvalue == exact.sign_pvalue


def test_without_differences_nothing_is_shown():
    result = paired_tests([0.1, 0.5], [0.1, 0.5])
    assert (result.n, result.wins) == (2, 0)
    assert math.isnan(result.t_pvalue)
    assert (result.wilcoxon_pvalue, result.sign_pvalue) == (1, 1)


def test_equal_differences_have_no_t_test():
    result = paired_tests([1, 2, 3], [0, 1, 2])
    assert math.isnan(result.t_pvalue)
    assert (result.wilcoxon_pvalue, result.sign_pvalue) == (1 / 8, 1 / 8)


@pytest.mark.parametrize(
    ("a", "b", "part"),
    [
        ([0.1, math.nan], [0.1, 0.2], "a is nan, row 1"),
        ([0.1, 0.2], [math.nan, 0.2], "b is nan, row 0"),
        ([0.1, 0.2], [0.1], "b has shape (1,)"),
        ([0.1], [0.1], "a has shape (1,)"),
        (0.1, 0.1, "a has shape ()"),
    ],
)
def test_paired_tests_refuse(a, b, part):
    with pytest.raises(InputError) as error:
        paired_tests(a, b)
    assert part in str(error.value)


def test_unknown_alternative():
    with pytest.raises(UnknownName, match="'greater'"):
        paired_tests([1, 2], [3, 4], alternative="greatr")


@pytest.mark.parametrize("alternative", metrics.ALTERNATIVES)
def test_with_ties_the_signed_rank_test_counts_all_signs(alternative):
    difference = np.array([0.3, 0.3, -0.3, 0.1, -0.1, 0.2, 0.5, 0.0])
    nonzero = difference[difference != 0]
    ranks = stats.rankdata(np.abs(nonzero))
    sums = [ranks[np.array(signs)].sum() for signs in product([False, True], repeat=7)]
    found = ranks[nonzero > 0].sum()
    greater, less = np.mean(sums >= found), np.mean(sums <= found)
    expected = {"greater": greater, "less": less, "two-sided": min(1, 2 * min(greater, less))}
    result = paired_tests(difference, np.zeros(8), alternative=alternative)
    assert result.wilcoxon_pvalue == pytest.approx(expected[alternative])


def test_twenty_tied_pairs_are_still_tested_exactly():
    """Where all differences are equally large, the signed-rank test is the sign test."""
    result = paired_tests([1.0] * 14 + [-1.0] * 6, [0.0] * 20)
    assert result.wilcoxon_pvalue == pytest.approx(stats.binom.sf(13, 20, 0.5))


def test_many_tied_pairs_take_the_normal_approximation():
    difference = np.resize([0.3, 0.1, -0.1, 0.2], metrics.tasks.EXACT_WITH_TIES + 1)
    result = paired_tests(difference, np.zeros(len(difference)))
    normal = stats.wilcoxon(difference, alternative="greater", method="asymptotic")
    assert result.wilcoxon_pvalue == pytest.approx(normal.pvalue)


@laws
@given(differences, st.randoms(use_true_random=False))
def test_the_order_of_tasks_does_not_matter(values, random):
    shuffled = random.sample(values, len(values))
    zeros = np.zeros(len(values))
    first, second = paired_tests(values, zeros), paired_tests(shuffled, zeros)
    assert vars(first) == pytest.approx(vars(second), nan_ok=True)
    means = [vars(task_mean(v)) for v in (values, shuffled)]
    for name, value in means[0].items():
        assert value == pytest.approx(means[1][name], nan_ok=True), name


@laws
@given(differences)
def test_swapping_the_methods_flips_every_sign(values):
    zeros = np.zeros(len(values))
    ours, theirs = paired_tests(values, zeros), paired_tests(zeros, values, alternative="less")
    assert (ours.wins, ours.losses) == (theirs.losses, theirs.wins)
    assert ours.wins + ours.losses == np.count_nonzero(values)
    for name in ("t_pvalue", "wilcoxon_pvalue", "sign_pvalue"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name), nan_ok=True)


# --- mean over tasks, and equivalence


def test_the_mean_over_tasks_is_that_of_the_t_test():
    values = np.random.default_rng(0).normal(0.1, 0.2, 8)
    found, t = task_mean(values), stats.ttest_1samp(values, 0)
    assert found.mean_interval == pytest.approx(t.confidence_interval(0.95))
    assert found.pvalue == pytest.approx(t.pvalue)
    assert (found.n, found.mean, found.median) == (8, values.mean(), np.median(values))
    assert found.sd == pytest.approx(np.std(values, ddof=1))


def test_fewer_than_two_tasks_have_no_interval():
    one, none = task_mean([0.1]), task_mean([])
    assert (one.n, one.mean, one.median) == (1, 0.1, 0.1)
    assert (none.n, math.isnan(none.mean)) == (0, True)
    for found in (one, none):
        assert np.isnan([*found.mean_interval, found.sd, found.pvalue]).all()
    assert math.isnan(equivalence([0.1], 1))


@laws
@given(st.floats(-1, 1), st.integers(2, 20))
def test_equal_differences_have_no_width_and_no_test(value, n):
    found = task_mean([value] * n)
    assert found.mean_interval == pytest.approx((value, value))
    assert math.isnan(found.pvalue)
    assert math.isnan(equivalence([value] * n, 0.5))


def test_equivalence_agrees_with_statsmodels():
    generator = np.random.default_rng(0)
    for shift in (-0.02, 0.0, 0.004):
        a, b = generator.normal(shift, 0.01, 9), generator.normal(0, 0.005, 9)
        expected = ttost_paired(a, b, -0.01, 0.01)[0]
        assert equivalence(a - b, 0.01) == pytest.approx(expected)
        assert equivalence(a - b, 0.01) == pytest.approx(
            DescrStatsW(a - b).ttost_mean(-0.01, 0.01)[0]
        )


@laws
@given(differences, st.floats(0.01, 2))
def test_equivalence_ignores_the_sign_and_grows_with_the_margin(values, margin):
    pvalue = equivalence(values, margin)
    assert pvalue == pytest.approx(equivalence(np.negative(values), margin), nan_ok=True)
    assert math.isnan(pvalue) or equivalence(values, 2 * margin) <= pvalue
    # the interval of 90 % lies within the margin
    if not math.isnan(pvalue):
        low, high = stats.ttest_1samp(values, 0).confidence_interval(0.9)
        assert (pvalue < 0.05) == (-margin < low and high < margin) or pvalue == pytest.approx(0.05)


@pytest.mark.parametrize("values", [0.1, [[0.1, 0.2]], [0.1, math.nan]])
def test_differences_of_another_shape_are_refused(values):
    with pytest.raises(InputError, match="differences"):
        task_mean(values)
    with pytest.raises(InputError, match="differences"):
        equivalence(values, 0.01)


@pytest.mark.parametrize("margin", [0, -0.1, math.nan, math.inf])
def test_a_margin_is_above_0(margin):
    with pytest.raises(InputError, match="margin"):
        equivalence([0.1, 0.2], margin)


# --- several methods


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.3, math.nan, 0.4]) == pytest.approx([0.6, math.nan, 0.6], nan_ok=True)
    assert holm([0.9, 0.8]).tolist() == [1, 1]


@laws
@given(pvalues)
def test_holm_keeps_order_and_never_lowers(values):
    raw, adjusted = np.array(values), holm(values)
    assert (np.isnan(raw) == np.isnan(adjusted)).all()
    kept = ~np.isnan(raw)
    assert (adjusted[kept] >= raw[kept]).all()
    assert (adjusted[kept] <= np.minimum(kept.sum() * raw[kept], 1) + 1e-12).all()  # Bonferroni
    assert (np.diff(adjusted[kept][np.argsort(raw[kept])]) >= 0).all()
    assert holm(values[::-1]) == pytest.approx(adjusted[::-1], nan_ok=True)


def test_holm_bounds_false_alarms_under_the_null():
    trials = np.random.default_rng(0).uniform(size=(2000, 5))
    alarms = np.mean([holm(trial).min() < 0.05 for trial in trials])
    assert alarms < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 2000)
    assert np.mean(trials.min(axis=1) < 0.05) > 0.2  # unadjusted


@pytest.mark.parametrize("values", [0.1, [[0.1]], [0.5, 1.1], [-0.1]])
def test_holm_refuses(values):
    with pytest.raises(InputError, match="pvalues"):
        holm(values)
