from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cache.cases import complete
from w2sprobe.cache import ActivationStore
from w2sprobe.data import Rows, SplitSizes, make_splits
from w2sprobe.errors import IdMismatch, InputError
from w2sprobe.folds import folds_of
from w2sprobe.labels import LabelTable, read_truth
from w2sprobe.metrics import auc_inside_folds, roc_auc
from w2sprobe.probes import KNNProbe, LogisticProbe
from w2sprobe.probing import Grid, ProbedRows, curate_store, predict_store
from w2sprobe.votes.provenance import COLUMNS


@pytest.fixture
def store(tmp_path: Path) -> ActivationStore:
    return complete(tmp_path / "s")


@pytest.fixture
def labels(store: ActivationStore) -> LabelTable:
    soft = np.random.default_rng(0).random(len(store))
    return LabelTable(store.ids, soft)


def rows_of(store: ActivationStore, n_train: int) -> ProbedRows:
    truth = LabelTable(store.ids, np.arange(len(store)) % 2)
    return ProbedRows("train", store.ids[:n_train], {"test": store.ids[n_train:]}, truth, None)


def test_predictions_of_every_layer_and_setting(store: ActivationStore, labels: LabelTable) -> None:
    n = len(store) - 3
    rows = rows_of(store, n)
    outcome = predict_store(Grid("knn", ks=(2, 1)), store, store.layers, labels, rows)
    assert outcome.table.schema == COLUMNS
    assert outcome.table.num_rows == len(store.layers) * 2 * len(store)
    layer = store.layers[-1]
    X = store.read(layer)
    probe = KNNProbe(2).fit(X[:n], labels.soft_label[:n])
    expected = np.concatenate([probe.predict_train_proba()[:, 1], probe.predict_proba(X[n:])[:, 1]])
    some = [r for r in outcome.table.to_pylist() if (r["layer"], r["value"]) == (layer, 2)]
    assert [row["id"] for row in some] == store.ids.tolist()
    np.testing.assert_allclose([row["soft_label"] for row in some], expected, atol=1e-12)
    (result,) = (r for r in outcome.results if (r["layer"], r["k"]) == (layer, 2))
    assert result["auc"]["train"]["truth"] == roc_auc(np.arange(n) % 2, expected[:n])
    assert result["auc"]["train"]["labels"] == roc_auc(labels.hard_label[:n], expected[:n])
    assert "n_folds" not in result, "rows are left out alone, and ranked together"


def test_rows_that_a_filter_removed_are_predicted_and_not_learnt_from(
    store: ActivationStore, labels: LabelTable
) -> None:
    keep = np.ones(len(store), dtype=bool)
    keep[1] = False
    filtered = LabelTable(labels.ids, labels.soft_label, keep)
    rows = replace(rows_of(store, len(store)), other={})
    layer = store.layers[0]
    outcome = predict_store(Grid("logistic", l2s=(0.1,), cv=2), store, [layer], filtered, rows)
    X = store.read(layer)
    expected = LogisticProbe(0.1).fit(X[keep], labels.soft_label[keep]).predict_proba(X[1:2])
    folds = folds_of(int(keep.sum()), 2)
    p = LogisticProbe(0.1).cross_fit(X[keep], labels.soft_label[keep], 2)
    truth = (np.arange(len(store)) % 2)[keep]
    (result,) = outcome.results
    assert result["auc"]["train"]["truth"] == auc_inside_folds(truth, p, folds).auc
    assert result["n_folds"] == {"labels": 1, "truth": 2}  # one has labels of one class
    (row,) = (r for r in outcome.table.to_pylist() if r["id"] == store.ids[1])
    assert row["soft_label"] == pytest.approx(expected[0, 1], abs=1e-6)
    assert (row["fold"], row["reason"]) == (None, "predicted")
    assert set(outcome.results[0]["auc"]) == {"train", "filtered out"}


def test_rows_that_are_not_curated_pass_through(
    store: ActivationStore, labels: LabelTable, tmp_path: Path
) -> None:
    n = len(store) - 3
    layer = store.layers[0]
    outcome = curate_store(
        Grid("knn", ks=(2,)), "relabel", store, [layer], labels, rows_of(store, n)
    )
    pq.write_table(outcome.table, tmp_path / "new.parquet")
    new = LabelTable.read(tmp_path / "new.parquet").align(store.ids)
    np.testing.assert_array_equal(new.soft_label[n:], labels.soft_label[n:])
    votes = KNNProbe(2).fit(store.read(layer)[:n], labels.soft_label[:n]).predict_train_proba()
    np.testing.assert_allclose(new.soft_label[:n], votes[:, 1], atol=1e-12)
    (result,) = outcome.results
    flipped = ((votes[:, 1] > 0.5) != labels.hard_label[:n]).sum()
    assert (result["layer"], result["k"], result["flipped"]) == (layer, 2.0, flipped)


def test_filters_are_scored_and_compared(store: ActivationStore, labels: LabelTable) -> None:
    rows = rows_of(store, len(store))
    grid = Grid("knn", ks=(2, 3), contamination=0.3)
    outcome = curate_store(grid, "filter", store, [store.layers[0]], labels, rows)
    first, second = outcome.results
    assert first["removed"] == second["removed"] == round(0.3 * len(store))
    assert first["overlap"]["1"] == second["overlap"]["0"]
    assert 0 <= first["precision"] <= 1


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


def test_rows_of_a_label_file(store: ActivationStore, tmp_path: Path) -> None:
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


def test_a_row_that_the_store_lacks(store: ActivationStore) -> None:
    labels = LabelTable([*store.ids.tolist(), "stranger"], np.full(len(store) + 1, 0.4))
    rows = ProbedRows("train", labels.ids, {}, None, None)
    with pytest.raises(IdMismatch, match="stranger"):
        predict_store(Grid("knn", ks=(2,)), store, store.layers, labels, rows)
