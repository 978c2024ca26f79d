"""Tables of scores other than AUC: accuracy, calibration, recall, groups of rows."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from w2sprobe.metrics import MIN_GROUP_ROWS, N_BINS
from w2sprobe.reporting.numbers import with_interval
from w2sprobe.reporting.scores import n_tasks
from w2sprobe.reporting.table import Cell, Column, Table, Tone, numeric, tone_of
from w2sprobe.reporting.wording import ENDS
from w2sprobe.results import SummaryRow

# each score: its definition, and when not to trust it
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


def performance_tables(rows: Sequence[SummaryRow]) -> tuple[Table, ...]:
    """Scores other than AUC of every task and method, of groups of rows, and their definitions.

    Returns
    -------
    tuple of Table
        Empty where no row has a performance: in results of versions that did not compute it.
    """
    scored = [row for row in rows if row.performance is not None]
    if not scored:
        return ()
    who = [*([Column("task")] if n_tasks(rows) > 1 else []), Column("method")]
    means = "Several seeds: means; a dash where a seed has no value."
    tables = [
        Table.of(title, [*who, *_with_values(columns, scored)], scored, note + means)
        for title, columns, note in _TABLES
    ]
    titles = [column.title for table in tables for column in table.columns]
    legend = Table.of_texts(
        "What these scores are",
        ("score", "what it is", "do not trust it where"),
        [(title, *words) for title, words in WORDS.items() if title in titles],
    )
    groups = _groups_table(scored, who)
    return (*tables, *((groups,) if groups.rows else ()), legend)


def _with_values(columns: Sequence[Column], rows: Sequence[SummaryRow]) -> Iterator[Column]:
    """Columns that have a value in some row."""
    return (column for column in columns if any(column.cell(row).sort for row in rows))


def _groups_table(rows: Sequence[SummaryRow], who: Sequence[Column]) -> Table:
    def of_row(column: Column) -> Column:
        return replace(column, value=lambda one: column.cell(one[0]))

    def of_group(title: str, name: str) -> Column:
        return numeric(title, lambda one: getattr(one[1], name))

    return Table.of(
        "Every group of test rows",
        (
            *map(of_row, who),
            Column("group", lambda one: one[1].name),
            of_group("rows", "n_rows"),
            of_group("accuracy", "accuracy"),
            numeric(
                "less that of all rows",
                lambda one: Cell.number(one[1].accuracy - one[0].performance.accuracy, signed=True),
            ),
            of_group("AUC", "auc"),
        ),
        [(row, group) for row in rows if row.performance for group in row.performance.groups],
        f"Groups of {MIN_GROUP_ROWS} rows or more, worst first; smaller ones are left out. "
        "Accuracy at one half. No AUC: the group's rows are of one class.",
    )


def _delta_accuracy(row: SummaryRow) -> Cell:
    if row.method == "weak":
        return Cell.of("")
    interval = row.delta_accuracy_interval
    tone: Tone = "" if row.method in ENDS else tone_of(interval)
    return Cell.estimate(row.delta_accuracy, interval, tone=tone)


def _pgr(title: str, name: str, resolved: str) -> Column:
    def cell(row: SummaryRow) -> Cell:
        value, interval = getattr(row, name), getattr(row, f"{name}_interval")
        if row.method in ENDS or value is None:
            return Cell.of("")
        text = with_interval(value, interval, 2) if interval else f"{value:+.2f}"
        unresolved = getattr(row, resolved) is False
        return Cell.number(value, f"{text}, unresolved" if unresolved else text)

    return numeric(title, cell)


def _worst(row: SummaryRow) -> Cell:
    group = row.performance and row.performance.worst_group
    if not group:
        return Cell.of("")
    return Cell.number(
        group.accuracy, f"{group.accuracy:.3f}: {group.name} ({group.n_rows:,} rows)"
    )


def _recall(rate: str) -> Column:
    return numeric(f"recall at FPR {rate}", lambda row: row.performance.recall_at_fpr.get(rate))


_TABLES = (
    (
        "Accuracy of every method",
        (
            numeric("accuracy", "performance.accuracy"),
            numeric("at the weak threshold", "performance.accuracy_at_weak_threshold"),
            numeric("Δaccuracy to weak", _delta_accuracy),
            _pgr("PGR (AUC)", "pgr", "resolved"),
            _pgr("PGR (accuracy)", "accuracy_pgr", "accuracy_resolved"),
            Column("worst group", _worst),
        ),
        "Brackets: 95 % intervals. Coloured: the interval of the difference excludes 0. ",
    ),
    (
        "Calibration and recall of every method",
        (
            numeric("log-loss", "performance.log_loss"),
            numeric("Brier", "performance.brier"),
            numeric("calibration error", "performance.calibration_error"),
            _recall(".01"),
            _recall(".05"),
            numeric("test rows", "performance.n_rows"),
            numeric("of class 0", "performance.n_zeros"),
        ),
        "",
    ),
)
