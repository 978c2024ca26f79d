"""Key numbers at the head of a report: AUCs, the gain over the supervisor with its test, PGR."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from w2sprobe.comparison import Analysis, Comparison, Judgement, SupervisorGain
from w2sprobe.labels import THRESHOLD
from w2sprobe.metrics import Estimate, detectable_effect, roc_auc, task_mean
from w2sprobe.reporting.comparison import judgement_text
from w2sprobe.reporting.numbers import with_interval
from w2sprobe.reporting.report.gain_tests import (
    detectable,
    equivalence,
    gain_of,
    judged,
    judged_together,
)
from w2sprobe.reporting.report.sources import Labels
from w2sprobe.reporting.scores import OWN_PGR
from w2sprobe.reporting.table import Cell, Column, Table, Tone, numeric
from w2sprobe.reporting.wording import (
    STUDENT,
    counted,
    noise_in_words,
    p_text,
    plain,
    why_unresolved,
)
from w2sprobe.results import Interval, SummaryRow

NOISE = (
    "_on_noise",
    "_on_soft_noise",
)  # endings of the noise controls: the same learner, fitted on noisy true labels
TONES: dict[str, Tone] = {"better": "good", "worse": "bad"}
NO_TEST = (
    "Not tested: an earlier version wrote these results. Run the same command again (finished "
    "stages are not repeated), or w2sprobe join RESULTS --out NEW for a study."
)


class KeyNumbers(NamedTuple):
    """Head of the report on one pair of models.

    `judgement` is about the baseline's gain over its supervisor; "not tested" if no baseline was
    trained, or if results of an earlier version have no standard errors. `notes` are sentences
    below the table.
    """

    judgement: Judgement | Literal["not tested"]
    table: Table
    notes: tuple[str, ...]


class _Number(NamedTuple):
    name: str
    value: Cell
    p: Cell = Cell.of("")
    result: str = ""
    declared: bool = False  # whether its test belongs to the declaration, if there is one


def task_numbers(
    rows: Sequence[SummaryRow],
    analysis: Analysis | None = None,
    *,
    against: str = STUDENT,
    declared: bool = False,
    labels: Labels | None = None,
) -> KeyNumbers:
    """Key numbers of one task and pair of models.

    Parameters
    ----------
    rows : sequence of SummaryRow
        Methods of the task, weak model and ceiling among them.
    analysis : Analysis, optional
        Level and margin of the test.
    against : str
        Baseline, whose gain over its supervisor is tested.
    declared : bool
        Whether the study was declared before it was run.
    labels : dict, optional
        `RunFolder.strong_train_labels`, to report the quality of the weak labels.
    """
    analysis = analysis or Analysis()
    by_method = {row.method: row for row in rows}
    ceiling, baseline = by_method["ceiling"], by_method.get(against)
    gain = None if baseline is None else gain_of(baseline)
    gap = Cell.estimate(ceiling.gap, ceiling.gap_interval)
    unresolved = ": ".join(filter(None, ("not resolved", why_unresolved(ceiling))))
    resolved = "resolved" if ceiling.resolved else unresolved
    numbers = [
        *(
            _Number(
                f"test AUC, {_named(method)}",
                Cell.estimate(row.auc, row.auc_interval, signed=False),
            )
            for method in _shown(against)
            if (row := by_method.get(method))
        ),
        _Number("gap between weak model and ceiling", gap, result=resolved),
        *([] if baseline is None else _gain_and_pgr(baseline, gain, analysis)),
        *([] if labels is None else [_weak_labels(labels["weak"])]),
    ]
    notes = [noise_in_words(ceiling)]
    if not ceiling.resolved:
        notes.append("The gap is not resolved: read the gain, not a PGR.")
    if baseline is None:
        notes.append(_no_baseline(against))
    elif gain is None:
        notes.append(NO_TEST)
    judgement = "not tested" if gain is None else judged(gain, analysis)
    return KeyNumbers(judgement, _table(ceiling, numbers, declared=declared), tuple(notes))


def _gain_and_pgr(row: SummaryRow, gain: Estimate | None, analysis: Analysis) -> Iterator[_Number]:
    name = f"gain of the {_named(row.method)} over its supervisor"
    value = Cell.estimate(row.delta_auc, row.delta_auc_interval)
    if gain is None or not gain.variance > 0:
        why = "not tested" if gain is None else "undecided: nothing varies between rows or runs"
        yield _Number(name, value, result=why)
    else:
        result = _result(judged(gain, analysis), equivalence(gain, analysis.margin), analysis)
        yield _Number(name, value, Cell.pvalue(gain.pvalue), result, declared=True)
        yield _smallest("gain", detectable(gain, analysis.alpha))
    if row.pgr is not None and row.resolved:
        yield _share("PGR: 0 weak model, 1 ceiling", row.pgr, row.pgr_interval)
    if row.own_pgr is not None and row.own_resolved:
        yield _share(OWN_PGR, row.own_pgr, row.own_pgr_interval)


def _weak_labels(weak: Mapping[str, np.ndarray]) -> _Number:
    truth, wrong = weak["label"] == 1, (weak["soft_label"] > THRESHOLD) != weak["label"]
    return _Number(
        f"AUC of the weak labels on {len(truth):,} training rows",
        Cell.number(roc_auc(truth, weak["soft_label"])),
        result=f"{np.mean(wrong):.0%} wrong at threshold 0.5",
    )


def study_numbers(
    rows: Sequence[SummaryRow], comparison: Comparison | None, *, declared: bool = False
) -> KeyNumbers:
    """Key numbers of several tasks and one pair of models, with tests over tasks.

    Parameters
    ----------
    comparison : Comparison or None
        None if there is nothing to compare.
    declared : bool
        Whether the study was declared before it was run.
    """
    against = STUDENT if comparison is None else comparison.against
    gains = () if comparison is None else comparison.supervisor_gains
    gain = next((gain for gain in gains if gain.method == against), None)
    aucs = {name: [row.auc for row in rows if row.method == name] for name in _shown(against)}
    ceilings = [row for row in rows if row.method == "ceiling"]
    numbers = [
        *(
            _Number(f"mean test AUC of {counted(len(of), 'task')}, {_named(name)}",
                    Cell.number(sum(of) / len(of)))
            for name, of in aucs.items()
            if of
        ),
        _Number(
            "tasks with a resolved gap",
            Cell.of(f"{sum(row.resolved for row in ceilings)} of {len(ceilings)}"),
        ),
    ]  # fmt: skip
    notes = [_intervals(ceilings)]
    if comparison is None or gain is None:
        notes.append(_no_baseline(against))
    else:
        numbers += _over_tasks(gain, comparison, [row for row in rows if row.method == against])
        if any(gain_of(row) is None for row in rows if row.method == against):
            notes.append(NO_TEST)
    judgement = "not tested" if gain is None else gain.verdict
    return KeyNumbers(judgement, _table(rows[0], numbers, declared=declared), tuple(notes))


def _over_tasks(
    gain: SupervisorGain, comparison: Comparison, baseline: Sequence[SummaryRow]
) -> Iterator[_Number]:
    analysis, name = comparison.analysis, _named(comparison.against)
    title = f"mean gain of the {name} over its supervisor, {counted(gain.n, 'task')}"
    if math.isnan(gain.t_pvalue):
        why = "one task" if gain.n == 1 else "the same gain on all tasks"
        yield _Number(title, Cell.number(gain.mean, signed=True), result=f"undecided: {why}")
    else:
        mean = Cell.estimate(gain.mean, gain.mean_interval)
        result = _result(gain.verdict, gain.equivalence_pvalue, analysis)
        yield _Number(title, mean, Cell.pvalue(gain.t_pvalue), result, declared=True)
    if gain.sd > 0:
        yield _smallest("mean gain", detectable_effect(gain.sd, gain.n, alpha=analysis.alpha))
    gains = {row.task: known for row in baseline if (known := gain_of(row)) is not None}
    tests = judged_together(gains, analysis)
    yield from _counts("tasks", {task: judgement for task, (_, judgement) in tests.items()})
    if gain.n_pgr > 1 and not math.isnan(gain.pgr):
        tasks = counted(gain.n_pgr, "task")
        yield _share(f"PGR, sum of gains over sum of gaps, {tasks}", gain.pgr, gain.pgr_interval)
    pgrs = [row.pgr.get(gain.method, math.nan) for row in comparison.tasks if not row.excluded]
    pgr = task_mean([value for value in pgrs if not math.isnan(value)])
    if pgr.n > 1:
        tasks = counted(pgr.n, "task")
        yield _share(f"PGR, mean of {tasks} with a resolved gap", pgr.mean, pgr.mean_interval)
    of_auc = [row for row in comparison.methods if row.unit == "auc" and row.n > 1]
    family = {plain(row.method): row.verdict for row in of_auc if row.primary}
    yield from _counts(f"methods against the {name}", family)


def _counts(what: str, judgements: Mapping[str, str]) -> Iterator[_Number]:
    """Numbers of better, worse and neither, with the names of the first two."""
    if not judgements:
        return
    names = {
        side: [name for name, judgement in judgements.items() if judgement == side]
        for side in ("better", "worse")
    }
    better, worse = map(len, names.values())
    yield _Number(
        f"{what}, Holm over {len(judgements)}: better / worse / neither",
        Cell.of(f"{better} / {worse} / {len(judgements) - better - worse}"),
        result="; ".join(f"{side}: {', '.join(of)}" for side, of in names.items() if of),
        declared=True,
    )


def _intervals(ceilings: Sequence[SummaryRow]) -> str:
    """Sentences on the noise that the intervals of tasks and of means cover."""
    sizes = sorted({row.n_test_rows for row in ceilings})
    n_rows = f"{sizes[0]:,}" + (f" to {sizes[-1]:,}" if len(sizes) > 1 else "")
    subject = "Intervals of a task"
    words = {noise_in_words(row, subject, n_rows) for row in ceilings}
    if len(words) > 1:
        words = {f"{subject} are 95 % over its test rows and runs, whose numbers differ by task."}
    return f"{words.pop()} Intervals of a mean over tasks are by Student's t over tasks."


def _shown(against: str) -> tuple[str, ...]:
    return ("weak", against, "ceiling", *(against + ending for ending in NOISE))


def _named(method: str) -> str:
    return {"weak": "weak model (supervisor)", STUDENT: "plain student"}.get(method, plain(method))


def _no_baseline(against: str) -> str:
    return f"No {_named(against)} was trained, so there is no gain over its supervisor to test."


def _result(judgement: Judgement, tost: float, analysis: Analysis) -> str:
    by = f" (two one-sided tests, {p_text(tost)})" if judgement == "no difference" else ""
    return judgement_text(judgement, analysis) + by


def _smallest(what: str, size: float) -> _Number:
    return _Number(f"smallest true {what} detected with 80 % power", Cell.number(size))


def _share(name: str, value: float, interval: Interval | None) -> _Number:
    return _Number(name, Cell.number(value, with_interval(value, interval, 2)))


def toned(result: str) -> Cell:
    """Cell of a test's result, coloured if it is better or worse."""
    return Cell(result, result, TONES.get(result, ""))


def _table(pair: SummaryRow, numbers: Iterable[_Number], *, declared: bool) -> Table:
    columns = [
        Column("quantity", "name"),
        numeric("value [95 %]", "value"),
        numeric("p"),
        Column("result", lambda row: toned(row.result), wrap=True),
    ]
    if declared:
        columns.append(
            Column("declared before the run", lambda row: "yes" if row.declared else "no")
        )
    return Table.of(f"{pair.weak_model} supervises {pair.strong_model}", columns, numbers)
