from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests.cache.cases import write, writer
from tests.probing.cases import (
    CV,
    GROUPS,
    IDS,
    KS,
    L2S,
    LAYER,
    LAYERS,
    LOO,
    SOFT,
    TRAIN,
    TRUTH,
    WIDTH,
    X,
    labels,
    rows,
    spec,
)
from w2sprobe.cache import ActivationStore
from w2sprobe.errors import IdMismatch, InputError
from w2sprobe.folds import folds_of
from w2sprobe.labels import LabelTable
from w2sprobe.probes import (
    KNNProbe,
    LogisticProbe,
    MassMeanProbe,
    TopoFilter,
    knn_cross_fit,
    knn_path,
    nearest_neighbors,
)
from w2sprobe.probing import fitting
from w2sprobe.probing.fitting import (
    ProbeInputs,
    predict_layer,
    predict_layer_with_neighbors,
    predict_layers,
)
from w2sprobe.votes.table import (
    COMPONENT,
    FILTERED_OUT,
    IN_SAMPLE,
    LEAVE_ONE_OUT,
    FittedProbe,
    LayerVotes,
    Votes,
)
from w2sprobe.votes.table import TRAIN as SPLIT

EVERY = {
    "probes": {"knn": KS, "logistic": L2S, "mass-mean": (), "topofilter": (9,)},
    "held_out": ("train", "leave_one_out", "in_sample"),
    "ks": (),
    "l2s": (),
}
SOLVED = 1e-5  # gradients are below 1e-6, penalties 1e-2 and above
ON_TRUTH = LabelTable(IDS, TRUTH)
A, Q = X[2][:TRAIN], X[2][TRAIN:]


def predict_one(
    store: ActivationStore, tables: Mapping[str, LabelTable], asked: Any = None, **changes: Any
) -> LayerVotes:
    """Predictions of layer 2."""
    return predict_layer(ProbeInputs.of(store, spec(**changes), asked or rows(), tables), 2)


@pytest.mark.parametrize("preprocess", ["none", "standardize"])
@pytest.mark.parametrize("groups", [None, GROUPS], ids=["rows", "groups"])
@pytest.mark.filterwarnings("ignore:TopoFilter's component step")
def test_predictions_are_those_of_single_fits(
    store: ActivationStore, preprocess: Any, groups: np.ndarray | None
) -> None:
    tables = {"weak": labels(), "truth": ON_TRUTH}
    found = predict_one(store, tables, rows(groups=groups), preprocess=preprocess, **EVERY)
    assert_array_equal(found.fold, folds_of(TRAIN, CV, groups))
    for split in (SPLIT, LEAVE_ONE_OUT, IN_SAMPLE):
        assert_array_equal(found.rows[split], IDS[:TRAIN])
    assert_array_equal(found.rows["test"], IDS[TRAIN:])
    for name, soft in (("weak", SOFT[:TRAIN]), ("truth", TRUTH[:TRAIN])):
        options: dict[str, Any] = {"ks": KS, "preprocess": preprocess}
        out = knn_cross_fit(A, soft, cv=CV, groups=groups, **options)
        alone = knn_path(A, soft, groups=groups, **options)
        inside, test = knn_path(A, soft, A, **options), knn_path(A, soft, Q, **options)
        for number, k in enumerate(KS):
            one = FittedProbe("knn", "k", k, name)
            assert_array_equal(found.of(one, SPLIT), out[number])
            assert_array_equal(found.of(one, LEAVE_ONE_OUT), alone[number])
            assert_array_equal(found.of(one, IN_SAMPLE), inside[number])
            assert_array_equal(found.of(one, "test"), test[number])
        linear: list[tuple[FittedProbe, Any]] = [
            (FittedProbe("logistic", "l2", l2, name), LogisticProbe(l2, preprocess)) for l2 in L2S
        ]
        linear.append(
            (FittedProbe("mass-mean", None, None, name), MassMeanProbe(preprocess=preprocess))
        )
        for one, probe in linear:
            held_out = np.empty(TRAIN)
            for fold in range(CV):
                mask = found.fold == fold
                held_out[mask] = probe.fit(A[~mask], soft[~mask]).predict_proba(A[mask])[:, 1]
            assert_allclose(found.of(one, SPLIT), held_out, atol=SOLVED)
            fitted = probe.fit(A, soft)
            assert_allclose(found.of(one, "test"), fitted.predict_proba(Q)[:, 1], atol=SOLVED)
            assert_allclose(found.of(one, IN_SAMPLE), fitted.predict_proba(A)[:, 1], atol=SOLVED)
        probe = TopoFilter(9, 9, preprocess=preprocess).fit(A, soft, groups)
        kept = FittedProbe("topofilter", "k", 9, name)
        assert_array_equal(found.of(kept, LEAVE_ONE_OUT), probe.keep_mask_)
        component = found.of(kept._replace(probe=COMPONENT), LEAVE_ONE_OUT)
        assert_array_equal(component, probe.component_mask_)


