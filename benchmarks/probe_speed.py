"""Probes beside their peers, in one run: seconds of both, their ratio, and whether they agree.

python -m benchmarks.probe_speed [--rows 10000] [--width 2048] [--smoke]
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from w2sprobe.probes import knn_path, logistic_path, nearest_neighbors

L2S = (1e-3, 1e-2, 1e-1)
KS = (1, 2, 5, 10, 20, 50)


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    return function(), time.perf_counter() - start


def report(name: str, ours: float, peer: float, agreement: str) -> None:
    print(f"{name:<44} {ours:8.2f} s {peer:8.2f} s {ours / peer:7.2f}   {agreement}")


def neighbours(X: np.ndarray, k: int) -> None:
    def peer() -> np.ndarray:
        tensor = torch.from_numpy(X)
        return torch.cdist(tensor, tensor).topk(k, largest=False).indices.numpy()

    (_, found), ours = timed(lambda: nearest_neighbors(X, k=k))
    expected, theirs = timed(peer)
    same = np.mean([len(set(a) & set(b)) / k for a, b in zip(found, expected, strict=True)])
    report(f"neighbours, k={k} | torch cdist + topk", ours, theirs, f"{same:.4f} of neighbours")


def knn(X: np.ndarray, y: np.ndarray) -> None:
    path, ours = timed(lambda: knn_path(X, y, ks=KS))
    loop, theirs = timed(lambda: np.concatenate([knn_path(X, y, ks=[k]) for k in KS]))
    report(f"kNN path, {len(KS)} k | one by one", ours, theirs, f"{np.abs(path - loop).max():.1e}")


def logistic(X: np.ndarray, y: np.ndarray) -> None:
    def peer() -> np.ndarray:
        doubled = np.vstack([X, X]).astype(np.float64)
        hard, weight = np.repeat([1, 0], len(X)), np.concatenate([y, 1 - y])
        fits = [
            LogisticRegression(C=1 / (2 * len(X) * l2), tol=1e-6, max_iter=10_000).fit(
                doubled, hard, sample_weight=weight
            )
            for l2 in L2S
        ]
        return np.stack([fit.coef_[0] for fit in fits])

    (coef, _), ours = timed(lambda: logistic_path(X, y, l2s=L2S))
    expected, theirs = timed(peer)
    agreement = f"{np.abs(coef - expected).max():.1e} in coefficients"
    report(f"logistic path, {len(L2S)} penalties | scikit-learn", ours, theirs, agreement)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--k", type=int, default=50)
    parser.add_argument("--smoke", action="store_true", help="300 rows of width 32")
    options = parser.parse_args()
    n, d = (300, 32) if options.smoke else (options.rows, options.width)
    random = np.random.default_rng(0)
    X = random.normal(size=(n, d)).astype(np.float32)
    y = 1 / (1 + np.exp(-X[:, :8].sum(axis=1) + random.normal(size=n)))
    print(f"n={n}, d={d}, {torch.get_num_threads()} threads")
    print(f"{'ours | peer':<44} {'ours':>10} {'peer':>10} {'ratio':>7}   agreement")
    neighbours(X, options.k)
    knn(X, y)
    logistic(X, y)


if __name__ == "__main__":
    main()
