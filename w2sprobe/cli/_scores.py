"""Scores of predictions for rows with true labels, for `train` and `predict`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from w2sprobe.data import Rows
    from w2sprobe.labels import LabelTable


def scores(rows: "Rows", table: "LabelTable") -> dict[str, Any] | None:
    """Compute `w2sprobe.results.Performance` as JSON; None without rows."""
    from w2sprobe.metrics import performance

    if not len(rows):
        return None
    found = performance(rows.labels, table.align(rows.ids).soft_label, groups=rows.groups)
    return found.model_dump(mode="json")


def shown(found: dict[str, Any] | None) -> str:
    """Format accuracy, losses and calibration on one line; empty without scores."""
    if found is None:
        return ""
    loss = found["log_loss"]
    return (
        f"; accuracy {found['accuracy']:.3f}, log-loss "
        f"{'infinite' if loss is None else f'{loss:.3f}'}, Brier {found['brier']:.3f}, "
        f"calibration error {found['calibration_error']:.3f}"
    )
