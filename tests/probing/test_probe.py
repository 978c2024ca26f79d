from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests.probing.cases import GROUPS, IDS, SOFT, TRAIN, TRUTH, X, labels, rows, store_in
from w2sprobe.cache import ActivationStore
from w2sprobe.curation import (
    filter_by_confident_learning,
    filter_by_disagreement,
    filter_by_neighbors,
    relabel,
)
from w2sprobe.errors import IdMismatch, InputError
from w2sprobe.folds import folds_of
from w2sprobe.labels import LabelTable
from w2sprobe.metrics import auc_inside_folds, roc_auc
from w2sprobe.probes import (
    L2S,
    KNNProbe,
    LogisticProbe,
    MassMeanProbe,
    TopoFilter,
    nearest_neighbors,
)
from w2sprobe.probing.probe import Curation, ProbeOutput, curate_store, predict_store
from w2sprobe.probing.rows import ProbedRows
from w2sprobe.probing.spec import VoteSpec
from w2sprobe.votes.curated import filter_at_random
from w2sprobe.votes.provenance import COLUMNS

LAYER = 2
A, Q, Y = X[LAYER][:TRAIN], X[LAYER][TRAIN:], SOFT[:TRAIN]
ALONE, FOLDS, IN_SAMPLE = ("leave_one_out",), ("train",), ("in_sample",)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ActivationStore:
    return store_in(tmp_path_factory.mktemp("outputs") / "store")


def spec(probe: str, *values: float, **changes: Any) -> VoteSpec:
    given = {"layers": str(LAYER), "probes": {probe: values}, "held_out": ALONE}
    return VoteSpec(**{**given, **changes})


def of(output: ProbeOutput, ids: np.ndarray, column: str = "soft_label") -> np.ndarray:
    """One column of the output of one layer and setting, for some rows."""
    found = dict(zip(output.table["id"].to_pylist(), output.table[column].to_pylist(), strict=True))
    return np.array([found[name] for name in ids.tolist()])


PROBES = {
    "knn": (KNNProbe(7), (7,)),
    "logistic": (LogisticProbe(), (1e-2,)),
    "mass-mean": (MassMeanProbe(), ()),
}


@pytest.mark.parametrize("name", PROBES)
@pytest.mark.parametrize("groups", [None, GROUPS], ids=["rows", "groups"])
@pytest.mark.parametrize(("held_out", "cv"), [(ALONE, None), (FOLDS, 3)])
def test_predictions_are_those_of_the_single_probe(
    store: ActivationStore, name: str, groups: np.ndarray | None, held_out: Any, cv: int | None
) -> None:
    probe, values = PROBES[name]
    asked = spec(name, *values, held_out=held_out, cv=cv or 5)
    output = predict_store(store, asked, rows(groups=groups), labels())
    assert output.table.schema == COLUMNS
    assert output.table["id"].to_pylist() == IDS.tolist()
    p = relabel(probe, A, Y, cv=cv, groups=groups)
    assert_allclose(of(output, IDS[:TRAIN]), p, atol=1e-6)
    assert_allclose(of(output, IDS[TRAIN:]), probe.fit(A, Y).predict_proba(Q)[:, 1], atol=1e-6)
    (result,) = output.results
    by_folds = not (name == "knn" and held_out == ALONE)
    inside = folds_of(TRAIN, asked.cv, groups) if by_folds else None
    for kind, hard in (("truth", TRUTH), ("labels", SOFT > 0.5)):
        expected = auc_inside_folds(hard[:TRAIN].astype(int), of(output, IDS[:TRAIN]), inside).auc
        assert result["auc"]["strong_train"][kind] == pytest.approx(expected, abs=1e-12)
        expected = roc_auc(hard[TRAIN:].astype(int), of(output, IDS[TRAIN:]))
        assert result["auc"]["test"][kind] == pytest.approx(expected, abs=1e-12)
    assert ("n_folds" in result) == by_folds, "rows left out alone are ranked together"


def test_every_layer_and_setting_is_there(store: ActivationStore) -> None:
    output = predict_store(store, spec("knn", 2, 1, layers="0,5"), rows(), labels())
    assert output.table.num_rows == 2 * 2 * len(IDS)
    assert [(one["layer"], one["k"]) for one in output.results] == [(0, 2), (0, 1), (5, 2), (5, 1)]


def test_rows_that_a_filter_removed_are_predicted_and_not_learnt_from(
    store: ActivationStore,
) -> None:
    keep = np.ones(len(IDS), dtype=bool)
    keep[1] = False
    asked = replace(rows(groups=None), other={})
    output = predict_store(store, spec("logistic", 0.1, cv=2), asked, labels(keep=keep))
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


