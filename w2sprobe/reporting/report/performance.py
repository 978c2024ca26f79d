"""Tables of the scores beside the AUC: accuracy, calibration, recall, groups of rows."""

from collections.abc import Callable, Mapping, Sequence

from w2sprobe.metrics import MIN_GROUP_ROWS, N_BINS
from w2sprobe.reporting.numbers import with_interval
from w2sprobe.reporting.table import Cell, Column, Row, Table, Tone, tone_of
from w2sprobe.reporting.wording import ENDS
from w2sprobe.results import Interval, Performance, SummaryRow

Scored = tuple[SummaryRow, Performance]
Columns = Mapping[str, Callable[[SummaryRow, Performance], Cell]]

# what each score is, and when not to trust it
WORDS = {
    "accuracy": (
        "Share of test rows that get their true label, deciding for 1 above one half. "
        "Higher is better.",
        "Labels are unbalanced: always predicting the more frequent one is then often "
        "right. Weak labels lie on one side of one half: a student learns to decide alike for all "
        "rows, however well it ranks them.",
    ),
    "at the weak threshold": (
        "Accuracy at the threshold where the method's decisions agree best with the weak model's "
        "labels of these rows. No true label is used to choose it.",
        "The weak labels have a wrong share of ones: the threshold copies it. No value: they are "
        "all of one class.",
    ),
    "Δaccuracy to weak": (
        "Accuracy at one half less the weak model's, on the same rows.",
        "The accuracy of either model is not to be trusted.",
    ),
    "PGR (AUC)": (
        "Share of the gap in AUC that is recovered.",
        "Marked unresolved: the gap is too small, or too uncertain, to be divided by.",
    ),
    "PGR (accuracy)": (
        "Share of the gap in accuracy at one half that is recovered: what Burns et al. report.",
        "Marked unresolved: the gap in accuracy is too small, or too uncertain. It differs from "
        "PGR in AUC where a model ranks well and has a wrong threshold.",
    ),
    "log-loss": (
        "Mean of -log P(true label). Lower is better; predicting one half for every row has .693.",
        "A few sure mistakes make most of it. No value: it is infinite, since a probability of "
        "exactly 0 or 1 was wrong, as votes of neighbours may be.",
    ),
    "Brier": (
        "Mean squared difference between P(label = 1) and the label. Lower is better; predicting "
        "one half for every row has .25.",
        "It mixes ranking with calibration: read it beside the AUC.",
    ),
    "calibration error": (
        f"Expected calibration error: in {N_BINS} bins of P(label = 1), the mean distance between "
        "the mean probability and the share of ones. Lower is better.",
        "It depends on the bins, and is above 0 even for perfect probabilities, about .05 with 400 "
        "rows. A method that predicts the share of ones for every row has none, and is useless.",
    ),
    "recall at FPR .01": (
        "Share of the rows of class 1 that are found where at most 1 % of the rows of class 0 are "
        "taken for ones. Higher is better.",
        "Rows of class 0 are few: with 200 the rate moves in steps of 1/200, and two rows decide. "
        "No value: fewer than 100.",
    ),
    "recall at FPR .05": (
        "The same with 5 %.",
        "As above; no value: fewer than 20 rows of class 0.",
    ),
    "worst group": (
        f"The group of test rows with the lowest accuracy, of those with {MIN_GROUP_ROWS} rows or "
        "more.",
        "Groups are small: the standard error of an accuracy is about .11 with 20 rows, .05 with "
        "100. The lowest of several is partly bad luck.",
    ),
}


def performance_tables(rows: Sequence[SummaryRow], prefix: str) -> tuple[Table, ...]:
    """Scores beside the AUC of every task and method, those of groups, and what each score is.

    Parameters
    ----------
    rows : sequence of SummaryRow
    prefix : str
        Of the tables' names.

    Returns
    -------
    tuple of Table
        Empty where no row has a performance: in results of versions that did not compute it.
    """
    scored = [(row, row.performance) for row in rows if row.performance is not None]
    if not scored:
        return ()
    several = len({row.task for row in rows}) > 1
    tables = [
        _scores_table(scored, f"{prefix}{name}", title, columns, note, several=several)
        for name, (title, columns, note) in _TABLES.items()
    ]
    titles = [column.title for table in tables for column in table.columns]
    legend = Table.of_texts(
        f"{prefix}performance-in-words",
        "What these scores are",
        ("score", "what it is", "do not trust it where"),
        [(title, *words) for title, words in WORDS.items() if title in titles],
    )
    groups = _groups_table(scored, f"{prefix}groups", several=several)
    return (*tables, *((groups,) if groups.rows else ()), legend)


