"""What pages are built of: tables and figures, as their templates read them."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup

Tone = Literal["", "good", "bad"]


@dataclass(frozen=True)
class Column:
    """Of a table.

    Parameters
    ----------
    title : str
    number : bool, default False
        Set to the right.
    wrap : bool, default False
        Long texts: may take several lines.
    """

    title: str
    number: bool = False
    wrap: bool = False


@dataclass(frozen=True)
class Cell:
    """Of a table.

    Parameters
    ----------
    text : str
        What is shown.
    sort : str
        What rows are sorted by, a number or a text; empty: unknown, always last.
    tone : {"", "good", "bad"}
    """

    text: str
    sort: str
    tone: Tone = ""

    @classmethod
    def of(cls, text: str) -> "Cell":
        """A text that is sorted as it stands."""
        return cls(text, text)

    @classmethod
    def number(cls, value: float | None, text: str, tone: Tone = "") -> "Cell":
        """A number in words; None and nan are unknown, and shown as a dash."""
        if value is None or math.isnan(value):
            return cls("–", "")
        return cls(text, repr(float(value)), tone)


@dataclass(frozen=True)
class Row:
    """Of a table; `unresolved` ones are set apart."""

    cells: Sequence[Cell]
    unresolved: bool = False


@dataclass(frozen=True)
class Table:
    """A table that can be sorted by every column, and copied.

    Parameters
    ----------
    name : str
        Unique in its page; letters, digits and hyphens.
    title : str
    columns : sequence of Column
    rows : sequence of Row
    note : str, optional
        Below it.
    searchable : bool, default False
        Has a field that filters its rows.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    note: str = ""
    searchable: bool = False


@dataclass(frozen=True)
class Figure:
    """A drawing, with what it shows in words and as data.

    Parameters
    ----------
    name : str
        Unique in its page, and the name of its files; letters, digits and hyphens.
    title : str
    caption : str
        How to read it.
    alt : str
        What it shows, for those who do not see it.
    svg : Markup
        SVG whose colours are the variables of page.css.
    data : sequence of mapping
        A row a mark; all with the same keys.
    """

    name: str
    title: str
    caption: str
    alt: str
    svg: Markup
    data: Sequence[Mapping[str, Any]]

    @property
    def csv(self) -> str:
        """`data` as CSV; None is an empty cell."""
        return as_csv(self.data)


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of the same keys as CSV with a heading.

    Parameters
    ----------
    rows : sequence of mapping

    Returns
    -------
    str

    Examples
    --------
    >>> print(as_csv([{"task": "a", "auc": 0.5}, {"task": "b", "auc": None}]), end="")
    task,auc
    a,0.5
    b,
    """
    file = io.StringIO()
    names = list(rows[0]) if rows else []
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()
