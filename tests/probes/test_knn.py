from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.probes.cases import EXACT, naive
from w2sprobe.errors import InputError
from w2sprobe.folds import folds_of
from w2sprobe.probes import KNNProbe, Neighbors, knn_cross_fit, knn_path, nearest_neighbors

RANDOM = np.random.default_rng(0)
X, Y, Q = RANDOM.normal(size=(40, 6)), RANDOM.random(40), RANDOM.normal(size=(11, 6))
GROUPS = np.arange(40) // 4


@pytest.mark.parametrize("preprocess", ["none", "center", "standardize"])
@pytest.mark.parametrize("groups", [None, GROUPS])
@pytest.mark.parametrize("queries", [None, Q])
def test_a_path_equals_a_loop_of_single_fits(queries, groups, preprocess: str) -> None:
    if queries is not None and groups is not None:
        return
    ks = [7, 1, 30, 7]
    path = knn_path(X, Y, queries, ks=ks, groups=groups, preprocess=preprocess)
    for k, votes in zip(ks, path, strict=True):
        probe = KNNProbe(k, preprocess=preprocess).fit(X, Y, groups)
        alone = probe.predict_train_proba() if queries is None else probe.predict_proba(queries)
        np.testing.assert_allclose(votes, alone[:, 1], atol=1e-12)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    st.integers(1, 30),
    st.sampled_from(["queries", "self out", "self in", "groups"]),
    st.integers(0, 10**6),
)
def test_votes_are_means_over_the_naive_neighbours(k: int, mode: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.integers(-1, 2, size=(40, 3)).astype(np.float32)  # many ties
    asked = rows[:7] if mode == "queries" else None
    groups = random.integers(0, 8, 40) if mode == "groups" else None
    k = min(k, 40 - np.bincount(groups).max()) if groups is not None else k
    found = knn_path(rows, Y, asked, ks=[k], include_self=mode == "self in", groups=groups)
    _, order = naive(rows, asked, k=k, exclude_self=mode == "self out", groups=groups)
    np.testing.assert_allclose(found[0], Y[order].mean(axis=1), atol=1e-12)


def test_one_neighbour_with_self_returns_the_labels() -> None:
    np.testing.assert_allclose(knn_path(X, Y, ks=[1], include_self=True)[0], Y)
    assert not np.allclose(knn_path(X, Y, ks=[1])[0], Y)
    probe = KNNProbe(1).fit(X, Y)
    np.testing.assert_allclose(probe.predict_train_proba(include_self=True)[:, 1], Y)
    np.testing.assert_allclose(probe.predict_proba(X)[:, 1], Y)


def test_k_equal_to_n_gives_the_mean_label() -> None:
    np.testing.assert_allclose(knn_path(X, Y, Q, ks=[40])[0], np.full(11, Y.mean()))
    others = (Y.sum() - Y) / 39
    np.testing.assert_allclose(knn_path(X, Y, ks=[39])[0], others)
    outside = (Y.sum() - Y.reshape(10, 4).sum(axis=1)[GROUPS]) / 36
    np.testing.assert_allclose(knn_path(X, Y, ks=[36], groups=GROUPS)[0], outside)


def test_copies_are_neighbours_unless_they_share_a_group() -> None:
    rows, labels = np.repeat(X, 3, axis=0), np.repeat(Y > 0.5, 3).astype(float)
    texts = np.repeat([f"text {i}" for i in range(40)], 3)
    alone = knn_path(rows, labels, ks=[2])[0]
    np.testing.assert_array_equal(alone, labels)  # the two copies repeat it
    grouped = knn_path(rows, labels, ks=[2, 3], groups=texts)
    assert (grouped[0] != labels).any()
    nearest = knn_path(X, Y > 0.5, ks=[1])[0]
    np.testing.assert_array_equal(grouped[1], np.repeat(nearest, 3))
    probe = KNNProbe(2).fit(rows, labels, texts)
    np.testing.assert_array_equal(probe.predict_train_proba()[:, 1], grouped[0])
    assert (probe.predict_train_proba(include_self=True)[:, 1] == labels).all()


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 30))
def test_permuting_rows_permutes_votes(seed: int, k: int) -> None:
    order = np.random.default_rng(seed).permutation(len(X))
    np.testing.assert_allclose(
        knn_path(X[order], Y[order], ks=[k])[0], knn_path(X, Y, ks=[k])[0][order], atol=1e-12
    )


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.integers(1, 40), st.floats(-100, 100))
def test_flipped_labels_flip_votes_and_shifted_rows_keep_them(k: int, shift: float) -> None:
    votes = knn_path(X, Y, Q, ks=[k])
    np.testing.assert_allclose(knn_path(X, 1 - Y, Q, ks=[k]), 1 - votes, atol=1e-12)
    np.testing.assert_allclose(knn_path(X + shift, Y, Q + shift, ks=[k]), votes, atol=1e-6)


