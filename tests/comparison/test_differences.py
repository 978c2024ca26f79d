import math

import pytest

from w2sprobe.comparison import Analysis, judgement
from w2sprobe.comparison.differences import difference
from w2sprobe.metrics import equivalence, paired_tests, task_mean

nan = math.nan
VALUES = [0.01, -0.02, 0.03, 0.04]


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_a_difference_has_the_mean_and_tests_of_metrics(alternative: str) -> None:
    row = difference(VALUES, alternative, 0.05)
    mean, tests = task_mean(VALUES), paired_tests(VALUES, [0.0] * 4, alternative=alternative)
    assert (row.n, row.wins, row.losses) == (4, 3, 1)
    assert (row.mean, row.mean_interval, row.median) == (mean.mean, mean.mean_interval, mean.median)
    assert (row.t_pvalue, row.sign_pvalue) == (tests.t_pvalue, tests.sign_pvalue)
    assert row.wilcoxon_pvalue == tests.wilcoxon_pvalue
    assert row.equivalence_pvalue == equivalence(VALUES, 0.05)
    assert math.isnan(difference(VALUES, alternative, None).equivalence_pvalue)


@pytest.mark.parametrize(("values", "counts"), [([], (0, 0, 0)), ([-0.1], (1, 0, 1))])
def test_fewer_than_two_tasks_have_no_test(
    values: list[float], counts: tuple[int, int, int]
) -> None:
    row = difference(values, "two-sided", 0.01)
    assert (row.n, row.wins, row.losses) == counts
    assert math.isnan(row.t_pvalue)
    assert math.isnan(row.equivalence_pvalue)


@pytest.mark.parametrize(
    ("mean", "pvalue", "equivalence_pvalue", "verdict"),
    [
        (0.1, 0.04, nan, "better"),
        (-0.1, 0.04, 0.5, "worse"),
        (0.001, 0.6, 0.04, "no difference"),
        (0.1, 0.06, 0.06, "undecided"),
        (0.1, 0.05, 0.05, "undecided"),  # the level itself does not reject
        (0.001, 0.01, 0.01, "better"),  # small and sure: the t test comes first
        (nan, nan, nan, "undecided"),
    ],
)
def test_verdicts(mean: float, pvalue: float, equivalence_pvalue: float, verdict: str) -> None:
    assert judgement(mean, pvalue, equivalence_pvalue, Analysis(alpha=0.05)) == verdict
