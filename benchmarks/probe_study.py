"""What a layer of a probe study costs beside its parts, and five label vectors beside one.

python -m benchmarks.probe_study [--smoke] [--json] [--preprocess none|center|standardize]

Held-out and fitted votes of logistic regression and kNN for every label vector, penalty and k.
The parts are reading each layer, its searches, and its solves, each alone. Every time is the best
of a few tries that take turns, so that other work on the machine falls on all of them.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from w2sprobe.bench.lines import Line, problem
from w2sprobe.cache import ActivationStore, ActivationWriter
from w2sprobe.folds import FOLDS, folds_of
from w2sprobe.probes import (
    knn_cross_fit,
    knn_path,
    logistic_cross_fit_path,
    logistic_path,
    nearest_neighbors,
)
from w2sprobe.probes.estimator import linear
from w2sprobe.probes.preprocess import Preprocessing

LAYERS = 6
L2S = np.logspace(-4, 3, 12).tolist()
KS = (1, 5, 10, 20, 50, 100, 200, 400)
WIDE = {0: 30.0, 1: 100.0, 2: 300.0}  # coordinates that hold most of the variance, as in models


def make_store(folder: Path, n_rows: int, width: int) -> tuple[ActivationStore, np.ndarray]:
    """Layers of a store, and the label vectors of all rows: truth, weak, noise and two more."""
    X, soft = problem(n_rows, width)
    for column, times in WIDE.items():
        X[:, column] *= times
    random = np.random.default_rng(1)
    truth = (soft > 0.5).astype(np.float64)
    vectors = [
        truth,
        soft,
        np.where(random.random(n_rows) < 0.25, 1 - truth, truth),
        np.clip(soft + 0.3 * random.normal(size=n_rows), 0, 1),
        random.permutation(soft),
    ]
    writer = ActivationWriter.create(
        folder,
        identity={},
        ids=[str(row) for row in range(n_rows)],
        layers=range(LAYERS),
        hidden_size=width,
        dtype="bfloat16",
    )
    for index, rows in writer.missing():
        bits = (X[rows].view(np.uint32) >> 16).astype(np.uint16)
        # the same values in other columns: other layers, no other difficulty
        writer.write_shard(index, {layer: np.roll(bits, layer, axis=1) for layer in range(LAYERS)})
    return writer.finish({}), np.stack(vectors)


class Work:
    """Layers of a study, whole and in parts."""

    def __init__(self, store: ActivationStore, labels: np.ndarray, n_train: int, how: str) -> None:
        self.store, self.n_train, self.how = store, n_train, how
        self.labels = labels[:, :n_train]
        self.ks = [k for k in KS if k <= n_train // 2]
        folds = folds_of(n_train, FOLDS)
        # of a fit on all rows too, which leaves nobody out
        self.outside = [folds != fold for fold in (*range(FOLDS), -1)]
        # what searches and solves are given is no part of either
        self.layers = [
            (moved.apply(both[:n_train]), moved.apply(both[n_train:]))
            for both in map(store.read, store.layers)
            for moved in [Preprocessing.fit(both[:n_train], how)]
        ]

    def whole(self, n_vectors: int) -> None:
        """Every vote of every layer."""
        soft = self.labels[:n_vectors]
        for layer in self.store.layers:
            both = self.store.read(layer)
            X, Q = both[: self.n_train], both[self.n_train :]
            _, coef, intercept = logistic_cross_fit_path(X, soft, l2s=L2S, preprocess=self.how)
            for vector in range(n_vectors):
                linear(Q, coef[vector], intercept[vector])
            knn_cross_fit(X, soft, ks=self.ks, preprocess=self.how)
            knn_path(X, soft, Q, ks=self.ks, preprocess=self.how)

    def read(self) -> None:
        for layer in self.store.layers:
            self.store.read(layer)

    def search(self) -> None:
        for X, Q in self.layers:
            asked = [X[~rows] for rows in self.outside[:-1]]
            for rows, queries in zip(self.outside, [*asked, Q], strict=True):
                nearest_neighbors(X[rows], queries, k=max(self.ks))

    def solve(self) -> None:
        for X, _ in self.layers:
            for rows in self.outside:
                logistic_path(X[rows], self.labels[:, rows], l2s=L2S)


def best_of(repeats: int, *parts: Callable[[], None]) -> list[float]:
    """Least seconds of each part, in turns."""
    seconds = np.full((repeats, len(parts)), np.inf)
    for turn in range(repeats):
        for number, part in enumerate(parts):
            start = time.perf_counter()
            part()
            seconds[turn, number] = time.perf_counter() - start
    return seconds.min(axis=0).tolist()


def lines(n_train: int, n_test: int, width: int, how: str, repeats: int) -> list[Line]:
    with tempfile.TemporaryDirectory(prefix="w2sprobe-bench-") as folder:
        store, labels = make_store(Path(folder) / "store", n_train + n_test, width)
        work = Work(store, labels, n_train, how)
        many = len(labels)
        work.whole(1)  # threads, compiled code, work space
        five, one, reading, searching, solving = best_of(
            repeats,
            lambda: work.whole(many),
            lambda: work.whole(1),
            work.read,
            work.search,
            work.solve,
        )
    size = f"{LAYERS} layers x {len(L2S)} penalties x {len(work.ks)} k"
    parts = f"read {reading:.2f}, search {searching:.2f}, solve {solving:.2f} s"
    return [
        Line(
            f"{size}, {many} vectors | its parts", five, reading + searching + solving, 1.3, parts
        ),
        Line(f"{size}, {many} vectors | one vector", five, one, 1.6),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="smallest size")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--preprocess", default="standardize")
    options = parser.parse_args()
    size = (60, 40, 16) if options.smoke else (2400, 2000, 576)
    found = lines(*size, options.preprocess, 1 if options.smoke else 3)
    if options.json:
        print(json.dumps([line.to_dict() for line in found], indent=2))
        return
    for line in found:
        print(
            f"{line.name:<62} {line.ours:7.2f} s {line.peer:7.2f} s {line.ratio:6.2f} "
            f"(at most {line.target:g})   {line.agreement}"
        )


if __name__ == "__main__":
    main()
