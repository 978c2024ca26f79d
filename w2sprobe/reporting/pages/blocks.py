"""Figures of pages, as their templates read them."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup


@dataclass(frozen=True)
class Figure:
    """A drawing, with what it shows in words and as data.

    Parameters
    ----------
    name : str
        Unique in its page, and the name of its files; letters, digits and hyphens.
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
