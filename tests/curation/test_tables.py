import re
import sys

import numpy as np
import pytest

from tests.curation.cases import SOFT, N, X
from w2sprobe.curation import (
    curate,
    explain,
    filter_at_random,
    filter_by_confident_learning,
    filter_by_disagreement,
    filter_by_neighbors,
    relabel,
)
from w2sprobe.errors import InputError, MissingDependency, UnknownName
from w2sprobe.folds import folds_of
from w2sprobe.labels import LabelTable
from w2sprobe.probes import KNNProbe, LogisticProbe, MassMeanProbe, TopoFilter
from w2sprobe.votes.judging import VERDICTS

GIVEN = LabelTable([f"r{row}" for row in range(N)], SOFT, np.arange(N) % 10 > 0)
TOPO = TopoFilter(k_cc=5, k_zeta=9, contamination=0.2)


@pytest.mark.parametrize(
    ("probe", "cv", "used"),
    [(KNNProbe(9), None, None), (LogisticProbe(), None, 5), (MassMeanProbe(), 3, 3)],
)
def test_relabelling_changes_labels_only(probe, cv: int | None, used: int | None) -> None:
    curated = explain(probe, "relabel", X, GIVEN, cv=cv)
    np.testing.assert_array_equal(curated.after.soft_label, relabel(probe, X, SOFT, cv=used))
    np.testing.assert_array_equal(curated.after.soft_label, curated.p)
    np.testing.assert_array_equal(curated.after.keep, GIVEN.keep)
    np.testing.assert_array_equal(curated.after.ids, GIVEN.ids)
    if used is None:
        assert curated.fold is None
    else:
        np.testing.assert_array_equal(curated.fold, folds_of(N, used))
    assert curated.reason[3] == f"relabelled: probe {curated.p[3]:.2f} against label {SOFT[3]:.2f}"


def test_a_label_that_the_probe_repeats_is_unchanged() -> None:
    points, y = np.array([[0.0], [0.1], [5.0], [5.1]]), [0, 0, 1, 0]
    curated = explain(KNNProbe(1), "relabel", points, LabelTable(list("abcd"), y))
    assert curated.reason == (
        "unchanged",
        "unchanged",
        "relabelled: probe 0.00 against label 1.00",
        "relabelled: probe 1.00 against label 0.00",
    )


FILTERS = {
    "disagreement": lambda probe, **options: filter_by_disagreement(probe, X, SOFT, **options),
    "confident-learning": lambda probe, **options: filter_by_confident_learning(
        probe, X, SOFT, **{"cv": None} | options
    ),
    "deep-knn": lambda probe, **options: filter_by_neighbors(
        X, SOFT, n_neighbors=probe.n_neighbors, **options
    ),
}


def test_every_rule_has_its_filter() -> None:
    assert FILTERS.keys() == VERDICTS.keys()


@pytest.mark.parametrize("rule", FILTERS)
@pytest.mark.parametrize("options", [{"contamination": 0.2}, {"per_class": True}])
def test_filtering_changes_keep_only(rule, options: dict) -> None:
    options = {"contamination": 0.1} | options
    curated = explain(KNNProbe(9), "filter", X, GIVEN, rule=rule, **options)
    np.testing.assert_array_equal(curated.after.soft_label, SOFT)
    np.testing.assert_array_equal(curated.after.keep, FILTERS[rule](KNNProbe(9), **options))
    assert [why == "kept" for why in curated.reason] == curated.after.keep.tolist()
    tabled = curate(KNNProbe(9), "filter", X, GIVEN, rule=rule, **options)
    np.testing.assert_array_equal(tabled.keep, curated.after.keep)


@pytest.mark.parametrize("rule", ["confident-learning", "deep-knn"])
def test_a_rule_may_find_out_how_many_go(rule) -> None:
    table = curate(KNNProbe(9), "filter", X, GIVEN, rule=rule, contamination=None)
    np.testing.assert_array_equal(table.keep, FILTERS[rule](KNNProbe(9), contamination=None))


@pytest.mark.parametrize(
    ("rule", "options", "reason"),
    [
        ("disagreement", {}, r"removed: disagreement 0\.\d\d, among the largest 10 %"),
        ("disagreement", {"per_class": True}, ".* among the largest 10 % of its class"),
        ("disagreement", {"contamination": 0.07}, ".* among the largest 7 %"),
        (
            "confident-learning",
            {"contamination": None},
            r"removed: P\(other label\) [01]\.\d\d, an error by the confident joint",
        ),
        (
            "deep-knn",
            {"contamination": None},
            r"removed: share of neighbours of the other label [01]\.\d\d, the majority",
        ),
        ("random", {}, "removed: at random"),
    ],
)
def test_a_removed_row_has_its_reason(rule, options: dict, reason: str) -> None:
    curated = explain(KNNProbe(9), "filter", X, GIVEN, rule=rule, **options)
    for row in np.flatnonzero(~curated.after.keep):
        assert re.fullmatch(reason, curated.reason[row])


