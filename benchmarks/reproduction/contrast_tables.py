"""Table of contrasts of finetuned students: what the page says beyond the declared comparisons."""

import math
from collections.abc import Iterator, Mapping

import numpy as np

from benchmarks.reproduction.markdown import Table
from benchmarks.reproduction.study import Study
from w2sprobe.comparison import Pair
from w2sprobe.metrics import task_mean
from w2sprobe.reporting.numbers import number, pvalue, with_interval

PROBE = "logistic_probe"
# a contrast is a sum of test AUCs, each with its sign
CONTRASTS: dict[str, Mapping[str, int]] = {
    "student less supervisor": {"student": 1, "weak": -1},
    "logistic probe less supervisor": {PROBE: 1, "weak": -1},
    "student less logistic probe, weak labels": {"student": 1, PROBE: -1},
    "the same, noisy labels": {"student_on_noise": 1, f"{PROBE}_on_noise": -1},
    "the same, true labels": {"ceiling": 1, f"{PROBE}_on_truth": -1},
    "true labels less weak labels, of these differences": {
        "ceiling": 1,
        f"{PROBE}_on_truth": -1,
        "student": -1,
        PROBE: 1,
    },
    "noisy labels less weak labels, of these differences": {
        "student_on_noise": 1,
        f"{PROBE}_on_noise": -1,
        "student": -1,
        PROBE: 1,
    },
    "log-confidence less plain student": {"student_logconf": 1, "student": -1},
    "confident learning less random filter": {"confident_learning_filter": 1, "random_filter": -1},
}
REVIEWS = "multiemo"


def contrasts(study: Study, pair: Pair) -> Iterator[Table]:
    """Means over tasks, runs above 0 and noise of cuts; nothing unless students are finetuned."""
    if study.against != "student":
        return
    rows = []
    for name, signs in CONTRASTS.items():
        by_task = _by_task(study, pair, signs)
        if not by_task:
            continue
        reviews = {task: values for task, values in by_task.items() if REVIEWS in task}
        rows.append([name, *_cells(by_task), *_cells(reviews)[1:3]])
    yield Table(
        f"{study.supervisor(pair)}: contrasts of test AUCs, over tasks [Student's t, 95 %]; p not "
        "corrected; SE over tasks: from the spread of tasks, as the test has it; SE over cuts: "
        "from the spread of cuts within tasks:",
        [
            *("contrast", "tasks above 0", "runs above 0", "mean", "p", "SE over tasks"),
            *("SE over cuts", "reviews: runs above 0", "reviews: mean"),
        ],
        rows,
    )


def _by_task(study: Study, pair: Pair, signs: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Values of a contrast for each cut of each task that has all its methods."""
    auc = {(score.task, score.seed, score.method): score.auc for score in study.pairs[pair]}
    found: dict[str, list[float]] = {}
    for task, seed in dict.fromkeys((score.task, score.seed) for score in study.pairs[pair]):
        if all((task, seed, method) in auc for method in signs):
            value = sum(sign * auc[task, seed, method] for method, sign in signs.items())
            found.setdefault(task, []).append(value)
    return {task: np.array(values) for task, values in found.items()}


def _cells(by_task: Mapping[str, np.ndarray]) -> list[str]:
    means = task_mean([float(values.mean()) for values in by_task.values()])
    runs = np.concatenate([*by_task.values()])
    within = math.sqrt(sum(values.var(ddof=1) / len(values) for values in by_task.values()))
    return [
        f"{sum(values.mean() > 0 for values in by_task.values())} of {means.n}",
        f"{(runs > 0).sum()} of {len(runs)}",
        with_interval(means.mean, means.mean_interval, 3),
        pvalue(means.pvalue),
        number(means.sd / math.sqrt(means.n)),
        number(within / means.n),
    ]
