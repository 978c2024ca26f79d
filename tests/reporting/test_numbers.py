"""Numbers as text."""

import math

import pytest

from w2sprobe.reporting.numbers import interval_text, number, pvalue, with_interval


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(0.12345, 3, "0.123"), (-0.0006, 3, "-0.001"), (2, 1, "2.0"), (math.nan, 3, "-")],
)
def test_a_number_has_fixed_digits(value: float, digits: int, text: str) -> None:
    assert number(value, digits) == text


def test_intervals_have_signs_only_beside_a_signed_value() -> None:
    assert interval_text((0.81, 0.85), 2) == "[0.81, 0.85]"
    assert with_interval(0.0312, (-0.002, 0.06), 3) == "+0.031 [-0.002, +0.060]"
    assert with_interval(0.5, None, 1) == "+0.5 [unbounded]"


@pytest.mark.parametrize(
    ("value", "adjusted", "text"),
    [
        (0.25, None, "0.250"),
        (0.00099, None, "<0.001"),
        (0.001, None, "0.001"),
        (0.0004, 0.0008, "<0.001 (<0.001)"),
        (0.03, math.nan, "0.030"),
        (math.nan, 0.1, "-"),
    ],
)
def test_small_p_values_are_bounded_and_unknown_ones_left_out(
    value: float, adjusted: float | None, text: str
) -> None:
    assert pvalue(value, adjusted) == text
