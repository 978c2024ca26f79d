"""Peak memory of each probe above its data, each in a fresh process."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from types import TracebackType

import psutil

from w2sprobe.bench.measuring import Measurement

WIDTH = 512
ROWS_FACTOR = 10  # memory shows at more rows than time needs
LIMIT_MB = 2048.0
CALLS = {
    "nearest neighbours, k=50": "nearest_neighbors(X, k=50, exclude_self=True)",
    "kNN path, 10 k to 200": "knn_path(X, y, ks=(1, 2, 5, 10, 20, 35, 50, 75, 100, 200))",
    "logistic path, 10 penalties": "logistic_path(X, y, l2s=np.logspace(-4, 0, 10))",
    "logistic cross-fit, 5 folds": "LogisticProbe().fit(X, y).predict_train_proba(cv=5)",
    "mass-mean, whitened": "MassMeanProbe(whiten=True).fit(X, y).predict_proba(X)",
    "TopoFilter, k=50": "TopoFilter(50, 50).fit(X, y)",
}
# the first, small call loads libraries and compiles kernels before anything is measured
SCRIPT = """
import time, warnings
import numpy as np
from w2sprobe.bench.measuring import synthetic_layer
from w2sprobe.bench.peak_memory import PeakMemory
from w2sprobe.probes import *
warnings.simplefilter("ignore")
def call(X, y):
    {call}
call(*synthetic_layer(2000, 16))
X, y = synthetic_layer({rows}, {width})
start = time.perf_counter()
with PeakMemory() as peak:
    call(X, y)
print(time.perf_counter() - start, peak.megabytes)
"""


def memory(rows: int, _: int = WIDTH) -> Iterator[Measurement]:
    """Peak memory of ten times as many rows, always of 512 columns, against 2 GB."""
    n = ROWS_FACTOR * rows
    for name, call in CALLS.items():
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT.format(call=call, rows=n, width=WIDTH)],
            capture_output=True,
            text=True,
            check=True,
        )
        seconds, megabytes = map(float, done.stdout.split())
        name = f"memory above the data, {n} x {WIDTH}: {name}"
        yield Measurement(name, megabytes, LIMIT_MB, f"{seconds:.1f} s", unit="MB")


class PeakMemory:
    """Largest resident memory of this process inside the block, above that at its start."""

    def __enter__(self) -> "PeakMemory":
        self._process, self._stop = psutil.Process(), threading.Event()
        self._before = self._most = self._process.memory_info().rss
        # sampled, as the kernel's own maximum would include the making of the data
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def _sample(self) -> None:
        while not self._stop.wait(0.005):
            self._most = max(self._most, self._process.memory_info().rss)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.megabytes = (self._most - self._before) / 1e6
