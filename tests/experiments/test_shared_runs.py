"""Labels that are equal are trained on once, whoever made them."""

import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.experiments.cases import plan_one, run_one, save_study, study
from w2sprobe.data import Rows, truth_table
from w2sprobe.experiments import stage_kinds
from w2sprobe.experiments.config import StudyConfig
from w2sprobe.experiments.experiment import Experiment
from w2sprobe.experiments.forecast import forecast
from w2sprobe.experiments.plan import make_plan
from w2sprobe.experiments.shared_runs import content_address, same_run_as, train_once
from w2sprobe.fingerprint import fingerprint_strings
from w2sprobe.labels import LabelTable
from w2sprobe.models import describe_model
from w2sprobe.training.trainer import finetune

RULES = """
from w2sprobe.fingerprint import fingerprint_strings
from w2sprobe.labels import LabelTable
from w2sprobe.models import describe_model

def unchanged(X, labels, texts):
    return LabelTable(labels.ids, labels.soft_label, labels.keep)

def fewer(X, labels, texts):
    keep = labels.keep.copy()
    keep[:2] = False
    return LabelTable(labels.ids, labels.soft_label, keep)

def fewer_with_others(X, labels, texts):
    keep, soft = labels.keep.copy(), labels.soft_label.copy()
    keep[:2], soft[:2] = False, 0.5
    return LabelTable(labels.ids, soft, keep)
"""
DEFINE = {
    name: {"predicts": "student", "function": f"equal_rules:{name}"}
    for name in ("unchanged", "fewer", "fewer_with_others")
} | {"other_loss": {"predicts": "student", "function": "equal_rules:fewer", "loss": "entropy"}}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    save_study(folder)
    (folder / "equal_rules.py").write_text(RULES)
    return folder


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, place: Path) -> list[Path]:
    """Folders in which a student is really trained."""
    monkeypatch.chdir(place)
    folders: list[Path] = []

    def noted(model: str, *arguments: Any, **options: Any) -> Any:
        folders.append(arguments[3])
        return finetune(model, *arguments, **options)

    monkeypatch.setattr(stage_kinds, "finetune", noted)
    return folders


def make(place: Path, cache: Path, **sections: Any) -> Experiment:
    return plan_one(study(place, **{"define": DEFINE, **sections}), cache)


def predictions(experiment: Experiment, method: str) -> np.ndarray:
    return LabelTable.read(
        experiment.methods[method].stages[-1].folder / "labels.parquet"
    ).soft_label


def test_a_study_trains_on_equal_labels_once(
    place: Path, trained: list[Path], tmp_path: Path
) -> None:
    methods = ["student", *DEFINE]
    plan = make(place, tmp_path / "cache", methods=methods)
    results = run_one(plan, tmp_path / "out")
    last = {name: planned.stages[-1] for name, planned in plan.methods.items()}
    assert trained == [
        last[name].folder for name in ("weak", "ceiling", "student", "fewer", "other_loss")
    ]
    same = {row.method: row.same_run_as for row in results.rows if row.same_run_as}
    assert same == {
        "unchanged": "strong student",
        "fewer_with_others": "strong student on fewer labels",
    }
    for copy, first in (("unchanged", "student"), ("fewer_with_others", "fewer")):
        np.testing.assert_array_equal(predictions(plan, copy), predictions(plan, first))
        record, given = (
            json.loads((last[name].folder / "training.json").read_text()) for name in (copy, first)
        )
        assert record == {**given, "same_run_as": last[first].title}
        kept = [(last[name].folder / "validation.parquet").read_bytes() for name in (copy, first)]
        assert kept[0] == kept[1]
        adapters = [(last[name].folder / "adapter").iterdir() for name in (copy, first)]
        assert len({tuple(sorted(file.name for file in files)) for files in adapters}) == 1
    assert (predictions(plan, "fewer") != predictions(plan, "student")).any()
    seconds = {row.method: row.seconds for row in results.rows}
    assert seconds["unchanged"] < seconds["student"]