@pytest.mark.parametrize("action", ["predict", "relabel"])
@pytest.mark.parametrize("held_out", [ALONE, FOLDS])
def test_a_penalty_may_be_chosen_by_the_labels(
    store: ActivationStore, action: str, held_out: Any
) -> None:
    asked = spec("logistic", held_out=held_out)
    if action == "predict":
        output = predict_store(store, asked, rows(), labels(), best=True)
    else:
        output = curate_store(store, asked, rows(), labels(), Curation("relabel"), best=True)
    (result,) = output.results
    chosen = LogisticProbe("auto").fit(A, Y, GROUPS).l2_
    assert result["l2"] == chosen
    assert result["at_edge"] == (chosen in (min(L2S), max(L2S)))
    p = LogisticProbe(chosen).cross_fit(A, Y, 5, GROUPS)
    assert_allclose(of(output, IDS[:TRAIN]), p, atol=1e-6)


def test_a_penalty_is_chosen_held_out_for_in_sample_labels(store: ActivationStore) -> None:
    asked = spec("logistic", held_out=IN_SAMPLE)
    output = curate_store(store, asked, rows(), labels(), Curation("relabel"), best=True)
    probe = LogisticProbe("auto").fit(A, Y, GROUPS)
    assert output.results[0]["l2"] == probe.l2_
    assert_allclose(of(output, IDS[:TRAIN]), probe.predict_proba(A)[:, 1], atol=1e-6)
    assert output.table["fold"].null_count == len(output.table)


def test_the_neighbors_of_a_row_are_told(store: ActivationStore) -> None:
    asked = spec("knn", 5, 3, preprocess="standardize")
    output = curate_store(store, asked, rows(), labels(), Curation("relabel"))
    assert len(output.table) == 2 * len(IDS)
    soft = dict(zip(IDS.tolist(), SOFT.tolist(), strict=True))
    group = dict(zip(IDS.tolist(), GROUPS.tolist(), strict=False))
    for row in output.table.to_pylist():
        if row["reason"] == "not curated":
            assert row["neighbor_ids"] is None
            continue
        assert len(row["neighbor_ids"]) == row["value"]
        assert row["p"] == pytest.approx(np.mean([soft[name] for name in row["neighbor_ids"]]))
        assert group[row["id"]] not in [group[name] for name in row["neighbor_ids"]]
    by_folds = predict_store(store, spec("knn", 5, held_out=FOLDS), rows(), labels())
    assert by_folds.table["neighbor_ids"].null_count == len(IDS)


