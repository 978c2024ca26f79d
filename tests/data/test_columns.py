import hashlib
import re

import numpy as np
import pytest

from w2sprobe.data.columns import (
    ABSENT,
    RawColumns,
    RecordColumns,
    check_columns,
    pick_columns,
    shown,
)
from w2sprobe.data.rows import SourceRows
from w2sprobe.errors import IdMismatch, InputError


def check(**cells: list[object]) -> SourceRows:
    n = max(map(len, cells.values()))
    columns = {"text": [f"text {row}" for row in range(n)], "label": [0] * n, **cells}
    return check_columns(RawColumns(columns, "here", lambda row: f"here, row {row + 1}"), {})


def test_what_is_fine_is_not_copied() -> None:
    texts, ids = ["a", "b\0", " c "], ["1", "2", "3"]
    rows = check(text=texts, id=ids)
    assert rows.texts is texts
    assert rows.ids is ids
    assert rows.groups is rows.held_out is None


@pytest.mark.parametrize(
    "one",
    [
        *(1, True, 1.0, "1", "1.0", "True", "true", "TRUE", " 1"),
        *(np.int8(1), np.bool_(True), np.float32(1), np.str_("1")),
    ],
)
def test_labels_that_mean_one(one: object) -> None:
    labels = check(label=[0, one, "0.0"]).labels
    assert labels == [0, 1, 0]
    assert set(map(type, labels)) == {int}


def test_strings_of_numpy_become_plain() -> None:
    rows = check(text=list(np.array(["a", "b"])), id=[np.int64(3), np.str_("x")])
    assert rows.texts == ["a", "b"]
    assert rows.ids == ["3", "x"]
    assert {type(cell) for cell in [*rows.texts, *rows.ids]} == {str}


def test_parts() -> None:
    assert check(split=["train", "test", np.str_("train")]).held_out == [False, True, False]


def test_groups_are_short() -> None:
    limit, longer = "g" * 64, "g" * 65
    groups = check(group=[limit, longer, longer, "a\0", "a", 7]).groups
    assert groups is not None
    assert groups[0] == limit
    assert groups[1] == groups[2] == hashlib.sha256(longer.encode()).hexdigest()[:32]
    assert groups[3] != groups[4] == "a"
    assert groups[5] == "7"


BAD_CELLS = [
    ("text", "", ["empty text ''", "Fill the cell or remove the row."]),
    ("text", " \n", ["empty text ' \\n'"]),
    ("text", None, ["text is None", "Allowed: a string", "Fill the cell"]),
    ("text", float("nan"), ["text is nan", "Fill the cell"]),
    ("text", np.float64("nan"), ["text is nan", "Fill the cell"]),
    ("text", ABSENT, ["text is absent", "Fill the cell"]),
    ("text", 3, ["text is 3", "Write it as text."]),
    ("text", b"bytes", ["text is b'bytes'", "Write it as text."]),
    ("text", ["x" * 99], [f"text is ['{'x' * 58}...", "a string"]),
    ("text", "half \ud800", ["surrogate", "valid Unicode"]),
    ("id", "", ["empty id ''"]),
    ("id", " ", ["empty id ' '"]),
    ("id", None, ["id is None", "leave out the column id"]),
    ("id", True, ["id is True"]),
    ("id", 1.5, ["id is 1.5", "or an integer"]),
    ("id", "half \ud800", ["id 'half \\ud800' holds half a surrogate pair"]),
    ("id", "x" * 257, ["id of 257 characters, 'xxx", "at most 256", "leave out the column id"]),
    ("id", "a\0", ["id with a NUL character, 'a\\x00'"]),
    ("id", "text 0", ["id 'text 0' of here, row 1 occurs again", "Give each row its own id"]),
    ("group", [1], ["group is [1]", "leave out the column group"]),
    ("group", "", ["empty group ''"]),
    ("split", "dev", ["split is 'dev'", "'train' or 'test'", "Rename the column"]),
    ("split", None, ["split is None"]),
    ("split", ["train"], ["split is ['train']"]),
]


