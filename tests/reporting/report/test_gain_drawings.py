"""Drawing of the baseline's gains: measured and shrunken, task by task."""

import math
from dataclasses import replace

import pytest

from tests.reporting.cases import METHODS, save_study
from w2sprobe.comparison import compare
from w2sprobe.reporting.report.gain_drawings import gains_drawing
from w2sprobe.reporting.report.sources import ResultsFolder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> ResultsFolder:
    folder = tmp_path_factory.mktemp("study")
    methods = dict.fromkeys(("one", "two", "three"), METHODS[:3])
    save_study(folder, tuple(methods), ("0",), methods=methods, records=False)
    return ResultsFolder.read(folder)


def test_gains_are_measured_and_shrunken(source: ResultsFolder) -> None:
    drawing = gains_drawing(compare(source.scores, against="student"), source.summary, "gains")
    assert drawing is not None
    rows = {row["task"]: row for row in drawing.data}
    summary = {row.task: row for row in source.summary if row.method == "student"}
    assert set(rows) == set(summary)
    for task, row in summary.items():
        assert rows[task]["gain"] == pytest.approx(row.delta_auc)
        assert row.delta_auc_interval is not None
        ends = [rows[task][f"gain_{end}"] for end in ("low", "high")]
        assert ends == pytest.approx(row.delta_auc_interval)
        assert rows[task]["gap"] == pytest.approx(row.gap)
        assert rows[task]["shrunken"] is not None


def test_a_baseline_without_gains_has_no_drawing(source: ResultsFolder) -> None:
    comparison = compare(source.scores, against="student")
    without = comparison.model_copy(update={"supervisor_gains": ()})
    assert gains_drawing(without, source.summary, "gains") is None


def test_without_standard_errors_nothing_is_shrunken(source: ResultsFolder) -> None:
    scores = [replace(score, delta_auc_se=math.nan) for score in source.scores]
    drawing = gains_drawing(compare(scores, against="student"), source.summary, "gains")
    assert drawing is not None
    assert {row["shrunken"] for row in drawing.data} == {None}
    assert "Shrunken" not in drawing.caption
    (axis,) = drawing.figure.axes
    legend = [text.get_text() for text in axis.get_legend().get_texts()]
    assert legend == ["measured", "mean over tasks"]
