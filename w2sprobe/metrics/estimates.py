"""A number with its sources of noise: test rows, seeds, cuts of the rows."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95

Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """A number and the variance that each source of noise gives it.

    Parameters
    ----------
    parts : tuple of (float, float)
        Variance and degrees of freedom of each independent source: the variance of test rows is
        known from many rows, that of seeds is estimated from few. Empty: nothing is known of the
        noise.

    Examples
    --------
    >>> of_rows = Estimate(0.1, ((0.0004, math.inf),))
    >>> [round(end, 3) for end in of_rows.interval]
    [0.061, 0.139]
    >>> of_rows_and_two_seeds = Estimate(0.1, ((0.0004, math.inf), (0.0001, 1)))
    >>> [round(end, 3) for end in of_rows_and_two_seeds.interval]
    [0.038, 0.162]
    """

    value: float
    parts: tuple[tuple[float, float], ...]

    @property
    def variance(self) -> float:
        """Sum of the parts; nan without any."""
        return math.fsum(variance for variance, _ in self.parts) if self.parts else math.nan

    @property
    def se(self) -> float:
        """Standard error."""
        return math.sqrt(self.variance)

    @property
    def df(self) -> float:
        """Degrees of freedom of the variance; nan without parts.

        Notes
        -----
        Satterthwaite 1946, Biometrics Bulletin 2: (sum of v)^2 / sum of v^2 / df over the variances
        v of the parts, here with each v multiplied by 1 + 3 / df.
        """
        # Few seeds that agree by luck have too small a variance, and with it too little weight in
        # the degrees of freedom: plain Satterthwaite intervals of 95 % hold the truth in 87 % of
        # trials at worst with two seeds, in 92 % with three. The factor (4 for two seeds, 1 for
        # many rows) leaves 92 and 94 % (normal noise; `benchmarks/coverage.py` measures AUC).
        weighed = [(variance * (1 + 3 / df), df) for variance, df in self.parts]
        total = math.fsum(v for v, _ in weighed)
        if not total:
            return min((df for _, df in self.parts), default=math.nan)
        squares = math.fsum(v**2 / df for v, df in weighed)
        return float(total**2 / squares) if squares else math.inf

    def critical(self, tail: float = (1 - CONFIDENCE) / 2) -> float:
        """Half width of an interval in standard errors.

        Parameters
        ----------
        tail : float, in (0, .5)
            Probability beyond each end.
        """
        return t_quantile(tail, self.df)

    @property
    def interval(self) -> Interval:
        """Two-sided 95 % interval; the value itself where nothing varies."""
        reach = self.critical() * self.se
        return self.value - reach, self.value + reach

    @property
    def pvalue(self) -> float:
        """Two-sided p value of the hypothesis that the true number is 0.

        nan where nothing varies although the value is not 0.
        """
        if not self.variance:
            return 1.0 if self.value == 0 else math.nan
        from scipy import special  # scipy.stats takes a second to load

        ratio = abs(self.value) / self.se
        tail = special.ndtr(-ratio) if math.isinf(self.df) else special.stdtr(self.df, -ratio)
        return float(2 * tail)


def mean_of_runs(values: npt.ArrayLike, row_variance: float, row_df: float = math.inf) -> Estimate:
    """Mean over independent runs that were scored on the same rows.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        One number per run; their spread is that of seeds.
    row_variance : float
        Variance that the shared rows give to each of them; it does not fall with their number. nan
        where it is not known: then it is left out.
    row_df : float
        Its degrees of freedom.
    """
    runs = np.asarray(values, dtype=np.float64)
    parts = [] if math.isnan(row_variance) else [(float(row_variance), row_df)]
    if len(runs) > 1:
        parts.append((float(runs.var(ddof=1)) / len(runs), len(runs) - 1.0))
    return Estimate(float(runs.mean()), tuple(parts))


def t_quantile(tail: float, df: float) -> float:
    """Student's t quantile with probability `tail` above it; the normal one for infinite `df`."""
    from scipy import special

    if math.isinf(df):
        return -float(special.ndtri(tail))
    return -float(special.stdtrit(df, tail))
