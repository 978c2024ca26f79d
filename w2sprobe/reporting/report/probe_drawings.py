"""Probes over layers and settings, and indicators against the gain."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from w2sprobe.comparison import GainRow, IndicatorRow, TaskRow
from w2sprobe.reporting.heatmaps import heat_bar, heat_panel, heat_scale
from w2sprobe.reporting.report.drawing import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    Drawing,
    light_axes,
    new_figure,
)
from w2sprobe.reporting.wording import plain
from w2sprobe.votes.selection import is_at_edge

SETTINGS = {"knn": "k", "logistic": "l2"}
MOST_INDICATORS = 8
RULES = {  # of early stopping
    "auc": "auc, against labels hardened at one half",
    "soft_auc": "soft_auc, in expectation over labels drawn from the soft ones",
    "log_loss": "log_loss, lower is better",
}
SHOWN_ONLY = "against the truth (shown only; no student of weak labels was chosen by it)"
TRUTH_LINE: dict[str, Any] = {"color": INK, "linestyle": "--", "marker": ".", "markersize": 5}

Point = tuple[str, int, float]  # probe, layer, value of its setting
Used = Mapping[str, tuple[int, float]]  # layer and setting of a study's probe methods, by probe
Surface = dict[Point, dict[str, float]]  # AUC of the probe less that of the weak labels, a run


def surface_of(sweeps: Mapping[str, Sequence[Mapping[str, Any]]], evaluation: str) -> Surface:
    """Gains of probes fitted on weak labels, by point and run.

    Parameters
    ----------
    sweeps : mapping of str to sequence of mapping
        Rows of sweep.parquet, by the name of their run.
    evaluation : str
        Which rows are scored: test, or cross_fit.

    Returns
    -------
    dict
    """
    found: Surface = {}
    for name, rows in sweeps.items():
        for row in rows:
            wanted = row["fitted_on"] == "weak" and row["evaluation"] == evaluation
            known = row["delta_auc_truth"] is not None and row["value"] is not None
            if wanted and known:
                point = (row["probe"], row["layer"], row["value"])
                found.setdefault(point, {})[name] = row["delta_auc_truth"]
    return found


def layers_drawing(surface: Surface, name: str, used: Used) -> Drawing:
    """Gain over layers at the setting that is best on average, a line a run and their mean.

    Parameters
    ----------
    surface : dict
        Of `surface_of`.
    name : str
    used : mapping of str to (int, float)
        Layer and setting of the probe methods, by probe.

    Returns
    -------
    Drawing
    """
    probes = list(dict.fromkeys(probe for probe, *_ in surface))
    runs = list(dict.fromkeys(run for values in surface.values() for run in values))
    figure, axes = new_figure(4.6 * len(probes), 3.4, 1, len(probes), sharey=True)
    data: list[dict[str, Any]] = []
    words, edges = [], []
    for axis, probe in zip(axes[0], probes, strict=True):
        value = _best_setting(surface, probe)
        if _is_at_edge(surface, probe, value):
            edges.append(f"{SETTINGS[probe]} {value:g}")
        # runs of different sizes have different settings: only layers that were tried with this
        layers = sorted(
            {layer for kind, layer, tried in surface if (kind, tried) == (probe, value)}
        )
        lines = {
            run: [surface.get((probe, layer, value), {}).get(run, math.nan) for layer in layers]
            for run in runs
        }
        mean = np.nanmean(np.array(list(lines.values())), axis=0)
        if len(runs) > 1:
            for line in lines.values():
                axis.plot(layers, line, color=GREY, linewidth=0.8, alpha=0.6)
        axis.plot(layers, mean, color=BLUE, linewidth=2.2)
        top = int(np.argmax(mean))
        axis.plot(layers[top], mean[top], "D", color=ORANGE, zorder=4)
        axis.margins(y=0.15)
        axis.axhline(0, color=INK, linewidth=1)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        best = f"best at layer {layers[top]}: {mean[top]:+.3f}"  # beside the mark it hid lines
        axis.set_title(f"{probe}, {SETTINGS[probe]} {value:g}; {best}")
        axis.set_xlabel("layer")
        light_axes(axis, "y")
        words.append(f"{probe}: highest at layer {layers[top]} of {layers[-1]}, {mean[top]:+.3f}")
        data += [
            {"probe": probe, "value": value, "layer": layer, "run": run, "delta_auc": gain}
            for run, line in lines.items()
            for layer, gain in zip(layers, line, strict=True)
        ]
    axes[0, 0].set_ylabel("AUC less that of the weak labels")
    several = len(runs) > 1
    return Drawing(
        name,
        "Probes over layers",
        "AUC of a probe fitted on the weak labels less the AUC of these labels, on test rows, at "
        "the setting that is best on average. "
        + ("Grey: a run each; blue: their mean. " if several else "")
        + "Above 0 the probe knows better than the labels it was fitted on. The highest point is "
        "picked on these very rows: it flatters."
        + _beyond(edges)
        + (
            f" The probe methods did not look: they used {_used_in_words(used, surface)}."
            if used
            else ""
        ),
        "; ".join(words),
        figure,
        data,
    )


def _used_in_words(used: Used, surface: Surface) -> str:
    return ", ".join(
        f"{SETTINGS[probe]} {value:g}{' (edge)' * _is_at_edge(surface, probe, value)} on layer "
        f"{layer}"
        for probe, (layer, value) in used.items()
    )


def _is_at_edge(surface: Surface, probe: str, value: float) -> bool:
    tried = {tried for kind, _, tried in surface if kind == probe}
    return is_at_edge(SETTINGS[probe], value, tried)


def _beyond(edges: Sequence[str]) -> str:
    """A sentence about best settings that are the least or largest of those tried."""
    if not edges:
        return ""
    return f" At the edge of what was tried ({', '.join(edges)}): the best may be beyond."


def _best_setting(surface: Surface, probe: str) -> float:
    """The setting with the highest mean over layers and runs."""
    gains: dict[float, list[float]] = {}
    for (kind, _, value), values in surface.items():
        if kind == probe:
            gains.setdefault(value, []).extend(values.values())
    return max(gains, key=lambda value: float(np.mean(gains[value])))


def grid_drawing(surface: Surface, name: str, scored: str, used: Used) -> Drawing:
    """Gain over layers and settings, mean over runs, as colours.

    Parameters
    ----------
    surface : dict
        Of `surface_of`.
    name : str
    scored : str
        Which rows are scored, in words.
    used : mapping of str to (int, float)
        Layer and setting of the probe methods, by probe; marked where the grid has them.

    Returns
    -------
    Drawing
    """
    probes = list(dict.fromkeys(probe for probe, *_ in surface))
    layers = sorted({layer for _, layer, _ in surface})
    means = {point: float(np.mean(list(values.values()))) for point, values in surface.items()}
    rows: list[dict[str, Any]] = [
        {"probe": probe, "layer": layer, "value": value, "mean_delta_auc": mean}
        for (probe, layer, value), mean in means.items()
    ]
    scale = heat_scale(means.values(), centred=True)
    figure, axes = new_figure(
        1.2 + 4.2 * len(probes), 1.6 + 0.11 * len(layers), 1, len(probes), sharey=True
    )
    highest, edges, marked = [], [], {}
    for axis, probe in zip(axes[0], probes, strict=True):
        setting = SETTINGS[probe]
        own = [{**row, "setting": setting} for row in rows if row["probe"] == probe]
        values = sorted({row["value"] for row in own})
        mesh = heat_panel(axis, own, layers, "mean_delta_auc", scale)
        best = max(own, key=lambda row: row["mean_delta_auc"])
        top = values.index(best["value"])
        words = f"{probe} on layer {best['layer']} at {setting} {best['value']:g}"
        highest.append(f"{words}, {best['mean_delta_auc']:+.3f}")
        if _is_at_edge(surface, probe, best["value"]):
            edges.append(f"{setting} {best['value']:g}")
        layer, value = used.get(probe, (None, None))
        if layer in layers and value in values:
            _mark(axis, values.index(value), layers.index(layer), "o")
            marked[probe] = used[probe]
        _mark(axis, top, layers.index(best["layer"]), "*")  # may lie inside the circle
        axis.set_title(probe)
    axes[0, 0].set_ylabel("layer")
    heat_bar(figure, mesh, list(axes[0])).set_label("AUC less that of the weak labels")
    return Drawing(
        name,
        f"Probes over layers and settings, {scored}",
        "Mean over runs of the probe's AUC less that of the weak labels: orange above, purple "
        "below. Star: the highest of a panel."
        + (
            f" Circle: what the probe methods used ({_used_in_words(marked, surface)})."
            if marked
            else ""
        )
        + _beyond(edges),
        f"Highest: {'; '.join(highest)}",
        figure,
        rows,
    )


def _mark(axis: Axes, across: int, up: int, marker: str) -> None:
    style = {"*": (8, "white"), "o": (14, "none")}
    size, face = style[marker]
    axis.plot(across, up, marker, markersize=size, markerfacecolor=face, color="black")


def indicators_drawing(
    rows: Sequence[GainRow],
    indicators: Sequence[IndicatorRow],
    tasks: Sequence[TaskRow],
    method: str,
    name: str,
) -> Drawing:
    """The indicators with the strongest rank correlation, a dot a task.

    Parameters
    ----------
    rows : sequence of GainRow
        Correlations with the method's gain in AUC.
    indicators : sequence of IndicatorRow
        Of one pair of models.
    tasks : sequence of TaskRow
        Of the same.
    method : str
    name : str

    Returns
    -------
    Drawing
    """
    known = [row for row in rows if not math.isnan(row.correlation)]
    shown = sorted(known, key=lambda row: -abs(row.correlation))[:MOST_INDICATORS]
    gain = {task.task: task.delta_auc[method] for task in tasks if method in task.delta_auc}
    values: dict[str, dict[str, list[float]]] = {}
    for one in indicators:
        for indicator, value in one.values.items():
            values.setdefault(indicator, {}).setdefault(one.task, []).append(value)
    lines = math.ceil(len(shown) / 4)
    figure, axes = new_figure(11, 2.5 * lines, lines, min(4, len(shown)), sharey=True)
    data = []
    for axis, row in zip(axes.flat, shown, strict=False):
        dots = {
            task: float(np.mean(seeds))
            for task, seeds in values[row.indicator].items()
            if task in gain and not np.isnan(seeds).any()
        }
        axis.plot(list(dots.values()), [gain[task] for task in dots], "o", color=BLUE)
        axis.axhline(0, color=INK, linewidth=0.8)
        axis.set_title(f"{plain(row.indicator)}: {row.correlation:+.2f}")
        light_axes(axis, "y")
        data += [
            {"indicator": row.indicator, "task": task, "value": value, "delta_auc": gain[task]}
            for task, value in dots.items()
        ]
    for axis in axes.flat[len(shown) :]:
        axis.set_visible(False)
    axes[0, 0].set_ylabel(f"gain of {plain(method)}")
    return Drawing(
        name,
        "Indicators and the gain",
        f"Gain in AUC of {plain(method)} over the weak model against each indicator: a dot a task. "
        "Title: Spearman's correlation; strongest first, so that some are strong by chance.",
        ", ".join(f"{plain(row.indicator)} {row.correlation:+.2f}" for row in shown),
        figure,
        data,
    )


def curves_drawing(rows: Sequence[Mapping[str, Any]], name: str, task: str) -> Drawing:
    """Scores on validation rows over epochs, by each run's own rule and against the truth.

    Parameters
    ----------
    rows : sequence of mapping
        Of training.parquet; without `early_stopping`, of a run before there was a choice, by `auc`;
        without `val_true_auc`, of a run that did not keep its predictions.
    name, task : str

    Returns
    -------
    Drawing
    """
    stages = list(dict.fromkeys((row["method"], row["stage"]) for row in rows))
    columns = min(5, len(stages))
    lines = math.ceil(len(stages) / columns)
    rules = list(dict.fromkeys(map(_rule, rows)))
    one_rule = len(rules) == 1
    with_truth = any(row.get("val_true_auc") is not None for row in rows)
    height = 1.75 * lines + 0.3 * with_truth
    figure, axes = new_figure(11, height, lines, columns, sharex=True, sharey=one_rule)
    for axis, (method, stage) in zip(axes.flat, stages, strict=False):
        own = [row for row in rows if (row["method"], row["stage"]) == (method, stage)]
        _curve(axis, own)
        if not one_rule:
            axis.set_ylabel(_rule(own[0]))
        same = [other for other in stages if other[0] == method]
        number = f", student {same.index((method, stage)) + 1}" if len(same) > 1 else ""
        axis.set_title(plain(method) + number, fontsize=8.5)
    for axis in axes.flat[len(stages) :]:
        axis.set_visible(False)
    for axis in axes.flat[len(stages) - columns : len(stages)]:
        axis.tick_params(labelbottom=True)  # the lowest that is seen of each column
        axis.set_xlabel("epoch")
    if one_rule:
        axes[0, 0].set_ylabel(rules[0])
    if with_truth:
        figure.legend(
            handles=[
                Line2D([], [], color=BLUE, marker="o", ms=3.5, label="against the labels given"),
                Line2D([], [], **TRUTH_LINE, label=f"AUC {SHOWN_ONLY}"),
            ],
            loc="outside upper left",
            ncols=2,
        )
    return Drawing(
        name,
        f"Training curves on {task}",
        "Validation score by which early stopping chose, at every evaluation of a training run, "
        "against the labels that the run was given (weak labels for students, truth for weak model "
        f"and ceiling): {', '.join(RULES[rule] for rule in rules)}. Diamond: the state that was "
        "kept; no line: undefined, and the last state was kept."
        + (
            f" Dashed: AUC {SHOWN_ONLY}. Where it falls while the other score still improves, the "
            "student may be overfitting to the errors of its labels."
            if with_truth
            else ""
        ),
        ", ".join(f"{plain(row['method'])} {_scored(row)}" for row in rows if row["chosen"]),
        figure,
        [dict(row) for row in rows],
    )


def _rule(row: Mapping[str, Any]) -> str:
    return str(row.get("early_stopping", "auc"))


def _score(row: Mapping[str, Any]) -> float | None:
    score: float | None = row[f"val_{_rule(row)}"]
    return score


def _scored(row: Mapping[str, Any]) -> str:
    score, truth = _score(row), row.get("val_true_auc")
    said = "undefined" if score is None else f"{score:.3f}"
    return said if truth is None else f"{said} (true AUC {truth:.3f})"


def _curve(axis: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    epochs = np.array([row["epoch"] for row in rows])
    scores = np.array([_score(row) for row in rows], dtype=np.float64)  # None becomes NaN
    chosen = np.array([row["chosen"] for row in rows])
    axis.plot(epochs, scores, "o-", color=BLUE, ms=3.5)
    axis.plot(epochs[chosen], scores[chosen], "D", color=ORANGE, zorder=4)
    light_axes(axis, "y")
    truth = np.array([row.get("val_true_auc") for row in rows], dtype=np.float64)
    if not np.isnan(truth).all():
        of_truth = axis
        if _rule(rows[0]) == "log_loss":  # another unit
            of_truth = axis.twinx()
            of_truth.set_ylabel("AUC")
            of_truth.tick_params(length=0)
            of_truth.spines["bottom"].set_visible(False)
        of_truth.plot(epochs, truth, **TRUTH_LINE)
