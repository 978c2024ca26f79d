"""Processes that start with everything loaded: a fresh interpreter would take seconds each time."""

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

FORKS = multiprocessing.get_context("forkserver")
# one server for all tests of a process, so one list
FORKS.set_forkserver_preload(
    [
        *("tests.tiny", "w2sprobe.audit", "w2sprobe.experiments.runner", "w2sprobe.extraction"),
        *("w2sprobe.reporting.figures", "scipy.stats", "tests.frozen"),
    ]
)
OUTPUTS = ("stdout", "stderr")


def call_forked(work: Callable[..., None], *arguments: Any) -> "CompletedProcess[str]":
    """Do the work in a process of its own; return what it printed, and its status."""
    with tempfile.TemporaryDirectory() as output:
        process = FORKS.Process(target=_print_to, args=(Path(output), work, arguments))
        process.start()
        process.join()
        assert process.exitcode is not None
        out, err = ((Path(output) / name).read_text() for name in OUTPUTS)
    return CompletedProcess(arguments, process.exitcode, out, err)


def command_line(folder: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Be `w2sprobe` in a folder."""
    from w2sprobe.cli import main

    os.chdir(folder)
    os.environ.clear()
    os.environ |= environment
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    sys.argv = ["w2sprobe", *arguments]
    main()


def _print_to(output: Path, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    for number, name in enumerate(OUTPUTS, start=1):
        os.dup2(os.open(output / name, os.O_WRONLY | os.O_CREAT), number)
    work(*arguments)
