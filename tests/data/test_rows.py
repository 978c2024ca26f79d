import numpy as np
import pytest

from w2sprobe.data import Rows, truth_table
from w2sprobe.errors import IdMismatch, InputError


def make(ids: list[str], labels: list[int], groups: list[str] | None = None) -> Rows:
    return Rows(
        np.array(ids),
        [f"text {name}" for name in ids],
        np.array(labels),
        None if groups is None else np.array(groups),
        "somewhere",
    )


def test_select_follows_the_order_asked_for() -> None:
    rows = make(["a", "b", "c"], [0, 1, 1], ["g", "g", "h"]).select([2, 0])
    assert rows.ids.tolist() == ["c", "a"]
    assert rows.texts == ["text c", "text a"]
    assert rows.labels.tolist() == [1, 0]
    assert rows.groups is not None
    assert rows.groups.tolist() == ["h", "g"]
    assert len(rows) == 2
    assert len(rows.select([])) == 0


def test_doubled_ids() -> None:
    with pytest.raises(IdMismatch, match="'a', 'c' in somewhere"):
        make(["a", "b", "a", "c", "c"], [0, 1, 1, 0, 0])


def test_label_outside_the_two() -> None:
    with pytest.raises(InputError, match=r"labels 2, -1 in somewhere.*0 or 1"):
        make(["a", "b", "c"], [2, 1, -1])


def test_columns_of_different_length() -> None:
    with pytest.raises(InputError, match="'groups': 1"):
        make(["a", "b"], [0, 1], ["g"])


def test_truth_table_joins_parts() -> None:
    table = truth_table(make(["a"], [1]), make(["b", "c"], [0, 1]))
    assert table.align(["c", "b", "a"]).soft_label.tolist() == [1.0, 0.0, 1.0]
    with pytest.raises(IdMismatch):
        truth_table(make(["a"], [1]), make(["a"], [1]))
