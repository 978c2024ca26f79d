"""Number of threads, and how they wait for each other: set before torch loads.

OpenMP threads wait by spinning for milliseconds at the end of every loop. On an idle machine that
saves waking them up; beside other work, or under a CPU quota, spinning threads take the cores of
those they wait for, and training takes several times as long. `docs/benchmarks.md` has figures.
"""

import math
import os
import sys
from functools import cache
from pathlib import Path

THREADS = "OMP_NUM_THREADS"
# By variable: its value, and other variables by which a user may have set the same. GNU's runtime
# (torch on Linux) reads the first; that of LLVM and Intel (macOS, Windows, conda) the second.
SPIN = {
    "GOMP_SPINCOUNT": ("1000", ("OMP_WAIT_POLICY",)),
    "KMP_BLOCKTIME": ("1", ("OMP_WAIT_POLICY", "KMP_LIBRARY")),
}
WAITING = ("OMP_WAIT_POLICY", "KMP_LIBRARY", *SPIN)  # all variables that say how threads wait
SET_HERE: dict[str, str] = {}  # variables that this process has set
TOO_LATE = "torch" in sys.modules  # torch was loaded first and has read its variables


def affinity() -> set[int]:
    """Numbers of the cores that this process may run on (`taskset`, cpusets, Slurm)."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


@cache
def cores_by_quota(root: Path = Path("/")) -> int | None:
    """CPU quota of the process's cgroups, in cores, rounded up; None without a limit.

    Every cgroup above the process can limit it (`docker run --cpus`, Kubernetes, systemd). Inside a
    container, paths may be those of the host, of which only the last parts exist.
    """
    mounts = root / "sys/fs/cgroup"
    limits = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, inside = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        for name in (controllers, "cpu") if controllers else ("", "unified"):
            own_group = mounts / name / inside.strip("/")
            for group in (own_group, *own_group.parents):
                if not group.is_relative_to(mounts):
                    break
                quota, period = _quota(group)
                if quota > 0:
                    limits.append(math.ceil(quota / period))
    return min(limits, default=None)


def _quota(group: Path) -> tuple[int, int]:
    """Microseconds of CPU time per period, and the period; (0, 1) without a limit."""
    quota, _, period = _read(group / "cpu.max").partition(" ")
    if not period:  # cgroups v1
        quota, period = (_read(group / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    return (int(quota), int(period)) if quota.strip().isdecimal() else (0, 1)


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def usable_cores() -> int:
    """Number of cores that affinity and quota leave to this process."""
    return min(len(affinity()), cores_by_quota() or len(affinity()))


def asked_threads() -> int | None:
    """Value of the user's `OMP_NUM_THREADS`; None if it is unset or no number."""
    asked = "" if THREADS in SET_HERE else os.environ.get(THREADS, "")
    return int(asked) if asked.isdecimal() and int(asked) else None


def settle() -> None:
    """Set the variables that OpenMP reads when torch loads it, unless the user has set them.

    The number of threads is set only under a quota: OpenMP respects affinity by itself.
    """
    if TOO_LATE:
        return
    for name, (value, others) in SPIN.items():
        if not any(variable in os.environ for variable in (name, *others)):
            SET_HERE[name] = value
    if THREADS not in os.environ and usable_cores() < len(affinity()):
        SET_HERE[THREADS] = str(usable_cores())
    os.environ.update(SET_HERE)
