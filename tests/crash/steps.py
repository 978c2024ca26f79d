"""Kills a process before a chosen step on disk, so that every state that a kill can leave is met.

A step is a call that opens, links, renames, deletes or otherwise changes a file or a folder; Python
reports each as an audit event before it happens.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

STEPS = frozenset(
    {
        *("open", "os.mkdir", "os.link", "os.rename", "os.remove", "os.chmod", "os.utime"),
        "tempfile.mkstemp",
    }
)


def die_before_step(folder: Path, number: int) -> None:
    """Send SIGKILL to this process before its step of this number below the folder, from 1."""
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in STEPS and str(arguments[0]).startswith(str(folder)):
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def count_steps(folder: Path, result: Path) -> None:
    """Write one byte to a file for each step below the folder."""
    out = result.open("ab", buffering=0)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in STEPS and str(arguments[0]).startswith(str(folder)):
            out.write(b".")

    sys.addaudithook(hook)
