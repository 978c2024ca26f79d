"""AUC and PGR: of the methods of one task, and of many tasks."""

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
    light_axes,
    mark,
    new_figure,
)
from w2sprobe.reporting.wording import ON_TRUTH, STUDENT, plain, sources_of_noise
from w2sprobe.results import SummaryRow

PGR_LIMITS = (-1.5, 1.5)  # beyond, only the direction is shown
PANELS_ABREAST = 4


def method_drawing(rows: Sequence[SummaryRow], name: str) -> Drawing:
    """One task: every method between weak model and ceiling, in AUC and PGR.

    Parameters
    ----------
    rows : sequence of SummaryRow
        Of one task and pair of models.
    name : str

    Returns
    -------
    Drawing
    """
    ends = {row.method: row for row in rows if row.method in ("weak", "ceiling")}
    methods = [row for row in rows if row.method not in ends]
    figure, axes = new_figure(9.2, 1.3 + 0.34 * len(methods), 1, 2, sharey=True)
    left, right = axes[0]
    for place, row in enumerate(reversed(methods)):
        colour = PINK if row.method.endswith(ON_TRUTH) else BLUE
        mark(left, row.auc, row.auc_interval, place, colour=colour)
        if row.pgr is not None:
            mark(
                right,
                row.pgr,
                row.pgr_interval,
                place,
                colour=colour,
                filled=row.resolved,
                limits=PGR_LIMITS,
            )
    _ends(left, (ends["weak"].auc, ends["ceiling"].auc))
    _ends(right, (0.0, 1.0))
    right.set_xlim(*PGR_LIMITS)
    left.set_yticks(range(len(methods)), [plain(row.method) for row in reversed(methods)])
    left.set_ylim(-0.6, len(methods) - 0.4)
    left.set_xlabel("test AUC")
    right.set_xlabel("PGR" if ends["ceiling"].resolved else "PGR (hollow: gap not resolved)")
    for axis in (left, right):
        light_axes(axis)
    return Drawing(
        name,
        f"AUC and PGR on {rows[0].task}",
        "Each method's test AUC (left) between weak model and ceiling, and the share of that gap "
        f"it recovers (right). Bars: 95 % intervals {sources_of_noise(rows)}. Red-violet: fitted "
        "on the truth, for comparison only. Arrows: beyond the axis.",
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
    """Many tasks: weak model, student and ceiling of each.

    Parameters
    ----------
    rows : sequence of SummaryRow
        Of one pair of models.
    name : str
    published : sequence of Score
        Of the source experiments; those of the same tasks are drawn.

    Returns
    -------
    Drawing
    """
    theirs = {(score.task, "weak"): score.weak_auc for score in published}
    theirs |= {(score.task, "ceiling"): score.ceiling_auc for score in published}
    shown = ("weak", STUDENT, "ceiling")
    by_task: dict[str, dict[str, SummaryRow]] = {}
    for row in rows:
        if row.method in shown:
            by_task.setdefault(row.task, {})[row.method] = row
    order = sorted(by_task, key=lambda task: by_task[task]["ceiling"].gap)
    figure, axes = new_figure(8.2, 1.2 + 0.42 * len(order))
    axis = axes[0, 0]
    styles = {"weak": (GREY, "s"), STUDENT: (BLUE, "o"), "ceiling": (ORANGE, "D")}
    for place, task in enumerate(order):
        found = by_task[task]
        axis.plot(
            (found["weak"].auc, found["ceiling"].auc),
            (place, place),
            color=LINE,
            linewidth=5,
            zorder=0,
        )
        for at, method in enumerate(shown):
            if method in found:
                row, (colour, marker) = found[method], styles[method]
                mark(
                    axis,
                    row.auc,
                    row.auc_interval,
                    place + 0.17 * (1 - at),
                    colour=colour,
                    marker=marker,
                    filled=row.resolved,
                )
    _published_auc(axis, order, published)
    for method, (colour, marker) in styles.items():
        axis.plot([], [], marker, color=colour, label=plain(method))
    axis.axvline(0.5, color=INK, linewidth=0.8, linestyle=":")
    axis.set_yticks(range(len(order)), order)
    axis.set_ylim(-0.6, len(order) - 0.4)
    axis.set_xlabel("test AUC (hollow: gap not resolved; dotted line: chance)")
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=5)
    light_axes(axis)
    return Drawing(
        name,
        "AUC of weak model, student and ceiling",
        f"A task a line, widest gap at the top. Bars: 95 % intervals {sources_of_noise(rows)}. The "
        "student, trained on the weak model's labels, should lie between the two.",
        "; ".join(
            f"{task}: " + ", ".join(f"{plain(m)} {row.auc:.3f}" for m, row in by_task[task].items())
            for task in reversed(order)
        ),
        figure,
        [
            {**_data(row), "published_auc": theirs.get((task, row.method))}
            for task in order
            for row in by_task[task].values()
        ],
    )


