"""Tables of training curves: does a finetuned student come to repeat its supervisor's errors?"""

from collections.abc import Iterable, Iterator

import numpy as np

from benchmarks.reproduction.collect import CURVES
from benchmarks.reproduction.markdown import Table, mean_over_tasks
from benchmarks.reproduction.study import Row, Study
from w2sprobe.metrics import task_mean
from w2sprobe.reporting.numbers import number

FALL = 0.01  # of AUC against the truth
ON_TRUTH = "weak", "ceiling"  # trained on the truth: both scores are the same


def overfitting(study: Study) -> Iterator[Table]:
    """A table per pair: AUC of validation rows at the first and the last evaluation of training.

    Burns et al. (2023, arXiv 2312.09390, section 5.1.1) saw students first generalise and then
    imitate their supervisor: agreement with its labels rises while accuracy on the truth falls.
    """
    for pair in study.pairs:
        rows = [
            row
            for row in study.curves
            if (row["weak_model"], row["strong_model"]) == pair and row["val_true_auc"] is not None
        ]
        methods = dict.fromkeys(row["method"] for row in rows if row["method"] not in ON_TRUTH)
        if methods:
            yield Table(
                f"{study.supervisor(pair)}: AUC of validation rows at the first and the last "
                "evaluation of a finetuning run, against its labels (soft) and against the truth; "
                "means over cuts, then over tasks [Student's t, 95 %]:",
                [
                    "method",
                    "tasks",
                    "labels, first",
                    "labels, last",
                    "change",
                    "truth, first",
                    "truth, last",
                    "change",
                    f"runs that fall by more than {FALL:g}",
                ],
                [_row(method, rows) for method in methods],
            )


def _row(method: str, rows: Iterable[Row]) -> list[str]:
    by_task = _ends(row for row in rows if row["method"] == method)
    ends = np.array([runs.mean(axis=0) for runs in by_task.values()])
    cells = []
    for score in range(len(CURVES)):
        first, last = ends[:, score].T
        cells += [number(first.mean()), number(last.mean())]
        cells.append(mean_over_tasks(task_mean(last - first)))
    changes = np.concatenate([runs[:, -1, 1] - runs[:, -1, 0] for runs in by_task.values()])
    falls = f"{(changes < -FALL).sum()} of {len(changes)}"
    return [method, str(len(ends)), *cells, falls]


def _ends(rows: Iterable[Row]) -> dict[str, np.ndarray]:
    """First and last value of `CURVES` by task, shape (cuts, 2, 2) as (cut, score, end)."""
    curves: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        curves.setdefault(row["task"], {}).setdefault(row["seed"], []).append(row)
    found = {}
    for task, runs in curves.items():
        ends = []
        for curve in runs.values():
            ordered = sorted(curve, key=lambda row: row["epoch"])
            ends.append([[ordered[end][score] for end in (0, -1)] for score in CURVES])
        found[task] = np.array(ends)
    return found