def test_votes_never_exceed_one() -> None:
    labels = np.full(40, 1.0)
    labels[3] = 0.1
    votes = knn_path(X, labels, Q, ks=range(1, 41))
    assert votes.max() <= 1
    assert votes.min() >= 0


def test_a_path_searches_once() -> None:
    asked: list[dict[str, Any]] = []

    def counting(*arrays: Any, **options: Any) -> Neighbors:
        asked.append(options)
        return nearest_neighbors(*arrays, **options)

    knn_path(X, Y, ks=[3, 9, 1], search=counting)
    assert [options["k"] for options in asked] == [9]
    KNNProbe(5, counting).fit(X, Y)
    assert len(asked) == 1


def test_every_backend_gives_the_same_votes() -> None:
    votes = [
        KNNProbe(5, partial(nearest_neighbors, backend=backend)).fit(X, Y).predict_train_proba()
        for backend in EXACT
    ]
    for other in votes[1:]:
        np.testing.assert_array_equal(other, votes[0])


def test_the_estimator_follows_scikit_learn() -> None:
    probe = KNNProbe(5).fit(X, Y > 0.5)
    both = probe.predict_proba(Q)
    np.testing.assert_allclose(both.sum(axis=1), 1)
    np.testing.assert_array_equal(probe.predict(Q), both[:, 1] > 0.5)


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: KNNProbe(5).predict_proba(Q), "not fitted"),
        (lambda: KNNProbe(5).predict_train_proba(), "not fitted"),
        (lambda: KNNProbe(41).fit(X, Y), "n_neighbors is 41"),
        (lambda: KNNProbe(0).fit(X, Y), "n_neighbors is 0"),
        (lambda: KNNProbe(2.0).fit(X, Y), r"n_neighbors is 2\.0"),
        (lambda: KNNProbe(40).fit(X, Y).predict_train_proba(), "1 to 39"),
        (lambda: KNNProbe(37).fit(X, Y, GROUPS).predict_train_proba(), "1 to 36"),
        (lambda: KNNProbe(5).fit(X, Y, GROUPS[1:]), r"groups of shape \(39,\)"),
        (lambda: KNNProbe(5).fit(X, Y + 1), "0 to 1"),
        (lambda: KNNProbe(5).fit(X, np.where(Y[7] == Y, np.nan, Y)), "label nan in row 7"),
        (lambda: KNNProbe(5).fit(X, np.where(Y[7] == Y, -0.5, Y)), r"label -0\.5 in row 7"),
        (lambda: KNNProbe(5).fit(X, Y[:-1]), r"\(40,\)"),
        (lambda: KNNProbe(5).fit(X[:0], Y[:0]), r"0 sample\(s\)"),
        (lambda: KNNProbe(1).fit([[1.0], [2, 3]], [0, 1]), "inhomogeneous"),
        (lambda: KNNProbe(5).fit(np.where(X[3, 2] == X, np.inf, X), Y), "not finite in rows 3"),
        (lambda: KNNProbe(5).fit(np.where(X[3, 2] == X, 1e39, X), Y), "not finite in rows 3"),
        (
            lambda: KNNProbe(5).fit(X, Y).predict(Q[:, :3]),
            "3 features, but KNNProbe is expecting 6",
        ),
        (
            lambda: KNNProbe(5).fit(X, Y).predict(np.where(Q[1, 1] == Q, np.nan, Q)),
            "not finite in rows 1",
        ),
        (lambda: KNNProbe(5).fit(X, Y).score(X, Y[:-1]), "labels of shape"),
        (lambda: KNNProbe(5).fit(X, Y).score(X, 0.5), "labels of shape"),
        (lambda: knn_path(X, Y, ks=[]), "ks is empty"),
        (lambda: knn_path(X, Y, ks=[3, 40]), "k is 40. Allowed: 1 to 39"),
        (lambda: knn_path(X, Y, ks=[3, 0]), "k is 0"),
        (lambda: knn_path(X, Y, ks=[37], groups=GROUPS), "k is 37. Allowed: 1 to 36"),
        (lambda: knn_path(X, Y, Q, ks=[3], groups=GROUPS), "groups are given beside"),
        (
            lambda: knn_path(X, Y, ks=[3], groups=GROUPS, include_self=True),
            "groups are given beside include_self",
        ),
        (lambda: knn_path(X, Y, Q[:, :3], ks=[3]), "Q of width 3"),
    ],
)
def test_bad_input(call, part: str) -> None:
    with pytest.raises(InputError, match=part):
        call()


