"""Tables of scores other than AUC: accuracy, calibration, recall, groups of rows."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from w2sprobe.metrics import FALSE_POSITIVE_RATES, MIN_GROUP_ROWS, N_BINS
from w2sprobe.reporting.numbers import with_interval
from w2sprobe.reporting.scores import n_tasks
from w2sprobe.reporting.table import Cell, Column, Table, Tone, numeric, tone_of
from w2sprobe.reporting.wording import ENDS
from w2sprobe.results import SummaryRow

# definition of each score, and when not to trust it
WORDS = {
    "accuracy": (
        "Share of test rows that are classified correctly at threshold 0.5. Higher is better.",
        "Classes are unbalanced: always predicting the more frequent one is then often right. Or "
        "nearly all weak labels are on one side of 0.5: a student of them predicts one class for "
        "nearly all rows, however well it ranks them.",
    ),
    "at the weak threshold": (
        "Accuracy at the threshold where the method's predictions agree best with the weak model's "
        "labels of these rows. No true label is used to choose it.",
        "The share of ones among the weak labels is wrong, as the threshold reproduces it. No "
        "value: the weak labels are all of one class.",
    ),
    "Δaccuracy to weak": (
        "Accuracy at threshold 0.5 less that of the weak model, on the same rows.",
        "One of the two accuracies is not to be trusted.",
    ),
    "PGR (AUC)": (
        "Share of the gap in AUC that is recovered.",
        "Marked unresolved: the gap is too small, or too uncertain, to be a denominator.",
    ),
    "PGR (accuracy)": (
        "Share of the gap in accuracy at threshold 0.5 that is recovered, as in Burns et al.",
        "Marked unresolved: the gap in accuracy is too small, or too uncertain. It differs from "
        "PGR in AUC if a model ranks well but 0.5 is a poor threshold for it.",
    ),
    "log-loss": (
        "Mean of -log P(true label). Lower is better; predicting 0.5 for every row gives 0.693.",
        "A few confident mistakes dominate it. No value: it is infinite, since a prediction of "
        "exactly 0 or 1 was wrong, which happens with kNN.",
    ),
    "Brier": (
        "Mean squared difference between P(label = 1) and the label. Lower is better; predicting "
        "0.5 for every row gives 0.25.",
        "It mixes ranking with calibration: read it beside the AUC.",
    ),
    "calibration error": (
        f"Expected calibration error: in {N_BINS} bins of P(label = 1), the mean distance between "
        "the mean probability and the share of ones. Lower is better.",
        "It depends on the bins, and is above 0 even for perfect probabilities, about 0.05 with "
        "400 rows. Predicting the share of ones for every row gives about 0, and is useless.",
    ),
    "recall at FPR .001": (
        "Share of the rows of class 1 that are detected if at most 0.1 % of the rows of class 0 "
        "are false positives: what a monitor with few false alarms would find. Higher is better.",
        "Class 0 has few rows: with 2,000, two rows decide, as the interval shows. No value: fewer "
        "than 1,000 rows of class 0; the interval begins above 0 with about 3,700.",
    ),
    "recall at FPR .005": (
        "The same with 0.5 % false positives.",
        "As above. No value: fewer than 200 rows of class 0; begins above 0 with about 740.",
    ),
    "recall at FPR .01": (
        "The same with 1 % false positives.",
        "As above. No value: fewer than 100 rows of class 0; begins above 0 with about 370.",
    ),
    "recall at FPR .05": (
        "The same with 5 % false positives.",
        "As above. No value: fewer than 20 rows of class 0; begins above 0 with about 75.",
    ),
    "worst group": (
        f"Lowest accuracy of a group of test rows, among groups of at least {MIN_GROUP_ROWS} rows.",
        "Groups are small: the standard error of an accuracy is about 0.11 with 20 rows, 0.05 with "
        "100. The lowest of several accuracies is partly bad luck.",
    ),
}


def performance_tables(rows: Sequence[SummaryRow]) -> tuple[Table, ...]:
    """Scores other than AUC of every task and method, of groups of rows, and their definitions.

    Empty for results of earlier versions, which have no such scores.
    """
    scored = [row for row in rows if row.performance is not None]
    if not scored:
        return ()
    who = [*([Column("task")] if n_tasks(rows) > 1 else []), Column("method")]
    means = "Means over runs; a dash if a run has no value."
    tables = [
        Table.of(title, [*who, *_with_values(columns, scored)], scored, note + means)
        for title, columns, note in _TABLES
    ]
    # without scores there is nothing to count rows for
    tables = [table for table in tables if any(column.title in WORDS for column in table.columns)]
    titles = [column.title for table in tables for column in table.columns]
    legend = Table.of_texts(
        "What these scores are",
        ("score", "definition", "do not trust it if"),
        [(title, *words) for title, words in WORDS.items() if title in titles],
    )
    groups = _groups_table(scored, who)
    return (*tables, *((groups,) if groups.rows else ()), legend)


def _with_values(columns: Sequence[Column], rows: Sequence[SummaryRow]) -> Iterator[Column]:
    """Columns with a value in at least one row."""
    return (column for column in columns if any(column.cell(row).sort for row in rows))


def _groups_table(rows: Sequence[SummaryRow], who: Sequence[Column]) -> Table:
    def of_row(column: Column) -> Column:
        return replace(column, value=lambda pair: column.cell(pair[0]))

    def of_group(title: str, name: str) -> Column:
        return numeric(title, lambda pair: getattr(pair[1], name))

    return Table.of(
        "Every group of test rows",
        (
            *map(of_row, who),
            Column("group", lambda pair: pair[1].name),
            of_group("rows", "n_rows"),
            of_group("accuracy", "accuracy"),
            numeric(
                "less that of all rows",
                lambda pair: Cell.number(
                    pair[1].accuracy - pair[0].performance.accuracy, signed=True
                ),
            ),
            of_group("AUC", "auc"),
        ),
        [(row, group) for row in rows if row.performance for group in row.performance.groups],
        f"Groups of at least {MIN_GROUP_ROWS} rows, worst first. Accuracy at threshold 0.5. No "
        "AUC: the group's rows are all of one class.",
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


def _recall(fpr: float) -> Column:
    rate = f"{fpr:g}".removeprefix("0")

    def cell(row: SummaryRow) -> Cell:
        if row.performance is None:
            return Cell.of("")
        return Cell.estimate(
            row.performance.recall_at_fpr.get(rate),
            row.performance.recall_at_fpr_interval.get(rate),
            signed=False,
        )

    return numeric(f"recall at FPR {rate}", cell)


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
        "Calibration of every method",
        (
            numeric("log-loss", "performance.log_loss"),
            numeric("Brier", "performance.brier"),
            numeric("calibration error", "performance.calibration_error"),
            numeric("test rows", "performance.n_rows"),
        ),
        "",
    ),
    (
        "Recall of every method at a fixed rate of false positives",
        (
            *map(_recall, FALSE_POSITIVE_RATES),
            numeric("test rows", "performance.n_rows"),
            numeric("of class 0", "performance.n_zeros"),
        ),
        "As a monitor would be used. Brackets: 95 % intervals. ",
    ),
)
