import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2sprobe.errors import InputError, MissingDependency, UnknownName
from w2sprobe.probes import nearest_neighbors

RANDOM = np.random.default_rng(0)


def naive(X: np.ndarray, Q: np.ndarray | None, k: int, exclude_self: bool):
    points, queries = X.astype(np.float64), (X if Q is None else Q).astype(np.float64)
    distances = np.linalg.norm(queries[:, None] - points[None], axis=2)
    if exclude_self:
        np.fill_diagonal(distances, np.inf)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, 1), order


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.integers(2, 40), st.integers(1, 12), st.booleans(), st.integers(0, 10**6), st.booleans())
def test_agrees_with_float64(n: int, d: int, exclude: bool, seed: int, shifted: bool) -> None:
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, d)).astype(np.float32) + (100 if shifted else 0)
    k = int(random.integers(1, n))
    distances, indices = nearest_neighbors(X, k=k, exclude_self=exclude)
    expected, order = naive(X, None, k, exclude)
    np.testing.assert_allclose(distances, expected, rtol=1e-4, atol=1e-4)
    same = indices == order
    np.testing.assert_allclose(distances[~same], expected[~same], rtol=1e-5)
    assert (indices.dtype, distances.dtype) == (np.int64, np.float32)


def test_ties_go_to_the_lower_row_and_copies_are_at_distance_zero() -> None:
    X = np.repeat(RANDOM.normal(size=(3, 5)), 4, axis=0).astype(np.float32) + 50
    distances, indices = nearest_neighbors(X, k=4)
    assert (distances == 0).all()
    np.testing.assert_array_equal(indices, np.repeat(np.arange(12).reshape(3, 4), 4, axis=0))


def test_self_is_left_out_by_index_not_by_distance() -> None:
    X = np.zeros((6, 3), dtype=np.float32)
    X[5] = 1
    distances, indices = nearest_neighbors(X, k=4, exclude_self=True)
    assert not (indices == np.arange(6)[:, None]).any()
    assert (distances[:5] == 0).all()


def test_queries() -> None:
    X, Q = RANDOM.normal(size=(50, 8)), RANDOM.normal(size=(7, 8))
    distances, indices = nearest_neighbors(X, Q, k=5, backend="faiss-cpu")
    expected, order = naive(X, Q, 5, False)
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_allclose(distances, expected, rtol=1e-5)


def test_no_faiss_says_which_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingDependency, match=r"w2sprobe\[cpu\], or w2sprobe\[gpu\]"):
        nearest_neighbors(np.eye(3), k=1, backend="faiss-cpu")
    found = nearest_neighbors(np.eye(3), np.eye(3)[:1], k=1)
    assert (found.backend, found.indices.tolist()) == ("torch", [[0]])


def test_no_gpu_says_so() -> None:
    faiss = pytest.importorskip("faiss")
    if hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus():
        pytest.skip("there is a GPU")
    with pytest.raises(MissingDependency, match="no GPU"):
        nearest_neighbors(np.eye(3), k=1, backend="faiss-gpu")


def test_the_gpu_agrees_with_the_cpu() -> None:
    faiss = pytest.importorskip("faiss")
    if not hasattr(faiss, "StandardGpuResources") or not faiss.get_num_gpus():
        pytest.skip("needs a GPU and a faiss build that uses it")
    X = RANDOM.normal(size=(500, 32))
    for one, other in zip(
        nearest_neighbors(X, k=9, backend="faiss-cpu"),
        nearest_neighbors(X, k=9, backend="faiss-gpu"),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"k": 0}, ["k is 0", "1 to 4"]),
        ({"k": 5}, ["k is 5", "1 to 4"]),
        ({"k": 4, "exclude_self": True}, ["k is 4", "1 to 3"]),
        ({"k": 1, "Q": np.ones((2, 3))}, ["width 3", "2"]),
        ({"k": 1, "X": np.array([[1.0, np.nan]])}, ["not finite", "rows 0"]),
        ({"k": 1, "X": np.ones(3)}, ["shape (3,)"]),
        ({"k": 1, "X": [["a"]]}, ["not numeric"]),
    ],
)
def test_bad_input(arguments: dict, parts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        nearest_neighbors(**{"X": np.ones((4, 2)), **arguments})
    for part in parts:
        assert part in str(caught.value)


def test_unknown_backend() -> None:
    with pytest.raises(UnknownName, match="'annoy'"):
        nearest_neighbors(np.ones((4, 2)), k=1, backend="annoy")
