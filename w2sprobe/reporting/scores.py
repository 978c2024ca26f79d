"""Scores of a run and of a study, and the gaps of its tasks, as tables.

A new score is one column of `scores_table`, for the terminal and for reports.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from w2sprobe.reporting.numbers import with_interval
from w2sprobe.reporting.table import Cell, Column, Table, Tone, numeric, tone_of
from w2sprobe.reporting.wording import (
    ENDS,
    STUDENT,
    gap_text,
    plain,
    runs_text,
    sources_of_noise,
    why_unresolved,
    with_fewer_seeds,
)
from w2sprobe.results import ResultRow, Results, StudyResults, SummaryRow

OWN_PGR = "PGR, own ceiling"
BY_OWN = (
    f"{OWN_PGR}: of the gap between the weak model and the same learner fitted on the truth; "
    "unresolved where that gap is."
)


def n_tasks(rows: Iterable[SummaryRow]) -> int:
    """Number of tasks: of one task, tables show every method; of several, its gaps."""
    return len({row.task for row in rows})


def results_table(results: Results) -> Table:
    """Every method of one run for the terminal; warnings and audit are in its note."""
    table = scores_table(results.summary, results)
    return replace(table, title=_title(results), note=_note(results))


def study_tables(study: StudyResults) -> Iterator[Table]:
    """Tables for the terminal: the gaps of each pair of models, or every method of one task."""
    several = n_tasks(study.summary) > 1
    against = study.config.get("analysis", {}).get("against", STUDENT)
    for pair in dict.fromkeys((row.weak_model, row.strong_model) for row in study.summary):
        rows = [row for row in study.summary if (row.weak_model, row.strong_model) == pair]
        if several:
            yield gaps_table(rows, against)
        else:
            note = "\n".join([_intervals(rows), *_about_pgr(rows)])
            yield replace(scores_table(rows), title=_title(rows[0]), note=note)


def _title(one: Results | SummaryRow) -> str:
    return f"{one.task}: {one.weak_model} supervises {one.strong_model}"


def scores_table(rows: Sequence[SummaryRow], results: Results | None = None) -> Table:
    """Every method of every task: AUC, gain, PGR, with intervals.

    Parameters
    ----------
    rows : sequence of SummaryRow
        Of one pair of models.
    results : Results, optional
        The one run that `rows` are of: adds rows and seconds of each method.
    """
    several = n_tasks(rows) > 1
    trained = {} if results is None else {row.method: row for row in results.rows}
    columns = [
        *([Column("task")] if several else []),
        Column("method", pinned=True),
        *_runs_column(rows),
        numeric("AUC", lambda row: Cell.estimate(row.auc, row.auc_interval, signed=False)),
        numeric("ΔAUC to weak", _gain),
        numeric("PGR", lambda row: Cell.of("") if row.method in ENDS else _pgr(row)),
    ]
    if _by_own(rows):
        columns.append(numeric(OWN_PGR, _own_pgr))
    if trained:
        columns += [
            numeric("rows kept", lambda row: _kept(trained[row.method])),
            numeric("seconds", lambda row: Cell.number(trained[row.method].seconds, digits=1)),
        ]
    notes = [
        f"{_intervals(rows)} In italics: the gap between weak model and ceiling is not resolved, "
        "too small or too uncertain to be divided by; read ΔAUC, not PGR. Coloured: the interval "
        "of ΔAUC excludes 0, not corrected for the number of methods.",
        *([BY_OWN] if _by_own(rows) else []),
    ]
    if with_fewer_seeds(rows):
        notes.append(
            "Methods have different runs: do not compare their AUC here, but their differences to "
            "the plain student, which are of the same runs."
        )
    return Table.of(
        "Scores of every task and method" if several else "Scores of every method",
        columns,
        rows,
        " ".join(notes),
        unresolved=lambda row: not row.resolved,
    )


def _runs_column(rows: Sequence[SummaryRow]) -> list[Column]:
    """Number of runs of each row; no column where all have the same, as `_intervals` has it."""
    if len(set(map(runs_text, rows))) == 1:
        return []
    return [Column("runs", lambda row: Cell(runs_text(row), repr(row.n_seeds)))]


def _intervals(rows: Sequence[SummaryRow]) -> str:
    """What the rows are means over, and what their intervals are over."""
    brackets = f"Brackets: 95 % intervals {sources_of_noise(rows)}."
    runs = list(dict.fromkeys(map(runs_text, rows)))
    if runs == ["1"]:
        return brackets
    if len(runs) == 1 and runs[0].isdigit():  # results of an earlier version
        return f"Means over {runs[0]} runs. {brackets}"
    same = f", {runs[0]} each" if len(runs) == 1 else ""
    levels = "cuts of the rows x seeds of the supervisor x seeds of the student"
    return f"Means over runs{same} ({levels}). {brackets}"


def _by_own(rows: Iterable[SummaryRow]) -> bool:
    return any(row.own_ceiling for row in rows)


def _about_pgr(rows: Sequence[SummaryRow]) -> Iterator[str]:
    """How to read the PGRs of one task."""
    if _by_own(rows):
        yield BY_OWN
    (ceiling, *_) = [row for row in rows if row.method == "ceiling"] or rows
    if not ceiling.resolved:
        se = "" if ceiling.gap_se is None else f", SE {ceiling.gap_se:.3f}"
        why = "; ".join(filter(None, (f"gap {ceiling.gap:+.3f}{se}", why_unresolved(ceiling))))
        yield f"The gap between weak model and ceiling is not resolved: read ΔAUC, not PGR ({why})."


def _gain(row: SummaryRow) -> Cell:
    if row.method == "weak":
        return Cell.of("")
    tone: Tone = "" if row.method in ENDS else tone_of(row.delta_auc_interval)
    return Cell.estimate(row.delta_auc, row.delta_auc_interval, tone=tone)


def _pgr(row: SummaryRow) -> Cell:
    if row.pgr is None or row.auc_interval is None:  # no interval, rather than one without bounds
        return Cell.number(row.pgr, digits=2, signed=True)
    return Cell.number(row.pgr, with_interval(row.pgr, row.pgr_interval, 2))


def _own_pgr(row: SummaryRow) -> Cell:
    if row.own_pgr is None:
        return Cell.of("")
    unresolved = "" if row.own_resolved else " unresolved"
    text = with_interval(row.own_pgr, row.own_pgr_interval, 2)
    return Cell.number(row.own_pgr, text + unresolved)


def _kept(row: ResultRow) -> Cell:
    return Cell.number(row.rows_kept, f"{row.rows_kept} of {row.rows_offered}")


def _point(point: Mapping[str, Any]) -> str:
    """A point that weak labels chose; one at the edge of what was tried may not be the best."""
    value = "" if point["value"] is None else f", {point['setting']} {point['value']:g}"
    edge = ", at the edge of its grid" if point.get("at_edge") else ""
    return f"layer {point['layer']}{value} (by weak labels{edge})"


def _note(results: Results) -> str:
    points = list(dict.fromkeys(map(_point, results.chosen.values())))
    if results.store and results.layer is not None:  # without a store, no probe was fitted
        points.insert(0, f"layer {results.layer}")
    probes = f" Probes: {'; '.join(points)}." if points else ""
    lines = [f"{_intervals(results.summary)}{probes} Test rows: {results.splits['test']}."]
    lines += _about_pgr(results.summary)
    lines += [
        f"{row.method} was not trained again: its labels are those of {row.same_run_as!r}."
        for row in results.rows
        if row.same_run_as
    ]
    lines += [
        # a stage by its title, or a sentence
        f"No result for {name}: {why if why.endswith('.') else f'{why} failed.'}"
        for name, why in results.missing.items()
    ]
    lines += [f"Warning: {message}" for message in results.warnings]
    lines += [
        f"Audit, {finding.level}: {finding.message}"
        for finding in results.audit
        if finding.level != "note"
    ]
    return "\n".join(lines)


def gaps_table(rows: Sequence[SummaryRow], baseline: str = STUDENT) -> Table:
    """The gap of every task, whether it is resolved, and the baseline's gain and PGR.

    Parameters
    ----------
    rows : sequence of SummaryRow
        Of one pair of models.
    baseline : str
        The method that others are compared with.
    """
    weak, ceiling, own = (
        {row.task: row for row in rows if row.method == name} for name in (*ENDS, baseline)
    )

    def of_baseline(cell: Callable[[SummaryRow], Cell]) -> Callable[[SummaryRow], Cell]:
        return lambda row: cell(own[row.task]) if row.task in own else Cell.number(None)

    by_own = _by_own(own.values())
    return Table.of(
        f"{rows[0].weak_model} supervises {rows[0].strong_model}: the gap of every task",
        (
            Column("task"),
            *_runs_column(list(ceiling.values())),
            numeric("weak", lambda row: weak[row.task].auc),
            numeric("ceiling", "auc"),
            numeric("gap", lambda row: Cell.number(row.gap, gap_text(row))),
            Column("resolved", resolved_text, wrap=True),
            numeric(f"{plain(baseline)}, ΔAUC", of_baseline(_gain)),
            numeric("p", of_baseline(lambda row: Cell.pvalue(row.delta_auc_pvalue))),
            numeric("PGR", of_baseline(_pgr)),
            *([numeric(OWN_PGR, of_baseline(_own_pgr))] if by_own else []),
        ),
        ceiling.values(),
        f"{_intervals(list(ceiling.values()))} p: two-sided, not corrected.\n"
        "Where a gap is not resolved, read ΔAUC, not PGR." + (f" {BY_OWN}" if by_own else ""),
        unresolved=lambda row: not row.resolved,
    )


def resolved_text(row: SummaryRow) -> str:
    """Whether the gap is resolved, and what it would take."""
    if row.resolved:
        return "yes"
    return f"no: {why}" if (why := why_unresolved(row)) else "no"