@pytest.mark.parametrize("groups", [None, GROUPS], ids=["rows", "groups"])
@pytest.mark.parametrize("preprocess", ["none", "standardize"])
def test_a_cross_fit_equals_a_loop_over_folds(groups, preprocess: Any) -> None:
    ks, folds = [7, 1, 25, 7], folds_of(40, 4, groups)
    votes = knn_cross_fit(X, Y, ks=ks, cv=4, groups=groups, preprocess=preprocess)
    for k, row in zip(ks, votes, strict=True):
        for fold in range(4):
            out = folds == fold
            probe = KNNProbe(k, preprocess=preprocess).fit(X[~out], Y[~out])
            np.testing.assert_allclose(row[out], probe.predict_proba(X[out])[:, 1], atol=1e-12)
    if preprocess == "none":
        as_groups = knn_path(X, Y, ks=ks, groups=folds)
        np.testing.assert_allclose(votes, as_groups, atol=1e-12)


def test_labels_of_a_fold_do_not_influence_its_predictions() -> None:
    folds = folds_of(40, 5, GROUPS)
    changed = np.where(folds == 2, 1 - Y, Y)
    before, after = (knn_cross_fit(X, y, ks=[3, 20], groups=GROUPS) for y in (Y, changed))
    np.testing.assert_array_equal(before[:, folds == 2], after[:, folds == 2])
    assert (before != after)[:, folds != 2].any()


def test_k_is_limited_by_the_rows_outside_the_largest_fold() -> None:
    assert knn_cross_fit(X, Y, ks=[32]).shape == (1, 40)
    with pytest.raises(
        InputError, match=r"k is 33\. Allowed: 1 to 32, the rows outside the largest"
    ):
        knn_cross_fit(X, Y, ks=[1, 33])
    with pytest.raises(InputError, match=r"k is 31\. Allowed: 1 to 28"):  # three groups of four
        knn_cross_fit(X, Y, ks=[31], cv=4, groups=GROUPS)
    for ks, part in (([], "ks is empty"), (3, "ks is 3")):
        with pytest.raises(InputError, match=part):
            knn_cross_fit(X, Y, ks=ks)
    with pytest.raises(InputError, match="cv is 41"):
        knn_cross_fit(X, Y, ks=[1], cv=41)


VECTORS = np.stack([Y, 1 - Y, (Y > 0.5).astype(float)])
KEEP = np.random.default_rng(1).random((3, 40)) < [[0.9], [0.6], [0.4]]


