"""What a study found, as tables in the terminal; `comparison` has the tests over tasks."""

from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from w2sprobe.reporting._cells import plain_table
from w2sprobe.reporting.table import with_interval
from w2sprobe.reporting.wording import runs_text, sources_of_noise
from w2sprobe.results import StudyResults, SummaryRow

Pair = tuple[str, str]


def study_tables(study: StudyResults) -> Iterator[Table]:
    """The gaps of each pair of models."""
    for pair in dict.fromkeys((row.weak_model, row.strong_model) for row in study.summary):
        yield _gaps(study, pair)


def _gaps(study: StudyResults, pair: Pair) -> Table:
    table = plain_table(
        f"{study.name}: {pair[0]} supervises {pair[1]}",
        "Means over runs: cuts of the rows x seeds of the supervisor x seeds of the student. "
        f"Brackets: 95 % intervals {sources_of_noise(study.summary)}.\n"
        "Where a gap is not resolved, read ΔAUC, not PGR.",
    )
    table.add_column("task")
    for column in ("runs", "weak", "ceiling", "gap"):
        table.add_column(column, justify="right")
    table.add_column("resolved")
    for column in ("student, ΔAUC", "PGR"):
        table.add_column(column, justify="right")
    by_task: dict[str, dict[str, SummaryRow]] = {}
    for row in study.summary:
        if (row.weak_model, row.strong_model) == pair:
            by_task.setdefault(row.task, {})[row.method] = row
    for task, methods in by_task.items():
        ceiling, student = methods["ceiling"], methods.get("student")
        gap = f"{ceiling.gap:+.3f}"
        if ceiling.gap_se is not None:
            gap += f" (SE {ceiling.gap_se:.3f})"
        table.add_row(
            escape(task),
            runs_text(ceiling),
            f"{methods['weak'].auc:.3f}",
            f"{ceiling.auc:.3f}",
            gap,
            resolved_text(ceiling),
            *(("-", "-") if student is None else _student(student)),
            style=None if ceiling.resolved else "dim",
        )
    return table


def resolved_text(row: SummaryRow) -> str:
    """Whether the gap is resolved, and what it would take."""
    if row.resolved:
        return "yes"
    if row.gap <= 0:
        return "no: the ceiling is not above the weak model"
    if row.gap_se is None:
        return "no"
    if row.rows_needed is None:
        return "no: too small, whatever the rows"
    if row.rows_needed <= row.n_test_rows:
        return "no: seeds differ too much; more of them may"
    return f"no: about {row.rows_needed} test rows would"


def _student(row: SummaryRow) -> tuple[str, str]:
    if row.delta_auc_interval is None:
        delta = f"{row.delta_auc:+.3f}"
    else:
        delta = with_interval(row.delta_auc, row.delta_auc_interval, 3)
    if row.pgr is None:
        return escape(delta), "-"
    single = row.auc_interval is None
    return escape(delta), f"{row.pgr:+.2f}" if single else escape(
        with_interval(row.pgr, row.pgr_interval, 2)
    )
