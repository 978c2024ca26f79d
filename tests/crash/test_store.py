"""A writer killed at random moments, resumed, and compared with an uninterrupted one."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.cache.cases import contents

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from w2sprobe.cache import ActivationWriter

print("ready", flush=True)
store = ActivationWriter.create(
    Path(sys.argv[1]), identity={"a": 1}, ids=[f"r{n}" for n in range(400)],
    layers=range(8), hidden_size=64, dtype="float32", rows_per_shard=10,
)
for index, rows in store.missing():
    random = np.random.default_rng(index)
    states = {layer: random.normal(size=(10, 64)).astype("f4") for layer in range(8)}
    store.write_shard(index, states)
store.finish({})
"""


def run(folder: Path, seconds: float | None) -> int:
    """Exit status of a writer that is killed so many seconds after its start."""
    writer = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder)], stdout=subprocess.PIPE, text=True
    )
    with writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        if seconds is not None:
            time.sleep(seconds)
            writer.send_signal(signal.SIGKILL)
        return writer.wait()


def test_kills_lose_nothing_that_was_finished(tmp_path: Path) -> None:
    start = time.perf_counter()
    assert run(tmp_path / "whole", None) == 0
    duration = time.perf_counter() - start
    moments = random.Random(0)
    killed = 0
    for attempt in range(6):
        folder = tmp_path / f"cut{attempt}"
        killed += run(folder, moments.uniform(0, duration / 2)) == -signal.SIGKILL
        if (folder / "shards").exists():
            before = {f: f.stat().st_mtime_ns for f in (folder / "shards").glob("0*.h5")}
        else:
            before = {}
        assert run(folder, None) == 0
        assert contents(folder) == contents(tmp_path / "whole")
        # a finished shard is not written again
        assert all(file.stat().st_mtime_ns == at for file, at in before.items())
    assert killed >= 3
