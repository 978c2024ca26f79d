"""Heat maps of a sweep: one panel per probe and set of rows, layers against settings."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import QuadMesh
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure

from w2sprobe.atomic import atomic_path
from w2sprobe.votes.selection import is_at_edge

# sets of rows that are drawn, with their titles; the others are only in the file
TITLES = {
    "test": "test rows",
    "cross_fit": "training rows, held out",
    "in_sample": "training rows, IN-SAMPLE (as published)",
}
MARKS = {
    "weak_auc": "o",
    "weak_log_loss": "s",
    "true_labels": "D",
}  # for the point that each rule chose
EDGE = ", at the edge of what was tried"  # a better point may lie beyond
NAMES = {"k": "neighbours k", "l2": "penalty l2"}
MOST_TICKS = 16  # on the axis of layers
LEAST = 0.01  # smallest limit of a colour scale
ALWAYS_SHOWN = 0.12  # losses up to this size have shades, however small the gains are
MOST_SHOWN = 95  # percentile of the absolute differences that sets the limit of the scale


def sweep_figure(table: pa.Table, selections: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the AUC of probes less that of the weak labels, and write a PNG atomically.

    Parameters
    ----------
    table : pyarrow.Table
        Sweep, as in docs/file-formats.md. Without truth, the AUC against the weak labels is drawn.
    selections : sequence of mapping
        Points that rules chose, to be marked beside the best point of each panel.
    """
    rows, column, label = _drawn_rows(table)
    evaluations = [name for name in TITLES if any(row["evaluation"] == name for row in rows)]
    probes = list(dict.fromkeys(row["probe"] for row in rows))
    layers = sorted({row["layer"] for row in rows})
    n_lines, n_columns = max(1, len(evaluations)), max(1, len(probes))
    height = 0.9 + len(evaluations) * (1.3 + 0.11 * len(layers))
    figure = Figure(figsize=(1.6 + 4.2 * n_columns, height), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(n_lines, n_columns, squeeze=False, sharey=True)
    for line, evaluation in zip(panels, evaluations, strict=False):
        scored = [row for row in rows if row["evaluation"] == evaluation]
        # in-sample scores are far higher than others: each set of rows has its own scale
        scale = heat_scale([row[column] for row in scored], centred=column == "delta_auc_truth")
        for axis, probe in zip(line, probes, strict=True):
            of_probe = [row for row in scored if row["probe"] == probe]
            if not of_probe:  # none of its scores is defined
                axis.set_visible(False)
                continue
            mesh = heat_panel(axis, of_probe, layers, column, scale)
            _small_texts(axis)
            axis.set_title(f"{probe}, {TITLES[evaluation]}", fontsize=9)
            if evaluation != "in_sample":
                chosen = [point for point in selections if point["probe"] == probe]
                _mark(axis, of_probe, chosen, layers, column)
        line[0].set_ylabel("layer")
        heat_bar(figure, mesh, list(line)).ax.tick_params(labelsize=8)
    figure.suptitle(label, fontsize=10)
    handles, names = _legend(panels[0])
    if handles:
        style = {"ncols": 4, "fontsize": 8, "frameon": False}
        figure.legend(handles, names, loc="outside lower center", **style)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def _drawn_rows(table: pa.Table) -> tuple[list[dict[str, Any]], str, str]:
    """Rows of a sweep that can be drawn, the column of their score, and its title."""
    # probes without a setting have no axis of values: they are only in the file
    rows = [
        row for row in table.to_pylist() if row["fitted_on"] == "weak" and row["value"] is not None
    ]
    column, label = "auc_weak", "AUC against the weak labels"
    if any(row["delta_auc_truth"] is not None for row in rows):
        column, label = "delta_auc_truth", "AUC of the probe less that of the weak labels"
    return [row for row in rows if row[column] is not None], column, label


def _small_texts(axis: Axes) -> None:
    axis.tick_params(labelsize=7)
    axis.tick_params(axis="x", rotation=45 if len(axis.get_xticks()) > 6 else 0)
    axis.xaxis.label.set_fontsize(8)


def heat_scale(values: Iterable[float], *, centred: bool) -> dict[str, Any]:
    """Colour scale for `heat_panel`: purple to orange around 0 if centred, else dark to light."""
    known = list(values)
    if not centred:
        return {"cmap": "cividis", "vmin": min(known), "vmax": max(known)}
    # symmetric, so that a gain is as bright as a loss of the same size. But losses are often ten
    # times as large, and gains would look white: so the limit is at most 3 times the largest gain
    limit = float(np.percentile(np.abs(known), MOST_SHOWN))
    if max(known) > 0:
        limit = min(limit, max(ALWAYS_SHOWN, 3 * max(known)))
    limit = max(LEAST, limit)
    return {"cmap": "PuOr_r", "vmin": -limit, "vmax": limit}


def heat_bar(figure: Figure, mesh: QuadMesh, axes: list[Axes]) -> Colorbar:
    """Colour bar of panels that share a scale; pointed ends if values may lie beyond them."""
    low, high = mesh.get_clim()
    signed: dict[str, Any] = {}
    if low < 0:
        signed = {"extend": "both", "ticks": np.linspace(low, high, 5), "format": "%+.3f"}
    return figure.colorbar(mesh, ax=axes, pad=0.01, aspect=18, **signed)


def heat_panel(
    axis: Axes,
    rows: Sequence[Mapping[str, Any]],
    layers: Sequence[int],
    column: str,
    scale: Mapping[str, Any],
) -> QuadMesh:
    """Draw one probe: layers upwards, values of its setting to the right.

    Parameters
    ----------
    rows : sequence of mapping
        With the keys layer, setting, value and `column`.
    layers : sequence of int
        Ascending, of all panels of the figure.
    column : str
        Key of the score that the colours show.
    scale : mapping
        From `heat_scale`.
    """
    values = sorted({row["value"] for row in rows})
    cells = np.full((len(layers), len(values)), np.nan)
    for row in rows:
        cells[layers.index(row["layer"]), values.index(row["value"])] = row[column]
    mesh = axis.pcolormesh(np.arange(len(values)), np.arange(len(layers)), cells, **scale)
    axis.set_xticks(range(len(values)), [f"{value:g}" for value in values])
    every = -(-len(layers) // MOST_TICKS)
    ticks = range(0, len(layers), every)
    axis.set_yticks(ticks, [str(layers[tick]) for tick in ticks])
    axis.set_xlabel(NAMES[rows[0]["setting"]])
    return mesh


def _mark(
    axis: Axes,
    rows: Sequence[Mapping[str, Any]],
    selections: Sequence[Mapping[str, Any]],
    layers: Sequence[int],
    column: str,
) -> None:
    """Mark the best cell of a panel, and the points that rules chose for its probe."""
    values = sorted({row["value"] for row in rows})
    best = max(rows, key=lambda row: row[column])
    marks = [
        (
            f"chosen by {point['rule'].replace('_', ' ')}" + EDGE * bool(point.get("at_edge")),
            MARKS[point["rule"]],
            10,
            point,
        )
        for point in selections
        if point["among"] == point["probe"]
    ]
    at_edge = is_at_edge(best["setting"], best["value"], values)
    marks.append(("best here" + EDGE * at_edge, "*", 8, best))  # small, above the others
    for name, marker, size, point in marks:
        axis.plot(
            values.index(point["value"]),
            layers.index(point["layer"]),
            marker,
            markersize=size,
            markerfacecolor="white",
            markeredgecolor="black",
            linestyle="none",
            label=name,
        )


def _legend(panels: Sequence[Axes]) -> tuple[list[Any], list[str]]:
    """Handles and names of the marks, each once."""
    handles = {
        name: handle
        for axis in panels
        for handle, name in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    return list(handles.values()), list(handles)
