"""What tables have in common."""

import math

from rich import box
from rich.markup import escape
from rich.table import Table

from w2sprobe.results import Interval


def plain_table(title: str, caption: str) -> Table:
    return Table(
        title=escape(title), box=box.SIMPLE_HEAD, caption=escape(caption), caption_justify="left"
    )


def interval_text(interval: Interval, digits: int) -> str:
    return f"[{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"


def number(value: float, digits: int = 3) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def pvalue(value: float, adjusted: float | None = None) -> str:
    text = "<0.001" if value < 0.001 else number(value)
    if adjusted is None or math.isnan(value) or math.isnan(adjusted):
        return text
    return f"{text} ({pvalue(adjusted)})"
