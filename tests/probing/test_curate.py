from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose, assert_array_equal

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
    filter_by_confident_learning,
    filter_by_disagreement,
    filter_by_neighbors,
    relabel,
)
from w2sprobe.errors import InputError, UnknownName
from w2sprobe.folds import folds_of
from w2sprobe.labels import LabelTable
from w2sprobe.metrics import auc_inside_folds
from w2sprobe.probes import (
    KNNProbe,
    LogisticProbe,
    MassMeanProbe,
    TopoFilter,
    knn_cross_fit,
    knn_path,
)
from w2sprobe.probing.curate import Curation, curate_store
from w2sprobe.votes.curated import filter_at_random

A, Q, Y = X[LAYER][:TRAIN], X[LAYER][TRAIN:], SOFT[:TRAIN]


@pytest.mark.parametrize("held_out", [LOO, FOLDS])
def test_a_penalty_may_be_chosen_by_the_labels(store: ActivationStore, held_out: Any) -> None:
    asked = single("logistic", held_out=held_out)
    output = curate_store(store, asked, rows(), labels(), Curation("relabel"), best=True)
    chosen = LogisticProbe("auto").fit(A, Y, GROUPS).l2_
    assert output.results[0]["l2"] == chosen
    p = LogisticProbe(chosen).cross_fit(A, Y, 5, GROUPS)
    assert_allclose(column(output, IDS[:TRAIN]), p, atol=1e-6)


def test_a_penalty_is_chosen_held_out_for_in_sample_labels(store: ActivationStore) -> None:
    asked = single("logistic", held_out=IN_SAMPLE)
    output = curate_store(store, asked, rows(), labels(), Curation("relabel"), best=True)
    probe = LogisticProbe("auto").fit(A, Y, GROUPS)
    assert output.results[0]["l2"] == probe.l2_
    assert_allclose(column(output, IDS[:TRAIN]), probe.predict_proba(A)[:, 1], atol=1e-6)
    assert output.table["fold"].null_count == len(output.table)


def test_a_k_is_chosen_held_out_for_in_sample_labels(store: ActivationStore) -> None:
    asked = single("knn", 5, 10, held_out=IN_SAMPLE)
    output = curate_store(store, asked, rows(), labels(), Curation("relabel"), best=True)
    held_out = knn_cross_fit(A, Y, ks=(5, 10), groups=GROUPS)
    losses = -(Y * np.log(held_out) + (1 - Y) * np.log1p(-held_out)).mean(axis=1)
    k = (5, 10)[losses.argmin()]
    assert output.results[0]["k"] == k
    expected = knn_path(A, Y, ks=(k,), include_self=True)[0]
    assert_allclose(column(output, IDS[:TRAIN]), expected, atol=1e-12)


def test_a_k_that_no_fold_has_rows_for_is_refused(store: ActivationStore) -> None:
    asked = single("knn", TRAIN, held_out=IN_SAMPLE)
    curate_store(store, asked, rows(), labels(), Curation("relabel"))
    with pytest.raises(InputError, match="Allowed: 1 to 40, the rows outside the largest of 5"):
        curate_store(store, asked, rows(), labels(), Curation("relabel"), best=True)


def test_rows_name_the_neighbors_that_predicted_them(store: ActivationStore) -> None:
    asked = single("knn", 5, 3, preprocess="standardize")
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
        store, single(name, *values), asked, labels(), Curation("filter", **options)
    )
    assert_array_equal(column(output, IDS[:TRAIN], "keep"), expected())
    assert_array_equal(column(output, IDS), SOFT)
    (result,) = output.results
    assert result["removed"] == (~expected()).sum()
    assert set(output.table["probe"].to_pylist()) == {
        "random" if options.get("rule") == "random" else name
    }


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("held_out", [LOO, IN_SAMPLE])
def test_relabelling_is_that_of_the_single_probe(
    store: ActivationStore, name: str, held_out: Any
) -> None:
    probe, values = SINGLE[name]
    asked = single(name, *values, held_out=held_out)
    output = curate_store(store, asked, rows(groups=None), labels(), Curation("relabel"))
    cv: Any = "in-sample" if held_out == IN_SAMPLE else None
    p = relabel(probe, A, Y, cv=cv)
    assert_allclose(column(output, IDS[:TRAIN]), p, atol=1e-6)
    (result,) = output.results
    assert result["flipped"] == ((p > 0.5) != (Y > 0.5)).sum()
    by_folds = held_out == LOO and name != "knn"
    inside = folds_of(TRAIN, 5) if by_folds else None
    before = auc_inside_folds(TRUTH[:TRAIN], Y, inside).auc
    assert result["auc_before"] == {"truth": pytest.approx(before)}


def test_rows_that_are_not_curated_pass_through(store: ActivationStore, tmp_path: Path) -> None:
    keep = np.arange(len(IDS)) % 5 > 0
    output = curate_store(store, single("knn", 2), rows(), labels(keep=keep), Curation("relabel"))
    pq.write_table(output.table, tmp_path / "new.parquet")
    new = LabelTable.read(tmp_path / "new.parquet").align(IDS)
    assert_array_equal(new.soft_label[TRAIN:], SOFT[TRAIN:])
    assert_array_equal(new.keep, keep)  # rows that were filtered out count, and stay so
    expected = relabel(KNNProbe(2), A, Y, groups=GROUPS)
    assert_allclose(new.soft_label[:TRAIN], expected, atol=1e-12)


def test_filters_are_scored_and_compared(store: ActivationStore) -> None:
    asked = single("knn", 2, 3)
    output = curate_store(store, asked, rows(), labels(), Curation("filter", contamination=0.3))
    first, second = output.results
    assert first["removed"] == second["removed"] == round(0.3 * TRAIN)
    assert first["overlap"]["1"] == second["overlap"]["0"]
    assert 0 <= first["precision"] <= 1


@pytest.mark.parametrize(
    ("probe", "values", "curation", "message"),
    [
        (
            "logistic",
            (1e-2,),
            Curation("filter", "deep-knn"),
            "deep-knn with logistic. Allowed: knn",
        ),
        ("topofilter", (9,), Curation("relabel"), "topofilter cannot relabel"),
        ("topofilter", (9,), Curation("filter", contamination=None), "auto with topofilter"),
        ("topofilter", (9,), Curation("filter", contamination=2.0), "contamination is 2"),
        ("knn", (9,), Curation("filter", contamination=None), "contamination is None"),
        ("knn", (9,), Curation("filter", "random", contamination=2), "contamination is 2"),
    ],
)
def test_bad_input(
    store: ActivationStore, probe: str, values: tuple, curation: Curation, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        curate_store(store, single(probe, *values), rows(), labels(), curation)


@pytest.mark.parametrize(
    ("curation", "message"),
    [
        (Curation("relable"), "unknown action 'relable'.*Did you mean 'relabel'"),  # type: ignore[arg-type]
        (Curation("filter", "disagreemnt"), "unknown rule 'disagreemnt'.*mean 'disagreement'"),
    ],
)
def test_unknown_names_are_refused_before_any_fit(
    store: ActivationStore, curation: Curation, message: str
) -> None:
    def search(*_: Any, **__: Any) -> Any:
        raise AssertionError("searched")

    with pytest.raises(UnknownName, match=message):
        curate_store(store, single("knn", 9), rows(), labels(), curation, search=search)