def test_a_linear_probe_is_cross_fitted_unless_told_otherwise() -> None:
    confident = explain(LogisticProbe(), "filter", X, GIVEN, rule="confident-learning")
    np.testing.assert_array_equal(confident.fold, folds_of(N, 5))
    np.testing.assert_array_equal(
        confident.after.keep,
        filter_by_confident_learning(LogisticProbe(), X, SOFT, contamination=0.1),
    )
    plain = explain(LogisticProbe(), "filter", X, GIVEN)
    np.testing.assert_array_equal(plain.fold, folds_of(N, 5))
    np.testing.assert_array_equal(plain.p, relabel(LogisticProbe(), X, SOFT, cv=5))
    published = explain(LogisticProbe(), "filter", X, GIVEN, cv="in-sample")
    assert published.fold is None
    np.testing.assert_array_equal(published.p, relabel(LogisticProbe(), X, SOFT, cv="in-sample"))


def test_deep_knn_predicts_with_hard_votes() -> None:
    curated = explain(KNNProbe(9), "filter", X, GIVEN, rule="deep-knn")
    np.testing.assert_array_equal(curated.p, relabel(KNNProbe(9), X, SOFT > 0.5))


def test_topofilter_is_its_own_rule() -> None:
    curated = explain(TOPO, "filter", X, GIVEN, contamination=0.5)
    fitted = TopoFilter(**TOPO.get_params()).fit(X, SOFT)
    np.testing.assert_array_equal(curated.after.keep, fitted.keep_mask_)
    assert curated.p is None
    assert curated.fold is None
    outside = "removed: outside the largest component of its class"
    assert 0 < fitted.removed_by_component_ == curated.reason.count(outside)
    others = {why for why in curated.reason if why not in ("kept", outside)}
    assert others == {"removed: label too far from the mean of its neighbours"}


def test_the_random_rule_asks_no_probe() -> None:
    curated = explain(None, "filter", X, GIVEN, rule="random", contamination=0.25)
    np.testing.assert_array_equal(curated.after.keep, filter_at_random(N, N // 4))
    assert curated.p is None
    keep = curate(None, "filter", X, GIVEN, rule="random", contamination=0.3, per_class=True).keep
    for label in (SOFT > 0.5, SOFT <= 0.5):
        assert (~keep[label]).sum() == round(0.3 * label.sum())


@pytest.mark.parametrize(
    ("call", "error", "part"),
    [
        (lambda: curate(TOPO, "relabel", X, GIVEN), InputError, "cannot relabel"),
        (lambda: curate(TOPO, "filter", X, GIVEN, per_class=True), InputError, "per_class"),
        (lambda: curate(KNNProbe(), "relable", X, GIVEN), UnknownName, "Did you mean 'relabel'"),
        (
            lambda: curate(KNNProbe(), "filter", X, GIVEN, rule="deep_knn"),
            UnknownName,
            "Did you mean 'deep-knn'",
        ),
        (
            lambda: curate(LogisticProbe(), "filter", X, GIVEN, rule="deep-knn"),
            InputError,
            "deep-knn with LogisticProbe. Allowed: KNNProbe",
        ),
        (
            lambda: curate(KNNProbe(), "filter", X, GIVEN, contamination=None),
            InputError,
            "contamination is None",
        ),
        (
            lambda: curate(None, "filter", X, GIVEN, rule="random", contamination=2),
            InputError,
            "contamination is 2",
        ),
        (
            lambda: curate(
                KNNProbe(), "filter", X, GIVEN, rule="deep-knn", contamination=None, per_class=True
            ),
            InputError,
            "per_class without a contamination",
        ),
        (lambda: curate(KNNProbe(), "filter", X[1:], GIVEN), InputError, "labels of shape"),
        (lambda: curate(LogisticProbe(), "relabel", X, GIVEN, cv=1), InputError, "cv is 1"),
    ],
)
def test_bad_input(call, error: type[Exception], part: str) -> None:
    with pytest.raises(error, match=part):
        call()


def test_a_missing_cleanlab_stops_only_confident_learning(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "cleanlab.filter", None)
    with pytest.raises(MissingDependency, match=r"w2sprobe\[cleanlab\]"):
        curate(KNNProbe(9), "filter", X, GIVEN, rule="confident-learning")
    assert not curate(KNNProbe(9), "filter", X, GIVEN).keep.all()
