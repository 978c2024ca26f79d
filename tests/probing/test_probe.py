from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.probing.cases import (
    FOLDS,
    GROUPS,
    IDS,
    IN_SAMPLE,
    LAYER,
    LOO,
    SINGLE,
    SOFT,
    TRAIN,
    TRUTH,
    X,
    column,
    labels,
    rows,
    single,
)
from w2sprobe.cache import ActivationStore
from w2sprobe.curation import (
    relabel,
)
from w2sprobe.errors import IdMismatch, InputError
from w2sprobe.folds import folds_of
from w2sprobe.labels import LabelTable
from w2sprobe.metrics import auc_inside_folds, roc_auc
from w2sprobe.probes import (
    L2S,
    LogisticProbe,
    nearest_neighbors,
)
from w2sprobe.probing.probe import predict_store
from w2sprobe.probing.rows import ProbedRows
from w2sprobe.votes.provenance import COLUMNS

A, Q, Y = X[LAYER][:TRAIN], X[LAYER][TRAIN:], SOFT[:TRAIN]


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("groups", [None, GROUPS], ids=["rows", "groups"])
@pytest.mark.parametrize(("held_out", "cv"), [(LOO, None), (FOLDS, 3)])
def test_predictions_are_those_of_the_single_probe(
    store: ActivationStore, name: str, groups: np.ndarray | None, held_out: Any, cv: int | None
) -> None:
    probe, values = SINGLE[name]
    asked = single(name, *values, held_out=held_out, cv=cv or 5)
    output = predict_store(store, asked, rows(groups=groups), labels())
    assert output.table.schema == COLUMNS
    assert output.table["id"].to_pylist() == IDS.tolist()
    p = relabel(probe, A, Y, cv=cv, groups=groups)
    assert_allclose(column(output, IDS[:TRAIN]), p, atol=1e-6)
    assert_allclose(column(output, IDS[TRAIN:]), probe.fit(A, Y).predict_proba(Q)[:, 1], atol=1e-6)
    (result,) = output.results
    by_folds = not (name == "knn" and held_out == LOO)
    inside = folds_of(TRAIN, asked.cv, groups) if by_folds else None
    for kind, hard in (("truth", TRUTH), ("labels", SOFT > 0.5)):
        expected = auc_inside_folds(
            hard[:TRAIN].astype(int), column(output, IDS[:TRAIN]), inside
        ).auc
        assert result["auc"]["strong_train"][kind] == pytest.approx(expected, abs=1e-12)
        expected = roc_auc(hard[TRAIN:].astype(int), column(output, IDS[TRAIN:]))
        assert result["auc"]["test"][kind] == pytest.approx(expected, abs=1e-12)
    assert ("n_folds" in result) == by_folds, "rows left out alone are ranked together"


def test_every_layer_and_setting_is_there(store: ActivationStore) -> None:
    output = predict_store(store, single("knn", 2, 1, layers="0,5"), rows(), labels())
    assert output.table.num_rows == 2 * 2 * len(IDS)
    assert [(one["layer"], one["k"]) for one in output.results] == [(0, 2), (0, 1), (5, 2), (5, 1)]


def test_rows_that_a_filter_removed_are_predicted_and_not_fitted_on(
    store: ActivationStore,
) -> None:
    keep = np.ones(len(IDS), dtype=bool)
    keep[1] = False
    asked = replace(rows(groups=None), other={})
    output = predict_store(store, single("logistic", 0.1, cv=2), asked, labels(keep=keep))
    kept = keep[:TRAIN]
    expected = LogisticProbe(0.1).fit(A[kept], Y[kept]).predict_proba(A[1:2])[0, 1]
    folds = folds_of(TRAIN - 1, 2)
    p = LogisticProbe(0.1).cross_fit(A[kept], Y[kept], 2)
    (result,) = output.results
    assert set(result["auc"]) == {"strong_train", "filtered out"}
    expected_auc = auc_inside_folds(TRUTH[:TRAIN][kept], p, folds).auc
    assert result["auc"]["strong_train"]["truth"] == pytest.approx(expected_auc, abs=7e-3)
    assert result["n_folds"] == {"labels": 2, "truth": 2}
    (row,) = (r for r in output.table.to_pylist() if r["id"] == IDS[1])
    assert row["soft_label"] == pytest.approx(expected, abs=1e-6)
    assert (row["fold"], row["reason"]) == (None, "predicted")


@pytest.mark.parametrize("held_out", [LOO, FOLDS])
def test_a_penalty_may_be_chosen_by_the_labels(store: ActivationStore, held_out: Any) -> None:
    asked = single("logistic", held_out=held_out)
    output = predict_store(store, asked, rows(), labels(), best=True)
    (result,) = output.results
    chosen = LogisticProbe("auto").fit(A, Y, GROUPS).l2_
    assert result["l2"] == chosen
    assert result["at_edge"] == (chosen in (min(L2S), max(L2S)))
    p = LogisticProbe(chosen).cross_fit(A, Y, 5, GROUPS)
    assert_allclose(column(output, IDS[:TRAIN]), p, atol=1e-6)


def test_cross_fitted_rows_have_no_neighbors(store: ActivationStore) -> None:
    output = predict_store(store, single("knn", 5, held_out=FOLDS), rows(), labels())
    assert output.table["neighbor_ids"].null_count == len(IDS)


def test_every_k_comes_from_one_search(store: ActivationStore) -> None:
    asked = []

    def search(*arguments: Any, **options: Any) -> Any:
        asked.append((options["k"], len(arguments) > 1 and arguments[1] is not None))
        return nearest_neighbors(*arguments, **options)

    output = predict_store(store, single("knn", 1, 5, 20), rows(), labels(), search=search)
    assert asked == [(20, False), (20, True)]
    assert {recall for _, recall in output.searches} == {1}


@pytest.mark.parametrize(
    ("probe", "values", "held_out", "message"),
    [
        ("logistic", (1e-2,), IN_SAMPLE, "in-sample predictions. Allowed"),
        ("knn", (TRAIN,), LOO, rf"k is {TRAIN}\. Allowed: 1 to {TRAIN - 2}"),
    ],
)
def test_bad_input(
    store: ActivationStore, probe: str, values: tuple, held_out: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        predict_store(store, single(probe, *values, held_out=held_out), rows(), labels())


def test_a_row_that_the_store_lacks(store: ActivationStore) -> None:
    strange = LabelTable([*IDS.tolist(), "stranger"], np.append(SOFT, 0.4))
    with pytest.raises(IdMismatch, match="stranger"):
        predict_store(store, single("knn", 2), ProbedRows("train", strange.ids, {}), strange)
