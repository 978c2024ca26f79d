"""What the results of several tasks say, in sentences."""

import math
from collections.abc import Iterator, Sequence

from w2sprobe.comparison import Comparison, MethodRow, SupervisorGain
from w2sprobe.metrics import detectable_effect, task_mean
from w2sprobe.reporting.comparison import family_text, judgement_text
from w2sprobe.reporting.numbers import with_interval
from w2sprobe.reporting.report.verdict import (
    WORDS,
    Verdict,
    earlier_version,
    gain_of,
    judged_together,
    sorted_out,
)
from w2sprobe.reporting.wording import (
    counted,
    noise_in_words,
    p_text,
    plain,
    with_fewer_seeds,
)
from w2sprobe.results import SummaryRow


def verdict_on_study(rows: Sequence[SummaryRow], comparison: Comparison | None) -> Verdict:
    """Of several tasks and one pair of models.

    Parameters
    ----------
    rows : sequence of SummaryRow
    comparison : Comparison or None
        Of the methods with the baseline; None where nothing can be compared.

    Returns
    -------
    Verdict
        Its word is that of the two-sided t test over tasks of the baseline's gain over its
        supervisor, or of the test of equivalence.
    """
    gain = None if comparison is None else _baseline(comparison)
    if comparison is None or gain is None:
        return Verdict(
            "not tested",
            "No plain student was trained, so there is no gain over its supervisor to test.",
            tuple(_about_intervals(rows)),
        )
    return Verdict(
        WORDS[gain.verdict],
        _answer(gain, comparison),
        (
            *_task_by_task(rows, comparison),
            *_shares(gain, comparison),
            *_of_family(comparison),
            *_about_intervals(rows),
        ),
        tuple(_figures(rows, gain, comparison)),
    )


def _baseline(comparison: Comparison) -> SupervisorGain | None:
    found = (row for row in comparison.supervisor_gains if row.method == comparison.against)
    return next(found, None)


def _name(comparison: Comparison) -> str:
    return plain(comparison.against)


def _answer(gain: SupervisorGain, comparison: Comparison) -> str:
    name, analysis = _name(comparison), comparison.analysis
    over = f"over {counted(gain.n, 'task')}"
    if math.isnan(gain.t_pvalue):
        why = "one task has it" if gain.n == 1 else "it is the same on all tasks"
        return (
            f"Undecided: the {name}'s test AUC less that of its weak supervisor is {gain.mean:+.3f}"
            f", and as {why}, there is no test over tasks."
        )
    numbers = f"{with_interval(gain.mean, gain.mean_interval, 3)} ({p_text(gain.t_pvalue)})"
    mean = f"on average {over}, the {name}'s test AUC less that of its weak supervisor is {numbers}"
    effect = detectable_effect(gain.sd, gain.n, alpha=analysis.alpha) if gain.sd > 0 else math.nan
    found = (
        ""
        if math.isnan(effect)
        else f" With {counted(gain.n, 'task')} of this spread, a true mean difference of "
        f"{effect:.3f} is found in 80 % of studies, smaller ones less often."
    )
    head = {
        "better": f"Yes: {over}, the {name} is better than its weak supervisor, on average by "
        f"{numbers} in test AUC.",
        "worse": f"No: {over}, the {name} is worse than the weak model that labelled its rows, on "
        f"average by {numbers} in test AUC.",
        "no difference": f"No difference beyond ±{analysis.margin:g}: {mean}; two one-sided tests "
        f"show it to be within ±{analysis.margin:g} ({p_text(gain.equivalence_pvalue)}).",
        "undecided": f"Undecided: {mean}.",
    }[gain.verdict]
    return head + found


def _students(rows: Sequence[SummaryRow], comparison: Comparison) -> list[SummaryRow]:
    return [row for row in rows if row.method == comparison.against]


def _sides(rows: Sequence[SummaryRow], comparison: Comparison) -> tuple[list[str], list[str], int]:
    """Tasks above and below after Holm over tasks, and how many were tested."""
    gains = {row.task: gain_of(row) for row in _students(rows, comparison)}
    known = {task: gain for task, gain in gains.items() if gain is not None}
    found = judged_together(known, comparison.analysis)
    above, below = (
        [task for task, (said, _) in found.items() if said == side] for side in ("better", "worse")
    )
    return above, below, len(known)


def _task_by_task(rows: Sequence[SummaryRow], comparison: Comparison) -> Iterator[str]:
    students = _students(rows, comparison)
    above, below, n = _sides(rows, comparison)
    if n:
        rest = n - len(above) - len(below)
        yield (
            f"Task by task, the {_name(comparison)} against its supervisor, corrected for "
            f"{counted(n, 'test')} (Holm): above: {_listed(above)}; below: {_listed(below)}"
            + (f"; undecided: {rest}." if rest else ".")
        )
    if n < len(students):
        yield (
            f"Task by task, {'' if n == 0 else f'{len(students) - n} are '}not tested: "
            f"{earlier_version(len(students))}"
        )


def _listed(names: Sequence[str]) -> str:
    return f"{len(names)} ({', '.join(names)})" if names else "none"


