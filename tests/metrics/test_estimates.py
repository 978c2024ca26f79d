import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.metrics.cases import laws
from w2sprobe.metrics import Estimate, mean_of_runs

parts = st.lists(
    st.tuples(st.floats(1e-6, 10), st.one_of(st.integers(1, 200), st.just(math.inf))),
    min_size=1,
    max_size=3,
)


def test_one_part_is_students_t():
    values = np.random.default_rng(0).normal(0.3, size=7)
    found = mean_of_runs(values, 0.0)
    test = stats.ttest_1samp(values, 0)
    assert found.pvalue == pytest.approx(test.pvalue)
    assert found.interval == pytest.approx(tuple(test.confidence_interval(0.95)))


def test_rows_alone_are_normal():
    found = Estimate(0.1, ((0.04**2, math.inf),))
    reach = stats.norm.ppf(0.975) * 0.04
    assert found.interval == pytest.approx((0.1 - reach, 0.1 + reach))
    assert found.pvalue == pytest.approx(2 * stats.norm.sf(2.5))


def test_degrees_of_freedom_by_hand():
    found = Estimate(0.0, ((2.0, 4.0), (1.0, 1.0)))
    first, second = 2 * (1 + 3 / 4), 1 * (1 + 3 / 1)
    assert found.df == pytest.approx((first + second) ** 2 / (first**2 / 4 + second**2 / 1))
    assert found.variance == 3


def test_seeds_without_noise_leave_the_degrees_of_freedom_of_the_rows():
    # a gap between probes that no seed changes: the shared rows are all that is uncertain
    found = mean_of_runs([0.15, 0.15], 0.02**2)
    assert found.df == math.inf
    assert found.interval == pytest.approx(Estimate(0.15, ((0.02**2, math.inf),)).interval)


def test_without_any_noise_the_fewest_degrees_of_freedom_count():
    assert Estimate(0.1, ((0.0, math.inf), (0.0, 5.0))).df == 5


def test_infinite_weights_would_be_satterthwaites_of_scipy():
    # with many degrees of freedom the weights are 1: Welch's test of two samples
    random = np.random.default_rng(1)
    a, b = random.normal(size=900), random.normal(0.1, 2, size=700)
    found = Estimate(b.mean() - a.mean(), ((a.var(ddof=1) / 900, 899), (b.var(ddof=1) / 700, 699)))
    welch = stats.ttest_ind(b, a, equal_var=False)
    assert found.df == pytest.approx(welch.df, rel=0.01)
    assert found.pvalue == pytest.approx(welch.pvalue, rel=0.01)


@laws
@given(parts)
def test_degrees_of_freedom_lie_between_the_smallest_and_the_sum(given):
    df = Estimate(0.0, tuple(given)).df
    least, most = min(n for _, n in given), sum(n for _, n in given)
    assert least * (1 - 1e-9) <= df <= most * (1 + 1e-9)


@laws
@given(st.floats(-5, 5), parts, st.floats(0.1, 10))
def test_interval_holds_zero_where_p_is_above_five_percent(value, given, scale):
    one = Estimate(value, tuple(given))
    low, high = one.interval
    if abs(one.pvalue - 0.05) > 1e-6:
        assert (low <= 0 <= high) == (one.pvalue > 0.05)
    scaled = Estimate(scale * value, tuple((scale**2 * v, df) for v, df in given))
    assert scaled.pvalue == pytest.approx(one.pvalue)


def test_what_is_not_known_is_nan():
    nothing = Estimate(0.2, ())
    assert math.isnan(nothing.se)
    assert math.isnan(nothing.pvalue)
    assert np.isnan(nothing.interval).all()
    still = Estimate(0.2, ((0.0, math.inf),))
    assert still.interval == (0.2, 0.2)
    assert math.isnan(still.pvalue)
    assert Estimate(0.0, ((0.0, math.inf),)).pvalue == 1


def test_runs_share_their_rows():
    found = mean_of_runs([0.1, 0.2, 0.3], 0.04)
    assert found.value == pytest.approx(0.2)
    assert np.array(found.parts) == pytest.approx(np.array([(0.04, math.inf), (0.01 / 3, 2.0)]))
    assert mean_of_runs([0.1], 0.04).parts == ((0.04, math.inf),)
    (of_seeds,) = mean_of_runs([0.1, 0.3], math.nan).parts
    assert of_seeds == pytest.approx((0.01, 1.0))
    assert mean_of_runs([0.1], math.nan).parts == ()
