"""Dicts of tables and errors; test_callables.py reads all kinds of tables."""

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from w2sprobe.data.columns import TASK, TEXTS
from w2sprobe.data.tables import read_table
from w2sprobe.errors import InputError

TRAIN = {"text": ["a", "b"], "label": [0, 1], "more": [7, 8]}
TEST = {"label": [1], "text": ["c"]}
JOINED = {"text": ["a", "b", "c"], "label": [0, 1, 1], "split": ["train", "train", "test"]}


@pytest.mark.parametrize("kind", [pd.DataFrame, pa.table, datasets.Dataset.from_dict])
def test_tables_train_and_test_are_joined(kind: type) -> None:
    assert read_table({"train": kind(TRAIN), "test": kind(TEST)}, TASK, "here") == JOINED


def test_only_wanted_columns_are_read() -> None:
    rows = [{"id": 1, "text": "a", "label": 0}, {"id": 2, "text": "b"}]
    assert read_table(iter(rows), TEXTS, "here") == {"id": [1, 2], "text": ["a", "b"]}


def test_a_dict_of_one_table_is_that_table() -> None:
    assert read_table({"all": pd.DataFrame(TEST)}, TASK, "here") == {"text": ["c"], "label": [1]}


@pytest.mark.parametrize(
    ("table", "parts"),
    [
        ({"a": pd.DataFrame(TEST), "b": pd.DataFrame(TEST)}, ["tables 'a', 'b'", "tables['a']"]),
        (
            {"train": pd.DataFrame({**TEST, "split": ["train"]}), "test": pd.DataFrame(TEST)},
            ["of tables to be joined in here", "the same columns, and no split"],
        ),
        (
            {"train": pd.DataFrame({**TEST, "group": ["g"]}), "test": pd.DataFrame(TEST)},
            ["['text', 'label', 'group']", "the same columns"],
        ),
        ({"text": ["a"], "label": np.array([0, 1])}, ["different length: {'text': 1, 'label': 2}"]),
        ("a.csv", ["a str where rows should be in here", "columns text and label"]),
        ([{"text": "a", "label": 0}, 3], ["a int where a row", "here, row 2 (counted from 1)"]),
        ({"train": pd.DataFrame({"text": ["a"]})}, ["no column 'label' in here, train"]),
    ],
)
def test_other_tables_are_refused(table: object, parts: list[str]) -> None:
    with pytest.raises(InputError) as error:
        read_table(table, TASK, "here")
    for part in parts:
        assert part in str(error.value)


def test_a_dict_of_tables_needs_a_split_column() -> None:
    tables = {"train": pd.DataFrame(TEST), "test": pd.DataFrame(TEST)}
    with pytest.raises(InputError, match=r"Allowed: one table\."):
        read_table(tables, TEXTS, "here")
