"""Partial pooling against statsmodels and scipy, and its laws."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

from tests.metrics.cases import laws
from w2sprobe.errors import InputError
from w2sprobe.metrics import pool_tasks, pooled_pgr, task_mean

gains = st.lists(st.integers(-20, 20).map(lambda i: i / 100), min_size=4, max_size=12)
seeds = st.integers(0, 10_000)


def tasks(seed, n=8, tau=0.03):
    """Gains with errors, and gaps."""
    generator = np.random.default_rng(seed)
    errors, gaps = generator.uniform(0.005, 0.03, n), generator.uniform(0.02, 0.2, n)
    level = 0.01 + 0.3 * gaps + tau * generator.normal(size=n)
    return level + errors * generator.normal(size=n), errors, gaps


def numbers(found):
    """All of them, in one array."""
    return np.array(
        [
            *(found.mean, *found.mean_interval, found.pvalue, found.tau),
            *(found.slope, *found.slope_interval, found.slope_pvalue),
            *found.shrunken,
            *(end for interval in found.shrunken_intervals for end in interval),
        ]
    )


# --- against others


@pytest.mark.parametrize("tau", [0.0, 0.03])
@pytest.mark.parametrize("seed", range(5))
def test_without_a_gap_it_is_the_random_effects_model_of_statsmodels(seed, tau):
    gain, errors, _ = tasks(seed, tau=tau)
    gain = gain - gain.mean() if tau == 0 else gain
    found = pool_tasks(gain, errors)
    # 50 steps at most by default, which is not enough here
    theirs = combine_effects(gain, errors**2, method_re="pm", use_t=True)
    assert found.tau**2 == pytest.approx(theirs.tau2, rel=1e-3, abs=1e-9)
    assert found.mean == pytest.approx(theirs.mean_effect_re, rel=1e-3)
    reach = stats.t.ppf(0.975, len(gain) - 1) * theirs.sd_eff_w_re_hksj
    low, high = found.mean_interval
    assert (high - low) / 2 == pytest.approx(reach, rel=1e-3)


def test_without_errors_it_is_least_squares():
    gain, _, gaps = tasks(0)
    found = pool_tasks(gain, gap=gaps)
    theirs = sm.OLS(gain, sm.add_constant(gaps - gaps.mean())).fit()
    assert (found.mean, found.slope) == pytest.approx(tuple(theirs.params))
    assert (found.pvalue, found.slope_pvalue) == pytest.approx(tuple(theirs.pvalues))
    assert found.mean_interval == pytest.approx(tuple(theirs.conf_int()[0]))
    assert found.slope_interval == pytest.approx(tuple(theirs.conf_int()[1]))
    assert found.tau**2 == pytest.approx(theirs.scale)
    assert found.shrunken == pytest.approx(gain)
    assert np.isnan(found.shrunken_intervals).all()


def test_without_spread_over_tasks_it_is_weighted_least_squares():
    gain, errors, gaps = tasks(1, tau=0)
    gain = 0.5 * gaps + 0.2 * (gain - 0.5 * gaps)  # less noise than the errors say
    found = pool_tasks(gain, errors, gaps)
    theirs = sm.WLS(gain, sm.add_constant(gaps - gaps.mean()), weights=errors**-2.0).fit()
    assert found.tau == 0
    assert (found.mean, found.slope) == pytest.approx(tuple(theirs.params))
    assert found.slope_interval == pytest.approx(tuple(theirs.conf_int()[1]))
    assert found.shrunken == pytest.approx(theirs.fittedvalues)


def test_shrunken_gains_are_those_of_the_normal_model():
    gain, errors, gaps = tasks(2)
    found = pool_tasks(gain, errors, gaps)
    design = np.column_stack([np.ones(8), gaps - gaps.mean()])
    # E(true gain | gains) under the joint normal distribution, coefficients by least squares
    among, total = found.tau**2 * np.eye(8), np.diag(found.tau**2 + errors**2)
    inverse = np.linalg.inv(total)
    beta = np.linalg.solve(design.T @ inverse @ design, design.T @ inverse @ gain)
    expected = design @ beta + among @ inverse @ (gain - design @ beta)
    assert found.tau > 0
    assert found.shrunken == pytest.approx(expected)


def test_equal_errors_give_the_t_interval_over_tasks():
    gain, _, _ = tasks(3)
    for error in (1e-3, 0.02, 0.5):  # 0.5: far more noise than there is spread
        found = pool_tasks(gain, np.full(8, error))
        assert found.mean_interval == pytest.approx(task_mean(gain).mean_interval)
        assert found.pvalue == pytest.approx(task_mean(gain).pvalue)


# --- laws


@laws
@given(seeds)
def test_small_errors_change_nothing(seed):
    gain, errors, gaps = tasks(seed)
    plain, found = pool_tasks(gain, gap=gaps), pool_tasks(gain, errors * 1e-6, gaps)
    for name in ("mean", "slope", "tau", "pvalue", "mean_interval", "slope_interval", "shrunken"):
        assert getattr(found, name) == pytest.approx(getattr(plain, name), rel=1e-4), name


@laws
@given(seeds, st.floats(0.1, 10), st.floats(-1, 1))
def test_the_unit_does_not_matter(seed, factor, shift):
    gain, errors, gaps = tasks(seed)
    found = pool_tasks(gain, errors, gaps)
    scaled = pool_tasks(factor * gain, factor * errors, gaps + shift)
    for name in ("mean", "tau", "slope", "mean_interval", "slope_interval", "shrunken"):
        expected = factor * np.array(getattr(found, name))
        assert np.array(getattr(scaled, name)) == pytest.approx(expected, rel=1e-5), name
    assert scaled.pvalue == pytest.approx(found.pvalue, rel=1e-5)


@laws
@given(seeds, st.permutations(range(8)))
def test_the_order_of_tasks_does_not_matter(seed, order):
    gain, errors, gaps = tasks(seed)
    found = pool_tasks(gain, errors, gaps)
    moved = pool_tasks(gain[order], errors[order], gaps[order])
    assert moved.mean == pytest.approx(found.mean)
    assert moved.slope_interval == pytest.approx(found.slope_interval)
    assert moved.shrunken == pytest.approx(np.array(found.shrunken)[order])
    ratio, again = pooled_pgr(gain, gaps), pooled_pgr(gain[order], gaps[order])
    assert again.interval == pytest.approx(ratio.interval)


@laws
@given(seeds)
def test_noisy_tasks_are_drawn_nearer_to_the_mean(seed):
    gain, errors, _ = tasks(seed)
    found = pool_tasks(gain, errors)
    kept = (np.array(found.shrunken) - found.mean) / (gain - found.mean)
    assert ((kept > -1e-9) & (kept <= 1)).all()
    assert (np.diff(kept[np.argsort(errors)]) <= 1e-9).all()


# --- too few tasks, and what cannot be used


def test_few_tasks_have_no_slope_and_one_task_has_no_interval():
    three = pool_tasks([0.1, 0.2, 0.4], [0.01] * 3, [0.1, 0.2, 0.3])
    assert math.isnan(three.slope)
    assert not math.isnan(three.pvalue)
    assert math.isnan(pool_tasks([0.1, 0.2, 0.4, 0.3], gap=[0.1] * 4).slope)
    four = pool_tasks([0.1, 0.2, 0.4, 0.3], gap=[0.1, 0.2, 0.4, 0.3])
    assert four.slope == pytest.approx(1)
    one, none = pool_tasks([0.1], [0.01], [0.3]), pool_tasks([])
    assert (one.n, one.mean, one.shrunken) == (1, 0.1, (0.1,))
    assert np.isnan([*one.mean_interval, one.pvalue, one.tau, *one.shrunken_intervals[0]]).all()
    assert (none.n, math.isnan(none.mean), none.shrunken) == (0, True, ())


def test_shrunken_intervals_by_hand():
    """Prasad & Rao 1990 with the variance of tau² by Datta, Rao & Smith 2005."""
    gain, errors, _ = tasks(3)
    pooled = pool_tasks(gain, errors)
    tau2 = pooled.tau**2
    assert tau2 > 0
    precisions = [1 / (tau2 + error**2) for error in errors]
    for error, (low, high) in zip(errors, pooled.shrunken_intervals, strict=True):
        noise, total = error**2, tau2 + error**2
        left = tau2 * noise / total
        of_mean = (noise / total) ** 2 / sum(precisions)
        of_tau2 = noise**2 / total**3 * 2 * len(errors) / sum(precisions) ** 2
        se = math.sqrt(left + of_mean + 2 * of_tau2)
        assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, len(errors) - 1) * se)


def test_a_task_without_any_error_does_not_decide_alone():
    gain = [0.0, 0.05, 0.06, 0.04]
    found = pool_tasks(gain, [0.0, 0.02, 0.02, 0.02])
    np.testing.assert_array_equal(numbers(found), numbers(pool_tasks(gain)))


def test_equal_gains_have_no_width_and_no_test():
    found = pool_tasks([0.1] * 5, [0.01, 0.02, 0.01, 0.02, 0.01])
    assert found.mean_interval == pytest.approx((0.1, 0.1))
    assert math.isnan(found.pvalue)
    assert found.tau == 0


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (([[0.1]],), "gain has shape"),
        (([0.1, math.nan],), "gain is nan, row 1"),
        (([0.1, 0.2], [0.1]), "gain_se has shape"),
        (([0.1, 0.2], [0.1, -0.1]), "gain_se is -0.1"),
        (([0.1, 0.2], None, [0.1, math.inf]), "gap is inf, row 1"),
    ],
)
def test_pooling_refuses(arguments, part):
    with pytest.raises(InputError) as error:
        pool_tasks(*arguments)
    assert part in str(error.value)


# --- the pooled PGR


def accepts(gain, gap, rho):
    """Whether the t test over tasks has no objection to this ratio."""
    residual = np.asarray(gain) - rho * np.asarray(gap)
    return stats.ttest_1samp(residual, 0).pvalue >= 0.05


@pytest.mark.parametrize("seed", range(10))
def test_the_interval_holds_the_ratios_that_a_t_test_accepts(seed):
    gain, _, gaps = tasks(seed)
    found = pooled_pgr(gain, gaps)
    assert found.value == pytest.approx(gain.sum() / gaps.sum())
    low, high = found.interval
    assert low < found.value < high
    margin = 1e-6 * (high - low)
    assert accepts(gain, gaps, low + margin)
    assert accepts(gain, gaps, high - margin)
    assert not accepts(gain, gaps, low - margin)
    assert not accepts(gain, gaps, high + margin)


def test_it_has_no_bounds_where_the_mean_gap_may_be_0():
    found = pooled_pgr([0.01, 0.02, -0.01], [0.1, -0.1, 0.05])
    assert found.interval == (-math.inf, math.inf)
    assert math.isnan(pooled_pgr([0.1, 0.1], [0.1, -0.1]).value)


def test_one_task_has_a_ratio_and_no_interval():
    found = pooled_pgr([0.02], [0.1])
    assert (found.value, found.n) == (pytest.approx(0.2), 1)
    assert np.isnan(found.interval).all()
    assert math.isnan(pooled_pgr([], []).value)


@laws
@given(gains, st.floats(0.1, 10))
def test_a_ratio_of_multiples_is_exact_and_units_cancel(gain, factor):
    gaps = np.abs(gain) + 0.1
    found, scaled = pooled_pgr(gain, gaps), pooled_pgr(factor * np.array(gain), factor * gaps)
    assert scaled.value == pytest.approx(found.value)
    assert scaled.interval == pytest.approx(found.interval)
    exact = pooled_pgr(0.4 * gaps, gaps)
    if math.isfinite(exact.interval[0]):
        assert exact.interval == pytest.approx((0.4, 0.4), abs=1e-6)


@pytest.mark.parametrize(
    ("gain", "gap"), [([[0.1]], [0.1]), ([0.1, math.nan], [0.1, 0.2]), ([0.1, 0.2], [0.1])]
)
def test_ratios_refuse(gain, gap):
    with pytest.raises(InputError, match=r"gain|gap"):
        pooled_pgr(gain, gap)
