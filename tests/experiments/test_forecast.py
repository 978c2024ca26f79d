"""Forecast of a plan: what is done, and disk and time of the rest."""

import json
from pathlib import Path

import pytest

from tests.experiments.cases import planned, save_other_task, save_study, two_tasks
from w2sprobe.experiments.engines import run_local
from w2sprobe.experiments.forecast import MEASURED, PRODUCT, few_rows, forecast


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forecast")
    save_study(folder)
    save_other_task(folder)
    return folder


def test_a_forecast_knows_what_is_done_and_adds_up(place: Path) -> None:
    methods = ["student", "knn_probe"]
    run_local(planned(place, **two_tasks(place), methods=methods).stages)
    plan = planned(place, **two_tasks(place), methods=[*methods, "student_logconf"])
    found = forecast(plan)
    missing = [stage for stage in found.stages if not stage.done]
    assert [stage.kind for stage in missing] == ["train"] * 2
    assert found.speed_from == MEASURED
    assert found.seconds == pytest.approx(sum(stage.seconds for stage in missing), abs=0.1)
    assert found.disk_bytes == sum(stage.disk_bytes for stage in missing) > 0
    assert found.store_bytes > 0
    numbers = {stage.number: stage for stage in found.stages}
    for stage in found.stages:
        assert all(source < stage.number for source in stage.inputs.values())
    weak = next(stage for stage in found.stages if stage.stage == "weak model on truth")
    assert numbers[missing[0].inputs["labels"]] == weak
    json.loads(found.model_dump_json())


def test_without_finished_stages_the_speed_is_measured(place: Path, tmp_path: Path) -> None:
    found = forecast(planned(place, probes={"n_neighbors": 4, "position": "mean"}))
    assert found.speed_from == PRODUCT
    assert found.n_experiments == 1
    ((task, sizes),) = found.splits.items()
    assert task == str(place / "task.csv")
    assert sizes == {"weak_train": 16, "strong_train": 16, "val": 8, "test": 12}


def test_tasks_with_few_test_rows_are_told(place: Path) -> None:
    plan = planned(place, **two_tasks(place))
    (note,) = few_rows(plan)
    assert note.startswith("2 of 2 tasks have fewer than ")
    assert "The fewest: 12, " in note
    assert list(few_rows(planned(place, min_gap_se=0.0))) == []


@pytest.mark.parametrize("min_gap", [0.25, 0.9, 1.0, 2.0])
def test_a_wide_gap_needs_few_rows(min_gap: float, place: Path) -> None:
    assert list(few_rows(planned(place, min_gap=min_gap, min_gap_se=1.0))) == []
