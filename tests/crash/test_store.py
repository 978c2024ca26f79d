"""A writer killed before every step on disk, resumed, and compared with an uninterrupted one.

Run as a program, it forks the writers: a small process without torch forks in milliseconds.
"""

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.cache.cases import complete, contents, values, writer
from tests.crash.steps import count_steps, die_before_step
from w2sprobe.cache import ActivationStore

ROOT = Path(__file__).parents[2]


def write(folder: Path) -> None:
    data = values("float32")
    with writer(folder) as store:
        for index, rows in store.claims():
            store.write_shard(index, {layer: part[rows] for layer, part in data.items()})
        store.finish({"note": 1})


def write_and_count(folder: Path, result: Path) -> None:
    count_steps(folder, result)
    write(folder)


def write_and_die(folder: Path, step: int) -> None:
    die_before_step(folder, step)
    write(folder)


def forked(function: Callable[..., None], *arguments: object) -> int:
    """Exit code of a function in a process of its own."""
    child = os.fork()
    if not child:
        try:
            function(*arguments)
        except BaseException:  # noqa: BLE001 - the parent learns it from the exit code
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_at_every_step(root: Path) -> None:
    assert forked(complete, root / "whole") == 0
    assert forked(write_and_count, root / "counted", root / "steps") == 0
    n_steps = len((root / "steps").read_bytes())
    assert n_steps > 40
    halfway = 0
    for step in range(1, n_steps + 1):
        folder = root / f"cut{step}"
        assert forked(write_and_die, folder, step) == -signal.SIGKILL
        finished = {file: file.stat().st_mtime_ns for file in folder.glob("shards/0*.h5")}
        halfway += 0 < len(finished) < 3
        check_readable(folder)
        assert forked(write, folder) == 0
        assert contents(folder) == contents(root / "whole"), step
        # a finished shard is not written again
        assert all(file.stat().st_mtime_ns == at for file, at in finished.items())
    assert halfway > n_steps / 4


def check_readable(folder: Path) -> None:
    """Whatever a kill leaves, a reader sees sound rows or no store."""
    if (folder / "manifest.json").exists():
        store = ActivationStore.open(folder, partial=True)
        rows = np.flatnonzero(store.available)
        np.testing.assert_array_equal(store.read(3, rows), values("float32")[3][rows])


def test_a_kill_at_any_step_loses_nothing_that_was_finished(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash.test_store", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},  # none to fork
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    kill_at_every_step(Path(sys.argv[1]))
