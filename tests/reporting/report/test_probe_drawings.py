"""Surfaces of made-up sweeps: which cells are marked, and what is said of them."""

import numpy as np
import pytest

from w2sprobe.reporting.heatmaps import heat_scale
from w2sprobe.reporting.report.drawing import Drawing
from w2sprobe.reporting.report.probe_drawings import (
    Surface,
    curves_drawing,
    grid_drawing,
    layers_drawing,
)

KS = (5.0, 20.0, 200.0)


def surface(best: float) -> Surface:
    return {
        ("knn", layer, k): {"a": 0.3 if k == best else -0.1, "b": 0.1 * layer}
        for layer in (0, 1)
        for k in KS
    }


def marks(drawing: Drawing) -> dict[str, list[float]]:
    axis = drawing.figure.axes[0]
    return {str(line.get_marker()): line.get_xydata().ravel().tolist() for line in axis.lines}


def test_the_highest_cell_and_the_one_in_use_are_marked() -> None:
    drawing = grid_drawing(surface(20), "grid", "test rows", {"knn": (0, 5.0)})
    assert marks(drawing) == {"*": [1, 1], "o": [0, 0]}
    assert "used (k 5 (edge) on layer 0)" in drawing.caption
    assert "At the edge" not in drawing.caption
    assert drawing.alt == "Highest: knn on layer 1 at k 20, +0.200"


def test_a_layer_that_was_not_tried_with_the_best_setting_is_not_drawn() -> None:
    found = surface(20)
    found["knn", 2, 5.0] = {"a": 0.9}  # of a run with fewer rows, say
    found = {point: gains for point, gains in found.items() if point != ("knn", 0, 20.0)}
    drawing = layers_drawing(found, "layers", {})
    best = {row["layer"] for row in drawing.data}
    assert best == ({0, 1, 2} if drawing.data[0]["value"] == 5.0 else {1})
    assert "nan" not in drawing.alt


@pytest.mark.parametrize(
    ("best", "used"),
    [(200.0, {"knn": (0, 7.0)}), (5.0, {"knn": (2, 5.0)}), (5.0, {})],
    ids=("setting not swept", "layer not swept", "chosen by each run"),
)
def test_a_best_cell_at_the_edge_is_told(best: float, used: dict[str, tuple[int, float]]) -> None:
    drawing = grid_drawing(surface(best), "grid", "test rows", used)
    assert set(marks(drawing)) == {"*"}
    assert f"At the edge of what was tried (k {best:g})" in drawing.caption
    assert "Circle" not in drawing.caption


def test_gains_and_losses_of_a_size_are_equally_bright() -> None:
    scale = heat_scale([-0.2] * 50 + [0.05] * 50, centred=True)
    assert (scale["vmin"], scale["vmax"]) == pytest.approx((-0.15, 0.15))  # gains are seen
    assert heat_scale([-0.2] * 50 + [0.001], centred=True)["vmax"] == 0.12
    assert heat_scale([-0.2] * 50 + [-0.01], centred=True)["vmax"] == pytest.approx(0.2)
    few = heat_scale([*np.linspace(-0.1, 0.1, 99), -5.0], centred=True)
    assert few["vmax"] < 0.11  # one far value does not make the others pale
    assert heat_scale([0.001, -0.002], centred=True)["vmax"] == 0.01


def curves(rule: str, **more: object) -> list[dict[str, object]]:
    scores = {"val_soft_auc": 0.6, "val_log_loss": 0.5, "early_stopping": rule}
    return [
        {"method": "student", "stage": "a", "epoch": epoch, "chosen": epoch == 2, **scores, **more}
        for epoch in (1.0, 2.0, 3.0)
    ]


@pytest.mark.parametrize(("rule", "n_axes"), [("soft_auc", 1), ("log_loss", 2)])
def test_the_auc_against_the_truth_is_a_line_of_its_own(rule: str, n_axes: int) -> None:
    rows = [
        {**row, "val_true_auc": auc}
        for row, auc in zip(curves(rule), (0.7, 0.8, None), strict=True)
    ]
    drawing = curves_drawing(rows, "curves", "reviews")
    assert len(drawing.figure.axes) == n_axes, "a loss and an AUC share no axis"
    (dashed,) = [line for line in drawing.figure.axes[-1].lines if line.get_linestyle() == "--"]
    np.testing.assert_array_equal(dashed.get_ydata(), [0.7, 0.8, np.nan])
    (legend,) = drawing.figure.legends
    said = "against true labels (for display only; no student of weak labels was chosen by it)"
    assert said in legend.get_texts()[1].get_text()
    assert said in drawing.caption
    assert drawing.alt.endswith("(true AUC 0.800)")


@pytest.mark.parametrize("more", [{}, {"val_true_auc": None}], ids=["no column", "not known"])
def test_without_predictions_nothing_is_said_of_the_truth(more: dict[str, None]) -> None:
    drawing = curves_drawing(curves("log_loss", **more), "curves", "reviews")
    (axis,) = drawing.figure.axes
    assert [line.get_linestyle() for line in axis.lines] == ["-", "None"]
    assert not drawing.figure.legends
    assert "Dashed" not in drawing.caption
    assert drawing.alt == "student 0.500"


def test_the_line_of_layers_says_what_was_used() -> None:
    drawing = layers_drawing(surface(20), "layers", {"knn": (1, 5.0)})
    assert drawing.caption.endswith("fixed beforehand: k 5 (edge) on layer 1.")
    assert "At the edge" not in drawing.caption
    assert (
        "(k 200): a better setting may lie beyond" in layers_drawing(surface(200), "l", {}).caption
    )
    assert "fixed beforehand" not in layers_drawing(surface(20), "layers", {}).caption
