from pathlib import Path

import numpy as np
import pytest

from tests.cache.cases import complete
from w2sprobe import searches
from w2sprobe.cache import ActivationStore, drop_damage
from w2sprobe.errors import StoreDamaged
from w2sprobe.probes import KNNProbe, TopoFilter, knn_path, nearest_neighbors
from w2sprobe.searches import StoredSearch

RANDOM = np.random.default_rng(0)
X, Q = RANDOM.normal(size=(60, 6)).astype("f4"), RANDOM.normal(size=(9, 6)).astype("f4")
Y = (X[:, 0] > 0).astype(float)


@pytest.fixture
def store(tmp_path: Path) -> ActivationStore:
    return complete(tmp_path / "s")


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []

    def counting(*arguments: object, **options: object):
        calls.append(options["k"])
        return nearest_neighbors(*arguments, **options)

    monkeypatch.setattr(searches, "nearest_neighbors", counting)
    return calls


@pytest.mark.parametrize("queries", [None, Q], ids=["itself", "queries"])
@pytest.mark.parametrize("exclude_self", [False, True])
def test_every_smaller_k_is_read(
    queries: np.ndarray | None, exclude_self: bool, store: ActivationStore, searched: list[int]
) -> None:
    for k in (7, 3, 20):
        found = StoredSearch(store, k_max=20)(X, queries, k=k, exclude_self=exclude_self)
        expected = nearest_neighbors(X, queries, k=k, exclude_self=exclude_self)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)
    assert searched == [20]
    StoredSearch(store, k_max=20)(X, queries, k=30, exclude_self=exclude_self)
    StoredSearch(store, k_max=20)(X, queries, k=25, exclude_self=exclude_self)
    assert searched == [20, 30]


@pytest.mark.filterwarnings("ignore:TopoFilter's component step")
def test_votes_and_filters_of_later_runs_search_nothing(
    store: ActivationStore, searched: list[int]
) -> None:
    search = StoredSearch(store)
    votes = knn_path(X, Y, ks=[1, 9], search=search)
    keep = TopoFilter(k_cc=9, k_zeta=9, search=search).fit(X, Y).keep_mask_
    n_searches = len(searched)
    np.testing.assert_array_equal(knn_path(X, Y, ks=[1, 9], search=search), votes)
    np.testing.assert_array_equal(votes, knn_path(X, Y, ks=[1, 9]))
    probe = KNNProbe(9, search=StoredSearch(store)).fit(X, Y)
    np.testing.assert_array_equal(probe.predict_train_proba()[:, 1], votes[1])
    again = TopoFilter(k_cc=9, k_zeta=9, search=search).fit(X, 1 - Y)
    np.testing.assert_array_equal(again.keep_mask_, keep)
    np.testing.assert_array_equal(TopoFilter(k_cc=9, k_zeta=9).fit(X, Y).keep_mask_, keep)
    assert len(searched) == n_searches


def test_other_values_have_another_graph(store: ActivationStore, searched: list[int]) -> None:
    search = StoredSearch(store)
    changed = X.copy()
    changed[3, 2] += 1e-3
    for points in (X, changed, X[:50]):
        search(points, k=5)
    assert len(searched) == 3


def test_damage_is_found_and_mended(store: ActivationStore, searched: list[int]) -> None:
    search = StoredSearch(store)
    found = search(X, k=5)
    (graph,) = (store.path / "neighbors").iterdir()
    data = bytearray(graph.read_bytes())
    data[-100] ^= 2
    graph.write_bytes(data)
    with pytest.raises(StoreDamaged, match="searched again"):
        search(X, k=5)
    assert len(store.verify()) == len(drop_damage(store.path)) == 1
    np.testing.assert_array_equal(search(X, k=5)[1], found[1])
    assert store.verify() == []


def test_a_store_behind_a_url_is_searched_each_time(searched: list[int]) -> None:
    class Remote:
        path = "memory://store"

    search = StoredSearch(Remote())
    for _ in range(2):
        search(X, k=5)
    assert len(searched) == 2
