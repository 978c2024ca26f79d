"""Tables of results, laid out once for the terminal and for pages.

`terminal.py` draws them in a terminal, the macro `table` in `pages/templates` as HTML.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from w2sprobe.reporting.numbers import interval_text, pvalue, with_interval
from w2sprobe.reporting.wording import side_of
from w2sprobe.results import Interval

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

Tone = Literal["", "good", "bad"]
TONES: dict[int, Tone] = {-1: "bad", 0: "", 1: "good"}
UNKNOWN = "-"
MANY = 12  # tables with more rows than this have a filter field in a page


def tone_of(interval: Interval | None) -> Tone:
    """Good above 0, bad below; neutral if the interval contains 0 or is unknown."""
    return TONES[side_of(interval)]


@dataclass(frozen=True)
class Cell:
    """Cell of a table.

    Parameters
    ----------
    text : str
        Text shown.
    sort : str
        Number or text by which rows are sorted; empty if unknown, which is always last.
    tone : {"", "good", "bad"}
    """

    text: str
    sort: str
    tone: Tone = ""

    @classmethod
    def of(cls, text: str) -> "Cell":
        """A text, sorted by itself."""
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
        """A number, shown as `text` if that is given; None and nan are shown as a dash."""
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
        """A number with its interval, if it is known."""
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
        Maps the record of a row to a `Cell`, a text, an integer, a float (shown with three digits)
        or None; a str names an attribute of the record. Default: `title`.
    number : bool, default False
        Align to the right.
    wrap : bool, default False
        Let long texts take several lines.
    pinned : bool, default False
        Repeat the column in every part if a terminal is too narrow and the table is split. The
        first column always is.
    """

    title: str
    value: str | Callable[[Any], Cell | str | float | None] = ""
    number: bool = False
    wrap: bool = False
    pinned: bool = False

    def cell(self, record: Any) -> Cell:
        """Cell of a record."""
        getter = self.value or self.title
        value = attrgetter(getter)(record) if isinstance(getter, str) else getter(record)
        if isinstance(value, Cell):
            return value
        if isinstance(value, str):
            return Cell.of(value)
        return Cell.count(value) if isinstance(value, int) else Cell.number(value)


def numeric(title: str, value: str | Callable[[Any], Cell | float | None] = "") -> Column:
    """Column of numbers."""
    return Column(title, value, number=True)


@dataclass(frozen=True)
class TableRow:
    """Row of a table; `unresolved` ones are dimmed or in italics."""

    cells: Sequence[Cell]
    unresolved: bool = False


@dataclass(frozen=True)
class Table:
    """A table; in a page, readers can sort and copy it.

    Parameters
    ----------
    note : str, optional
        Shown below the table.
    searchable : bool, default False
        Whether a page shows a field that filters the rows.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[TableRow]
    note: str = ""
    searchable: bool = False
    kind: ClassVar = "table"  # templates cannot test for a class

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
        """Make a table with one row per record.

        Parameters
        ----------
        unresolved : callable, optional
            Whether the row of a record is dimmed or in italics.
        """
        columns = tuple(columns)
        rows = [
            TableRow(tuple(column.cell(record) for column in columns), unresolved(record))
            for record in records
        ]
        return cls(title, columns, rows, note, searchable=len(rows) > MANY)

    @classmethod
    def of_texts(
        cls, title: str, titles: Sequence[str], rows: Iterable[Sequence[str]], note: str = ""
    ) -> "Table":
        """Make a table of texts, which may wrap in all columns but the first."""
        columns = (
            Column(name, itemgetter(number), wrap=number > 0) for number, name in enumerate(titles)
        )
        return cls.of(title, columns, rows, note)

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Draw the table in a terminal, when `rich` prints it."""
        from w2sprobe.reporting.terminal import drawn

        yield from drawn(self, options.max_width)
