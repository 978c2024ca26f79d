"""Tables of filters, relabellings and log-confidence."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from benchmarks.reproduction.markdown import NOT_RUN, TESTS, Table, mean_over_tasks, short, tests
from benchmarks.reproduction.study import Study
from w2sprobe.comparison import Pair
from w2sprobe.metrics import task_mean
from w2sprobe.reporting.numbers import pvalue, with_interval


def filters(study: Study) -> Table:
    """A learner on what a filter keeps less the same on as many rows kept at random."""
    rows = []
    for pair in study.pairs:
        for name in study.methods("filter"):
            if not study.has(pair, name):
                continue
            control = study.control(pair, name)
            cells = [f"no control of its size ({NOT_RUN})", *["–"] * len(TESTS)]
            if control is not None:
                (row,) = study.compared(pair, control, [name]).methods
                cells = [control, *tests(row, math.nan, math.nan, row.detectable)]
            rows.append([study.supervisor(pair), name, *cells, *_removed(study, pair, name)])
    header = ["supervisor", "filter", "control", *TESTS, "removed (least to most of a task)"]
    header += ["of these wrong", "wrong before"]
    return Table(
        "Test AUC of a learner on what a filter keeps less that on an equally large random choice, "
        f"over tasks [Student's t]; TOST at ±{study.analysis.margin:g}; p not corrected:",
        header,
        rows,
    )


def _removed(study: Study, pair: Pair, name: str) -> list[str]:
    cards = study.curated(pair, name)
    gone = [1 - card["rows_kept"] / card["rows_offered"] for card in cards]
    if not gone:
        return ["–"] * 3
    return [
        f"{_percent(gone)} ({_percent([min(gone)])} to {_percent([max(gone)])})",
        *(_percent([card[key] for card in cards]) for key in ("wrong_removed", "wrong_before")),
    ]


def relabellings(study: Study) -> Table:
    """How many labels were turned, and how many of those are right now."""
    keys = ("flipped", "flips_right", "wrong_before", "wrong_after")
    rows = [
        [study.supervisor(pair), name, *(_percent([card[key] for card in cards]) for key in keys)]
        for pair in study.pairs
        for name in study.methods("relabel")
        if (cards := study.curated(pair, name))
    ]
    header = ["supervisor", "relabelling", "flipped", "of these right now", "wrong before"]
    return Table(
        "Hard labels after relabelling, against the truth, means over tasks:",
        [*header, "wrong after"],
        rows,
    )


def _percent(shares: Sequence[float | None]) -> str:
    known = [share for share in shares if share is not None]
    return f"{100 * float(np.mean(known)):.0f} %" if known else "–"


def log_confidence(study: Study) -> Iterator[Table]:
    """Log-confidence less cross-entropy, task by task, and by the supervisor's AUC.

    The losses are compared on finetuned students where these are the baseline, else on heads.
    """
    against = "student" if study.against == "student" else "head"
    name = f"{against}_logconf"
    rows = []
    points: dict[str, list[tuple[float, float]]] = {}
    for pair in study.pairs:
        means = study.means(pair)
        own = [
            row
            for row in study.differences
            if (row["weak_model"], row["strong_model"]) == pair
            and (row["method"], row["against"]) == (name, against)
        ]
        for row in own:
            by = means[row["task"]]
            points.setdefault(row["task"], []).append((by["weak"]["auc"], row["difference"]))
            cells = (f"{by['weak']['auc']:.3f}", f"{by[against]['delta_auc']:+.3f}")
            difference = with_interval(row["difference"], (row["low"], row["high"]), 3)
            rows.append([study.supervisor(pair), short(row["task"]), *cells, difference])
        if len(own) > 1:
            mean = task_mean([row["difference"] for row in own])
            text = f"{mean_over_tasks(mean)}, p = {pvalue(mean.pvalue)}"
            rows.append([study.supervisor(pair), "mean over tasks", "", "", text])
    yield Table(
        f"Test AUC of {name} less that of {against}, means over cuts [95 %, over cuts and test "
        "rows; that of a mean over tasks: Student's t]:",
        ["supervisor", "task", "supervisor's AUC", f"gain of {against}", "difference"],
        rows,
    )
    yield _slopes(name, against, points)


def _slopes(name: str, against: str, points: Mapping[str, Sequence[tuple[float, float]]]) -> Table:
    """Least squares over a task's supervisors, so that tasks are not compared with each other."""
    slopes = [
        float(np.polyfit(*zip(*own, strict=True), 1)[0]) / 10
        for own in points.values()
        if len({auc for auc, _ in own}) > 1
    ]
    mean = task_mean(slopes)
    rising = f"{sum(slope > 0 for slope in slopes)} of {mean.n}"
    return Table(
        f"How {name} less {against} changes where the supervisor's AUC is .1 higher: slope over "
        "the supervisors of a task, mean over tasks [Student's t]:",
        ["tasks on which it rises", "mean slope", "p"],
        [[rising, mean_over_tasks(mean), pvalue(mean.pvalue)]] if slopes else [],
    )
