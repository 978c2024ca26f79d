"""One comparison: ours, a peer, their ratio, and whether they agree."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

Result = TypeVar("Result")


@dataclass(frozen=True)
class Size:
    """How large a problem is measured.

    Parameters
    ----------
    rows, width : int
        n and d; parts that have a size of their own scale it by rows / 10,000.
    """

    rows: int = 10_000
    width: int = 2048

    @property
    def share(self) -> float:
        """Of the full size."""
        return self.rows / 10_000


@dataclass(frozen=True)
class Line:
    """What was measured.

    Parameters
    ----------
    name : str
        Ours, and what it is compared with.
    ours, peer : float
        Seconds, or bytes where `unit` says so.
    unit : {"s", "MB"}
    target : float, optional
        Ratio ours / peer that is asked for, at most.
    agreement : str
        How far the results are the same.
    agrees : bool
    """

    name: str
    ours: float
    peer: float
    target: float | None = None
    agreement: str = ""
    agrees: bool = True
    unit: str = "s"

    @property
    def ratio(self) -> float:
        """Ours / peer: below 1, we are faster or smaller."""
        return self.ours / self.peer

    def to_dict(self) -> dict[str, Any]:
        """Everything, the ratio included, ready for JSON."""
        return {**vars(self), "ratio": self.ratio}


def timed(function: Callable[[], Result], repeats: int = 1) -> tuple[Result, float]:
    """Result and best time: other work on the machine only ever adds."""
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        best = min(best, time.perf_counter() - start)
    return result, best


def problem(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Activations with a common spectrum and soft labels that a direction of them explains.

    Returns
    -------
    X : ndarray of float32, shape (n, d)
        Columns of standard deviation 1 down to 0.1.
    soft : ndarray of float64, shape (n,)
    """
    random = np.random.default_rng(0)
    X = random.normal(size=(n, d)).astype(np.float32)
    X *= np.linspace(1, 0.1, d, dtype=np.float32)
    margin = X[:, :8].sum(axis=1) + random.normal(size=n)
    return X, 1 / (1 + np.exp(-margin.astype(np.float64)))