@pytest.mark.parametrize(("column", "value", "parts"), BAD_CELLS)
def test_bad_cell(column: str, value: object, parts: list[str]) -> None:
    good = ["train"] * 3 if column == "split" else ["text 0", "text 1", "text 2"]
    with pytest.raises(InputError) as error:
        check(**{column: [good[0], value, good[2]]})
    for part in [*parts, " in here, row 2."]:
        assert part in str(error.value)


BAD_LABELS = [
    ([0, 2, 1], ["label is 2 in here, row 2.", "Allowed: 0 or 1", "label holds 0 (1), 2 (1), 1"]),
    ([1, 2, 2], ["label is 2 in here, row 2.", "such as 1 to 0 and 2 to 1"]),
    ([1, -1], ["label is -1", "such as -1 to 0 and 1 to 1"]),
    (["pos", "neg"], ["label is 'pos'", "row 1", "such as 'neg' to 0 and 'pos' to 1"]),
    (["yes", "no"], ["label is 'yes'", "false or true", "such as 'no' to 0 and 'yes' to 1"]),
    (["a", "b", "b", "c"], ["A task is binary, and label holds 'b' (2), 'a' (1), 'c' (1): choose"]),
    ([row / 100 for row in range(20)], ["0.07 (1), and 12 more: choose"]),
    (["yes", "yes"], ["label holds 'yes' (2)"]),
    ([0, None, 1], ["label is None in here, row 2", "Fill the cell or remove the row."]),
    ([0, float("nan")], ["label is nan", "Fill the cell"]),
    (["0", "", "1"], ["label is ''", "Fill the cell"]),
    (["a", "b", None], ["such as 'a' to 0 and 'b' to 1"]),
    ([np.int64(5), 0], ["label is 5 in", "such as 0 to 0 and 5 to 1"]),
    ([[0], [1]], ["label is [0]", "such as [0] to 0 and [1] to 1"]),
    (["0", "1.5"], ["label is '1.5'"]),
    (["True", None, "False"], ["label is None", "Fill the cell"]),
    ([0, 10**400, 1], ["label is 1000", "..."]),
]


@pytest.mark.parametrize(("labels", "parts"), BAD_LABELS)
def test_bad_label(labels: list[object], parts: list[str]) -> None:
    with pytest.raises(InputError) as error:
        check(label=labels)
    for part in parts:
        assert part in str(error.value)


def test_doubled_id_is_an_id_mismatch_also_across_types() -> None:
    with pytest.raises(IdMismatch, match=r"id '1' of here, row 1 occurs again in here, row 3\."):
        check(id=[1, "2", "1"])


def test_no_rows() -> None:
    with pytest.raises(InputError, match="no rows in here"):
        check(text=[], label=[])


def test_pick_columns() -> None:
    assert pick_columns(["x", "split", "label", "x", "text"], "here") == ["text", "label", "split"]


BAD_NAMES = [
    (["Text", "label"], [r"no column 'text' in here\.", r"found 'Text', 'label'", "Rename"]),
    (["x"], ["no column 'text', 'label' in here"]),
    (["x" * 99] * 99, [r"found 'x{60}', 'x{60}'.* \(and 87 more\)"]),
    ([], ["no rows in here", "columns text and label, optionally id, group and split"]),
    (["text", "label", "id", "id"], [r"doubled column 'id' in here\.", "Remove or rename"]),
]


@pytest.mark.parametrize(("names", "parts"), BAD_NAMES)
def test_bad_names(names: list[str], parts: list[str]) -> None:
    with pytest.raises(InputError) as error:
        pick_columns(names, "here")
    for part in parts:
        assert re.search(part, str(error.value))


def test_records_keep_what_is_needed() -> None:
    rows = RecordColumns()
    rows.add({"text": "a", "label": 0, "other": "x"})
    rows.add({"text": "b", "id": None})
    assert rows.present("here") == {"text": ["a", "b"], "label": [0, ABSENT], "id": [ABSENT, None]}


def test_records_without_a_needed_column() -> None:
    rows = RecordColumns()
    with pytest.raises(InputError, match="no rows in here"):
        rows.present("here")
    rows.add({"text": "a", 3: 0})
    with pytest.raises(InputError, match=r"no column 'label' in here.*found 'text', '3'"):
        rows.present("here")


def test_shown_cuts() -> None:
    assert shown("x") == "'x'"
    assert len(shown("x" * 100)) == 63
