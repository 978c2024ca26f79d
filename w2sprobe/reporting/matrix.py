"""Tables of a method over all pairs of models."""

import math
from collections.abc import Iterator

from w2sprobe.comparison import Matrix
from w2sprobe.reporting.table import UNKNOWN, Cell, Column, Table, numeric

UNITS = {"pgr": ("PGR", 2), "delta_auc": ("AUC gain", 3)}


def matrix_tables(matrix: Matrix) -> Iterator[Table]:
    """Weak models as rows, strong ones as columns: mean PGR, then mean AUC gain."""
    strong = dict.fromkeys(cell.strong_model for cell in matrix.cells)
    weak = dict.fromkeys(cell.weak_model for cell in matrix.cells)
    cells = {(cell.weak_model, cell.strong_model): cell for cell in matrix.cells}

    def column(model: str, unit: str, digits: int) -> Column:
        def shown(supervisor: str) -> Cell:
            cell = cells.get((supervisor, model))
            if cell is None:
                return Cell.of("")
            value, n = getattr(cell, unit), getattr(cell, f"n_{unit}")
            if math.isnan(value):
                return Cell(f"{UNKNOWN} ({n})", "")
            return Cell.number(value, f"{value:+.{digits}f} ({n})")

        return numeric(model or "unnamed", shown)

    for unit, (name, digits) in UNITS.items():
        yield Table.of(
            f"{name} of {matrix.method}",
            (
                Column("weak \\ strong", lambda supervisor: supervisor or "unnamed"),
                *(column(model, unit, digits) for model in strong),
            ),
            weak,
            "Means over tasks; in parentheses the number of tasks.",
        )
