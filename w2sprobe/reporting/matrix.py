"""A method over all pairs of models as tables."""

import math
from collections.abc import Iterator

from w2sprobe.comparison import Matrix
from w2sprobe.reporting.table import UNKNOWN, Cell, Column, Row, Table

UNITS = {"pgr": ("PGR", 2), "delta_auc": ("AUC gain", 3)}


def matrix_tables(matrix: Matrix, prefix: str = "") -> Iterator[Table]:
    """Weak models as rows, strong ones as columns: mean PGR, then mean AUC gain."""
    strong = dict.fromkeys(cell.strong_model for cell in matrix.cells)
    weak = dict.fromkeys(cell.weak_model for cell in matrix.cells)
    cells = {(cell.weak_model, cell.strong_model): cell for cell in matrix.cells}
    for unit, (name, digits) in UNITS.items():
        rows = []
        for supervisor in weak:
            row = [cells.get((supervisor, model)) for model in strong]
            values = (
                Cell.of("")
                if cell is None
                else _cell(getattr(cell, unit), getattr(cell, f"n_{unit}"), digits)
                for cell in row
            )
            rows.append(Row((Cell.of(supervisor or "unnamed"), *values)))
        yield Table(
            f"{prefix}{matrix.method.replace('_', '-')}-{unit.replace('_', '-')}",
            f"{name} of {matrix.method}",
            (
                Column("weak \\ strong"),
                *(Column(model or "unnamed", number=True) for model in strong),
            ),
            rows,
            "Means over tasks, in parentheses how many.",
        )


def _cell(value: float, n: int, digits: int) -> Cell:
    if math.isnan(value):
        return Cell(f"{UNKNOWN} ({n})", "")
    return Cell.number(value, f"{value:+.{digits}f} ({n})")