@pytest.mark.parametrize(
    "changes",
    [{"strong": {"seed": 1}}, {"strong": {"epochs": 2}}, {"strong": {"learning_rate": 1e-3}}],
    ids=str,
)
def test_another_training_is_one(
    place: Path, trained: list[Path], tmp_path: Path, changes: dict[str, dict[str, Any]]
) -> None:
    values, cache = study(place), place / "another"  # what all changes share is run once
    run_one(make(place, cache, methods=["student"]), tmp_path / "out")
    before = len(trained)
    other = {"strong": {**values["strong"], **changes["strong"]}}
    plan = make(place, cache, methods=["unchanged"], **other)
    run_one(plan, tmp_path / "out")
    assert trained[before:] == [
        plan.methods[name].stages[-1].folder for name in ("ceiling", "unchanged")
    ]
    again = make(place, cache, methods=["student"], **other)
    run_one(again, tmp_path / "out")
    assert (
        same_run_as(again.methods["student"].stages[-1].folder)
        == plan.methods["unchanged"].stages[-1].title
    )


def test_a_run_that_was_taken_over_says_nothing_of_the_speed(
    place: Path, trained: list[Path], tmp_path: Path
) -> None:
    run_one(make(place, tmp_path / "cache", methods=["student", "unchanged"]), tmp_path / "out")

    def expected(*methods: str) -> float:
        values = study(place, define=DEFINE, methods=list(methods))
        config = StudyConfig.model_validate(values)
        plan = make_plan(config, cache=tmp_path / "cache", out=tmp_path / "out")
        return forecast(plan).seconds

    assert expected("student", "unchanged", "other_loss") == expected("student", "other_loss")


def rows(n: int) -> Rows:
    names = np.array([f"r{row}" for row in range(n)])
    return Rows(names, [f"text of {name}" for name in names], np.arange(n) % 2)


def address(soft: list[float], keep: list[bool] | None = None, **made_of: Any) -> str:
    every = rows(6)
    train, val = every.select(np.arange(4)), every.select(np.arange(4, 6))
    table = LabelTable(every.ids, np.array(soft), None if keep is None else np.array(keep))
    return content_address({"model": "m", **made_of}, table, train, val)


def test_what_is_read_is_the_content() -> None:
    soft, keep = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [True, False, True, True, True, True]
    same = address(soft, keep)
    assert same == address([0.1, 0.9, *soft[2:]], keep)  # of a row that is left out
    others = [
        address(soft),
        address([0.1, 0.2, 0.35, *soft[3:]], keep),
        address([0.3, 0.2, 0.1, *soft[3:]], keep),  # the same values, of other rows
        address([*soft[:5], 0.7], keep),  # of a validation row
        address(soft, [False, True, *keep[2:]]),
        address(soft, keep, model="other"),
    ]
    assert len({same, *others}) == 7


def test_an_address_is_what_earlier_versions_wrote() -> None:
    soft, keep = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [True, False, True, True, True, True]
    assert address(soft, keep, version=1) == "e15addc9739c6051"


def test_runs_of_version_0_are_taken_over(place: Path, trained: list[Path], tmp_path: Path) -> None:
    """Addresses of stages have changed since; what a run was made of has not."""
    now = make(place, tmp_path / "now", methods=["student"])
    run_one(now, tmp_path / "out")
    old, splits = tmp_path / "old", now.splits
    (old / "runs").mkdir(parents=True)
    weak = LabelTable.read(now.methods["weak"].stages[0].folder / "labels.parquet")
    for name in ("weak", "ceiling", "student"):
        stage = now.methods[name].stages[-1]
        shutil.copytree(stage.folder, old / "stages" / f"train-of-version-0-{name}")
        role = "weak" if name == "weak" else "strong"
        rows = splits.weak_train if name == "weak" else splits.strong_train
        settings = now.config.weak if name == "weak" else now.config.strong
        made_of = {
            "model": describe_model(str(place / role)).identity,
            "settings": settings.settings("xent").identity,
            "precision": "float32",
            "train": fingerprint_strings(rows.ids.tolist(), rows.texts),
            "val": fingerprint_strings(splits.val.ids.tolist(), splits.val.texts),
            "predicted": (splits.stored if name == "weak" else splits.test).content,
            "version": 1,
        }
        table = weak if name == "student" else truth_table(rows, splits.val)
        entry = old / "runs" / f"{content_address(made_of, table, rows, splits.val)}.json"
        title = f"{name} of version 0"
        entry.write_text(json.dumps({"stage": f"train-of-version-0-{name}", "title": title}))
    trained.clear()
    again = make(place, old, methods=["student"])
    results = run_one(again, tmp_path / "again")
    assert trained == []
    assert {row.method: row.same_run_as for row in results.rows} == {
        name: f"{name} of version 0" for name in ("weak", "ceiling", "student")
    }
    for name in ("weak", "ceiling", "student"):
        np.testing.assert_array_equal(predictions(again, name), predictions(now, name))


