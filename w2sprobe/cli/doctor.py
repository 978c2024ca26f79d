"""`w2sprobe doctor`."""

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import psutil
from threadpoolctl import threadpool_info

from w2sprobe import threads
from w2sprobe.assets import ASSETS, home, is_fetched
from w2sprobe.cli import _options

PACKAGES = (
    "torch", "transformers", "peft", "h5py", "scikit-learn", "numpy", "numba", "datasets", "gguf",
    "cleanlab",
)  # fmt: skip
SEARCHED = (2048, 1024)  # rows and columns of the timed search
BACKENDS = {"torch": "torch", "numpy": "symmetric", "faiss": "faiss-cpu"}  # by library
LOAD_SECONDS = 0.5  # over which the load of other processes is measured
TIMEOUT = 120  # seconds; two OpenMP runtimes in one process may hang instead of crash
SLOW = 0.5  # share of the fastest library's speed, below which a BLAS kernel is called slow
NO_TORCH = (
    "no torch: models, probes and searches need it; on a machine without a GPU install a CPU build "
    "of torch, elsewhere run `pip install torch`"
)
TOO_LATE = (
    "torch was imported before w2sprobe, too late to set how its threads wait: while other "
    "processes run, torch may take many times as long. Import w2sprobe first, or set "
    "GOMP_SPINCOUNT=1000 yourself"
)
# run with torch and faiss imported in either order
CRASH_TEST = """
import sys
import {first}, {second}
import numpy as np
if sys.platform == "darwin":
    faiss.omp_set_num_threads(1)  # as w2sprobe does
X = np.random.default_rng(0).normal(size=(4000, 64)).astype("f4")
for _ in range(3):
    (torch.from_numpy(X) @ torch.from_numpy(X).T).topk(5)
    faiss.knn(X, X, 5)
    torch.nn.Linear(512, 512)(torch.ones(64, 512)).sum().backward()
"""


@click.command("doctor")
@_options.common
def command(as_json: bool) -> None:
    """Check this machine: packages, cores, speed, OpenMP, GPU.

    Detects a slow BLAS, crashes when torch and FAISS are loaded together, and what is missing to
    use a GPU. Exits with status 1 if torch is missing.

    \b
    Example:
      w2sprobe doctor
    """
    facts, advice = examine()
    if as_json:
        click.echo(json.dumps({"facts": facts, "advice": advice}, indent=2))
    else:
        width = max(map(len, facts))
        for name, value in facts.items():
            click.echo(f"{name:<{width}}  {value}")
        for line in advice:
            click.echo(f"! {line}")
    if not _is_installed("torch"):
        sys.exit(1)


def examine() -> tuple[dict[str, str], list[str]]:
    """Collect facts by name, and advice on what is missing."""
    facts = {
        "python": f"{sys.version.split()[0]} ({sys.executable})",
        "platform": platform.platform(),
    }
    for package in PACKAGES:
        facts[package] = _version(package)
    facts["cores"], advice = _cores()
    computing, more = _computing() if _is_installed("torch") else ({}, [NO_TORCH])
    facts |= computing
    advice += more
    for name, folder in (("cache", _options.cache_folder()), ("assets", home())):
        facts[name] = f"{folder.absolute()}, {_free(folder) / 1e9:.1f} GB free"
    fetched = [name for name in ASSETS if is_fetched(name)]
    facts["fetched"] = ", ".join(fetched) or "nothing; w2sprobe fetch demo"
    return facts, advice


def _computing() -> tuple[dict[str, str], list[str]]:
    """Facts about torch, FAISS and GPUs, and advice."""
    import torch

    from w2sprobe.devices import gpus

    facts = {
        "torch build": f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU",
        "devices": ", ".join(gpus()) or "CPU",
    }
    facts["OpenMP"], advice = _openmp()
    facts["faiss"], faiss_on_gpu = _faiss()
    if not facts["faiss"].startswith(("CPU", "GPU")):
        advice.append("no faiss: install w2sprobe[cpu], or w2sprobe[gpu] on a machine with a GPU")
    crash: list[str] = []
    if facts["faiss"].startswith(("CPU", "GPU")):
        facts["faiss beside torch"], crash = _check_imports()
    facts["float32 products"], slow = _search_speed(with_faiss=not crash)
    advice += crash + slow
    if not torch.version.cuda:
        advice.append("for GPU use: a CUDA build of torch is missing")
    elif not gpus():
        advice.append("for GPU use: torch sees no GPU; is a driver installed?")
    if not faiss_on_gpu:
        advice.append("for GPU use: faiss with GPU support is missing; install w2sprobe[gpu]")
    return facts, advice