def _published_auc(axis: Axes, order: Sequence[str], published: Sequence[Score]) -> None:
    """Ends of the source experiments' gaps, beside ours of the same task."""
    ends = {score.task: (score.weak_auc, score.ceiling_auc) for score in published}
    drawn = [(place, ends[task]) for place, task in enumerate(order) if task in ends]
    for place, values in drawn:
        axis.plot(values, (place - 0.36,) * 2, "x-", color=PINK, linewidth=1, markersize=5)
    if drawn:
        axis.plot([], [], "x-", color=PINK, label="weak and ceiling, published")


def pgr_drawing(rows: Sequence[SummaryRow], name: str, published: Sequence[Score]) -> Drawing:
    """Many tasks: a panel a method, a task a line.

    Parameters
    ----------
    rows : sequence of SummaryRow
        Of one pair of models.
    name : str
    published : sequence of Score

    Returns
    -------
    Drawing
    """
    methods = [m for m in dict.fromkeys(row.method for row in rows) if m not in ("weak", "ceiling")]
    ceilings = {row.task: row for row in rows if row.method == "ceiling"}
    order = sorted(ceilings, key=lambda task: ceilings[task].gap)
    by_cell = {(row.task, row.method): row for row in rows}
    source = {(score.task, score.method): score.pgr for score in published}
    theirs = {
        (task, method): source[task, _source_name(method)]
        for task, method in by_cell
        if (task, _source_name(method)) in source
    }
    lines = math.ceil(len(methods) / PANELS_ABREAST)
    figure, axes = new_figure(
        11,
        lines * (0.7 + 0.2 * len(order)),
        lines,
        min(len(methods), PANELS_ABREAST),
        sharex=True,
        sharey=True,
    )
    for axis, method in zip(axes.flat, methods, strict=False):
        for place, task in enumerate(order):
            row = by_cell.get((task, method))
            if row is not None and row.pgr is not None:
                mark(
                    axis,
                    row.pgr,
                    row.pgr_interval,
                    place,
                    filled=row.resolved,
                    colour=BLUE if row.resolved else GREY,
                    limits=PGR_LIMITS,
                )
            if (task, method) in theirs:
                value = float(np.clip(theirs[task, method], *PGR_LIMITS))
                axis.plot(value, place - 0.3, "x", color=PINK, markersize=5)
        for at, colour in ((0.0, GREY), (1.0, ORANGE)):
            axis.axvline(at, color=colour, linestyle="--", linewidth=1)
        axis.set_xlim(*PGR_LIMITS)
        axis.set_title(plain(method))
        axis.set_yticks(range(len(order)), order)
        axis.set_ylim(-0.6, len(order) - 0.4)
        light_axes(axis)
    for axis in axes.flat[len(methods) :]:
        axis.set_visible(False)
    crosses = " Crosses: the source experiments." if theirs else ""
    return Drawing(
        name,
        "PGR of every task and method",
        "0: no better than the weak model; 1: as good as the ceiling. Bars: 95 % intervals "
        f"{sources_of_noise(rows)}. "
        "Hollow and grey: the gap is not resolved, and the PGR means nothing. Arrows: beyond the "
        f"axis.{crosses}",
        "; ".join(
            f"{plain(method)}: "
            + ", ".join(
                f"{task} {row.pgr:+.2f}{'' if row.resolved else ' (not resolved)'}"
                for task in reversed(order)
                if (row := by_cell.get((task, method))) is not None and row.pgr is not None
            )
            for method in methods
        ),
        figure,
        [
            {**_data(row), "published_pgr": theirs.get((row.task, row.method))}
            for row in rows
            if row.method in methods
        ],
    )


def _source_name(method: str) -> str:
    """What the source experiments call a method of ours."""
    name = method.removesuffix("_published")
    return "xent" if name == STUDENT else name.removeprefix("student_")


def differences_drawing(comparison: Comparison, name: str) -> Drawing:
    """Every method less the student, a dot a task, with the mean over tasks.

    Parameters
    ----------
    comparison : Comparison
    name : str

    Returns
    -------
    Drawing
    """
    rows = sorted(
        (row for row in comparison.methods if row.unit == "auc" and row.n),
        key=lambda row: row.mean,
    )
    figure, axes = new_figure(8.2, 1.2 + 0.36 * len(rows))
    axis = axes[0, 0]
    data = list(_dots(comparison))
    for place, row in enumerate(rows):
        dots = [one["auc_difference"] for one in data if one["method"] == row.method]
        spread = np.linspace(-0.16, 0.16, len(dots)) if len(dots) > 1 else [0.0]
        axis.plot(dots, place + np.array(spread), "o", color=GREY, markersize=3.5, alpha=0.65)
        interval = row.mean_interval if row.n > 1 else None
        mark(axis, row.mean, interval, place, marker="D")
    axis.axvline(0, color=INK, linewidth=1)
    axis.set_yticks(range(len(rows)), [plain(row.method) for row in rows])
    axis.set_ylim(-0.6, len(rows) - 0.4)
    axis.set_xlabel(f"test AUC less that of the {plain(comparison.against)}")
    light_axes(axis)
    return Drawing(
        name,
        f"Each method against the {plain(comparison.against)}",
        "Grey: a task each. Diamonds: mean over tasks with its 95 % interval, Student's t over "
        "tasks, each by itself. Right of the line a method is better, left of it worse.",
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
