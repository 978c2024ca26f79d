"""How much of the spread of results comes from tasks, cuts of the rows and seeds."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from w2sprobe.errors import InputError
from w2sprobe.metrics._checks import check_scores
from w2sprobe.metrics.estimates import CONFIDENCE, Interval

RUN = "run"  # name of what varies between runs of the same levels


@dataclass(frozen=True)
class Component:
    """Variance that the levels of one factor add to results.

    Parameters
    ----------
    name : str
        The factor; several, joined by commas, where no level of the first repeats with another
        level of the next, so that nothing tells their noise apart.
    variance : float
        Unbiased estimate, which may come out below 0: read that as 0.
    interval : tuple of float
        95 %, exact for the innermost factor where its noise is normal and equal everywhere; nan for
        the others.
    df : int
        Degrees of freedom.
    n_levels : int
        Levels, those of different outer levels counted apart.
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
        Finite, one a run.
    factors : mapping of str to array_like, shape (n,)
        Levels of each factor, outermost first, such as task, split, weak and strong. Levels are
        counted anew within each level of the factors before. Runs of the same levels differ by a
        last factor, `RUN`.

    Returns
    -------
    tuple of Component
        Outermost first; factors of which nothing repeats stand together.

    Raises
    ------
    InputError
        Shapes differ, a value is not finite, or no level has two runs.

    Notes
    -----
    Analysis of variance of the nested random model for unequal numbers: the sums of squares
    between the levels of each factor within those of the one before are set equal to what is
    expected of them (Searle, Casella & McCulloch 1992, Variance Components, chapters 3 and 5; Gates
    & Shiue 1962, Biometrics 18). Unbiased whatever the distributions.

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
    # one level a run: nothing tells the noise of runs from that of the outermost factor
    if not names or (len(names) == 1 and len(factors) > 1 and len(np.unique(first)) > 1):
        raise InputError(
            f"nothing repeats: {n} values, a level each",
            allowed="a level of at least 2 runs",
            advice="The noise of seeds needs a task with two of them.",
        )
    df = np.diff([1, *counts])
    # sums over levels of (sum of their values)^2 / (number of their values); the mean is level 0
    all_levels = [np.zeros(n, dtype=np.int64), *numbers]
    sizes = [np.bincount(level) for level in all_levels]
    sums = [
        float(np.sum(np.bincount(level, results) ** 2 / size))
        for level, size in zip(all_levels, sizes, strict=True)
    ]
    n_factors = len(names)
    expected = np.zeros((n_factors + 1, n_factors))
    for i, outer in enumerate(all_levels):
        for j, (inner, inner_sizes) in enumerate(zip(numbers, sizes[1:], strict=True)):
            # each run is in one inner level; inner levels lie in one outer level or equal it
            shared = inner_sizes[inner] if j >= i else sizes[i][outer]
            expected[i, j] = np.sum(shared / sizes[i][outer])
    variances = np.linalg.solve(np.diff(expected, axis=0), np.diff(sums))
    return tuple(
        Component(
            name=name,
            variance=float(variances[at]),
            interval=_interval(float(np.diff(sums)[at]), int(df[at]))
            if at == n_factors - 1
            else (float("nan"), float("nan")),
            df=int(df[at]),
            n_levels=counts[at],
        )
        for at, name in enumerate(names)
    )


def _levels(
    factors: Mapping[str, npt.ArrayLike], n: int
) -> tuple[list[str], list[np.ndarray], list[int]]:
    """Names, level of each run and number of levels; a factor that adds no level joins the last."""
    names: list[str] = []
    numbers: list[np.ndarray] = []
    counts: list[int] = []
    path = np.zeros(n, dtype=np.int64)
    for name, labels in {**factors, RUN: np.arange(n)}.items():
        given = np.atleast_1d(np.asarray(labels))
        if given.shape != (n,):
            raise InputError(f"{name} has shape {given.shape}", allowed=f"({n},), one a value")
        own = np.unique(given, return_inverse=True)[1]
        path = np.unique(path * (own.max() + 1) + own, return_inverse=True)[1]
        count = int(path.max()) + 1
        if counts and count == counts[-1]:
            names[-1] += f", {name}" if name != RUN else ""
        elif count > 1:
            names.append(name)
            numbers.append(path)
            counts.append(count)
    return names, numbers, counts


def _interval(squares: float, df: int) -> Interval:
    from scipy import stats

    tail = (1 - CONFIDENCE) / 2
    low, high = (squares / float(stats.chi2.ppf(at, df)) for at in (1 - tail, tail))
    return low, high
