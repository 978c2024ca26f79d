"""Recall at a rate of false alarms: against naive loops, scipy, and known recalls."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_curve

from tests.metrics.cases import laws, predicted
from w2sprobe.errors import InputError
from w2sprobe.metrics import (
    FALSE_POSITIVE_RATES,
    mean_performance,
    performance,
    recall_at_fpr,
    recalls_at_fpr,
)

FPRS = (0.0, 0.01, 0.05, 0.29, 0.5, 1.0)


@laws
@given(predicted(both=True), st.sampled_from(FPRS))
def test_recall_is_the_best_point_of_the_curve(case, fpr) -> None:
    truth, p = case
    rates, recalls, _ = roc_curve(truth, p, drop_intermediate=False)
    assert recall_at_fpr(truth, p, fpr) == pytest.approx(recalls[rates <= fpr].max())
    assert recall_at_fpr(truth, p**3, fpr) == recall_at_fpr(truth, p, fpr)


def test_recall_excludes_rows_that_tie_with_too_many_zeros() -> None:
    truth, p = [0, 0, 0, 0, 1, 1], [0.1, 0.1, 0.9, 0.9, 0.9, 0.95]
    assert recall_at_fpr(truth, p, 0.25) == 0.5
    assert recall_at_fpr(truth, p, 0.5) == 1


@laws
@given(predicted(both=True), st.sampled_from(FPRS[1:]), st.integers(0, 10**6))
def test_recalls_are_those_of_single_rates_and_lie_in_their_intervals(case, fpr, seed) -> None:
    truth, p = case
    (found,) = recalls_at_fpr(truth, p, [fpr])
    n_zeros = int((truth == 0).sum())
    assert (found.fpr, found.n_zeros, found.n_needed) == (fpr, n_zeros, math.ceil(1 / fpr))
    if n_zeros < found.n_needed:
        assert math.isnan(found.recall)
        assert math.isnan(found.interval[0])
        return
    assert found.recall == recall_at_fpr(truth, p, fpr)
    assert found.recall == (p[truth == 1] > found.threshold).mean()
    assert (p[truth == 0] > found.threshold).mean() <= fpr
    low, high = found.interval
    assert 0 <= low <= found.recall <= high <= 1
    order = np.random.default_rng(seed).permutation(len(p))
    assert recalls_at_fpr(truth[order], np.exp(4 * p[order]), [fpr])[0].interval == found.interval
    # every row a group of its own: nothing is shared
    assert recalls_at_fpr(truth, p, [fpr], groups=np.arange(len(p)))[0] == found


def test_with_a_known_threshold_the_interval_is_wilsons() -> None:
    # whichever zeros lie above the threshold, the ones beside it are the same
    truth = np.repeat([0, 1], [20_000, 50])
    scores = np.concatenate([np.linspace(0.4, 0.6, 20_000), np.arange(50) < 30])
    for found in recalls_at_fpr(truth, scores):
        wilson = stats.binomtest(30, 50).proportion_ci(method="wilson")
        assert found.recall == 0.6
        assert found.interval == pytest.approx((wilson.low, wilson.high), abs=1e-12)


def test_with_many_ones_the_interval_is_that_of_the_threshold() -> None:
    random = np.random.default_rng(0)
    zeros, ones = random.normal(size=400), random.normal(size=200_000) + 1
    truth = np.repeat([0, 1], [len(zeros), len(ones)])
    (found,) = recalls_at_fpr(truth, np.concatenate([zeros, ones]), [0.05])
    fewest, most = (int(stats.binom.ppf(share, 400, 0.05)) for share in (0.025, 0.975))
    falling = np.sort(zeros)[::-1]
    ends = (ones > falling[fewest - 1]).mean(), (ones > falling[most]).mean()
    assert found.interval == pytest.approx(ends, abs=0.002)


def test_few_zeros_do_not_bound_the_threshold() -> None:
    for n_zeros, bounded in ((1000, False), (3700, True)):
        truth = np.repeat([0, 1], [n_zeros, 1000])
        scores = np.concatenate([np.linspace(0, 0.5, n_zeros), np.ones(1000)])
        found = recalls_at_fpr(truth, scores)[0]
        assert found.recall == 1
        assert (found.interval[0] > 0) == bounded
    assert [math.ceil(1 / fpr) for fpr in FALSE_POSITIVE_RATES] == [1000, 200, 100, 20]


def test_groups_that_agree_widen_the_interval() -> None:
    random = np.random.default_rng(1)
    truth, scores = np.arange(600) % 2, random.normal(size=600)
    scores[truth == 1] += 1.5
    copies = np.repeat(truth, 5), np.repeat(scores, 5)
    (single,) = recalls_at_fpr(truth, scores, [0.05])
    (grouped,) = recalls_at_fpr(*copies, [0.05], groups=np.repeat(np.arange(600), 5))
    (ignored,) = recalls_at_fpr(*copies, [0.05])
    assert grouped.recall == single.recall == ignored.recall
    assert grouped.interval == pytest.approx(single.interval, abs=0.03)
    assert np.diff(ignored.interval) < 0.7 * np.diff(grouped.interval)


@pytest.mark.parametrize("n_zeros", [200, 1000])
def test_intervals_hold_the_known_recall(n_zeros) -> None:
    random = np.random.default_rng(0)
    truth, n_right, n_all = np.arange(2 * n_zeros) % 2, 0, 0
    for _ in range(200):
        scores = random.normal(size=len(truth)) + 2 * truth
        for found in recalls_at_fpr(truth, scores):
            if not math.isnan(found.recall):
                known = stats.norm.sf(stats.norm.isf(found.fpr) - 2)
                n_right += found.interval[0] <= known <= found.interval[1]
                n_all += 1
    assert n_right / n_all > 0.95  # 96 to 99 % in docs/coverage.md


def test_several_runs_share_rows_and_differ_by_seed() -> None:
    random = np.random.default_rng(0)
    truth = np.arange(400) % 2
    p = [1 / (1 + np.exp(-(2 * truth - 1 + random.normal(size=400)))) for _ in range(3)]
    runs = [performance(truth, of_run) for of_run in p]
    same, different = mean_performance([runs[0]] * 3), mean_performance(runs)
    assert same.recall_at_fpr_interval[".05"] == pytest.approx(
        runs[0].recall_at_fpr_interval[".05"]
    )
    low, high = different.recall_at_fpr_interval[".05"]
    assert low < different.recall_at_fpr[".05"] < high
    recalls = [run.recall_at_fpr[".05"] for run in runs]
    assert high - low > 2 * stats.t.ppf(0.975, 2) * np.std(recalls, ddof=1) / math.sqrt(3)
    assert different.recall_at_fpr_interval[".001"] is None
    earlier = runs[0].model_copy(update={"recall_at_fpr_interval": {}})
    assert mean_performance([runs[0], earlier]).recall_at_fpr_interval[".05"] is None


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: recall_at_fpr([0, 1], [0.1, 0.2], 1.5), "fpr is 1.5"),
        (lambda: recall_at_fpr([1, 1], [0.1, 0.2], 0.1), "one class in 2 rows"),
        (lambda: recalls_at_fpr([0, 1], [0.1, 0.2], [0.0]), "fpr is 0"),
        (lambda: recalls_at_fpr([0, 1], [0.1, 0.2], [-0.1]), "fpr is -0.1"),
        (lambda: recalls_at_fpr([1, 1], [0.1, 0.2]), "one class in 2 rows"),
        (lambda: recalls_at_fpr([0, 1], [0.1, np.inf]), "scores is inf, row 1"),
        (lambda: recalls_at_fpr([0, 1], [0.1, 0.2], groups=["a", "a"]), "groups has 1 value"),
    ],
)
def test_what_is_refused(call, part) -> None:
    with pytest.raises(InputError, match=part):
        call()
