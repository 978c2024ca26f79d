"""Strong-to-strong as stages: what is shared, what is trained on what, where it stops."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.experiments.cases import plan_one, run_one, said, save_study, study
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import TaskConfig
from w2sprobe.experiments.experiment import Experiment
from w2sprobe.experiments.stage_kinds import labels_of
from w2sprobe.experiments.stages import Stage
from w2sprobe.labels import LabelTable
from w2sprobe.training import trainer
from w2sprobe.training.iterations import cross_fit, relabelled
from w2sprobe.training.saved import SavedModel
from w2sprobe.training.trainer import finetune

METHODS = ("student", "strong_to_strong_1", "strong_to_strong_2", "strong_to_strong_1_cross_fit")
Make = Callable[..., Experiment]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("s2s")
    save_study(folder)
    return folder


@pytest.fixture(scope="module")
def make(place: Path) -> Make:
    def plan(*methods: str, cache: str = "cache", **strong_to_strong: Any) -> Experiment:
        sections = {"strong_to_strong": {"cv": 2, **strong_to_strong}}
        values = study(place, methods=methods or METHODS, **sections)
        return plan_one(values, place / cache)

    return plan


@pytest.fixture(scope="module")
def done(make: Make, place: Path) -> Experiment:
    plan = make()
    run_one(plan, place / "results")
    return plan


def table(stage: Stage) -> LabelTable:
    return labels_of(stage)


def weights(folder: Path) -> bytes:
    return (folder / "adapter/adapter_model.safetensors").read_bytes()


def flipped(plan: Experiment) -> float:
    """Share of the hard labels that the first student changes."""
    weak, new = (
        table(stage).align(plan.splits.strong_train.ids).hard_label
        for stage in (plan.methods["weak"].stages[0], plan.methods["strong_to_strong_1"].stages[1])
    )
    return float(np.mean(weak != new))


def test_iterations_share_what_is_the_same(make: Make, place: Path) -> None:
    plan = make(cache="dry")
    one, two = plan.methods["strong_to_strong_1"].stages, plan.methods["strong_to_strong_2"].stages
    crossed = plan.methods["strong_to_strong_1_cross_fit"].stages
    assert [stage.kind for stage in two] == ["train", "relabel", "train", "relabel", "train"]
    assert [*map(id, two[:3])] == [*map(id, one)]
    assert one[0] is plan.methods["student"].stages[0] is crossed[0]
    assert crossed[1] is not one[1]
    titles = [stage.title for stage in plan.stages]
    assert len(set(titles)) == len(titles) == 3 + 1 + 4 + 2
    position = {stage.address: number for number, stage in enumerate(plan.stages)}
    for stage in plan.stages:
        assert all(position[i.address] < position[stage.address] for i in stage.inputs.values())
    assert not (place / "dry").exists()


def test_one_method_has_the_stages_of_another(make: Make) -> None:
    alone = make("strong_to_strong_2").methods["strong_to_strong_2"].stages
    beside = make().methods["strong_to_strong_2"].stages
    assert [stage.address for stage in alone] == [stage.address for stage in beside]


def test_settings_move_only_what_reads_them(make: Make) -> None:
    def addresses(**settings: Any) -> dict[str, str]:
        return {stage.title: stage.address for stage in make(**settings).stages}

    before = addresses()

    def moved(**settings: Any) -> set[str]:
        return {
            title for title, address in addresses(**settings).items() if before[title] != address
        }

    plain, crossed = "strong student", "strong student, cross-fitted"
    cross_fitted = {f"labels 1 of {crossed}", f"{crossed}, iteration 1"}
    assert moved(cv=4) == cross_fitted
    assert moved(stop_at=0.1) == cross_fitted | {
        *(f"labels {n} of {plain}" for n in (1, 2)),
        *(f"{plain}, iteration {n}" for n in (1, 2)),
    }


def test_truth_moves_no_student(
    make: Make, done: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that students learn from is the supervisor's labels: other truth, the same weights."""
    before = said(done)
    turned = {
        name: dataclasses.replace(done.splits[name], labels=1 - done.splits[name].labels)
        for name in ("strong_train", "test")
    }
    changed = dataclasses.replace(done.splits, **turned)
    monkeypatch.setattr(TaskConfig, "load", lambda *_: changed)
    after = make(cache="turned")
    assert not any(stage.done for stage in after.stages)
    predictions = said(after)
    for name in METHODS:
        assert weights(after.methods[name].stages[-1].folder) == weights(
            done.methods[name].stages[-1].folder
        )
        np.testing.assert_array_equal(predictions[name], before[name])
    assert (predictions["ceiling"] != before["ceiling"]).any()


def test_a_student_is_trained_on_the_labels_of_the_one_before(done: Experiment) -> None:
    first, labels, second, more, _ = done.methods["strong_to_strong_2"].stages
    train, val = done.splits.strong_train, done.splits.val
    weak = table(done.methods["weak"].stages[0])
    for student, made in ((first, labels), (second, more)):
        predicted = SavedModel.open(student.folder).predict(train)
        new = table(made)
        np.testing.assert_array_equal(new.align(train.ids).soft_label, predicted.soft_label)
        np.testing.assert_array_equal(new.align(val.ids).soft_label, weak.align(val.ids).soft_label)
        assert set(new.ids) == {*train.ids, *val.ids}, "no test rows"


