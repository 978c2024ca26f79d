"""Scores of a run and of a study, and the gaps of its tasks, as tables.

A new column of scores is one entry of `_columns`, for the terminal and for reports.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from w2sprobe.reporting.numbers import with_interval
from w2sprobe.reporting.table import Cell, Column, Row, Table, Tone, tone_of
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

Columns = Mapping[Column, Callable[[SummaryRow], Cell]]


def results_table(results: Results) -> Table:
    """Every method of one run, for the terminal: what reports have sections for is in its note."""
    table = scores_table(results.summary, results=results)
    title = f"{results.task}: {results.weak_model} supervises {results.strong_model}"
    return replace(table, title=title, note=_note(results))


def scores_table(
    rows: Sequence[SummaryRow], prefix: str = "", *, results: Results | None = None
) -> Table:
    """Every method of every task: AUC, gain, PGR, with intervals.

    Parameters
    ----------
    rows : sequence of SummaryRow
        Of one pair of models.
    prefix : str, optional
        Of the table's name.
    results : Results, optional
        Of the one run that `rows` are of: adds rows and seconds of each method.

    Returns
    -------
    Table
    """
    uneven = bool(with_fewer_seeds(rows))
    columns = _columns(rows, {} if results is None else {row.method: row for row in results.rows})
    runs = "runs" in {column.title for column in columns}
    return Table(
        f"{prefix}scores",
        "Scores of every task and method",
        tuple(columns),
        [
            Row(tuple(cell(row) for cell in columns.values()), unresolved=not row.resolved)
            for row in rows
        ],
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
        + (f" {BY_OWN}" if any(row.own_ceiling for row in rows) else ""),
        searchable=len(rows) > 12,
    )


def _columns(rows: Sequence[SummaryRow], trained: Mapping[str, ResultRow]) -> Columns:
    found: dict[Column, Callable[[SummaryRow], Cell]] = {}
    if len({row.task for row in rows}) > 1:
        found[Column("task")] = lambda row: Cell.of(row.task)
    found[Column("method", pinned=True)] = lambda row: Cell.of(row.method)
    if with_fewer_seeds(rows) or any(row.n_seeds > 1 for row in rows):
        found[Column("runs")] = lambda row: Cell(runs_text(row), repr(row.n_seeds))
    found[Column("AUC", number=True)] = lambda row: Cell.estimate(
        row.auc, row.auc_interval, signed=False
    )
    found[Column("ΔAUC to weak", number=True)] = _gain
    found[Column("PGR", number=True)] = lambda row: Cell.of("") if row.method in ENDS else _pgr(row)
    if any(row.own_ceiling for row in rows):
        found[Column(OWN_PGR, number=True)] = _own_pgr
    if trained:
        found[Column("rows kept", number=True)] = lambda row: _kept(trained[row.method])
        found[Column("seconds", number=True)] = lambda row: Cell.number(
            trained[row.method].seconds, digits=1
        )
    return found


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
    lines += [f"No result for {name}: {stage} failed." for name, stage in results.missing.items()]
    lines += [f"Warning: {message}" for message in results.warnings]
    lines += [
        f"Audit, {finding.level}: {finding.message}"
        for finding in results.audit
        if finding.level != "note"
    ]
    return "\n".join(lines)


def study_tables(study: StudyResults) -> Iterator[Table]:
    """The gaps of each pair of models."""
    for pair in dict.fromkeys((row.weak_model, row.strong_model) for row in study.summary):
        rows = [row for row in study.summary if (row.weak_model, row.strong_model) == pair]
        yield gaps_table(rows, baseline=study.config.get("analysis", {}).get("against", STUDENT))


def gaps_table(rows: Sequence[SummaryRow], prefix: str = "", *, baseline: str = STUDENT) -> Table:
    """The gap of every task, whether it is resolved, and what the baseline makes of it.

    Parameters
    ----------
    rows : sequence of SummaryRow
        Of one pair of models.
    prefix : str, optional
        Of the table's name.
    baseline : str
        The method that others are compared with.

    Returns
    -------
    Table
    """
    own = any(row.own_ceiling for row in rows if row.method == baseline)
    by_task: dict[str, dict[str, SummaryRow]] = {}
    for row in rows:
        by_task.setdefault(row.task, {})[row.method] = row
    return Table(
        f"{prefix}gaps",
        f"{rows[0].weak_model} supervises {rows[0].strong_model}: the gap of every task",
        (
            Column("task"),
            *(Column(title, number=True) for title in ("runs", "weak", "ceiling", "gap")),
            Column("resolved", wrap=True),
            *(Column(title, number=True) for title in (f"{plain(baseline)}, ΔAUC", "p", "PGR")),
            *((Column(OWN_PGR, number=True),) if own else ()),
        ),
        [_gap_row(task, methods, baseline, own=own) for task, methods in by_task.items()],
        f"Means over runs. {RUNS} Brackets: 95 % intervals {sources_of_noise(rows)}; p: two-sided, "
        "each by itself.\nWhere a gap is not resolved, read ΔAUC, not PGR."
        + (f" {BY_OWN}" if own else ""),
        searchable=len(by_task) > 12,
    )


def _gap_row(task: str, methods: Mapping[str, SummaryRow], baseline: str, *, own: bool) -> Row:
    weak, ceiling, student = methods["weak"], methods["ceiling"], methods.get(baseline)
    by_own = (_own_pgr,) if own else ()
    return Row(
        (
            Cell.of(task),
            Cell(runs_text(ceiling), repr(ceiling.n_seeds)),
            Cell.number(weak.auc),
            Cell.number(ceiling.auc),
            Cell.number(ceiling.gap, gap_text(ceiling)),
            Cell.of(resolved_text(ceiling)),
            *(
                (Cell.number(None),) * (3 + len(by_own))
                if student is None
                else (
                    _gain(student),
                    Cell.pvalue(student.delta_auc_pvalue),
                    *(cell(student) for cell in (_pgr, *by_own)),
                )
            ),
        ),
        unresolved=not ceiling.resolved,
    )


def resolved_text(row: SummaryRow) -> str:
    """Whether the gap is resolved, and what it would take."""
    if row.resolved:
        return "yes"
    return f"no: {why}" if (why := why_unresolved(row)) else "no"
