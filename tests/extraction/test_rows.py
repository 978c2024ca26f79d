from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.cache.cases import IDS, complete
from tests.extraction.cases import ROWS, TEXTS
from w2sprobe import extract
from w2sprobe.cache import ActivationStore
from w2sprobe.data import Rows, Splits
from w2sprobe.errors import StoreMismatch
from w2sprobe.extraction import repair, task_columns

TABLES = {
    "list": lambda: ROWS,
    "rows of a task": lambda: Rows([row["id"] for row in ROWS], TEXTS, [0, 1] * 20),
    "iterator": lambda: iter(ROWS),
    "numpy's strings": lambda: [
        {name: np.str_(cell) for name, cell in row.items()} for row in ROWS
    ],
    "dict of columns": lambda: {name: [row[name] for row in ROWS] for name in ROWS[0]},
    "dict of arrays": lambda: {name: np.array([row[name] for row in ROWS]) for name in ROWS[0]},
    "frame": lambda: pd.DataFrame(ROWS),
    "dataset": lambda: datasets.Dataset.from_list(ROWS),
    "streaming": lambda: datasets.Dataset.from_list(ROWS).to_iterable_dataset(),
    "arrow": lambda: pa.Table.from_pylist(ROWS),
}


def test_rows_of_every_kind_give_the_same_store(llama: str, tmp_path: Path, monkeypatch) -> None:
    model = Path(llama)
    extract(model, ROWS, tmp_path / "store", layers=0.5)
    monkeypatch.setattr("w2sprobe.extraction.request.load_base", None)  # calling it would raise
    for kind, make in TABLES.items():
        assert extract(str(model), make(), tmp_path / "store", layers=np.int64(2)), kind


def test_integer_ids_become_their_digits(llama: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": range(4), "text": TEXTS[:4]})
    store = extract(llama, frame, tmp_path / "store", layers=range(1, 3))
    assert store.ids.tolist() == ["0", "1", "2", "3"]
    assert store.layers == (1, 2)
    path = tmp_path / "store/shards/00000.h5"
    path.write_bytes(path.read_bytes()[:-1])
    assert repair(tmp_path / "store", ({"id": i, "text": text} for i, text in enumerate(TEXTS[:4])))
    assert store.verify() == []


def test_columns_of_a_task_are_those_of_the_store_s_rows(llama: str, tmp_path: Path) -> None:
    ids, labels = [row["id"] for row in ROWS[:8]], [0, 1] * 4

    def splits(texts: list[str]) -> Splits:
        rows = Rows(ids, texts, labels)
        return Splits(*(rows.select([part, part + 4]) for part in range(4)))

    store = extract(llama, ROWS[7:2:-1], tmp_path / "store", layers="1")
    columns = task_columns(store, splits(TEXTS[:8]))
    assert columns["text"] == [row["text"] for row in ROWS[7:2:-1]]
    assert columns["label"] == labels[7:2:-1]
    assert columns["split"] == ["test", "val", "strong_train", "weak_train", "test"]
    with pytest.raises(StoreMismatch, match="extracted from other texts"):
        task_columns(store, splits([*TEXTS[:7], "another text"]))


def test_an_imported_store_takes_the_texts_that_are_given(tmp_path: Path) -> None:
    complete(tmp_path / "s")  # its identity does not know rows
    texts = [f"text {number}" for number in range(10)]
    rows = Rows(IDS, texts, [0, 1] * 5)
    splits = Splits(*(rows.select(part) for part in ([0, 1], [2, 3], [4, 5], [6, 7, 8, 9])))
    assert task_columns(ActivationStore.open(tmp_path / "s"), splits)["text"] == texts