@pytest.mark.parametrize(
    ("name", "values", "options", "expected"),
    [
        ("knn", (9,), {}, lambda: filter_by_disagreement(KNNProbe(9), A, Y)),
        ("logistic", (1e-2,), {}, lambda: filter_by_disagreement(LogisticProbe(), A, Y)),
        (
            "mass-mean",
            (),
            {"per_class": True},
            lambda: filter_by_disagreement(MassMeanProbe(), A, Y, per_class=True),
        ),
        (
            "knn",
            (9,),
            {"rule": "deep-knn", "contamination": None},
            lambda: filter_by_neighbors(A, Y, n_neighbors=9),
        ),
        (
            "logistic",
            (1e-2,),
            {"rule": "confident-learning", "contamination": 0.2},
            lambda: filter_by_confident_learning(LogisticProbe(), A, Y, contamination=0.2),
        ),
        ("knn", (9,), {"rule": "random"}, lambda: filter_at_random(TRAIN, TRAIN // 10)),
        ("topofilter", (9,), {}, lambda: TopoFilter(9, 9).fit(A, Y).keep_mask_),
        (
            "topofilter",
            (9,),
            {"per_class": True, "contamination": 0.2},
            lambda: TopoFilter(9, 9, 0.2, per_class=True).fit(A, Y).keep_mask_,
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:TopoFilter's component step")
def test_filters_are_those_of_the_single_probe(
    store: ActivationStore, name: str, values: tuple, options: dict, expected: Any
) -> None:
    asked = rows(groups=None)
    output = curate_store(
        store, spec(name, *values), asked, labels(), Curation("filter", **options)
    )
    assert_array_equal(of(output, IDS[:TRAIN], "keep"), expected())
    assert_array_equal(of(output, IDS), SOFT)
    (result,) = output.results
    assert result["removed"] == (~expected()).sum()
    assert set(output.table["probe"].to_pylist()) == {
        "random" if options.get("rule") == "random" else name
    }


@pytest.mark.parametrize("name", PROBES)
@pytest.mark.parametrize("held_out", [ALONE, IN_SAMPLE])
def test_relabelling_is_that_of_the_single_probe(
    store: ActivationStore, name: str, held_out: Any
) -> None:
    probe, values = PROBES[name]
    asked = spec(name, *values, held_out=held_out)
    output = curate_store(store, asked, rows(groups=None), labels(), Curation("relabel"))
    cv: Any = "in-sample" if held_out == IN_SAMPLE else None
    p = relabel(probe, A, Y, cv=cv)
    assert_allclose(of(output, IDS[:TRAIN]), p, atol=1e-6)
    (result,) = output.results
    assert result["flipped"] == ((p > 0.5) != (Y > 0.5)).sum()
    by_folds = held_out == ALONE and name != "knn"
    inside = folds_of(TRAIN, 5) if by_folds else None
    before = auc_inside_folds(TRUTH[:TRAIN], Y, inside).auc
    assert result["auc_before"] == {"truth": pytest.approx(before)}


def test_rows_that_are_not_curated_pass_through(store: ActivationStore, tmp_path: Path) -> None:
    keep = np.arange(len(IDS)) % 5 > 0
    output = curate_store(store, spec("knn", 2), rows(), labels(keep=keep), Curation("relabel"))
    pq.write_table(output.table, tmp_path / "new.parquet")
    new = LabelTable.read(tmp_path / "new.parquet").align(IDS)
    assert_array_equal(new.soft_label[TRAIN:], SOFT[TRAIN:])
    assert_array_equal(new.keep, keep)  # rows that were filtered out count, and stay so
    expected = relabel(KNNProbe(2), A, Y, groups=GROUPS)
    assert_allclose(new.soft_label[:TRAIN], expected, atol=1e-12)


def test_filters_are_scored_and_compared(store: ActivationStore) -> None:
    asked = spec("knn", 2, 3)
    output = curate_store(store, asked, rows(), labels(), Curation("filter", contamination=0.3))
    first, second = output.results
    assert first["removed"] == second["removed"] == round(0.3 * TRAIN)
    assert first["overlap"]["1"] == second["overlap"]["0"]
    assert 0 <= first["precision"] <= 1


def test_every_k_comes_from_one_search(store: ActivationStore) -> None:
    asked = []

    def search(*arguments: Any, **options: Any) -> Any:
        asked.append((options["k"], len(arguments) > 1 and arguments[1] is not None))
        return nearest_neighbors(*arguments, **options)

    output = predict_store(store, spec("knn", 1, 5, 20), rows(), labels(), search=search)
    assert asked == [(20, False), (20, True)]
    assert {recall for _, recall in output.searches} == {1}


BAD: list[tuple[str, tuple, str, dict, str]] = [
    ("logistic", (1e-2,), "predict", {"held_out": IN_SAMPLE}, "in-sample predictions. Allowed"),
    ("logistic", (1e-2,), "filter", {"rule": "deep-knn"}, "deep-knn with logistic. Allowed: knn"),
    ("topofilter", (9,), "relabel", {}, "topofilter cannot relabel"),
    ("topofilter", (9,), "filter", {"contamination": None}, "auto with topofilter"),
    ("topofilter", (9,), "filter", {"contamination": 2.0}, "contamination is 2"),
    ("knn", (9,), "filter", {"contamination": None}, "contamination is None"),
    ("knn", (9,), "filter", {"rule": "random", "contamination": 2}, "contamination is 2"),
    ("knn", (TRAIN,), "predict", {}, f"k is {TRAIN}. Allowed: 1 to {TRAIN - 2}"),
]


@pytest.mark.parametrize(("probe", "values", "action", "options", "part"), BAD)
def test_what_is_refused(
    store: ActivationStore, probe: str, values: tuple, action: Any, options: dict, part: str
) -> None:
    held_out = options.get("held_out", ALONE)
    others = {name: value for name, value in options.items() if name != "held_out"}
    asked = spec(probe, *values, held_out=held_out)

    def go() -> None:
        if action == "predict":
            predict_store(store, asked, rows(), labels())
        else:
            curate_store(store, asked, rows(), labels(), Curation(action, **others))

    with pytest.raises(InputError) as error:
        go()
    assert part in str(error.value)


def test_a_row_that_the_store_lacks(store: ActivationStore) -> None:
    strange = LabelTable([*IDS.tolist(), "stranger"], np.append(SOFT, 0.4))
    with pytest.raises(IdMismatch, match="stranger"):
        predict_store(store, spec("knn", 2), ProbedRows("train", strange.ids, {}), strange)
