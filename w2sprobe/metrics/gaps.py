"""When a gap between weak model and ceiling is resolved, and how many test rows that takes."""

import math
from bisect import bisect_left

from w2sprobe.errors import InputError
from w2sprobe.metrics.estimates import Estimate

MIN_GAP = 0.03  # a smaller gap between weak model and ceiling is never resolved
MIN_GAP_SE = 4.0  # nor is a gap of fewer standard errors
TIE_DECIMALS = 12  # values that agree to this precision tie, so rounding noise decides no rank
ROW_DECIMALS = 6  # a number of rows is rounded to this before ceil, lest noise add a row


def gap_objection(
    gap: Estimate, *, min_gap: float = MIN_GAP, min_gap_se: float = MIN_GAP_SE
) -> str:
    """Say why a gap between weak model and ceiling is too small to divide by; empty if it is not.

    Parameters
    ----------
    gap : Estimate
        ceiling_auc - weak_auc. Without parts its error is unknown: then only `min_gap` applies.
    min_gap : float
        Smallest gap.
    min_gap_se : float
        Smallest gap in standard errors. The gap's 95 % interval must lie above 0 as well.

    Examples
    --------
    >>> gap_objection(Estimate(0.1, ((0.02**2, 300),)))
    ''
    >>> gap_objection(Estimate(0.1, ((0.04**2, 300),)))
    'gap/SE 2.5 < 4'
    >>> gap_objection(Estimate(0.1, ((0.02**2, 1),)))  # two seeds
    'gap/SE 5.0 < 12.7'
    """
    if round(gap.value, TIE_DECIMALS) == 0:
        return "no gap"
    if round(gap.value, TIE_DECIMALS) < min_gap:
        return f"gap {gap.value:.3f} < {min_gap:g}"
    if not gap.parts:
        return ""
    # Two seeds that agree by luck have a small standard error, but few degrees of freedom.
    needed = max(min_gap_se, gap.critical())
    if gap.value < needed * gap.se:
        return f"gap/SE {gap.value / gap.se:.1f} < {needed:.3g}"
    return ""


def rows_to_resolve(
    gap: float,
    gap_se: float,
    n_rows: int,
    *,
    min_gap: float = MIN_GAP,
    min_gap_se: float = MIN_GAP_SE,
) -> int | None:
    """Test rows with which a measured gap would be `min_gap_se` standard errors.

    Parameters
    ----------
    gap : float
        ceiling_auc - weak_auc, as measured.
    gap_se : float
        Its standard error, 0 or more.
    n_rows : int
        Test rows of that measurement.
    min_gap, min_gap_se : float
        As in `gap_objection`.

    Returns
    -------
    int or None
        At least 2; `n_rows` or fewer where the gap is resolved. None where no number of rows helps:
        the gap is below `min_gap`, or not positive. About half of all samples of this size resolve
        the gap.

    Raises
    ------
    InputError
        A number is not finite, `gap_se` is negative, or there is no row.

    Examples
    --------
    >>> rows_to_resolve(0.1, 0.05, 500)
    2000
    """
    if not (math.isfinite(gap) and math.isfinite(gap_se)) or gap_se < 0:
        raise InputError(f"gap is {gap!r}, gap_se {gap_se!r}", allowed="finite, gap_se 0 or more")
    if n_rows < 1:
        raise InputError(f"n_rows is {n_rows!r}", allowed="1 or more")
    if round(gap, TIE_DECIMALS) <= 0 or round(gap, TIE_DECIMALS) < min_gap:
        return None
    # The difference of two AUCs on the same rows is a two-sample U statistic: its variance falls as
    # 1 / rows while class shares stay (van der Vaart 1998, Asymptotic Statistics, chapter 12), so
    # gap >= k SE(n) with SE(n) = gap_se sqrt(n_rows / n) gives n = n_rows (k gap_se / gap)^2.
    return max(2, math.ceil(round(n_rows * (min_gap_se * gap_se / gap) ** 2, ROW_DECIMALS)))


def expected_gap_se(
    auc_weak: float, auc_ceiling: float, n_rows: float, correlation: float
) -> float:
    """Expected standard error of a gap that is not yet measured, with balanced classes.

    Parameters
    ----------
    auc_weak, auc_ceiling : float
        Guessed, in [0, 1].
    n_rows : float, at least 2
        Independent test rows.
    correlation : float
        Correlation of the two AUCs over samples of test rows, in [-1, 1]; 0 if each model is scored
        on other rows.

    Returns
    -------
    float
        0 where both AUCs are 0 or 1.

    Raises
    ------
    InputError
        A number is out of range.

    Examples
    --------
    >>> round(expected_gap_se(0.717, 0.801, 638, 0), 4)  # wic, as published
    0.0267
    """
    for name, value in (("auc_weak", auc_weak), ("auc_ceiling", auc_ceiling)):
        if not 0 <= value <= 1:
            raise InputError(f"{name} is {value!r}", allowed="0 to 1")
    if not n_rows >= 2:
        raise InputError(f"n_rows is {n_rows!r}", allowed="2 or more")
    if not -1 <= correlation <= 1:
        raise InputError(f"correlation is {correlation!r}", allowed="-1 to 1")
    weak, ceiling = (_auc_variance(auc, n_rows / 2) for auc in (auc_weak, auc_ceiling))
    # Hanley & McNeil 1983, Radiology 148; max: equal AUCs with correlation 1 leave rounding noise
    return math.sqrt(max(0.0, weak + ceiling - 2 * correlation * math.sqrt(weak * ceiling)))


def rows_for_gap(
    gap: float = MIN_GAP,
    auc: float = 0.8,
    correlation: float = 0.7,
    *,
    min_gap_se: float = MIN_GAP_SE,
) -> int:
    """Test rows with which a gap is expected to be resolved, before anything is measured.

    Parameters
    ----------
    gap : float, above 0
        Smallest gap to resolve.
    auc : float
        AUC of the weak model; the ceiling has auc + gap, at most 1. Nearer to 1/2: more rows.
    correlation : float
        As in `expected_gap_se`; lower: more rows. The default is a guess.
    min_gap_se : float
        Standard errors that the gap shall have.

    Returns
    -------
    int
        Rows of both classes together, half in each. About half of all samples of this size resolve
        the gap, and 95 % of samples of twice this size: the gap is then 5.7 standard errors, not 4.

    Raises
    ------
    InputError
        A number is out of range; as `expected_gap_se`.

    Examples
    --------
    >>> rows_for_gap(), rows_for_gap(0.1)
    (1958, 161)
    """
    if not gap > 0:
        raise InputError(f"gap is {gap!r}", allowed="above 0")
    if not 0 <= min_gap_se < math.inf:
        raise InputError(f"min_gap_se is {min_gap_se!r}", allowed="finite, 0 or more")
    # the variance of an AUC is at most 1/4 / (n / 2), that of a gap at most 4 times as large
    enough = 3 + math.ceil(2 * (min_gap_se / gap) ** 2)
    return 2 + bisect_left(
        range(2, enough),
        True,  # noqa: FBT003
        key=lambda n: gap >= min_gap_se * expected_gap_se(auc, auc + gap, n, correlation),
    )


def _auc_variance(auc: float, per_class: float) -> float:
    """Variance of an AUC with `per_class` rows in each class.

    Hanley & McNeil 1982, Radiology 143, equations 1 and 2: exact for exponentially distributed
    scores, approximate for others.
    """
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    return (auc * (1 - auc) + (per_class - 1) * (q1 + q2 - 2 * auc**2)) / per_class**2
