"""A number with what makes it uncertain: test rows, seeds, cuts of the rows."""

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
    value : float
    parts : tuple of (float, float)
        Variance and degrees of freedom of each independent source: the variance of test rows is
        known from many rows, that of seeds is estimated from the few seeds there are. Without
        parts, nothing is known of the noise.

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
        Satterthwaite (1946, Biometrics Bulletin 2): (sum of v)^2 / sum of v^2 / df, over the
        variances v of the parts. Few seeds that agree by luck have too small a variance, and with
        it too little say in the degrees of freedom: at worst, 95 % intervals then hold the truth in
        87 % of trials with two seeds and in 92 % with three. Here each variance counts 1 + 3 / df
        times in the degrees of freedom, 4 times for two seeds and once for many rows, which leaves
        92 and 94 % at worst and at most 96 % (normal noise, simulated; `benchmarks/coverage.py`
        measures it for AUC).
        """
        weighed = [(variance * (1 + 3 / df), df) for variance, df in self.parts]
        total = math.fsum(v for v, _ in weighed)
        if not total:
            return min((df for _, df in self.parts), default=math.nan)
        squares = math.fsum(v**2 / df for v, df in weighed)
        return float(total**2 / squares) if squares else math.inf

    def critical(self, tail: float = (1 - CONFIDENCE) / 2) -> float:
        """Standard errors that an interval reaches to either side.

        Parameters
        ----------
        tail : float, in (0, .5)
            Probability beyond each end.

        Returns
        -------
        float
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

        nan where the value is not 0 although nothing varies: there is no noise to hold it against.
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
    from scipy import special

    if math.isinf(df):
        return -float(special.ndtri(tail))
    return -float(special.stdtrit(df, tail))
