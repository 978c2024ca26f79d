import csv
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
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
    ids = [name for name in rows if "\x00" not in name and name.strip()]
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
        (
            lambda: LabelTable(["a", "b", "c"], [0.5, 1.5, -0.5]),
            InputError,
            ["1.5, row 1, id 'b' (and 1 more)"],
        ),
        (lambda: LabelTable(["a"], [-0.5]), InputError, ["-0.5", "row 0"]),
        (lambda: LabelTable(["a"], [0.1], variance=[-0.5]), InputError, ["-0.5", "0 or more"]),
        (lambda: LabelTable(["a"], [0.1, "x"]), InputError, ["'x'", "row 1"]),
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


def test_all_rows_are_kept_by_default() -> None:
    assert LabelTable(["a", "b"], [0.1, 0.9]).keep.tolist() == [True, True]


def test_a_file_that_is_no_label_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        LabelTable.read(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        LabelTable.read(tmp_path / "labels.parquet")
    (tmp_path / "labels.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"cannot read label table .*labels\.parquet"):
        LabelTable.read(tmp_path / "labels.parquet")


def test_a_foreign_parquet_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"], "label": [1]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="no column 'soft_label'"):
        LabelTable.read(tmp_path / "t.parquet")
    pq.write_table(pa.table({"id": ["a"], "soft_label": ["high"]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"soft_label is 'high' in .*t\.parquet, row 0, id 'a'"):
        LabelTable.read(tmp_path / "t.parquet")
    columns = {"id": ["a", "b"], "soft_label": [0.5, 0.5], "variance": [0.1, None]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"variance is None in .*t\.parquet, row 1, id 'b'"):
        LabelTable.read(tmp_path / "t.parquet")


def test_a_csv_is_read_to_the_last_bit(tmp_path: Path) -> None:
    ids = ["007", "a, b", 'quo"ted', "two\nlines", " é ", "NA", "7.0"]
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
        ("id,soft_label\na,high\n", "soft_label is 'high' in .*t.csv, row 0, id 'a'"),
        ("id,soft_label\na,1.5\n", "soft_label out of range: 1.5, row 0, id 'a'"),
        ("id,soft_label\na,\n", "soft_label is '' in .*t.csv, row 0, id 'a'"),
        ("id,soft_label,keep\na,0.5,\nb,0.5,true\n", "keep is '' in .*t.csv, row 0, id 'a'"),
        ("id,soft_label,keep\na,0.5,maybe\n", "keep is 'maybe' in .*Allowed: true or false, 1"),
        ("id,soft_label\na,0.5\n,0.5\n", "empty id '' in .*t.csv, row 1"),
        ("id,soft_label\na,0.5\na,0.5\n", "doubled ids 'a'"),
        ("id,id,soft_label\na,a,0.5\n", "doubled column 'id'"),
        ("id,soft_label\na,0.5,true\n", "3 cells where the header has 2 in .*line 2"),
        ("id;soft_label\na;0,5\n", "one column 'id;soft_label'.*separated by ';'.*'sep=;'"),
        ("", "no column 'id', 'soft_label'.* found none"),
    ],
)
def test_a_bad_csv_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        LabelTable.read(tmp_path / "t.csv")
    assert "t.csv" in str(caught.value)


@pytest.mark.parametrize("name", ["t.csv", "t.TSV"])
def test_a_table_is_not_written_to_a_name_that_would_be_read_as_csv(tmp_path: Path, name) -> None:
    with pytest.raises(InputError, match=r"not to .*Allowed: a name in \.parquet"):
        LabelTable(np.array(["a"]), np.array([0.5])).write(tmp_path / name)
    assert not [*tmp_path.iterdir()]


def from_csv(columns: dict[str, list[Any]], path: Path) -> LabelTable:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return LabelTable.read(path)


def from_parquet(columns: dict[str, list[Any]], path: Path) -> LabelTable:
    pq.write_table(pa.table(columns), path.with_suffix(".parquet"))
    return LabelTable.read(path.with_suffix(".parquet"))


def from_lists(columns: dict[str, Any], _: Path | None = None) -> LabelTable:
    return LabelTable(columns["id"], columns["soft_label"], columns["keep"])


def from_pandas(columns: dict[str, list[Any]], _: Path) -> LabelTable:
    return from_lists(pd.DataFrame(columns))


def from_objects(columns: dict[str, list[Any]], _: Path) -> LabelTable:
    return from_lists({name: np.array(cells, dtype=object) for name, cells in columns.items()})


def from_arrow(columns: dict[str, list[Any]], _: Path) -> LabelTable:
    return from_lists(pa.table(columns))


SOURCES = [from_csv, from_parquet, from_lists, from_pandas, from_objects, from_arrow]


def outcome(read: Callable[..., LabelTable], columns: dict[str, Any], path: Path) -> Any:
    try:
        table = read(columns, path)
    except InputError:
        return "refused"
    return table.ids.tolist(), table.soft_label.tolist(), table.keep.tolist()


def column(*kinds: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Three cells of one kind, as a column of Arrow's holds."""
    return st.one_of(*(st.lists(kind, min_size=3, max_size=3) for kind in kinds))


@settings(deadline=None, max_examples=150, derandomize=True)
@given(
    ids=column(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4),
        st.sampled_from(["007", "7", "7.0", " ", "", "None"]),
        st.integers(-3, 999),
        st.none(),
    ),
    soft=column(
        st.floats(-0.1, 1.1),
        st.integers(0, 2),
        st.booleans(),
        st.sampled_from(["0.7", " .5 ", "1e-3", "0,7", "1_0", "nan", "", "high", "0x1", "true"]),
        st.sampled_from([Decimal("0.25"), Decimal("1.00")]),
        st.none(),
        st.just(float("nan")),
    ),
    keep=column(
        st.booleans(),
        st.integers(0, 2),
        st.floats(0, 1),
        st.sampled_from(["true", "False", "TRUE", "1", "0", "1.0", " 1"]),
        st.sampled_from(["yes", "maybe", "", "t", "1.5", "None"]),
        st.none(),
    ),
)
def test_a_cell_means_the_same_from_every_source(
    ids: list, soft: list, keep: list, tmp_path_factory: pytest.TempPathFactory
) -> None:
    columns = {"id": ids, "soft_label": soft, "keep": keep}
    path = tmp_path_factory.mktemp("labels") / "t.csv"
    found = [outcome(read, columns, path) for read in SOURCES]
    assert found == [found[0]] * len(SOURCES)


GOOD = {"id": ["a", "b"], "soft_label": [0.25, 1.0], "keep": [True, False]}


@pytest.mark.parametrize("read", SOURCES)
@pytest.mark.parametrize(
    "changes",
    [
        {"keep": ["True", "False"]},
        {"keep": ["TRUE", "0"]},
        {"keep": [1, 0]},
        {"keep": [1.0, 0.0]},
        {"soft_label": ["0.25", "1"]},
        {"soft_label": [Decimal("0.25"), Decimal(1)]},
    ],
)
def test_what_says_the_same_is_the_same(
    read: Callable[..., LabelTable], changes: dict, tmp_path: Path
) -> None:
    assert outcome(read, GOOD | changes, tmp_path / "t.csv") == tuple(GOOD.values())


@pytest.mark.parametrize("read", SOURCES)
@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"keep": [0.9, 0.1]}, ["keep is ", "0.9", "row 0, id 'a'", "true or false, 1 or 0"]),
        ({"keep": ["true", "maybe"]}, ["keep is 'maybe'", "row 1, id 'b'"]),
        ({"keep": [True, None]}, ["keep is ", "row 1, id 'b'", "Fill the cell"]),
        ({"id": ["a", None]}, ["id ", "row 1", "Fill the cell"]),
        ({"id": ["a", " "]}, ["empty id ' '", "row 1", "Fill the cell"]),
        ({"soft_label": ["0.5", "0,7"]}, ["soft_label is '0,7'", "row 1, id 'b'", "a number"]),
        ({"soft_label": [None, 0.5]}, ["soft_label ", "row 0, id 'a'"]),
    ],
)
def test_a_cell_that_means_nothing_is_named_in_every_source(
    read: Callable[..., LabelTable], changes: dict, parts: list[str], tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        read(GOOD | changes, tmp_path / "t.csv")
    for part in parts:
        assert part in str(caught.value)


def test_ids_that_are_integers_are_their_digits(tmp_path: Path) -> None:
    columns = GOOD | {"id": [7, 12]}
    for read in SOURCES:
        assert read(columns, tmp_path / "t.csv").ids.tolist() == ["7", "12"]
    assert from_lists(columns | {"id": np.array([7, 12], dtype=np.uint8)}).ids.tolist()[0] == "7"
    assert LabelTable(["7", "12"], [0.1, 0.2]).align([12, 7]).ids.tolist() == ["12", "7"]


@pytest.mark.parametrize(
    "bad", [7.0, True, b"a", ["a"], "half \ud800", "a\0", np.nan, pd.NA, Decimal(7)]
)
def test_an_id_is_a_string_or_an_integer(bad: object) -> None:
    with pytest.raises(InputError, match=r"id .* row 1"):
        LabelTable(["a", bad], [0.1, 0.2])


@pytest.mark.parametrize(
    "column",
    [
        pa.chunked_array([["a"], ["b"]], pa.large_string()),
        pa.array(["a", "b"]).dictionary_encode(),
        pd.Categorical(["a", "b"]),
        pd.Series(["a", "b"], dtype="string"),
        np.array(["a", "b"]),
        ("a", "b"),
    ],
)
def test_ids_of_every_type_of_string(column: Any, tmp_path: Path) -> None:
    assert LabelTable(column, [0.25, 1.0]).ids.tolist() == ["a", "b"]
    if isinstance(column, pa.Array | pa.ChunkedArray):
        pq.write_table(pa.table({"id": column, "soft_label": [0.25, 1.0]}), tmp_path / "t.parquet")
        assert LabelTable.read(tmp_path / "t.parquet").ids.tolist() == ["a", "b"]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "decimal", "bool"])
