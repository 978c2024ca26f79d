from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa

from tests.extraction.cases import ROWS, TEXTS
from w2sprobe import extract
from w2sprobe.data import Rows
from w2sprobe.extraction import repair

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
