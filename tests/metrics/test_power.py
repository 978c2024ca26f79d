import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from w2sprobe.errors import InputError, UnknownName
from w2sprobe.metrics import ALTERNATIVES, detectable_effect, least_pvalue, paired_tests

REFERENCE = {"two-sided": "two-sided", "greater": "larger", "less": "larger"}


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 18])
@pytest.mark.parametrize("n", [3, 5, 8, 21, 200])
def test_the_effect_is_that_of_statsmodels(n: int, alpha: float, alternative: str) -> None:
    reference = REFERENCE[alternative]
    found = detectable_effect(1, n, alpha=alpha, alternative=alternative)
    power = TTestPower().power(found, n, alpha, alternative=reference)
    assert power == pytest.approx(0.8, abs=1e-9)
    if alpha == 0.05:  # at small levels and few differences its search does not converge
        solved = TTestPower().solve_power(nobs=n, alpha=alpha, power=0.8, alternative=reference)
        assert found == pytest.approx(float(solved), rel=1e-5)  # its tolerance


@pytest.mark.parametrize("alpha", [0.05, 1e-4])
def test_power_with_two_differences_is_the_average_over_estimated_sds(alpha: float) -> None:
    """With one degree of freedom, scipy's noncentral t and statsmodels stumble; averages do not."""
    effect = detectable_effect(1, 2, alpha=alpha)
    critical = stats.t.isf(alpha / 2, 1)
    size = np.abs(stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000))  # of the estimated SD
    shift = math.sqrt(2) * effect
    chance = stats.norm.sf(critical * size - shift) + stats.norm.cdf(-critical * size - shift)
    assert chance.mean() == pytest.approx(0.8, abs=1e-4)


def test_simulated_differences_are_rejected_with_the_wanted_power() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.normal(detectable_effect(0.05, 8), 0.05, (4000, 8))
    rejected = np.mean([stats.ttest_1samp(one, 0).pvalue < 0.05 for one in drawn])
    assert rejected == pytest.approx(0.8, abs=3 * math.sqrt(0.16 / 4000))


def test_an_effect_scales_with_the_spread_and_falls_with_tasks() -> None:
    assert detectable_effect(0.1, 8) == pytest.approx(2 * detectable_effect(0.05, 8))
    assert detectable_effect(0.0, 8) == 0
    effects = [detectable_effect(1, n) for n in (2, 3, 5, 8, 21, 1000)]
    assert effects == sorted(effects, reverse=True)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize("n", [2, 5, 8])
def test_no_pvalue_of_the_rank_tests_is_smaller(n: int, alternative: str) -> None:
    side = -1 if alternative == "less" else 1
    tests = paired_tests(side * np.arange(1.0, n + 1), np.zeros(n), alternative=alternative)
    least = least_pvalue(n, alternative)
    assert tests.wilcoxon_pvalue == pytest.approx(least)
    assert tests.sign_pvalue == pytest.approx(least)


def test_nothing_to_count_has_a_pvalue_of_one() -> None:
    assert least_pvalue(0) == least_pvalue(1) == 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"sd": -1}, "sd is -1"),
        ({"sd": math.nan}, "sd is nan"),
        ({"n": 1}, "n is 1"),
        ({"alpha": 0}, "alpha is 0"),
        ({"power": 0.05}, "power is 0.05"),
        ({"power": 1}, "power is 1"),
        ({"alternative": "up"}, "unknown alternative 'up'"),
    ],
)
def test_impossible_settings_are_named(arguments: dict[str, float], part: str) -> None:
    with pytest.raises(InputError, match=part):
        detectable_effect(**{"sd": 1, "n": 8, **arguments})
    if arguments.keys() <= {"alternative"}:
        with pytest.raises(UnknownName):
            least_pvalue(8, **arguments)
    with pytest.raises(InputError, match="n is -1"):
        least_pvalue(-1)
