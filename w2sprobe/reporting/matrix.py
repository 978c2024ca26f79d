"""A method over all pairs of models as tables in the terminal."""

import math
from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from w2sprobe.comparison import Matrix
from w2sprobe.reporting._cells import plain_table

UNITS = {"pgr": ("PGR", 2), "delta_auc": ("AUC gain", 3)}


def matrix_tables(matrix: Matrix) -> Iterator[Table]:
    """Weak models as rows, strong ones as columns: mean PGR, then mean AUC gain."""
    strong = dict.fromkeys(cell.strong_model for cell in matrix.cells)
    weak = dict.fromkeys(cell.weak_model for cell in matrix.cells)
    cells = {(cell.weak_model, cell.strong_model): cell for cell in matrix.cells}
    for unit, (name, digits) in UNITS.items():
        table = plain_table(
            f"{name} of {matrix.method}", "Means over tasks, in parentheses how many."
        )
        table.add_column("weak \\ strong")
        for model in strong:
            table.add_column(escape(model or "unnamed"), justify="right")
        for supervisor in weak:
            row = [cells.get((supervisor, model)) for model in strong]
            table.add_row(
                escape(supervisor or "unnamed"),
                *(
                    ""
                    if cell is None
                    else _cell(getattr(cell, unit), getattr(cell, f"n_{unit}"), digits)
                    for cell in row
                ),
            )
        yield table


def _cell(value: float, n: int, digits: int) -> str:
    return f"{'-' if math.isnan(value) else f'{value:+.{digits}f}'} ({n})"
