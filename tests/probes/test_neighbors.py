import copy
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.probes.cases import APPROXIMATE, EXACT, KINDS, assert_same, clustered, naive, points
from w2sprobe.errors import InputError, MissingDependency, UnknownName
from w2sprobe.probes import _exact, _symmetric, backends, nearest_neighbors, neighbors

RANDOM = np.random.default_rng(0)
MODES = ["plain", "self", "groups", "queries"]


def small_blocks(patch: pytest.MonkeyPatch, seed: int) -> None:
    """Blocks so small that a few rows fill several, the last one in part."""
    random = np.random.default_rng(seed)
    for module, name, sizes in [
        (_symmetric, "BLOCK", [16, 48, 64]),
        (backends, "BLOCK_QUERIES", [7, 64]),
        (backends, "BLOCK_POINTS", [3, 50]),
        (_exact, "BLOCK_ROWS", [7, 64]),
        (_exact, "BLOCK_VALUES", [100, 5000]),
        (neighbors, "SPARE", [0, 2, 32]),
    ]:
        patch.setattr(module, name, int(random.choice(sizes)))


@settings(deadline=None, max_examples=120, derandomize=True)
@given(
    st.sampled_from(sorted(KINDS)),
    st.sampled_from(MODES),
    st.sampled_from([1, 2, 3, 10, 50, 130]),
    st.sampled_from([1, 2, 3, 8, 17]),
    st.integers(0, 10**6),
)
@example("all equal", "plain", 1, 1, 0)
@example("random", "queries", 1, 1, 0)
@example("outlier columns", "self", 200, 20, 0)
@example("lattice", "groups", 200, 2, 0)
def test_exact_backends_agree_with_float64(kind: str, mode: str, n: int, d: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    X, options = points(kind, n, d, seed), {}
    Q, most = None, n
    if mode == "self":
        options, most = {"exclude_self": True}, n - 1
    elif mode == "groups":
        options = {"groups": random.integers(0, max(2, n // 3), n)}
        most = n - np.bincount(options["groups"]).max()
    elif mode == "queries":
        Q = np.concatenate([points(kind, 9, d, seed + 1), X[:2]])
    if most < 1:
        return
    k = int(random.integers(1, min(most, 60) + 1))
    expected = naive(X, Q, k=k, **options)
    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch, seed)
        for backend in EXACT if Q is None else EXACT[1:]:
            found = nearest_neighbors(X, Q, k=k, backend=backend, **options)
            assert_same(found, expected)
            assert (found.backend, found.recall) == (backend, 1.0)
            assert (found.indices.dtype, found.distances.dtype) == (np.int64, np.float32)


@pytest.mark.parametrize("backend", EXACT)
@pytest.mark.parametrize("scale", [1e-30, 1e-22, 1e-21, 1e-20, 1e15, 1e19, 1e25])
def test_scaling_the_rows_changes_no_neighbour(scale: float, backend: str) -> None:
    # squares of the smallest underflow in float32, and those of the largest overflow
    exponent = float(2.0 ** np.round(np.log2(scale)))  # exact, so that every tie stays
    X = clustered(np.random.default_rng(3), 150, 4).astype(np.float32)
    expected = nearest_neighbors(X, k=5, backend="symmetric")
    found = nearest_neighbors(X * np.float32(exponent), k=5, backend=backend)
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_allclose(found.distances, expected.distances * exponent, rtol=1e-6)


@pytest.mark.parametrize("backend", EXACT)
def test_rows_of_very_different_sizes(backend: str) -> None:
    # next to the centre of rows of size 1, products of these are subnormal in float32
    random = np.random.default_rng(5)
    near = random.normal(size=(150, 3)) * 2e-22
    far = random.normal(size=(40, 3))
    X = np.concatenate([near, far, -far]).astype(np.float32)
    assert_same(nearest_neighbors(X, k=5, backend=backend), naive(X, k=5))


@pytest.mark.parametrize("backend", EXACT)
def test_fewer_neighbours_are_a_prefix_of_more(backend: str) -> None:
    X = points("lattice", 90, 3, 0)
    few, many = (nearest_neighbors(X, k=k, backend=backend, exclude_self=True) for k in (5, 20))
    np.testing.assert_array_equal(few.indices, many.indices[:, :5])
    np.testing.assert_array_equal(few.distances, many.first(5).distances)
    assert (many.first(5).backend, many.first(5).recall) == (backend, 1.0)


@pytest.mark.parametrize("backend", EXACT)
def test_permuting_rows_permutes_neighbours(backend: str) -> None:
    X, order = points("random", 90, 4, 0), RANDOM.permutation(90)
    plain = nearest_neighbors(X, k=7, backend=backend)
    moved = nearest_neighbors(X[order], k=7, backend=backend)
    np.testing.assert_array_equal(order[moved.indices], plain.indices[order])
    np.testing.assert_array_equal(moved.distances, plain.distances[order])
    assert (moved.indices != plain.indices[order]).any()


@pytest.mark.parametrize("backend", EXACT)
def test_shifting_all_rows_changes_nothing(backend: str) -> None:
    X = points("lattice", 90, 3, 1)  # small integers, so that the shift is exact
    plain = nearest_neighbors(X, k=7, backend=backend)
    moved = nearest_neighbors(X + 4096, k=7, backend=backend)
    np.testing.assert_array_equal(moved.indices, plain.indices)
    np.testing.assert_array_equal(moved.distances, plain.distances)


def test_ties_go_to_the_lower_row_and_copies_are_at_distance_zero() -> None:
    X = np.repeat(RANDOM.normal(size=(3, 5)), 4, axis=0).astype(np.float32) + 50
    distances, indices = nearest_neighbors(X, k=4)
    assert (distances == 0).all()
    np.testing.assert_array_equal(indices, np.repeat(np.arange(12).reshape(3, 4), 4, axis=0))


@pytest.mark.parametrize("backend", EXACT)
def test_zeros_of_both_signs_are_copies(backend: str) -> None:
    X = np.array([[0.0, -0.0], [1, 1], [-0.0, 0.0], [0.0, 0.0]], dtype=np.float32)
    found = nearest_neighbors(X, k=3, backend=backend)
    np.testing.assert_array_equal(found.indices[[0, 2, 3]], [[0, 2, 3]] * 3)
    assert (found.distances[0] == 0).all()


@pytest.mark.parametrize("backend", EXACT)
def test_self_is_left_out_by_index_not_by_distance(backend: str) -> None:
    X = np.zeros((6, 3), dtype=np.float32)
    X[5] = 1
    distances, indices = nearest_neighbors(X, k=4, exclude_self=True, backend=backend)
    assert not (indices == np.arange(6)[:, None]).any()
    assert (distances[:5] == 0).all()


@pytest.mark.parametrize("backend", EXACT)
def test_groups_leave_out_a_whole_group(backend: str) -> None:
    X = np.repeat(points("random", 12, 3, 2), 3, axis=0)  # three copies of each row
    names = np.repeat([f"text {i}" for i in range(12)], 3)
    found = nearest_neighbors(X, k=33, groups=names, backend=backend)
    assert (names[found.indices] != names[:, None]).all()
    assert (found.distances > 0).all()
    alone = nearest_neighbors(X, k=33, exclude_self=True, backend=backend)
    assert (alone.distances[:, :2] == 0).all()


def test_groups_bound_k() -> None:
    X, groups = points("random", 10, 3, 0), [0, 0, 0, 0, 1, 1, 2, 3, 4, 5]
    assert nearest_neighbors(X, k=6, groups=groups).indices.shape == (10, 6)
    with pytest.raises(InputError, match=r"k is 7\. Allowed: 1 to 6"):
        nearest_neighbors(X, k=7, groups=groups)
    with pytest.raises(InputError, match="groups are given beside Q"):
        nearest_neighbors(X, X, k=1, groups=groups)
    with pytest.raises(InputError, match=r"groups of shape \(9,\). Allowed: \(10,\)"):
        nearest_neighbors(X, k=1, groups=groups[1:])


def test_queries_that_float32_cannot_decide_are_searched_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X = points("outlier columns", 400, 20, 0)
    expected = naive(X, k=5)
    for backend in EXACT:
        found = nearest_neighbors(X, k=5, backend=backend)
        assert_same(found, expected)
        assert found.n_searched_again > 0
    assert nearest_neighbors(points("random", 400, 20, 0), k=5).n_searched_again == 0

    # the same candidates taken on trust miss neighbours: the proof is what finds them
    def trusting(*arguments: object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        squared, rows, proven = _exact.nearest_of(*arguments)  # type: ignore[arg-type]
        return squared, rows, np.ones_like(proven)

    monkeypatch.setattr(neighbors, "nearest_of", trusting)
    for backend in ("symmetric", "torch"):  # FAISS takes differences where a set is small
        assert (nearest_neighbors(X, k=5, backend=backend).indices != expected[1]).any()


@pytest.mark.parametrize("backend", [*EXACT, *APPROXIMATE])
def test_inputs_of_any_kind_are_read_and_not_changed(backend: str) -> None:
    base = RANDOM.integers(-4, 5, size=(30, 4)).astype(np.float32)
    expected = nearest_neighbors(base, k=5, backend=backend)
    frozen = base.copy()
    frozen.flags.writeable = False
    strided = np.zeros((60, 8), dtype=np.float32)[::2, ::2]
    strided[:] = base
    kinds = [frozen, strided, np.asfortranarray(base), base.astype(np.float64)]
    for X in [*kinds, base.astype(np.float16), base.astype(np.int64), base.tolist()]:
        before = copy.deepcopy(X)
        found = nearest_neighbors(X, k=5, backend=backend)
        assert_same(found, expected)
        np.testing.assert_array_equal(X, before)
        if backend != "symmetric":
            nearest_neighbors(X, X, k=5, backend=backend)
            np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("options", [{}, {"exclude_self": True}, {"groups": np.arange(240) // 3}])
@pytest.mark.parametrize("backend", APPROXIMATE)
def test_an_approximate_backend_measures_its_recall(
    backend: str, options: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = points("random", 240, 8, 0)  # fewer than the sample, so that every query counts
    for probed, effort in [(16, 128), (1, 1)]:
        monkeypatch.setattr(backends, "IVF_N_PROBE", probed)
        monkeypatch.setattr(backends, "HNSW_EF_SEARCH", effort)
        for k in (1, 5, 30):
            found = nearest_neighbors(X, k=k, backend=backend, **options)
            _, true = naive(X, k=k, **options)
            hits = sum(len(np.intersect1d(*pair)) for pair in zip(found.indices, true, strict=True))
            assert 0 <= found.recall <= 1
            # what is counted is what is returned: without itself, and after a second search
            assert found.recall == pytest.approx(hits / true.size, abs=1e-12)


def test_a_bad_setting_shows_in_the_recall(monkeypatch: pytest.MonkeyPatch) -> None:
    X = points("random", 240, 8, 0)
    assert nearest_neighbors(X, k=5, backend="faiss-ivf").recall > 0.99
    monkeypatch.setattr(backends, "IVF_N_PROBE", 1)
    assert nearest_neighbors(X, k=5, backend="faiss-ivf").recall < 0.8


def test_queries_with_too_few_approximate_neighbours_are_searched_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backends, "IVF_N_PROBE", 1)
    X = points("random", 240, 8, 0)
    found = nearest_neighbors(X, k=60, backend="faiss-ivf")
    assert found.n_searched_again > 0
    assert (found.indices >= 0).all()
    assert all(len(set(row)) == 60 for row in found.indices.tolist())


def test_queries() -> None:
    X, Q = RANDOM.normal(size=(50, 8)), RANDOM.normal(size=(7, 8))
    for backend in EXACT[1:]:
        assert_same(nearest_neighbors(X, Q, k=5, backend=backend), naive(X, Q, k=5))
    with pytest.raises(InputError, match="'symmetric' searches a set in itself"):
        nearest_neighbors(X, Q, k=5, backend="symmetric")


def test_neighbours_can_be_copied() -> None:
    found = nearest_neighbors(points("random", 20, 3, 0), k=3)
    for other in (copy.copy(found), copy.deepcopy(found)):  # as pickling does, to a worker
        assert_same(other, found)
        assert (other.backend, other.recall) == (found.backend, found.recall)
        assert other.n_searched_again == found.n_searched_again


def test_auto_takes_the_fastest_exact_backend_here(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    X, Q = points("random", 20, 3, 0), points("random", 4, 3, 1)
    for name in ("faiss-gpu", "torch"):
        monkeypatch.setitem(neighbors.EXACT, name, backends.faiss_cpu)

    def chosen() -> tuple[str, str]:
        return nearest_neighbors(X, k=2).backend, nearest_neighbors(X, Q, k=2).backend

    monkeypatch.setattr(backends, "has_faiss_gpu", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen() == ("symmetric", "faiss-cpu")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "darwin")
        assert chosen() == ("symmetric", "torch")
    with monkeypatch.context() as patch:
        patch.setattr(backends, "has_faiss", lambda: False)
        assert chosen() == ("symmetric", "torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert chosen() == ("torch", "torch")
    monkeypatch.setattr(backends, "has_faiss_gpu", lambda: True)
    assert chosen() == ("faiss-gpu", "faiss-gpu")


def test_no_faiss_says_which_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingDependency, match=r"w2sprobe\[cpu\], or w2sprobe\[gpu\]"):
        nearest_neighbors(np.eye(3), k=1, backend="faiss-cpu")
    found = nearest_neighbors(np.eye(3), np.eye(3)[:1], k=1)
    assert (found.backend, found.indices.tolist()) == ("torch", [[0]])


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"k": 0}, ["k is 0", "1 to 4"]),
        ({"k": 5}, ["k is 5", "1 to 4"]),
        ({"k": 2.0}, ["k is 2.0", "1 to 4"]),
        ({"k": True}, ["k is True", "1 to 4"]),
        ({"k": 4, "exclude_self": True}, ["k is 4", "1 to 3"]),
        ({"k": 1, "X": np.ones((1, 2)), "exclude_self": True}, ["k is 1", "0 samples"]),
        ({"k": 1, "Q": np.ones((2, 3))}, ["width 3", "2"]),
        ({"k": 1, "Q": np.empty((0, 2))}, ["Q of shape (0, 2)"]),
        ({"k": 1, "Q": np.array([[0.0, 1], [np.inf, 0]])}, ["Q is not finite in rows 1"]),
        ({"k": 1, "X": np.array([[1.0, np.nan]])}, ["not finite", "rows 0"]),
        ({"k": 1, "X": np.diag([1.0, 1e39])}, ["X is not finite in rows 1"]),
        (
            {"k": 1, "X": np.repeat([[1.0], [np.inf], [-np.inf]], [1, 2, 2], axis=0)},
            ["X is not finite in rows 1, 2, 3 (and 1 more)"],
        ),
        ({"k": 1, "X": np.ones(3)}, ["shape (3,)"]),
        ({"k": 1, "X": np.empty((0, 3))}, ["shape (0, 3)"]),
        ({"k": 1, "X": [["a"]]}, ["not numeric"]),
        ({"k": 1, "X": [[1.0, 2.0], [3.0]]}, ["X"]),
        ({"k": 1, "X": np.ones((4, 2)) + 1j}, ["X", "omplex"]),
        ({"k": 1, "groups": [None, None, "a", "b"]}, ["groups"]),
    ],
)
def test_bad_input(arguments: dict, parts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        nearest_neighbors(**{"X": np.ones((4, 2)), **arguments})
    for part in parts:
        assert part in str(caught.value)


def test_large_finite_rows_are_not_taken_for_infinite_ones() -> None:
    X = np.full((4, 64), 3e38, dtype=np.float32)  # a row's sum is beyond float32
    assert nearest_neighbors(X, k=2).indices.tolist() == [[0, 1]] * 4


def test_unknown_backend() -> None:
    with pytest.raises(UnknownName, match="'annoy'"):
        nearest_neighbors(np.ones((4, 2)), k=1, backend="annoy")