def test_numbers_of_every_type(dtype: str, tmp_path: Path) -> None:
    kinds = {"decimal": pa.decimal128(5, 3), "bool": pa.bool_()}
    values = [1, 0] if dtype == "bool" else [0.25, 1]
    plain = np.array(values, dtype=dtype) if dtype not in kinds else values
    typed = pa.array(plain).cast(kinds[dtype]) if dtype in kinds else pa.array(plain)
    pq.write_table(pa.table({"id": ["a", "b"], "soft_label": typed}), tmp_path / "t.parquet")
    assert LabelTable.read(tmp_path / "t.parquet").soft_label.tolist() == values
    assert LabelTable(["a", "b"], plain).soft_label.tolist() == values
    assert LabelTable(["a", "b"], typed).soft_label.dtype == np.float64


@pytest.mark.parametrize(
    "columns",
    [
        ("ab", [0.1, 0.2]),
        ({"a", "b"}, [0.1, 0.2]),
        ({"a": 1, "b": 2}, [0.1, 0.2]),
        (["a"], 0.5),
        (["a", "b"], np.array([[0.9, 0.1], [0.5, 0.5]])),
        (["a", "b"], [0.1, 1j]),
        (["a", "b"], [0.1, 10**400]),
        (["a", "b"], [[0.1], [0.2]]),
        (["a", "b"], [0.1, 0.2], np.array([0.9, 0.1])),
    ],
)
def test_what_is_no_column_is_refused(columns: tuple[Any, ...]) -> None:
    with pytest.raises(InputError):
        LabelTable(*columns)


