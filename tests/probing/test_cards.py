from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.probing.cases import (
    GROUPS,
    IDS,
    LAYER,
    SOFT,
    TEST,
    TRAIN,
    TRUTH,
    X,
    column,
    labels,
    rows,
    single,
)
from w2sprobe.cache import ActivationStore
from w2sprobe.errors import InputError, OutputError
from w2sprobe.metrics import auc_estimate, auc_inside_folds, rates_at, recalls_at_fpr, roc_auc
from w2sprobe.probes import LogisticProbe, load_card, load_probe
from w2sprobe.probing.cards import KeptProbe, keep_probe
from w2sprobe.probing.probe import predict_store

OPTIONS = {"name": "reviews", "device": "cpu"}


def kept(store: ActivationStore, probe: str = "logistic", value: float = 1e-2, **changes) -> tuple:
    spec = single(probe, value, held_out=changes.pop("held_out", ("leave_one_out",)))
    about = changes.pop("rows", rows())
    table = changes.pop("labels", labels())
    output = predict_store(store, spec, about, table, device="cpu")
    return output, keep_probe(store, spec, about, table, output, **OPTIONS, **changes)


def test_the_probe_is_the_one_whose_predictions_are_written(store: ActivationStore) -> None:
    output, found = kept(store, fpr=0.1)
    expected = LogisticProbe(1e-2, device="cpu").fit(X[LAYER][:TRAIN], SOFT[:TRAIN])
    np.testing.assert_array_equal(found.probe.coef_, expected.coef_)
    test = found.rows.of("test")
    assert test.ids.tolist() == IDS[TRAIN:].tolist()
    np.testing.assert_allclose(test.p, column(output, test.ids, "p"), atol=1e-6)


def test_test_rows_are_evaluated_by_the_probe_itself(store: ActivationStore) -> None:
    _, found = kept(store, fpr=0.1)
    truth, p = TRUTH[TRAIN:], found.probe.predict_proba(X[LAYER][TRAIN:])[:, 1]
    evaluation = found.card.evaluation
    assert (evaluation.on, evaluation.against) == ("test", "truth")
    assert (evaluation.n_rows, evaluation.n_ones) == (TEST, truth.sum())
    assert evaluation.auc == roc_auc(truth, p)
    assert evaluation.auc_se == auc_estimate(truth, p).se
    assert evaluation.auc_interval[0] < evaluation.auc < evaluation.auc_interval[1]
    (at,) = recalls_at_fpr(truth, p, [0.1])
    threshold = evaluation.threshold
    assert (threshold.p, threshold.recall) == (at.threshold, at.recall)
    recall, fpr = rates_at(truth, p, at.threshold)
    assert (threshold.fpr, threshold.fpr_interval) == (fpr.value, fpr.interval)
    assert threshold.recall_interval == recall.interval
    assert threshold.fpr <= threshold.chosen_at == 0.1
    assert {row.fpr for row in evaluation.recalls} <= {0.05}


def test_training_rows_are_described(store: ActivationStore) -> None:
    _, found = kept(store)
    training = found.card.training
    hard = SOFT[:TRAIN] > 0.5
    assert (training.name, training.n_rows, training.n_ones) == ("reviews", TRAIN, hard.sum())
    assert found.card.parameters == {"l2": 0.01, "preprocess": "none"}
    assert found.origin == store.origin(LAYER)
    assert found.rows.of("train").ids.tolist() == IDS[:TRAIN].tolist()
    other = labels(np.where(np.arange(len(IDS)) == 3, 1 - SOFT, SOFT))
    changed = kept(store, labels=other)[1].card.training
    assert changed.rows == training.rows
    assert changed.labels != training.labels
    keep = np.arange(len(IDS)) != 3
    fewer = kept(store, labels=labels(keep=keep))[1]
    assert fewer.card.training.n_rows == TRAIN - 1
    assert fewer.card.training.rows != training.rows
    assert "row-3" not in fewer.rows.ids


@pytest.mark.parametrize(
    ("probe", "value", "held_out", "on"),
    [
        ("logistic", 1e-2, ("train",), "cross-fit"),
        ("knn", 7, ("train",), "cross-fit"),
        ("knn", 7, ("leave_one_out",), "leave-one-out"),
    ],
)
def test_without_test_rows_held_out_predictions_are_evaluated(
    store: ActivationStore, probe: str, value: float, held_out: tuple, on: str
) -> None:
    about = replace(rows(), other={})
    output, found = kept(store, probe, value, held_out=held_out, rows=about)
    evaluation = found.card.evaluation
    assert (evaluation.on, evaluation.against, evaluation.n_rows) == (on, "truth", TRAIN)
    p = column(output, IDS[:TRAIN], "p")
    np.testing.assert_array_equal(found.rows.p, p)
    folds = None
    if on == "cross-fit":
        folds = column(output, IDS[:TRAIN], "fold")
    assert evaluation.auc == pytest.approx(auc_inside_folds(TRUTH[:TRAIN], p, folds).auc)
    assert evaluation.auc == pytest.approx(output.results[0]["auc"]["strong_train"]["truth"])
    assert set(found.rows.split) == {"train"}
    assert found.rows.groups.tolist() == GROUPS.tolist()


def test_without_truth_labels_are_the_measure(store: ActivationStore) -> None:
    _, found = kept(store, rows=rows(truth=None))
    assert (found.card.evaluation.on, found.card.evaluation.against) == ("cross-fit", "labels")
    assert found.rows.truth.tolist() == (SOFT[:TRAIN] > 0.5).tolist()


def test_groups_of_test_rows_widen_the_interval(store: ActivationStore) -> None:
    pairs = np.array([f"g{n // 8}" for n in range(TEST)])
    _, grouped = kept(store, rows=replace(rows(), test_groups=pairs))
    _, alone = kept(store)
    assert grouped.card.evaluation.auc == alone.card.evaluation.auc
    assert grouped.card.evaluation.auc_se != alone.card.evaluation.auc_se
    assert grouped.rows.of("test").groups.tolist() == pairs.tolist()
    _, one = kept(store, rows=replace(rows(), test_groups=np.full(TEST, "all")))
    assert one.card.evaluation.auc_se == alone.card.evaluation.auc_se


def test_what_is_saved_can_be_read(store: ActivationStore, tmp_path: Path) -> None:
    found: KeptProbe = kept(store, "knn", 7, fpr=0.2)[1]
    found.save(tmp_path / "probe")
    card, known = load_card(tmp_path / "probe")
    assert card == found.card
    np.testing.assert_array_equal(known.p, found.rows.p)
    again = load_probe(tmp_path / "probe", origin=store.origin(LAYER))
    expected = found.probe.predict_proba(X[LAYER])
    np.testing.assert_array_equal(again.predict_proba(X[LAYER]), expected)
    with pytest.raises(InputError, match="layer 0"):
        load_probe(tmp_path / "probe", origin=store.origin(0))
    with pytest.raises(OutputError, match="exists"):
        found.save(tmp_path / "probe")


def test_bad_input(store: ActivationStore) -> None:
    with pytest.raises(InputError, match=r"rate of 0\.01: 20 rows of class 0.*at least 100"):
        kept(store, fpr=0.01)
    several = single("logistic", 1e-2, 1.0)
    output = predict_store(store, several, rows(), labels(), device="cpu")
    with pytest.raises(InputError, match="2 layers and hyperparameter values"):
        keep_probe(store, several, rows(), labels(), output, **OPTIONS)
    with pytest.raises(InputError, match="topofilter probe cannot be saved"):
        keep_probe(store, single("topofilter", 5), rows(), labels(), output, **OPTIONS)
