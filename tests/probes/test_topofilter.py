import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from w2sprobe.errors import InputError, UnknownName
from w2sprobe.probes import TopoFilter


def problem(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = np.arange(n) % 2
    X = random.normal(size=(n, 5)) + 2.5 * truth[:, None]
    soft = np.clip(0.2 + 0.6 * truth + random.normal(size=n) * 0.25, 0, 1)
    return X.astype(np.float32), soft


def fit(X: np.ndarray, y: np.ndarray, **options: object) -> TopoFilter:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return TopoFilter(**options).fit(X, y)


def dense(X: np.ndarray, y: np.ndarray, k_cc: int, k_zeta: int, share: float, graph: str):
    """The same with n x n matrices."""
    distances = cdist(X.astype(np.float64), X.astype(np.float64))
    np.fill_diagonal(distances, np.inf)
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
    difference = np.abs(y[inside] - y[inside][near].mean(axis=1))
    n_more = max(0, round(share * len(X)) - (len(X) - len(inside)))
    keep = component.copy()
    keep[inside[np.argsort(-difference, kind="stable")[:n_more]]] = False
    return component, keep


@settings(deadline=None, max_examples=30, derandomize=True)
@given(
    st.integers(20, 80),
    st.integers(0, 10**6),
    st.integers(2, 6),
    st.integers(2, 6),
    st.sampled_from(["union", "mutual", "strong"]),
)
def test_agrees_with_a_dense_version(n: int, seed: int, k_cc: int, k_zeta: int, graph: str) -> None:
    X, y = problem(n, seed)
    component, keep = dense(X, y, k_cc, k_zeta, 0.2, graph)
    if component.sum() <= k_zeta:
        return
    found = fit(X, y, k_cc=k_cc, k_zeta=k_zeta, contamination=0.2, graph=graph)
    np.testing.assert_array_equal(found.component_mask_, component)
    np.testing.assert_array_equal(found.keep_mask_, keep)
    assert found.removed_by_component_ + found.removed_by_zeta_ == n - keep.sum()


def test_flipped_labels_are_what_goes() -> None:
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


def test_warnings_say_which_way_to_go() -> None:
    X, y = problem(100, 2)
    with pytest.warns(UserWarning, match="smaller k_cc"):
        TopoFilter(k_cc=50, k_zeta=5).fit(X, y)
    with pytest.warns(UserWarning, match="larger k_cc"):
        TopoFilter(k_cc=1, k_zeta=1, graph="mutual").fit(*problem(400, 3))


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"k_cc": 40}, "k_cc is 40"),
        ({"k_zeta": 0, "k_cc": 5}, "k_zeta is 0"),
        ({"contamination": 1.0, "k_cc": 5}, "contamination is 1.0"),
        ({"zeta": -1, "k_cc": 5}, "zeta is -1"),
    ],
)
def test_bad_input(options: dict, part: str) -> None:
    with pytest.raises(InputError, match=part):
        fit(*problem(40, 0), **options)


def test_unknown_graph_and_one_class() -> None:
    X, y = problem(40, 0)
    with pytest.raises(UnknownName, match="'weak'"):
        fit(X, y, k_cc=5, graph="weak")
    with pytest.raises(InputError, match="one hard label"):
        fit(X, y * 0.4, k_cc=5)
