"""Stages: a function and its inputs; their fingerprint is the address of the output folder.

`stage.json` is written last, so a folder without it is visibly unfinished. What is done is a
directory listing: rerunning, resuming and dry runs need nothing else.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from w2sprobe.atomic import make_folder, write_json
from w2sprobe.fingerprint import fingerprint

# Raise a number when that stage's code computes something else than before.
VERSIONS = {
    "audit": 1,
    "train": 1,
    "extract": 1,
    "probe": 2,
    "curate": 2,
    "relabel": 1,
    "zero_shot": 1,
}
RECORD = "stage.json"


@dataclass(frozen=True)
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
    """

    kind: str
    title: str
    params: dict[str, Any]
    run: Callable[[Path], None]
    home: Path
    inputs: dict[str, "Stage"] = field(default_factory=dict)
    place: Path | None = None
    resumable: bool = False

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

    def execute(self) -> float:
        """Compute the output, unless it is there; return the seconds spent."""
        if self.done:
            return 0.0
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
