import sys
from collections.abc import Callable

import numpy as np
import pytest
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.base import clone

from tests.curation.cases import FLIPPED, N_FLIPPED, SOFT, N, X, Y, planted
from w2sprobe.curation import (
    filter_at_random,
    filter_by_confident_learning,
    filter_by_disagreement,
    filter_by_neighbors,
    relabel,
)
from w2sprobe.errors import InputError, MissingDependency
from w2sprobe.probes import KNNProbe, LogisticProbe, MassMeanProbe

Filter = Callable[..., np.ndarray]
law = settings(deadline=None, derandomize=True, max_examples=20)
seeds = st.integers(0, 10**6)
shares = st.floats(0.02, 0.6)


def disagreement(X, y, **options):
    return filter_by_disagreement(KNNProbe(9), X, y, **{"contamination": 0.1} | options)


def confident_learning(X, y, **options):
    return filter_by_confident_learning(KNNProbe(9), X, y, **{"cv": None} | options)


def neighbors(X, y, **options):
    return filter_by_neighbors(X, y, n_neighbors=9, **options)


every_filter = pytest.mark.parametrize("find", [disagreement, confident_learning, neighbors])


@every_filter
@law
@given(seed=seeds)
def test_planted_flips_are_found(find: Filter, seed: int) -> None:
    X, soft, truth = planted(seed)
    wrong = (soft > 0.5) != truth
    keep = find(X, soft, contamination=N_FLIPPED / N)
    by_chance = N_FLIPPED**2 / N  # expected of as many removed at random
    standard_error = np.sqrt(N_FLIPPED * (N_FLIPPED / N) * (1 - N_FLIPPED / N))
    assert (wrong & ~keep).sum() > by_chance + 6 * standard_error


def test_random_filters_do_not_find_planted_flips() -> None:
    removed = [~filter_at_random(N, N_FLIPPED, seed=seed)[FLIPPED] for seed in range(200)]
    share = N_FLIPPED / N
    assert np.mean(removed) == pytest.approx(share, abs=5 * np.sqrt(share / (200 * N_FLIPPED)))


@pytest.mark.parametrize("find", [confident_learning, neighbors])
def test_without_a_contamination_planted_flips_are_removed(find: Filter) -> None:
    keep = find(X, SOFT)
    assert (~keep[FLIPPED]).mean() >= 0.9
    assert (~keep).sum() <= 2 * N_FLIPPED


@every_filter
@law
@given(seed=seeds, share=shares)
def test_the_contamination_is_exact(find: Filter, seed: int, share: float) -> None:
    X, soft, _ = planted(seed)
    assert (~find(X, soft, contamination=share)).sum() == round(share * N)


@every_filter
@law
@given(seed=seeds, share=shares)
def test_the_contamination_is_exact_in_each_class(find: Filter, seed: int, share: float) -> None:
    X, soft, _ = planted(seed)
    lopsided = np.argsort(soft)[: N - 40]  # fewer ones than zeros
    X, soft = X[lopsided], soft[lopsided]
    keep = find(X, soft, contamination=share, per_class=True)
    for label in (soft > 0.5, soft <= 0.5):
        assert (~keep[label]).sum() == round(share * label.sum())


def test_one_class_may_lose_more_when_ranked_together() -> None:
    soft = np.where(SOFT > 0.5, 0.6, SOFT)  # ones are vague, hence closer to any prediction
    keep = disagreement(X, soft, contamination=0.2)
    assert (~keep[soft > 0.5]).mean() < (~keep[soft <= 0.5]).mean()


@every_filter
@law
@given(seed=seeds)
def test_permuted_rows_permute_the_mask(find: Filter, seed: int) -> None:
    X, soft, _ = planted(seed)
    order = np.random.default_rng(seed).permutation(N)
    np.testing.assert_array_equal(find(X[order], soft[order]), find(X, soft)[order])


