"""One difference per task: its mean, tests, and what they say in a word."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from w2sprobe.comparison.analysis import Analysis
from w2sprobe.comparison.scores import UNKNOWN
from w2sprobe.comparison.tasks import UNKNOWN_INTERVAL, Row
from w2sprobe.metrics import Alternative, equivalence, paired_tests, task_mean
from w2sprobe.results import Interval

TESTS = ("t", "wilcoxon", "sign")
Judgement = Literal["better", "worse", "no difference", "undecided"]


class Difference(Row):
    """Mean with Student's t interval over tasks, median and tests of one difference per task.

    `n` tasks count, `wins` of them are above 0 and `losses` below; `sd` is the standard deviation
    over tasks. `equivalence_pvalue` is that of two one-sided t tests: small where the mean surely
    lies within the margin; it is known for AUC only. nan where there are too few tasks.
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
        Of the test of equivalence; None makes none.

    Returns
    -------
    Difference
    """
    found = task_mean(values)
    known = {name: getattr(found, name) for name in ("n", "mean", "mean_interval", "median", "sd")}
    if found.n < 2:
        only = found.mean  # nan compares as False
        return Difference(wins=int(only > 0), losses=int(only < 0), **known)
    tests = paired_tests(values, np.zeros(found.n), alternative=alternative)
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
    """What tests say of a difference.

    Parameters
    ----------
    mean : float
    pvalue, equivalence_pvalue : float
        Of its t test and of the test of equivalence, each adjusted where several are made; nan
        decides nothing.
    analysis : Analysis

    Returns
    -------
    {"better", "worse", "no difference", "undecided"}
        "no difference" is shown by the test of equivalence: none beyond the margin. A large p value
        of a test of difference leaves it undecided.
    """
    if pvalue < analysis.alpha and not math.isnan(mean):
        return "better" if mean > 0 else "worse"
    return "no difference" if equivalence_pvalue < analysis.alpha else "undecided"
