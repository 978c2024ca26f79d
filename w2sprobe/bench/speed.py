"""Seconds of each probe beside those of its peers."""

import warnings
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from w2sprobe.bench import peers
from w2sprobe.bench.lines import Line, Size, problem, timed
from w2sprobe.probes import TopoFilter, knn_path, logistic_path, nearest_neighbors
from w2sprobe.probes.backends import has_faiss_gpu

KS = (1, 2, 5, 10, 20, 35, 50, 75, 100, 200)
L2S = tuple(np.logspace(-4, 0, 10).tolist())
Fit = tuple[np.ndarray, float]
WARM = 300  # rows of a first call: compiled code and threads are ready after it


def search(size: Size) -> Iterator[Line]:
    """A set searched in itself."""
    X, _ = problem(size.rows, size.width)
    k = min(50, size.rows // 4)
    nearest_neighbors(X[:WARM], k=5)
    found, ours = timed(lambda: nearest_neighbors(X, k=k), 2)
    recall = recall_of(found.indices, X)
    exact = f"recall {recall:.6f} against float64, by {found.backend}"
    same, peer = timed(lambda: peers.cdist_topk(X, k), 2)
    agreement = f"{exact}; theirs {recall_of(same, X):.6f}"
    yield Line(f"search, k={k} | torch.cdist + topk", ours, peer, 0.8, agreement, recall == 1)
    same, peer = timed(lambda: peers.faiss_flat(X, k), 2)
    agreement = f"{exact}; theirs {recall_of(same, X):.6f}"
    yield Line(f"search, k={k} | FAISS flat, CPU", ours, peer, 1.0, agreement, recall == 1)
    others = ["faiss-cpu", "torch"] + ["faiss-gpu"] * has_faiss_gpu()
    for name in others:
        again, seconds = timed(partial(nearest_neighbors, X, k=k, backend=name))
        equal = bool((again.indices == found.indices).all())
        yield Line(
            f"search, k={k} | the same by {name}", ours, seconds, None, f"equal: {equal}", equal
        )


def knn(size: Size) -> Iterator[Line]:
    """Ten k from one search."""
    X, soft = problem(size.rows, size.width)
    ks = [k for k in KS if k <= size.rows // 4]
    nearest_neighbors(X[:WARM], k=5, exclude_self=True)
    path, ours = timed(lambda: knn_path(X, soft, ks=ks), 2)
    found, peer = timed(lambda: nearest_neighbors(X, k=ks[-1], exclude_self=True), 2)
    error = float(np.abs(path[-1] - soft[found.indices].mean(axis=1)).max())
    name = f"kNN path, {len(ks)} k to {ks[-1]} | one search at k={ks[-1]}"
    yield Line(name, ours, peer, 1.2, f"votes differ by {error:.1e}", error < 1e-9)


def logistic(size: Size) -> Iterator[Line]:
    """Ten penalties at once, and five label vectors on the same rows."""
    X, soft = problem(size.rows, size.width)
    logistic_path(X[:WARM], soft[:WARM], l2s=[1.0])
    (coef, intercept), ours = timed(lambda: logistic_path(X, soft, l2s=L2S), 2)
    best = [objective(X, soft, *one) for one in zip(L2S, coef, intercept, strict=True)]
    fits: dict[str, tuple[Callable[..., Fit], float]] = {
        "torch L-BFGS": (peers.lbfgs, 0.3),
        "scikit-learn": (peers.doubled_rows, 0.05),
    }
    for name, (fit, target) in fits.items():
        fitted, peer = timed(partial(each, fit, X, soft))
        theirs = [objective(X, soft, l2, *one) for l2, one in zip(L2S, fitted, strict=True)]
        excess = max(a - b for a, b in zip(best, theirs, strict=True))
        yield Line(
            f"logistic path, {len(L2S)} penalties | {name}",
            ours,
            peer,
            target,
            f"objective above theirs by at most {excess:.1e}",
            excess <= 1e-6,
        )
    random = np.random.default_rng(1)
    vectors = np.stack([soft, *(random.permutation(soft) for _ in range(4))])
    (many, _), five = timed(lambda: logistic_path(X, vectors, l2s=L2S), 2)
    error = float(np.abs(many[0] - coef).max())
    name = "logistic path, 5 label vectors | 1 label vector"
    yield Line(name, five, ours, 2.0, f"coefficients differ by {error:.1e}", error < 1e-4)


def topofilter(size: Size) -> Iterator[Line]:
    """Both steps, half as wide."""
    X, soft = problem(size.rows, max(8, size.width // 2))
    k = min(50, size.rows // 8)
    nearest_neighbors(X[:WARM], k=5, exclude_self=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a component step that removes nothing
        ours_found, ours = timed(lambda: TopoFilter(k, k, 0.1).fit(X, soft), 2)
    (component, keep), peer = timed(lambda: peers.dense_topofilter(X, soft, k, 0.1))
    differ = int((ours_found.component_mask_ != component).sum())
    differ += int((ours_found.keep_mask_ != keep).sum())
    agreement = f"{differ} rows differ (float32 ties)"
    yield Line(f"TopoFilter, k={k} | dense", ours, peer, 0.25, agreement, differ <= len(X) // 500)


def each(fit: Callable[..., Fit], X: np.ndarray, soft: np.ndarray) -> list[Fit]:
    """One fit a penalty of `L2S`."""
    return [fit(X, soft, l2) for l2 in L2S]


def recall_of(found: np.ndarray, X: np.ndarray) -> float:
    """Share of the true neighbours, by float64 products, self included."""
    points = X.astype(np.float64)
    norms = (points**2).sum(axis=1)
    hits, k = 0, found.shape[1]
    for start in range(0, len(X), 1000):
        part = slice(start, start + 1000)
        near = norms - 2 * points[part] @ points.T
        true = np.argpartition(near, k - 1, axis=1)[:, :k]
        hits += sum(map(len, map(np.intersect1d, true, found[part])))
    return hits / found.size


def objective(
    X: np.ndarray, soft: np.ndarray, l2: float, coef: np.ndarray, intercept: float
) -> float:
    """Mean BCE + l2 |w|² in float64."""
    margin = X.astype(np.float64) @ coef + intercept
    return float(np.mean(np.logaddexp(0, margin) - soft * margin) + l2 * coef @ coef)