@every_filter
@pytest.mark.parametrize("options", [{}, {"contamination": 0.13}])
@pytest.mark.parametrize("hard", [False, True])
@law
@given(seed=seeds)
def test_exchanging_the_classes_changes_nothing(
    find: Filter, options: dict, hard: bool, seed: int
) -> None:
    X, y, _ = planted(seed)
    y = (y > 0.5).astype(float) if hard else y
    np.testing.assert_array_equal(find(X, 1 - y, **options), find(X, y, **options))


def test_ties_go_by_position() -> None:
    points, y = np.zeros((4, 1)), np.array([0, 1, 0, 1])
    difference = np.abs(relabel(KNNProbe(3), points, y) - y)  # of all rows 2 / 3, nearly
    assert 0 < np.ptp(difference) < 1e-15
    keep = filter_by_disagreement(KNNProbe(3), points, y, contamination=0.5)
    assert keep.tolist() == [False, False, True, True]


def test_disagreement_is_label_against_prediction() -> None:
    p = relabel(MassMeanProbe(), X, SOFT, cv=5)
    furthest = np.argsort(-np.abs(p - SOFT))[:12]
    keep = filter_by_disagreement(MassMeanProbe(), X, SOFT, contamination=0.1, cv=5)
    assert sorted(np.flatnonzero(~keep)) == sorted(furthest)


# wide enough that a fit repeats the labels it was given
WIDE = np.random.default_rng(1).normal(size=(N, 60))


@pytest.mark.parametrize("probe", [LogisticProbe(), MassMeanProbe()])
def test_a_linear_probe_judges_no_row_that_it_was_fitted_on(probe) -> None:
    keep = filter_by_disagreement(probe, WIDE, SOFT)
    np.testing.assert_array_equal(keep, filter_by_disagreement(probe, WIDE, SOFT, cv=5))
    published = filter_by_disagreement(probe, WIDE, SOFT, cv="in-sample")
    p = clone(probe).fit(WIDE, SOFT).predict_proba(WIDE)[:, 1]
    assert sorted(np.flatnonzero(~published)) == sorted(np.argsort(-np.abs(p - SOFT))[:12])
    assert (keep != published).any()


def test_groups_are_left_out_together_by_default() -> None:
    twice, labels = np.vstack([WIDE, WIDE]), np.concatenate([SOFT, SOFT])
    groups = np.tile([f"g{row}" for row in range(N)], 2)
    expected = filter_by_disagreement(LogisticProbe(), twice, labels, cv=5, groups=groups)
    keep = filter_by_disagreement(LogisticProbe(), twice, labels, groups=groups)
    np.testing.assert_array_equal(keep, expected)
    assert (keep != filter_by_disagreement(LogisticProbe(), twice, labels)).any()


