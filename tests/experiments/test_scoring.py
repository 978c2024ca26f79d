"""Results of an experiment from finished stages: predictions, choices, rows, what is missing."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.experiments.cases import plan_one, save_study, study
from w2sprobe.errors import InputError
from w2sprobe.experiments import stage_kinds
from w2sprobe.experiments.engines import Outcomes, run_local
from w2sprobe.experiments.experiment import Experiment
from w2sprobe.experiments.scoring import (
    PACKAGES,
    audit_of,
    choices_of,
    predictions_of,
    score,
    seconds_of,
    versions,
)
from w2sprobe.experiments.stage_kinds import labels_of
from w2sprobe.experiments.stages import Outcome
from w2sprobe.labels import THRESHOLD
from w2sprobe.metrics import capa, roc_auc

Make = Callable[..., Experiment]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    save_study(folder)
    return folder


@pytest.fixture(scope="module")
def make(place: Path) -> Make:
    def plan(**sections: Any) -> Experiment:
        return plan_one(study(place, **sections), place / "cache")

    return plan


METHODS = ["logistic_probe", "knn_filter", "logistic_with_weak", "logistic_on_knn_filter"]
Done = tuple[Experiment, Outcomes]


@pytest.fixture(scope="module")
def done(make: Make, place: Path) -> Done:
    """A study of probes that has been run: nothing is finetuned but one student."""
    weak = {"kind": "probe", "model": str(place / "weak"), "l2": 1e-4}
    probes = {"n_neighbors": 3, "l2": "auto", "contamination": 0.25}
    plan = make(methods=METHODS, weak=weak, ceiling="logistic", probes=probes)
    return plan, run_local(plan.stages)


def test_predictions_are_those_of_the_last_stage(done: Done) -> None:
    plan, outcomes = done
    predictions, missing = predictions_of(plan, outcomes)
    assert not missing
    assert {*predictions} == {*plan.methods}
    test = plan.splits.test.ids
    weak = labels_of(plan.methods["weak"].stages[0]).align(test).soft_label
    np.testing.assert_array_equal(predictions["weak"], weak)
    mean = (predictions["logistic_probe"] + weak) / 2
    np.testing.assert_allclose(predictions["logistic_with_weak"], mean)


def test_choices_are_computed_once_and_only_for_auto(done: Done) -> None:
    plan, _ = done
    reading = plan.methods["logistic_probe"].reading
    assert reading is not None
    (choice,) = choices_of(reading)
    assert choice.setting == "l2"
    assert choices_of(reading) is choices_of(reading)
    knn = plan.methods["knn_filter"].curator
    assert knn is not None
    assert choices_of(knn) == []


def test_results_have_scores_choices_and_rows(done: Done) -> None:
    plan, outcomes = done
    predictions, missing = predictions_of(plan, outcomes)
    results = score(plan, outcomes, predictions, missing)
    assert results is not None
    rows, truth = {row.method: row for row in results.rows}, plan.splits.test.labels
    for name, row in rows.items():
        assert row.auc == pytest.approx(roc_auc(truth, predictions[name]))
        assert row.seconds == pytest.approx(
            sum(map(seconds_of, plan.methods[name].stages)), abs=0.06
        )
    assert results.gap == pytest.approx(rows["ceiling"].auc - rows["weak"].auc)
    n = len(plan.splits.strong_train)
    assert (rows["logistic_probe"].rows_kept, rows["knn_filter"].rows_kept) == (n, n * 3 // 4)
    assert rows["weak"].rows_offered == len(plan.splits.weak_train)
    assert {"logistic_probe", "logistic_with_weak"} <= {*results.chosen}
    assert results.store
    weak = predictions["weak"]
    hard = capa(truth, weak > THRESHOLD, predictions["ceiling"] > THRESHOLD)
    assert results.indicators["capa_hard_ceiling"] == (None if np.isnan(hard) else hard)
    assert "capa_student" not in results.indicators
    assert {stage.title for stage in plan.stages} == {*results.stages}


def test_without_weak_model_or_ceiling_there_is_no_score(done: Done) -> None:
    plan, outcomes = done
    predictions, _ = predictions_of(plan, outcomes)
    for name in ("weak", "ceiling"):
        others = {method: p for method, p in predictions.items() if method != name}
        assert score(plan, outcomes, others, {}) is None


def test_failed_and_blocked_stages_are_the_reason_of_missing_methods(done: Done) -> None:
    plan, outcomes = done
    curated, student = plan.methods["knn_filter"].stages
    broken = {
        **outcomes,
        curated.address: Outcome("failed", error="a long message"),
        student.address: Outcome("blocked", error=curated.title),
    }
    predictions, missing = predictions_of(plan, broken)
    assert missing["knn_filter"] == curated.title
    assert "knn_filter" not in predictions
    results = score(plan, broken, predictions, missing)
    assert results is not None
    assert results.missing == missing
    assert curated.title not in results.stages


def test_an_audit_names_the_task_of_its_experiment(done: Done) -> None:
    plan, outcomes = done
    task = plan.config.task.model_copy(update={"positive": "good"})
    config = plan.config.model_copy(update={"task": task})
    found = audit_of(dataclasses.replace(plan, config=config), outcomes)
    assert found is not None
    assert found.task == task.label
    (stage,) = (stage for stage in plan.stages if stage.kind == "audit")
    assert audit_of(plan, {**outcomes, stage.address: Outcome("failed")}) is None


def test_versions_are_those_of_the_packages() -> None:
    assert {*versions()} == {"w2sprobe", "python", *PACKAGES}
    assert versions()["numpy"] == np.__version__


def test_a_filter_that_fails_fails_no_other_method(
    make: Make, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = ["logistic_on_topofilter", "logistic_on_knn_filter", "logistic_probe"]
    weak = {"kind": "probe", "model": str(place / "weak"), "l2": 1e-4}
    plan = make(methods=methods, weak=weak, probes={"n_neighbors": 3, "contamination": 0.3})

    def broken(*_: Any) -> None:
        raise InputError("all in one component")

    monkeypatch.setattr(stage_kinds, "curate_by_masks", broken)
    outcomes = run_local(plan.stages)
    predictions, missing = predictions_of(plan, outcomes)
    assert [*missing] == ["logistic_on_topofilter"]
    assert missing["logistic_on_topofilter"].startswith("logistic_on_topofilter labels of ")
    assert {*predictions} == {"weak", "ceiling", *methods[1:], "logistic_probe_on_truth"}
