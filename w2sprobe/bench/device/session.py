"""Runs measurements within a budget of time, stores each as it finishes, and continues later."""

import gc
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from w2sprobe.atomic import check_writable_file, write_json
from w2sprobe.bench.device.peaks import peak_tflops
from w2sprobe.bench.device.row import Row
from w2sprobe.bench.peak_memory import PeakMemory
from w2sprobe.devices import describe_machine
from w2sprobe.errors import InputError, summary_of

PACKAGES = (
    *("w2sprobe", "torch", "transformers", "peft", "faiss-gpu", "faiss-gpu-cuvs", "faiss-cpu"),
    *("cuvs-cu12", "cuvs-cu13"),
)
ROOT = Path(__file__).parents[3]  # of a checkout


@dataclass(frozen=True)
class Part:
    """Measurements that belong together.

    Parameters
    ----------
    name : str
    seconds : float
        Expected on an H100, from operations; the part starts only if so much time is left.
    measure : callable
        Yields the rows.
    """

    name: str
    seconds: float
    measure: Callable[[torch.device], Iterator[Row]]


class Session:
    """Measurements of one device in a JSON file.

    Parameters
    ----------
    path : Path
        Continued where it exists: parts that finished are not measured again; those that failed,
        were skipped or disagreed with their check are.
    sizes : str
        Name of the sizes.

    Raises
    ------
    InputError
        The file holds another device, other sizes, or something else.
    OutputError
        The file cannot be written.
    """

    def __init__(self, path: Path, device: torch.device, sizes: str) -> None:
        check_writable_file(path)
        self._path, self._device = path, device
        header = {"device": _describe(device), "sizes": sizes}
        self.record: dict[str, Any] = {**header, "parts": {}, "failed": {}, "skipped": {}}
        if path.exists():
            self.record = _read(path, self.record)

    def run(
        self,
        parts: list[Part],
        *,
        budget: float,
        clock: Callable[[], float] = time.monotonic,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Measure what is missing, as long as the time lasts.

        Parameters
        ----------
        budget : float
            Seconds; a part that is expected to take more than what is left is skipped and named,
            and one that takes more is stopped.
        say : callable
            Told about every part.
        """
        start = clock()
        for part in parts:
            if self._is_finished(part.name):
                say(f"{part.name}: measured before")
                continue
            for outcome in ("parts", "failed", "skipped"):
                self.record[outcome].pop(part.name, None)
            left = budget - (clock() - start)
            if part.seconds > left:
                reason = f"expected to take {part.seconds:.0f} s, {max(0.0, left):.0f} s were left"
                self.record["skipped"][part.name] = reason
                say(f"{part.name}: skipped, {reason}")
            else:
                say(f"{part.name} ...")
                self._measure(part, left)
                if part.name in self.record["failed"]:
                    say(f"{part.name}: failed: {self.record['failed'][part.name]}")
            write_json(self._path, self.record)

    def problems(self) -> list[str]:
        """Parts that failed, and rows that disagree with their check."""
        rows = [row for part in self.record["parts"].values() for row in part["rows"]]
        return [*self.record["failed"], *(row["name"] for row in rows if not row["agrees"])]

    def _is_finished(self, name: str) -> bool:
        rows = self.record["parts"].get(name, {}).get("rows", [])
        return bool(rows) and all(row["agrees"] for row in rows)

    def _measure(self, part: Part, left: float) -> None:
        """Store the rows of a part, or why it failed: the others still run."""
        start = time.perf_counter()
        try:
            with _Peak(self._device) as peak, _stopped_after(left):
                rows = [row.to_dict() for row in part.measure(self._device)]
        except Exception as error:  # noqa: BLE001 - whatever a driver or library raises
            self.record["failed"][part.name] = f"{type(error).__name__}: {summary_of(error)}"
            return
        self.record["parts"][part.name] = {
            "rows": rows,
            "seconds": time.perf_counter() - start,
            "peak_memory_gb": peak.gigabytes,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": _commit(),
            "versions": {package: found for package in PACKAGES if (found := _version(package))},
        }


@contextmanager
def _stopped_after(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block once its time is over; Windows has no such signal."""
    if sys.platform == "win32":
        yield
        return

    def stop(*_: object) -> None:
        raise TimeoutError(f"stopped after {seconds:.0f} s, as the time was over")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class _Peak:
    """Peak memory inside the block: torch's on a GPU, the process's above its start on a CPU."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._of_process = device, PeakMemory()

    def __enter__(self) -> "_Peak":
        self._of_process.__enter__()
        gc.collect()  # a model of an earlier part may be in a cycle of references
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)
        return self

    def __exit__(self, *error: Any) -> None:
        self._of_process.__exit__(*error)
        self.gigabytes = self._of_process.megabytes / 1e3
        if self._device.type == "cuda":
            self.gigabytes = torch.cuda.max_memory_allocated(self._device) / 1e9


def _describe(device: torch.device) -> dict[str, Any]:
    name, memory = "CPU", 0
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        name, memory = properties.name, properties.total_memory
    return {
        "name": name,
        "memory_gb": round(memory / 1e9, 1),
        "peak_tflops": peak_tflops(name),
        "machine": describe_machine(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str:
    """Commit of the checkout, with a plus where files differ from it; "unknown" without git."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def _read(path: Path, new: dict[str, Any]) -> dict[str, Any]:
    """Read the record of a session that is to be continued."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        held = (record["device"]["name"], record["sizes"])
        complete = all(isinstance(record[key], dict) for key in ("parts", "failed", "skipped"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "not the record of a benchmark on a device",
            where=str(path),
            advice="Choose another --out.",
        ) from error
    wanted = (new["device"]["name"], new["sizes"])
    if held != wanted or not complete:
        raise InputError(
            f"the file holds measurements of {held[0]}, {held[1]} sizes; these are of {wanted[0]}, "
            f"{wanted[1]} sizes",
            where=str(path),
            advice="Choose another --out, or remove the file.",
        )
    return record
