"""Drawing of gains by task of training and task of testing."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.patches import Rectangle

from w2sprobe.reporting.heatmaps import heat_bar, heat_scale
from w2sprobe.reporting.report.drawing import Drawing, panels
from w2sprobe.reporting.transfer import NO_TEST, TaskPair, axes_of, short_names
from w2sprobe.reporting.wording import plain

MOST_METHODS = 9  # panels; tables have all methods
ABREAST = 3
CELL = 0.72  # width in inches
DARK = 0.6  # share of the colour scale from which texts are white
# text on coloured cells, which are the same in dark themes: no colours that a page replaces
ON_LIGHT, ON_DARK = "#111111", "#fdfdfd"


def transfer_drawing(pairs: Sequence[TaskPair], methods: Sequence[str], name: str) -> Drawing:
    """Draw one panel per method: tasks of training as lines, tasks of testing as columns."""
    drawn = [one for one in pairs if one.method in methods]
    trained, tested = axes_of(drawn)
    scale = heat_scale([one.scores.delta_auc for one in drawn], centred=True)
    abreast = min(ABREAST, len(methods))
    width, height = 2.2 + (0.5 + CELL * len(tested)) * abreast, 1.2 + 0.75 * CELL * len(trained)
    figure, axes = panels(len(methods), abreast, width, height, 0.4, sharey=True)
    for axis, method in zip(axes, methods, strict=True):
        of_method = {(one.task, one.test_task): one for one in drawn if one.method == method}
        values = np.full((len(trained), len(tested)), np.nan)
        for (task, test_task), one in of_method.items():
            values[trained.index(task), tested.index(test_task)] = one.scores.delta_auc
        mesh = _panel(axis, values, scale)
        _name_tasks(axis, trained, tested)
        axis.set_title(plain(method))
    for axis in axes[::abreast]:
        axis.set_ylabel("trained on")
    for axis in axes[-abreast:]:
        axis.set_xlabel("tested on")
    heat_bar(figure, mesh, axes).set_label("AUC less that of the weak model")
    return Drawing(
        name,
        "Gains by task of training and task of testing",
        "AUC of a method less that of its weak model on the same test rows, mean over runs: orange "
        "above 0, purple below. Framed: tested on the task of training. Weak model and method were "
        f"trained on the same task. {NO_TEST}",
        "; ".join(f"{plain(method)}: {_means(drawn, method)}" for method in methods),
        figure,
        [_data(one) for one in drawn],
    )


def _panel(axis: Axes, values: np.ndarray, scale: dict[str, Any]) -> QuadMesh:
    n_lines, n_columns = values.shape
    mesh = axis.pcolormesh(np.arange(n_columns), np.arange(n_lines), values, **scale)
    for line, column in np.argwhere(~np.isnan(values)):
        value = values[line, column]
        dark = abs(value) > DARK * scale["vmax"]
        axis.text(
            column,
            line,
            f"{value:+.3f}",
            ha="center",
            va="center",
            fontsize=8,
            color=ON_DARK if dark else ON_LIGHT,
        )
        if line == column:  # tasks of testing begin with those of training
            corner, size = (column - 0.46, line - 0.46), 0.92
            frame: dict[str, Any] = {"fill": False, "edgecolor": ON_LIGHT, "linewidth": 1.6}
            axis.add_patch(Rectangle(corner, size, size, **frame))
    axis.set_ylim(n_lines - 0.5, -0.5)  # the first task at the top, as in the table
    return mesh


def _name_tasks(axis: Axes, trained: Sequence[str], tested: Sequence[str]) -> None:
    short = short_names([*trained, *tested])
    names = [short[task] for task in tested]
    axis.set_xticks(range(len(tested)), names, rotation=30, ha="right")
    axis.set_yticks(range(len(trained)), names[: len(trained)])
    axis.tick_params(length=0)


def _means(pairs: Sequence[TaskPair], method: str) -> str:
    words = []
    for place, home in (("at home", True), ("away", False)):
        gains = [
            one.scores.delta_auc for one in pairs if one.method == method and one.at_home == home
        ]
        if gains:
            words.append(f"{place} {np.mean(gains):+.3f}")
    return ", ".join(words)


def _data(pair: TaskPair) -> dict[str, Any]:
    low, high = pair.scores.delta_auc_interval or (None, None)
    return {
        "method": pair.method,
        "task": pair.task,
        "test_task": pair.test_task,
        "weak_auc": pair.weak_auc,
        "delta_auc": pair.scores.delta_auc,
        "delta_auc_low": low,
        "delta_auc_high": high,
    }
