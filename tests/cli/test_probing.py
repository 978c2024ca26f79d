"""Inputs that `probe` and `sweep` share."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.probing.cases import IDS, TRUTH, labels, store_in
from w2sprobe.cli._probing import StoreInputs
from w2sprobe.data import Rows, SplitSizes, make_splits
from w2sprobe.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store_in(tmp_path / "store")
    labels().align(IDS[:30]).write(tmp_path / "labels.parquet")
    return tmp_path


def inputs(folder: Path, task: Any = None) -> StoreInputs:
    return StoreInputs(folder / "store", folder / "labels.parquet", task)


def test_without_a_task_all_labelled_rows_are_training_rows(folder: Path) -> None:
    store, table, rows = inputs(folder).load()
    assert store.ids.tolist() == IDS.tolist()
    assert rows.train.tolist() == table.ids.tolist() == IDS[:30].tolist()
    assert rows.other["unlabelled"].tolist() == IDS[30:].tolist()


def test_with_a_task_the_strong_train_rows_are(folder: Path) -> None:
    task_rows = Rows(
        IDS, [f"text of {name}" for name in IDS], TRUTH, np.arange(len(IDS)).astype(str)
    )
    splits = make_splits(task_rows, SplitSizes(20, 40, 10, 20), seed=0)
    _, table, rows = inputs(folder, SimpleNamespace(load=lambda: splits)).load()
    assert rows.train.tolist() == splits.strong_train.ids.tolist()
    assert {*rows.other} == {"val", "test"}
    assert len(table) == 30


def test_a_missing_store_or_label_file_is_named(folder: Path) -> None:
    with pytest.raises(InputError, match="no-store"):
        StoreInputs(folder / "no-store", folder / "labels.parquet", None).load()
    with pytest.raises(InputError, match="no-labels"):
        StoreInputs(folder / "store", folder / "no-labels.parquet", None).load()