@pytest.mark.filterwarnings("ignore:TopoFilter's component step")
def test_leave_one_out_neighbors_are_those_of_knn(store: ActivationStore) -> None:
    """Although TopoFilter, which is fitted after kNN, searches the training rows again."""
    asked = spec(probes={"knn": (4, 9), "topofilter": (5,)}, ks=(), l2s=(), held_out=LOO)
    task = ProbeInputs.of(store, asked, rows(), {"weak": labels()})
    _, neighbors = predict_layer_with_neighbors(task, LAYER)
    expected = nearest_neighbors(A, k=9, exclude_self=True, groups=GROUPS)
    assert neighbors is not None
    assert_array_equal(neighbors, expected.indices)
    by_folds = ProbeInputs.of(store, spec(), rows(), {"weak": labels()})
    assert predict_layer_with_neighbors(by_folds, LAYER)[1] is None


def test_with_leave_one_out_other_probes_are_cross_fitted(store: ActivationStore) -> None:
    found = predict_one(store, {"weak": labels()}, held_out=("leave_one_out",))
    splits = {(one.probe, split) for one, split in found.p}
    assert splits == {
        ("knn", LEAVE_ONE_OUT),
        ("knn", "test"),
        ("logistic", SPLIT),
        ("logistic", "test"),
    }
    alone = predict_one(store, {"weak": labels()}, l2s=(), held_out=("leave_one_out",), cv=TRAIN)
    assert not len(alone.fold), "nothing needs folds"


def test_several_label_vectors_are_fitted_as_each_alone(store: ActivationStore) -> None:
    hard = LabelTable(IDS, SOFT > 0.5)
    tables = {"weak": labels(), "truth": ON_TRUTH, "hard": hard}
    together = predict_one(store, tables)
    for name, table in tables.items():
        alone = predict_one(store, {name: table})
        assert set(alone.p) == {(one, split) for one, split in together.p if one.labels == name}
        for key, p in alone.p.items():
            close = assert_array_equal if key[0].probe == "knn" else assert_allclose
            close(together.p[key], p, **({} if key[0].probe == "knn" else {"atol": SOLVED}))


def test_rows_that_one_table_filters_out_are_predicted_but_not_fitted_on(
    store: ActivationStore,
) -> None:
    keep = np.arange(len(IDS)) % 4 > 0
    tables = {"all": labels(), "some": labels(keep=keep)}
    changes = {"probes": {"knn": KS[:2], "logistic": L2S, "mass-mean": ()}, "ks": (), "l2s": ()}
    found = predict_one(store, tables, rows(groups=None), **changes)
    assert FILTERED_OUT not in found.rows
    kept, soft = keep[:TRAIN], SOFT[:TRAIN]
    folds = folds_of(TRAIN, CV)
    probes: list[tuple[FittedProbe, Any]] = [
        (FittedProbe("knn", "k", KS[0], "some"), KNNProbe(KS[0])),
        (FittedProbe("logistic", "l2", L2S[0], "some"), LogisticProbe(L2S[0])),
        (FittedProbe("mass-mean", None, None, "some"), MassMeanProbe()),
    ]
    for one, probe in probes:
        test = probe.fit(A[kept], soft[kept]).predict_proba(Q)[:, 1]
        assert_allclose(found.of(one, "test"), test, atol=SOLVED)
        held_out = np.empty(TRAIN)
        for fold in range(CV):
            fit = kept & (folds != fold)
            mask = folds == fold
            held_out[mask] = probe.fit(A[fit], soft[fit]).predict_proba(A[mask])[:, 1]
        assert_allclose(found.of(one, SPLIT), held_out, atol=SOLVED)
        every = found.of(one._replace(labels="all"), "test")
        assert not np.allclose(every, test, atol=1e-3)


