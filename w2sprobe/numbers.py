"""Parse lists of numbers: `50`, `1,10,50`, `10:50:10`, `1:9:lin5`, `1:200:log10`."""

from typing import Any, TypeVar

import numpy as np

from w2sprobe.errors import InputError

MAX_NUMBERS = 10_000  # in a range; more is taken for a typing error
SPACES: dict[str, Any] = {"log": np.geomspace, "lin": np.linspace}

Number = TypeVar("Number", int, float)


def parse_numbers(spec: str, kind: type[Number], name: str) -> tuple[Number, ...]:
    """Turn a list of numbers and ranges into numbers above 0.

    Parameters
    ----------
    spec : str
        Numbers and ranges, separated by commas. Ranges include both ends: `from:to:step`,
        `from:to:linN` (N numbers at equal distances), `from:to:logN` (N numbers at equal ratios).
    kind : {int, float}
        Type of the numbers. Inner numbers of a range are rounded: whole numbers to integers, others
        at equal ratios to three digits.
    name : str
        Option that `spec` was given for, for messages.

    Returns
    -------
    tuple of int or float
        In the order given, without duplicates.

    Raises
    ------
    InputError
        Neither numbers nor ranges, or a number that is not above 0.

    Examples
    --------
    >>> parse_numbers("1:200:log10", int, "--ks")
    (1, 2, 3, 6, 11, 19, 34, 62, 111, 200)
    >>> parse_numbers("1e-2:1:log5,3", float, "--l2s")
    (0.01, 0.0316, 0.1, 0.316, 1.0, 3.0)
    >>> parse_numbers("5,10:50:20", int, "--ks")
    (5, 10, 30, 50)
    """
    try:
        numbers = [number for part in spec.split(",") for number in _numbers(part, kind)]
    except ValueError:
        raise InputError(
            f"{name} is {spec!r}",
            allowed=f"numbers separated by commas ({kind.__name__}), or ranges such as "
            f"1:200:log10, 1:9:lin5 or 10:50:10, of up to {MAX_NUMBERS} numbers",
        ) from None
    if not all(0 < number < float("inf") for number in numbers):
        raise InputError(f"{name} is {spec!r}", allowed="numbers above 0")
    return tuple(dict.fromkeys(kind(number) for number in numbers))


def _numbers(part: str, kind: type[float]) -> list[float]:
    """Numbers of one part; ValueError if it is invalid."""
    if ":" not in part:
        return [kind(part)]
    first, last, how = part.split(":")
    start, end = kind(first), kind(last)
    if not 0 < start < end < float("inf"):
        raise ValueError(part)
    if how[:3] in SPACES:
        count = int(how[3:])
        if not 2 <= count <= MAX_NUMBERS:
            raise ValueError(part)
        digits = 3 if how.startswith("log") else 12
        between = SPACES[how[:3]](start, end, count)[1:-1].tolist()
        return [start, *(_nearest(value, kind, digits) for value in between), end]
    step = kind(how)
    if not 0 < (end - start) / MAX_NUMBERS < step < float("inf"):
        raise ValueError(part)
    steps = int((end - start) / step + 1e-9)  # 0.1:0.3:0.1 holds 0.3
    return [start, *(_nearest(start + n * step, kind, 12) for n in range(1, steps + 1))]


def _nearest(value: float, kind: type[float], digits: int) -> float:
    """Round to a whole number, or to significant digits: 0.30000000000000004 becomes 0.3."""
    return round(value) if kind is int else float(f"{value:.{digits}g}")
