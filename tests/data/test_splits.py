from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.test_splitting import balanced, contents
from w2sprobe.data import SPLIT_NAMES, Splits, SplitSizes, make_splits
from w2sprobe.data.splits import is_splits_file
from w2sprobe.errors import InputError, UnknownName


@pytest.mark.parametrize(
    ("sizes", "part"),
    [
        ((2, 2, 2, 0), "0 rows for test"),
        ((1, 2, 2, 2), "1 rows for weak_train"),
        ((2, 2, 1.5, 2), "share 1.5 for val"),
        ((2, 0.0, 2, 2), "share 0.0 for strong_train"),
        ((2, 2, 2, float("nan")), "share nan for test"),
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


def test_unknown_split() -> None:
    with pytest.raises(UnknownName, match="unknown split 'train'"):
        make_splits(balanced(40))["train"]


def test_counts() -> None:
    assert make_splits(balanced(20)).counts()["test"] == {"label_0": 2, "label_1": 2}


@pytest.mark.parametrize("group_size", [None, 3])
def test_splits_that_were_changed_are_refused(tmp_path: Path, group_size: int | None) -> None:
    path = tmp_path / "splits.parquet"
    make_splits(balanced(100, group_size)).write(path)
    table = pq.read_table(path)
    names = table["split"].to_pylist()
    changed = {
        "no column 'split'": table.drop_columns(["split"]),
        "splits strong_train, test, train, val": table.set_column(
            table.column_names.index("split"),
            "split",
            pa.array(["train" if name == "weak_train" else name for name in names]),
        ),
        "is in weak_train and in": table.set_column(
            table.column_names.index("text"), "text", pa.array(["same"] * len(table))
        ),
    }
    if group_size:
        at = table.column_names.index("group")
        changed["group 'same' is in"] = table.set_column(
            at, "group", pa.array(["same"] * len(names))
        )
    for what, other in changed.items():
        pq.write_table(other, path)
        with pytest.raises(InputError, match=what) as error:
            Splits.read(path)
        assert "w2sprobe tasks split" in str(error.value)
