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


def of_tasks(values, tasks):
    """Components of tasks and of runs."""
    return variance_components(values, {"task": tasks})


def simulated(n_trials, sizes, between, within):
    """Estimates from tasks of unequal numbers of seeds."""
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    for _ in range(n_trials):
        levels = 0.5 + between * generator.normal(size=len(sizes))
        yield of_tasks(levels[groups] + within * generator.normal(size=len(groups)), groups)


def test_balanced_by_hand():
    task, run = of_tasks([1, 3, 5, 7], ["a", "a", "b", "b"])
    # means 2 and 6: MSE = (1 + 1 + 1 + 1) / 2, MSA = 2 (4 + 4) / 1
    assert (task.variance, task.df, task.n_levels) == (pytest.approx((16 - 2) / 2), 1, 2)
    assert (run.variance, run.df, run.n_levels) == (pytest.approx(2.0), 2, 4)
    assert run.interval == pytest.approx(tuple(4 / stats.chi2.ppf([0.975, 0.025], 2)))
    assert np.isnan(task.interval).all()


@laws
@given(repeats)
def test_one_factor_agrees_with_the_analysis_of_variance_of_scipy(tasks):
    values, groups = flat(tasks)
    task, run = of_tasks(values, groups)
    sizes = np.array([len(of_task) for of_task in tasks])
    size = (len(values) - (sizes**2).sum() / len(values)) / (len(tasks) - 1)
    if run.variance > 1e-9:
        ratio = stats.f_oneway(*tasks).statistic
        assert (run.variance + size * task.variance) / run.variance == pytest.approx(ratio)


@laws
@given(repeats, st.integers(-5, 5), st.randoms(use_true_random=False))
def test_laws_of_shift_scale_and_order(tasks, shift, random):
    values, groups = flat(tasks)
    found = [part.variance for part in of_tasks(values, groups)]
    moved = of_tasks([3 * v + shift for v in values], groups)
    assert [part.variance for part in moved] == pytest.approx([9 * v for v in found], abs=1e-9)
    order = random.sample(range(len(values)), len(values))
    shuffled = of_tasks([values[i] for i in order], [groups[i] for i in order])
    assert [part.variance for part in shuffled] == pytest.approx(found, abs=1e-9)


@pytest.mark.parametrize("sizes", [[3] * 20, [1, 1, 2, 2, 3, 5, 8]])
def test_simulated_variances_are_recovered(sizes):
    n_trials, between, within = 400, 0.06, 0.03
    found = list(simulated(n_trials, sizes, between, within))
    for place, true in ((0, between**2), (1, within**2)):
        values = [parts[place].variance for parts in found]
        assert abs(np.mean(values) - true) < 4 * np.std(values) / math.sqrt(n_trials)
    hits = np.mean([run.interval[0] <= within**2 <= run.interval[1] for _, run in found])
    assert abs(hits - 0.95) < 4 * math.sqrt(0.95 * 0.05 / n_trials)


def test_where_tasks_are_alike_the_estimate_may_be_negative():
    betweens = [task.variance for task, _ in simulated(400, [3] * 6, 0, 0.03)]
    assert min(betweens) < 0
    assert abs(np.mean(betweens)) < 4 * np.std(betweens) / 20


def test_three_nested_factors_of_unequal_numbers():
    generator = np.random.default_rng(1)
    true = {"task": 4.0, "split": 1.0, "weak": 0.5, "strong": 0.25}
    design = [
        (task, split, weak, strong)
        for task in range(5)
        for split in range(1 + task % 3)
        for weak in range(1 + (task + split) % 3)
        for strong in range(1 + (weak + split) % 2)
    ]
    labels = dict(zip(true, zip(*design, strict=True), strict=True))
    found = []
    for _ in range(600):
        noise: dict[tuple[int, ...], float] = {}
        for run in design:
            for depth, variance in enumerate(true.values(), start=1):
                noise.setdefault(run[:depth], generator.normal(0, math.sqrt(variance)))
        values = [sum(noise[run[:depth]] for depth in range(1, 5)) for run in design]
        found.append([part.variance for part in variance_components(values, labels)])
    for values, variance in zip(np.transpose(found), true.values(), strict=True):
        assert abs(values.mean() - variance) < 4 * values.std() / math.sqrt(600)


def test_balanced_nested_design_is_that_of_statsmodels():
    # restricted maximum likelihood is the analysis of variance where all estimates are positive
    mixed = pytest.importorskip("statsmodels.formula.api")
    pandas = pytest.importorskip("pandas")
    generator = np.random.default_rng(4)
    task, split = np.repeat(np.arange(8), 6), np.tile(np.repeat(np.arange(3), 2), 8)
    values = (
        generator.normal(0, 3, 8)[task]
        + generator.normal(0, 2, 24)[3 * task + split]
        + generator.normal(size=48)
    )
    parts = variance_components(values, {"task": task, "split": split})
    assert [part.name for part in parts] == ["task", "split", "run"]
    frame = pandas.DataFrame({"y": values, "task": task, "split": split})
    fitted = mixed.mixedlm(
        "y ~ 1", frame, groups="task", re_formula="1", vc_formula={"split": "0 + C(split)"}
    ).fit(reml=True)
    expected = [float(fitted.cov_re.iloc[0, 0]), float(fitted.vcomp[0]), float(fitted.scale)]
    assert [part.variance for part in parts] == pytest.approx(expected, rel=1e-3)


def test_runs_of_one_task_have_the_variance_of_their_seeds():
    (seeds,) = variance_components([1, 2, 6], {"task": ["a"] * 3, "seed": [0, 1, 2]})
    assert (seeds.name, seeds.df, seeds.n_levels) == ("seed", 2, 3)
    assert seeds.variance == pytest.approx(np.var([1, 2, 6], ddof=1))
    assert variance_components([1, 2, 6], {"seed": [0, 1, 2]}) == (seeds,)


def test_factors_that_vary_together_share_a_component():
    seeds = {"split": [0, 1, 2], "weak": [0, 1, 2], "strong": [0, 1, 2]}
    (only,) = variance_components([1, 2, 3], {"task": ["a"] * 3, **seeds})
    assert (only.name, only.variance, only.df) == ("split, weak, strong", pytest.approx(1), 2)
    two = variance_components(
        [1, 2, 4, 5.5], {"split": [0, 0, 1, 1], "weak": [0, 1, 0, 1], "strong": [0, 1, 0, 1]}
    )
    assert [part.name for part in two] == ["split", "weak, strong"]


@pytest.mark.parametrize(
    ("values", "factors", "part"),
    [
        ([1, 2], {"task": ["a", "b"], "weak": [0, 1]}, "nothing repeats: 2 values"),
        ([], {"task": []}, "nothing repeats"),
        ([1, 2, 3], {"task": ["a", "a"]}, "values has shape (3,)"),
        ([1, 2], {"task": ["a", "a"], "weak": [1]}, "weak has shape (1,)"),
        ([1, math.nan], {"task": ["a", "a"]}, "values is nan, row 1"),
    ],
)
def test_variance_components_refuse(values, factors, part):
    with pytest.raises(InputError) as error:
        variance_components(values, factors)
    assert part in str(error.value)
