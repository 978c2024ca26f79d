"""Tables of the scores of a run or study, and of the gaps of its tasks.

A new score is one more column of `scores_table`, in terminals and in reports.
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
    f"{OWN_PGR}: share of the gap between the weak model and the same learner fitted on true "
    'labels; "unresolved": that gap is too uncertain.'
)


def n_tasks(rows: Iterable[SummaryRow]) -> int:
    """Number of tasks of the rows."""
    return len({row.task for row in rows})


def results_table(results: Results) -> Table:
    """Every method of one run, for the terminal; warnings and audit are in the note."""
    table = scores_table(results.summary, results)
    return replace(table, title=_title(results), note=_note(results))


def study_tables(study: StudyResults) -> Iterator[Table]:
    """Tables for the terminal, by pair of models: gaps of all tasks, or methods of one task."""
    several = n_tasks(study.summary) > 1
    against = study.config.get("analysis", {}).get("against", STUDENT)
    for pair in dict.fromkeys((row.weak_model, row.strong_model) for row in study.summary):
        rows = [row for row in study.summary if (row.weak_model, row.strong_model) == pair]
        if several:
            yield gaps_table(rows, against)
        else:
            note = "\n".join([_intervals(rows), *_about_pgr(rows)])
            yield replace(scores_table(rows), title=_title(rows[0]), note=note)


def _title(scored: Results | SummaryRow) -> str:
    return f"{scored.task}: {scored.weak_model} supervises {scored.strong_model}"


def scores_table(rows: Sequence[SummaryRow], results: Results | None = None) -> Table:
    """Every method of every task: AUC, gain and PGR, with intervals.

    Parameters
    ----------
    rows : sequence of SummaryRow
        Scores of one pair of models.
    results : Results, optional
        The run, if `rows` summarise a single one: adds columns of training rows and seconds.
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
    return Table.of(
        "Scores of every task and method" if several else "Scores of every method",
        columns,
        rows,
        " ".join(_scores_notes(rows)),
        unresolved=lambda row: not row.resolved,
    )


def _scores_notes(rows: Sequence[SummaryRow]) -> Iterator[str]:
    """Sentences on how to read the scores of some rows."""
    yield _intervals(rows)
    if not all(row.resolved for row in rows):
        yield (
            "In italics: the gap between weak model and ceiling is not resolved, so too small or "
            "too uncertain to be a denominator; read ΔAUC, not PGR."
        )
    yield "Coloured: the interval of ΔAUC excludes 0, not corrected for the number of methods."
    if _by_own(rows):
        yield BY_OWN
    if with_fewer_seeds(rows):
        yield (
            "Methods have different runs: do not compare their AUC here. Differences to the "
            "baseline use the runs that both methods have."
        )


def _runs_column(rows: Sequence[SummaryRow]) -> list[Column]:
    """Column of runs; none if all rows have the same runs, which `_intervals` then names."""
    if len(set(map(runs_text, rows))) == 1:
        return []
    return [Column("runs", lambda row: Cell(runs_text(row), repr(row.n_seeds)))]


def _intervals(rows: Sequence[SummaryRow]) -> str:
    """Sentences on what the rows average over, and which noise their intervals cover."""
    brackets = f"Brackets: 95 % intervals {sources_of_noise(rows)}."
    runs = list(dict.fromkeys(map(runs_text, rows)))
    if runs == ["1"]:
        return brackets
    if len(runs) == 1 and runs[0].isdigit():  # results of an earlier version
        return f"Means over {runs[0]} runs. {brackets}"
    levels = "cuts of the rows x supervisor seeds x student seeds"
    same = f"{runs[0]} ({levels})" if len(runs) == 1 else levels
    return f"Means over runs: {same}. {brackets}"


def _by_own(rows: Iterable[SummaryRow]) -> bool:
    return any(row.own_ceiling for row in rows)


def _about_pgr(rows: Sequence[SummaryRow]) -> Iterator[str]:
    """Sentences on how to read the PGRs of one task."""
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
    if row.pgr is None or row.auc_interval is None:  # no interval, which is not an unbounded one
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
    """Layer and setting that weak labels chose, and whether it lies at the edge of its grid."""
    value = "" if point["value"] is None else f", {point['setting']} {point['value']:g}"
    edge = ", at the edge of its grid" if point.get("at_edge") else ""
    weight = "" if point.get("weight") is None else f", weight {point['weight']:.2f}"
    return f"layer {point['layer']}{value}{weight} (by weak labels{edge})"


def _note(results: Results) -> str:
    points = list(dict.fromkeys(map(_point, results.chosen.values())))
    if results.store and results.layer is not None:  # without a store no probe was fitted
        points.insert(0, f"layer {results.layer}")
    probes = f" Probes: {'; '.join(points)}." if points else ""
    lines = [f"{_intervals(results.summary)}{probes} Test rows: {results.splits['test']}."]
    lines += _about_pgr(results.summary)
    lines += [
        f"{row.method} was not trained again: its labels equal those of {row.same_run_as!r}."
        for row in results.rows
        if row.same_run_as
    ]
    lines += [
        # `why` is the title of a stage, or a sentence
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
        Scores of one pair of models.
    baseline : str
        Method that others are compared with.
    """
    weak, ceiling, of_tasks = (
        {row.task: row for row in rows if row.method == name} for name in (*ENDS, baseline)
    )

    def of_baseline(cell: Callable[[SummaryRow], Cell]) -> Callable[[SummaryRow], Cell]:
        return lambda row: cell(of_tasks[row.task]) if row.task in of_tasks else Cell.number(None)

    by_own = _by_own(of_tasks.values())
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
    """Whether the gap is resolved, and what would resolve it."""
    if row.resolved:
        return "yes"
    return f"no: {why}" if (why := why_unresolved(row)) else "no"
