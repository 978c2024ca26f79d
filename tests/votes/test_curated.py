import re
import sys

import numpy as np
import pytest

from tests.curation.cases import SOFT, N, X
from w2sprobe.curation import (
    filter_at_random,
    filter_by_confident_learning,
    filter_by_disagreement,
    filter_by_neighbors,
    relabel,
)
from w2sprobe.errors import InputError, MissingDependency, UnknownName
from w2sprobe.folds import folds_of
from w2sprobe.labels import LabelTable
from w2sprobe.probes import KNNProbe, LogisticProbe
from w2sprobe.votes.curated import curate, curate_at_random, curate_by_masks
from w2sprobe.votes.rules import FILTER_RULES

GIVEN = LabelTable([f"r{row}" for row in range(N)], SOFT, np.arange(N) % 10 > 0)
P = relabel(KNNProbe(9), X, SOFT)
VOTES = relabel(KNNProbe(9), X, SOFT > 0.5)


def test_relabelling_changes_labels_only() -> None:
    fold = folds_of(N, 5)
    curated = curate("relabel", GIVEN, P, fold)
    np.testing.assert_array_equal(curated.after.soft_label, P)
    np.testing.assert_array_equal(curated.p, P)
    np.testing.assert_array_equal(curated.fold, fold)
    np.testing.assert_array_equal(curated.after.keep, GIVEN.keep)
    np.testing.assert_array_equal(curated.after.ids, GIVEN.ids)
    assert curated.reason[3] == f"relabelled: probe {P[3]:.2f} against label {SOFT[3]:.2f}"


def test_a_label_that_the_probe_repeats_is_unchanged() -> None:
    labels = LabelTable(list("abcd"), [0, 0, 1, 0])
    assert curate("relabel", labels, np.array([0.0, 0.0, 0.0, 1.0])).reason == (
        "unchanged",
        "unchanged",
        "relabelled: probe 0.00 against label 1.00",
        "relabelled: probe 1.00 against label 0.00",
    )


FILTERS = {
    "disagreement": lambda **options: filter_by_disagreement(KNNProbe(9), X, SOFT, **options),
    "confident-learning": lambda **options: filter_by_confident_learning(
        KNNProbe(9), X, SOFT, **{"cv": None} | options
    ),
    "deep-knn": lambda **options: filter_by_neighbors(X, SOFT, n_neighbors=9, **options),
}


def predictions(rule: str) -> np.ndarray:
    return VOTES if rule == "deep-knn" else P


def test_every_rule_has_its_filter() -> None:
    assert FILTERS.keys() == FILTER_RULES.keys()


@pytest.mark.parametrize("rule", FILTERS)
@pytest.mark.parametrize("options", [{"contamination": 0.2}, {"per_class": True}])
def test_filtering_changes_keep_only(rule, options: dict) -> None:
    options = {"contamination": 0.1} | options
    curated = curate("filter", GIVEN, predictions(rule), rule=rule, **options)
    np.testing.assert_array_equal(curated.after.soft_label, SOFT)
    np.testing.assert_array_equal(curated.after.keep, FILTERS[rule](**options))
    assert [why == "kept" for why in curated.reason] == curated.after.keep.tolist()


@pytest.mark.parametrize("rule", ["confident-learning", "deep-knn"])
def test_a_rule_may_find_out_how_many_go(rule) -> None:
    curated = curate("filter", GIVEN, predictions(rule), rule=rule, contamination=None)
    np.testing.assert_array_equal(curated.after.keep, FILTERS[rule](contamination=None))


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
    ],
)
def test_a_removed_row_has_its_reason(rule, options: dict, reason: str) -> None:
    curated = curate("filter", GIVEN, predictions(rule), rule=rule, **options)
    removed = np.flatnonzero(~curated.after.keep)
    assert len(removed)
    for row in removed:
        assert re.fullmatch(reason, curated.reason[row])


def test_masks_tell_their_steps_apart() -> None:
    component, keep = np.arange(N) % 3 > 0, np.arange(N) % 6 > 1
    curated = curate_by_masks(GIVEN, keep & component, component)
    np.testing.assert_array_equal(curated.after.keep, keep & component)
    assert (curated.p, curated.fold) == (None, None)
    outside = "removed: outside the largest component of its class"
    far = "removed: label too far from the mean of its neighbours"
    assert curated.reason.count(outside) == (~component).sum()
    assert curated.reason.count(far) == (component & ~keep).sum()
    assert curated.reason.count("kept") == (component & keep).sum()


def test_the_random_rule_asks_no_probe() -> None:
    curated = curate_at_random(GIVEN, 0.25)
    np.testing.assert_array_equal(curated.after.keep, filter_at_random(N, N // 4))
    assert curated.p is None
    assert set(curated.reason) == {"kept", "removed: at random"}
    keep = curate_at_random(GIVEN, 0.3, per_class=True).after.keep
    for label in (SOFT > 0.5, SOFT <= 0.5):
        assert (~keep[label]).sum() == round(0.3 * label.sum())


@pytest.mark.parametrize(
    ("call", "error", "part"),
    [
        (lambda: curate("relable", GIVEN, P), UnknownName, "Did you mean 'relabel'"),
        (lambda: curate("filter", GIVEN, P, rule="deep_knn"), UnknownName, "mean 'deep-knn'"),
        (lambda: curate("filter", GIVEN, P, rule="random"), UnknownName, "unknown rule 'random'"),
        (
            lambda: curate("filter", GIVEN, P, contamination=None),
            InputError,
            "contamination is None",
        ),
        (lambda: curate_at_random(GIVEN, 2), InputError, "contamination is 2"),
        (
            lambda: curate(
                "filter", GIVEN, VOTES, rule="deep-knn", contamination=None, per_class=True
            ),
            InputError,
            "per_class without a contamination",
        ),
    ],
)
def test_bad_input(call, error: type[Exception], part: str) -> None:
    with pytest.raises(error, match=part):
        call()


def test_a_missing_cleanlab_stops_only_confident_learning(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "cleanlab.filter", None)
    with pytest.raises(MissingDependency, match=r"w2sprobe\[cleanlab\]"):
        curate("filter", GIVEN, P, rule="confident-learning")
    assert not curate("filter", GIVEN, P).after.keep.all()


def test_held_out_predictions_are_those_of_a_linear_probe_too() -> None:
    p = relabel(LogisticProbe(), X, SOFT, cv=5)
    keep = curate("filter", GIVEN, p, folds_of(N, 5)).after.keep
    np.testing.assert_array_equal(keep, filter_by_disagreement(LogisticProbe(), X, SOFT))