@pytest.mark.parametrize("name", METHODS[1:])
def test_stages_do_what_the_library_does(done: Experiment, tmp_path: Path, name: str) -> None:
    config, splits = done.config.strong, done.splits
    train, val = splits.strong_train, splits.val
    labels = table(done.methods["weak"].stages[0]).align([*train.ids, *val.ids])

    def fit(given: LabelTable, out: Path) -> SavedModel:
        return finetune(config.model, train, given, val, out, config.settings("xent"))

    student = fit(labels, tmp_path / "0")
    for iteration in range(1, int(name.split("_")[3]) + 1):
        if "cross" in name:
            predicted = cross_fit(fit, train, labels, tmp_path / "folds", cv=2)
        else:
            predicted = student.predict(train)
        labels = relabelled(labels, predicted)
        student = fit(labels, tmp_path / str(iteration))
    last = done.methods[name].stages[-1]
    assert weights(student.folder) == weights(last.folder)
    np.testing.assert_array_equal(
        student.predict(splits.test).soft_label, table(last).align(splits.test.ids).soft_label
    )


def test_results_say_how_many_iterations_were_run(
    make: Make, done: Experiment, place: Path
) -> None:
    assert all(stage.done for stage in make().stages)
    rows = {row.method: row for row in run_one(done, place / "results").rows}
    assert [rows[name].iterations for name in ("weak", *METHODS)] == [0, 0, 1, 2, 1]
    assert rows["strong_to_strong_2"].rows_kept == 16
    assert rows["strong_to_strong_2"].seconds >= rows["strong_to_strong_1"].seconds


@pytest.mark.parametrize(("name", "folds"), [("2", 0), ("2_cross_fit", 2)])
def test_where_it_stops_the_student_before_is_the_last(
    make: Make,
    done: Experiment,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    folds: int,
) -> None:
    """Everything is in the plan, nothing is trained any more but what the stop hangs on."""
    assert 0 < flipped(done) < 0.99, "or this would test nothing"
    plan = make(f"strong_to_strong_{name}", stop_at=0.99)
    first, labels, second, more, third = plan.methods[f"strong_to_strong_{name}"].stages
    assert first.done
    assert second.inputs["previous"] is first
    trained: list[str] = []

    def watched(*arguments: Any, **options: Any) -> Any:
        trained.append(arguments[4].name)
        return trainer.finetune(*arguments, **options)

    monkeypatch.setattr("w2sprobe.experiments.stage_kinds.finetune", watched)
    results = run_one(plan, place / "stopped")
    assert trained == [f"fold-{number}" for number in range(folds)]
    for stage in (second, third):
        assert weights(stage.folder) == weights(first.folder)
        np.testing.assert_array_equal(table(stage).soft_label, table(first).soft_label)
        opened = SavedModel.open(stage.folder).predict(plan.splits.test)
        np.testing.assert_array_equal(opened.soft_label, table(first).soft_label)
    np.testing.assert_array_equal(table(more).soft_label, table(labels).soft_label)
    rows = {row.method: row for row in results.rows}
    assert rows[f"strong_to_strong_{name}"].iterations == 0


def test_it_goes_on_where_labels_change_more(make: Make, done: Experiment, place: Path) -> None:
    plan = make("strong_to_strong_1", stop_at=flipped(done) / 2)
    run_one(plan, place / "going")
    last = plan.methods["strong_to_strong_1"].stages[-1]
    assert weights(last.folder) == weights(done.methods["strong_to_strong_1"].stages[-1].folder)


def test_an_interrupted_cross_fit_goes_on(
    make: Make, done: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make("strong_to_strong_1_cross_fit", cv=4)
    _, labels, _ = plan.methods["strong_to_strong_1_cross_fit"].stages
    folds = []

    def watched(*arguments: Any, **options: Any) -> Any:
        folds.append(arguments[4].name)
        if len(folds) == 3:
            raise KeyboardInterrupt
        return trainer.finetune(*arguments, **options)

    monkeypatch.setattr("w2sprobe.experiments.stage_kinds.finetune", watched)
    with pytest.raises(KeyboardInterrupt):
        labels.execute()
    assert not labels.done
    labels.execute()
    assert folds == ["fold-0", "fold-1", "fold-2", "fold-2", "fold-3"]
    assert {path.name for path in labels.folder.iterdir()} == {
        *("labels.parquet", "relabelling.json", "stage.json")
    }


def test_more_folds_than_rows_are_refused_before_anything_runs(make: Make) -> None:
    with pytest.raises(InputError, match=r"strong_to_strong\.cv is 17.*2 to 16"):
        make("strong_to_strong_1_cross_fit", cv=17)
    make("strong_to_strong_1", cv=17)  # not read
