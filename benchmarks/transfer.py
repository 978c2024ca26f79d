"""Gains of a study on other tasks as Markdown, for the page of the reproduction.

    w2sprobe run docs/reproduction/configs/domains.yaml --out results/domains
    python -m benchmarks.transfer results/domains

Supervisor, student and ceiling are trained on one task and tested on every task of the study.
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from benchmarks.reproduction.markdown import lines_of
from w2sprobe.reporting.numbers import with_interval
from w2sprobe.reporting.transfer import TaskPair, axes_of, short_names, task_pairs
from w2sprobe.results import StudyResults, study_in

STUDENT, CONTROL = "logistic_probe", "logistic_probe_on_noise"
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


def lines(study: StudyResults) -> Iterator[dict[str, str]]:
    """A line per supervisor, task of training and task of testing."""
    for weak in dict.fromkeys(row.weak_model for row in study.transfer):
        pairs = task_pairs(
            [row for row in study.summary if row.weak_model == weak],
            [row for row in study.transfer if row.weak_model == weak],
        )
        scored = {(one.method, one.task, one.test_task): one for one in pairs}
        trained, tested = axes_of(pairs)
        short = short_names([*trained, *tested])
        for task, test_task in product(trained, tested):
            student, noise = (scored[name, task, test_task] for name in (STUDENT, CONTROL))
            cells = (weak, short[task], short[test_task], *numbers(student, noise))
            yield dict(zip(COLUMNS, cells, strict=True))


def numbers(student: TaskPair, noise: TaskPair) -> list[str]:
    scores = student.scores
    pgr = "gap not resolved"
    if scores.pgr is not None and scores.resolved:
        pgr = with_interval(scores.pgr, scores.pgr_interval, 2)
    return [
        f"{student.weak_auc:.3f}",
        f"{student.weak_auc + scores.gap:.3f}",
        with_interval(scores.delta_auc, scores.delta_auc_interval, 3),
        f"{noise.scores.delta_auc:+.3f}",
        pgr,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="folder of a study with test_on: tasks")
    parser.add_argument("--csv", action="store_true")
    given = parser.parse_args()
    study = study_in(given.results)
    if study is None or not study.transfer:
        parser.error(f"{given.results}: not a study of several tasks with test_on")
    found = lines(study)
    if given.csv:
        writer = csv.DictWriter(sys.stdout, COLUMNS)
        writer.writeheader()
        writer.writerows(found)
        return
    print(lines_of(COLUMNS, [[*line.values()] for line in found]))


if __name__ == "__main__":
    main()
