"""Gains of the baseline over its supervisor, task by task: as measured and as pooled."""

import math
from collections.abc import Iterator, Sequence

from w2sprobe.comparison import Comparison
from w2sprobe.reporting.report.drawing import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    Drawing,
    light_axes,
    mark,
    new_figure,
)
from w2sprobe.reporting.wording import plain, sources_of_noise
from w2sprobe.results import Interval, SummaryRow


def gains_drawing(
    comparison: Comparison, rows: Sequence[SummaryRow], name: str
) -> Iterator[Drawing]:
    """Gain of the baseline on every task, measured and shrunken, with the mean over tasks.

    Parameters
    ----------
    comparison : Comparison
    rows : sequence of SummaryRow
        Of the same pair of models: they have the intervals of the measured gains.
    name : str

    Yields
    ------
    Drawing
        None where the baseline has no gain.
    """
    measured = {row.task: row for row in rows if row.method == comparison.against}
    gaps = {row.task: row.gap for row in comparison.tasks}
    baseline = plain(comparison.against)
    for gain in comparison.supervisor_gains:
        if gain.method != comparison.against:
            continue
        tasks = sorted(gain.tasks, key=lambda task: gaps[task.task])
        figure, axes = new_figure(8.2, 1.6 + 0.42 * len(tasks))
        axis = axes[0, 0]
        data = []
        for place, task in enumerate(tasks, start=1):
            row = measured.get(task.task)
            interval = None if row is None else row.delta_auc_interval
            shrunken = _known(task.shrunken_interval)
            above = 0.14 if shrunken else 0.0
            mark(axis, task.gain, interval, place + above, colour=GREY)
            if shrunken:
                mark(axis, task.shrunken, shrunken, place - above, colour=BLUE, marker="s")
            data.append(
                {
                    "task": task.task,
                    "gap": gaps[task.task],
                    "gain": task.gain,
                    "gain_low": None if interval is None else interval[0],
                    "gain_high": None if interval is None else interval[1],
                    "shrunken": None if shrunken is None else task.shrunken,
                    "shrunken_low": None if shrunken is None else shrunken[0],
                    "shrunken_high": None if shrunken is None else shrunken[1],
                }
            )
        mark(axis, gain.mean, _known(gain.mean_interval), 0, colour=ORANGE, marker="D")
        pooled = any(one["shrunken"] is not None for one in data)
        for label, marker, colour, shown in (
            ("measured", "o", GREY, True),
            ("shrunken", "s", BLUE, pooled),
            ("mean over tasks", "D", ORANGE, True),
        ):
            if shown:
                axis.plot([], [], marker, color=colour, label=label)
        axis.axvline(0, color=INK, linewidth=1)
        labels = [f"{task.task}, gap {gaps[task.task]:+.2f}" for task in tasks]
        axis.set_yticks(range(len(tasks) + 1), ["mean over tasks", *labels])
        axis.set_ylim(-0.6, len(tasks) + 0.6)
        axis.set_xlabel(f"test AUC of the {baseline} less that of its weak model")
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
        light_axes(axis)
        yield Drawing(
            name,
            f"Gain of the {baseline} over its weak model",
            "A task a line, widest gap between weak model and ceiling at the top; right of the "
            "line the student is better than its supervisor. Measured: 95 % intervals "
            f"{sources_of_noise(list(measured.values()))}. "
            + (
                "Shrunken: drawn towards the model of all tasks, the more the noisier the task. "
                if pooled
                else ""
            )
            + "Mean: Student's t over tasks.",
            f"Mean over tasks {gain.mean:+.3f}; "
            + ", ".join(f"{task.task} {task.gain:+.3f}" for task in reversed(tasks)),
            figure,
            data,
        )


def _known(interval: Interval) -> Interval | None:
    return None if math.isnan(interval[0]) else interval
