"""Points that are hard to search, classification problems, and naive solutions of both."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.special import expit

EXACT = ["symmetric", "faiss-cpu", "torch"]  # the exact backends that need no GPU
APPROXIMATE = ["faiss-ivf", "faiss-hnsw"]


def clustered(random: np.random.Generator, n: int, d: int, width: float = 1e-3) -> np.ndarray:
    """Rows around n / 20 centres: float32 products cannot tell those of one centre apart."""
    centres = 3 * random.normal(size=(n, d))
    return centres[random.integers(0, max(1, n // 20), n)] + width * random.normal(size=(n, d))


def with_outlier_columns(random: np.random.Generator, n: int, d: int) -> np.ndarray:
    """Near rows whose two first columns are of size 1e4, as in language models."""
    centres = random.normal(size=(4, d))
    centres[:, : min(d, 2)] *= 1e4
    return centres[np.arange(n) % 4] + 0.1 * random.normal(size=(n, d))


def copies(random: np.random.Generator, n: int, d: int) -> np.ndarray:
    return random.normal(size=(n, d))[random.integers(0, max(1, n // 6), n)]


def outlier_rows(random: np.random.Generator, n: int, d: int) -> np.ndarray:
    X = random.normal(size=(n, d))
    X[random.integers(0, n, 2)] *= 1e6
    return X


KINDS: dict[str, Callable[[np.random.Generator, int, int], np.ndarray]] = {
    "random": lambda random, n, d: random.normal(size=(n, d)),
    "clustered": clustered,
    "tight": lambda random, n, d: clustered(random, n, d, 1e-6),
    "shifted": lambda random, n, d: random.normal(size=(n, d)) + 1e4,
    "tiny": lambda random, n, d: 1e-20 * random.normal(size=(n, d)),
    "huge": lambda random, n, d: 1e15 * random.normal(size=(n, d)),
    "copies": copies,
    "lattice": lambda random, n, d: random.integers(-2, 3, size=(n, d)),
    "all equal": lambda random, n, d: np.full((n, d), 3.7),
    "outlier columns": with_outlier_columns,
    "outlier rows": outlier_rows,
}


def points(kind: str, n: int, d: int, seed: int) -> np.ndarray:
    return KINDS[kind](np.random.default_rng(seed), n, d).astype(np.float32)


def naive(
    X: np.ndarray,
    Q: np.ndarray | None = None,
    *,
    k: int,
    exclude_self: bool = False,
    groups: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Nearest rows by (distance, row) from all differences in float64."""
    rows = X.astype(np.float64)
    queries = rows if Q is None else Q.astype(np.float64)
    squared = ((queries[:, None] - rows[None]) ** 2).sum(axis=2)
    if groups is not None:
        squared[groups[:, None] == groups[None]] = np.inf
    elif exclude_self:
        np.fill_diagonal(squared, np.inf)
    order = np.argsort(squared, axis=1, kind="stable")[:, :k]
    return np.sqrt(np.take_along_axis(squared, order, 1)), order


def assert_same(found: tuple[np.ndarray, np.ndarray], expected: tuple[np.ndarray, ...]) -> None:
    """Assert that rows are equal, and distances up to their rounding to float32."""
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)


FROM_NUMPY = torch.from_numpy


def from_writeable(array: np.ndarray) -> torch.Tensor:
    """`torch.from_numpy`, which warns about a read-only array once a process, and no test later."""
    assert array.flags.writeable, "torch is given a read-only array"
    return FROM_NUMPY(array)


def problem(n: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns of several sizes off the origin, and soft labels."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, d)) * random.uniform(0.1, 5, size=d) + random.normal(size=d)
    return X.astype(np.float32), random.random(n)


def objective(X: np.ndarray, y: np.ndarray, l2: float, w: np.ndarray, b: float) -> float:
    """Objective of the logistic probe, in float64."""
    margin = X.astype(np.float64) @ w + b
    return float(np.mean(np.logaddexp(0, margin) - y * margin) + l2 * w @ w)


def gradient_norm(X: np.ndarray, y: np.ndarray, l2: float, w: np.ndarray, b: float) -> float:
    """Norm of the objective's gradient, intercept included, in float64."""
    rows = X.astype(np.float64)
    residual = (expit(rows @ w + b) - y) / len(y)
    return float(np.linalg.norm(np.append(rows.T @ residual + 2 * l2 * w, residual.sum())))
