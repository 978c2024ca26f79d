"""Cells of a row, and the choice between right and wrong answers.

tests/data/test_registry.py compares all prompts with their raw rows and with golden texts.
"""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from w2sprobe.data.formats import HubRow, Unusable, hellaswag, preference, quartz
from w2sprobe.errors import InputError

N = 2000
SIGMA = (N / 4) ** 0.5  # standard deviation of the number of heads


def ending_shown(text: str) -> str:
    match = re.search(r'Does "(.)"', text)
    assert match, text
    return match[1]


def test_half_of_the_rows_show_the_right_answer_and_wrong_ones_equally_often() -> None:
    counts: Counter[str] = Counter()
    for n in range(N):
        text, label = hellaswag(HubRow({"ctx": f"{n}:", "endings": list("abcd"), "label": "1"}))
        counts[ending_shown(text)] += 1
        assert label == (ending_shown(text) == "b")
    assert abs(counts["b"] - N / 2) < 4 * SIGMA
    for wrong in "acd":
        assert abs(counts[wrong] - N / 6) < 4 * SIGMA


def test_the_better_reply_comes_second_in_half_of_the_rows() -> None:
    ones = 0
    for n in range(N):
        turns = f"\n\nHuman: {n}?\n\nAssistant:"
        ones += preference(HubRow({"chosen": f"{turns} yes", "rejected": f"{turns} no"}))[1]
    assert abs(ones - N / 2) < 4 * SIGMA


def test_a_wrong_answer_that_equals_the_right_one_is_never_shown_as_wrong() -> None:
    labels = set()
    for n in range(40):
        row = HubRow({"ctx": f"Day {n}:", "endings": ["a", "b", "a", "a"], "label": "2"})
        text, label = hellaswag(row)
        assert (ending_shown(text) == "a") == (label == 1)
        labels.add(label)
    assert labels == {0, 1}


def test_letters_without_texts() -> None:
    choices = {"text": ["a"], "label": ["A", "B"]}
    row = {"para": "p", "question": "q", "choices": choices, "answerKey": "B"}
    with pytest.raises(InputError, match="as many letters as texts"):
        quartz(HubRow(row))


Read = Callable[[HubRow], Any]
CHOICES = {"text": ["x", "y"], "label": ["A", "B"]}


@pytest.mark.parametrize(
    ("cell", "read", "value"),
    [
        (" a ", lambda row: row.text("c"), "a"),
        ([" a", "b"], lambda row: row.texts("c"), ["a", "b"]),
        ("3", lambda row: row.index("c", 3, first=1), 2),
        (0, lambda row: row.index("c", 3), 0),
        ("True", lambda row: row.flag("c"), 1),
        (False, lambda row: row.flag("c"), 0),
        (CHOICES, lambda row: row.choices("c", "key"), (["x", "y"], 1)),
    ],
)
def test_cells_are_read(cell: object, read: Read, value: object) -> None:
    assert read(HubRow({"c": cell, "key": "B"})) == value


@pytest.mark.parametrize(
    ("cell", "read", "reason"),
    [
        (None, lambda row: row.text("c"), "empty_cell"),
        (" ", lambda row: row.text("c"), "empty_cell"),
        (["a", ""], lambda row: row.texts("c"), "empty_cell"),
        (-1, lambda row: row.index("c", 2), "no_label"),
        ("", lambda row: row.flag("c"), "no_label"),
        (None, lambda row: row.choices("c", "key"), "empty_cell"),
    ],
)
def test_empty_cells_are_unusable(cell: object, read: Read, reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        read(HubRow({"c": cell, "key": "B"}))


@pytest.mark.parametrize(
    ("cell", "read", "parts"),
    [
        (7, lambda row: row.text("c"), ["c is 7", "Allowed: text"]),
        ("a", lambda row: row.texts("c"), ["c is 'a'", "a list of texts"]),
        ("1.0", lambda row: row.index("c", 2), ["c is '1.0'", "0 or 1"]),
        (4, lambda row: row.index("c", 3, first=1), ["c is 4", "1 to 3"]),
        ("yes", lambda row: row.flag("c"), ["c is 'yes'", "0 or 1"]),
        (["x"], lambda row: row.choices("c", "key"), ["c is ['x']", "text and label"]),
        (CHOICES, lambda row: row.choices("c", "d"), ["no column 'd'", "found c, key"]),
    ],
)
def test_other_cells_are_refused(cell: object, read: Read, parts: list[str]) -> None:
    with pytest.raises(InputError) as error:
        read(HubRow({"c": cell, "key": "B"}))
    for part in parts:
        assert part in str(error.value)
