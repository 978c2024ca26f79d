from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2sprobe.errors import IdMismatch, InputError
from w2sprobe.labels import LabelTable, read_truth

TABLE = LabelTable(["a", "b", "c"], [0.1, 0.5, 0.9], [True, False, True])
SPREAD = LabelTable(["a", "b", "c"], [0.1, 0.5, 0.9], variance=[0.01, 0.02, 0.0])


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


def test_variance_goes_with_its_rows(tmp_path: Path) -> None:
    assert SPREAD.align(["c", "a"]).variance.tolist() == [0.0, 0.01]
    changed = SPREAD.replace(LabelTable(["b"], [1.0], variance=[0.25]))
    assert changed.variance.tolist() == [0.01, 0.25, 0.0]
    assert SPREAD.variance.tolist() == [0.01, 0.02, 0.0]
    more = LabelTable.concatenate([SPREAD, LabelTable(["d"], [0.2], variance=[0.5])])
    assert more.variance.tolist() == [0.01, 0.02, 0.0, 0.5]
    more.write(tmp_path / "t.parquet")
    again = LabelTable.read(tmp_path / "t.parquet")
    np.testing.assert_array_equal(again.variance, more.variance)


def test_variance_is_not_made_up(tmp_path: Path) -> None:
    """Rows without one beside rows with one: no variance, rather than a false 0."""
    plain = LabelTable(["b"], [1.0])
    assert SPREAD.replace(plain).variance is None
    assert TABLE.replace(SPREAD).variance is None
    assert LabelTable.concatenate([SPREAD, LabelTable(["d"], [0.2])]).variance is None
    TABLE.write(tmp_path / "t.parquet")
    assert pq.read_schema(tmp_path / "t.parquet").names == ["id", "soft_label", "keep"]
    assert LabelTable.read(tmp_path / "t.parquet").variance is None


@pytest.mark.parametrize(
    ("call", "error", "parts"),
    [
        (
            lambda: LabelTable(["a", "b"], [0.1, 0.2], variance=[0.1, -1.0]),
            InputError,
            ["variance", "-1.0", "row 1", "'b'", "0 or more"],
        ),
        (lambda: LabelTable(["a"], [0.1], variance=[np.inf]), InputError, ["variance", "inf"]),
        (lambda: LabelTable(["a"], [0.1], variance=[np.nan]), InputError, ["variance", "nan"]),
        (lambda: LabelTable(["a"], [0.1], variance=[]), InputError, ["1 ids", "(0,) variance"]),
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
    with pytest.raises(InputError, match="soft_label is not numeric"):
        LabelTable.read(tmp_path / "t.parquet")
    columns = {"id": ["a", "b"], "soft_label": [0.5, 0.5], "variance": [0.1, None]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="variance out of range: nan, row 1, id 'b'"):
        LabelTable.read(tmp_path / "t.parquet")


def test_a_csv_is_read_to_the_last_bit(tmp_path: Path) -> None:
    ids = ["007", "a, b", 'quo"ted', "two\nlines", " é ", "NA", ""]
    soft = np.random.default_rng(0).random(len(ids))
    table = pa.table({"id": ids, "soft_label": soft, "keep": [True, False] * 3 + [True]})
    pyarrow.csv.write_csv(table, tmp_path / "t.csv")
    again = LabelTable.read(tmp_path / "t.csv")
    assert again.ids.tolist() == ids
    np.testing.assert_array_equal(again.soft_label, soft)
    assert again.keep.tolist() == table["keep"].to_pylist()


def test_a_csv_that_a_spreadsheet_saved(tmp_path: Path) -> None:
    text = "\ufeffid,soft_label,keep,note\r\n1,1,TRUE,x\r\n02,0.25,FALSE,\r\n"
    (tmp_path / "t.CSV").write_bytes(text.encode())
    table = LabelTable.read(tmp_path / "t.CSV")
    assert (table.ids.tolist(), table.soft_label.tolist()) == (["1", "02"], [1.0, 0.25])
    assert table.keep.tolist() == [True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,label\na,1\n", "no column 'soft_label'"),
        ("id,soft_label\na,high\n", "cannot read label table .*column #1.*'high'"),
        ("id,soft_label\na,1.5\n", "soft_label out of range: 1.5, row 0, id 'a'"),
        ("id,soft_label\na,\n", "soft_label out of range: nan, row 0, id 'a'"),
        ("id,soft_label,keep\na,0.5,\nb,0.5,true\n", "keep is empty in some rows"),
        ("id,soft_label,keep\na,0.5,maybe\n", "cannot read label table .*column #2.*'maybe'"),
        ("id,soft_label\na,0.5\na,0.5\n", "doubled ids 'a'"),
        ("id,soft_label\na,0.5,true\n", "cannot read label table"),
        ("", "cannot read label table"),
    ],
)
def test_a_bad_csv_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        LabelTable.read(tmp_path / "t.csv")
    assert "t.csv" in str(caught.value)


def test_truth_in_a_csv(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,soft_label,truth\na,0.5,1\nb,0.5,0\n")
    truth = read_truth(tmp_path / "t.csv")
    assert truth is not None
    assert truth.soft_label.tolist() == [1.0, 0.0]