def finished(folder: Path, name: str) -> Callable[[], None]:
    """A run that is as short as can be."""

    def train() -> None:
        (folder / "adapter").mkdir(parents=True, exist_ok=True)
        for file in ("adapter_config.json", "adapter_model.safetensors"):
            (folder / "adapter" / file).write_text(name)
        record = {"model": name, "model_identity": "", "precision": "", "settings": {}}
        (folder / "training.json").write_text(json.dumps(record))
        (folder / "labels.parquet").write_text(name)

    return train


def once(home: Path, name: str, train: Callable[[], None] | None = None) -> str:
    """Whose run stage `name` has in the end."""
    folder = home / name
    folder.mkdir(exist_ok=True)
    train_once(
        folder,
        home / "runs",
        "a",
        f"title {name}",
        "labels.parquet",
        train or finished(folder, name),
    )
    assert not list((home / "runs").glob(".lock*"))
    return (folder / "labels.parquet").read_text()


def test_the_first_one_trains(tmp_path: Path) -> None:
    assert [once(tmp_path, name) for name in "abc"] == ["a"] * 3
    assert [same_run_as(tmp_path / name) for name in "abc"] == ["", "title a", "title a"]
    assert once(tmp_path, "a") == "a"
    assert same_run_as(tmp_path / "a") == ""


@pytest.mark.parametrize("gone", ["training.json", "labels.parquet"])
def test_what_is_not_whole_is_not_taken_over(tmp_path: Path, gone: str) -> None:
    once(tmp_path, "a")
    (tmp_path / "a" / gone).unlink()
    assert once(tmp_path, "b") == "b"
    assert once(tmp_path, "c") == "b"


def test_a_failure_is_no_run(tmp_path: Path) -> None:
    def fail() -> None:
        (tmp_path / "a/labels.parquet").write_text("half")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        once(tmp_path, "a", fail)
    assert once(tmp_path, "b") == "b"
    assert once(tmp_path, "a") == "b"


def test_a_copy_that_was_cut_short_is_made_again(tmp_path: Path) -> None:
    once(tmp_path, "a")
    (tmp_path / "b/adapter").mkdir(parents=True)
    (tmp_path / "b/adapter/adapter_model.safetensors").write_text("half")
    (tmp_path / "b/checkpoints").mkdir()
    assert once(tmp_path, "b") == "a"
    assert (tmp_path / "b/adapter/adapter_model.safetensors").read_text() == "a"
    assert not (tmp_path / "b/checkpoints").exists()


def test_of_several_at_once_one_trains(tmp_path: Path) -> None:
    runs: list[str] = []

    def start(name: str) -> None:
        folder = tmp_path / name
        folder.mkdir()

        def slow() -> None:
            runs.append(name)
            time.sleep(0.3)
            finished(folder, name)()

        train_once(folder, tmp_path / "runs", "a", name, "labels.parquet", slow)

    threads = [threading.Thread(target=start, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (first,) = runs
    assert {(tmp_path / name / "labels.parquet").read_text() for name in "abc"} == {first}
