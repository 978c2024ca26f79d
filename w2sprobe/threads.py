"""How many threads compute, and how they wait for each other: settled before torch loads.

OpenMP's threads wait by spinning, a few milliseconds or more at the end of every loop. On an empty
machine that saves waking them; beside other work, or under a quota, the thread that is waited for
gets no core meanwhile, and training takes several times as long. `docs/benchmarks.md` has figures.
"""

import math
import os
import sys
from functools import cache
from pathlib import Path

THREADS = "OMP_NUM_THREADS"
# By variable: what is set, and which others a user may have said it by. GNU's runtime (torch's
# builds for Linux) reads the first, that of LLVM and Intel (macOS, Windows, conda) the second.
SPIN = {
    "GOMP_SPINCOUNT": ("1000", ("OMP_WAIT_POLICY",)),
    "KMP_BLOCKTIME": ("1", ("OMP_WAIT_POLICY", "KMP_LIBRARY")),
}
WAITING = ("OMP_WAIT_POLICY", "KMP_LIBRARY", *SPIN)  # each says how threads wait
SET_HERE: dict[str, str] = {}  # what this process set itself
TOO_LATE = "torch" in sys.modules  # loaded before this package: it has read its variables


def affinity() -> set[int]:
    """Cores on which the system lets this process run (`taskset`, cpusets, Slurm), by number."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


@cache
def cores_by_quota(root: Path = Path("/")) -> int | None:
    """Cores' worth of time that the process's cgroups grant, rounded up; None without a limit.

    Any of the groups that hold the process can limit it (`docker run --cpus`, Kubernetes, systemd).
    Inside a container their paths may be those of the host, of which only the last part is there.
    """
    mounts = root / "sys/fs/cgroup"
    limits = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, inside = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        for name in (controllers, "cpu") if controllers else ("", "unified"):
            place = mounts / name / inside.strip("/")
            for group in (place, *place.parents):
                if not group.is_relative_to(mounts):
                    break
                quota, period = _quota(group)
                if quota > 0:
                    limits.append(math.ceil(quota / period))
    return min(limits, default=None)


def _quota(group: Path) -> tuple[int, int]:
    """Microseconds granted in each period of microseconds; 0 where there is no limit."""
    quota, _, period = _read(group / "cpu.max").partition(" ")
    if not period:  # version 1 of cgroups
        quota, period = (_read(group / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    return (int(quota), int(period)) if quota.strip().isdecimal() else (0, 1)


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def usable_cores() -> int:
    """How many affinity and quota leave to this process."""
    return min(len(affinity()), cores_by_quota() or len(affinity()))


def asked_threads() -> int | None:
    """What the user asked for in `OMP_NUM_THREADS`; None where it says nothing, or no number."""
    asked = "" if THREADS in SET_HERE else os.environ.get(THREADS, "")
    return int(asked) if asked.isdecimal() and int(asked) else None


def settle() -> None:
    """Set the variables that OpenMP reads when torch loads it, where the user set none.

    OpenMP respects affinity by itself, but no quota.
    """
    if TOO_LATE:
        return
    for name, (value, others) in SPIN.items():
        if not any(one in os.environ for one in (name, *others)):
            SET_HERE[name] = value
    if THREADS not in os.environ and usable_cores() < len(affinity()):
        SET_HERE[THREADS] = str(usable_cores())
    os.environ.update(SET_HERE)
