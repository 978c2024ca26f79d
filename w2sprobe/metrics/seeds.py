"""Variance of results by source: tasks, cuts of the rows, seeds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from w2sprobe.errors import InputError
from w2sprobe.metrics._checks import check_scores
from w2sprobe.metrics.estimates import CONFIDENCE, Interval

RUN = "run"  # factor that varies between runs of the same levels
UNKNOWN_INTERVAL = (float("nan"), float("nan"))


@dataclass(frozen=True)
class Component:
    """Variance that the levels of one factor add to results.

    Parameters
    ----------
    name : str
        Name of the factor; of several, joined by commas, where they always vary together, so that
        their variances cannot be separated.
    variance : float
        Unbiased estimate; read a negative one as 0.
    interval : tuple of float
        95 %, exact for the innermost factor where its noise is normal and equal everywhere; nan for
        the others.
    df : int
        Degrees of freedom.
    n_levels : int
        Number of levels, summed over the levels of outer factors.
    """

    name: str
    variance: float
    interval: Interval
    df: int
    n_levels: int


def variance_components(
    values: npt.ArrayLike, factors: Mapping[str, npt.ArrayLike]
) -> tuple[Component, ...]:
    """Split the variance of results into those of nested factors.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        Finite, one per run.
    factors : mapping of str to array_like, shape (n,)
        Levels of each factor, outermost first, such as task, split, weak and strong. Equal levels
        in different outer levels are different levels. Runs of the same levels differ by a last
        factor, `RUN`.

    Returns
    -------
    tuple of Component
        Outermost first; factors that always vary together share a component.

    Raises
    ------
    InputError
        Shapes differ, a value is not finite, or no level has two runs.

    Notes
    -----
    Analysis of variance of the nested random model for unequal numbers (Searle, Casella & McCulloch
    1992, Variance Components, chapters 3 and 5; Gates & Shiue 1962, Biometrics 18). Unbiased
    whatever the distributions.

    Examples
    --------
    >>> task, seed = ["a", "a", "b", "b"], [0, 1, 0, 1]
    >>> parts = variance_components([1, 3, 5, 7], {"task": task, "seed": seed})
    >>> [(part.name, part.variance, part.df) for part in parts]
    [('task', 7.0, 1), ('seed', 2.0, 2)]
    """
    first = np.atleast_1d(next(iter(factors.values())))
    n = len(first)
    results = check_scores(np.atleast_1d(values), "values", n)
    names, numbers, counts = _levels(factors, n) if n > 1 else ([], [], [])
    # with one run per level, the noise of runs cannot be separated from the outermost factor's
    if not names or (len(names) == 1 and len(factors) > 1 and len(np.unique(first)) > 1):
        raise InputError(
            f"nothing repeats: {n} values, each of its own level",
            allowed="a level of at least 2 runs",
            advice="The noise of seeds needs a task with two of them.",
        )
    df = np.diff([1, *counts])
    squares, variances = _solve(results, numbers)
    components = [
        Component(name, float(variance), UNKNOWN_INTERVAL, int(of_factor), count)
        for name, variance, of_factor, count in zip(names, variances, df, counts, strict=True)
    ]
    # only the innermost mean square is a multiple of a chi-squared variable
    components[-1] = replace(components[-1], interval=_interval(float(squares[-1]), int(df[-1])))
    return tuple(components)


def _solve(results: np.ndarray, numbers: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Sums of squares between the levels of each factor, and the variances they estimate."""
    # sums over levels of (sum of their values)^2 / (number of their values); the mean is level 0
    all_levels = [np.zeros(len(results), dtype=np.int64), *numbers]
    sizes = [np.bincount(level) for level in all_levels]
    sums = [
        float(np.sum(np.bincount(level, results) ** 2 / size))
        for level, size in zip(all_levels, sizes, strict=True)
    ]
    expected = np.zeros((len(all_levels), len(numbers)))
    for i, outer in enumerate(all_levels):
        for j, (inner, inner_sizes) in enumerate(zip(numbers, sizes[1:], strict=True)):
            # each run is in one inner level; inner levels lie in one outer level or equal it
            shared = inner_sizes[inner] if j >= i else sizes[i][outer]
            expected[i, j] = np.sum(shared / sizes[i][outer])
    # method of moments: observed sums of squares are set equal to their expectations
    squares = np.diff(sums)
    return squares, np.linalg.solve(np.diff(expected, axis=0), squares)


def _levels(
    factors: Mapping[str, npt.ArrayLike], n: int
) -> tuple[list[str], list[np.ndarray], list[int]]:
    """Names, level of each run and number of levels; a factor that adds no level joins the last."""
    names: list[str] = []
    numbers: list[np.ndarray] = []
    counts: list[int] = []
    path = np.zeros(n, dtype=np.int64)
    for name, labels in {**factors, RUN: np.arange(n)}.items():
        labels = np.atleast_1d(np.asarray(labels))
        if labels.shape != (n,):
            raise InputError(f"{name} has shape {labels.shape}", allowed=f"({n},), one per value")
        level = np.unique(labels, return_inverse=True)[1]
        path = np.unique(path * (level.max() + 1) + level, return_inverse=True)[1]
        count = int(path.max()) + 1
        if counts and count == counts[-1]:
            names[-1] += f", {name}" if name != RUN else ""
        elif count > 1:
            names.append(name)
            numbers.append(path)
            counts.append(count)
    return names, numbers, counts


def _interval(squares: float, df: int) -> Interval:
    """Interval of a variance whose sum of squares is chi-squared with `df` degrees of freedom."""
    from scipy import stats

    tail = (1 - CONFIDENCE) / 2
    low, high = (squares / float(stats.chi2.ppf(at, df)) for at in (1 - tail, tail))
    return low, high
