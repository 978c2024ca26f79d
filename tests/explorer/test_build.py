"""The explorer's numbers are those of the probes, row by row."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from tests.explorer.cases import KS, TEXTS, explored
from tests.probing.cases import GROUPS, IDS, LAYERS, SOFT, TRAIN, TRUTH, X, labels, rows, store_in
from w2sprobe.cache import ActivationStore
from w2sprobe.errors import IdMismatch, InputError, MissingDependency, UnknownName
from w2sprobe.explorer import default_layers, explore
from w2sprobe.folds import folds_of
from w2sprobe.labels import LabelTable
from w2sprobe.metrics import auc_inside_folds, roc_auc
from w2sprobe.probes import (
    knn_cross_fit,
    knn_path,
    logistic_cross_fit,
    logistic_path,
    nearest_neighbors,
)


def test_every_layer_is_seen_as_the_probes_see_it(tmp_path: Path) -> None:
    data = explored(tmp_path / "s", l2=0.1)
    assert [view.layer for view in data.layers] == list(LAYERS)
    assert data.ids.tolist() == IDS.tolist()
    assert data.texts == [TEXTS[name] for name in IDS.tolist()]
    assert data.split_names == ["strong_train", "test"]
    np.testing.assert_array_equal(data.truth, TRUTH)
    for view in data.layers:
        own, other = X[view.layer][:TRAIN], X[view.layer][TRAIN:]
        soft = SOFT[:TRAIN]
        np.testing.assert_array_equal(
            view.votes,
            np.hstack(
                [knn_path(own, soft, ks=KS, groups=GROUPS), knn_path(own, soft, other, ks=KS)]
            ),
        )
        near = nearest_neighbors(own, k=KS[-1], exclude_self=True, groups=GROUPS)
        np.testing.assert_array_equal(view.neighbors[:TRAIN], near.indices)
        near = nearest_neighbors(own, other, k=KS[-1])
        np.testing.assert_array_equal(view.neighbors[TRAIN:], near.indices)
        (held_out,) = logistic_cross_fit(own, soft, l2s=[0.1], groups=GROUPS)
        np.testing.assert_allclose(view.logistic[:TRAIN], held_out, atol=1e-5)
        coef, intercept = logistic_path(own, soft, l2s=[0.1])
        fitted = expit(other @ coef[0] + intercept[0])
        np.testing.assert_allclose(view.logistic[TRAIN:], fitted, atol=1e-5)
        assert view.explained is not None
        assert 1 > view.explained[0] >= view.explained[1] > 0


def test_rows_are_left_out_of_their_own_votes(tmp_path: Path) -> None:
    changed = SOFT.copy()
    changed[5] = 1 - changed[5]
    before = explored(tmp_path / "a", layers=[2])
    (one,), (two,) = (
        before.layers,
        explored(tmp_path / "b", layers=[2], labels=labels(changed)).layers,
    )
    np.testing.assert_array_equal(one.votes[:, 5], two.votes[:, 5])
    assert one.logistic[5] == pytest.approx(two.logistic[5], abs=1e-6)
    assert (one.votes != two.votes).any()
    assert np.abs(one.logistic - two.logistic).max() > 1e-3


def test_rows_are_joined_by_id(tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(len(IDS))
    shuffled = LabelTable(IDS[order], SOFT[order])
    given, other = (explored(tmp_path / n, labels=t) for n, t in (("a", labels()), ("b", shuffled)))
    for one, two in zip(given.layers, other.layers, strict=True):
        np.testing.assert_array_equal(one.votes, two.votes)
        np.testing.assert_array_equal(one.points, two.points)


def test_filtered_rows_are_shown_and_never_vote(tmp_path: Path) -> None:
    keep = np.ones(len(IDS), dtype=bool)
    keep[[2, 7]] = False
    data = explored(tmp_path / "s", layers=[5], labels=labels(keep=keep), splits=[])
    (view,) = data.layers
    assert data.ids.tolist() == IDS[:TRAIN].tolist()
    assert not np.isin([2, 7], view.neighbors).any()
    own = keep[:TRAIN]
    votes = knn_path(X[5][:TRAIN][own], SOFT[:TRAIN][own], X[5][[2, 7]], ks=KS)
    np.testing.assert_array_equal(view.votes[:, [2, 7]], votes)


def test_what_is_known_of_the_truth(tmp_path: Path) -> None:
    data = explored(tmp_path / "s")
    aucs = data.aucs()
    assert set(aucs) == {"strong_train", "test"}
    own = aucs["strong_train"]
    folds = folds_of(TRAIN, 5, GROUPS)
    np.testing.assert_array_equal(data.folds, np.append(folds, np.full(len(IDS) - TRAIN, -1)))

    def inside(p: np.ndarray) -> object:
        return auc_inside_folds(TRUTH[:TRAIN], p, folds).auc

    assert own["folds"] == [5, 5]
    assert own["weak"] == inside(SOFT[:TRAIN])
    votes = knn_cross_fit(X[LAYERS[1]][:TRAIN], SOFT[:TRAIN], ks=KS, groups=GROUPS)
    assert own["knn"][1] == pytest.approx(inside(votes))
    assert own["logistic"][2] == inside(data.layers[2].logistic[:TRAIN])
    test = aucs["test"]
    assert test["folds"] is None
    assert test["weak"] == roc_auc(TRUTH[TRAIN:], SOFT[TRAIN:])
    assert test["knn"][1][2] == roc_auc(TRUTH[TRAIN:], data.layers[1].votes[2, TRAIN:])
    assert test["logistic"][2] == roc_auc(TRUTH[TRAIN:], data.layers[2].logistic[TRAIN:])
    assert replace(data, truth=np.zeros(len(IDS), dtype=np.int64)).aucs() == {}
    nothing = explored(tmp_path / "t", rows=rows(truth=None), texts=None)
    assert (nothing.truth, nothing.texts, nothing.aucs()) == (None, None, {})


def test_rows_that_the_labels_filter_out_are_not_scored(tmp_path: Path) -> None:
    keep = np.ones(len(IDS), dtype=bool)
    keep[[2, 7]] = False
    own = explored(tmp_path / "s", layers=[5], labels=labels(keep=keep)).aucs()["strong_train"]
    kept = keep[:TRAIN]
    folds = folds_of(TRAIN - 2, 5, GROUPS[kept])
    assert own["weak"] == auc_inside_folds(TRUTH[:TRAIN][kept], SOFT[:TRAIN][kept], folds).auc


def test_layers_and_ks_that_nobody_chose(tmp_path: Path) -> None:
    data = explored(tmp_path / "s", ks=None)
    assert data.ks == (1, 5, 10, 20)  # of 50 rows, 40 are outside a fold
    assert default_layers(range(13)) == (0, 2, 4, 6, 8, 10, 12)
    assert default_layers(range(9)) == (0, 1, 3, 4, 5, 7, 8)
    assert default_layers([4]) == (4,)
    assert default_layers([0, 1, 30]) == (0, 1, 30)


def test_a_layer_of_equal_rows(tmp_path: Path) -> None:
    store = store_in(tmp_path / "s")
    same = np.ones_like(X[0])
    store.read = lambda layer, positions: same[positions]  # type: ignore[method-assign]
    (view,) = explore(store, labels(), rows(), layers=[0], ks=KS).layers
    assert view.explained == (0, 0)
    assert not view.points.any()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"labels": LabelTable(IDS[1:], SOFT[1:])}, IdMismatch, "no label for ids 'row-0'"),
        ({"texts": {"row-0": "one"}}, IdMismatch, "no text for ids 'row-1'"),
        ({"rows": replace(rows(), train=np.array(["stranger"]))}, IdMismatch, "'stranger'"),
        ({"splits": ["tets"]}, UnknownName, "unknown split 'tets'"),
        ({"projection": "tsne"}, UnknownName, "unknown projection 'tsne'"),
        ({"ks": (1, 41)}, InputError, "k is 41. Allowed: 1 to 40, the rows outside the largest of"),
        ({"ks": ()}, InputError, "ks is empty"),
        ({"ks": (0, 5)}, InputError, "k is 0"),
        ({"layers": [1]}, InputError, "no layer 1"),
        ({"labels": labels(keep=np.zeros(len(IDS), dtype=bool))}, InputError, "no rows to fit"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, changes: dict, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        explored(tmp_path / "s", **changes)


def test_umap_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingDependency, match=r"umap-learn.*w2sprobe\[umap\]"):
        explored(tmp_path / "s", projection="umap")


def test_a_store_of_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ActivationStore, "ragged", True)
    with pytest.raises(InputError, match="one vector per token"):
        explored(tmp_path / "s")
