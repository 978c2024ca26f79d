"""Stages: a piece of work and the folder of its output, whose address is what the work reads.

`stage.json` is written last, so a folder without it is visibly unfinished. What is done is a
directory listing: rerunning, resuming and dry runs need nothing else.
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


# metadata of a field that the output does not depend on: a device, a folder of a cache
ASIDE: Final = {"aside": True}


@dataclass(frozen=True)
class Work:
    """What a stage computes. Its fields are all that it reads, and its address is made of them.

    A subclass is a frozen dataclass with `run`. A field may hold a `Stage`, or a dict of them: the
    output of these is read from their folders. Fields whose metadata is `ASIDE` do not enter the
    address.
    """

    KIND: ClassVar[str]
    VERSION: ClassVar[int] = 1  # raise it when the same fields give another output than before
    RESUMABLE: ClassVar[bool] = False  # `run` goes on from what an earlier try has left

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
        """All else that the output depends on; JSON."""
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
    """JSON that is equal for values that give the same output.

    Raises
    ------
    TypeError
        A value of a type that has no identity, such as a path: its content may change.
    """
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Rows):
        return value.identity
    if isinstance(value, Splits):
        return {name: rows.identity for name, rows in value.items()}
    known = getattr(value, "identity", None)  # models, training settings, functions of the user's
    if known is not None:
        return known
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
    """A piece of work and where its output lies.

    Parameters
    ----------
    work : Work
    title : str
        For people; not part of the address.
    home : Path
        Where stage folders lie.
    own_folder : Path, optional
        Folder of the output where it has an address of its own (stores).
    cost : Cost
        For estimates and for schedulers; not part of the address.
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
        """All else that the output depends on; JSON."""
        return self.work.params

    @cached_property
    def address(self) -> str:
        """Fingerprint of kind, version, params and the inputs' addresses."""
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
        """Where the output is, or will be."""
        return self.own_folder or self.home / f"{self.kind}-{self.address}"

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
        from w2sprobe.cache.locks import LOCK_PREFIX  # configs name stages, and load no HDF5

        return self.home / f"{LOCK_PREFIX}{self.kind}-{self.address}"

    def execute(self) -> float:
        """Compute the output, unless it is there; return the seconds spent.

        Of several processes that want the same output one computes it; the others wait.
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
        if not self.work.RESUMABLE and self.folder.exists():
            shutil.rmtree(self.folder)  # an earlier try that did not finish
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
