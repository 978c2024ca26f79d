"""Tables of results, laid out once for the terminal and for pages.

`terminal.py` draws them in a terminal, the macro `table` of `pages/templates` in HTML.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Literal

from w2sprobe.reporting.numbers import interval_text, pvalue, with_interval
from w2sprobe.reporting.wording import side_of
from w2sprobe.results import Interval

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

Tone = Literal["", "good", "bad"]
TONES: dict[int, Tone] = {-1: "bad", 0: "", 1: "good"}
UNKNOWN = "-"
MANY = 12  # rows: beyond, a page has a field that filters them


def tone_of(interval: Interval | None) -> Tone:
    """Good above 0, bad below, neither where an interval holds 0 or is not known."""
    return TONES[side_of(interval)]


@dataclass(frozen=True)
class Cell:
    """Cell of a table.

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
    def number(
        cls,
        value: float | None,
        text: str = "",
        tone: Tone = "",
        *,
        digits: int = 3,
        signed: bool = False,
    ) -> "Cell":
        """A number, in words where `text` is given; None and nan are unknown, shown as a dash."""
        if value is None or math.isnan(value):
            return cls(UNKNOWN, "")
        shown = text or (f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}")
        return cls(shown, repr(float(value)), tone)

    @classmethod
    def count(cls, n: int | None) -> "Cell":
        """A whole number."""
        return cls.number(n, "" if n is None else f"{n:,}")

    @classmethod
    def estimate(
        cls,
        value: float | None,
        interval: Interval | None,
        digits: int = 3,
        tone: Tone = "",
        *,
        signed: bool = True,
    ) -> "Cell":
        """A number with its interval, as far as they are known."""
        if value is None or interval is None or math.isnan(interval[0]):
            return cls.number(value, tone=tone, digits=digits, signed=signed)
        unsigned = f"{value:.{digits}f} {interval_text(interval, digits)}"
        return cls.number(
            value, with_interval(value, interval, digits) if signed else unsigned, tone
        )

    @classmethod
    def pvalue(cls, value: float | None, adjusted: float | None = None) -> "Cell":
        """A p value, and the adjusted one in parentheses; sorted by the first."""
        return cls.number(value, "" if value is None else pvalue(value, adjusted))


@dataclass(frozen=True)
class Column:
    """Column of a table.

    Parameters
    ----------
    value : str or callable, optional
        From the record of a row to its cell, or to a text, a count, a number of three digits or
        None; a str names the record's attribute. Default: `title`.
    number : bool, default False
        Aligned to the right.
    wrap : bool, default False
        Long texts: may take several lines.
    pinned : bool, default False
        Repeated where a terminal is too narrow for all columns and gets several tables. The first
        column always is.
    """

    title: str
    value: str | Callable[[Any], Cell | str | float | None] = ""
    number: bool = False
    wrap: bool = False
    pinned: bool = False

    def cell(self, record: Any) -> Cell:
        """Cell of a record."""
        value = self.value or self.title
        found = attrgetter(value)(record) if isinstance(value, str) else value(record)
        if isinstance(found, Cell):
            return found
        if isinstance(found, str):
            return Cell.of(found)
        return Cell.count(found) if isinstance(found, int) else Cell.number(found)


def numeric(title: str, value: str | Callable[[Any], Cell | float | None] = "") -> Column:
    """Column of numbers."""
    return Column(title, value, number=True)


@dataclass(frozen=True)
class TableRow:
    """Row of a table; `unresolved` ones are set apart."""

    cells: Sequence[Cell]
    unresolved: bool = False


@dataclass(frozen=True)
class Table:
    """A table, which readers of a page can sort and copy.

    Parameters
    ----------
    note : str, optional
        Below it.
    searchable : bool, default False
        A page shows a field that filters its rows.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[TableRow]
    note: str = ""
    searchable: bool = False

    @classmethod
    def of(
        cls,
        title: str,
        columns: Iterable[Column],
        records: Iterable[Any],
        note: str = "",
        *,
        unresolved: Callable[[Any], bool] = lambda _: False,
    ) -> "Table":
        """Lay out records: a row each, whose cells the columns make of it.

        Parameters
        ----------
        unresolved : callable, optional
            Of the records whose rows are set apart.
        """
        chosen = tuple(columns)
        rows = [
            TableRow(tuple(column.cell(record) for column in chosen), unresolved(record))
            for record in records
        ]
        return cls(title, chosen, rows, note, searchable=len(rows) > MANY)

    @classmethod
    def of_texts(
        cls, title: str, titles: Sequence[str], rows: Iterable[Sequence[str]], note: str = ""
    ) -> "Table":
        """Texts alone, where all but those of the first column may take several lines."""
        columns = (Column(name, itemgetter(at), wrap=at > 0) for at, name in enumerate(titles))
        return cls.of(title, columns, rows, note)

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Draw the table, as rich asks of what it prints."""
        from w2sprobe.reporting.terminal import drawn

        yield from drawn(self, options.max_width)
