"""Made-up parts of a session."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from w2sprobe.bench.device import Part, Session
from w2sprobe.bench.device.row import Row

CPU = torch.device("cpu")


def part(name: str, seconds: float = 1.0, **fields: Any) -> Part:
    """A part of one row."""
    return Part(name, seconds, lambda _: iter([Row(name, 2.0, **fields)]))


def doing(name: str, work: Callable[[], None]) -> Part:
    """A part that does something before it has a row."""

    def measure(_: torch.device) -> Iterator[Row]:
        work()
        yield Row(name, 2.0)

    return Part(name, 1.0, measure)


def session(folder: Path, sizes: str = "tiny") -> Session:
    return Session(folder / "gpu.json", CPU, sizes)
