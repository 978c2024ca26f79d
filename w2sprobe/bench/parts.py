"""Seconds of each probe beside those of its peers.

Each part takes the numbers of rows and columns, and yields its measurements.
"""

import warnings
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from w2sprobe.bench import peers
from w2sprobe.bench.measuring import Measurement, synthetic_layer, timed
from w2sprobe.probes import TopoFilter, knn_path, logistic_path, nearest_neighbors
from w2sprobe.probes.backends import has_faiss_gpu

KS = (1, 2, 5, 10, 20, 35, 50, 75, 100, 200)
L2S = tuple(np.logspace(-4, 0, 10).tolist())
WARM_UP_ROWS = 300  # a first small call compiles the kernels and starts the threads
LinearFit = tuple[np.ndarray, float]


def search(rows: int, width: int) -> Iterator[Measurement]:
    """Nearest neighbours of every row of a layer, itself included."""
    X, _ = synthetic_layer(rows, width)
    k = min(50, rows // 4)
    nearest_neighbors(X[:WARM_UP_ROWS], k=5)
    neighbors, ours = timed(lambda: nearest_neighbors(X, k=k), 2)
    recall = recall_of(neighbors.indices, X)
    for name, peer in {
        "torch.cdist + topk": peers.cdist_topk,
        "FAISS flat, CPU": peers.faiss_flat,
    }.items():
        indices, seconds = timed(partial(peer, X, k), 2)
        agreement = (
            f"recall {recall:.6f} against float64, by {neighbors.backend}; "
            f"theirs {recall_of(indices, X):.6f}"
        )
        yield Measurement(f"search, k={k} | {name}", ours, seconds, agreement, recall == 1)
    for name in ["faiss-cpu", "torch"] + ["faiss-gpu"] * has_faiss_gpu():
        again, seconds = timed(partial(nearest_neighbors, X, k=k, backend=name))
        equal = bool((again.indices == neighbors.indices).all())
        name = f"search, k={k} | the same by {name}"
        yield Measurement(name, ours, seconds, f"equal: {equal}", equal)


def knn(rows: int, width: int) -> Iterator[Measurement]:
    """All k from one search, beside that search alone."""
    X, soft = synthetic_layer(rows, width)
    ks = [k for k in KS if k <= rows // 4]
    nearest_neighbors(X[:WARM_UP_ROWS], k=5, exclude_self=True)
    path, ours = timed(lambda: knn_path(X, soft, ks=ks), 2)
    neighbors, peer = timed(lambda: nearest_neighbors(X, k=ks[-1], exclude_self=True), 2)
    error = float(np.abs(path[-1] - soft[neighbors.indices].mean(axis=1)).max())
    name = f"kNN path, {len(ks)} k to {ks[-1]} | one search at k={ks[-1]}"
    yield Measurement(name, ours, peer, f"votes differ by {error:.1e}", error < 1e-9)


def logistic(rows: int, width: int) -> Iterator[Measurement]:
    """All penalties at once, and five label vectors on the same rows."""
    X, soft = synthetic_layer(rows, width)
    logistic_path(X[:WARM_UP_ROWS], soft[:WARM_UP_ROWS], l2s=[1.0])
    (coef, intercept), ours = timed(lambda: logistic_path(X, soft, l2s=L2S), 2)
    losses = [objective(X, soft, *fit) for fit in zip(L2S, coef, intercept, strict=True)]
    fitters: dict[str, Callable[..., LinearFit]] = {
        "torch L-BFGS": peers.lbfgs,
        "scikit-learn": peers.doubled_rows,
    }
    for name, fitter in fitters.items():
        fits, seconds = timed(partial(_fit_each, fitter, X, soft))
        theirs = [objective(X, soft, l2, *fit) for l2, fit in zip(L2S, fits, strict=True)]
        excess = max(a - b for a, b in zip(losses, theirs, strict=True))
        agreement = f"objective above theirs by at most {excess:.1e}"
        name = f"logistic path, {len(L2S)} penalties | {name}"
        yield Measurement(name, ours, seconds, agreement, excess <= 1e-6)
    random = np.random.default_rng(1)
    vectors = np.stack([soft, *(random.permutation(soft) for _ in range(4))])
    (several, _), five = timed(lambda: logistic_path(X, vectors, l2s=L2S), 2)
    error = float(np.abs(several[0] - coef).max())
    name = "logistic path, 5 label vectors | 1 label vector"
    yield Measurement(name, five, ours, f"coefficients differ by {error:.1e}", error < 1e-4)


def topofilter(rows: int, width: int) -> Iterator[Measurement]:
    """Both steps of TopoFilter, on half as many columns: the dense peer is slow."""
    X, soft = synthetic_layer(rows, max(8, width // 2))
    k = min(50, rows // 8)
    nearest_neighbors(X[:WARM_UP_ROWS], k=5, exclude_self=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the component step removes nothing here
        fitted, ours = timed(lambda: TopoFilter(k, k, 0.1).fit(X, soft), 2)
    (component, keep), peer = timed(lambda: peers.dense_topofilter(X, soft, k, 0.1))
    differ = int((fitted.component_mask_ != component).sum())
    differ += int((fitted.keep_mask_ != keep).sum())
    # the peer's float32 distances tie where ours do not
    agreement = f"{differ} rows differ (float32 ties)"
    name = f"TopoFilter, k={k} | dense"
    yield Measurement(name, ours, peer, agreement, differ <= len(X) // 500)


def _fit_each(fitter: Callable[..., LinearFit], X: np.ndarray, soft: np.ndarray) -> list[LinearFit]:
    return [fitter(X, soft, l2) for l2 in L2S]


def recall_of(indices: np.ndarray, X: np.ndarray, queries: np.ndarray | None = None) -> float:
    """Share of the true neighbours (float64 products, self included) in `indices`, (m, k).

    Parameters
    ----------
    queries : ndarray of int, shape (m,), optional
        Rows of X that `indices` belong to; by default all.
    """
    points = X.astype(np.float64)
    norms = (points**2).sum(axis=1)
    hits, k = 0, indices.shape[1]
    asked = points if queries is None else points[queries]
    for start in range(0, len(asked), 1000):
        block = slice(start, start + 1000)
        squared = norms - 2 * asked[block] @ points.T
        true = np.argpartition(squared, k - 1, axis=1)[:, :k]
        hits += sum(map(len, map(np.intersect1d, true, indices[block])))
    return hits / indices.size


def objective(
    X: np.ndarray, soft: np.ndarray, l2: float, coef: np.ndarray, intercept: float
) -> float:
    """Mean BCE + l2 |w|² in float64."""
    margin = X.astype(np.float64) @ coef + intercept
    return float(np.mean(np.logaddexp(0, margin) - soft * margin) + l2 * coef @ coef)
