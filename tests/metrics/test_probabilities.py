"""Scores beside the AUC: against scikit-learn, naive loops and brute force."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, brier_score_loss, roc_auc_score
from sklearn.metrics import log_loss as sklearn_log_loss

from tests.metrics.cases import laws, predicted
from w2sprobe.errors import InputError
from w2sprobe.metrics import (
    MIN_GROUP_ROWS,
    accuracy,
    best_threshold,
    brier,
    expected_calibration_error,
    log_loss,
    mean_performance,
    performance,
    recall_at_fpr,
    recalls_at_fpr,
)
from w2sprobe.results import Performance


@laws
@given(predicted())
def test_decisions_and_squares_are_those_of_sklearn(case) -> None:
    truth, p = case
    assert accuracy(truth, p) == accuracy_score(truth, p > 0.5)
    assert accuracy(truth, p, 0.3) == accuracy_score(truth, p > 0.3)
    assert brier(truth, p) == pytest.approx(brier_score_loss(truth, p, pos_label=1))


@laws
@given(predicted())
def test_log_loss_is_that_of_sklearn_where_it_is_finite(case) -> None:
    truth, p = case
    wrong = ((p == 1) & (truth == 0)) | ((p == 0) & (truth == 1))
    if wrong.any():
        assert log_loss(truth, p) == math.inf
    else:
        assert log_loss(truth, p) == pytest.approx(
            sklearn_log_loss(truth, p, labels=[0, 1]), abs=1e-12
        )


def test_certain_and_right_costs_nothing() -> None:
    loss = log_loss([0, 1], [0.0, 1.0])
    assert loss == 0
    assert math.copysign(1, loss) == 1


@laws
@given(predicted(), st.integers(1, 20))
def test_calibration_error_is_that_of_a_naive_loop(case, n_bins) -> None:
    truth, p = case
    error = 0.0
    for bin_ in range(n_bins):
        low, high = bin_ / n_bins, (bin_ + 1) / n_bins
        inside = (p >= low) & ((p < high) | (bin_ == n_bins - 1))
        if inside.any():
            error += inside.mean() * abs(p[inside].mean() - truth[inside].mean())
    assert expected_calibration_error(truth, p, n_bins) == pytest.approx(error, abs=1e-12)


def test_calibration_error_of_perfect_probabilities_is_as_documented() -> None:
    random = np.random.default_rng(0)
    p = random.random((500, 400))
    truth = random.random(p.shape) < p
    errors = [expected_calibration_error(*run) for run in zip(truth, p, strict=True)]
    assert np.mean(errors) == pytest.approx(0.3 * np.sqrt(10 / 400), rel=0.1)


@laws
@given(predicted())
def test_best_threshold_agrees_as_much_as_any(case) -> None:
    labels, p = case
    found = best_threshold(labels, p)
    every = [-1.0, 0.0, 1.0, *p, *np.nextafter(p, -1)]
    assert accuracy(labels, p, found) == max(accuracy(labels, p, one) for one in every)
    order = np.random.default_rng(0).permutation(len(p))
    assert best_threshold(labels[order], p[order]) == found


@pytest.mark.parametrize(
    ("labels", "p", "threshold"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], 0.25),
        ([0, 1, 0, 1], [0.1, 0.3, 0.6, 0.8], 0.7),  # as good as .2, and nearer to one half
        ([0, 1, 0, 1], [0.2, 0.4, 0.6, 0.8], 0.3),  # as near as .7
        ([0, 0], [0.2, 0.6], 0.8),
        ([1, 1], [0.2, 0.6], 0.1),
        ([1, 1], [0.0, 1.0], -1.0),
        ([0, 0], [0.0, 1.0], 1.0),
        ([1, 0], [0.5, np.nextafter(0.5, 1)], 0.25),
        ([0, 1], [0.5, np.nextafter(0.5, 1)], 0.5),  # nothing lies between two floats
    ],
)
def test_best_threshold_by_hand(labels, p, threshold) -> None:
    assert best_threshold(labels, p) == pytest.approx(threshold, abs=1e-15)


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: accuracy([], []), "at least one row"),
        (lambda: accuracy([[0, 1]], [0.1, 0.2]), "at least one row"),
        (lambda: accuracy([0, 2], [0.1, 0.2]), "truth is 2, row 1"),
        (lambda: best_threshold([0, 2], [0.1, 0.2]), "labels is 2, row 1"),
        (lambda: brier([0, 1], [0.1, 1.2]), "p is 1.2, row 1"),
        (lambda: log_loss([0, 1], [0.1]), "p has shape"),
        (lambda: expected_calibration_error([0, 1], [0.1, 0.2], 0), "n_bins is 0"),
        (lambda: performance([0, 1], [0.1, 0.2], weak_p=[0.1, 2]), "weak_p is 2.0, row 1"),
        (lambda: performance([0, 1], [0.1, 0.2], groups=["a"]), "groups has shape"),
        (lambda: mean_performance([]), "no runs"),
    ],
)
def test_what_is_refused(call, part) -> None:
    with pytest.raises(InputError, match=part):
        call()


def rows(n=400, seed=0):
    random = np.random.default_rng(seed)
    truth = np.arange(n) % 2
    p = 1 / (1 + np.exp(-(2 * truth - 1 + random.normal(size=n))))
    return truth, p


def test_performance_collects_the_functions() -> None:
    truth, p = rows()
    weak = rows(seed=1)[1]
    names = np.array(["a", "b", "c", "d"])[np.arange(400) // 120]  # 120 rows, the last 40
    found = performance(truth, p / 4, weak_p=weak, groups=names)
    threshold = best_threshold(weak > 0.5, p / 4)
    assert found.weak_threshold == threshold
    assert found.accuracy_at_weak_threshold == accuracy(truth, p / 4, threshold)
    assert found.accuracy == 0.5, "all below one half"
    assert found.accuracy_at_weak_threshold > 0.7
    assert found.log_loss == log_loss(truth, p / 4)
    assert found.brier == brier(truth, p / 4)
    assert found.calibration_error == expected_calibration_error(truth, p / 4)
    of_rates = recalls_at_fpr(truth, p, groups=names)
    assert math.isnan(of_rates[0].recall), "200 zeros"
    rates = (".001", ".005", ".01", ".05")
    assert found.recall_at_fpr == {
        rate: one.recall if one.n_needed <= 200 else None
        for rate, one in zip(rates, of_rates, strict=True)
    }
    assert found.recall_at_fpr_interval == {
        rate: one.interval if one.n_needed <= 200 else None
        for rate, one in zip(rates, of_rates, strict=True)
    }
    assert (found.n_rows, found.n_zeros, found.n_groups) == (400, 200, 4)
    for group in found.groups:
        inside = names == group.name
        assert group.n_rows == inside.sum()
        assert group.accuracy == accuracy(truth[inside], p[inside] / 4)
        assert group.auc == pytest.approx(roc_auc_score(truth[inside], p[inside]))
    shares = [group.accuracy for group in found.groups]
    assert shares == sorted(shares)
    assert found.worst_group == found.groups[0]
    assert Performance.model_validate_json(found.model_dump_json()) == found


def test_the_threshold_does_not_depend_on_the_truth() -> None:
    truth, p = rows()
    weak = rows(seed=1)[1]
    assert (
        performance(truth, p, weak).weak_threshold == performance(1 - truth, p, weak).weak_threshold
    )


def test_undefined_scores_are_none() -> None:
    found = performance([1, 1, 1], [0.9, 0.2, 0.0], weak_p=[0.1, 0.2, 0.3])
    assert found.weak_threshold is None, "weak labels of one class"
    assert found.accuracy_at_weak_threshold is None
    assert found.log_loss is None, "a row of p = 0 is a one"
    assert found.certain_and_wrong == pytest.approx(1 / 3)
    assert set(found.recall_at_fpr.values()) == {None}, "no zeros"
    assert found.accuracy == pytest.approx(1 / 3)
    assert (found.groups, found.worst_group) == ((), None)
    truth, p = rows(40)
    recalls = performance(truth, p).recall_at_fpr
    assert recalls.pop(".05") == recall_at_fpr(truth, p, 0.05)
    assert set(recalls.values()) == {None}, "of 20 zeros, none may be above the threshold"


def test_small_groups_are_not_scored() -> None:
    truth, p = rows(5 * MIN_GROUP_ROWS)
    place = np.arange(len(truth))
    passages = performance(truth, p, groups=(place // 4).astype(str))
    assert (passages.groups, passages.n_groups) == ((), 25)
    one = performance(truth, p, groups=np.where(place < 60, "large", place.astype(str)))
    assert one.groups == (), "one group has none to be compared with"
    names = np.array(["a", "b", "small", "of ones"])[np.digitize(place, [40, 60, 79])]
    names[names == "small"] = "a"
    truth = np.where(names == "of ones", 1, truth)
    found = performance(truth, p, groups=names)
    assert {group.name for group in found.groups} == {"a", "b", "of ones"}
    assert {group.name for group in found.groups if group.auc is None} == {"of ones"}


def test_means_over_seeds() -> None:
    names = np.repeat(["a", "b"], 200)
    runs = [performance(*rows(seed=seed), weak_p=rows()[1], groups=names) for seed in range(3)]
    assert mean_performance(runs[:1]) == runs[0]
    found = mean_performance(runs)
    for name in ("accuracy", "weak_threshold", "log_loss", "brier", "calibration_error"):
        assert getattr(found, name) == pytest.approx(np.mean([getattr(run, name) for run in runs]))
    for name in (".01", ".05"):
        wanted = np.mean([run.recall_at_fpr[name] for run in runs])
        assert found.recall_at_fpr[name] == pytest.approx(wanted)
    assert found.worst_group is not None
    for group in found.groups:
        same = [one for run in runs for one in run.groups if one.name == group.name]
        assert group.accuracy == pytest.approx(np.mean([one.accuracy for one in same]))
    assert found.worst_group.accuracy >= np.mean([run.groups[0].accuracy for run in runs])


def test_a_score_that_one_run_lacks_has_no_mean() -> None:
    truth, p = rows()
    certain = np.where(np.arange(400) == 0, 1.0, p)  # row 0 is a zero
    few = performance(truth[:60], p[:60], weak_p=np.zeros(60), groups=np.repeat(["a", "b"], 30))
    found = mean_performance([performance(truth, certain, weak_p=p), few])
    assert found.log_loss is None
    assert found.certain_and_wrong == pytest.approx(1 / 800)
    assert found.accuracy_at_weak_threshold is None
    assert found.recall_at_fpr[".01"] is None
    assert found.recall_at_fpr[".05"] is not None
    assert found.groups == ()
    assert (found.n_rows, found.n_zeros) == (60, 30)
