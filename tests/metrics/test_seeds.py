import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.metrics.cases import laws
from w2sprobe.errors import InputError
from w2sprobe.metrics import variance_components

repeats = st.lists(
    st.lists(st.integers(-8, 8), min_size=1, max_size=5), min_size=2, max_size=6
).filter(lambda tasks: any(len(task) > 1 for task in tasks))


def flat(tasks):
    return [v for task in tasks for v in task], [i for i, task in enumerate(tasks) for _ in task]


def simulated(n_trials, sizes, between, within):
    """Estimates from tasks of unequal numbers of seeds."""
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    for _ in range(n_trials):
        levels = 0.5 + between * generator.normal(size=len(sizes))
        yield variance_components(
            levels[groups] + within * generator.normal(size=len(groups)), groups
        )


def test_balanced_by_hand():
    found = variance_components([1, 3, 5, 7], ["a", "a", "b", "b"])
    # means 2 and 6: MSE = (1 + 1 + 1 + 1) / 2, MSA = 2 (4 + 4) / 1
    assert (found.n, found.n_groups, found.within, found.between) == (4, 2, 2.0, (16 - 2) / 2)
    low, high = found.within_interval
    assert low == pytest.approx(4 / stats.chi2.ppf(0.975, 2))
    assert high == pytest.approx(4 / stats.chi2.ppf(0.025, 2))


@laws
@given(repeats)
def test_it_is_the_analysis_of_variance_that_scipy_has(tasks):
    values, groups = flat(tasks)
    found = variance_components(values, groups)
    sizes = np.array([len(task) for task in tasks])
    size = (len(values) - (sizes**2).sum() / len(values)) / (len(tasks) - 1)
    if found.within > 0:
        ratio = stats.f_oneway(*tasks).statistic
        assert (found.within + size * found.between) / found.within == pytest.approx(ratio)


@laws
@given(repeats, st.integers(-5, 5), st.randoms(use_true_random=False))
def test_laws_of_shift_scale_and_order(tasks, shift, random):
    values, groups = flat(tasks)
    found = variance_components(values, groups)
    moved = variance_components([3 * v + shift for v in values], groups)
    assert moved.within == pytest.approx(9 * found.within)
    assert moved.between == pytest.approx(9 * found.between)
    order = random.sample(range(len(values)), len(values))
    shuffled = variance_components([values[i] for i in order], [groups[i] for i in order])
    assert shuffled.within == pytest.approx(found.within)
    assert shuffled.between == pytest.approx(found.between)


@pytest.mark.parametrize("sizes", [[3] * 20, [1, 1, 2, 2, 3, 5, 8]])
def test_it_finds_what_was_simulated(sizes):
    n_trials, between, within = 400, 0.06, 0.03
    found = list(simulated(n_trials, sizes, between, within))
    for name, true in (("between", between**2), ("within", within**2)):
        values = [getattr(one, name) for one in found]
        assert abs(np.mean(values) - true) < 4 * np.std(values) / math.sqrt(n_trials), name
    hits = np.mean([one.within_interval[0] <= within**2 <= one.within_interval[1] for one in found])
    assert abs(hits - 0.95) < 4 * math.sqrt(0.95 * 0.05 / n_trials)


def test_where_tasks_are_alike_the_estimate_may_be_negative():
    betweens = [one.between for one in simulated(400, [3] * 6, 0, 0.03)]
    assert min(betweens) < 0
    assert abs(np.mean(betweens)) < 4 * np.std(betweens) / 20


def test_one_task_tells_of_seeds_alone():
    found = variance_components([1, 2, 3], ["a"] * 3)
    assert found.within == 1
    assert math.isnan(found.between)


@pytest.mark.parametrize(
    ("values", "groups", "part"),
    [
        ([1, 2], ["a", "b"], "no group repeats: 2 values, 2 groups"),
        ([], [], "no group repeats"),
        ([1, 2, 3], ["a", "a"], "values has shape (3,)"),
        ([1, math.nan], ["a", "a"], "values is nan, row 1"),
    ],
)
def test_variance_components_refuse(values, groups, part):
    with pytest.raises(InputError) as error:
        variance_components(values, groups)
    assert part in str(error.value)
