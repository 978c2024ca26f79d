"""Search backends: queries split over (fake) GPUs, precision, and refusals."""

import threading
from typing import Any

import numpy as np
import pytest
import torch

from tests.probes.cases import EXACT, assert_same, naive, points
from w2sprobe.errors import InputError, MissingDependency
from w2sprobe.probes import backends, nearest_neighbors

GPU_BACKENDS = ["faiss-gpu", "faiss-gpu-float16"]


class FakeFaiss:
    """Fake FAISS: `knn_gpu` on the CPU, with any number of GPUs."""

    def __init__(self, n_gpus: int) -> None:
        self.faiss = pytest.importorskip("faiss")
        self.n_gpus, self.calls, self.lock = n_gpus, [], threading.Lock()

    def get_num_gpus(self) -> int:
        return self.n_gpus

    def StandardGpuResources(self) -> object:  # FAISS's name
        return object()

    def knn_gpu(
        self, resources: object, queries: np.ndarray, stored: np.ndarray, k: int, **options: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        with self.lock:
            self.calls.append({"queries": queries, "stored": stored, "k": k, **options})
        found: tuple[np.ndarray, np.ndarray] = self.faiss.knn(
            queries.astype(np.float32), stored.astype(np.float32), k
        )
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.faiss, name)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> FakeFaiss:
    fake = FakeFaiss(3)
    monkeypatch.setattr(backends, "import_faiss", lambda: fake)
    return fake


@pytest.mark.parametrize("n_queries", [1, 2, 3, 20])
def test_queries_are_split_over_the_gpus(n_queries: int, gpus: FakeFaiss) -> None:
    X, Q = points("random", 60, 5, 0), points("random", n_queries, 5, 1)
    found = nearest_neighbors(X, Q, k=4, backend="faiss-gpu")
    assert_same(found, naive(X, Q, k=4))
    assert (found.backend, found.recall) == ("faiss-gpu", 1.0)
    calls = sorted(gpus.calls, key=lambda call: call["device"])
    assert [call["device"] for call in calls] == list(range(min(3, n_queries)))
    sizes = [len(call["queries"]) for call in calls]
    assert sum(sizes) == n_queries
    assert max(sizes) - min(sizes) <= 1
    for call in calls:
        assert call["stored"].dtype == call["queries"].dtype == np.float32
        assert len(call["stored"]) == 60
        assert call["vectorsMemoryLimit"] == call["queriesMemoryLimit"] == backends.GPU_BYTES


def test_the_gpu_backend_keeps_every_option_of_the_search(gpus: FakeFaiss) -> None:
    X, groups = points("copies", 90, 5, 0), np.arange(90) // 4
    assert_same(
        nearest_neighbors(X, k=9, backend="faiss-gpu", groups=groups),
        naive(X, k=9, groups=groups),
    )
    far = points("outlier columns", 200, 20, 0)
    assert_same(nearest_neighbors(far, k=9, backend="faiss-gpu"), naive(far, k=9))
    assert gpus.calls


def test_float16_stores_half_and_measures_its_recall(gpus: FakeFaiss) -> None:
    X = points("clustered", 200, 5, 0) + 40  # float16 cannot tell rows of one centre apart
    found = nearest_neighbors(X, k=3, backend="faiss-gpu-float16")
    assert {call["stored"].dtype for call in gpus.calls} == {np.dtype(np.float16)}
    assert {call["queries"].dtype for call in gpus.calls} == {np.dtype(np.float16)}
    assert 0 < found.recall <= 1
    easy = nearest_neighbors(points("random", 200, 5, 0), k=3, backend="faiss-gpu-float16")
    assert easy.recall > 0.95


def test_float16_holds_values_of_every_size(gpus: FakeFaiss) -> None:
    X = points("random", 60, 5, 0)
    for size in (1e-30, 1.0, 1e30):
        gpus.calls.clear()
        found = nearest_neighbors(X * size, k=3, backend="faiss-gpu-float16")
        assert found.recall > 0.9
        for call in gpus.calls:
            assert call["queries"].dtype == call["stored"].dtype == np.float16
            assert np.abs(call["stored"]).max() == 256