def test_with_every_row_predictions_do_not_depend_on_other_tables(
    store: ActivationStore, tmp_path: Path
) -> None:
    keep = np.arange(len(IDS)) % 4 > 0
    some, asked = labels(keep=keep), spec(preprocess="standardize", held_out=(SPLIT,))
    alone = predict_layers(store, asked, rows(), {"some": some}, tmp_path / "1", every_row=True)
    both = {"all": labels(), "some": some}
    beside = predict_layers(store, asked, rows(), both, tmp_path / "2", every_row=True)
    for one, other in zip(alone, beside, strict=True):
        assert_array_equal(one.rows[SPLIT], other.rows[SPLIT])
        assert_array_equal(one.fold, other.fold)
        for key, p in one.p.items():
            assert_allclose(other.p[key], p, atol=SOLVED)


def test_rows_that_all_tables_filter_out_are_a_split(store: ActivationStore) -> None:
    keep = np.ones(len(IDS), dtype=bool)
    keep[[3, 8]] = False
    found = predict_one(store, {"weak": labels(keep=keep)})
    assert found.rows[FILTERED_OUT].tolist() == ["row-3", "row-8"]
    assert found.rows[SPLIT].tolist() == IDS[:TRAIN][keep[:TRAIN]].tolist()
    fewer = replace(rows(), train=IDS[:TRAIN][keep[:TRAIN]], groups=GROUPS[keep[:TRAIN]])
    same = predict_one(store, {"weak": labels()}, fewer)
    for key, p in same.p.items():
        assert_array_equal(found.p[key], p)


def test_empty_lists_become_default_grids_and_values(store: ActivationStore) -> None:
    probes = {"knn": (), "logistic": (), "head-xent": (), "mass-mean": ()}
    inputs = ProbeInputs.of(store, spec(probes=probes, ks=(), l2s=()), rows(), {"weak": labels()})
    filled = inputs.spec.probes
    assert max(filled["knn"]) <= inputs.max_k
    assert len(filled["logistic"]) > 1
    assert filled["head-xent"] == (0.0,), "the seed that heads have by default"
    assert filled["mass-mean"] == ()


def test_a_folder_holds_what_is_predicted_in_memory(store: ActivationStore, tmp_path: Path) -> None:
    tables = {"weak": labels()}
    votes = predict_layers(store, spec(), rows(), tables, tmp_path / "v")
    assert votes.layers == LAYERS == Votes.open(tmp_path / "v").layers
    task = ProbeInputs.of(store, spec(), rows(), tables)
    for stored, made in zip(votes, [predict_layer(task, layer) for layer in LAYERS], strict=True):
        assert list(stored.p) == list(made.p)
        for key, p in made.p.items():
            assert_array_equal(stored.p[key], p)
        assert_array_equal(stored.fold, made.fold)


