"""Stages that call a function. Apart from `cases`: workers of Ray import this without torch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from w2sprobe.experiments.stages import ASIDE, Cost, Stage, Work


@dataclass(frozen=True)
class Call(Work):
    """Work that is a function of its folder, and known by a name."""

    KIND: ClassVar[str] = "train"

    name: object
    sources: dict[str, Stage]
    call: Callable[[Path], None] = field(metadata=ASIDE)

    def run(self, folder: Path) -> None:
        self.call(folder)


def call_stage(
    home: Path,
    name: str,
    call: Callable[[Path], None],
    *inputs: Stage,
    cost: Cost | None = None,
) -> Stage:
    """A stage of this name that calls a function."""
    work = Call(name, {one.title: one for one in inputs}, call)
    return Stage(work, name, home, cost=cost or Cost())
