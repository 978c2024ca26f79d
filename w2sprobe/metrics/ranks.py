"""Rank correlation of two numbers over the same points, with interval and test."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from w2sprobe.errors import InputError
from w2sprobe.metrics.estimates import CONFIDENCE, Interval
from w2sprobe.metrics.gaps import TIE_DECIMALS

LEAST_POINTS = 4  # for an interval and a test: the variance of z divides by n - 3
N_PERMUTATIONS = 9999
UNKNOWN = float("nan")


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's correlation.

    Parameters
    ----------
    n : int
        Points.
    correlation : float
        In [-1, 1]; nan for fewer than 2 points, or where x or y is the same everywhere.
    interval : tuple of float
        95 %; nan for fewer than 4 points, and where the correlation is -1, 1 or nan.
    pvalue : float
        Two-sided permutation test; nan for fewer than 4 points or where the correlation is nan.
    """

    n: int
    correlation: float = UNKNOWN
    interval: Interval = (UNKNOWN, UNKNOWN)
    pvalue: float = UNKNOWN


def rank_correlation(x: npt.ArrayLike, y: npt.ArrayLike, *, seed: int = 0) -> RankCorrelation:
    """Spearman's rank correlation with a 95 % interval and a permutation test.

    Parameters
    ----------
    x, y : array_like of float, shape (n,)
        Infinite values have a rank, nan has none. Values that agree to `TIE_DECIMALS` decimals tie.
    seed : int
        Seed of the random permutations.

    Returns
    -------
    RankCorrelation
        Interval and test assume independent points.

    Raises
    ------
    InputError
        Shapes differ, or a value is nan.

    Examples
    --------
    >>> rank_correlation([1, 2, 3, 4, 5], [1, 3, 2, 5, 4]).correlation
    0.8
    """
    from scipy import stats

    first, second = (np.asarray(values, dtype=np.float64) for values in (x, y))
    if first.ndim != 1 or first.shape != second.shape:
        raise InputError(f"x and y have shapes {first.shape} and {second.shape}", allowed="(n,)")
    if np.isnan(first).any() or np.isnan(second).any():
        raise InputError("x or y holds nan", allowed="numbers", advice="Leave the point out.")
    n = len(first)
    # twice the midrank is an integer: sums of products are exact, and equal permutations tie
    ranks = [2 * stats.rankdata(np.round(values, TIE_DECIMALS)) for values in (first, second)]
    if n < 2 or any(np.ptp(of_column) == 0 for of_column in ranks):
        return RankCorrelation(n)
    a, b = (of_column - (n + 1) for of_column in ranks)
    correlation = float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))
    if n < LEAST_POINTS:
        return RankCorrelation(n, correlation)
    # up to 7 points scipy takes all orders, as there are fewer than N_PERMUTATIONS
    test = stats.permutation_test(
        (a,),
        lambda permuted, axis: (permuted * b).sum(axis=axis),
        permutation_type="pairings",
        vectorized=True,
        n_resamples=N_PERMUTATIONS,
        rng=np.random.default_rng(seed),
    )
    return RankCorrelation(n, correlation, _interval(correlation, n), float(test.pvalue))


def _interval(correlation: float, n: int) -> Interval:
    """Fisher's z with the variance of Bonett & Wright 2000, Psychometrika 65."""
    from scipy import stats

    if abs(correlation) >= 1:
        return UNKNOWN, UNKNOWN
    reach = stats.norm.ppf((1 + CONFIDENCE) / 2) * math.sqrt((1 + correlation**2 / 2) / (n - 3))
    z = math.atanh(correlation)
    return math.tanh(z - reach), math.tanh(z + reach)
