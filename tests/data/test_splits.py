from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.test_splitting import balanced, contents
from w2sprobe.data import SPLIT_NAMES, Rows, Splits, SplitSizes, make_splits
from w2sprobe.data.splits import is_splits_file
from w2sprobe.errors import IdMismatch, InputError, UnknownName


@pytest.mark.parametrize(
    ("sizes", "part"),
    [
        ((2, 2, 2, 0), "size 0 for test"),
        ((1, 2, 2, 2), "size 1 for weak_train"),
        ((2, 2, 1.5, 2), "size 1.5 for val"),
        ((2, 0.0, 2, 2), "size 0.0 for strong_train"),
        ((2, 2, 2, float("nan")), "size nan for test"),
    ],
)
def test_impossible_sizes(sizes: tuple[float, float, float, float], part: str) -> None:
    with pytest.raises(InputError, match=part):
        SplitSizes(*sizes)


@pytest.mark.parametrize("group_size", [None, 3])
def test_round_trip(tmp_path: Path, group_size: int | None) -> None:
    splits = make_splits(balanced(100, group_size))
    path = tmp_path / "new" / "splits.parquet"
    splits.write(path)
    again = Splits.read(path)
    assert contents(again) == contents(splits)
    assert again.dropped == splits.dropped
    assert again.about == splits.about
    assert is_splits_file(path)
    for name in SPLIT_NAMES:
        here, there = splits[name], again[name]
        assert there.texts == here.texts
        assert there.labels.tolist() == here.labels.tolist()
        assert there.labels.dtype == here.labels.dtype
        assert (there.groups is None) == (here.groups is None)
        if here.groups is not None and there.groups is not None:
            assert there.groups.tolist() == here.groups.tolist()
        assert there.name == here.name
    columns = {"id", "text", "label", "split"} | ({"group"} if group_size else set())
    assert set(pq.read_table(path).column_names) == columns


def test_reading_something_else(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    with pytest.raises(InputError, match="cannot read splits"):
        Splits.read(path)
    pq.write_table(pa.table({"id": ["a"]}), path)
    with pytest.raises(InputError, match="not written as splits"):
        Splits.read(path)
    assert not is_splits_file(path)
    assert not is_splits_file(tmp_path / "absent.parquet")


def test_columns_for_rows_in_another_order() -> None:
    splits = make_splits(balanced(40))
    chosen = [splits.test.ids[1], splits.weak_train.ids[0]]
    assert splits.columns_for(chosen) == {
        "label": [splits.test.labels[1], splits.weak_train.labels[0]],
        "split": ["test", "weak_train"],
        "text": [splits.test.texts[1], splits.weak_train.texts[0]],
    }
    with pytest.raises(IdMismatch, match="does not have: 'nobody'"):
        splits.columns_for([*chosen, "nobody"])


def test_unknown_split() -> None:
    with pytest.raises(UnknownName, match="unknown split 'train'"):
        make_splits(balanced(40))["train"]


def test_counts() -> None:
    assert make_splits(balanced(20)).counts()["test"] == {"label_0": 4, "label_1": 4}


def test_sizes_from_numpy_are_numbers() -> None:
    sizes = SplitSizes(np.int64(4), np.float64(0.5), np.int32(2), 2)
    assert [type(size) for _, size in sizes.items()] == [int, np.float64, int, int]
    with pytest.raises(InputError, match=r"size np\.int64"):
        SplitSizes(np.int64(-2), 2, 2, 2)
    with pytest.raises(InputError, match="size '2'"):
        SplitSizes("2", 2, 2, 2)  # type: ignore[arg-type]


def changed(table: pa.Table) -> dict[str, pa.Table]:
    """What an edit may do to a file of splits, its metadata kept."""

    def put(name: str, values: list[object]) -> pa.Table:
        column = pa.array(values, type=table.schema.field(name).type)
        return table.set_column(table.column_names.index(name), name, column)

    texts, labels = table["text"].to_pylist(), table["label"].to_pylist()
    return {
        "a column is gone": table.drop_columns(["split"]),
        "rows are gone": table.slice(1),
        "rows have moved": table.take(list(range(len(table)))[::-1]),
        "labels are flipped": put("label", [1 - label for label in labels]),
        "a text is null": put("text", [None, *texts[1:]]),
        "a text is another's": put("text", [texts[-1], *texts[1:]]),
        "a split has another name": put("split", ["train", *table["split"].to_pylist()[1:]]),
        "the hash is gone": table.replace_schema_metadata({b"w2sprobe": b"{}"}),
        "the record is broken": table.replace_schema_metadata({b"w2sprobe": b"["}),
    }


@pytest.mark.parametrize("group_size", [None, 3])
def test_splits_that_were_changed_are_refused(tmp_path: Path, group_size: int | None) -> None:
    path = tmp_path / "splits.parquet"
    make_splits(balanced(100, group_size)).write(path)
    for what, other in changed(pq.read_table(path)).items():
        pq.write_table(other, path)
        with pytest.raises(InputError, match="changed after they were written") as error:
            Splits.read(path)
        assert str(path) in str(error.value), what


def test_conversations_survive(tmp_path: Path) -> None:
    texts = [[{"role": "user", "content": f"text {row}"}] for row in range(40)]
    rows = Rows(list(map(str, range(40))), texts, [0, 1] * 20, chats=True)
    splits = make_splits(rows)
    splits.write(tmp_path / "splits.parquet")
    again = Splits.read(tmp_path / "splits.parquet")
    assert again.stored.chats
    assert again.stored.identity == splits.stored.identity
