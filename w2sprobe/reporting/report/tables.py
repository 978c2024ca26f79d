"""Tables of reports only: tests of methods, audits, times, labels before and after curation."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from w2sprobe.comparison import Analysis, role_of
from w2sprobe.metrics import Estimate
from w2sprobe.reporting.report.gain_tests import gain_of, judged_together
from w2sprobe.reporting.report.key_numbers import toned
from w2sprobe.reporting.report.sources import ResultsFolder
from w2sprobe.reporting.table import Cell, Column, Table, numeric
from w2sprobe.reporting.wording import ENDS, STUDENT, plain
from w2sprobe.results import ResultRow, SummaryRow

CARD = {  # titles of columns, and their keys in `cards_of`
    "rows": "offered",
    "wrong before": "noise_before",
    "wrong after": "noise_after",
    "removed": "removed",
    "of these wrong": "precision",
    "of the wrong removed": "recall",
    "flipped": "flipped",
    "flips that are right": "flips_right",
    "ones before": "ones_before",
    "ones after": "ones_after",
}


def method_tests_table(
    rows: Sequence[SummaryRow],
    analysis: Analysis,
    *,
    against: str = STUDENT,
    defined: Mapping[str, Mapping[str, object]] | None = None,
    filters: Mapping[str, Estimate | None] | None = None,
) -> Table:
    """Tests of the methods of one task that compete with the baseline; there may be none.

    Parameters
    ----------
    analysis : Analysis
        Its family are the methods that compete. If it has none, names and `defined` decide.
    against : str
        Baseline, whose own test is among the key numbers.
    defined : mapping of str to mapping, optional
        Section `define` of the config.
    filters : mapping of str to Estimate or None, optional
        AUC of each filter less that of a random filter that keeps as many rows; None if they
        cannot be paired.
    """

    def competes(method: str) -> bool:
        if analysis.family is not None:
            return method in analysis.family
        return role_of(method, defined or {}) == "competitor"

    others = [row for row in rows if row.method not in (*ENDS, against) and competes(row.method)]
    gains = {
        "weak model": {row.method: gain_of(row) for row in others},
        "random filter of the same size": filters or {},
    }
    tests = [
        (method, control, known[method], *test)
        for control, of_methods in gains.items()
        if (known := {name: gain for name, gain in of_methods.items() if gain is not None})
        for method, test in judged_together(known, analysis).items()
    ]
    return Table.of(
        "Tests of the other methods",
        (
            Column("method", itemgetter(0)),
            Column("compared with", itemgetter(1)),
            numeric("difference", lambda test: Cell.estimate(test[2].value, test[2].interval)),
            numeric("p (Holm)", lambda test: Cell.pvalue(test[2].pvalue, test[3])),
            Column("result", lambda test: toned(test[4])),
        ),
        tests,
        "Difference in test AUC; brackets: 95 % intervals. p: two-sided; in parentheses after Holm "
        "for all methods with the same comparison. The result uses the latter.",
    )


def audit_table(source: ResultsFolder) -> Table:
    """Findings of the audits of all tasks."""
    findings = dict.fromkeys(
        (run.results.task, finding.level, finding.kind, finding.message)
        for run in source.runs
        for finding in run.results.audit
    )
    return Table.of_texts(
        "Findings of the audits",
        ("task", "level", "kind", "finding"),
        findings,
        "Levels: a flag means that results are doubtful, a warning that they may be; a note only "
        "informs.",
    )


def times_table(source: ResultsFolder) -> Table:
    """Training rows and duration of each method in each run."""
    rows = [(run.name, row) for run in source.runs for row in run.results.rows]
    return Table.of(
        "Rows and times",
        (
            Column("run", itemgetter(0)),
            Column("method", lambda pair: _with_source(pair[1])),
            numeric("rows kept", lambda pair: pair[1].rows_kept),
            numeric("of", lambda pair: pair[1].rows_offered),
            numeric("seconds", lambda pair: Cell.number(pair[1].seconds, digits=1)),
        ),
        rows,
        "Wall-clock seconds of a method's own stages; other work on the machine may have slowed "
        "them. Activations and weak labels are shared by all methods.",
    )


def _with_source(row: ResultRow) -> str:
    """Name of a method, and of the run that it shares because its labels were equal."""
    return row.method + (f" (same labels and run as {row.same_run_as})" if row.same_run_as else "")


def labels_table(cards: Sequence[Mapping[str, Any]]) -> Table:
    """Counts of `cards_of`: what each method did to the weak labels, judged by true labels."""
    several = len({card["run"] for card in cards}) > 1
    steps = any(card["step"] for card in cards)
    return Table.of(
        "Labels before and after each method",
        (
            *([Column("run", itemgetter("run"))] if several else []),
            Column("method", itemgetter("method")),
            *([Column("step", lambda card: plain(card["step"]))] if steps else []),
            *(numeric(title, itemgetter(key)) for title, key in CARD.items()),
        ),
        cards,
        "Strong-train rows, with labels hardened at 0.5. Of the rows that a random filter removes, "
        "on average the share 'wrong before' is wrong.",
    )
