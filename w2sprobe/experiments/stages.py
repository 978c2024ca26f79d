"""Stages: a piece of work and the folder of its output, whose name is a hash of all inputs.

`stage.json` is written last, so a folder without it is unfinished. Repeated runs, resumed runs and
dry runs only look at which folders have it.
"""

import dataclasses
import math
import shutil
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from pydantic import BaseModel

from w2sprobe.atomic import atomic_path, make_folder, write_json
from w2sprobe.data import Rows, Splits
from w2sprobe.fingerprint import fingerprint

RECORD = "stage.json"
LABELS = "labels.parquet"  # LabelTable: predictions of a supervisor or learner, or new labels


@dataclass(frozen=True)
class Cost:
    """Estimated resources of a stage.

    Parameters
    ----------
    flops : float
        Floating-point operations of the large matrix products.
    disk_bytes : int
        Size of the output.
    memory_bytes : int
        Peak memory, of the accelerator if one is used; without interpreter and libraries.
    model : bool
        Whether a language model runs, so that an accelerator helps.
    """

    flops: float = 0.0
    disk_bytes: int = 0
    memory_bytes: int = 0
    model: bool = False


@dataclass(frozen=True)
class Outcome:
    """Result of running a stage: done, failed or blocked.

    Parameters
    ----------
    status : {"done", "failed", "blocked"}
        "blocked": not run because an input failed.
    seconds : float
        Seconds spent in this run; 0 if the output existed.
    error : str
        Error of a failed stage; for a blocked one, the title of the stage that failed.
    log : str
        File that describes the failure.
    """

    status: Literal["done", "failed", "blocked"] = "done"
    seconds: float = 0.0
    error: str = ""
    log: str = ""


# metadata of a field that does not change the output and is not hashed: a device, a cache folder
ASIDE: Final = {"aside": True}


@dataclass(frozen=True)
class Work:
    """What a stage computes; its fields are its inputs, and the address is their hash.

    A subclass is a frozen dataclass with `run`. A field may hold a `Stage`, or a dict of stages,
    whose outputs are read from their folders. Fields with the metadata `ASIDE` are left out of the
    address.
    """

    KIND: ClassVar[str]
    VERSION: ClassVar[int] = 1  # increase it when the same fields give another output than before
    RESUMABLE: ClassVar[bool] = False  # whether `run` continues an interrupted run

    def run(self, folder: Path) -> None:
        """Write the output into an existing folder, empty unless `RESUMABLE`."""
        raise NotImplementedError

    @property
    def inputs(self) -> dict[str, "Stage"]:
        """Stages whose folders are read, by field."""
        found: dict[str, Stage] = {}
        for name, value in self._addressed():
            if isinstance(value, Stage):
                found[name] = value
            elif _are_stages(value):
                found |= {f"{name}.{key}": stage for key, stage in value.items()}
        return found

    @property
    def params(self) -> dict[str, Any]:
        """All other inputs; JSON."""
        return {
            name: identity(value)
            for name, value in self._addressed()
            if not isinstance(value, Stage) and not _are_stages(value)
        }

    def _addressed(self) -> Iterator[tuple[str, Any]]:
        for one in dataclasses.fields(self):
            if not one.metadata.get("aside"):
                yield one.name, getattr(self, one.name)


def _are_stages(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(one, Stage) for one in value.values())
    )


def identity(value: Any) -> Any:
    """JSON of an input for the address: equal for values that give the same output.

    Raises
    ------
    TypeError
        A value without a fixed content, such as a path.
    """
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Rows):
        return value.identity
    if isinstance(value, Splits):
        return {name: rows.identity for name, rows in value.items()}
    own = getattr(value, "identity", None)  # models, training settings, users' functions
    if own is not None:
        return own
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(key): identity(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [identity(one) for one in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: identity(getattr(value, one.name)) for one in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} cannot enter an address: {value!r}")


@dataclass(frozen=True, eq=False)
class Stage:
    """A piece of work and the folder of its output.

    Parameters
    ----------
    title : str
        For display; not part of the address.
    home : Path
        Folder of all stages' folders.
    own_folder : Path, optional
        Folder of an output with another address, such as an activation store.
    cost : Cost
        For estimates and scheduling; not part of the address.
    """

    work: Work
    title: str
    home: Path
    own_folder: Path | None = None
    cost: Cost = field(default_factory=Cost)

    @property
    def kind(self) -> str:
        """Kind of the work."""
        return self.work.KIND

    @cached_property
    def inputs(self) -> dict[str, "Stage"]:
        """Stages whose folders are read, by field of the work."""
        return self.work.inputs

    @cached_property
    def params(self) -> dict[str, Any]:
        """All other inputs; JSON."""
        return self.work.params

    @cached_property
    def address(self) -> str:
        """Hash of kind, version, params and the addresses of the inputs."""
        return fingerprint(
            {
                "kind": self.kind,
                "version": self.work.VERSION,
                "params": self.params,
                "inputs": {name: stage.address for name, stage in self.inputs.items()},
            }
        )

    @cached_property
    def folder(self) -> Path:
        """Folder of the output."""
        return self.own_folder or self.home / f"{self.kind}-{self.address}"

    @property
    def done(self) -> bool:
        """Whether the output is complete."""
        return (self.folder / RECORD).is_file()

    @property
    def log(self) -> Path:
        """File that describes a failure; exists only after one."""
        return self.home / f"{self.kind}-{self.address}.log"

    @property
    def lock(self) -> Path:
        """Lock file; exists while the output is computed, and may outlive a killed process."""
        # imported here, because configs import this module and should not load HDF5
        from w2sprobe.cache.locks import LOCK_PREFIX

        return self.home / f"{LOCK_PREFIX}{self.kind}-{self.address}"

    def execute(self) -> float:
        """Compute the output unless it exists; return the seconds spent.

        If several processes want the same output, one computes it and the others wait.
        """
        from w2sprobe.cache.locks import Locks

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
        """Execute; a failure is logged and returned instead of raised."""
        try:
            outcome = Outcome(seconds=self.execute())
        except Exception as error:  # noqa: BLE001 other stages can still run
            return self.failed(error)
        self.log.unlink(missing_ok=True)
        return outcome

    def failed(self, error: Exception) -> Outcome:
        """Describe a failure in the log; return it as an outcome."""
        self._describe(error)
        return Outcome("failed", error=str(error) or type(error).__name__, log=str(self.log))

    def _compute(self) -> float:
        if not self.work.RESUMABLE and self.folder.exists():
            shutil.rmtree(self.folder)  # left by an unfinished run
        make_folder(self.folder)
        start = time.perf_counter()
        self.work.run(self.folder)
        seconds = time.perf_counter() - start
        write_json(
            self.folder / RECORD,
            {
                "kind": self.kind,
                "title": self.title,
                "address": self.address,
                "version": self.work.VERSION,
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
