"""Numbers as text, for tables and sentences."""

import math

from w2sprobe.results import Interval


def number(value: float, digits: int = 3) -> str:
    """A number, or a dash for nan.

    Examples
    --------
    >>> number(0.12345), number(float("nan"))
    ('0.123', '-')
    """
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def interval_text(interval: Interval, digits: int) -> str:
    """Bounds in brackets, without signs.

    Examples
    --------
    >>> interval_text((0.81, 0.85), 3)
    '[0.810, 0.850]'
    """
    return f"[{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"


def with_interval(value: float, interval: Interval | None, digits: int) -> str:
    """Return a signed value with its interval; None is an unbounded interval.

    Examples
    --------
    >>> with_interval(0.0312, (-0.002, 0.06), 3)
    '+0.031 [-0.002, +0.060]'
    """
    text = f"{value:+.{digits}f}"
    if interval is None:
        return f"{text} [unbounded]"
    return f"{text} [{interval[0]:+.{digits}f}, {interval[1]:+.{digits}f}]"


def pvalue(value: float, adjusted: float | None = None) -> str:
    """A p value, with the adjusted one in parentheses if it is known.

    Examples
    --------
    >>> pvalue(0.0004, 0.012), pvalue(0.3, float("nan"))
    ('<0.001 (0.012)', '0.300')
    """
    text = "<0.001" if value < 0.001 else number(value)
    if adjusted is None or math.isnan(value) or math.isnan(adjusted):
        return text
    return f"{text} ({pvalue(adjusted)})"
