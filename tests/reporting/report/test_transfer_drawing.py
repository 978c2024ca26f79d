"""Heat map of gains by task of training and task of testing."""

import pytest

from tests.reporting.test_transfer import AWAY, HOME, TASKS
from w2sprobe.reporting.report.transfer_drawing import transfer_drawing
from w2sprobe.reporting.transfer import task_pairs


def test_every_cell_shows_its_gain_and_home_is_framed() -> None:
    drawing = transfer_drawing(task_pairs(HOME, AWAY), ["student"], "transfer")
    assert [
        (row["task"], row["test_task"]) for row in drawing.data if row["delta_auc"] > 0.019
    ] == [
        (TASKS[0], TASKS[0]),
        (TASKS[1], TASKS[1]),
        TASKS,
        TASKS[::-1],
    ]
    axis = drawing.figure.axes[0]
    texts = {(text.get_position()): text.get_text() for text in axis.texts}
    # columns: hotels, films, news; the first line is the first task of training
    assert texts == {
        (0, 0): "+0.020",
        (1, 0): "+0.020",
        (2, 0): "-0.040",
        (0, 1): "+0.050",
        (1, 1): "+0.060",
    }
    assert [label.get_text() for label in axis.get_yticklabels()] == ["hotels", "films"]
    assert {patch.get_xy() for patch in axis.patches} == {(-0.46, -0.46), (0.54, 0.54)}
    assert axis.get_ylim() == (1.5, -0.5)
    assert "at home +0.040, away +0.010" in drawing.alt


def test_each_method_is_a_panel_on_one_scale() -> None:
    more = [row.model_copy(update={"method": "knn"}) for row in AWAY if row.method == "student"]
    drawing = transfer_drawing(task_pairs(HOME, [*AWAY, *more]), ["student", "knn"], "transfer")
    first, second = drawing.figure.axes[:2]
    assert first.collections[0].get_clim() == second.collections[0].get_clim()
    assert (first.get_title(), second.get_title()) == ("student", "knn")
    assert len(second.texts) == 3  # nothing at home
    assert sum(row["method"] == "knn" for row in drawing.data) == 3
    assert drawing.data[0]["weak_auc"] == pytest.approx(0.8)
