"""One difference per task: mean, tests and verdict."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from w2sprobe.comparison._base import UNKNOWN, UNKNOWN_INTERVAL, FrozenModel
from w2sprobe.comparison.analysis import Analysis
from w2sprobe.metrics import Alternative, equivalence, paired_tests, task_mean
from w2sprobe.results import Interval

TESTS = ("t", "wilcoxon", "sign")
Judgement = Literal["better", "worse", "no difference", "undecided"]


class Difference(FrozenModel):
    """Mean with Student's t interval over tasks, median and tests of one difference per task.

    `n` tasks count, `wins` of them are above 0 and `losses` below; `sd` is the standard deviation
    over tasks. `equivalence_pvalue` is that of two one-sided t tests: small where the mean lies
    within the margin; known for AUC only. nan where there are too few tasks.
    """

    n: int
    wins: int
    losses: int
    mean: float = UNKNOWN
    mean_interval: Interval = UNKNOWN_INTERVAL
    median: float = UNKNOWN
    sd: float = UNKNOWN
    t_pvalue: float = UNKNOWN
    wilcoxon_pvalue: float = UNKNOWN
    sign_pvalue: float = UNKNOWN
    equivalence_pvalue: float = UNKNOWN


def difference(
    values: Sequence[float], alternative: Alternative, margin: float | None
) -> Difference:
    """Summarise and test one difference per task.

    Parameters
    ----------
    values : sequence of float
        Finite.
    alternative : {"two-sided", "greater", "less"}
    margin : float or None
        Of the test of equivalence, which None leaves out.
    """
    over_tasks = task_mean(values)
    known = {
        name: getattr(over_tasks, name) for name in ("n", "mean", "mean_interval", "median", "sd")
    }
    if over_tasks.n < 2:
        only = over_tasks.mean  # nan compares as False
        return Difference(wins=int(only > 0), losses=int(only < 0), **known)
    tests = paired_tests(values, np.zeros(over_tasks.n), alternative=alternative)
    return Difference(
        wins=tests.wins,
        losses=tests.losses,
        equivalence_pvalue=UNKNOWN if margin is None else equivalence(values, margin),
        **known,
        **{f"{test}_pvalue": getattr(tests, f"{test}_pvalue") for test in TESTS},
    )


def judgement(
    mean: float, pvalue: float, equivalence_pvalue: float, analysis: Analysis
) -> Judgement:
    """Verdict on a difference from its tests.

    Parameters
    ----------
    pvalue, equivalence_pvalue : float
        Of the t test and the test of equivalence, each adjusted where several are made; nan decides
        nothing.
    analysis : Analysis
        Its `alpha` is the level.

    Returns
    -------
    {"better", "worse", "no difference", "undecided"}
        "no difference" needs a significant test of equivalence; a large p value of the t test alone
        leaves it undecided.
    """
    if pvalue < analysis.alpha and not math.isnan(mean):
        return "better" if mean > 0 else "worse"
    return "no difference" if equivalence_pvalue < analysis.alpha else "undecided"
