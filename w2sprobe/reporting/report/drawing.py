"""How all drawings look, and what becomes of them: inline SVG that follows the theme, and files."""

import io
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from w2sprobe.atomic import atomic_path
from w2sprobe.reporting.pages.blocks import Figure as Block
from w2sprobe.reporting.pages.blocks import as_csv
from w2sprobe.results import Interval

# Okabe and Ito's palette, darkened where it would be too pale for text; page.css has its dark twins
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
    """A figure before it is put anywhere.

    Parameters
    ----------
    name : str
        Of its files; letters, digits and hyphens.
    title, caption, alt : str
        As of `blocks.Figure`.
    figure : matplotlib Figure
    data : sequence of mapping
        A row a mark; all with the same keys.
    """

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure
    data: Sequence[Mapping[str, Any]]

    def block(self) -> Block:
        """For a page."""
        svg = themed(self._svg, self.name)
        return Block(self.name, self.title, self.caption, self.alt, svg, self.data)

    def save(self, folder: Path) -> None:
        """Write NAME.png, .svg, .pdf and .csv, each atomically."""
        with atomic_path(folder / f"{self.name}.png") as temporary:
            self.figure.savefig(temporary, format="png", dpi=200)
        with atomic_path(folder / f"{self.name}.pdf") as temporary:
            self.figure.savefig(temporary, format="pdf", metadata={"CreationDate": None})
        for kind, text in (("svg", self._svg), ("csv", as_csv(self.data))):
            with atomic_path(folder / f"{self.name}.{kind}") as temporary:
                temporary.write_text(text, encoding="utf-8")

    @cached_property
    def _svg(self) -> str:
        """Without date and random ids: the same results give the same file."""
        file = io.StringIO()
        with matplotlib.rc_context({"svg.hashsalt": self.name}):
            self.figure.savefig(file, format="svg", metadata={"Date": None})
        return file.getvalue()


def house_style() -> AbstractContextManager[None]:
    """Within it, all that is drawn looks as it should; every drawing is made and saved in it."""
    return matplotlib.rc_context(STYLE)


def new_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Figure, Any]:
    """An empty figure, and its axes as an array of (rows, columns).

    Parameters
    ----------
    width, height : float
        In inches.
    rows, columns : int
    **options
        Of `Figure.subplots`.

    Returns
    -------
    Figure, ndarray of Axes
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def themed(text: str, name: str) -> Markup:
    """SVG to stand in a page: its colours are the page's variables, its ids are its own.

    Parameters
    ----------
    text : str
        As matplotlib writes it.
    name : str
        Unique in its page.

    Returns
    -------
    Markup
        Matplotlib escapes texts, so that nothing of them is markup.
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


def light_axes(axis: Axes, grid: Literal["x", "y"] = "x") -> None:
    """A grid along one axis, and no ticks across it.

    Parameters
    ----------
    axis : Axes
    grid : {"x", "y"}
    """
    axis.grid(axis=grid)
    axis.tick_params(length=0)
    axis.spines["left" if grid == "x" else "bottom"].set_visible(False)


def mark(
    axis: Axes,
    value: float,
    interval: Interval | None,
    place: float,
    *,
    colour: str = BLUE,
    filled: bool = True,
    marker: str = "o",
    limits: Interval | None = None,
) -> None:
    """A value with its interval on a horizontal line; arrows where it leaves the limits.

    Parameters
    ----------
    axis : Axes
    value : float
    interval : tuple of float, optional
        None: no bounds, no bar.
    place : float
        Height of the line.
    colour, marker : str
    filled : bool
        Hollow: not to be trusted.
    limits : tuple of float, optional
        Of the axis.
    """
    low, high = limits or (-float("inf"), float("inf"))
    if interval:
        ends = [min(max(end, low), high) for end in interval]
        axis.plot(ends, (place, place), color=colour, linewidth=2, solid_capstyle="butt", zorder=2)
    if not low <= value <= high:
        axis.plot(
            low if value < low else high,
            place,
            "<" if value < low else ">",
            color=colour,
            markerfacecolor=colour if filled else PAPER,
            clip_on=False,
            zorder=4,
        )
        return
    axis.plot(
        value,
        place,
        marker,
        color=colour,
        markersize=6,
        markerfacecolor=colour if filled else PAPER,
        zorder=3,
    )