def _scores_table(
    scored: Sequence[Scored],
    name: str,
    title: str,
    columns: Columns,
    note: str,
    *,
    several: bool,
) -> Table:
    """Table of those columns that have a value in some row."""
    cells = {column: [value(*one) for one in scored] for column, value in columns.items()}
    cells = {column: values for column, values in cells.items() if any(c.sort for c in values)}
    return Table(
        name,
        title,
        (
            *((Column("task"),) if several else ()),
            Column("method"),
            *(Column(column, number=column != "worst group") for column in cells),
        ),
        [
            Row((*_who(row, several=several), *values))
            for (row, _), *values in zip(scored, *cells.values(), strict=True)
        ],
        note + "Several seeds: means; a dash where a seed has no value.",
        searchable=len(scored) > 12,
    )


def _groups_table(scored: Sequence[Scored], name: str, *, several: bool) -> Table:
    rows = [
        Row(
            (
                *_who(row, several=several),
                Cell.of(group.name),
                Cell.count(group.n_rows),
                Cell.number(group.accuracy),
                Cell.number(group.accuracy - found.accuracy, signed=True),
                Cell.number(group.auc),
            )
        )
        for row, found in scored
        for group in found.groups
    ]
    return Table(
        name,
        "Every group of test rows",
        (
            *((Column("task"),) if several else ()),
            Column("method"),
            Column("group"),
            Column("rows", number=True),
            Column("accuracy", number=True),
            Column("less that of all rows", number=True),
            Column("AUC", number=True),
        ),
        rows,
        f"Groups of {MIN_GROUP_ROWS} rows or more, worst first; smaller ones are left out. "
        "Accuracy at one half. No AUC: the group's rows are of one class.",
        searchable=len(rows) > 12,
    )


def _who(row: SummaryRow, *, several: bool) -> tuple[Cell, ...]:
    return (*((Cell.of(row.task),) if several else ()), Cell.of(row.method))


def _rows_of(found: Performance) -> Cell:
    return Cell.number(found.n_rows, f"{found.n_rows:,} ({found.n_zeros:,})")


def _delta_accuracy(row: SummaryRow, _: Performance) -> Cell:
    if row.method == "weak":
        return Cell.of("")
    interval = row.delta_accuracy_interval
    tone: Tone = "" if row.method in ENDS else tone_of(interval)
    return Cell.estimate(row.delta_accuracy, interval, tone=tone)


def _pgr(
    row: SummaryRow, value: float | None, interval: Interval | None, *, resolved: bool | None
) -> Cell:
    if row.method in ENDS or value is None:
        return Cell.of("")
    text = with_interval(value, interval, 2) if interval else f"{value:+.2f}"
    return Cell.number(value, f"{text}, unresolved" if resolved is False else text)


def _worst(_: SummaryRow, found: Performance) -> Cell:
    group = found.worst_group
    if group is None:
        return Cell.of("")
    text = f"{group.accuracy:.3f}: {group.name} ({group.n_rows:,} rows)"
    return Cell.number(group.accuracy, text)


_DECISIONS: Columns = {
    "accuracy": lambda _, found: Cell.number(found.accuracy),
    "at the weak threshold": lambda _, found: Cell.number(found.accuracy_at_weak_threshold),
    "Δaccuracy to weak": _delta_accuracy,
    "PGR (AUC)": lambda row, _: _pgr(row, row.pgr, row.pgr_interval, resolved=row.resolved),
    "PGR (accuracy)": lambda row, _: _pgr(
        row, row.accuracy_pgr, row.accuracy_pgr_interval, resolved=row.accuracy_resolved
    ),
    "worst group": _worst,
}
_PROBABILITIES: Columns = {
    "log-loss": lambda _, found: Cell.number(found.log_loss),
    "Brier": lambda _, found: Cell.number(found.brier),
    "calibration error": lambda _, found: Cell.number(found.calibration_error),
    "recall at FPR .01": lambda _, found: Cell.number(found.recall_at_fpr.get(".01")),
    "recall at FPR .05": lambda _, found: Cell.number(found.recall_at_fpr.get(".05")),
    "test rows (of class 0)": lambda _, found: _rows_of(found),
}
_TABLES = {
    "decisions": (
        "Accuracy of every method",
        _DECISIONS,
        "Brackets: 95 % intervals. Coloured: the interval of the difference excludes 0. ",
    ),
    "probabilities": ("Calibration and recall of every method", _PROBABILITIES, ""),
}
