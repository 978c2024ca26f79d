"""Kills a process before a chosen step on disk, so that every state that a kill can leave is met.

A step is a call that changes a file or a folder: it opens for writing, links, renames, deletes and
so on. Python reports each as an audit event before it happens. Reading changes nothing, and what is
written between two steps goes to temporary files.
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
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def is_step(folder: Path, event: str, arguments: tuple[Any, ...]) -> bool:
    if event not in STEPS or not str(arguments[0]).startswith(str(folder)):
        return False
    return event != "open" or bool(arguments[2] & WRITING)


def die_before_step(folder: Path, number: int) -> None:
    """Send SIGKILL to this process before its step of this number below the folder, from 1."""
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if is_step(folder, event, arguments):
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def count_steps(folder: Path, result: Path) -> None:
    """Write one byte to a file for each step below the folder."""
    out = result.open("ab", buffering=0)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if is_step(folder, event, arguments):
            out.write(b".")

    sys.addaudithook(hook)
