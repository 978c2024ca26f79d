"""Summaries of made-up scores with known standard errors, and what tables show."""

from typing import Any

from w2sprobe.metrics import Estimate
from w2sprobe.reporting.table import Table
from w2sprobe.results import SummaryRow

DF, SE = 99.0, 0.01
ROW: dict[str, Any] = {
    "task": "reviews",
    "weak_model": "small",
    "strong_model": "large",
    "n_seeds": 1,
    "n_cuts": 1,
    "n_supervisor_seeds": 1,
    "n_learner_seeds": 1,
    "auc_interval": (0.7, 0.9),
    "gap": 0.1,
    "gap_se": 0.01,
    "resolved": True,
    "n_test_rows": 1000,
    "rows_needed": 300,
}
LEVELS = ("n_cuts", "n_supervisor_seeds", "n_learner_seeds")
EARLIER = dict.fromkeys(("delta_auc_se", "delta_auc_df", "delta_auc_pvalue", *LEVELS))


def estimate(delta: float, se: float = SE) -> Estimate:
    return Estimate(delta, ((se**2, DF),))


def row(method: str, auc: float, se: float = SE, **other: Any) -> SummaryRow:
    delta = auc - 0.8
    given = {
        "auc": auc,
        "delta_auc": delta,
        "delta_auc_interval": estimate(delta, se).interval,
        "delta_auc_se": se,
        "delta_auc_df": DF,
        "delta_auc_pvalue": estimate(delta, se).pvalue,
        "pgr": delta / 0.1,
        "pgr_interval": (delta / 0.1 - 0.2, delta / 0.1 + 0.2),
    }
    return SummaryRow(method=method, **{**ROW, **given, **other})


def rows(student: float | None, se: float = SE, **other: Any) -> list[SummaryRow]:
    found = [row("weak", 0.8, 0.0, **other), row("ceiling", 0.9, **other)]
    return found if student is None else [*found, row("student", student, se, **other)]


def shown(table: Table) -> dict[str, list[str]]:
    """Texts of each row after its first cell, by that cell."""
    return {row.cells[0].text: [cell.text for cell in row.cells[1:]] for row in table.rows}