@pytest.mark.parametrize("backend", GPU_BACKENDS)
def test_too_many_candidates_for_a_gpu_are_refused(
    backend: str, gpus: FakeFaiss, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = points("random", 60, 5, 0)
    monkeypatch.setattr(backends, "GPU_MAX_CANDIDATES", 40)
    assert nearest_neighbors(X, k=8, backend=backend).indices.shape == (60, 8)
    gpus.calls.clear()
    # spare candidates are a luxury, neighbours are not
    assert nearest_neighbors(X, k=40, backend=backend).indices.shape == (60, 40)
    assert {call["k"] for call in gpus.calls} == {40}
    gpus.calls.clear()
    with pytest.raises(InputError, match=r"41 candidates are too many .* up to 40"):
        nearest_neighbors(X, k=41, backend=backend)
    assert not gpus.calls


@pytest.mark.parametrize("backend", GPU_BACKENDS)
def test_a_missing_gpu_is_reported(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeFaiss(0)
    monkeypatch.setattr(backends, "import_faiss", lambda: fake)
    assert not backends.has_faiss_gpu()
    with pytest.raises(MissingDependency, match=r"no GPU. .* pass backend='faiss-cpu'"):
        nearest_neighbors(np.eye(3), k=1, backend=backend)


@pytest.mark.gpu
def test_a_real_gpu_agrees_with_the_cpu() -> None:
    if not backends.has_faiss_gpu():
        pytest.skip("needs a faiss build that uses a GPU")
    for kind in ("random", "outlier columns", "lattice"):
        X, Q = points(kind, 500, 32, 0), points(kind, 40, 32, 1)
        assert_same(nearest_neighbors(X, k=9, backend="faiss-gpu"), naive(X, k=9))
        assert_same(nearest_neighbors(X, Q, k=9, backend="faiss-gpu"), naive(X, Q, k=9))
    assert nearest_neighbors(X, k=9, backend="faiss-gpu-float16").recall > 0.5


@pytest.mark.gpu
def test_a_real_gpu_through_torch_agrees_with_the_cpu() -> None:
    for kind in ("random", "outlier columns", "lattice"):
        X = points(kind, 500, 32, 0)
        assert_same(nearest_neighbors(X, k=9, backend="torch"), naive(X, k=9))


@pytest.mark.parametrize("backend", EXACT)
def test_a_reduced_matmul_precision_outside_changes_nothing(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = points("random", 200, 40, 0)
    inside = []
    real = torch.addmm

    def noting(*arguments: Any, **options: Any) -> torch.Tensor:
        inside.append(torch.backends.mkldnn.matmul.fp32_precision)
        return real(*arguments, **options)

    monkeypatch.setattr(torch, "addmm", noting)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    outside = torch.backends.mkldnn.matmul.fp32_precision
    try:
        found = nearest_neighbors(X, k=9, backend=backend)
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.backends.mkldnn.matmul.fp32_precision == outside
    finally:
        torch.set_float32_matmul_precision(before)
    assert_same(found, naive(X, k=9))
    if backend == "torch":
        assert set(inside) == {"ieee"}
        assert outside != "ieee"


def test_on_macos_faiss_gets_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    faiss = pytest.importorskip("faiss")
    asked: list[int] = []
    monkeypatch.setattr(faiss, "omp_set_num_threads", asked.append)
    backends.import_faiss()
    assert asked == []
    monkeypatch.setattr("sys.platform", "darwin")
    backends.import_faiss()
    assert asked == [1]


def test_torch_finds_rows_of_every_block() -> None:
    """More points than one block holds: rows of later blocks keep their numbers."""
    size = backends.BLOCK_POINTS
    points = np.random.default_rng(0).normal(size=(2 * size + 3, 8)).astype(np.float32)
    rows = np.array([5, size + 7, 2 * size + 2])
    candidates = backends.blocked_torch(points, points[rows], 3)
    assert (candidates.rows[:, 0] == rows).all()  # each is its own nearest row
