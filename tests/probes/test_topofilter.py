import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from w2sprobe.errors import InputError, UnknownName
from w2sprobe.probes import Neighbors, TopoFilter, nearest_neighbors


def problem(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = np.arange(n) % 2
    X = random.normal(size=(n, 5)) + 2.5 * truth[:, None]
    soft = np.clip(0.2 + 0.6 * truth + random.normal(size=n) * 0.25, 0, 1)
    return X.astype(np.float32), soft


def fit(
    X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None, **options: Any
) -> TopoFilter:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return TopoFilter(**options).fit(X, y, groups)


def counting(asked: list[tuple[int, int]]) -> Callable[..., Neighbors]:
    """A search that records its numbers of rows and neighbours."""

    def search(X: np.ndarray, Q: None = None, *, k: int, **options: Any) -> Neighbors:
        asked.append((len(X), k))
        return nearest_neighbors(X, Q, k=k, **options)

    return search


def dense(
    X: np.ndarray,
    y: np.ndarray,
    k_cc: int,
    k_zeta: int,
    share: float,
    graph: str,
    groups: np.ndarray | None = None,
    per_class: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """TopoFilter with n x n matrices."""
    distances = cdist(X.astype(np.float64), X.astype(np.float64))
    groups = np.arange(len(X)) if groups is None else groups
    distances[groups[:, None] == groups[None]] = np.inf
    edges = np.zeros(distances.shape, dtype=bool)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :k_cc]
    edges[np.arange(len(X))[:, None], nearest] = True
    if graph == "union":
        edges |= edges.T
    elif graph == "mutual":
        edges &= edges.T
    component = np.zeros(len(X), dtype=bool)
    for label in (False, True):
        rows = np.flatnonzero((y > 0.5) == label)
        _, names = connected_components(edges[np.ix_(rows, rows)], connection="strong")
        component[rows[names == np.bincount(names).argmax()]] = True
    inside = np.flatnonzero(component)
    near = np.argsort(distances[np.ix_(inside, inside)], axis=1, kind="stable")[:, :k_zeta]
    difference = np.zeros(len(X))
    difference[inside] = np.abs(y[inside] - y[inside][near].mean(axis=1))
    keep = component.copy()
    for rows in (y <= 0.5, y > 0.5) if per_class else (np.ones(len(X), dtype=bool),):
        n_more = max(0, round(share * rows.sum()) - (rows & ~component).sum())
        ranked = np.flatnonzero(rows & component)
        keep[ranked[np.argsort(-difference[ranked], kind="stable")[:n_more]]] = False
    return component, keep


@settings(deadline=None, max_examples=80, derandomize=True)
@given(
    st.integers(20, 80),
    st.integers(0, 10**6),
    st.integers(2, 6),
    st.integers(2, 6),
    st.sampled_from(["union", "mutual", "strong"]),
    st.booleans(),
    st.booleans(),
)
def test_agrees_with_a_dense_version(
    n: int, seed: int, k_cc: int, k_zeta: int, graph: str, grouped: bool, per_class: bool
) -> None:
    X, y = problem(n, seed)
    groups = np.random.default_rng(seed).integers(0, n // 2, n) if grouped else None
    component, keep = dense(X, y, k_cc, k_zeta, 0.2, graph, groups, per_class)
    inside = np.arange(component.sum()) if groups is None else groups[component]
    if component.sum() - np.bincount(inside).max() < k_zeta:
        return
    found = fit(
        X, y, groups, k_cc=k_cc, k_zeta=k_zeta, contamination=0.2, graph=graph, per_class=per_class
    )
    np.testing.assert_array_equal(found.component_mask_, component)
    np.testing.assert_array_equal(found.keep_mask_, keep)
    assert found.removed_by_component_ + found.removed_by_zeta_ == n - keep.sum()


def test_one_search_serves_both_steps() -> None:
    X, y = problem(200, 0)
    asked: list[tuple[int, int]] = []
    found = fit(X, y, k_cc=12, k_zeta=6, search=counting(asked))
    assert asked == [(200, 12)]
    component, keep = dense(X, y, 12, 6, 0.1, "union")
    assert not component.all()
    np.testing.assert_array_equal(found.keep_mask_, keep)


@pytest.mark.parametrize("grouped", [False, True])
def test_components_are_searched_if_too_few_neighbours_are_left(grouped: bool) -> None:
    X, y = problem(200, 0)
    groups = np.arange(200) // 3 if grouped else None
    asked: list[tuple[int, int]] = []
    found = fit(X, y, groups, k_cc=3, k_zeta=6, graph="mutual", search=counting(asked))
    component, keep = dense(X, y, 3, 6, 0.1, "mutual", groups)
    assert asked == [(200, 7), (component.sum(), 6)]
    np.testing.assert_array_equal(found.component_mask_, component)
    np.testing.assert_array_equal(found.keep_mask_, keep)


def test_the_search_never_asks_for_more_rows_than_there_are() -> None:
    X, y = problem(20, 0)
    asked: list[tuple[int, int]] = []
    fit(X, y, k_cc=19, k_zeta=10, search=counting(asked))
    assert asked == [(20, 19)]


def test_the_same_share_of_each_class_is_removed() -> None:
    X, _ = problem(200, 0)
    y = (np.arange(200) % 2).astype(float)
    flipped = np.arange(0, 200, 10)  # all of class 0
    y[flipped] = 1
    together = fit(X, y, k_cc=20, k_zeta=10, contamination=0.1)
    apart = fit(X, y, k_cc=20, k_zeta=10, contamination=0.1, per_class=True)
    removed = [(~apart.keep_mask_)[y == label].sum() for label in (0, 1)]
    assert removed == [8, 12]
    assert (~together.keep_mask_)[y == 0].sum() < 8


def test_standardize_is_scaling_by_hand() -> None:
    X, y = problem(120, 3)
    X *= np.array([1, 30, 1, 1, 0.1], dtype=np.float32)
    options: dict[str, Any] = {"k_cc": 5, "k_zeta": 5, "contamination": 0.2}
    inside = fit(X, y, preprocess="standardize", **options)
    wide = X.astype(np.float64)
    by_hand = fit((wide - wide.mean(axis=0)) / wide.std(axis=0), y, **options)
    np.testing.assert_array_equal(inside.keep_mask_, by_hand.keep_mask_)
    plain = fit(X, y, **options)
    assert (plain.keep_mask_ != inside.keep_mask_).any()
    centred = fit(X, y, preprocess="center", **options)
    np.testing.assert_array_equal(centred.keep_mask_, plain.keep_mask_)


def test_copies_support_each_other_unless_they_share_a_group() -> None:
    X, _ = problem(80, 0)
    X[1::2] += 2  # so that only copies agree with a wrong label
    y = (np.arange(80) % 2).astype(float)
    flipped = np.arange(7, 80, 13)
    y[flipped] = 1 - y[flipped]
    rows, labels, texts = np.repeat(X, 4, axis=0), np.repeat(y, 4), np.arange(320) // 4
    wrong = np.isin(texts, flipped)
    options: dict[str, Any] = {"k_cc": 300, "k_zeta": 3, "contamination": 0.075}
    alone = fit(rows, labels, **options).keep_mask_
    grouped = fit(rows, labels, texts, **options).keep_mask_
    assert not (~alone)[wrong].any()
    assert (~grouped)[wrong].mean() >= 0.5  # a random filter: 0.075


@pytest.mark.parametrize("zeta", [0.1, 0.2, 0.3, 0.4, 0.6, 0.7])
@pytest.mark.parametrize("seed", range(3))
def test_flipping_hard_labels_keeps_the_same_rows(zeta: float, seed: int) -> None:
    # 1 - 0.7 is above 0.3 in floating point: that must not decide
    X, _ = problem(100, seed)
    y = (np.arange(100) % 2).astype(float)
    y[np.random.default_rng(seed).integers(0, 100, 25)] = 1
    for options in ({"zeta": zeta}, {"contamination": zeta}):
        one, other = (fit(X, labels, k_cc=20, k_zeta=10, **options) for labels in (y, 1 - y))
        np.testing.assert_array_equal(one.keep_mask_, other.keep_mask_)
        assert one.zeta_ == pytest.approx(other.zeta_)


def test_permuting_rows_permutes_what_is_kept() -> None:
    X, y = problem(120, 4)  # soft labels: no two rows differ equally from their neighbours
    order = np.random.default_rng(0).permutation(120)
    one, other = fit(X, y, k_cc=10, k_zeta=5), fit(X[order], y[order], k_cc=10, k_zeta=5)
    np.testing.assert_array_equal(other.keep_mask_, one.keep_mask_[order])


def test_the_first_of_equally_large_components_is_kept() -> None:
    # two pairs of either class, far apart; rows of the first pair come first
    X = np.array([[0.0], [1], [100], [101], [1000], [1001], [1100], [1101]])
    y = np.array([0.0, 0, 0, 0, 1, 1, 1, 1])
    for graph in ("union", "mutual", "strong"):
        found = fit(X, y, k_cc=1, k_zeta=1, graph=graph, contamination=0.01)
        np.testing.assert_array_equal(found.component_mask_, [1, 1, 0, 0, 1, 1, 0, 0])


def test_flipped_labels_are_removed() -> None:
    X, _ = problem(200, 0)
    y = (np.arange(200) % 2).astype(float)
    flipped = np.arange(0, 200, 10)
    y[flipped] = 1 - y[flipped]
    kept = fit(X, y, k_cc=10, k_zeta=10, contamination=0.1).keep_mask_
    assert (~kept).sum() == 20
    assert (~kept[flipped]).mean() >= 0.9  # a random filter: 0.1


def test_a_fixed_zeta() -> None:
    X, y = problem(100, 1)
    strict, lax = (fit(X, y, k_cc=10, k_zeta=10, zeta=zeta) for zeta in (0.2, 1.0))
    assert lax.removed_by_zeta_ == 0
    assert strict.removed_by_zeta_ > 0
    assert strict.zeta_ <= 0.2


def test_warnings_advise_a_larger_or_smaller_k() -> None:
    X, y = problem(100, 2)
    with pytest.warns(UserWarning, match="smaller k_cc"):
        TopoFilter(k_cc=50, k_zeta=5).fit(X, y)
    with pytest.warns(UserWarning, match="larger k_cc"):
        TopoFilter(k_cc=1, k_zeta=1, graph="mutual").fit(*problem(400, 3))


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"k_cc": 40}, "k_cc is 40. Allowed: 1 to 39"),
        ({"k_cc": 39, "groups": np.arange(40) // 2}, "k_cc is 39. Allowed: 1 to 38"),
        ({"k_zeta": 0, "k_cc": 5}, "k_zeta is 0"),
        ({"k_zeta": 40, "k_cc": 5}, "k_zeta is 40"),
        ({"k_zeta": 39, "k_cc": 1, "graph": "mutual"}, "k_zeta is 39. Allowed: 1 to"),
        ({"contamination": 1.0, "k_cc": 5}, "contamination is 1.0"),
        ({"contamination": 0.0, "k_cc": 5}, "contamination is 0.0"),
        ({"contamination": float("nan"), "k_cc": 5}, "contamination is nan"),
        ({"zeta": -1, "k_cc": 5}, "zeta is -1"),
        ({"zeta": float("nan"), "k_cc": 5}, "zeta is nan"),
        ({"groups": np.arange(39)}, r"groups of shape \(39,\)"),
    ],
)
def test_bad_settings(options: dict, part: str) -> None:
    with pytest.raises(InputError, match=part):
        fit(*problem(40, 0), **{"k_cc": 5, "k_zeta": 5, **options})


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda X, y: fit(X, y[1:], k_cc=5), r"labels of shape \(39,\)"),
        (lambda X, y: fit(X, y + 1, k_cc=5), "0 to 1"),
        (lambda X, y: fit(X, np.where(y == y[9], np.nan, y), k_cc=5), "label nan in row 9"),
        (lambda X, y: fit(np.where(X[6, 0] == X, np.inf, X), y, k_cc=5), "not finite in rows 6"),
        (lambda X, y: fit(X[:1], y[:1], k_cc=1), r"1 sample"),
        (lambda X, y: fit(X[:0], y[:0], k_cc=1), r"0 sample"),
        (lambda X, y: fit(X, y * 0.4, k_cc=5), "one hard label"),
    ],
)
def test_bad_input(call, part: str) -> None:
    with pytest.raises(InputError, match=part):
        call(*problem(40, 0))


def test_an_unknown_graph() -> None:
    with pytest.raises(UnknownName, match="'weak'"):
        fit(*problem(40, 0), k_cc=5, graph="weak")
