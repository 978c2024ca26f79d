import numpy as np
import pandas as pd
import pytest

from w2sprobe.data import Rows, join_rows, truth_table
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
    with pytest.raises(InputError, match=r"label is 2 in somewhere, row 1 .*1 or 0"):
        make(["a", "b", "c"], [2, 1, -1])


def test_columns_of_different_length() -> None:
    with pytest.raises(InputError, match="'groups': 1"):
        make(["a", "b"], [0, 1], ["g"])


def test_columns_of_any_kind_become_what_they_should_be() -> None:
    frame = pd.DataFrame({"id": [7, 8], "text": ["a", "b"], "label": [True, False]})
    for rows in (
        Rows([7, np.int64(8)], ("a", np.str_("b")), ["TRUE", 0], ["g", 1], held_out=[1, False]),
        Rows(frame["id"], frame["text"], frame["label"], frame["id"], held_out=frame["label"]),
    ):
        assert rows.ids.tolist() == ["7", "8"]
        assert rows.labels.tolist() == [1, 0]
        assert rows.labels.dtype == np.int64
        assert rows.held_out.tolist() == [True, False]
        assert rows.records()[1] == {"id": "8", "text": "b"}
        assert rows.select([1]).groups.tolist() in (["1"], ["8"])
        assert rows.content == Rows(["7", "8"], ["a", "b"], [1, 0]).content


def test_conversations_read_as_lines_and_texts_as_they_are() -> None:
    chat = [{"role": "user", "content": "Is it?"}, {"role": "assistant", "content": "It is."}]
    rows = Rows(["a"], [chat], [1], chats=True)
    assert rows.plain_texts == ["user: Is it?\nassistant: It is."]
    assert make(["a"], [1]).plain_texts == ["text a"]


@pytest.mark.parametrize(
    ("columns", "parts"),
    [
        ((["a", "half \ud800"], ["x", "y"], [0, 1]), ["id", "surrogate", "row 2"]),
        ((["a", "b"], ["x", "half \ud800"], [0, 1]), ["text", "surrogate", "row 2"]),
        ((["a", "b"], ["x", None], [0, 1]), ["text is None", "row 2"]),
        ((["a", 7.0], ["x", "y"], [0, 1]), ["id is 7.0", "row 2"]),
        ((["a", "b"], "xy", [0, 1]), ["a str where a column should be"]),
        ((["a", "b"], ["x", "y"], [0, 0.5]), ["label is 0.5", "row 2"]),
        ((["a", "b"], ["x", "y"], 1), ["a int where a column should be"]),
        ((["a", "b"], ["x", "y"], [0, 1], ["g", None]), ["group is None", "row 2"]),
    ],
)
def test_cells_that_cannot_be_used(columns: tuple, parts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        Rows(*columns)
    for part in parts:
        assert part in str(caught.value)


def test_truth_table_joins_parts() -> None:
    table = truth_table(make(["a"], [1]), make(["b", "c"], [0, 1]))
    assert table.align(["c", "b", "a"]).soft_label.tolist() == [1.0, 0.0, 1.0]
    with pytest.raises(IdMismatch):
        truth_table(make(["a"], [1]), make(["a"], [1]))


CHAT = [{"role": "user", "content": "Good?"}, {"role": "assistant", "content": "Yes."}]


def test_conversations_are_not_texts_that_spell_them() -> None:
    chats = Rows(["a", "b"], [CHAT, CHAT[:1]], [0, 1], chats=True)
    texts = Rows(["a", "b"], chats.texts, [0, 1])
    assert chats.identity != texts.identity
    assert chats.content != texts.content
    assert chats.select([1]).chats
    assert join_rows(chats.select([0]), chats.select([1])).identity == chats.identity
    assert chats.blind().chats
    assert set(chats.records()[0]) == {"id", "messages"}
    with pytest.raises(InputError, match="cannot be joined"):
        join_rows(chats.select([0]), texts.select([1]))
    with pytest.raises(InputError, match=r"is not JSON.* in row 2"):
        Rows(["a", "b"], [CHAT, "good"], [0, 1], chats=True)
