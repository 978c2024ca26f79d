"""Figures of the README, from the small files alone; each can be read without its page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.reproduction.markdown import PROBES, short
from benchmarks.reproduction.study import Row, Study
from w2sprobe.atomic import atomic_path
from w2sprobe.comparison import Pair
from w2sprobe.experiments.methods import Method
from w2sprobe.metrics import task_mean
from w2sprobe.reporting.numbers import with_interval
from w2sprobe.reporting.report.drawing import (
    BLUE,
    GREY,
    INK,
    LINE,
    ORANGE,
    PINK,
    house_style,
    light_axes,
    mark,
    new_figure,
)
from w2sprobe.reporting.wording import counted

WIDTH = 8.0  # inches: at 800 pixels a point is 1.4 of them
STUDENTS = {"logistic_probe": "logistic student", "student": "finetuned student"}
LARGER: dict[Any, Any] = {  # than in a report, as a README is read at 800 pixels
    "font.size": 10.5,
    "axes.titlesize": 11.5,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
}


def draw(study: Study, out: Path, supervisor: str) -> None:
    """Write gains.png, methods.png and, of a study with a sweep, layers.png.

    Parameters
    ----------
    study : Study
    out : Path
        Made where it is not there.
    supervisor : str
        Part of the name of the one that is drawn; the first where none has it.
    """
    out.mkdir(parents=True, exist_ok=True)
    pairs = [*study.pairs]
    pair = next((pair for pair in pairs if supervisor in study.supervisor(pair)), pairs[0])
    drawings = {"gains": gains, "methods": methods, **({"layers": layers} if study.sweeps else {})}
    with house_style(), matplotlib.rc_context(LARGER):
        for name, drawing in drawings.items():
            with atomic_path(out / f"{name}.png") as temporary:
                drawing(study, pair).savefig(temporary, format="png", dpi=150)


def gains(study: Study, pair: Pair) -> Figure:
    """Supervisor, student, noise control and ceiling on each task."""
    by_task = {
        short(task): found
        for task, by in study.means(pair).items()
        if (found := _ends(by, study.against)) is not None
    }
    order = sorted(by_task, key=lambda task: by_task[task]["student"] - by_task[task]["supervisor"])
    figure, axes = new_figure(WIDTH, 1.9 + 0.36 * (len(order) + 1))
    axis = axes[0, 0]
    for place, task in enumerate(order, start=1):
        _line(axis, by_task[task], place)
    names = [*next(iter(by_task.values()), {})]
    means = {name: float(np.mean([by[name] for by in by_task.values()])) for name in names}
    if means:
        axis.axhspan(-0.5, 0.5, color=LINE, alpha=0.5, linewidth=0)
        _line(axis, means, 0)
    difference = [by["student"] - by["supervisor"] for by in by_task.values()]
    mean = task_mean(difference)
    axis.set_yticks(range(len(order) + 1), [f"mean of {counted(mean.n, 'task')}", *order])
    axis.set_ylim(-0.5, len(order) + 0.6)
    axis.set_xlabel("AUC on test rows, mean over cuts of the rows")
    figure.legend(loc="outside lower center", ncols=2)
    light_axes(axis)
    figure.suptitle(
        f"A strong student of a weak supervisor ({study.supervisor(pair)})\nis above it on "
        f"{sum(gain > 0 for gain in difference)} of {counted(mean.n, 'task')}, on average by "
        f"{with_interval(mean.mean, mean.mean_interval, 3)} AUC (95 %)",
        fontsize=11.5,
    )
    return figure


def _ends(by: Mapping[str, Row], baseline: str) -> dict[str, float] | None:
    """AUC of each end that is drawn; None without a student."""
    if baseline not in by:
        return None
    ceiling = by[by[baseline]["own_ceiling"] or "ceiling"]
    found = {"supervisor": by["weak"], "student": by[baseline], "ceiling": ceiling}
    if f"{baseline}_on_noise" in by:
        found["noise"] = by[f"{baseline}_on_noise"]
    return {name: row["auc"] for name, row in found.items()}


def _line(axis: Axes, ends: Mapping[str, float], place: int) -> None:
    last = place == 1  # one line makes the legend
    axis.plot(
        (ends["supervisor"], ends["ceiling"]), (place, place), color=LINE, linewidth=2, zorder=1
    )
    axis.plot(
        (ends["supervisor"], ends["student"]), (place, place), color=BLUE, linewidth=3, zorder=2
    )
    for name, label, colour, marker, face in (
        ("supervisor", "supervisor", GREY, "s", GREY),
        ("noise", "noise control: student of truth, as many labels wrong", PINK, "^", "none"),
        ("ceiling", "ceiling: student of truth", ORANGE, "D", ORANGE),
        ("student", "student of the supervisor's labels", BLUE, "o", BLUE),
    ):
        if name in ends:
            axis.plot(
                ends[name],
                place,
                marker,
                color=colour,
                markerfacecolor=face,
                markersize=7,
                linestyle="none",
                label=label if last else None,
                zorder={"student": 4, "noise": 5}.get(name, 3),
            )


def layers(study: Study, pair: Pair) -> Figure:
    """Mean gain of probes on weak labels over layers, with intervals over tasks."""
    figure, axes = new_figure(WIDTH, 4.2)
    axis = axes[0, 0]
    n_tasks = 0
    for probe, colour in (("logistic", BLUE), ("knn", ORANGE)):
        by_layer = study.swept(pair, probe, "weak", value=study.setting(probe))
        if not by_layer:
            continue
        found = [task_mean([*by_task.values()]) for by_task in by_layer.values()]
        n_tasks = found[0].n
        low, high = np.transpose([one.mean_interval for one in found])
        means = [one.mean for one in found]
        axis.fill_between([*by_layer], low, high, color=colour, alpha=0.15, linewidth=0)
        axis.plot(
            [*by_layer], means, "o-", color=colour, linewidth=2, label=f"{PROBES[probe]} probe"
        )
        axis.set_xticks([*by_layer])
    axis.axhline(0, color=INK, linewidth=1.2, label="supervisor")
    axis.set_xlabel(f"layer of {pair[1]} that the probe reads")
    axis.set_ylabel("test AUC less the supervisor's")
    figure.legend(loc="outside lower center", ncols=3)
    light_axes(axis, "y")
    figure.suptitle(
        f"Probes on the strong model's layers, fitted on weak labels\n({study.supervisor(pair)}): "
        f"means over {counted(n_tasks, 'task')} with 95 % intervals (Student's t)",
        fontsize=11.5,
    )
    return figure


def methods(study: Study, pair: Pair) -> Figure:
    """Every drawn method less the baseline: a dot a task, mean and interval."""
    compared = study.compared(pair)
    rows = {row.method: row for row in compared.methods}
    names = [name for name in _drawn(study) if name in rows]
    figure, axes = new_figure(WIDTH, 1.5 + 0.36 * len(names))
    axis = axes[0, 0]
    for place, name in enumerate(reversed(names)):
        values = [pair.auc_difference for pair in compared.pairs if pair.method == name]
        below = [place - 0.24] * len(values)
        axis.plot(values, below, "o", color=GREY, alpha=0.5, markersize=4, linewidth=0)
        row, control = rows[name], rows[name].role == "control"
        interval = row.mean_interval if row.n > 1 else None
        mark(axis, row.mean, interval, place, colour=ORANGE if control else BLUE)
        text = with_interval(row.mean, row.mean_interval, 3)
        axis.annotate(
            text, (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=9.5
        )
    axis.axvline(0, color=INK, linewidth=1.2)
    for label, colour, size in (
        ("a task", GREY, 4),
        ("mean over tasks", BLUE, 6),
        ("the same, rows removed at random", ORANGE, 6),
    ):
        axis.plot([], [], "o", color=colour, markersize=size, label=label)
    figure.legend(loc="outside lower center", ncols=3)
    axis.set_yticks(range(len(names)), [in_words(name) for name in reversed(names)])
    axis.set_ylim(-0.6, len(names) - 0.4)
    axis.xaxis.set_major_locator(MaxNLocator(5))
    student = STUDENTS.get(study.against, study.against)
    axis.set_xlabel(f"test AUC less that of the {student} of the same weak labels")
    light_axes(axis)
    n_tasks = max((rows[name].n for name in names), default=0)
    figure.suptitle(
        f"Other methods beside the {student} ({study.supervisor(pair)}):\n"
        f"means over {counted(n_tasks, 'task')} with 95 % intervals (Student's t)",
        fontsize=11.5,
    )
    return figure


def _drawn(study: Study) -> list[str]:
    """Filters beside their random controls, relabellings, then other learners: the family."""
    entries = study.config.entries
    there = [name for name in dict.fromkeys(method for _, method in study.kept) if name in entries]
    groups: list[list[str]] = [
        *([*study.methods(kind)] for kind in ("filter", "random_filter", "relabel")),
        [name for name in there if _other_learner(entries[name])],
    ]
    found = [name for group in groups for name in group if name != study.against]
    family = study.config.analysis.family
    if family is None:
        return found
    # what was declared, and the random filters that it is held against
    declared = [name for name in found if name in family or name in study.methods("random_filter")]
    return declared + [name for name in family if name not in declared]


def _other_learner(method: Method) -> bool:
    """Whether a learner is fitted on the weak labels as they are, on one layer."""
    bare = (method.labels, method.states, method.curation) == ("weak", "strong", None)
    return bare and method.learns_by_probe and method.layers is None and not method.with_weak


def in_words(method: str) -> str:
    """A method's name as words.

    Examples
    --------
    >>> in_words("logistic_on_knn_filter"), in_words("knn_probe")
    ('kNN filter', 'kNN probe')
    """
    words = method.removeprefix("logistic_on_").replace("logconf", "log-confidence")
    return words.replace("mass_mean", "mass-mean").replace("_", " ").replace("knn", "kNN")
