"""Drawings of probes over layers and settings, of indicators, and of training curves."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
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
    panels,
)
from w2sprobe.reporting.wording import plain
from w2sprobe.votes.selection import is_at_edge

SETTINGS = {"knn": "k", "logistic": "l2"}
MOST_INDICATORS = 8
ABREAST = 5  # panels of training curves in one line
RULES = {  # scores for early stopping
    "auc": "auc, against labels hardened at one half",
    "soft_auc": "soft_auc, the expected AUC over hard labels drawn from the soft ones",
    "log_loss": "log_loss, lower is better",
}
SHOWN_ONLY = "against true labels (for display only; no student of weak labels was chosen by it)"
TRUTH_LINE: dict[str, Any] = {"color": INK, "linestyle": "--", "marker": ".", "markersize": 5}

Point = tuple[str, int, float]  # probe, layer, value of its setting
Used = Mapping[str, tuple[int, float]]  # by probe: layer and setting of the study's probe methods
Surface = dict[Point, dict[str, float]]  # by run: AUC of the probe less that of the weak labels


def surface_of(sweeps: Mapping[str, Sequence[Mapping[str, Any]]], evaluation: str) -> Surface:
    """Collect the gains of probes fitted on weak labels, by point and run.

    Parameters
    ----------
    sweeps : mapping of str to sequence of mapping
        Rows of sweep.parquet, by the name of their run.
    evaluation : str
        Rows that are scored: "test", or "cross_fit" for held-out training rows.
    """
    surface: Surface = {}
    for name, rows in sweeps.items():
        for row in rows:
            wanted = row["fitted_on"] == "weak" and row["evaluation"] == evaluation
            known = row["delta_auc_truth"] is not None and row["value"] is not None
            if wanted and known:
                point = (row["probe"], row["layer"], row["value"])
                surface.setdefault(point, {})[name] = row["delta_auc_truth"]
    return surface


def layers_drawing(surface: Surface, name: str, used: Used) -> Drawing:
    """Draw gains over layers at the setting that is best on average: each run, and the mean."""
    probes = list(dict.fromkeys(probe for probe, *_ in surface))
    runs = list(dict.fromkeys(run for values in surface.values() for run in values))
    figure, axes = new_figure(4.6 * len(probes), 3.4, 1, len(probes), sharey=True)
    data: list[dict[str, Any]] = []
    words, edges = [], []
    for axis, probe in zip(axes[0], probes, strict=True):
        value = _best_setting(surface, probe)
        if _is_at_edge(surface, probe, value):
            edges.append(f"{SETTINGS[probe]} {value:g}")
        layers, lines = _lines(surface, probe, value, runs)
        top, gain = _layers_panel(axis, layers, list(lines.values()))
        title = f"{probe}, {SETTINGS[probe]} {value:g}; best at layer {top}: {gain:+.3f}"
        axis.set_title(title)  # a text at the mark would hide lines
        words.append(f"{probe}: highest at layer {top} of {layers[-1]}, {gain:+.3f}")
        data += [
            {"probe": probe, "value": value, "layer": layer, "run": run, "delta_auc": gain}
            for run, line in lines.items()
            for layer, gain in zip(layers, line, strict=True)
        ]
    axes[0, 0].set_ylabel("AUC less that of the weak labels")
    return Drawing(
        name,
        "Probes over layers",
        "AUC of a probe fitted on the weak labels less the AUC of these labels, on the test rows, "
        "at the setting that is best on average. "
        + "Grey: single runs; blue: their mean. "
        * (len(runs) > 1)
        + "Above 0, the probe ranks rows better than the labels that it was fitted on. The highest "
        "point is selected on the same test rows, so its gain is optimistic."
        + _beyond(edges)
        + f" The probe methods used settings fixed beforehand: {_used_in_words(used, surface)}."
        * bool(used),
        "; ".join(words),
        figure,
        data,
    )


def _lines(
    surface: Surface, probe: str, value: float, runs: Sequence[str]
) -> tuple[list[int], dict[str, list[float]]]:
    """Layers that were tried with a setting, and each run's gains on them.

    Runs of different sizes have different settings, so not every layer was tried with this one.
    """
    layers = sorted({layer for kind, layer, tried in surface if (kind, tried) == (probe, value)})
    by_layer = [surface[probe, layer, value] for layer in layers]
    return layers, {run: [gains.get(run, math.nan) for gains in by_layer] for run in runs}


def _layers_panel(
    axis: Axes, layers: Sequence[int], lines: Sequence[Sequence[float]]
) -> tuple[int, float]:
    """Draw the runs and their mean; return the best layer and its mean gain."""
    if len(lines) > 1:
        for line in lines:
            axis.plot(layers, line, color=GREY, linewidth=0.8, alpha=0.6)
    mean = np.nanmean(np.array(lines), axis=0)
    axis.plot(layers, mean, color=BLUE, linewidth=2.2)
    top = int(np.argmax(mean))
    axis.plot(layers[top], mean[top], "D", color=ORANGE, zorder=4)
    axis.margins(y=0.15)
    axis.axhline(0, color=INK, linewidth=1)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("layer")
    light_axes(axis, "y")
    return layers[top], float(mean[top])


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
    """Sentence about best settings that are the smallest or largest of those tried."""
    if not edges:
        return ""
    return f" At the edge of what was tried ({', '.join(edges)}): a better setting may lie beyond."


def _best_setting(surface: Surface, probe: str) -> float:
    """The setting with the highest mean over layers and runs."""
    gains: dict[float, list[float]] = {}
    for (kind, _, value), values in surface.items():
        if kind == probe:
            gains.setdefault(value, []).extend(values.values())
    return max(gains, key=lambda value: float(np.mean(gains[value])))


def grid_drawing(surface: Surface, name: str, scored: str, used: Used) -> Drawing:
    """Draw mean gains over layers and settings as colours; mark the best and the used points.

    Parameters
    ----------
    scored : str
        Rows that are scored, in words.
    """
    probes = list(dict.fromkeys(probe for probe, *_ in surface))
    layers = sorted({layer for _, layer, _ in surface})
    rows: list[dict[str, Any]] = [
        {"probe": probe, "layer": layer, "value": value, "mean_delta_auc": _mean(gains)}
        for (probe, layer, value), gains in surface.items()
    ]
    scale = heat_scale([row["mean_delta_auc"] for row in rows], centred=True)
    width, height = 1.2 + 4.2 * len(probes), 1.6 + 0.11 * len(layers)
    figure, axes = new_figure(width, height, 1, len(probes), sharey=True)
    highest, edges = [], []
    marked = {probe: point for probe, point in used.items() if (probe, *point) in surface}
    for axis, probe in zip(axes[0], probes, strict=True):
        of_probe = [{**row, "setting": SETTINGS[probe]} for row in rows if row["probe"] == probe]
        mesh = heat_panel(axis, of_probe, layers, "mean_delta_auc", scale)
        axis.set_title(probe)
        best = max(of_probe, key=lambda row: row["mean_delta_auc"])
        _mark_points(axis, of_probe, layers, best, marked.get(probe))
        setting = f"{SETTINGS[probe]} {best['value']:g}"
        gain = f"{best['mean_delta_auc']:+.3f}"
        highest.append(f"{probe} on layer {best['layer']} at {setting}, {gain}")
        if _is_at_edge(surface, probe, best["value"]):
            edges.append(setting)
    axes[0, 0].set_ylabel("layer")
    heat_bar(figure, mesh, list(axes[0])).set_label("AUC less that of the weak labels")
    return Drawing(
        name,
        f"Probes over layers and settings, {scored}",
        "AUC of a probe less that of the weak labels, mean over runs: orange above 0, purple "
        "below. Star: the highest gain of a panel."
        + f" Circle: what the probe methods used ({_used_in_words(marked, surface)})."
        * bool(marked)
        + _beyond(edges),
        f"Highest: {'; '.join(highest)}",
        figure,
        rows,
    )


def _mean(gains: Mapping[str, float]) -> float:
    return float(np.mean(list(gains.values())))


def _mark_points(
    axis: Axes,
    rows: Sequence[Mapping[str, Any]],
    layers: Sequence[int],
    best: Mapping[str, Any],
    used: tuple[int, float] | None,
) -> None:
    """Mark the best point by a star, and the used one by a circle, which may surround the star."""
    values = sorted({row["value"] for row in rows})
    if used is not None:
        layer, value = used
        at = values.index(value), layers.index(layer)
        axis.plot(*at, "o", markersize=14, markerfacecolor="none", color="black")
    at = values.index(best["value"]), layers.index(best["layer"])
    axis.plot(*at, "*", markersize=8, markerfacecolor="white", color="black")


def indicators_drawing(
    rows: Sequence[GainRow],
    indicators: Sequence[IndicatorRow],
    tasks: Sequence[TaskRow],
    method: str,
    name: str,
) -> Drawing:
    """Draw the indicators with the strongest rank correlations, one dot per task.

    Parameters
    ----------
    rows : sequence of GainRow
        Correlations with the method's gain in AUC.
    indicators : sequence of IndicatorRow
        Indicators of one pair of models.
    tasks : sequence of TaskRow
        Gains of the same pair.
    """
    known = [row for row in rows if not math.isnan(row.correlation)]
    shown = sorted(known, key=lambda row: -abs(row.correlation))[:MOST_INDICATORS]
    gain = {task.task: task.delta_auc[method] for task in tasks if method in task.delta_auc}
    figure, axes = panels(len(shown), 4, 11, 2.5, sharey=True)
    data = []
    for axis, row in zip(axes, shown, strict=True):
        values = {
            task: value
            for task, value in _task_means(indicators, row.indicator).items()
            if task in gain and not math.isnan(value)
        }
        gains = [gain[task] for task in values]
        axis.plot(list(values.values()), gains, "o", color=BLUE)
        axis.axhline(0, color=INK, linewidth=0.8)
        axis.set_title(f"{plain(row.indicator)}: {row.correlation:+.2f}")
        light_axes(axis, "y")
        data += [
            {"indicator": row.indicator, "task": task, "value": value, "delta_auc": gain[task]}
            for task, value in values.items()
        ]
    axes[0].set_ylabel(f"gain of {plain(method)}")
    return Drawing(
        name,
        "Indicators and the gain",
        f"Gain in AUC of {plain(method)} over the weak model against each indicator, one dot per "
        "task. Titles: Spearman's correlation. The strongest are shown, so some are strong by "
        "chance.",
        ", ".join(f"{plain(row.indicator)} {row.correlation:+.2f}" for row in shown),
        figure,
        data,
    )


def _task_means(indicators: Sequence[IndicatorRow], name: str) -> dict[str, float]:
    """Mean of an indicator over the runs of each task; nan if one of them is nan."""
    values: dict[str, list[float]] = {}
    for row in indicators:
        if name in row.values:
            values.setdefault(row.task, []).append(row.values[name])
    return {task: float(np.mean(of_runs)) for task, of_runs in values.items()}


def curves_drawing(rows: Sequence[Mapping[str, Any]], name: str, task: str) -> Drawing:
    """Draw validation scores over epochs: the one for early stopping, and AUC on true labels.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of training.parquet. Earlier versions wrote no `early_stopping` (it was `auc`) and no
        `val_true_auc`.
    """
    rules = list(dict.fromkeys(map(_rule, rows)))
    with_truth = any(row.get("val_true_auc") is not None for row in rows)
    figure = _curves_figure(rows, rules, with_truth=with_truth)
    return Drawing(
        name,
        f"Training curves on {task}",
        "Validation score for early stopping, at every evaluation of a training run, against the "
        "labels that the run was given (weak labels for students, true labels for weak model and "
        f"ceiling): {', '.join(RULES[rule] for rule in rules)}. Diamond: the checkpoint that was "
        "kept. No line: the score was undefined, and the last checkpoint was kept."
        + (
            f" Dashed: AUC {SHOWN_ONLY}. If it falls while the other score still improves, the "
            "student may be overfitting to the errors of its labels."
            if with_truth
            else ""
        ),
        ", ".join(f"{plain(row['method'])} {_scored(row)}" for row in rows if row["chosen"]),
        figure,
        [dict(row) for row in rows],
    )


def _curves_figure(
    rows: Sequence[Mapping[str, Any]], rules: Sequence[str], *, with_truth: bool
) -> Figure:
    """Draw one panel per training run."""
    stages = list(dict.fromkeys((row["method"], row["stage"]) for row in rows))
    one_rule = len(rules) == 1  # panels then share the unit of their y axes
    more = 0.3 * with_truth  # for the legend
    figure, axes = panels(len(stages), ABREAST, 11, 1.75, more, sharex=True, sharey=one_rule)
    for axis, (method, stage) in zip(axes, stages, strict=True):
        of_run = [row for row in rows if (row["method"], row["stage"]) == (method, stage)]
        _curve(axis, of_run)
        if not one_rule:
            axis.set_ylabel(_rule(of_run[0]))
        same = [other for other in stages if other[0] == method]
        number = f", student {same.index((method, stage)) + 1}" if len(same) > 1 else ""
        axis.set_title(plain(method) + number, fontsize=8.5)
    for axis in axes[-ABREAST:]:
        axis.tick_params(labelbottom=True)  # the lowest visible panel of each column
        axis.set_xlabel("epoch")
    if one_rule:
        axes[0].set_ylabel(rules[0])
    if with_truth:
        handles = [
            Line2D([], [], color=BLUE, marker="o", ms=3.5, label="against the labels given"),
            Line2D([], [], **TRUTH_LINE, label=f"AUC {SHOWN_ONLY}"),
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=2)
    return figure


def _rule(row: Mapping[str, Any]) -> str:
    return str(row.get("early_stopping", "auc"))


def _score(row: Mapping[str, Any]) -> float | None:
    score: float | None = row[f"val_{_rule(row)}"]
    return score


def _scored(row: Mapping[str, Any]) -> str:
    score, true_auc = _score(row), row.get("val_true_auc")
    text = "undefined" if score is None else f"{score:.3f}"
    return text if true_auc is None else f"{text} (true AUC {true_auc:.3f})"


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
        if _rule(rows[0]) == "log_loss":  # which needs another axis than AUC
            of_truth = axis.twinx()
            of_truth.set_ylabel("AUC")
            of_truth.tick_params(length=0)
            of_truth.spines["bottom"].set_visible(False)
        of_truth.plot(epochs, truth, **TRUTH_LINE)
