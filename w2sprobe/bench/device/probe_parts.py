"""Matrix products, neighbours, logistic regression and token probes on a device."""

import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from w2sprobe.bench.device.row import Row, timed_on
from w2sprobe.bench.measuring import synthetic_layer
from w2sprobe.bench.parts import L2S, objective, recall_of
from w2sprobe.devices import full_float32
from w2sprobe.metrics import roc_auc
from w2sprobe.models import DTYPES
from w2sprobe.probes import AttentionProbe, logistic_path, nearest_neighbors
from w2sprobe.probes.backends import has_faiss, has_faiss_gpu, import_faiss

WARM_UP_ROWS = 300
N_QUERIES = 256  # whose neighbours are found again in float64
Search = Callable[[np.ndarray, int], np.ndarray]


def products(device: torch.device, size: int) -> Iterator[Row]:
    """Square matrix products: the limit that the other rows are set beside."""
    for dtype in ("bfloat16", "float32"):
        # random, as a GPU multiplies zeros and ones faster
        matrix = torch.randn(size, size, device=device).to(DTYPES[dtype])
        with full_float32():
            _, seconds = timed_on(device, partial(torch.matmul, matrix, matrix), repeats=10)
        name = f"matrix product, {size:,} x {size:,}, {dtype}"
        yield Row(name, seconds, flops=2.0 * size**3, dtype=dtype)


def search(device: torch.device, rows: int, width: int, k: int) -> Iterator[Row]:
    """Exact neighbours by every backend, and cuVS alone, on one matrix."""
    X, _ = synthetic_layer(rows, width)
    sample = np.random.default_rng(0).permutation(rows)[:N_QUERIES]
    name, flops = f"{k} neighbours, {rows:,} x {width:,}", 2.0 * rows**2 * width
    exact: np.ndarray | None = None
    for backend in _backends(device):
        find = partial(nearest_neighbors, k=k, backend=backend)
        find(X[:WARM_UP_ROWS])
        found, seconds = timed_on(device, partial(find, X))
        recall = recall_of(found.indices[sample], X, sample)
        exact = found.indices if exact is None else exact
        equal = bool((found.indices == exact).all())
        check = (
            f"exact: {found.n_searched_again} queries failed the proof and were searched again; "
            f"recall {recall:.6f} on {len(sample)} queries in float64; "
            f"{'' if equal else 'NOT '}equal to the first backend"
        )
        agrees = recall == 1 and equal
        yield Row(f"{name}, {backend}", seconds, rows, "queries", flops, "float32", check, agrees)
    for peer, look_up in _peers(device).items():
        look_up(X[:WARM_UP_ROWS], k)
        indices, seconds = timed_on(device, partial(look_up, X, k))
        check = f"no proof; recall {recall_of(indices[sample], X, sample):.6f}"
        yield Row(f"{name}, {peer} alone", seconds, rows, "queries", flops, "float32", check)


def _backends(device: torch.device) -> list[str]:
    """Exact backends that compute on the device."""
    if device.type == "cuda":
        return ["faiss-gpu"] * has_faiss_gpu() + ["torch"]
    return ["faiss-cpu"] * has_faiss() + ["torch"]


def _peers(device: torch.device) -> dict[str, Search]:
    """Searches of cuVS, by itself and inside FAISS, where they are installed."""
    if device.type != "cuda":
        return {}
    peers: dict[str, Search] = {}
    if importlib.util.find_spec("cuvs"):
        peers["cuVS"] = partial(_cuvs, device)
    if has_faiss_gpu() and "CUVS" in import_faiss().get_compile_options().upper():
        peers["FAISS with cuVS"] = _faiss_cuvs
    return peers


def _cuvs(device: torch.device, X: np.ndarray, k: int) -> np.ndarray:
    """Exhaustive search of NVIDIA's cuVS."""
    from cuvs.neighbors import brute_force

    points = torch.from_numpy(X).to(device)
    index = brute_force.build(points, metric="sqeuclidean")
    _, found = brute_force.search(index, points, k)
    rows: np.ndarray = torch.as_tensor(found, device=device).cpu().numpy()
    return rows


def _faiss_cuvs(X: np.ndarray, k: int) -> np.ndarray:
    """FAISS's exhaustive search by way of cuVS."""
    faiss: Any = import_faiss()
    rows: np.ndarray = faiss.knn_gpu(faiss.StandardGpuResources(), X, X, k, use_cuvs=True)[1]
    return rows


def logistic(device: torch.device, rows: int, width: int) -> Iterator[Row]:
    """Ten penalties on the device, beside the CPU's optimum."""
    X, soft = synthetic_layer(rows, width)
    fit = partial(logistic_path, l2s=L2S)
    fit(X[:WARM_UP_ROWS], soft[:WARM_UP_ROWS], device=str(device))
    fitted, seconds = timed_on(device, partial(fit, X, soft, device=str(device)), repeats=2)
    on_cpu, cpu_seconds = timed_on(device, partial(fit, X, soft, device="cpu"))
    ours, theirs = (
        [objective(X, soft, *each) for each in zip(L2S, *path, strict=True)]
        for path in (fitted, on_cpu)
    )
    excess = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
    check = f"objectives differ from the CPU's by {excess:.1e}; the CPU takes {cpu_seconds:.2f} s"
    name = f"logistic path, {len(L2S)} penalties, {rows:,} x {width:,}"
    yield Row(name, seconds, check=check, agrees=excess <= 1e-6)


def attention(device: torch.device, rows: int, tokens: int, width: int) -> Iterator[Row]:
    """The attention probe of all tokens, beside the CPU's."""
    values, _ = synthetic_layer(rows * tokens, width)
    offsets = np.arange(rows + 1) * tokens
    margin = values.reshape(rows, tokens, width).mean(axis=1) @ np.random.default_rng(1).normal(
        size=width
    )
    y = (margin > np.median(margin)).astype(float)

    def fit(on: str) -> np.ndarray:
        probe = AttentionProbe(device=on).fit(values, y, offsets=offsets)
        p: np.ndarray = probe.predict_proba(values, offsets=offsets)[:, 1]
        return p

    p, seconds = timed_on(device, partial(fit, str(device)))
    on_cpu, cpu_seconds = timed_on(device, partial(fit, "cpu"))
    ours, theirs = roc_auc(y, p), roc_auc(y, on_cpu)
    check = f"AUC {ours:.4f}, on the CPU {theirs:.4f} in {cpu_seconds:.1f} s"
    name = f"attention probe, {rows:,} rows of {tokens} tokens x {width:,}"
    agrees = abs(ours - theirs) <= 0.01  # hundreds of steps of Adam in float32 drift apart
    yield Row(name, seconds, rows * tokens, "tokens", check=check, agrees=agrees)