def _cores() -> tuple[str, list[str]]:
    """Cores that this process may use, and advice if other processes occupy some."""
    ours, quota = threads.affinity(), threads.cores_by_quota()
    percent = psutil.cpu_percent(LOAD_SECONDS, percpu=True)
    others = sum(each for core, each in enumerate(percent) if core in ours) / 100
    usable = threads.usable_cores()
    fact = (
        f"{usable} usable of {len(percent)}: {len(ours)} by affinity, "
        f"{f'{quota} by' if quota else 'no'} quota; other processes take {others:.1f} of them"
    )
    free = max(round(len(ours) - others), 1)
    if free >= min(usable, threads.asked_threads() or usable):
        return fact, []
    return fact, [
        f"other processes take {others:.1f} of {len(ours)} cores, and parallel loops wait for "
        f"their slowest thread: set {threads.THREADS}={free} while these run"
    ]


def _openmp() -> tuple[str, list[str]]:
    """OpenMP runtimes, number of threads, and the variables that set these and how threads wait."""
    import torch

    runtimes = [
        f"{each['prefix']} ({Path(each['filepath']).parent})"
        for each in threadpool_info()
        if each["user_api"] == "openmp"
    ]
    is_set = any(name in os.environ for name in threads.WAITING)
    variables = [
        f"{name}={os.environ[name]} set by {'w2sprobe' if name in threads.SET_HERE else 'you'}"
        for name in (threads.THREADS, *threads.WAITING)
        if name in os.environ
    ]
    fact = f"{', '.join(runtimes) or 'none'}; {torch.get_num_threads()} threads; "
    fact += ", ".join(variables) or "nothing set"
    if threads.TOO_LATE and not is_set:
        return fact, [TOO_LATE]
    return fact, []


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _faiss() -> tuple[str, bool]:
    """Build and version of FAISS, and whether it can use a GPU."""
    if not _is_installed("faiss"):
        return "not installed", False
    import faiss

    gpu = hasattr(faiss, "StandardGpuResources")
    return f"{'GPU' if gpu else 'CPU'} build {faiss.__version__}", gpu and faiss.get_num_gpus() > 0


def _search_speed(*, with_faiss: bool) -> tuple[str, list[str]]:
    """Speed of float32 matrix products per library, and advice if one is slow."""
    import numpy as np
    import torch

    from w2sprobe.probes.backends import has_faiss, import_faiss

    X = np.random.default_rng(0).normal(size=SEARCHED).astype(np.float32)
    tensor = torch.from_numpy(X)
    products: dict[str, Callable[[], object]] = {
        "torch": lambda: tensor @ tensor.T,
        "numpy": lambda: X @ X.T,
    }
    if with_faiss and has_faiss():
        products["faiss"] = lambda: import_faiss().knn(X, X, 10)
    speed = {
        name: 2 * SEARCHED[0] * X.size / _best_of(3, work) / 1e9 for name, work in products.items()
    }
    fact = ", ".join(f"{name} {value:.0f}" for name, value in speed.items()) + " GFLOP/s"
    kernel = os.environ.get("OPENBLAS_CORETYPE")
    cause = f"OPENBLAS_CORETYPE is {kernel!r}: unset it" if kernel else "its BLAS is slow here"
    fastest = max(speed, key=lambda name: speed[name])
    return fact, [
        f"{name} multiplies at {value:.0f} of {speed[fastest]:.0f} GFLOP/s; {cause}, or search "
        f"with --backend {BACKENDS[fastest]}"
        for name, value in speed.items()
        if value < SLOW * speed[fastest]
    ]


def _check_imports() -> tuple[str, list[str]]:
    """Check that torch and FAISS work in one process, imported in either order."""
    for order in (("torch", "faiss"), ("faiss", "torch")):
        code = CRASH_TEST.format(first=order[0], second=order[1])
        command = [sys.executable, "-c", code]
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            done = subprocess.CompletedProcess(command, 1, b"", b"(it hangs)")
        if done.returncode:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            advice = (
                f"a process that loads {order[0]} and then {order[1]} dies with "
                f"{done.returncode} {' '.join(last)}: two OpenMP runtimes; install both from "
                "conda, or uninstall faiss: searches then use compiled loops and torch"
            )
            return "crash", [advice]
    return "both orders work", []


def _best_of(repeats: int, work: Callable[[], object]) -> float:
    """Least seconds of several calls."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def _free(folder: Path) -> int:
    while not folder.exists():
        folder = folder.absolute().parent
    return shutil.disk_usage(folder).free
