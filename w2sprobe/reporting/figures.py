"""Figures from results; matplotlib, colour-blind-safe, readable in print."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from w2sprobe.atomic import atomic_path
from w2sprobe.results import Interval, Results

# Okabe and Ito's palette
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"


def results_figure(results: Results, path: Path) -> None:
    """Draw AUC and PGR of every method with 95 % intervals, and write a PNG atomically."""
    rows = [row for row in results.rows if row.method not in ("weak", "ceiling")]
    ends = {row.method: row.auc for row in results.rows}
    figure = Figure(figsize=(9.5, 1.6 + 0.42 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    places = list(range(len(rows)))[::-1]

    for row, place in zip(rows, places, strict=True):
        _point(left, row.auc, row.auc_interval, place)
        if row.pgr is not None:
            _point(right, row.pgr, row.pgr_interval, place, filled=row.resolved)
    for axis, marks in ((left, (ends["weak"], ends["ceiling"])), (right, (0.0, 1.0))):
        ends_of_axis = zip(
            ("weak", "ceiling"), marks, (GREY, ORANGE), ("right", "left"), strict=True
        )
        for name, at, colour, side in ends_of_axis:
            axis.axvline(at, color=colour, linestyle="--", linewidth=1.2)
            axis.text(
                at,
                1.01,
                f" {name} ",
                color=colour,
                ha=side,
                va="bottom",
                transform=axis.get_xaxis_transform(),
            )
        axis.grid(axis="x", color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(axis="y", length=0)
    left.set_yticks(places, [row.method.replace("_", " ") for row in rows])
    left.set_ylim(-0.6, len(rows) - 0.4)
    left.set_xlabel("test AUC")
    right.set_xlabel("PGR" if results.resolved else "PGR (hollow: gap not resolved)")
    figure.suptitle(
        f"{results.task}: {results.weak_model} supervises {results.strong_model}\n"
        f"{results.splits['test']} test rows, bars: 95 % bootstrap intervals",
        fontsize=10,
    )
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def _point(
    axis: Axes, value: float, interval: Interval | None, place: int, *, filled: bool = True
) -> None:
    """A value and its interval; None has no bounds and gets no bar."""
    if interval:
        axis.plot(interval, (place, place), color=BLUE, linewidth=2, solid_capstyle="butt")
    axis.plot(value, place, "o", color=BLUE, markerfacecolor=BLUE if filled else "white")