def test_a_csv_of_a_spreadsheet_that_names_its_separator(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(
        "\ufeffsep=;\r\nid;soft_label;keep\r\na;0.25;WAHR\r\n".encode()
    )
    with pytest.raises(InputError, match="keep is 'WAHR'"):
        LabelTable.read(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes(
        "\ufeffsep=;\r\nid;soft_label;keep\r\na;0.25;TRUE\r\n".encode()
    )
    assert LabelTable.read(tmp_path / "t.csv").soft_label.tolist() == [0.25]


def test_a_csv_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,soft_label\na,0.25\n", encoding="utf-16")
    with pytest.raises(InputError, match="not UTF-8: the file begins as UTF-16"):
        LabelTable.read(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("values", "bad"),
    [
        (["1", "true"], None),
        ([1.0, 0.0], None),
        ([True, False], None),
        ([1, None], "None"),
        (["1", "yes"], "'yes'"),
        ([0.9, 0.1], "0.9"),
    ],
)
def test_truth_is_read_as_keep_is(values: list[Any], bad: str | None, tmp_path: Path) -> None:
    columns = {"id": ["a", "b"], "soft_label": [0.5, 0.5], "truth": values}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    if bad:
        with pytest.raises(InputError, match=f"truth is {bad} in .*t.parquet, row ., id "):
            read_truth(tmp_path / "t.parquet")
    else:
        truth = read_truth(tmp_path / "t.parquet")
        assert truth is not None
        assert truth.soft_label[0] == 1.0


def test_truth_in_a_csv(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,soft_label,truth\na,0.5,1\nb,0.5,0\n")
    truth = read_truth(tmp_path / "t.csv")
    assert truth is not None
    assert truth.soft_label.tolist() == [1.0, 0.0]
