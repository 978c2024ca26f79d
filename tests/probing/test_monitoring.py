"""Recall of a probe at few false alarms, and what a row costs."""

import numpy as np
import pytest

from tests.probing.cases import IDS, LAYER, TRAIN, TRUTH, WIDTH, column, labels, rows, single
from w2sprobe.cache import ActivationStore
from w2sprobe.metrics import recalls_at_fpr
from w2sprobe.probing.monitoring import confidence, monitoring
from w2sprobe.probing.probe import predict_store


def test_recalls_are_those_of_the_predictions_of_test_rows(store: ActivationStore) -> None:
    output = predict_store(store, single("logistic", 1.0), rows(), labels())
    expected = recalls_at_fpr(TRUTH[TRAIN:], column(output, IDS[TRAIN:]))
    (result,) = output.results
    assert [one["fpr"] for one in result["monitoring"]] == [one.fpr for one in expected]
    assert [one["recall"] for one in result["monitoring"]] == [None, None, None, expected[3].recall]
    assert result["monitoring"][3]["interval"] == expected[3].interval
    assert result["monitoring"][0] == {
        "fpr": 0.001,
        "n_zeros": int((TRUTH[TRAIN:] == 0).sum()),
        "n_needed": 1000,
        "recall": None,
        "interval": None,
    }


def test_without_truth_of_both_classes_there_is_no_recall(store: ActivationStore) -> None:
    (result,) = predict_store(store, single("logistic", 1.0), rows(None), labels()).results
    assert "monitoring" not in result
    assert monitoring(np.ones(3, dtype=int), np.ones(3), None) == []


def test_knn_compares_with_the_rows_that_it_keeps(store: ActivationStore) -> None:
    keep = np.arange(len(IDS)) != 3
    for probe, products in (("logistic", 1), ("knn", TRAIN - 1)):
        value = 1.0 if probe == "logistic" else 7
        output = predict_store(store, single(probe, value), rows(), labels(keep=keep))
        assert output.results[0]["flops"] == {"probe": 2 * WIDTH * products}
        assert output.results[0]["layer"] == LAYER


def test_confidence_in_rows_without_an_answer_is_reported_apart(store: ActivationStore) -> None:
    ids = np.array(["a", "b+no-answer", "c+no-answer+planted", "d+planted"])
    p = np.array([1.0, 0.6, 0.5, 0.1])
    assert confidence(ids, p) == {
        "rows": 2,
        "confidence": pytest.approx(0.1),
        "confidence_of_others": pytest.approx(0.9),
    }
    assert confidence(ids[:1], p[:1]) == {}
    (result,) = predict_store(store, single("logistic", 1.0), rows(), labels()).results
    assert "without_answer" not in result
