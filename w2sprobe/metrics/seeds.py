"""How much of the spread of results comes from seeds."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from w2sprobe.errors import InputError
from w2sprobe.metrics._checks import check_scores
from w2sprobe.metrics.bootstrap import CONFIDENCE, Interval


@dataclass(frozen=True)
class VarianceComponents:
    """Variance of results between tasks, and between seeds within a task.

    Parameters
    ----------
    n : int
        Results.
    n_groups : int
        Tasks.
    within : float
        Variance between repeats of a task; the square root is the noise of one run.
    within_interval : tuple of float
        95 %, exact where repeats are normal and as noisy on every task.
    between : float
        Variance of the tasks' own levels; nan of one task. An estimate below 0 stands as it is:
        read it as 0.
    """

    n: int
    n_groups: int
    within: float
    within_interval: Interval
    between: float


def variance_components(values: npt.ArrayLike, groups: npt.ArrayLike) -> VarianceComponents:
    """Split the variance of results into that of tasks and that of seeds.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        Finite: a result a task and seed.
    groups : array_like, shape (n,)
        The task of each result; at least one of them repeats. Numbers of repeats may differ.

    Returns
    -------
    VarianceComponents

    Raises
    ------
    InputError
        Shapes differ, a value is not finite, or no group has two values.

    Notes
    -----
    Analysis of variance of the one-way random model, value = mean + task + seed, groups of unequal
    size (Searle, Casella & McCulloch 1992, Variance Components, chapter 3): within = MSE, between
    = (MSA - MSE) / n0, n0 = (n - sum of squared group sizes / n) / (groups - 1). Unbiased whatever
    the distributions. (n - groups) MSE / within is chi-squared where seeds are normal.

    Examples
    --------
    >>> variance_components([1, 3, 5, 7], ["a", "a", "b", "b"]).within
    2.0
    """
    results = check_scores(np.atleast_1d(values), "values", len(np.atleast_1d(groups)))
    names, group, sizes = np.unique(np.atleast_1d(groups), return_inverse=True, return_counts=True)
    n, n_groups = len(results), len(names)
    freedom = n - n_groups
    if freedom < 1:
        raise InputError(
            f"no group repeats: {n} values, {n_groups} groups",
            allowed="a group of at least 2 values",
            advice="Variance between seeds needs a task with two of them.",
        )
    means = np.bincount(group, weights=results) / sizes
    squares = float(np.sum((results - means[group]) ** 2))
    within = squares / freedom
    between = float("nan")
    if n_groups > 1:
        among = float(np.sum(sizes * (means - results.mean()) ** 2)) / (n_groups - 1)
        size = (n - float(np.sum(sizes**2)) / n) / (n_groups - 1)
        between = (among - within) / size
    from scipy import stats

    tail = (1 - CONFIDENCE) / 2
    high, low = (squares / float(stats.chi2.ppf(at, freedom)) for at in (tail, 1 - tail))
    return VarianceComponents(
        n=n, n_groups=n_groups, within=within, within_interval=(low, high), between=between
    )
