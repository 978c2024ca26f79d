from pathlib import Path

import datasets
import pytest

from w2sprobe.data import load_task
from w2sprobe.data.folders import read_folder
from w2sprobe.errors import InputError

datasets.disable_progress_bars()
TRAIN = {"text": ["a", "b"], "label": [0, 1], "id": ["x", "7"], "other": [0, 0]}
TEST = {"text": ["c", "d"], "label": [1, 0], "id": ["y", "8"], "other": [0, 0]}


def save(path: Path, **splits: dict[str, list]) -> Path:
    parts = {name: datasets.Dataset.from_dict(columns) for name, columns in splits.items()}
    datasets.DatasetDict(parts).save_to_disk(path)
    return path


def test_one_table(tmp_path: Path) -> None:
    table = datasets.Dataset.from_dict({**TRAIN, "split": ["test", "train"]}).select([1, 0])
    table.save_to_disk(tmp_path / "rows")
    rows = read_folder(tmp_path / "rows")
    assert (rows.texts, rows.labels, rows.ids) == (["b", "a"], [1, 0], ["7", "x"])
    assert rows.held_out == [False, True]
    assert rows.made_of["folder"] == "rows"


def test_train_and_test(tmp_path: Path) -> None:
    rows = read_folder(save(tmp_path / "rows", train=TRAIN, test=TEST))
    assert rows.texts == ["a", "b", "c", "d"]
    assert rows.ids == ["x", "7", "y", "8"]
    assert rows.held_out == [False, False, True, True]


def test_one_split_stands_alone(tmp_path: Path) -> None:
    rows = read_folder(save(tmp_path / "rows", train=TRAIN))
    assert rows.texts == ["a", "b"]
    assert rows.held_out is None
    folder = save(tmp_path / "several", train=TRAIN, validation=TEST)
    assert read_folder(folder / "validation").texts == ["c", "d"]


def test_a_folder_is_the_same_task_as_a_file(tmp_path: Path) -> None:
    texts = [f"text {row}" for row in range(8)]
    rows = {"text": texts, "label": [0, 1] * 4, "split": ["train"] * 4 + ["test"] * 4}
    datasets.Dataset.from_dict(rows).to_csv(tmp_path / "rows.csv")
    parts = {
        name: {column: rows[column][part] for column in ("text", "label")}
        for name, part in (("train", slice(4)), ("test", slice(4, 8)))
    }
    folder = save(tmp_path / "rows", **parts)
    assert load_task(folder).fingerprint == load_task(tmp_path / "rows.csv").fingerprint
    assert load_task(f"{folder}/").fingerprint == load_task(folder).fingerprint


@pytest.mark.parametrize(
    ("splits", "parts"),
    [
        ({"train": TRAIN, "validation": TEST}, ["tables 'train', 'validation'", "train and test"]),
        ({"train": TRAIN, "test": {**TEST, "label": [-1, -1]}}, ["label is -1", "row 3"]),
        ({"train": TRAIN, "test": TRAIN}, ["id 'x' of", "occurs again"]),
        ({"train": TRAIN, "test": {"text": ["c"], "label": [0]}}, ["the same columns"]),
        (
            {
                name: {**part, "split": ["train"] * 2}
                for name, part in (("train", TRAIN), ("test", TEST))
            },
            ["the same columns, and no split among them"],
        ),
        ({"train": {"sentence": ["a"], "label": [0]}}, ["no column 'text'", "found 'sentence'"]),
    ],
)
def test_what_cannot_be_used(splits: dict, parts: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_folder(save(tmp_path / "rows", **splits))
    for part in parts:
        assert part in str(caught.value)
    assert str(tmp_path / "rows") in str(caught.value)


def test_other_folders(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    with pytest.raises(InputError, match=r"folder without state.json.*save_to_disk"):
        load_task(tmp_path / "rows")
    save(tmp_path / "cut", train=TRAIN)
    (file,) = (tmp_path / "cut").rglob("*.arrow")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match=r"cannot be read.*Save the data set again"):
        load_task(tmp_path / "cut")
    file.unlink()
    with pytest.raises(InputError, match=r"cannot be read.*Save the data set again"):
        load_task(tmp_path / "cut")
