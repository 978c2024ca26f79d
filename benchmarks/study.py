"""A study of stubs: what an engine costs a stage, and how well Ray fills two workers.

python -m benchmarks.study [--smoke] [--tasks N] [--seeds N] [--seconds S]

25 tasks x 14 methods x 3 seeds, with the stages and dependencies of real ones; each stage takes its
task's rows and writes a small file. Ray runs one of the seeds, whose stages sleep first; that
those of language models each get a new process is left out there, and timed by itself.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import psutil
import ray

from w2sprobe.data import Rows
from w2sprobe.experiments.engines import run_local
from w2sprobe.experiments.ray_engine import run_ray
from w2sprobe.experiments.stages import Cost, Stage, Work

WORKERS = 2
N_ROWS, TEXT = 11_000, "word " * 80  # of a task
LENGTHS = {"train": 1.6, "relabel": 0.4, "extract": 0.8, "curate": 0.2, "probe": 0.2, "audit": 0.2}
LOSSES = ("student", "student_logconf", "student_entropy", "student_window")
CURATED = ("knn_relabel", "logistic_relabel", "knn_filter", "logistic_filter", "topofilter")
PROBES = ("knn_probe", "logistic_probe")
FRESH = 6  # model stages whose processes are timed
TARGETS = {"overhead": 50.0, "memory": 1.1, "again": 1.0, "ratio": 1.15}


@dataclass(frozen=True)
class Stub(Work):
    """Sleeps, and leaves a small file."""

    KIND: ClassVar[str] = "train"

    kind: str
    title: str
    rows: Rows
    seed: int
    seconds: float
    inputs_: dict[str, Stage]

    def run(self, folder: Path) -> None:
        time.sleep(self.seconds)
        (folder / "labels.txt").write_text(str(len(self.rows)))


@dataclass
class Study:
    """Stages in an order in which every one follows its inputs."""

    home: Path
    seconds: float
    stages: list[Stage]

    def add(self, kind: str, title: str, rows: Rows, *inputs: Stage, seed: int = 0) -> Stage:
        named = {f"input{number}": stage for number, stage in enumerate(inputs)}
        work = Stub(kind, title, rows, seed, self.seconds * LENGTHS[kind], named)
        self.stages.append(Stage(work, title, self.home))
        return self.stages[-1]

    def add_experiment(self, rows: Rows, store: Stage, seed: int) -> None:
        def add(kind: str, title: str, *inputs: Stage) -> Stage:
            return self.add(kind, title, rows, *inputs, seed=seed)

        weak = add("train", "weak")
        add("train", "ceiling")
        before = {loss: add("train", loss, weak) for loss in LOSSES}["student"]
        for number in (1, 2):
            labels = add("relabel", f"labels {number}", weak, before)
            before = add("train", f"strong_to_strong_{number}", labels)
        for probe in PROBES:
            add("probe", probe, store, weak)
        for name in CURATED:
            like = add("curate", f"{name} labels", store, weak)
            add("train", name, like)
        add("train", "random_filter", add("curate", "random labels", weak, like))


def make_study(home: Path, tasks: int, seeds: int, seconds: float) -> list[Stage]:
    study = Study(home, seconds, [])
    for task in range(tasks):
        ids = np.array([f"{task}-{row}" for row in range(N_ROWS)])
        texts = [f"{TEXT}{row}" for row in ids]
        rows = Rows(ids, texts, np.arange(N_ROWS) % 2, name=f"task{task}")
        study.add("audit", "audit", rows)
        store = study.add("extract", "store", rows)
        for seed in range(seeds):
            study.add_experiment(rows, store, seed)
    return study.stages


def ideal_seconds(stages: list[Stage]) -> float:
    """Sum over workers, or the longest chain if that is more."""
    lengths = {stage.address: stage.work.seconds for stage in stages}
    ends: dict[str, float] = {}
    for stage in stages:
        begin = max((ends[source.address] for source in stage.inputs.values()), default=0.0)
        ends[stage.address] = begin + lengths[stage.address]
    return max(sum(lengths.values()) / WORKERS, *ends.values())


@contextmanager
def timed(name: str, found: dict[str, float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    found[name] = time.perf_counter() - start


def show(what: str, value: str, measured: float, target: str) -> None:
    good = "pass" if measured <= TARGETS[target] else "FAIL"
    print(f"{what:44}{value:>28}   target {TARGETS[target]:g}   {good}", flush=True)


def measure_local(home: Path, tasks: int, seeds: int) -> None:
    stages, took = make_study(home, tasks, seeds, 0.0), dict[str, float]()
    process = psutil.Process()
    before = process.memory_info().rss
    with timed("first", took):
        run_local(stages)
    growth = process.memory_info().rss / before
    each = 1e3 * took["first"] / len(stages)
    with timed("again", took):
        run_local(make_study(home, tasks, seeds, 0.0))
    again = 1e3 * took["again"] / len(stages)
    print(f"{len(stages)} stages, {tasks} tasks of {N_ROWS} rows, {seeds} seeds")
    show("local: overhead a stage", f"{each:.1f} ms", each, "overhead")
    show("local: resident memory, after / before", f"{growth:.3f}", growth, "memory")
    show("local: all done before, a stage, planning too", f"{again:.2f} ms", again, "again")


def measure_ray(home: Path, tasks: int, seconds: float) -> None:
    took = dict[str, float]()
    with timed("start", took):
        ray.init(
            "local",
            num_cpus=WORKERS,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
    stages = make_study(home, tasks, 1, seconds)
    with timed("run", took):
        outcomes = run_ray(stages)
    assert all(outcome.status == "done" for outcome in outcomes.values())
    ideal = ideal_seconds(stages)
    ratio = took["run"] / ideal
    value = f"{took['run']:.1f} s / {ideal:.1f} s = {ratio:.3f}"
    show(f"Ray: {len(stages)} stages, {WORKERS} workers: wall / ideal", value, ratio, "ratio")
    fresh = [
        Stage(Nothing(number), "fresh", home, cost=Cost(model=True)) for number in range(FRESH)
    ]
    with timed("fresh", took):
        run_ray(fresh)
    ray.shutdown()
    each = took["fresh"] * WORKERS / FRESH
    print(f"Ray: {took['start']:.1f} s to start, {each:.1f} s a process of a model's stage")


@dataclass(frozen=True)
class Nothing(Work):
    """Writes nothing."""

    KIND: ClassVar[str] = "train"

    number: int

    def run(self, folder: Path) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=25)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.25, help="a stage on Ray, on average")
    parser.add_argument("--smoke", action="store_true", help="one task, one seed, short stubs")
    options = parser.parse_args()
    sizes = (1, 1) if options.smoke else (options.tasks, options.seeds)
    with tempfile.TemporaryDirectory(prefix="w2sprobe-benchmark-") as place:
        measure_local(Path(place) / "local", *sizes)
        measure_ray(Path(place) / "ray", sizes[0], 0.01 if options.smoke else options.seconds)


if __name__ == "__main__":
    main()
