"""Stages: a function and its inputs; their fingerprint is the address of the output folder.

`stage.json` is written last, so a folder without it is visibly unfinished. What is done is a
directory listing: rerunning, resuming and dry runs need nothing else.
"""

import math
import shutil
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from w2sprobe.atomic import atomic_path, make_folder, write_json
from w2sprobe.cache.locks import LOCK_PREFIX, Locks
from w2sprobe.fingerprint import fingerprint

# Raise a number when that stage's code computes something else than before.
VERSIONS = {
    "audit": 2,
    "train": 1,
    "extract": 1,
    "probe": 2,
    "curate": 4,
    "relabel": 1,
    "zero_shot": 1,
    "indicators": 1,
    "choose": 2,
    "sweep": 2,
}
RECORD = "stage.json"


@dataclass(frozen=True)
class Cost:
    """What a stage is expected to need.

    Parameters
    ----------
    flops : float
        Floating-point operations, of which only the large products are counted.
    disk_bytes : int
        Size of the output.
    memory_bytes : int
        Peak, without the interpreter and its libraries; on the accelerator where one is used.
    model : bool
        Whether a language model is run, which is faster on an accelerator.
    """

    flops: float = 0.0
    disk_bytes: int = 0
    memory_bytes: int = 0
    model: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a stage.

    Parameters
    ----------
    status : {"done", "failed", "blocked"}
        "blocked": not run, as an input failed.
    seconds : float
        Spent now; 0 where the output was there.
    error : str
        Of a failed stage its error, of a blocked one the title of the stage that failed.
    log : str
        File with all that is known of the failure.
    """

    status: Literal["done", "failed", "blocked"] = "done"
    seconds: float = 0.0
    error: str = ""
    log: str = ""


@dataclass(frozen=True, eq=False)
class Stage:
    """One step of an experiment.

    Parameters
    ----------
    kind : str
        A key of `VERSIONS`.
    title : str
        For people; not part of the address.
    params : dict
        All that determines the output beside the inputs; JSON.
    run : callable
        `run(folder)` writes the output into an existing folder, empty unless `resumable`.
    inputs : dict of Stage
        Stages whose folders `run` reads.
    home : Path
        Where stage folders lie.
    place : Path, optional
        Folder of the output where it has an address of its own (stores).
    resumable : bool, default False
        `run` goes on from what an earlier try has left.
    cost : Cost
        For estimates and for schedulers; not part of the address.
    """

    kind: str
    title: str
    params: dict[str, Any]
    run: Callable[[Path], None]
    home: Path
    inputs: dict[str, "Stage"] = field(default_factory=dict)
    place: Path | None = None
    resumable: bool = False
    cost: Cost = field(default_factory=Cost)

    @cached_property
    def address(self) -> str:
        """Fingerprint of kind, version, params and the inputs' addresses."""
        return fingerprint(
            {
                "kind": self.kind,
                "version": VERSIONS[self.kind],
                "params": self.params,
                "inputs": {name: stage.address for name, stage in self.inputs.items()},
            }
        )

    @cached_property
    def folder(self) -> Path:
        """Where the output is, or will be."""
        return self.place or self.home / f"{self.kind}-{self.address}"

    @property
    def done(self) -> bool:
        """Whether the output is complete."""
        return (self.folder / RECORD).is_file()

    @property
    def log(self) -> Path:
        """Where a failure is described; there only after one."""
        return self.home / f"{self.kind}-{self.address}.log"

    @property
    def lock(self) -> Path:
        """There while the output is computed, or was when its process died."""
        return self.home / f"{LOCK_PREFIX}{self.kind}-{self.address}"

    def execute(self) -> float:
        """Compute the output, unless it is there; return the seconds spent.

        Of several processes that want the same output one computes it; the others wait.
        """
        if self.done:
            return 0.0
        make_folder(self.home)
        locks = Locks()
        try:
            locks.wait(self.lock, math.inf)
            return 0.0 if self.done else self._compute()
        finally:
            locks.close()

    def attempt(self) -> Outcome:
        """Execute; a failure is written to the log and returned, not raised."""
        try:
            outcome = Outcome(seconds=self.execute())
        except Exception as error:  # noqa: BLE001 whatever it is, other stages can go on
            return self.failed(error)
        self.log.unlink(missing_ok=True)
        return outcome

    def failed(self, error: Exception) -> Outcome:
        """Describe a failure in the log; return it as an outcome."""
        self._describe(error)
        return Outcome("failed", error=str(error) or type(error).__name__, log=str(self.log))

    def _compute(self) -> float:
        if not self.resumable and self.folder.exists():
            shutil.rmtree(self.folder)  # an earlier try that did not finish
        make_folder(self.folder)
        start = time.perf_counter()
        self.run(self.folder)
        seconds = time.perf_counter() - start
        write_json(
            self.folder / RECORD,
            {
                "kind": self.kind,
                "title": self.title,
                "address": self.address,
                "version": VERSIONS[self.kind],
                "params": self.params,
                "inputs": {name: stage.address for name, stage in self.inputs.items()},
                "seconds": round(seconds, 3),
            },
        )
        return seconds

    def _describe(self, error: Exception) -> None:
        lines = [
            f"{self.title} ({self.kind}-{self.address}) failed at "
            f"{datetime.now(UTC).isoformat(timespec='seconds')}",
            f"output: {self.folder}",
            *(f"input {name}: {stage.folder}" for name, stage in self.inputs.items()),
            "",
            *traceback.format_exception(error),
        ]
        with atomic_path(self.log) as temporary:
            temporary.write_text("\n".join(lines), encoding="utf-8")
