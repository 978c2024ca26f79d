"""Words for noise, gaps and runs."""

import math
from typing import Any

import pytest

from tests.reporting.report.cases import LEVELS, row
from w2sprobe.reporting.wording import noise_in_words, runs_text, why_unresolved


@pytest.mark.parametrize(
    ("levels", "runs", "known", "unknown"),
    [
        ((1, 1, 1), "1", "test rows", "another cut of the rows, seed of the supervisor or seed of"),
        ((1, 3, 1), "1 cut x 3 x 1", "3 seeds of the supervisor, each with its own student", "cut"),
        (
            (1, 1, 3),
            "1 cut x 1 x 3",
            "3 seeds of the student",
            "cut of the rows or seed of the sup",
        ),
        ((3, 1, 1), "3 cuts x 1 x 1", "3 cuts of the rows, each with its own models", ""),
        (
            (3, 1, 2),
            "3 cuts x 1 x 2",
            "3 cuts of the rows, with 2 seeds of the student in each",
            "",
        ),
        (
            (1, 3, 2),
            "1 cut x 3 x 2",
            "3 seeds of the supervisor, with 2 seeds of the student",
            "cut",
        ),
        (None, "3", "1,000 test rows and 3 runs.", ""),
    ],
)
def test_sources_of_noise_are_named(
    levels: tuple[int, int, int] | None, runs: str, known: str, unknown: str
) -> None:
    given = dict(zip(LEVELS, levels or (None,) * 3, strict=True))
    one = row("ceiling", 0.9, **given, n_seeds=math.prod(levels) if levels else 3)
    text = noise_in_words(one)
    assert runs_text(one) == runs
    assert known in text
    assert unknown in text
    assert ("do not cover" in text) == bool(unknown)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"gap": -0.02}, "the ceiling is not above the weak model"),
        ({"rows_needed": None}, "too small, whatever the number of test rows"),
        ({"rows_needed": 900}, "seeds differ too much"),
        ({"rows_needed": 2500}, "about 2,500 test rows would resolve it"),
    ],
)
def test_why_a_gap_is_not_resolved(fields: dict[str, Any], words: str) -> None:
    assert words in why_unresolved(row("ceiling", 0.9, **fields))
