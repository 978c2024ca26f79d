"""Drawings of AUC and PGR: the methods of one task, and many tasks."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from w2sprobe.comparison import Comparison, Score
from w2sprobe.reporting.report.drawing import (
    BLUE,
    GREY,
    INK,
    LINE,
    ORANGE,
    PINK,
    Drawing,
    legend_above,
    mark,
    named_lines,
    new_figure,
    panels,
    spread,
)
from w2sprobe.reporting.wording import ON_TRUTH, STUDENT, plain, sources_of_noise
from w2sprobe.results import SummaryRow

PGR_LIMITS = (-1.5, 1.5)  # an arrow stands for values beyond these limits
PANELS_ABREAST = 4
MARKS = {"weak": ("s", GREY), STUDENT: ("o", BLUE), "ceiling": ("D", ORANGE)}


def method_drawing(rows: Sequence[SummaryRow], name: str) -> Drawing:
    """Draw one task: every method between weak model and ceiling, in AUC and PGR.

    Parameters
    ----------
    rows : sequence of SummaryRow
        Scores of one task and pair of models.
    """
    ends = {row.method: row for row in rows if row.method in ("weak", "ceiling")}
    methods = [row for row in rows if row.method not in ends]
    figure, axes = new_figure(9.2, 1.3 + 0.34 * len(methods), 1, 2, sharey=True)
    left, right = axes[0]
    for y, row in enumerate(reversed(methods)):
        colour = PINK if row.method.endswith(ON_TRUTH) else BLUE
        mark(left, row.auc, row.auc_interval, y, colour=colour)
        if row.pgr is not None:
            style: dict[str, Any] = {"colour": colour, "filled": row.resolved}
            mark(right, row.pgr, row.pgr_interval, y, limits=PGR_LIMITS, **style)
    _ends(left, (ends["weak"].auc, ends["ceiling"].auc))
    _ends(right, (0.0, 1.0))
    right.set_xlim(*PGR_LIMITS)
    names = [plain(row.method) for row in reversed(methods)]
    named_lines(left, names, "test AUC")
    named_lines(
        right, names, "PGR" if ends["ceiling"].resolved else "PGR (hollow: gap not resolved)"
    )
    return Drawing(
        name,
        f"AUC and PGR on {rows[0].task}",
        "Each method's test AUC (left) between weak model and ceiling, and the share of that gap "
        f"it recovers (right). Bars: 95 % intervals {sources_of_noise(rows)}. Red-violet: fitted "
        "on true labels, for comparison only. Arrows: values beyond the axis.",
        _in_words(methods, ends),
        figure,
        [_data(row) for row in rows],
    )


def _ends(axis: Axes, values: tuple[float, float]) -> None:
    names = zip(("weak", "ceiling"), values, (GREY, ORANGE), ("right", "left"), strict=True)
    for name, at, colour, side in names:
        axis.axvline(at, color=colour, linestyle="--", linewidth=1.2, zorder=1)
        axis.text(
            at,
            1.01,
            f" {name} ",
            color=colour,
            ha=side,
            va="bottom",
            fontsize=8.5,
            transform=axis.get_xaxis_transform(),
        )


def _in_words(methods: Sequence[SummaryRow], ends: Mapping[str, SummaryRow]) -> str:
    parts = [f"{plain(row.method)} {row.auc:.3f}" for row in methods]
    return (
        f"Test AUC: weak model {ends['weak'].auc:.3f}, ceiling {ends['ceiling'].auc:.3f}; "
        + ", ".join(parts)
    )


def _data(row: SummaryRow) -> dict[str, Any]:
    low_high: dict[str, Any] = {}
    for unit in ("auc", "delta_auc", "pgr"):
        interval = getattr(row, f"{unit}_interval") or (None, None)
        low_high |= {
            unit: getattr(row, unit),
            f"{unit}_low": interval[0],
            f"{unit}_high": interval[1],
        }
    return {
        "task": row.task,
        "weak_model": row.weak_model,
        "strong_model": row.strong_model,
        "method": row.method,
        "n_seeds": row.n_seeds,
        **low_high,
        "gap": row.gap,
        "gap_se": row.gap_se,
        "resolved": row.resolved,
    }


def tasks_drawing(rows: Sequence[SummaryRow], name: str, published: Sequence[Score]) -> Drawing:
    """Draw weak model, student and ceiling of each of many tasks.

    Parameters
    ----------
    rows : sequence of SummaryRow
        Scores of one pair of models.
    published : sequence of Score
        Scores of the source experiments; those of the same tasks are drawn.
    """
    by_task: dict[str, dict[str, SummaryRow]] = {}
    for row in rows:
        if row.method in MARKS:
            by_task.setdefault(row.task, {})[row.method] = row
    order = sorted(by_task, key=lambda task: by_task[task]["ceiling"].gap)
    theirs = {
        score.task: {"weak": score.weak_auc, "ceiling": score.ceiling_auc} for score in published
    }
    figure, axes = new_figure(8.2, 1.2 + 0.42 * len(order))
    axis = axes[0, 0]
    for y, task in enumerate(order):
        _task_line(axis, y, by_task[task])
        if task in theirs:
            ends = list(theirs[task].values())
            axis.plot(ends, (y - 0.36,) * 2, "x-", color=PINK, linewidth=1, markersize=5)
    legend = [("weak and ceiling, published", "x-", PINK)] if theirs.keys() & by_task else []
    legend += [(plain(method), marker, colour) for method, (marker, colour) in MARKS.items()]
    axis.axvline(0.5, color=INK, linewidth=0.8, linestyle=":")
    named_lines(axis, order, "test AUC (hollow: gap not resolved; dotted line: chance)")
    legend_above(axis, legend, columns=5)
    return Drawing(
        name,
        "AUC of weak model, student and ceiling",
        f"One line per task, the widest gap at the top. Bars: 95 % intervals "
        f"{sources_of_noise(rows)}. The student, trained on the weak model's labels, should lie "
        "between weak model and ceiling.",
        "; ".join(
            f"{task}: " + ", ".join(f"{plain(m)} {row.auc:.3f}" for m, row in by_task[task].items())
            for task in reversed(order)
        ),
        figure,
        [
            {**_data(row), "published_auc": theirs.get(task, {}).get(row.method)}
            for task in order
            for row in by_task[task].values()
        ],
    )


def _task_line(axis: Axes, y: int, by_method: Mapping[str, SummaryRow]) -> None:
    """Draw weak model, student and ceiling of a task, one below the other, on a bar for the gap."""
    ends = [by_method[method].auc for method in ("weak", "ceiling")]
    axis.plot(ends, (y, y), color=LINE, linewidth=5, zorder=0)
    for dy, (method, (marker, colour)) in zip((0.17, 0.0, -0.17), MARKS.items(), strict=True):
        if method in by_method:
            row = by_method[method]
            style: dict[str, Any] = {"colour": colour, "marker": marker, "filled": row.resolved}
            mark(axis, row.auc, row.auc_interval, y + dy, **style)


def pgr_drawing(rows: Sequence[SummaryRow], name: str, published: Sequence[Score]) -> Drawing:
    """Draw PGR of many tasks: one panel per method, with one line per task.

    Parameters
    ----------
    rows : sequence of SummaryRow
        Scores of one pair of models.
    published : sequence of Score
        Scores of the source experiments; those of the same tasks and methods are drawn.
    """
    methods = [m for m in dict.fromkeys(row.method for row in rows) if m not in ("weak", "ceiling")]
    ceilings = {row.task: row for row in rows if row.method == "ceiling"}
    order = sorted(ceilings, key=lambda task: ceilings[task].gap)
    by_method = {m: {row.task: row for row in rows if row.method == m} for m in methods}
    source = {(score.task, score.method): score.pgr for score in published}
    theirs = {
        (task, method): source[key]
        for method, by_task in by_method.items()
        for task in by_task
        if (key := (task, _source_name(method))) in source
    }
    height = 0.7 + 0.2 * len(order)
    figure, axes = panels(len(methods), PANELS_ABREAST, 11, height, sharex=True, sharey=True)
    for axis, (method, by_task) in zip(axes, by_method.items(), strict=True):
        axis.set_title(plain(method))
        _pgr_panel(axis, order, by_task, {t: pgr for (t, m), pgr in theirs.items() if m == method})
    return Drawing(
        name,
        "PGR of every task and method",
        "0: no better than the weak model; 1: as good as the ceiling. Bars: 95 % intervals "
        f"{sources_of_noise(rows)}. "
        "Hollow and grey: the gap is not resolved, so the PGR means nothing. Arrows: values beyond "
        "the axis." + " Crosses: the source experiments." * bool(theirs),
        "; ".join(
            f"{plain(method)}: "
            + ", ".join(
                f"{task} {row.pgr:+.2f}{'' if row.resolved else ' (not resolved)'}"
                for task in reversed(order)
                if (row := by_task.get(task)) is not None and row.pgr is not None
            )
            for method, by_task in by_method.items()
        ),
        figure,
        [
            {**_data(row), "published_pgr": theirs.get((row.task, row.method))}
            for row in rows
            if row.method in methods
        ],
    )


def _pgr_panel(
    axis: Axes,
    order: Sequence[str],
    by_task: Mapping[str, SummaryRow],
    published: Mapping[str, float],
) -> None:
    for y, task in enumerate(order):
        row = by_task.get(task)
        if row is not None and row.pgr is not None:
            colour = BLUE if row.resolved else GREY
            style: dict[str, Any] = {"colour": colour, "filled": row.resolved}
            mark(axis, row.pgr, row.pgr_interval, y, limits=PGR_LIMITS, **style)
        if task in published:
            value = float(np.clip(published[task], *PGR_LIMITS))
            axis.plot(value, y - 0.3, "x", color=PINK, markersize=5)
    for at, colour in ((0.0, GREY), (1.0, ORANGE)):
        axis.axvline(at, color=colour, linestyle="--", linewidth=1)
    axis.set_xlim(*PGR_LIMITS)
    named_lines(axis, order)


def _source_name(method: str) -> str:
    """Name of a method in the source experiments."""
    name = method.removesuffix("_published")
    return "xent" if name == STUDENT else name.removeprefix("student_")


def differences_drawing(comparison: Comparison, name: str) -> Drawing:
    """Draw the difference of every method to the baseline: one dot per task, and the mean."""
    rows = sorted(
        (row for row in comparison.methods if row.unit == "auc" and row.n),
        key=lambda row: row.mean,
    )
    figure, axes = new_figure(8.2, 1.2 + 0.36 * len(rows))
    axis = axes[0, 0]
    data = list(_dots(comparison))
    for y, row in enumerate(rows):
        dots = [dot["auc_difference"] for dot in data if dot["method"] == row.method]
        heights = spread(y, len(dots), 0.16)
        axis.plot(dots, heights, "o", color=GREY, markersize=3.5, alpha=0.65)
        interval = row.mean_interval if row.n > 1 else None
        mark(axis, row.mean, interval, y, marker="D")
    axis.axvline(0, color=INK, linewidth=1)
    xlabel = f"test AUC less that of the {plain(comparison.against)}"
    named_lines(axis, [plain(row.method) for row in rows], xlabel)
    return Drawing(
        name,
        f"Each method against the {plain(comparison.against)}",
        "Grey: single tasks. Diamonds: mean over tasks with its 95 % interval, Student's t over "
        "tasks, not corrected for the number of methods. Right of the vertical line, a method is "
        "better; left of it, worse.",
        ", ".join(f"{plain(row.method)} {row.mean:+.3f}" for row in reversed(rows)),
        figure,
        data,
    )


def _dots(comparison: Comparison) -> Iterator[dict[str, Any]]:
    for pair in comparison.pairs:
        yield {
            "method": pair.method,
            "against": comparison.against,
            "task": pair.task,
            "n_seeds": pair.n_seeds,
            "auc_difference": pair.auc_difference,
            "pgr_difference": None if math.isnan(pair.pgr_difference) else pair.pgr_difference,
        }
