"""Tables that only reports have: audits, times, what methods did to labels."""

from collections.abc import Mapping, Sequence
from typing import Any

from w2sprobe.reporting.report.sources import Source
from w2sprobe.reporting.table import Cell, Column, Row, Table
from w2sprobe.reporting.wording import plain

COUNTS = ("offered", "removed", "flipped")
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


def audit_table(source: Source, name: str) -> Table:
    """What the audits of the tasks found."""
    found = dict.fromkeys(
        (run.results.task, finding.level, finding.kind, finding.message)
        for run in source.runs
        for finding in run.results.audit
    )
    return Table.of_texts(
        name,
        "Findings of the audits",
        ("task", "level", "kind", "finding"),
        found,
        "A flag makes results doubtful, a warning may, a note informs.",
    )


def times_table(source: Source, name: str) -> Table:
    """What each method's stages took."""
    return Table(
        name,
        "Rows and times",
        (
            Column("task"),
            Column("method"),
            Column("rows kept", number=True),
            Column("of", number=True),
            Column("seconds", number=True),
        ),
        [
            Row(
                (
                    Cell.of(run.name),
                    Cell.of(
                        f"{row.method} (same labels and run as {row.same_run_as})"
                        if row.same_run_as
                        else row.method
                    ),
                    *map(Cell.count, (row.rows_kept, row.rows_offered)),
                    Cell.number(row.seconds, f"{row.seconds:,.1f}"),
                )
            )
            for run in source.runs
            for row in run.results.rows
        ],
        "Seconds by the clock of a method's own stages, whatever else the machine did just then; "
        "activations and weak labels are shared by all.",
        searchable=True,
    )


def labels_table(cards: Sequence[Mapping[str, Any]], name: str) -> Table:
    """What each method did to the weak labels, against truth."""
    several = len({card["run"] for card in cards}) > 1
    steps = any(card["step"] for card in cards)
    return Table(
        name,
        "Labels before and after each method",
        (
            *((Column("run"),) if several else ()),
            Column("method"),
            *((Column("step"),) if steps else ()),
            *(Column(title, number=True) for title in CARD),
        ),
        [
            Row(
                (
                    *((Cell.of(card["run"]),) if several else ()),
                    Cell.of(card["method"]),
                    *((Cell.of(plain(card["step"])),) if steps else ()),
                    *(
                        Cell.count(card[key]) if key in COUNTS else Cell.number(card[key])
                        for key in CARD.values()
                    ),
                )
            )
            for card in cards
        ],
        "Rows of strong-train; hard labels, soft label above .5. A random filter's precision is "
        "the share that is wrong before, on average.",
        searchable=len(cards) > 12,
    )
