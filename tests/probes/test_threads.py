import os
import subprocess
import sys

import numpy as np
import pytest

from w2sprobe.probes import _threads
from w2sprobe.probes._threads import in_parts, n_threads


def mark(times: np.ndarray, low: int, high: int) -> None:
    times[low:high] += 1


@pytest.mark.parametrize("threads", [1, 3, 8])
@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_parts_cover_every_row_once(n: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_threads, "n_threads", lambda: threads)
    times = np.zeros(n + 1, dtype=int)
    in_parts(mark, n, times)
    np.testing.assert_array_equal(times, [1] * n + [0])


def test_an_error_in_a_part_is_raised() -> None:
    def fail(low: int, high: int) -> None:
        raise ZeroDivisionError(f"rows {low} to {high}")

    with pytest.raises(ZeroDivisionError, match="rows 0 to"):
        in_parts(fail, 5)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("", 4), ("1", 1), ("3", 3), ("64", 4), ("0", 4), ("-2", 4), ("4,2", 4), ("many", 4)],
)
def test_omp_num_threads_lowers_the_threads(
    asked: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_threads, "usable_cores", lambda: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert n_threads() == expected


FORKED = """
import os, signal
import numpy as np
from w2sprobe.probes import nearest_neighbors
X = np.random.default_rng(0).normal(size=(50, 4))
nearest_neighbors(X, k=3, backend="symmetric")
child = os.fork()
if not child:
    signal.alarm(8)  # kills a child that waits for threads which only its parent has
    nearest_neighbors(X, k=3, backend="symmetric")
    os._exit(0)
raise SystemExit(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_threads_of_its_own() -> None:
    # data loaders, `datasets.map(num_proc=...)` and joblib's multiprocessing fork
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKED], check=False, timeout=100)
    assert done.returncode == 0
