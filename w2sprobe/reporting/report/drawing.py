"""Style and common parts of all drawings, as inline SVG and as files."""

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from w2sprobe.atomic import atomic_path
from w2sprobe.results import Interval

# palette of Okabe and Ito, darkened to be legible as text; page.css has the colours of dark themes
BLUE, ORANGE, GREEN, PINK, GREY = "#0072b2", "#d55e00", "#00805e", "#a5467c", "#666666"
INK, LINE, PAPER = "#1a1d21", "#d9dce1", "#ffffff"
VARIABLES = {
    BLUE: "blue",
    ORANGE: "orange",
    GREEN: "green",
    PINK: "pink",
    GREY: "grey",
    INK: "ink",
    LINE: "line",
    PAPER: "paper",
}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text that can be selected, searched and read aloud
    "pdf.fonttype": 42,
    "font.size": 9.5,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.facecolor": PAPER,
    "figure.facecolor": PAPER,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlesize": 9.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


@dataclass(frozen=True)
class Drawing:
    """A figure with its texts and data, shown in a page and written as files.

    Parameters
    ----------
    name : str
        Unique in its page, and the name of its files; letters, digits and hyphens.
    caption : str
        How to read it.
    alt : str
        What it shows, for readers who cannot see it.
    data : sequence of mapping
        One row per mark; all with the same keys.
    """

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure
    data: Sequence[Mapping[str, Any]]
    kind: ClassVar = "figure"  # templates cannot test for a class

    @property
    def svg(self) -> Markup:
        """SVG for a page, whose colours are the variables of page.css."""
        return themed(self._svg, self.name)

    @property
    def csv(self) -> str:
        """`data` as CSV with a header; None is an empty cell."""
        file = io.StringIO()
        writer = csv.DictWriter(file, list(self.data[0]) if self.data else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.data)
        return file.getvalue()

    def save(self, folder: Path) -> None:
        """Write NAME.png, .svg, .pdf and .csv, each atomically."""
        with atomic_path(folder / f"{self.name}.png") as temporary:
            self.figure.savefig(temporary, format="png", dpi=200)
        with atomic_path(folder / f"{self.name}.pdf") as temporary:
            self.figure.savefig(temporary, format="pdf", metadata={"CreationDate": None})
        for kind, text in (("svg", self._svg), ("csv", self.csv)):
            with atomic_path(folder / f"{self.name}.{kind}") as temporary:
                temporary.write_text(text, encoding="utf-8")

    @cached_property
    def _svg(self) -> str:
        """SVG without date and random ids: the same results give the same file."""
        file = io.StringIO()
        with matplotlib.rc_context({"svg.hashsalt": self.name}):
            self.figure.savefig(file, format="svg", metadata={"Date": None})
        return file.getvalue()


def house_style() -> AbstractContextManager[None]:
    """Matplotlib settings, as a context, in which every drawing is made and saved."""
    return matplotlib.rc_context(STYLE)


def new_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Figure, Any]:
    """Make an empty figure of this size in inches; its axes are an array of (rows, columns).

    `options` are those of `Figure.subplots`.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def themed(text: str, name: str) -> Markup:
    """Adapt Matplotlib's SVG to a page: colours become CSS variables, ids get the name as prefix.

    It needs no escaping: Matplotlib escapes texts.
    """
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    ids = set(re.findall(r'\bid="([^"]+)"', text))
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(
        r'(xlink:href="#|url\(#)([^")]+)',
        lambda found: f"{found[1]}{name}-{found[2]}" if found[2] in ids else found[0],
        text,
    )
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    return Markup(text)


def panels(
    n: int, abreast: int, width: float, height: float, more: float = 0.0, **options: Any
) -> tuple[Figure, list[Axes]]:
    """Make an empty figure with n panels, line by line.

    Parameters
    ----------
    n, abreast : int
        Number of panels, and the most in one line.
    width, height, more : float
        Width of the figure, height of a line of panels, and further height; in inches.
    **options
        Options of `Figure.subplots`.
    """
    lines, columns = math.ceil(n / abreast), min(n, abreast)
    figure, axes = new_figure(width, height * lines + more, lines, columns, **options)
    for axis in axes.flat[n:]:
        axis.set_visible(False)
    return figure, list(axes.flat[:n])


def light_axes(axis: Axes, grid: Literal["x", "y"] = "x") -> None:
    """Draw a grid along one axis, and no ticks."""
    axis.grid(axis=grid)
    axis.tick_params(length=0)
    axis.spines["left" if grid == "x" else "bottom"].set_visible(False)


def named_lines(axis: Axes, names: Sequence[str], xlabel: str = "") -> None:
    """Name horizontal lines at heights 0, 1, ..., lowest first."""
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(-0.6, len(names) - 0.4)
    axis.set_xlabel(xlabel)
    light_axes(axis)


def spread(y: float, n: int, width: float) -> np.ndarray:
    """Heights of n marks around one line, so that equal values do not hide each other."""
    return y + (np.linspace(-width, width, n) if n > 1 else np.zeros(n))


def legend_above(axis: Axes, marks: Iterable[tuple[str, str, str]], columns: int) -> None:
    """Draw a legend above the axes, from (label, marker, colour)."""
    for label, marker, colour in marks:
        axis.plot([], [], marker, color=colour, label=label)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns)


def mark(
    axis: Axes,
    value: float,
    interval: Interval | None,
    y: float,
    *,
    colour: str = BLUE,
    filled: bool = True,
    marker: str = "o",
    limits: Interval | None = None,
) -> None:
    """Draw a value with its interval on a horizontal line; an arrow if it is beyond the limits.

    Parameters
    ----------
    interval : tuple of float, optional
        None draws no bar.
    y : float
        Height of the line.
    filled : bool
        False for values that are not to be trusted.
    limits : tuple of float, optional
        Ends of the axis.
    """
    low, high = limits or (-math.inf, math.inf)
    if interval:
        ends = [min(max(end, low), high) for end in interval]
        axis.plot(ends, (y, y), color=colour, linewidth=2, solid_capstyle="butt", zorder=2)
    style: dict[str, Any] = {"markersize": 6, "zorder": 3}
    if not low <= value <= high:
        marker = "<" if value < low else ">"
        style = {"clip_on": False, "zorder": 4}
    face = colour if filled else PAPER
    at = min(max(value, low), high)
    axis.plot(at, y, marker, color=colour, markerfacecolor=face, **style)
