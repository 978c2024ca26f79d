from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from w2sprobe.cells import as_binary, as_cells, key, number
from w2sprobe.errors import InputError


@pytest.mark.parametrize(
    ("cell", "meaning"),
    [
        *((cell, 1) for cell in (1, True, 1.0, "1", "1.0", "TRUE", " true ", np.True_, Decimal(1))),
        *((cell, 0) for cell in (0, False, -0.0, "0", "False", np.float16(0), Fraction(0))),
        *((cell, None) for cell in (2, 0.9, "yes", "t", "", "00", None, np.nan, pd.NA, [1], {})),
    ],
)
def test_binary(cell: object, meaning: int | None) -> None:
    assert as_binary(cell) == meaning


@pytest.mark.parametrize(
    ("cell", "meaning"),
    [
        *((cell, 0.5) for cell in (0.5, "0.5", " .5", "+5e-1", "5E-1", Decimal("0.5"))),
        *((cell, 0.5) for cell in (Fraction(1, 2), np.float16(0.5), np.float32(0.5))),
        *((cell, 1.0) for cell in (1, "1", "1.", True, np.True_, "true", np.uint8(1))),
    ],
)
def test_number(cell: object, meaning: float) -> None:
    assert number("soft_label", cell) == meaning


@pytest.mark.parametrize(
    "cell",
    [
        *("", "0,5", "1_0", "0x1", "nan", "inf", "1e999", "½", "٣", "high", b"1"),
        *(None, [0.5], 1j, float("nan"), float("inf"), 10**400, Decimal("sNaN"), pd.NA),
        np.datetime64("2020-01-01"),
    ],
)
def test_no_number(cell: object) -> None:
    with pytest.raises(InputError, match=r"soft_label is .*Allowed: a number"):
        number("soft_label", cell)


def test_keys() -> None:
    assert [key("id", cell) for cell in (7, "007", " é ", np.int8(-1))] == ["7", "007", " é ", "-1"]
    for cell, part in ((7.0, "Write it as text"), (True, "Write it"), (None, "Fill"), ("", "Fill")):
        with pytest.raises(InputError, match=part):
            key("id", cell)


@pytest.mark.parametrize(
    "column",
    [
        *([1, 2], (1, 2), range(1, 3), iter([1, 2]), np.array([1, 2]), pd.Series([1, 2])),
        *(pa.array([1, 2]), pa.chunked_array([[1], [2]]), pa.array([1, 2]).dictionary_encode()),
    ],
)
def test_columns(column: object) -> None:
    assert as_cells(column, "here") == [1, 2]


@pytest.mark.parametrize(
    "column", [None, 1, "ab", b"ab", {1, 2}, {1: 2}, np.array(1), np.float64(1)]
)
def test_no_columns(column: object) -> None:
    with pytest.raises(InputError, match=r"where a column should be, .* in here"):
        as_cells(column, "here")


def test_text_of_arrow_that_is_no_utf8() -> None:
    broken = pa.array([b"\xff"]).view(pa.string())
    with pytest.raises(InputError, match=r"not UTF-8: .* in here"):
        as_cells(broken, "here")
