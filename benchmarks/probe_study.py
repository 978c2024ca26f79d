"""What a probe study costs beside its parts, and five label vectors beside one.

python -m benchmarks.probe_study [--smoke] [--json] [--preprocess none|center|standardize]
python -m benchmarks.probe_study --study [--cuts 10]

Votes of logistic regression and kNN, held out and fitted, for every label vector, penalty and k, as
`cast_votes` writes them. The parts are reading each layer, its searches, and its solves, each
alone. Every time is the best of a few tries that take turns, so that other work on the machine
falls on all of them. --study runs the preset `probes` (3 tasks x 3 supervisors x cuts; stages in
the cache are not run again) and sets everything beside its votes: supervisors, audits, curations,
indicators, scores, files; but for the activations, which a model computes.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from w2sprobe.bench.measuring import Measurement, synthetic_layer
from w2sprobe.cache import ActivationStore, ActivationWriter
from w2sprobe.experiments.config import load_config
from w2sprobe.experiments.plan import make_plan
from w2sprobe.experiments.runner import run_study
from w2sprobe.experiments.scoring import seconds_of
from w2sprobe.folds import FOLDS, folds_of
from w2sprobe.labels import LabelTable
from w2sprobe.probes import logistic_path, nearest_neighbors
from w2sprobe.probes.preprocess import Preprocessing
from w2sprobe.probing.cast import cast_votes
from w2sprobe.probing.rows import ProbedRows
from w2sprobe.probing.spec import VoteSpec

LAYERS = 6
L2S = np.logspace(-4, 3, 12).tolist()
KS = (1, 5, 10, 20, 50, 100, 200, 400)
WIDE = {0: 30.0, 1: 100.0, 2: 300.0}  # coordinates that hold most of the variance, as in models


def make_store(folder: Path, n_rows: int, width: int) -> tuple[ActivationStore, np.ndarray]:
    """Layers of a store, and the label vectors of all rows: truth, weak, noise and two more."""
    X, soft = synthetic_layer(n_rows, width)
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
        """Every vote of every layer, written to a folder."""
        ids = self.store.ids
        labels = {
            str(number): LabelTable(ids[: self.n_train], soft)
            for number, soft in enumerate(self.labels[:n_vectors])
        }
        spec = VoteSpec(probes={"knn": tuple(self.ks), "logistic": tuple(L2S)}, preprocess=self.how)
        rows = ProbedRows("train", ids[: self.n_train], {"test": ids[self.n_train :]})
        with tempfile.TemporaryDirectory(prefix="w2sprobe-bench-") as folder:
            cast_votes(self.store, spec, rows, labels, Path(folder) / "votes")

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


def lines(n_train: int, n_test: int, width: int, how: str, repeats: int) -> list[Measurement]:
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
        Measurement(
            f"{size}, {many} vectors | its parts", five, reading + searching + solving, parts
        ),
        Measurement(f"{size}, {many} vectors | one vector", five, one),
    ]


def study_lines(cuts: int, cache: Path) -> list[Measurement]:
    """A whole study beside its votes."""
    start = time.perf_counter()
    config = load_config("probes", [f"splits={cuts}"])
    with tempfile.TemporaryDirectory(prefix="w2sprobe-bench-") as out:
        plan = make_plan(config, cache=cache, out=Path(out))
        before = {stage.address for stage in plan.stages if stage.done}
        study = run_study(plan, Path(out))
    seconds = time.perf_counter() - start
    if study.failures:
        raise SystemExit(f"stages failed: {study.failures[0]}")
    spent: dict[str, float] = {}
    for stage in plan.stages:
        if stage.address not in before:
            spent[stage.kind] = spent.get(stage.kind, 0.0) + seconds_of(stage)
    votes = spent.get("votes", 0.0)
    ours = seconds - spent.get("extract", 0.0)
    parts = ", ".join(f"{kind} {value:.0f}" for kind, value in sorted(spent.items())) + " s"
    name = f"study of 3 tasks x {cuts} cuts x 3 supervisors | its votes"
    return [Measurement(name, ours, votes, parts)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="smallest size")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--preprocess", default="standardize")
    parser.add_argument("--study", action="store_true", help="the preset probes, whole")
    parser.add_argument("--cuts", type=int, default=10)
    options = parser.parse_args()
    size = (60, 40, 16) if options.smoke else (2400, 2000, 576)
    if options.study:
        found = study_lines(options.cuts, Path(os.environ.get("W2SPROBE_CACHE", "cache")))
    else:
        found = lines(*size, options.preprocess, 1 if options.smoke else 3)
    if options.json:
        print(json.dumps([line.to_dict() for line in found], indent=2))
        return
    for line in found:
        print(
            f"{line.name:<62} {line.ours:7.2f} s {line.peer:7.2f} s {line.ratio:6.2f}   "
            f"{line.agreement}"
        )


if __name__ == "__main__":
    main()
