"""Tables that only reports have: tests of methods, audits, times, labels before and after."""

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
from w2sprobe.results import SummaryRow

CARD = {  # titles of columns, and what they hold of `cards_of`
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
    """Tests of the methods of one task that compete with the baseline; without rows for none.

    Parameters
    ----------
    analysis : Analysis
        Its family says which methods compete; without one, `defined` and their names do.
    against : str
        The baseline: the key numbers have its test.
    defined : mapping of str to mapping, optional
        The section `define` of the config.
    filters : mapping of str to Estimate or None, optional
        AUC of each filter less that of a random filter of its size, where they can be paired.
    """

    def competes(method: str) -> bool:
        if analysis.family is not None:
            return method in analysis.family
        return role_of(method, defined or {}) == "competitor"

    others = [row for row in rows if row.method not in (*ENDS, against) and competes(row.method)]
    gains = {
        "weak model": {row.method: gain_of(row) for row in others},
        "random filter of its size": filters or {},
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
            Column("less", itemgetter(1)),
            numeric("difference", lambda one: Cell.estimate(one[2].value, one[2].interval)),
            numeric("p (Holm)", lambda one: Cell.pvalue(one[2].pvalue, one[3])),
            Column("result", lambda one: toned(one[4])),
        ),
        tests,
        "Test AUC of a method less that of the control; brackets: 95 % intervals. p: two-sided; in "
        "parentheses by Holm for all methods with the same control; the result follows from it.",
    )


def audit_table(source: ResultsFolder) -> Table:
    """What the audits of the tasks found."""
    found = dict.fromkeys(
        (run.results.task, finding.level, finding.kind, finding.message)
        for run in source.runs
        for finding in run.results.audit
    )
    return Table.of_texts(
        "Findings of the audits",
        ("task", "level", "kind", "finding"),
        found,
        "A flag makes results doubtful, a warning may, a note informs.",
    )


def times_table(source: ResultsFolder) -> Table:
    """What each method's stages took."""
    rows = [(run.name, row) for run in source.runs for row in run.results.rows]
    return Table.of(
        "Rows and times",
        (
            Column("task", itemgetter(0)),
            Column(
                "method",
                lambda one: (
                    one[1].method
                    + (
                        f" (same labels and run as {one[1].same_run_as})"
                        if one[1].same_run_as
                        else ""
                    )
                ),
            ),
            numeric("rows kept", lambda one: one[1].rows_kept),
            numeric("of", lambda one: one[1].rows_offered),
            numeric("seconds", lambda one: Cell.number(one[1].seconds, digits=1)),
        ),
        rows,
        "Seconds by the clock of a method's own stages, whatever else the machine did just then; "
        "activations and weak labels are shared by all.",
    )


def labels_table(cards: Sequence[Mapping[str, Any]]) -> Table:
    """What each method did to the weak labels, against truth."""
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
        "Rows of strong-train; hard labels, soft label above .5. A random filter's precision is "
        "the share that is wrong before, on average.",
    )
