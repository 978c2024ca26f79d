"""Drawing of the gains of the baseline over its supervisor, measured and shrunken, by task."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from w2sprobe.comparison import Comparison, TaskGain
from w2sprobe.reporting.report.drawing import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    Drawing,
    legend_above,
    mark,
    named_lines,
    new_figure,
)
from w2sprobe.reporting.wording import plain, sources_of_noise
from w2sprobe.results import Interval, SummaryRow


def gains_drawing(comparison: Comparison, rows: Sequence[SummaryRow], name: str) -> Drawing | None:
    """Gain of the baseline on every task, measured and shrunken, with the mean over tasks.

    Parameters
    ----------
    rows : sequence of SummaryRow
        Scores of the same pair of models, for the intervals of the measured gains.

    Returns
    -------
    Drawing or None
        None if the comparison has no gain of the baseline.
    """
    gains = comparison.supervisor_gains
    gain = next((gain for gain in gains if gain.method == comparison.against), None)
    if gain is None:
        return None
    measured = {row.task: row for row in rows if row.method == comparison.against}
    gaps = {row.task: row.gap for row in comparison.tasks}
    tasks = sorted(gain.tasks, key=lambda task: gaps[task.task])
    figure, axes = new_figure(8.2, 1.6 + 0.42 * len(tasks))
    axis = axes[0, 0]
    data = [_data(task, gaps[task.task], measured) for task in tasks]
    for y, row in enumerate(data, start=1):
        _task_line(axis, y, row)
    mark(axis, gain.mean, _known(gain.mean_interval), 0, colour=ORANGE, marker="D")
    shrunken = any(row["shrunken"] is not None for row in data)
    legend = [
        ("measured", "o", GREY),
        *([("shrunken", "s", BLUE)] if shrunken else []),
        ("mean over tasks", "D", ORANGE),
    ]
    axis.axvline(0, color=INK, linewidth=1)
    baseline = plain(comparison.against)
    names = [f"{task.task}, gap {gaps[task.task]:+.2f}" for task in tasks]
    xlabel = f"test AUC of the {baseline} less that of its weak model"
    named_lines(axis, ["mean over tasks", *names], xlabel)
    legend_above(axis, legend, columns=3)
    return Drawing(
        name,
        f"Gain of the {baseline} over its weak model",
        "One line per task, the widest gap between weak model and ceiling at the top. Right of the "
        f"vertical line, the {baseline} is better than its supervisor. Measured: 95 % intervals "
        f"{sources_of_noise(list(measured.values()))}. "
        + "Shrunken: drawn towards the model of all tasks, the more the noisier the task. "
        * shrunken
        + "Mean: 95 % interval, Student's t over tasks.",
        f"Mean over tasks {gain.mean:+.3f}; "
        + ", ".join(f"{task.task} {task.gain:+.3f}" for task in reversed(tasks)),
        figure,
        data,
    )


def _data(task: TaskGain, gap: float, measured: Mapping[str, SummaryRow]) -> dict[str, Any]:
    row = measured.get(task.task)
    low, high = (None, None) if row is None else row.delta_auc_interval or (None, None)
    interval = _known(task.shrunken_interval)
    return {
        "task": task.task,
        "gap": gap,
        "gain": task.gain,
        "gain_low": low,
        "gain_high": high,
        "shrunken": task.shrunken if interval else None,
        "shrunken_low": interval[0] if interval else None,
        "shrunken_high": interval[1] if interval else None,
    }


def _task_line(axis: Axes, y: int, row: Mapping[str, Any]) -> None:
    """Draw the measured gain, and below it the shrunken one if there is one."""
    above = 0.0 if row["shrunken"] is None else 0.14
    for value, dy, colour, marker in (("gain", above, GREY, "o"), ("shrunken", -above, BLUE, "s")):
        if row[value] is not None:
            interval = (row[f"{value}_low"], row[f"{value}_high"])
            known = None if interval[0] is None else interval
            mark(axis, row[value], known, y + dy, colour=colour, marker=marker)


def _known(interval: Interval) -> Interval | None:
    return None if math.isnan(interval[0]) else interval
