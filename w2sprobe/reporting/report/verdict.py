"""What the results of one task say, in sentences: first the answer, then how sure it is.

A sentence that claims a difference, or that there is none, stands on one test at the level of the
analysis; where it is about several methods, on tests after Holm's correction for them.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from w2sprobe.comparison import Analysis, Judgement, judgement, role_of
from w2sprobe.metrics import Estimate, holm
from w2sprobe.metrics.estimates import t_quantile
from w2sprobe.reporting.numbers import with_interval
from w2sprobe.reporting.wording import (
    ENDS,
    STUDENT,
    counted,
    gap_text,
    noise_in_words,
    p_text,
    plain,
    why_unresolved,
)
from w2sprobe.results import SummaryRow

Word = Literal["yes", "no", "no difference", "undecided", "not tested"]
WORDS: dict[Judgement, Word] = {
    "better": "yes",
    "worse": "no",
    "no difference": "no difference",
    "undecided": "undecided",
}
POWER = 0.8  # of the smallest difference that is said to be found
FEW = 4  # as many undecided methods are named, more are counted


@dataclass(frozen=True)
class Verdict:
    """Sentences of a report's head.

    Parameters
    ----------
    word : {"yes", "no", "no difference", "undecided", "not tested"}
        Is the baseline, the plain student, better than its supervisor? "no": it is worse, and "no
        difference": none beyond the margin, each by a test. "not tested": there is no baseline, or
        results of an earlier version have no standard errors.
    answer : str
        The same as a sentence, with its numbers.
    grounds : tuple of str
        Which methods help, how sure we are.
    figures : tuple of (str, str)
        The numbers that the answer stands on, with their names.
    """

    word: Word
    answer: str
    grounds: tuple[str, ...]
    figures: tuple[tuple[str, str], ...] = ()


def judged(gain: Estimate, analysis: Analysis) -> Judgement:
    """What tests say of an estimated difference.

    Parameters
    ----------
    gain : Estimate
    analysis : Analysis
        Has the level and the margin.

    Returns
    -------
    {"better", "worse", "no difference", "undecided"}
        "better" and "worse" by the two-sided test; "no difference" by two one-sided tests (TOST):
        the interval of 1 - 2 alpha lies within the margin.

    Examples
    --------
    >>> judged(Estimate(-0.05, ((0.01**2, 99),)), Analysis())
    'worse'
    >>> judged(Estimate(0.002, ((0.003**2, 99),)), Analysis())
    'no difference'
    """
    return judgement(gain.value, gain.pvalue, equivalence(gain, analysis.margin), analysis)


def equivalence(gain: Estimate, margin: float) -> float:
    """P value of two one-sided tests: small where the difference surely lies within the margin.

    Parameters
    ----------
    gain : Estimate
    margin : float

    Returns
    -------
    float
        nan where nothing varies, as then there is no test.

    Notes
    -----
    TOST: the larger p value of the two (Schuirmann 1987, Journal of Pharmacokinetics and
    Biopharmaceutics 15), which is that of the nearer end of the margin.
    """
    if not gain.variance > 0:
        return math.nan
    beyond = abs(gain.value) - margin
    half = Estimate(beyond, gain.parts).pvalue / 2
    return half if beyond < 0 else 1 - half


def detectable(gain: Estimate, alpha: float) -> float:
    """Smallest true difference that a test with these standard errors finds with 80 % power.

    Parameters
    ----------
    gain : Estimate
    alpha : float
        Level of the two-sided test.

    Returns
    -------
    float

    Notes
    -----
    (t(1 - alpha / 2) + t(power)) SE: Bloom 1995, Evaluation Review 19.
    """
    return (gain.critical(alpha / 2) + t_quantile(1 - POWER, gain.df)) * gain.se


def gain_of(row: SummaryRow) -> Estimate | None:
    """A row's gain over the weak model with its standard error.

    Parameters
    ----------
    row : SummaryRow

    Returns
    -------
    Estimate or None
        None where an earlier version wrote none.
    """
    if row.delta_auc_se is None or row.delta_auc_df is None:
        return None
    return Estimate(row.delta_auc, ((row.delta_auc_se**2, row.delta_auc_df),))


def verdict_on_task(
    rows: Sequence[SummaryRow],
    analysis: Analysis | None = None,
    *,
    against: str = STUDENT,
    defined: Mapping[str, Mapping[str, object]] | None = None,
    filters: Mapping[str, Estimate | None] | None = None,
) -> Verdict:
    """Of one task and pair of models.

    Parameters
    ----------
    rows : sequence of SummaryRow
        Of its methods, weak model and ceiling among them.
    analysis : Analysis, optional
        Level, margin, and the family of methods.
    against : str
        The baseline, whose gain over its supervisor is the first question.
    defined : mapping of str to mapping, optional
        The section `define` of the config: it says which methods are controls.
    filters : mapping of str to Estimate or None, optional
        AUC of each filter less that of a random filter of its size, where they can be paired.

    Returns
    -------
    Verdict
    """
    analysis = analysis or Analysis()
    by_method = {row.method: row for row in rows}
    others = [row for row in rows if row.method not in (*ENDS, against)]
    family = [row for row in others if _competes(row.method, analysis, defined or {})]
    word, answer = _answer(by_method, against, analysis)
    grounds = [
        *_of_family(family, analysis, _scope(rows)),
        *_for_scale([row for row in others if row not in family]),
        *_of_filters(filters or {}, by_method, analysis, _scope(rows)),
        f"{noise_in_words(by_method['ceiling'])} What holds on this task need not hold on another.",
    ]
    return Verdict(word, answer, tuple(grounds), tuple(_figures(by_method, against, analysis)))


def earlier_version(n_runs: int) -> str:
    """Why results of an earlier version have no verdict, and what to do.

    Parameters
    ----------
    n_runs : int
        Of the task, or of the study.

    Returns
    -------
    str
    """
    if n_runs == 1:
        return (
            "these results were written by an earlier version, which made no test. Run the same "
            "command again: nothing that is done is computed anew."
        )
    return (
        "these results were summarised by an earlier version, whose intervals are too narrow. "
        "w2sprobe join RESULTS --out NEW computes them anew."
    )


def difference_text(gain: Estimate) -> str:
    """A difference in AUC with its interval and p value."""
    return f"{with_interval(gain.value, gain.interval, 3)} ({p_text(gain.pvalue)})"


def sorted_out(
    found: Mapping[str, tuple[Judgement, str]], rest: str = "undecided"
) -> tuple[str, ...]:
    """What tests of several methods say: who is better, who is worse, and how many are neither.

    Parameters
    ----------
    found : mapping of method to (judgement, numbers in words)
    rest : str
        Name of those of which nothing is shown.

    Returns
    -------
    tuple of str
        Parts of a sentence; better and worse always, the others where there are any.
    """
    parts = []
    for word in ("better", "worse"):
        named = [f"{plain(name)} {text}" for name, (said, text) in found.items() if said == word]
        parts.append(f"{word}: {', '.join(named) or 'none'}")
    undecided = [plain(name) for name, (said, _) in found.items() if said == "undecided"]
    if undecided:
        named_too = f" ({', '.join(undecided)})" if len(undecided) <= FEW else ""
        parts.append(f"{rest}: {len(undecided)}{named_too}")
    return tuple(parts)


def _answer(
    by_method: Mapping[str, SummaryRow], against: str, analysis: Analysis
) -> tuple[Word, str]:
    weak, ceiling = by_method["weak"], by_method["ceiling"]
    ends = f"The gap goes from {weak.auc:.3f} (weak model) to {ceiling.auc:.3f} (ceiling)"
    row = by_method.get(against)
    if row is None:
        return "not tested", f"No {_named(against)} was trained. {ends}."
    carries = (
        f"{ends}{_share(row)}."
        if ceiling.resolved
        else f"{ends} and is not resolved, so that no share of it is given: the gap is "
        f"{': '.join(filter(None, (gap_text(ceiling), why_unresolved(ceiling))))}."
    )
    gain = gain_of(row)
    name = _named(against)
    if gain is None:
        change = f"{row.delta_auc:+.3f}"
        return "not tested", (
            f"Not tested: {earlier_version(row.n_seeds)} The {name}'s test AUC less that of its "
            f"supervisor is {change}. {carries}"
        )
    said = judged(gain, analysis)
    margin, scope = f"±{analysis.margin:g}", ", in this one run" if row.n_seeds == 1 else ""
    numbers = difference_text(gain) if gain.variance > 0 else f"{gain.value:+.3f}"
    head = {
        "better": f"Yes{scope}: the {name} is better than its weak supervisor, by {numbers} in "
        "test AUC.",
        "worse": f"No{scope}: the {name} is worse than the weak model that labelled its rows, by "
        f"{numbers} in test AUC.",
        "no difference": f"No difference beyond {margin}{scope}: the {name}'s test AUC less that "
        f"of its weak supervisor is {numbers}; two one-sided tests show it to be within {margin} "
        f"({p_text(equivalence(gain, analysis.margin))}).",
        "undecided": f"Undecided: the {name}'s test AUC less that of its weak supervisor is "
        f"{numbers}.",
    }[said]
    found = (
        f" Such data show a true difference of {detectable(gain, analysis.alpha):.3f} in 80 % of "
        "cases, smaller ones less often."
        if gain.variance > 0
        else " Nothing varies between test rows or runs, so that no test can be made."
    )
    return WORDS[said], f"{head}{found} {carries}"


def _named(against: str) -> str:
    return "plain student" if against == STUDENT else plain(against)


def _share(row: SummaryRow) -> str:
    return "" if row.pgr is None else f": PGR {with_interval(row.pgr, row.pgr_interval, 2)}"


def _figures(
    by_method: Mapping[str, SummaryRow], against: str, analysis: Analysis
) -> Iterator[tuple[str, str]]:
    names = {"weak": "weak model", against: plain(against), "ceiling": "ceiling"}
    for method, name in names.items():
        if method in by_method:
            yield f"test AUC, {name}", f"{by_method[method].auc:.3f}"
    row = by_method.get(against)
    if row is None:
        return
    gain = gain_of(row)
    if gain is not None and gain.variance > 0:
        yield "smallest gain found in 80 % of cases", f"{detectable(gain, analysis.alpha):.3f}"
    if row.pgr is not None and row.resolved:
        yield f"PGR of the {plain(against)}: 0 weak, 1 ceiling", f"{row.pgr:+.2f}"


def _competes(method: str, analysis: Analysis, defined: Mapping[str, Mapping[str, object]]) -> bool:
    if analysis.family is not None:
        return method in analysis.family
    return role_of(method, defined) == "competitor"


def _scope(rows: Sequence[SummaryRow]) -> str:
    """What tests are about: trained again, models of the same method would differ."""
    return "In this one run, " if all(row.n_seeds == 1 for row in rows) else ""


def _of_family(family: Sequence[SummaryRow], analysis: Analysis, scope: str) -> Iterator[str]:
    """Competitors against the weak model, as one family."""
    gains = {row.method: gain for row in family if (gain := gain_of(row)) is not None}
    if not gains:
        return
    parts = sorted_out(judged_together(gains, analysis))
    yield (
        f"{scope}{counted(len(gains), 'other method')} against the weak model, "
        f"{_corrected(gains)}: {'; '.join(parts)}."
    )


def _corrected(tests: Mapping[str, object]) -> str:
    n = len(tests)
    return f"corrected for {n} tests (Holm)" if n > 1 else "one test"


def judged_together(
    gains: Mapping[str, Estimate], analysis: Analysis
) -> dict[str, tuple[Judgement, str]]:
    """Better or worse after Holm; equivalence is not tested here, so the others are undecided.

    Parameters
    ----------
    gains : mapping of str to Estimate
        By method, or by task.
    analysis : Analysis

    Returns
    -------
    dict of str to (judgement, numbers in words)
    """
    adjusted = holm([gain.pvalue for gain in gains.values()])
    return {
        name: (
            judgement(gain.value, pvalue, math.nan, analysis),
            with_interval(gain.value, gain.interval, 3),
        )
        for (name, gain), pvalue in zip(gains.items(), adjusted, strict=True)
    }


def _for_scale(rows: Sequence[SummaryRow]) -> Iterator[str]:
    if rows:
        aucs = ", ".join(f"{plain(row.method)} {row.auc:.3f}" for row in rows)
        yield f"For scale, outside the family, test AUC: {aucs}."


def _of_filters(
    filters: Mapping[str, Estimate | None],
    by_method: Mapping[str, SummaryRow],
    analysis: Analysis,
    scope: str,
) -> Iterator[str]:
    paired = {name: gain for name, gain in filters.items() if gain is not None}
    if paired:
        parts = sorted_out(judged_together(paired, analysis))
        yield (
            f"{scope}{counted(len(paired), 'filter')} against a random filter that keeps as many "
            f"rows, {_corrected(paired)}: {'; '.join(parts)}."
        )
    alone = [name for name in filters if name not in paired and name in by_method]
    if alone:
        aucs = ", ".join(f"{plain(name)} {by_method[name].auc:.3f}" for name in alone)
        yield (
            f"Filters that no random filter of the same size can be held against, test AUC: {aucs}."
        )
