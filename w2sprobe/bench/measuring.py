"""One measurement of ours beside a peer, and the synthetic activations that it is made on."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

Result = TypeVar("Result")


@dataclass(frozen=True)
class Measurement:
    """Ours and a peer on the same input.

    Parameters
    ----------
    name : str
        "ours | peer".
    ours, peer : float
        Seconds, or megabytes where `unit` says so.
    agreement : str
        How far the two results are the same, in words.
    unit : {"s", "MB"}
    """

    name: str
    ours: float
    peer: float
    agreement: str = ""
    agrees: bool = True
    unit: str = "s"

    @property
    def ratio(self) -> float:
        """Ours / peer: below 1, ours is faster or smaller."""
        return self.ours / self.peer

    def to_dict(self) -> dict[str, Any]:
        """Every field and the ratio, ready for JSON."""
        return {**vars(self), "ratio": self.ratio}


def timed(function: Callable[[], Result], repeats: int = 1) -> tuple[Result, float]:
    """Result and least time of `repeats` calls: other work on the machine can only add time."""
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        best = min(best, time.perf_counter() - start)
    return result, best


def synthetic_layer(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Activations with the spectrum of a language model's layer, and soft labels along a direction.

    The standard deviations of the principal directions fall as i**-0.65 from 20, around a mean far
    from zero, as measured on layers 5 to 30 of SmolLM2-135M; every column mixes all directions.
    With a flat spectrum (Gaussian noise) iterative solvers would converge in a few steps.

    Returns
    -------
    X : ndarray of float32, shape (n, d)
    soft : ndarray of float64, shape (n,)
    """
    random = np.random.default_rng(0)
    deviations = 20 * np.arange(1, d + 1) ** -0.65
    mix = (random.normal(size=(d, d)) * deviations[:, None] / d**0.5).astype(np.float32)
    X = random.normal(size=(n, d)).astype(np.float32) @ mix
    margin = X @ random.normal(size=d)
    margin = 2 * margin / margin.std() + random.normal(size=n)
    X += random.normal(size=d).astype(np.float32) * 3
    return X, 1 / (1 + np.exp(-margin))
