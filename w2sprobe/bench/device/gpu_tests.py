"""The tests that need a GPU, run from the checkout that this package is part of."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from w2sprobe.bench.device.row import Row
from w2sprobe.errors import MissingDependency

ROOT = Path(__file__).parents[3]
MARK = "pytest.mark.gpu"


def gpu_tests(_: torch.device) -> Iterator[Row]:
    """Run them in a process of their own.

    Raises
    ------
    MissingDependency
        The package was installed without its tests.
    """
    # the files are searched for, as pytest would import all tests to find the marked ones
    files = [
        str(file.relative_to(ROOT))
        for file in sorted((ROOT / "tests").rglob("test_*.py"))
        if MARK in file.read_text(encoding="utf-8")
    ]
    if not files:
        raise MissingDependency("the tests are not installed", advice="Run this in a checkout.")
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["no output"]
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    check = "; ".join([lines[-1], *failed])
    yield Row("GPU tests", time.perf_counter() - start, check=check, agrees=done.returncode == 0)
