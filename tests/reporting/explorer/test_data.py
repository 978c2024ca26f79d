"""AUCs of an explorer: within folds for fitted rows, over all rows elsewhere."""

from dataclasses import replace

import numpy as np
import pytest

from w2sprobe.labels import LabelTable
from w2sprobe.metrics import roc_auc
from w2sprobe.reporting.explorer import ExplorerData, LayerView

N, KS = 24, (1, 3)
rng = np.random.default_rng(0)
IDS = np.array([f"row-{number}" for number in range(N)])
TRUTH = np.arange(N) % 2
FOLDS = np.array([0] * 8 + [1] * 8 + [-1] * 8)  # the last third is test rows
SPLITS = np.array(["strong_train"] * 16 + ["test"] * 8)
WEAK = rng.random(N)


def view(layer: int) -> LayerView:
    votes = rng.random((len(KS), N))
    return LayerView(
        layer,
        rng.random((N, 2)).astype(np.float32),
        (0.5, 0.2),
        np.zeros((N, KS[-1]), dtype=np.int64),
        rng.random((len(KS), N)),
        votes,
        rng.random(N),
    )


DATA = ExplorerData(
    LabelTable(IDS.tolist(), WEAK),
    IDS,
    None,
    SPLITS,
    TRUTH,
    FOLDS,
    KS,
    0.1,
    "pca",
    (view(4), view(8)),
)


def test_fitted_rows_are_scored_within_folds_and_others_together() -> None:
    aucs = DATA.aucs()
    assert list(aucs) == DATA.split_names == ["strong_train", "test"]
    assert aucs["strong_train"]["folds"] == [2, 2]
    assert aucs["test"]["folds"] is None
    test = slice(16, N)
    for number, layer in enumerate(DATA.layers):
        expected = [roc_auc(TRUTH[:8], layer.logistic[:8])]
        expected.append(roc_auc(TRUTH[8:16], layer.logistic[8:16]))
        assert aucs["strong_train"]["logistic"][number] == pytest.approx(np.mean(expected))
        knn = [roc_auc(TRUTH[test], votes[test]) for votes in layer.fold_votes]
        assert aucs["test"]["knn"][number] == pytest.approx(knn)
    assert aucs["test"]["weak"] == pytest.approx(roc_auc(TRUTH[test], WEAK[test]))


def test_rows_without_truth_or_of_one_class_have_no_auc() -> None:
    assert replace(DATA, truth=None).aucs() == {}
    one_class = np.where(SPLITS == "test", 1, TRUTH)
    assert list(replace(DATA, truth=one_class).aucs()) == ["strong_train"]


def test_folds_of_one_class_are_counted_and_left_out() -> None:
    truth = np.where(FOLDS == 0, 1, TRUTH)
    aucs = replace(DATA, truth=truth).aucs()["strong_train"]
    assert aucs["folds"] == [1, 2]
    assert aucs["weak"] == pytest.approx(roc_auc(TRUTH[8:16], WEAK[8:16]))
