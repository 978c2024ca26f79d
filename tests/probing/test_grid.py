import numpy as np
import pytest

from w2sprobe.curation import curate
from w2sprobe.errors import InputError
from w2sprobe.labels import LabelTable
from w2sprobe.probes import (
    KNNProbe,
    LogisticProbe,
    MassMeanProbe,
    TopoFilter,
    nearest_neighbors,
)
from w2sprobe.probing import Grid, choose_l2, curate_grid, fitted, held_out, voters

RANDOM = np.random.default_rng(0)
TRUTH = np.arange(90) % 2
X = (RANDOM.normal(size=(90, 7)) + 1.5 * TRUTH[:, None]).astype(np.float32)
Q = RANDOM.normal(size=(11, 7)).astype(np.float32)
SOFT = np.clip(0.2 + 0.6 * TRUTH + RANDOM.normal(size=90) * 0.3, 0, 1)
GROUPS = np.arange(90) // 2
LABELS = LabelTable([f"r{row}" for row in range(90)], SOFT)
KS, L2S = (9, 3), (1e-2, 1e-1)


@pytest.mark.parametrize("preprocess", ["none", "standardize"])
@pytest.mark.parametrize("groups", [None, GROUPS], ids=["rows", "groups"])
def test_a_grid_is_the_loop_of_single_probes(preprocess: str, groups: np.ndarray | None) -> None:
    votes, fold = held_out(Grid("knn", ks=KS, preprocess=preprocess), X, SOFT, groups)
    assert fold is None
    for k, row in zip(KS, votes, strict=True):
        probe = KNNProbe(k, preprocess=preprocess).fit(X, SOFT, groups)
        np.testing.assert_allclose(row, probe.predict_train_proba()[:, 1], atol=1e-12)
    out, fold = held_out(Grid("logistic", l2s=L2S, preprocess=preprocess), X, SOFT, groups)
    for l2, row in zip(L2S, out, strict=True):
        expected = LogisticProbe(l2, preprocess).cross_fit(X, SOFT, 5, groups)
        np.testing.assert_allclose(row, expected, atol=1e-6)
    assert fold is not None
    assert set(fold) == set(range(5))
    if groups is not None:
        assert all(len(set(fold[groups == g])) == 1 for g in groups)


def test_predictions_of_other_rows_come_from_a_fit_on_all() -> None:
    for grid, probes in (
        (Grid("knn", ks=KS), [KNNProbe(k) for k in KS]),
        (Grid("logistic", l2s=L2S), [LogisticProbe(l2) for l2 in L2S]),
        (Grid("mass-mean", whiten=True), [MassMeanProbe(whiten=True)]),
    ):
        rows = fitted(grid, X, SOFT, Q)
        assert rows.shape == (len(probes), 11)
        for probe, row in zip(probes, rows, strict=True):
            expected = probe.fit(X, SOFT).predict_proba(Q)[:, 1]
            np.testing.assert_allclose(row, expected, atol=1e-6)


def test_knn_can_be_cross_fitted_too() -> None:
    votes, fold = held_out(Grid("knn", ks=KS, cv=3), X, SOFT)
    for k, row in zip(KS, votes, strict=True):
        for number in range(3):
            out = fold == number
            probe = KNNProbe(k).fit(X[~out], SOFT[~out])
            np.testing.assert_allclose(row[out], probe.predict_proba(X[out])[:, 1])


def test_the_penalty_is_chosen_once() -> None:
    chosen = choose_l2(Grid("logistic", l2s=()), X, SOFT)
    assert chosen.l2s == (LogisticProbe("auto").fit(X, SOFT).l2_,)
    assert choose_l2(chosen, X, 1 - SOFT) is chosen


@pytest.mark.parametrize(
    ("grid", "probe", "options"),
    [
        (Grid("knn", ks=(9,)), KNNProbe(9), {}),
        (Grid("logistic"), LogisticProbe(), {}),
        (Grid("logistic", cv=4), LogisticProbe(), {"cv": 4}),
        (Grid("mass-mean", per_class=True), MassMeanProbe(), {"per_class": True}),
        (
            Grid("knn", ks=(9,), rule="deep-knn", contamination=None),
            KNNProbe(9),
            {"rule": "deep-knn", "contamination": None},
        ),
        (
            Grid("logistic", rule="confident-learning", contamination=0.2),
            LogisticProbe(),
            {"rule": "confident-learning", "contamination": 0.2},
        ),
        (Grid("knn", ks=(9,), rule="random"), KNNProbe(9), {"rule": "random"}),
        (Grid("topofilter", ks=(9,)), TopoFilter(9, 9), {}),
        (Grid("topofilter", ks=(9,), per_class=True), TopoFilter(9, 9, per_class=True), {}),
    ],
)
@pytest.mark.filterwarnings("ignore:TopoFilter's component step")
def test_filters_are_those_of_curate(grid: Grid, probe: object, options: dict) -> None:
    (one,) = curate_grid(grid, "filter", X, LABELS)
    np.testing.assert_array_equal(
        one.after.keep, curate(probe, "filter", X, LABELS, **options).keep
    )


@pytest.mark.parametrize("action", ["relabel", "filter"])
@pytest.mark.parametrize("name", ["knn", "logistic", "mass-mean"])
def test_in_sample_is_that_of_curate(name: str, action: str) -> None:
    grid = Grid(name, ks=(9,), cv="in-sample")
    (one,) = curate_grid(grid, action, X, LABELS, GROUPS)
    expected = curate(grid.make(9.0 if name == "knn" else 1e-2), action, X, LABELS, cv="in-sample")
    np.testing.assert_array_equal(one.after.keep, expected.keep)
    np.testing.assert_allclose(one.after.soft_label, expected.soft_label, atol=1e-6)
    assert one.fold is None


def test_no_held_out_prediction_is_in_sample() -> None:
    with pytest.raises(InputError, match="cv is 'in-sample'"):
        held_out(Grid("logistic", cv="in-sample"), X, SOFT)


@pytest.mark.parametrize("name", ["knn", "logistic", "mass-mean"])
def test_relabelling_is_that_of_curate(name: str) -> None:
    grid = Grid(name, ks=(9,))
    probe = {"knn": KNNProbe(9), "logistic": LogisticProbe(), "mass-mean": MassMeanProbe()}[name]
    (one,) = curate_grid(grid, "relabel", X, LABELS)
    expected = curate(probe, "relabel", X, LABELS).soft_label
    np.testing.assert_allclose(one.after.soft_label, expected, atol=1e-6)


def test_voters_are_the_rows_that_voted() -> None:
    grid = Grid("knn", ks=(5,), preprocess="standardize")
    (one,) = curate_grid(grid, "relabel", X, LABELS, GROUPS)
    found = voters(grid, X, GROUPS)
    np.testing.assert_allclose(SOFT[found].mean(axis=1), one.after.soft_label, atol=1e-12)
    assert not (GROUPS[found] == GROUPS[:, None]).any()
    assert voters(Grid("logistic"), X, None) is None
    assert voters(Grid("knn", cv=3), X, None) is None


def test_every_k_comes_from_one_search() -> None:
    asked = []

    def search(*arguments: object, **options: object):
        asked.append(options["k"])
        return nearest_neighbors(*arguments, **options)

    held_out(Grid("knn", ks=(1, 5, 20), search=search), X, SOFT)
    assert asked == [20]


def test_deep_knn_needs_neighbours() -> None:
    with pytest.raises(InputError, match="deep-knn with LogisticProbe"):
        curate_grid(Grid("logistic", rule="deep-knn"), "filter", X, LABELS)
