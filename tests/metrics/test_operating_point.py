"""Rates at a fixed threshold, and intervals of their change."""

import numpy as np
import pytest
from scipy.stats import binomtest
from statsmodels.stats.proportion import confint_proportions_2indep

from w2sprobe.errors import InputError
from w2sprobe.metrics import Rate, rate_change, rates_at

TRUTH = np.arange(200) % 2
RANDOM = np.random.default_rng(0)
SCORES = RANDOM.normal(size=200) + TRUTH


def of_counts(k: int, n: int) -> Rate:
    truth, scores = np.r_[np.ones(n), np.zeros(2)], np.r_[np.arange(n) < k, 0, 1]
    return rates_at(truth, scores, 0.5)[0]


def test_rates_are_shares_above_the_threshold_with_wilsons_interval() -> None:
    recall, fpr = rates_at(TRUTH, SCORES, 0.4)
    for rate, label in ((recall, 1), (fpr, 0)):
        above = SCORES[label == TRUTH] > 0.4
        assert rate.value == above.mean()
        interval = binomtest(int(above.sum()), 100).proportion_ci(method="wilson")
        assert rate.interval == pytest.approx(tuple(interval))
    assert rates_at(TRUTH, SCORES, SCORES.max())[0].value == 0  # not above itself


def test_rows_of_a_group_widen_the_interval() -> None:
    doubled = np.repeat(TRUTH, 2), np.repeat(SCORES, 2)
    alone = rates_at(TRUTH, SCORES, 0.4)[0]
    grouped = rates_at(*doubled, 0.4, np.repeat(np.arange(200), 2))[0]
    assert grouped.n_effective == pytest.approx(100, rel=0.02)
    assert grouped.interval == pytest.approx(alone.interval, abs=2e-3)
    ignored = rates_at(*doubled, 0.4)[0].interval
    assert ignored[1] - ignored[0] < 0.75 * (alone.interval[1] - alone.interval[0])


@pytest.mark.parametrize(("k", "n", "j", "m"), [(56, 70, 48, 80), (9, 10, 3, 10), (0, 30, 3, 40)])
def test_of_other_rows_the_interval_is_newcombes(k: int, n: int, j: int, m: int) -> None:
    change = rate_change(of_counts(j, m), of_counts(k, n))
    expected = confint_proportions_2indep(k, n, j, m, method="newcomb")
    assert change.interval == pytest.approx(expected)
    assert change.change == pytest.approx(k / n - j / m)


def test_on_the_same_rows_it_holds_the_truth_as_often_as_it_says() -> None:
    random, held, reps, n = np.random.default_rng(1), 0, 1500, 120
    width = []
    for _ in range(reps):
        noise = random.normal(size=n)
        saved, new = noise > 1, noise + 0.5 * random.normal(size=n) > 0.8
        rates = [rates_at([1] * n + [0], [*mask, 0], 0.5)[0] for mask in (saved, new)]
        change = rate_change(*rates, (saved, new))
        low, high = change.interval
        # P(noise > 1), and P(noise + .5 noise > .8)
        held += low <= 0.237144 - 0.158655 <= high
        width.append(high - low)
    assert 0.93 < held / reps < 0.985  # the standard error of .95 is .006
    # of other rows, with the same rates, it is much wider
    apart = rate_change(*rates).interval
    assert apart[1] - apart[0] > 1.2 * np.mean(width)


def test_equal_decisions_have_a_change_of_zero() -> None:
    above = np.arange(100) < 20
    rate = of_counts(20, 100)
    change = rate_change(rate, rate, (above, above))
    assert change.change == 0
    assert change.interval[0] < 0 < change.interval[1]
    assert not change.outside
    assert not change.moved


def test_a_rate_moves_only_if_it_is_outside_and_not_by_chance() -> None:
    inside = rate_change(of_counts(10, 100), of_counts(14, 100))
    by_chance = rate_change(of_counts(2, 20), of_counts(7, 20))
    moved = rate_change(of_counts(10, 100), of_counts(40, 100))
    assert (inside.outside, by_chance.outside, moved.outside) == (False, True, True)
    assert (inside.moved, by_chance.moved, moved.moved) == (False, False, True)


def test_bad_input() -> None:
    with pytest.raises(InputError, match="one class"):
        rates_at([1, 1], [0.1, 0.2], 0.5)
    with pytest.raises(InputError, match="groups has 1 value"):
        rates_at([0, 1], [0.1, 0.2], 0.5, ["a", "a"])
