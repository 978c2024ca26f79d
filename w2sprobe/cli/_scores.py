"""Scores of predictions against true labels, as `train` and `predict` show them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from w2sprobe.data import Rows
    from w2sprobe.labels import LabelTable


def scores(rows: "Rows", table: "LabelTable") -> dict[str, Any] | None:
    """Compute `w2sprobe.results.Performance` as JSON; None without rows."""
    from w2sprobe.metrics import performance

    if not len(rows):
        return None
    result = performance(rows.labels, table.align(rows.ids).soft_label, groups=rows.groups)
    return result.model_dump(mode="json")


def shown(performance: dict[str, Any] | None) -> str:
    """Format accuracy, losses and calibration on one line; empty without scores."""
    if performance is None:
        return ""
    loss = performance["log_loss"]
    return (
        f"; accuracy {performance['accuracy']:.3f}, log-loss "
        f"{'infinite' if loss is None else f'{loss:.3f}'}, Brier {performance['brier']:.3f}, "
        f"calibration error {performance['calibration_error']:.3f}"
    )
