"""results.png, the figure beside results.json: the report's drawing of a task, with a title."""

from pathlib import Path

from w2sprobe.atomic import atomic_path
from w2sprobe.reporting.report.drawing import house_style
from w2sprobe.reporting.report.score_drawings import method_drawing
from w2sprobe.results import Results


def results_figure(results: Results, path: Path) -> None:
    """Draw AUC and PGR of every method with 95 % intervals, and write a PNG atomically."""
    with house_style():
        figure = method_drawing(results.summary, "results").figure
        figure.suptitle(
            f"{results.task}: {results.weak_model} supervises {results.strong_model}\n"
            f"{results.splits['test']} test rows, bars: 95 % intervals over test rows",
            fontsize=10,
        )
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format="png", dpi=150)
