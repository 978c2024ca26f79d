"""Drawings of scores: what stands beside what, and which data they show."""

import pytest

from tests.reporting.cases import METHODS, save_study
from w2sprobe.comparison import published
from w2sprobe.reporting.report.score_drawings import pgr_drawing, tasks_drawing
from w2sprobe.reporting.report.sources import ResultsFolder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> ResultsFolder:
    folder = tmp_path_factory.mktemp("study")
    methods = dict.fromkeys(
        ("boolq", "mine", "other"), (*METHODS[:3], "topofilter", "random_filter")
    )
    save_study(folder, tuple(methods), ("0",), methods=methods, records=False)
    return ResultsFolder.read(folder)


def test_published_values_stand_beside_the_same_task_and_method(source: ResultsFolder) -> None:
    scores = published().scores
    theirs = {(one.task, one.method): one.pgr for one in scores}
    drawing = pgr_drawing(source.summary, "pgr", scores)
    found = {(row["task"], row["method"]): row["published_pgr"] for row in drawing.data}
    assert found["boolq", "student"] == theirs["boolq", "xent"]
    assert found["boolq", "topofilter"] == theirs["boolq", "topofilter"]
    assert found["boolq", "random_filter"] is None
    assert {value for (task, _), value in found.items() if task == "mine"} == {None}
    assert "Crosses: the source experiments." in drawing.caption
    of_tasks = tasks_drawing(source.summary, "auc", scores)
    (axis,) = of_tasks.figure.axes
    legend = [text.get_text() for text in axis.get_legend().get_texts()]
    assert legend == ["weak and ceiling, published", "weak", "student", "ceiling"]
    ends = {(row["task"], row["method"]): row["published_auc"] for row in of_tasks.data}
    (weak,) = {one.weak_auc for one in scores if one.task == "boolq"}
    assert (ends["boolq", "weak"], ends["boolq", "student"]) == (weak, None)


def test_data_are_the_results(source: ResultsFolder) -> None:
    summary = {(row.task, row.method): row for row in source.summary}
    found = pgr_drawing(source.summary, "pgr", []).data
    assert {(one["task"], one["method"]) for one in found} == {
        key for key in summary if key[1] not in ("weak", "ceiling")
    }
    for one in found:
        row = summary[one["task"], one["method"]]
        assert (one["pgr"], (one["pgr_low"], one["pgr_high"])) == (row.pgr, row.pgr_interval)