def _shares(gain: SupervisorGain, comparison: Comparison) -> Iterator[str]:
    """PGR of all tasks, of resolved tasks, and the mean of the hierarchical model."""
    name = _name(comparison)
    parts = []
    if gain.n_pgr > 1 and not math.isnan(gain.pgr):
        parts.append(
            f"the sum of gains over the sum of gaps of {counted(gain.n_pgr, 'task')} is "
            f"{with_interval(gain.pgr, gain.pgr_interval, 2)}"
        )
    n, of_resolved = _resolved_pgr(comparison)
    if n:
        parts.append(
            f"the mean PGR of {counted(n, 'task')} with a resolved gap is {of_resolved}, which "
            "leaves out those whose gap came out small"
        )
    if parts:
        yield f"Of the gap, the {name} recovers: {'; '.join(parts)}."
    if not math.isnan(gain.pooled_pvalue):
        yield (
            "In a hierarchical model of all tasks, where noisy ones weigh less, the gain of a task "
            f"with the mean gap is {with_interval(gain.pooled_mean, gain.pooled_interval, 3)} "
            f"({p_text(gain.pooled_pvalue)}), and true gains differ between tasks with a standard "
            f"deviation of {gain.tau:.3f}."
        )


def _resolved_pgr(comparison: Comparison) -> tuple[int, str]:
    """Number of resolved tasks with the baseline, and its mean PGR on them."""
    values = [
        value
        for row in comparison.tasks
        if not row.excluded and not math.isnan(value := row.pgr.get(comparison.against, math.nan))
    ]
    found = task_mean(values)
    if found.n < 2:
        return found.n, f"{found.mean:+.2f}"
    return found.n, with_interval(found.mean, found.mean_interval, 2)


def _of_family(comparison: Comparison) -> Iterator[str]:
    of_auc = [row for row in comparison.methods if row.unit == "auc" and row.n > 1]
    primary = [row for row in of_auc if row.primary]
    name, analysis = _name(comparison), comparison.analysis
    if primary:
        n = len(primary)
        parts = sorted_out({row.method: (row.verdict, _difference(row)) for row in primary})
        same = [row for row in primary if row.verdict == "no difference"]
        if same:
            named = ", ".join(f"{plain(row.method)} {_difference(row)}" for row in same)
            parts += (f"{judgement_text('no difference', analysis)}: {named}",)
        one_sided = (
            "" if analysis.alternative == "two-sided" else f", one-sided ({analysis.alternative})"
        )
        yield (
            f"Against the {name}, t tests over tasks{one_sided}"
            + (f", corrected for {n} methods (Holm)" if n > 1 else "")
            + f": {'; '.join(parts)}."
        )
        yield from (
            family_text(family, comparison)
            for family in comparison.families
            if family.unit == "auc"
        )
    others = [row for row in of_auc if not row.primary]
    if others:
        named = ", ".join(f"{plain(row.method)} {_difference(row)}" for row in others)
        yield f"For scale, outside the family, mean difference to the {name}: {named}."


def _difference(row: MethodRow) -> str:
    return with_interval(row.mean, row.mean_interval, 3)


def _about_intervals(rows: Sequence[SummaryRow]) -> Iterator[str]:
    ceilings = [row for row in rows if row.method == "ceiling"]
    unresolved = [row.task for row in ceilings if not row.resolved]
    if unresolved:
        yield (
            f"{len(unresolved)} of {counted(len(ceilings), 'task')} have no resolved gap, and no "
            f"PGR of their own: {', '.join(unresolved)}."
        )
    fewer = with_fewer_seeds(rows)
    sizes = sorted({row.n_test_rows for row in ceilings})
    n_rows = f"{sizes[0]:,}" + (f" to {sizes[-1]:,}" if len(sizes) > 1 else "")
    subject = "Intervals of a task"
    words = {noise_in_words(row, subject, n_rows) for row in ceilings}
    of_tasks = (
        words.pop()
        if len(words) == 1
        else f"{subject} are 95 % over its test rows and runs; tasks have different numbers."
    )
    yield f"{of_tasks} Those of a mean over tasks are Student's t over tasks."
    if fewer:
        have = "method has" if len(fewer) == 1 else "methods have"
        yield (
            f"{len(fewer)} {have} fewer runs than the ceiling; differences are of the runs that "
            "both methods have."
        )


def _figures(
    rows: Sequence[SummaryRow], gain: SupervisorGain, comparison: Comparison
) -> Iterator[tuple[str, str]]:
    name = _name(comparison)
    yield f"mean gain of the {name}, {counted(gain.n, 'task')}", f"{gain.mean:+.3f}"
    above, below, n = _sides(rows, comparison)
    if n:
        yield (
            "tasks above / below / undecided",
            (f"{len(above)} / {len(below)} / {n - len(above) - len(below)}"),
        )
    ceilings = [row for row in rows if row.method == "ceiling"]
    resolved = sum(row.resolved for row in ceilings)
    yield "tasks with a resolved gap", f"{resolved} of {len(ceilings)}"
    if gain.n_pgr > 1 and not math.isnan(gain.pgr):
        yield "gains over gaps, all tasks (PGR)", f"{gain.pgr:+.2f}"
