"""A number with what makes it uncertain: test rows, seeds, cuts of the rows."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
LEAST_PVALUE = 1e-300

Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """A number and the variance that each source of noise gives it.

    Parameters
    ----------
    value : float
    parts : tuple of (float, float)
        Variance and degrees of freedom of each independent source. The variance of test rows is
        known from many rows; that of seeds is estimated from the few seeds there are.

    Notes
    -----
    With two or three seeds, t quantiles at Welch and Satterthwaite's degrees of freedom give too
    narrow intervals: where the seeds agree by luck, their variance is underestimated and their few
    degrees of freedom lose their weight at the same time. Cochran & Cox (1950, Experimental
    Designs, section 4.6) average the quantiles of the parts instead, weighted with their variances,
    which never uses fewer than the nominal confidence. `benchmarks/coverage.py` measures both.

    Examples
    --------
    >>> rows_alone = Estimate(0.1, ((0.0004, math.inf),))
    >>> [round(end, 3) for end in rows_alone.interval]
    [0.061, 0.139]
    >>> and_two_seeds = Estimate(0.1, ((0.0004, math.inf), (0.0001, 1)))
    >>> [round(end, 3) for end in and_two_seeds.interval]
    [0.008, 0.192]
    """

    value: float
    parts: tuple[tuple[float, float], ...]

    @property
    def variance(self) -> float:
        """Sum of the parts."""
        return math.fsum(variance for variance, _ in self.parts)

    @property
    def se(self) -> float:
        """Standard error."""
        return math.sqrt(self.variance)

    @property
    def interval(self) -> Interval:
        """Two-sided 95 % interval; the value itself where nothing varies."""
        reach = self.critical() * self.se
        return self.value - reach, self.value + reach

    def critical(self, tail: float = (1 - CONFIDENCE) / 2) -> float:
        """Standard errors that the interval reaches to either side.

        Parameters
        ----------
        tail : float, in (0, .5)
            Probability beyond each end.

        Returns
        -------
        float
        """
        if not self.parts or math.isnan(self.variance):
            return math.nan
        quantiles = [t_quantile(tail, df) for _, df in self.parts]
        if not self.variance:
            return max(quantiles)
        return (
            math.fsum(v * t for (v, _), t in zip(self.parts, quantiles, strict=True))
            / self.variance
        )

    @property
    def pvalue(self) -> float:
        """Two-sided p value of the hypothesis that the true number is 0.

        The smallest p whose interval of confidence 1 - p excludes 0. nan where the value is not 0
        although nothing varies: there is no noise to hold it against.
        """
        if math.isnan(self.value) or math.isnan(self.variance):
            return math.nan
        if not self.variance:
            return 1.0 if self.value == 0 else math.nan
        ratio = abs(self.value) / self.se

        def excess(log_p: float) -> float:
            return self.critical(math.exp(log_p) / 2) - ratio

        least = math.log(LEAST_PVALUE)
        if excess(least) < 0:
            return LEAST_PVALUE
        from scipy.optimize import brentq

        return math.exp(float(brentq(excess, least, 0.0))) if ratio else 1.0


def mean_of_runs(values: npt.ArrayLike, row_variance: float, row_df: float = math.inf) -> Estimate:
    """Mean over independent runs that were scored on the same rows.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        One number a run; their spread is that of seeds.
    row_variance : float
        Variance that the shared rows give to each of them; it does not fall with their number. nan
        where it is not known: then it is left out.
    row_df : float
        Its degrees of freedom.

    Returns
    -------
    Estimate
    """
    runs = np.asarray(values, dtype=np.float64)
    parts = [] if math.isnan(row_variance) else [(float(row_variance), row_df)]
    if len(runs) > 1:
        parts.append((float(runs.var(ddof=1)) / len(runs), len(runs) - 1.0))
    return Estimate(float(runs.mean()), tuple(parts))


def t_quantile(tail: float, df: float) -> float:
    """Student's t quantile with probability `tail` above it; the normal one for infinite `df`."""
    from scipy import special  # scipy.stats takes a second to load

    if math.isinf(df):
        return -float(special.ndtri(tail))
    return -float(special.stdtrit(df, tail))
