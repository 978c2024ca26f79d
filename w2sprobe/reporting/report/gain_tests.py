"""Tests of differences in AUC: of a single method, or of several with Holm's correction."""

import math
from collections.abc import Mapping

from w2sprobe.comparison import Analysis, Judgement, judgement
from w2sprobe.metrics import Estimate, holm
from w2sprobe.metrics.estimates import t_quantile
from w2sprobe.results import SummaryRow

POWER = 0.8  # probability of detecting a true difference of the size that counts as detectable


def gain_of(row: SummaryRow) -> Estimate | None:
    """A method's gain over the weak model; None if the results have no standard error."""
    if row.delta_auc_se is None or row.delta_auc_df is None:
        return None
    return Estimate(row.delta_auc, ((row.delta_auc_se**2, row.delta_auc_df),))


def judged(gain: Estimate, analysis: Analysis) -> Judgement:
    """Judge a single difference at the level and margin of the analysis.

    "better" and "worse" follow from the two-sided test, "no difference" from `equivalence`.

    Examples
    --------
    >>> judged(Estimate(-0.05, ((0.01**2, 99),)), Analysis())
    'worse'
    >>> judged(Estimate(0.002, ((0.003**2, 99),)), Analysis())
    'no difference'
    """
    return judgement(gain.value, gain.pvalue, equivalence(gain, analysis.margin), analysis)


def judged_together(
    gains: Mapping[str, Estimate], analysis: Analysis
) -> dict[str, tuple[float, Judgement]]:
    """P value after Holm, and judgement, of each difference; equivalence is not tested."""
    adjusted = holm([gain.pvalue for gain in gains.values()])
    return {
        name: (float(pvalue), judgement(gain.value, pvalue, math.nan, analysis))
        for (name, gain), pvalue in zip(gains.items(), adjusted, strict=True)
    }


def equivalence(gain: Estimate, margin: float) -> float:
    """P value of two one-sided tests (TOST): small if the difference lies within the margin.

    nan if the difference has no variance, as then there is no test.

    Notes
    -----
    The larger p value of the two tests (Schuirmann 1987, Journal of Pharmacokinetics and
    Biopharmaceutics 15), which is that of the nearer end of the margin.
    """
    if not gain.variance > 0:
        return math.nan
    beyond = abs(gain.value) - margin
    half = Estimate(beyond, gain.parts).pvalue / 2
    return half if beyond < 0 else 1 - half


def detectable(gain: Estimate, alpha: float) -> float:
    """Smallest true difference that a two-sided test with this standard error detects.

    Notes
    -----
    (t(1 - alpha / 2) + t(power)) SE, with a power of 80 %: Bloom 1995, Evaluation Review 19.
    """
    return (gain.critical(alpha / 2) + t_quantile(1 - POWER, gain.df)) * gain.se
