"""One measurement on a device, and how calls are timed there."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")


@dataclass(frozen=True)
class Row:
    """What was measured, and what a limit needs to be set beside it.

    Parameters
    ----------
    name : str
    seconds : float
    amount : float
        Of `unit`, in these seconds.
    unit : str
        As in "tokens"; empty where only the time counts.
    flops : float
        Operations of the matrix products in these seconds; 0 where they are not counted.
    dtype : str
        Type in which they are computed.
    check : str
        Evidence that the result is right, in words.
    agrees : bool
        Whether it is.
    """

    name: str
    seconds: float
    amount: float = 0.0
    unit: str = ""
    flops: float = 0.0
    dtype: str = "float32"
    check: str = ""
    agrees: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        return asdict(self)


def timed_on(
    device: torch.device, function: Callable[[], Result], repeats: int = 1
) -> tuple[Result, float]:
    """Result and least seconds of `repeats` calls, the device's work included."""
    best = float("inf")
    for _ in range(repeats):
        wait_for(device)
        start = time.perf_counter()
        result = function()
        wait_for(device)
        best = min(best, time.perf_counter() - start)
    return result, best


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has done what it was asked to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
