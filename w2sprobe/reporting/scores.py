"""Scores of a run and of a study, and the gaps of its tasks, as tables.

A new score is one column of `scores_table`, for the terminal and for reports.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
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

RUNS = "Runs: cuts of the rows x seeds of the supervisor x seeds of the student."
OWN_PGR = "PGR, own ceiling"
BY_OWN = (
    f"{OWN_PGR}: of the gap between the weak model and the same learner fitted on the truth; "
    "unresolved where that gap is."
)


def results_table(results: Results) -> Table:
    """Every method of one run, for the terminal: what reports have sections for is in its note."""
    title = f"{results.task}: {results.weak_model} supervises {results.strong_model}"
    return replace(scores_table(results.summary, results), title=title, note=_note(results))


def scores_table(rows: Sequence[SummaryRow], results: Results | None = None) -> Table:
    """Every method of every task: AUC, gain, PGR, with intervals.

    Parameters
    ----------
    rows : sequence of SummaryRow
        Of one pair of models.
    results : Results, optional
        Of the one run that `rows` are of: adds rows and seconds of each method.

    Returns
    -------
    Table
    """
    uneven = bool(with_fewer_seeds(rows))
    runs = uneven or any(row.n_seeds > 1 for row in rows)
    several = len({row.task for row in rows}) > 1
    by_own = any(row.own_ceiling for row in rows)
    trained = {} if results is None else {row.method: row for row in results.rows}
    columns = (
        *([Column("task")] if several else []),
        Column("method", pinned=True),
        *([Column("runs", _runs)] if runs else []),
        numeric("AUC", lambda row: Cell.estimate(row.auc, row.auc_interval, signed=False)),
        numeric("ΔAUC to weak", _gain),
        numeric("PGR", lambda row: Cell.of("") if row.method in ENDS else _pgr(row)),
        *([numeric(OWN_PGR, _own_pgr)] if by_own else []),
        *(
            [
                numeric("rows kept", lambda row: _kept(trained[row.method])),
                numeric("seconds", lambda row: Cell.number(trained[row.method].seconds, digits=1)),
            ]
            if trained
            else []
        ),
    )
    return Table.of(
        "Scores of every task and method",
        columns,
        rows,
        f"Brackets: 95 % intervals {sources_of_noise(rows)}. In italics: the gap between weak "
        "model and ceiling is not resolved, too small or too uncertain to be divided by; read "
        "ΔAUC, not PGR. Coloured: the interval of ΔAUC excludes 0, each by itself; the verdict "
        "corrects for the number of methods."
        + (
            " Methods have different runs: do not compare their AUC here, but their differences "
            "to the plain student, which are of the same runs."
            if uneven
            else ""
        )
        + (f" {RUNS}" if runs else "")
        + (f" {BY_OWN}" if by_own else ""),
        unresolved=lambda row: not row.resolved,
    )


def _runs(row: SummaryRow) -> Cell:
    return Cell(runs_text(row), repr(row.n_seeds))


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
    (ceiling,) = (row for row in results.summary if row.method == "ceiling")
    chosen = list(dict.fromkeys(map(_point, results.chosen.values())))
    probes = [] if results.layer is None else [f"layer {results.layer}"]
    lines = [
        "Brackets: 95 % intervals over test rows. "
        f"Probes: {'; '.join(probes + chosen)}. Test rows: {results.splits['test']}."
    ]
    if any(row.own_ceiling for row in results.rows):
        lines.append(BY_OWN)
    if not results.resolved:
        lines.append(
            "The gap between weak model and ceiling is not resolved: read ΔAUC, not PGR "
            f"(gap {results.gap:+.3f}, SE {results.gap_se:.3f}; {why_unresolved(ceiling)})."
        )
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


def study_tables(study: StudyResults) -> Iterator[Table]:
    """The gaps of each pair of models; of one task every method."""
    several = len({row.task for row in study.summary}) > 1
    for pair in dict.fromkeys((row.weak_model, row.strong_model) for row in study.summary):
        rows = [row for row in study.summary if (row.weak_model, row.strong_model) == pair]
        against = study.config.get("analysis", {}).get("against", STUDENT)
        yield gaps_table(rows, against) if several else _task_table(rows)


def _task_table(rows: Sequence[SummaryRow]) -> Table:
    """Every method on one task, means over its runs, for the terminal."""
    one = rows[0]
    note = f"Means over runs. {RUNS} Brackets: 95 % intervals {sources_of_noise(rows)}."
    if any(row.own_ceiling for row in rows):
        note += f"\n{BY_OWN}"
    if not one.resolved:
        note += f"\nThe gap is not resolved ({why_unresolved(one)}): read ΔAUC, not PGR."
    title = f"{one.task}: {one.weak_model} supervises {one.strong_model}"
    return replace(scores_table(rows), title=title, note=note)


def gaps_table(rows: Sequence[SummaryRow], baseline: str = STUDENT) -> Table:
    """The gap of every task, whether it is resolved, and what the baseline makes of it.

    Parameters
    ----------
    rows : sequence of SummaryRow
        Of one pair of models.
    baseline : str
        The method that others are compared with.

    Returns
    -------
    Table
    """
    weak, ceiling, own = (
        {row.task: row for row in rows if row.method == name} for name in (*ENDS, baseline)
    )

    def of_baseline(cell: Callable[[SummaryRow], Cell]) -> Callable[[SummaryRow], Cell]:
        return lambda row: cell(own[row.task]) if row.task in own else Cell.number(None)

    by_own = any(row.own_ceiling for row in own.values())
    return Table.of(
        f"{rows[0].weak_model} supervises {rows[0].strong_model}: the gap of every task",
        (
            Column("task"),
            Column("runs", _runs),
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
        f"Means over runs. {RUNS} Brackets: 95 % intervals {sources_of_noise(rows)}; p: two-sided, "
        "each by itself.\nWhere a gap is not resolved, read ΔAUC, not PGR."
        + (f" {BY_OWN}" if by_own else ""),
        unresolved=lambda row: not row.resolved,
    )


def resolved_text(row: SummaryRow) -> str:
    """Whether the gap is resolved, and what it would take."""
    if row.resolved:
        return "yes"
    return f"no: {why}" if (why := why_unresolved(row)) else "no"
