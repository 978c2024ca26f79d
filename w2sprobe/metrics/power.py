"""What a number of tasks or seeds can show before anything is run: least effect, least p value."""

import math
from collections.abc import Callable

from w2sprobe.errors import InputError, UnknownName
from w2sprobe.metrics.tasks import ALTERNATIVES


def detectable_effect(
    sd: float, n: int, *, alpha: float = 0.05, power: float = 0.8, alternative: str = "two-sided"
) -> float:
    """Smallest true mean difference that a paired t test finds with the wanted power.

    Parameters
    ----------
    sd : float, 0 or more
        Standard deviation of the n differences, in their own unit.
    n : int, at least 2
        Differences: tasks, or seeds.
    alpha : float, in (0, 1)
        Level of the test. Divide it by the number of methods for the first step of Holm.
    power : float, in (alpha, 1)
        Chance that the test rejects where the true mean is what this returns.

    Returns
    -------
    float
        Size of the mean, 0 or more, whatever its direction.

    Raises
    ------
    InputError
        A number is out of range.
    UnknownName
        No such alternative.

    Notes
    -----
    Exact for normal differences (Cohen 1988, Statistical Power Analysis, chapter 2; Julious 2004,
    Statistics in Medicine 23, section 3.2).

    Examples
    --------
    >>> round(detectable_effect(0.05, 8), 4)
    0.0578
    """
    from scipy import optimize, stats

    _check(sd, n, alpha, power)
    if alternative not in ALTERNATIVES:
        raise UnknownName("alternative", alternative, ALTERNATIVES)
    critical = float(stats.t.isf(alpha / 2 if alternative == "two-sided" else alpha, n - 1))

    def power_of(noncentrality: float) -> float:
        # t is noncentral t with noncentrality sqrt(n) mean / sd, and t^2 noncentral F; the latter
        # for two sides, since scipy's nct.cdf is nan far out in a tail
        if alternative == "two-sided":
            return float(stats.ncf.sf(critical**2, 1, n - 1, noncentrality**2))
        return float(stats.nct.sf(critical, n - 1, noncentrality))

    return sd / math.sqrt(n) * _root(optimize.brentq, power_of, power, max(1.0, critical))


def least_pvalue(n: int, alternative: str = "two-sided") -> float:
    """Least p value that the sign test and Wilcoxon's signed-rank test can give.

    Parameters
    ----------
    n : int, 0 or more
        Differences that are not 0.

    Returns
    -------
    float
        In (0, 1]: the p value where all differences have the same sign.

    Raises
    ------
    InputError
        n is negative.
    UnknownName
        No such alternative.

    Examples
    --------
    >>> least_pvalue(8), least_pvalue(8, "greater")
    (0.0078125, 0.00390625)
    """
    if n < 0:
        raise InputError(f"n is {n!r}", allowed="0 or more")
    if alternative not in ALTERNATIVES:
        raise UnknownName("alternative", alternative, ALTERNATIVES)
    # under the hypothesis all 2^n patterns of signs are equally likely
    sides = 2 if alternative == "two-sided" else 1
    return min(1.0, sides * 0.5**n)


def _check(sd: float, n: int, alpha: float, power: float) -> None:
    if not 0 <= sd < math.inf:
        raise InputError(f"sd is {sd!r}", allowed="finite, 0 or more")
    if n < 2:
        raise InputError(f"n is {n!r}", allowed="2 or more")
    if not 0 < alpha < 1:
        raise InputError(f"alpha is {alpha!r}", allowed="above 0, below 1")
    if not alpha < power < 1:
        raise InputError(f"power is {power!r}", allowed=f"above alpha, {alpha!r}, below 1")


def _root(
    solve: Callable[..., float], power_of: Callable[[float], float], power: float, start: float
) -> float:
    """Noncentrality with this power, which rises with it."""
    high = start
    while power_of(high) < power:
        high *= 2
    return float(solve(lambda x: power_of(x) - power, 0.0, high, xtol=1e-12))
