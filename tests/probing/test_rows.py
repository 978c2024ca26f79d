from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cache.cases import complete
from w2sprobe.data import Rows, SplitSizes, make_splits
from w2sprobe.errors import InputError
from w2sprobe.labels import read_truth
from w2sprobe.probing.rows import ProbedRows


def test_rows_of_a_task_and_their_copies() -> None:
    texts = ["same  text", "same text", *(f"text {n}" for n in range(58))]
    rows = Rows(
        np.array([f"r{n}" for n in range(60)]), texts, np.arange(60) % 2, np.arange(60).astype(str)
    )
    splits = make_splits(rows, SplitSizes(2, 52, 2, 4), seed=0)
    found = ProbedRows.of_splits(splits)
    assert set(found.other) == {"val", "test"}
    copies = [text.startswith("same") for text in splits.strong_train.texts]
    if sum(copies) == 2:
        assert len(set(found.groups[copies])) == 1
    assert found.groups is None or len(set(found.groups)) == 52 - (sum(copies) == 2)


def test_groups_of_the_task_are_kept_together() -> None:
    rows = Rows(
        np.array([f"r{n}" for n in range(60)]),
        [f"text {n}" for n in range(60)],
        np.arange(60) % 2,
        (np.arange(60) // 4).astype(str),
    )
    splits = make_splits(rows, SplitSizes(8, 32, 8, 12), seed=0)
    found, own = ProbedRows.of_splits(splits), splits.strong_train.groups
    assert found.groups is not None
    same = found.groups[:, None] == found.groups
    np.testing.assert_array_equal(same, own[:, None] == own)


def test_rows_of_a_label_file(tmp_path: Path) -> None:
    store = complete(tmp_path / "s")
    ids = store.ids[:4].tolist()
    table = pa.table({"id": ids, "soft_label": [0.2] * 4, "truth": [0, 1, 1, 0]})
    pq.write_table(table, tmp_path / "l.parquet")
    rows = ProbedRows.of_labels(tmp_path / "l.parquet", store)
    assert rows.train.tolist() == ids
    assert rows.other["unlabelled"].tolist() == store.ids[4:].tolist()
    assert rows.truth.soft_label.tolist() == [0, 1, 1, 0]
    pq.write_table(table.drop_columns("truth"), tmp_path / "l.parquet")
    assert read_truth(tmp_path / "l.parquet") is None
    bad = table.set_column(2, "truth", pa.array([0, 1, 2, None]))
    pq.write_table(bad, tmp_path / "l.parquet")
    with pytest.raises(InputError, match=r"truth is 2 in .*, row 2, id 'row-2"):
        read_truth(tmp_path / "l.parquet")