@pytest.mark.parametrize("k", [1, 4, 9])
@law
@given(seed=seeds)
def test_neighbors_vote_as_in_the_distance_matrix(k: int, seed: int) -> None:
    X, soft, _ = planted(seed)
    hard = soft > 0.5
    distances = cdist(X, X)
    np.fill_diagonal(distances, np.inf)
    against = hard[np.argsort(distances, axis=1)[:, :k]] != hard[:, None]
    keep = filter_by_neighbors(X, soft, n_neighbors=k)
    np.testing.assert_array_equal(keep, against.sum(axis=1) <= k / 2)
    ranked = np.argsort(-against.mean(axis=1), kind="stable")
    keep = filter_by_neighbors(X, soft, n_neighbors=k, contamination=0.25)
    assert sorted(np.flatnonzero(~keep)) == sorted(ranked[: N // 4])


def test_a_label_of_one_half_votes_zero() -> None:
    X = np.arange(6.0)[:, None]
    assert filter_by_neighbors(X, [0.5] * 6, n_neighbors=2).all()
    keep = filter_by_neighbors(X, [0.5, 0.5, 0.5, 0.5, 0.5, 0.6], n_neighbors=2)
    assert keep.tolist() == [True] * 5 + [False]
    keep = filter_by_neighbors(X, [0.5, 0.5, 0, 0.5, 0.5, 0.5], n_neighbors=2)
    assert keep.all()  # all hard labels are 0


def test_by_default_fifty_neighbors_vote() -> None:
    line = np.arange(51.0)[:, None]
    # of the 49 nearest rows of the first one, 25 are of the other class; the 50th makes a tie
    labels = np.r_[1.0, np.ones(24), np.zeros(25), 1.0]
    assert filter_by_neighbors(line, labels)[0]
    assert not filter_by_neighbors(line, labels, n_neighbors=49)[0]
    with pytest.raises(InputError, match="k is 50"):
        filter_by_neighbors(line[:50], labels[:50])


@law
@given(seed=seeds)
def test_confident_learning_equals_cleanlab(seed: int) -> None:
    X, soft, _ = planted(seed)
    hard, p = (soft > 0.5).astype(int), relabel(LogisticProbe(), X, soft, cv=5)
    both = np.column_stack([1 - p, p])
    probe = LogisticProbe()
    for rule in ("prune_by_noise_rate", "prune_by_class"):  # the same for two classes
        issues = find_label_issues(hard, both, filter_by=rule, n_jobs=1)
        np.testing.assert_array_equal(filter_by_confident_learning(probe, X, soft), ~issues)
    quality = get_label_quality_scores(hard, both, method="self_confidence")
    keep = filter_by_confident_learning(probe, X, soft, contamination=0.2)
    assert sorted(np.flatnonzero(~keep)) == sorted(np.argsort(quality)[: N // 5])


def test_confident_learning_ranks_hard_labels_like_disagreement() -> None:
    np.testing.assert_array_equal(
        filter_by_confident_learning(LogisticProbe(), X, Y, contamination=0.2),
        filter_by_disagreement(LogisticProbe(), X, Y, contamination=0.2, cv=5),
    )


def test_a_missing_cleanlab_is_named_before_anything_is_fitted(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "cleanlab.filter", None)
    with pytest.raises(MissingDependency, match=r"pip install w2sprobe\[cleanlab\]"):
        filter_by_confident_learning("no probe", X, Y)


def test_a_random_filter_removes_as_many_as_asked() -> None:
    keep = filter_at_random(100, 17, seed=3)
    assert (~keep).sum() == 17
    np.testing.assert_array_equal(keep, filter_at_random(100, 17, seed=3))
    assert (keep != filter_at_random(100, 17, seed=4)).any()
    assert filter_at_random(5, 0).all()


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: disagreement(X, Y, contamination=0), "contamination is 0"),
        (lambda: disagreement(X, Y, contamination=1), "contamination is 1"),
        (lambda: disagreement(X, Y, contamination=float("nan")), "contamination is nan"),
        (lambda: disagreement(X, Y, contamination=None), "contamination is None"),
        (lambda: disagreement(X, Y, cv=1), "cv is 1"),
        (lambda: disagreement(X, Y + 1), "label 2"),
        (lambda: confident_learning(X, Y, contamination=1.5), "contamination is 1.5"),
        (lambda: confident_learning(X, Y, cv=1), "cv is 1"),
        (lambda: confident_learning(X, Y, per_class=True), "per_class without a contamination"),
        (lambda: confident_learning(X, np.zeros(N)), "all hard labels are 0"),
        (lambda: neighbors(X, Y, contamination=-0.1), "contamination is -0.1"),
        (lambda: neighbors(X, Y, per_class=True), "per_class without a contamination"),
        (lambda: neighbors(X, Y[1:]), r"labels of shape \(119,\)"),
        (lambda: filter_by_neighbors(X, Y, n_neighbors=N), "is 120"),
        (lambda: filter_by_neighbors(X, Y, n_neighbors=0), "n_neighbors is 0"),
        (lambda: filter_at_random(5, 6), "n_removed is 6"),
        (lambda: filter_at_random(5, -1), "n_removed is -1"),
    ],
)
def test_bad_input_is_refused(call, part: str) -> None:
    with pytest.raises(InputError, match=part):
        call()
