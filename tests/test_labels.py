from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2sprobe.errors import IdMismatch, InputError
from w2sprobe.labels import LabelTable

TABLE = LabelTable(["a", "b", "c"], [0.1, 0.5, 0.9], [True, False, True])


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.dictionaries(st.text(min_size=1, max_size=5), st.tuples(st.floats(0, 1), st.booleans())))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: dict) -> None:
    ids = [name for name in rows if "\x00" not in name]  # numpy drops trailing NULs
    table = LabelTable(ids, [rows[i][0] for i in ids], [rows[i][1] for i in ids])
    path = tmp_path_factory.mktemp("labels") / "t.parquet"
    table.write(path)
    again = LabelTable.read(path)
    assert again.ids.tolist() == ids
    np.testing.assert_array_equal(again.soft_label, table.soft_label)
    np.testing.assert_array_equal(again.keep, table.keep)


def test_align_follows_the_ids_not_the_positions() -> None:
    aligned = TABLE.align(["c", "a"])
    assert aligned.ids.tolist() == ["c", "a"]
    assert aligned.soft_label.tolist() == [0.9, 0.1]


def test_hard_label_is_above_one_half() -> None:
    assert TABLE.hard_label.tolist() == [0, 0, 1]


def test_replace_changes_only_the_rows_given() -> None:
    changed = TABLE.replace(LabelTable(["b"], [1.0], [True]))
    assert changed.soft_label.tolist() == [0.1, 1.0, 0.9]
    assert changed.keep.tolist() == [True, True, True]
    assert TABLE.keep.tolist() == [True, False, True]


def test_concatenate() -> None:
    both = LabelTable.concatenate([TABLE, LabelTable(["d"], [0.2])])
    assert both.ids.tolist() == ["a", "b", "c", "d"]
    with pytest.raises(IdMismatch, match="doubled ids 'a'"):
        LabelTable.concatenate([TABLE, LabelTable(["a"], [0.2])])


@pytest.mark.parametrize(
    ("call", "error", "parts"),
    [
        (lambda: LabelTable(["a"], [1.3]), InputError, ["1.3", "row 0", "'a'", "0 to 1"]),
        (lambda: LabelTable(["a"], [float("nan")]), InputError, ["nan", "0 to 1"]),
        (lambda: LabelTable(["a", "b"], [0.1]), InputError, ["2 ids", "different length"]),
        (lambda: LabelTable(["a", "a"], [0.1, 0.2]), IdMismatch, ["doubled", "'a'"]),
        (lambda: TABLE.align(["a", "x"]), IdMismatch, ["no label", "'x'"]),
        (lambda: TABLE.align(["a", "a"]), IdMismatch, ["doubled", "'a'"]),
        (lambda: TABLE.replace(LabelTable(["x"], [0.1])), IdMismatch, ["unknown", "'x'"]),
        (lambda: LabelTable.read("no/such.parquet"), InputError, ["no/such.parquet"]),
    ],
)
def test_what_does_not_fit_is_refused(call, error: type[Exception], parts: list[str]) -> None:
    with pytest.raises(error) as caught:
        call()
    for part in parts:
        assert part in str(caught.value)


def test_a_foreign_parquet_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"], "label": [1]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="no column 'soft_label'"):
        LabelTable.read(tmp_path / "t.parquet")
    pq.write_table(pa.table({"id": ["a"], "soft_label": ["high"]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="not numeric"):
        LabelTable.read(tmp_path / "t.parquet")