def test_an_interrupted_run_resumes_at_the_missing_layer(
    store: ActivationStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []

    def counted(task: ProbeInputs, layer: int, **options: Any) -> LayerVotes:
        done.append(layer)
        if done == list(LAYERS[:2]):
            raise KeyboardInterrupt
        return predict_layer(task, layer, **options)

    monkeypatch.setattr(fitting, "predict_layer", counted)
    tables = {"weak": labels()}
    with pytest.raises(KeyboardInterrupt):
        predict_layers(store, spec(), rows(), tables, tmp_path / "v")
    with pytest.raises(InputError, match="unfinished predictions"):
        Votes.open(tmp_path / "v")
    predict_layers(store, spec(), rows(), tables, tmp_path / "v")
    assert done == [LAYERS[0], LAYERS[1], LAYERS[1], LAYERS[2]]


def test_one_search_per_fold_serves_all_tables_and_settings(store: ActivationStore) -> None:
    asked: list[int] = []

    def search(*arguments: Any, **options: Any) -> Any:
        asked.append(options["k"])
        return nearest_neighbors(*arguments, **options)

    tables = {"weak": labels(), "truth": ON_TRUTH}
    task = ProbeInputs.of(store, spec(l2s=()), rows(), tables)
    predict_layer(task, 2, search=search)
    assert asked == [max(KS)] * (CV + 1)


@pytest.mark.filterwarnings("ignore:TopoFilter's component step")
def test_the_largest_k_leaves_out_the_kept_rows_of_a_group(store: ActivationStore) -> None:
    """A group counts with the rows that a vector keeps of it, as in `knn_path`."""
    groups = np.maximum(np.arange(TRAIN) - 14, 0)  # 15 rows in one group
    keep = np.isin(IDS, IDS[20:32])
    tables = {"all": labels(), "some": labels(keep=keep)}
    probes = {"knn": (11.0,), "topofilter": (5.0,)}
    asked = spec(probes=probes, held_out=LOO, ks=(), l2s=())
    inputs = ProbeInputs.of(store, asked, rows(groups=groups), tables)
    assert inputs.max_k == 11
    found = predict_layer(inputs, LAYER).of(FittedProbe("knn", "k", 11, "some"), LEAVE_ONE_OUT)
    kept = keep[:TRAIN]
    expected = knn_path(A, SOFT[:TRAIN], groups=groups, keep=kept, ks=(11,))[0]
    assert_array_equal(found, expected)
    with pytest.raises(InputError, match="Allowed: 1 to 11, the rows outside the largest group"):
        ProbeInputs.of(store, spec(held_out=LOO, ks=(12,)), rows(groups=groups), tables)


@pytest.mark.parametrize("held_out", [("train",), LOO])
def test_only_fits_that_are_made_need_rows(store: ActivationStore, held_out: Any) -> None:
    """A vector that keeps one group leaves no rows to a fit on the others; heads have none."""
    tables = {"all": labels(), "some": labels(keep=np.isin(IDS, IDS[2:4]))}
    head: dict[str, Any] = {"probes": {"head-xent": ()}, "ks": (), "l2s": (), "held_out": held_out}
    ProbeInputs.of(store, spec(**head), rows(), tables)
    for probe, message in (
        ("logistic", "no rows to fit outside one of the 4 folds in some"),
        ("knn", "k is 1. Allowed: 1 to 0"),
    ):
        with pytest.raises(InputError, match=message):
            ProbeInputs.of(store, spec(**head | {"probes": {probe: ()}}), rows(), tables)


def test_the_position_of_a_store_is_checked(store: ActivationStore) -> None:
    with pytest.raises(InputError, match="position 'mean' of a store with"):
        ProbeInputs.of(store, spec(position="mean"), rows(), {"weak": labels()})


def test_rows_of_another_store_are_predicted_as_if_they_were_in_the_same(
    store: ActivationStore, tmp_path: Path
) -> None:
    other = writer(tmp_path, ids=IDS[TRAIN:].tolist(), layers=LAYERS, hidden_size=WIDTH)
    write(other, {layer: values[TRAIN:] for layer, values in X.items()})
    tables, elsewhere = {"weak": labels()}, {"test": other.finish({})}
    same = ProbeInputs.of(store, spec(**EVERY), rows(), tables)
    apart = ProbeInputs.of(store, spec(**EVERY), rows(), tables, elsewhere=elsewhere)
    assert same.identity != apart.identity
    assert "elsewhere" not in same.identity  # folders of earlier versions stay valid
    expected, found = predict_layer(same, 2), predict_layer(apart, 2)
    assert found.p.keys() == expected.p.keys()
    for key, p in expected.p.items():
        assert_array_equal(found.p[key], p)


def test_rows_that_the_other_store_lacks_are_refused(store: ActivationStore) -> None:
    asked = replace(rows(), other={"test": np.array(["elsewhere"])})
    with pytest.raises(IdMismatch):
        ProbeInputs.of(store, spec(), asked, {"weak": labels()}, elsewhere={"test": store})
