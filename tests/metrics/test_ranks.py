import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.metrics.cases import laws
from w2sprobe.errors import InputError
from w2sprobe.metrics import rank_correlation

values = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=4, max_size=12)


def test_by_hand():
    # ranks differ by 1, 1, 0, 1, 1: 1 - 6 * 4 / (5 * 24)
    found = rank_correlation([1, 2, 3, 4, 5], [20, 10, 30, 50, 40])
    assert (found.n, found.correlation) == (5, pytest.approx(0.8))
    reach = 1.959964 * math.sqrt((1 + 0.8**2 / 2) / 2)
    z = math.atanh(0.8)
    assert found.interval == pytest.approx((math.tanh(z - reach), math.tanh(z + reach)))


@laws
@given(values)
def test_the_correlation_is_that_of_scipy_and_only_ranks_matter(pairs):
    x, y = np.array(pairs, dtype=float).T
    found = rank_correlation(x, y)
    if np.ptp(x) and np.ptp(y):
        assert found.correlation == pytest.approx(stats.spearmanr(x, y).statistic)
        assert rank_correlation(np.exp(x), y) == found
        assert rank_correlation(-x, y).correlation == pytest.approx(-found.correlation)
    else:
        assert math.isnan(found.correlation)
        assert math.isnan(found.pvalue)


def test_few_points_are_tested_by_all_orders():
    x, y = [1, 2, 3, 4, 5], [1, 3, 2, 5, 4]
    all_of_them = [stats.spearmanr(x, order).statistic for order in itertools.permutations(y)]
    above = np.mean(np.array(all_of_them) >= 0.8 - 1e-9)
    assert rank_correlation(x, y).pvalue == pytest.approx(2 * above)


def test_many_points_are_tested_by_drawn_orders():
    generator = np.random.default_rng(0)
    x = generator.normal(size=25)
    y = 0.4 * x + generator.normal(size=25)
    found = rank_correlation(x, y)
    assert found == rank_correlation(x, y)
    assert found.pvalue != rank_correlation(x, y, seed=1).pvalue
    by_t = stats.spearmanr(x, y).pvalue
    # two tails of 9999 draws each; the t approximation is near at 25 points
    assert abs(found.pvalue - by_t) < 4 * math.sqrt(2 * by_t / 9999) + 0.003


def test_the_interval_covers():
    # bivariate normal, Pearson .5: the rank correlation of the population is 6 / pi asin(r / 2)
    generator = np.random.default_rng(0)
    truth = 6 / math.pi * math.asin(0.25)
    n_samples, covered = 300, 0
    for _ in range(n_samples):
        x, noise = generator.normal(size=(2, 20))
        low, high = rank_correlation(x, 0.5 * x + math.sqrt(0.75) * noise).interval
        covered += low < truth < high
    assert abs(covered / n_samples - 0.95) < 3 * math.sqrt(0.95 * 0.05 / n_samples)


def test_infinite_values_have_a_rank_and_rounding_noise_has_none():
    assert rank_correlation([1, 2, math.inf, 3], [1, 2, 4, 3]).correlation == 1
    noisy = rank_correlation([0.8 - 0.7, 0.7 - 0.6, 1], [1, 2, 3])
    # by what they show: from Python 3.13 on, results that hold nan equal no other
    assert repr(noisy) == repr(rank_correlation([0.1, 0.1, 1], [1, 2, 3]))


def test_what_is_not_known_is_nan():
    three = rank_correlation([1, 2, 3], [1, 3, 2])
    assert three.correlation == pytest.approx(0.5)
    assert all(map(math.isnan, (*three.interval, three.pvalue)))
    assert math.isnan(rank_correlation([1], [2]).correlation)
    assert rank_correlation([], []).n == 0
    perfect = rank_correlation([1, 2, 3, 4], [1, 2, 3, 4])
    assert (perfect.correlation, perfect.pvalue) == (1, pytest.approx(2 / 24))
    assert all(map(math.isnan, perfect.interval))


@pytest.mark.parametrize(("x", "y"), [([1, 2], [1]), ([[1, 2]], [[1, 2]]), ([1, math.nan], [1, 2])])
def test_what_has_no_ranks_is_refused(x, y):
    with pytest.raises(InputError):
        rank_correlation(x, y)