@pytest.mark.parametrize("keep", [None, KEEP, KEEP[0]], ids=["all", "own rows", "one mask"])
@pytest.mark.parametrize("groups", [None, GROUPS], ids=["rows", "groups"])
def test_several_label_vectors_equal_a_loop_of_single_ones(groups, keep: Any) -> None:
    masks = [None] * 3 if keep is None else np.broadcast_to(keep, VECTORS.shape)
    for call in (knn_path, partial(knn_cross_fit, cv=4)):
        together = call(X, VECTORS, ks=[7, 1, 3], groups=groups, keep=keep)
        assert together.shape == (3, 3, 40)
        for votes, vector, mask in zip(together, VECTORS, masks, strict=True):
            alone = call(X, vector, ks=[7, 1, 3], groups=groups, keep=mask)
            np.testing.assert_array_equal(votes, alone)
    assert knn_path(X, VECTORS, Q, ks=[3]).shape == (3, 1, 11)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    st.integers(1, 8),
    st.sampled_from(["queries", "self out", "self in", "groups"]),
    st.floats(0.4, 1),
    st.integers(0, 10**6),
)
def test_masked_votes_equal_those_of_a_search_among_kept_rows(
    k: int, mode: str, share: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    rows = random.integers(-1, 2, size=(40, 3)).astype(np.float32)  # many ties
    asked = rows[:7] if mode == "queries" else None
    groups = random.integers(0, 20, 40) if mode == "groups" else None
    keep = random.random((2, 40)) < share
    keep[1] = rows[:, 0] > -1  # whole neighbourhoods are left out
    if mode == "self out":
        groups = np.arange(40)
    queries = rows if asked is None else asked
    votes = knn_path(
        rows,
        VECTORS[:2],
        asked,
        ks=[k],
        include_self=mode == "self in",
        groups=groups,
        keep=keep,
    )
    squared = ((queries[:, None] - rows[None]) ** 2).sum(axis=2)
    if groups is not None:
        squared[groups[:, None] == groups] = np.inf
    for mask, vector, found in zip(keep, VECTORS, votes[:, 0], strict=False):
        order = np.argsort(np.where(mask, squared, np.inf), axis=1, kind="stable")[:, :k]
        np.testing.assert_allclose(found, vector[order].mean(axis=1), atol=1e-12)
    assert np.abs(votes - knn_path(rows, VECTORS[:2], asked, ks=[k])).max() > 0


def test_all_vectors_and_most_subsets_take_one_search() -> None:
    asked: list[int] = []

    def counting(*arrays: Any, **options: Any) -> Neighbors:
        asked.append(options["k"])
        return nearest_neighbors(*arrays, **options)

    points = np.random.default_rng(2).normal(size=(400, 5))
    labels = np.random.default_rng(1).random((3, 400))
    knn_path(points, labels, ks=[20, 50], search=counting)
    assert asked == [50]
    keep = np.arange(400) % 10 > 0
    knn_path(points, labels, ks=[20, 50], search=counting, keep=keep)
    assert len(asked) == 2
    assert 50 / 0.9 < asked[1] < 75
    asked.clear()
    corner = points[:, 0] > 0.5  # queries on the other side see no kept row for a long way
    knn_path(points, labels, ks=[20, 50], search=counting, keep=corner)
    assert asked == [100] + 3 * [51]


def test_a_row_that_is_not_kept_is_predicted_but_never_a_neighbour() -> None:
    keep = np.arange(40) != 7
    changed = np.where(keep, Y, 1 - Y)
    for call in (knn_path, partial(knn_cross_fit, cv=4)):
        np.testing.assert_array_equal(
            *(call(X, y, ks=[3, 9], keep=keep) for y in (Y, changed)), strict=True
        )
        assert (call(X, Y, ks=[3, 9]) != call(X, changed, ks=[3, 9])).any()


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: knn_path(X, VECTORS, ks=[3], keep=KEEP[:2]), r"keep of shape \(2, 40\)"),
        (lambda: knn_path(X, Y, ks=[3], keep=KEEP), r"keep of shape \(3, 40\)"),
        (lambda: knn_path(X, Y, ks=[3], keep=Y), "keep of float64. Allowed: bool"),
        (lambda: knn_path(X, Y, ks=[10], keep=np.arange(40) < 10), "1 to 9, the rows that label"),
        (lambda: knn_path(X, Y, ks=[1], keep=np.zeros(40, dtype=bool)), "1 to 0"),
        (
            lambda: knn_cross_fit(X, VECTORS, ks=[20], keep=KEEP),
            "the rows that label vector 1 keeps for every query",
        ),
        (lambda: knn_path(X, VECTORS[:0], ks=[3]), "no label vectors"),
    ],
)
def test_bad_masks_and_vectors(call, part: str) -> None:
    with pytest.raises(InputError, match=part):
        call()
