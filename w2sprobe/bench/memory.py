"""Peak memory of each probe, in processes of their own."""

import subprocess
import sys
from collections.abc import Iterator

from w2sprobe.bench.lines import Line, Size

ROWS, WIDTH = 100_000, 512
LIMIT_MB = 2048.0  # above the data
CALLS = {
    "nearest neighbours, k=50": "nearest_neighbors(X, k=50, exclude_self=True)",
    "kNN path, 10 k to 200": "knn_path(X, y, ks=(1, 2, 5, 10, 20, 35, 50, 75, 100, 200))",
    "logistic path, 10 penalties": "logistic_path(X, y, l2s=np.logspace(-4, 0, 10))",
    "logistic cross-fit, 5 folds": "LogisticProbe().fit(X, y).predict_train_proba(cv=5)",
    "mass-mean, whitened": "MassMeanProbe(whiten=True).fit(X, y).predict_proba(X)",
    "TopoFilter, k=50": "TopoFilter(50, 50).fit(X, y)",
}
SCRIPT = """
import time, warnings
import numpy as np
from w2sprobe.bench.lines import Peak, problem
from w2sprobe.probes import *
warnings.simplefilter("ignore")
def call(X, y):
    {call}
call(*problem(2000, 16))
X, y = problem({rows}, {width})
start = time.perf_counter()
with Peak() as peak:
    call(X, y)
print(time.perf_counter() - start, peak.megabytes)
"""


def memory(size: Size) -> Iterator[Line]:
    """Growth of the peak above what a process holds with its data, against 2 GB."""
    rows = round(ROWS * size.share)
    for name, call in CALLS.items():
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT.format(call=call, rows=rows, width=WIDTH)],
            capture_output=True,
            text=True,
            check=True,
        )
        seconds, megabytes = map(float, done.stdout.split())
        yield Line(
            f"memory above the data, {rows} x {WIDTH}: {name}",
            megabytes,
            LIMIT_MB,
            1.0,
            f"{seconds:.1f} s",
            unit="MB",
        )
