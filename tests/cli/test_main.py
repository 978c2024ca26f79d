"""How the command line ends."""

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """

import signal
from w2sprobe import cli

signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background ignore it

def work(**_):
    exec("import os; os.kill(os.getpid(), {signal}); [None for _ in range(10**8)]")

cli.root.main = work
cli.main()
"""


@pytest.mark.parametrize(("signal", "status"), [("signal.SIGTERM", 143), ("signal.SIGINT", 130)])
def test_an_interrupt_inside_made_code_has_its_own_status(
    signal: str, status: int, tmp_path: Path
) -> None:
    code = CODE.replace("{signal}", "__import__('signal')." + signal.removeprefix("signal."))
    (tmp_path / "interrupted.py").write_text(code)
    command = [sys.executable, "-m", "interrupted"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "Interrupted" in done.stderr) == (status, True), done.stderr
