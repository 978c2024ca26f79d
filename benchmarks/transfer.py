"""Do students keep on another domain what they gained? Probes of a study, on its other tasks.

    w2sprobe run --preset probes --out results/probes
    python -m benchmarks.transfer --preset probes --tasks hotels,medicine,products \\
      --classes "positive / negative"

Supervisor and students are fitted on one task as in the study, from its finished stages, and
predict the test rows of every task named: labels must mean the same in all of them. The ceiling is
the student's learner on the truth of the task it was trained on, so that it stands before the same
change of domain. Intervals are over cuts of the rows and test rows.
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.reproduction.markdown import lines_of
from w2sprobe.cache import ActivationStore
from w2sprobe.data import Rows
from w2sprobe.experiments.config import load_config
from w2sprobe.experiments.experiment import Experiment
from w2sprobe.experiments.plan import StudyPlan, make_plan
from w2sprobe.experiments.stage_kinds import Noise, labels_of
from w2sprobe.experiments.stages import Work
from w2sprobe.experiments.supervisors import FitProbe
from w2sprobe.metrics import BootstrapPGR, bootstrap_pgr
from w2sprobe.probes import LogisticProbe
from w2sprobe.reporting.numbers import with_interval

CEILING, CONTROL = "ceiling", "logistic_probe_on_noise"
COLUMNS = [
    "supervisor",
    "trained on",
    "tested on",
    "weak",
    "ceiling",
    "gain",
    "gain of noise",
    "PGR",
]


@dataclass(frozen=True)
class Domain:
    """One cut of a task: its rows, activations of both models, and the supervisor's fit."""

    experiment: Experiment

    @property
    def supervisor(self) -> Work:
        return self.experiment.methods["weak"].stages[-1].work

    def weak_states(self, rows: Rows) -> np.ndarray:
        work = self.supervisor
        store = ActivationStore.open(work.store.folder)
        return store.read(work.layer, store.rows_of(rows.ids))

    def strong_states(self, rows: Rows) -> np.ndarray:
        reading = self.experiment.methods[CEILING].reading
        store = ActivationStore.open(reading.stage.work.store.folder)
        return store.read(reading.pick.layers[0], store.rows_of(rows.ids))

    def students(self) -> dict[str, LogisticProbe]:
        """Fit the study's learner to weak labels, to truth with noise, and to truth."""
        train = self.experiment.splits.strong_train
        settings = self.experiment.config.probes
        weak = self.experiment.methods["weak"].stages[-1]
        noise = next(
            stage
            for stage in self.experiment.methods[CONTROL].stages[-1].inputs.values()
            if isinstance(stage.work, Noise) and stage.work.labels is weak and not stage.work.soft
        )
        targets = {
            "student": labels_of(weak).align(train.ids).soft_label,
            "noise": labels_of(noise).align(train.ids).soft_label,
            "ceiling": train.labels,
        }
        X = self.strong_states(train)
        return {
            name: LogisticProbe(settings.l2, settings.preprocess, "cpu").fit(X, y)
            for name, y in targets.items()
        }

    def weak_probe(self) -> LogisticProbe:
        work = self.supervisor
        probe = LogisticProbe(work.l2, work.preprocess, "cpu")
        return probe.fit(self.weak_states(work.rows), work.rows.labels)


def predictions(source: Domain, targets: list[Domain]) -> list[dict[str, np.ndarray]]:
    """P(label = 1) of the test rows of every target, by each model trained on the source."""
    students, weak = source.students(), source.weak_probe()
    found = []
    for target in targets:
        test = target.experiment.splits.test
        X = target.strong_states(test)
        p = {name: probe.predict_proba(X)[:, 1] for name, probe in students.items()}
        p["weak"] = weak.predict_proba(target.weak_states(test))[:, 1]
        found.append({"truth": test.labels, "rows": test.ids, **p})
    return found


def scored(cuts: list[dict[str, np.ndarray]]) -> dict[str, BootstrapPGR]:
    """Student and noise control, over all cuts."""
    parts = {name: np.stack([cut[name] for cut in cuts]) for name in cuts[0]}
    return {
        name: bootstrap_pgr(
            parts["truth"], parts["weak"], parts[name], parts["ceiling"], rows=parts["rows"]
        )
        for name in ("student", "noise")
    }


def lines(plan: StudyPlan, tasks: list[str]) -> Iterator[dict[str, str]]:
    """A line a supervisor, task of training and task of testing."""
    by_key: dict[tuple[str, str, str], Domain] = {}
    for experiment in plan.experiments:
        config = experiment.config
        for task in tasks:
            domain = Domain(experiment)
            # n-grams have no activations to take to another task
            if task in config.task.label and isinstance(domain.supervisor, FitProbe):
                if (config.weak.label, task, config.seed) in by_key:
                    raise SystemExit(f"several tasks have {task!r} in their names: pass --classes")
                by_key[config.weak.label, task, config.seed] = domain
    supervisors, cuts = (list(dict.fromkeys(key[at] for key in by_key)) for at in (0, 2))
    for supervisor, source in product(supervisors, tasks):
        found = [
            predictions(
                by_key[supervisor, source, cut], [by_key[supervisor, task, cut] for task in tasks]
            )
            for cut in cuts
        ]
        for at, target in enumerate(tasks):
            scores = scored([one[at] for one in found])
            yield dict(zip(COLUMNS, (supervisor, source, target, *numbers(scores)), strict=True))


def numbers(scores: dict[str, BootstrapPGR]) -> list[str]:
    student, noise = scores["student"], scores["noise"]
    pgr = with_interval(student.pgr, student.pgr_interval, 2)
    return [
        f"{student.weak_auc:.3f}",
        f"{student.ceiling_auc:.3f}",
        with_interval(student.delta_auc, student.delta_auc_interval, 3),
        f"{noise.delta_auc:+.3f}",
        pgr if student.resolved else "gap not resolved",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="probes", help="or a YAML file")
    parser.add_argument("--tasks", required=True, help="parts of their names, with commas")
    parser.add_argument("--classes", default="", help="that all have, as in positive / negative")
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--csv", action="store_true")
    given = parser.parse_args()
    config, tasks = load_config(given.preset), given.tasks.split(",")
    chosen = tuple(
        one
        for one in config.tasks
        if given.classes in one.label and any(task in one.label for task in tasks)
    )
    config = config.model_copy(update={"tasks": chosen})
    found = lines(make_plan(config, cache=given.cache, out=Path("unused")), tasks)
    if given.csv:
        writer = csv.DictWriter(sys.stdout, COLUMNS)
        writer.writeheader()
        writer.writerows(found)
        return
    print(lines_of(COLUMNS, [[*line.values()] for line in found]))


if __name__ == "__main__":
    main()
