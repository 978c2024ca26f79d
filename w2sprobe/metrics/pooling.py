"""All tasks in one model: the mean gain, its spread over tasks, and the pooled PGR.

No task is left out for its small gap: noisy tasks weigh less instead.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from w2sprobe.errors import InputError
from w2sprobe.metrics._checks import check_scores
from w2sprobe.metrics.estimates import CONFIDENCE, Interval, t_quantile
from w2sprobe.metrics.gaps import TIE_DECIMALS

MIN_TASKS_FOR_SLOPE = 4
NO_INTERVAL = (math.nan, math.nan)


@dataclass(frozen=True)
class PooledTasks:
    """Random-effects model of gains over tasks; intervals are of 95 %, p values two-sided.

    Parameters
    ----------
    n : int
        Tasks.
    mean : float
        Expected gain of a task with the mean gap; nan without tasks.
    shrunken : tuple of float
        Each task's gain, shrunken towards the model's prediction, noisier ones more; the gain
        itself without standard errors.
    shrunken_intervals : tuple of tuple of float
        nan without standard errors.
    pvalue : float
        Of the hypothesis that the mean is 0.
    tau : float
        Standard deviation of the tasks' true gains around the model; without standard errors of the
        gains it holds their noise as well.
    slope : float
        Change of the expected gain for each unit of gap; nan without one.
    """

    n: int
    mean: float
    shrunken: tuple[float, ...]
    shrunken_intervals: tuple[Interval, ...]
    mean_interval: Interval = NO_INTERVAL
    pvalue: float = math.nan
    tau: float = math.nan
    slope: float = math.nan
    slope_interval: Interval = NO_INTERVAL
    slope_pvalue: float = math.nan


@dataclass(frozen=True)
class RatioOfMeans:
    """Ratio of two sums over the same tasks.

    Parameters
    ----------
    value : float
        nan where the denominator is 0.
    interval : tuple of float
        Fieller's 95 % interval; (-inf, inf) where the interval of the mean denominator includes 0
        or lies below; nan for fewer than 2 tasks.
    n : int
        Tasks.
    """

    value: float
    interval: Interval
    n: int


def pool_tasks(
    gain: npt.ArrayLike, gain_se: npt.ArrayLike | None = None, gap: npt.ArrayLike | None = None
) -> PooledTasks:
    """Partial pooling of gains over tasks, with the gap as covariate.

    Parameters
    ----------
    gain : array_like of float, shape (n,)
        Finite; each task's AUC of a method less that of its weak model.
    gain_se : array_like of float, shape (n,), optional
        Standard errors of the gains over test rows and seeds, 0 or more. Used only if all are above
        0: a task of error 0 (all AUCs are 1) would decide alone.
    gap : array_like of float, shape (n,), optional
        Finite; ceiling_auc - weak_auc of each task. Left out of the model with fewer than
        `MIN_TASKS_FOR_SLOPE` tasks or equal gaps.

    Returns
    -------
    PooledTasks
        Without intervals and p values for fewer than 2 tasks. Read the slope as a description:
        noise of the measured gap biases it, to 0 by the ceiling's noise and to 1 by the weak
        model's.

    Raises
    ------
    InputError
        Shapes differ, a value is not finite, or a standard error is negative.

    Notes
    -----
    gain_t = mean + slope (gap_t - mean gap) + u_t + e_t with var(u_t) = tau² and known var(e_t) =
    gain_se_t²: the area model of Fay & Herriot 1979, JASA 74.

    Examples
    --------
    >>> pooled = pool_tasks([0.01, 0.07, 0.03, 0.15], gain_se=[0.01, 0.01, 0.01, 0.05])
    >>> [round(gain, 3) for gain in pooled.shrunken]
    [0.012, 0.069, 0.031, 0.1]
    """
    values = np.asarray(gain, dtype=np.float64)
    if values.ndim != 1:
        raise InputError(f"gain has shape {values.shape}", allowed="(n,)")
    n = len(check_scores(values, "gain", values.size))
    variances = _variances(gain_se, n)
    columns = [np.ones(n)]
    if gap is not None:
        gaps = check_scores(np.asarray(gap, dtype=np.float64), "gap", n)
        if n >= MIN_TASKS_FOR_SLOPE and np.ptp(np.round(gaps, TIE_DECIMALS)):
            columns.append(gaps - gaps.mean())
    if n < 2:
        mean = float(values[0]) if n else math.nan
        return PooledTasks(n, mean, tuple(values.tolist()), (NO_INTERVAL,) * n)
    return _fitted(values, variances, np.column_stack(columns))


def pooled_pgr(gain: npt.ArrayLike, gap: npt.ArrayLike) -> RatioOfMeans:
    """PGR of all tasks together: sum of the gains over sum of the gaps.

    Parameters
    ----------
    gain, gap : array_like of float, shape (n,)
        Finite; student_auc - weak_auc and ceiling_auc - weak_auc of each task, whether its gap is
        resolved or not. Selecting tasks by their measured gap would make the PGR too small.

    Returns
    -------
    RatioOfMeans
        With the interval of Fieller 1954, Journal of the Royal Statistical Society B 16.

    Raises
    ------
    InputError
        Shapes differ, or a value is not finite.

    Examples
    --------
    >>> round(pooled_pgr([0.02, 0.03, 0.01], [0.1, 0.1, 0.05]).value, 2)
    0.24
    """
    numerators = np.asarray(gain, dtype=np.float64)
    if numerators.ndim != 1:
        raise InputError(f"gain has shape {numerators.shape}", allowed="(n,)")
    n = len(check_scores(numerators, "gain", numerators.size))
    denominators = check_scores(np.asarray(gap, dtype=np.float64), "gap", n)
    total = float(denominators.sum())
    value = float(numerators.sum()) / total if total else math.nan
    if n < 2:
        return RatioOfMeans(value, NO_INTERVAL, n)
    critical = _critical(n - 1)
    (variance, covariance), (_, gap_variance) = np.cov(numerators, denominators) / n
    gain_mean, gap_mean = numerators.mean(), denominators.mean()
    # The interval includes every rho for which the t test over tasks does not reject a mean of
    # gain_t - rho gap_t of 0, that is a rho² - 2 b rho + c <= 0.
    a = gap_mean**2 - critical**2 * gap_variance
    b = gain_mean * gap_mean - critical**2 * covariance
    c = gain_mean**2 - critical**2 * variance
    if a <= 0 or gap_mean < 0:
        return RatioOfMeans(value, (-math.inf, math.inf), n)
    root = math.sqrt(max(0.0, b**2 - a * c))  # below 0 by rounding only, as a is above 0
    return RatioOfMeans(value, (float((b - root) / a), float((b + root) / a)), n)


def _variances(gain_se: npt.ArrayLike | None, n: int) -> np.ndarray | None:
    """Squares of the standard errors; None where the model cannot use them."""
    if gain_se is None:
        return None
    errors = check_scores(np.asarray(gain_se, dtype=np.float64), "gain_se", n)
    if (errors < 0).any():
        raise InputError(f"gain_se is {errors.min():g}", allowed="0 or more")
    return errors**2 if errors.all() else None


def _fitted(values: np.ndarray, variances: np.ndarray | None, design: np.ndarray) -> PooledTasks:
    """Fit by weighted least squares, and shrink the gains of single tasks."""
    n, p = design.shape
    if variances is None:
        weights = np.ones(n)
        coefficients, inverse, residuals = _least_squares(values, weights, design)
        tau2 = float(residuals @ residuals) / (n - p)
    else:
        tau2 = _paule_mandel(values, variances, design)
        weights = 1 / (tau2 + variances)
        coefficients, inverse, residuals = _least_squares(values, weights, design)
    # ratio of observed to expected spread, 1 wherever tau² is above 0: Knapp & Hartung 2003,
    # Statistics in Medicine 22, eq. 7; with equal errors the intervals are those of Student's t
    scale = float(weights @ residuals**2) / (n - p)
    variance_of = scale * np.diag(inverse)
    mean, mean_interval, pvalue = _inference(coefficients[0], variance_of[0], n - p)
    slope, slope_interval, slope_pvalue = (
        _inference(coefficients[1], variance_of[1], n - p)
        if p > 1
        else (math.nan, NO_INTERVAL, math.nan)
    )
    shrunken, reach = values, np.full(n, math.nan)
    if variances is not None:
        noise = variances * weights  # share of a gain's variance that is noise
        shrunken = values - noise * residuals
        reach = _critical(n - p) * _prediction_se(noise, weights, tau2, design, inverse)
    low, high = (shrunken - reach).tolist(), (shrunken + reach).tolist()
    return PooledTasks(
        n=n,
        mean=mean,
        mean_interval=mean_interval,
        pvalue=pvalue,
        tau=math.sqrt(tau2),
        slope=slope,
        slope_interval=slope_interval,
        slope_pvalue=slope_pvalue,
        shrunken=tuple(shrunken.tolist()),
        shrunken_intervals=tuple(zip(low, high, strict=True)),
    )


def _critical(df: int) -> float:
    return t_quantile((1 - CONFIDENCE) / 2, df)


def _inference(coefficient: float, variance: float, df: int) -> tuple[float, Interval, float]:
    """Coefficient, its t interval and its two-sided p value; nan where nothing varies."""
    from scipy import special

    value, se = float(coefficient), math.sqrt(variance)
    reach = _critical(df) * se
    pvalue = 2 * float(special.stdtr(df, -abs(value) / se)) if se else math.nan
    return value, (value - reach, value + reach), pvalue


def _prediction_se(
    noise: np.ndarray, weights: np.ndarray, tau2: float, design: np.ndarray, inverse: np.ndarray
) -> np.ndarray:
    """Standard errors of the shrunken gains (Prasad & Rao 1990, JASA 85)."""
    g1 = noise * tau2  # the noise that is left
    g2 = noise**2 * np.einsum("ti,ij,tj->t", design, inverse, design)  # of the coefficients
    # of tau², for this estimator: Datta, Rao & Smith 2005, Biometrika 92, without their correction
    # for bias, which would narrow the intervals of unequally noisy tasks a little
    g3 = noise**2 * weights * 2 * len(noise) / weights.sum() ** 2
    return np.asarray(np.sqrt(g1 + g2 + 2 * g3))


def _least_squares(
    values: np.ndarray, weights: np.ndarray, design: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted coefficients, (XᵀWX)⁻¹ and residuals; rounding noise of these is 0."""
    inverse = np.linalg.inv((design.T * weights) @ design)
    coefficients = inverse @ (design.T @ (weights * values))
    residuals = values - design @ coefficients
    return coefficients, inverse, np.where(np.round(residuals, TIE_DECIMALS), residuals, 0.0)


def _paule_mandel(values: np.ndarray, variances: np.ndarray, design: np.ndarray) -> float:
    """Variance tau² between tasks for which the weighted squares of the residuals are n - p.

    Paule & Mandel 1982, Journal of Research of the National Bureau of Standards 87; 0 where there
    is no solution.
    """
    from scipy.optimize import brentq

    n, p = design.shape

    def excess(tau2: float) -> float:
        weights = 1 / (tau2 + variances)
        residuals = _least_squares(values, weights, design)[2]
        return float(weights @ residuals**2 - (n - p))

    if excess(0.0) <= 0:
        return 0.0
    # excess falls with tau²; here the weighted squares are at most those of equal weights / tau²
    plain = _least_squares(values, np.ones(n), design)[2]
    return float(brentq(excess, 0.0, float(plain @ plain) / (n - p)))
