"""Tables that only reports have: audits, times, what methods did to labels."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from w2sprobe.reporting.report.sources import Source
from w2sprobe.reporting.table import Cell, Column, Table, numeric
from w2sprobe.reporting.wording import plain

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


def audit_table(source: Source) -> Table:
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


def times_table(source: Source) -> Table:
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
