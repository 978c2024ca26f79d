import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tiny import save_tiny_model, sentences
from w2sprobe.data import Rows
from w2sprobe.errors import IdMismatch, InputError
from w2sprobe.labels import LabelTable
from w2sprobe.training import iterations as module
from w2sprobe.training import trainer
from w2sprobe.training.iterations import (
    Change,
    change,
    copy_run,
    cross_fit,
    row_folds,
    strong_to_strong,
)
from w2sprobe.training.prefix import Prefix
from w2sprobe.training.saved import SavedModel, read_run
from w2sprobe.training.settings import VAL_SCORES, TrainSettings
from w2sprobe.training.trainer import finetune

SETTINGS = TrainSettings(epochs=1, batch_size=8, learning_rate=1e-2, precision="float32")


def rows(n: int, seed: int, tag: str) -> Rows:
    texts = sentences(n, seed=seed, longest=8)
    labels = np.array([("good" in text or "great" in text) for text in texts], dtype=np.int64)
    return Rows(ids=np.array([f"{tag}{i}" for i in range(n)]), texts=texts, labels=labels)


TRAIN, VAL, TEST = rows(24, 1, "t"), rows(12, 2, "v"), rows(8, 3, "x")
IDS = [*TRAIN.ids, *VAL.ids, *TEST.ids]
# the weak model has predicted test rows too
WEAK = LabelTable(IDS, np.random.default_rng(0).uniform(size=len(IDS)))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_model("llama", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def published(model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two in-sample iterations."""
    out = tmp_path_factory.mktemp("published") / "run"
    strong_to_strong(model, TRAIN, WEAK, VAL, out, SETTINGS, iterations=2)
    return out


@pytest.fixture(scope="module")
def crossed(model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cross-fitted iteration."""
    out = tmp_path_factory.mktemp("crossed") / "run"
    strong_to_strong(model, TRAIN, WEAK, VAL, out, SETTINGS, iterations=1, cv=3)
    return out


def given(out: Path, iteration: int) -> LabelTable:
    return LabelTable.read(out / f"iteration-{iteration}/labels.parquet")


def weights(folder: Path) -> bytes:
    return (folder / "adapter/adapter_model.safetensors").read_bytes()


def students(out: Path) -> list[bytes]:
    return [weights(folder) for folder in sorted(out.glob("iteration-*/student"))]


def record(out: Path) -> dict[str, Any]:
    return json.loads((out / "iterations.json").read_text())


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_each_student_is_trained_afresh_on_what_the_one_before_says(
    model: str, published: Path, tmp_path: Path
) -> None:
    for iteration in (1, 2):
        before = SavedModel.open(published / f"iteration-{iteration - 1}/student").predict(TRAIN)
        table = given(published, iteration)
        np.testing.assert_array_equal(table.align(TRAIN.ids).soft_label, before.soft_label)
        finetune(model, TRAIN, table, VAL, tmp_path / str(iteration), SETTINGS)
        assert weights(tmp_path / str(iteration)) == students(published)[iteration]
    finetune(model, TRAIN, WEAK, VAL, tmp_path / "0", SETTINGS)
    assert weights(tmp_path / "0") == students(published)[0]
    assert len(set(students(published))) == 3


def test_validation_rows_keep_their_labels_and_test_rows_stay_out(published: Path) -> None:
    for iteration in range(3):
        table = given(published, iteration)
        assert set(table.ids) == {*TRAIN.ids, *VAL.ids}
        np.testing.assert_array_equal(
            table.align(VAL.ids).soft_label, WEAK.align(VAL.ids).soft_label
        )


def test_the_folder_is_a_finished_run_of_the_last_student(published: Path) -> None:
    assert weights(published) == students(published)[2]
    last = SavedModel.open(published / "iteration-2/student").predict(TEST)
    np.testing.assert_array_equal(
        SavedModel.open(published).predict(TEST).soft_label, last.soft_label
    )
    assert names(published) == {
        *("adapter", "validation.parquet", "training.json", "iterations.json"),
        *("iteration-0", "iteration-1", "iteration-2"),
    }
    assert names(published / "iteration-1") == {"labels.parquet", "student"}
    own, of_last = (
        (place / "validation.parquet").read_bytes()
        for place in (published, published / "iteration-2/student")
    )
    assert own == of_last


def test_a_copy_keeps_no_predictions_of_another_student(published: Path, tmp_path: Path) -> None:
    old = Path(shutil.copytree(published / "iteration-0/student", tmp_path / "old"))
    (old / "validation.parquet").unlink()  # as an earlier version left it
    new = Path(shutil.copytree(published / "iteration-1/student", tmp_path / "new"))
    copy_run(old, new)
    assert not (new / "validation.parquet").exists()
    assert weights(new) == weights(old)


def test_the_record_compares_labels_and_students(published: Path) -> None:
    done = record(published)
    assert (done["last"], done["stopped"], done["cv"]) == (2, None, None)
    first, second, _ = done["iterations"]
    assert set(first) == {"iteration", *VAL_SCORES}
    old, new = (given(published, n).align(TRAIN.ids) for n in (0, 1))
    assert second["n_flipped"] == (old.hard_label != new.hard_label).sum() > 0
    assert second["mean_change"] == pytest.approx(np.abs(old.soft_label - new.soft_label).mean())
    run = read_run(published / "iteration-1/student")
    assert second["val_soft_auc"] == max(run["val_soft_auc"])
    kept = run["val_step"].index(run["chosen_step"])
    assert [second[name] for name in VAL_SCORES] == [run[name][kept] for name in VAL_SCORES]


def test_no_iterations_are_the_student_itself(model: str, published: Path, tmp_path: Path) -> None:
    strong_to_strong(model, TRAIN, WEAK, VAL, tmp_path / "run", SETTINGS, iterations=0)
    assert weights(tmp_path / "run") == students(published)[0]
    assert record(tmp_path / "run")["iterations"][0]["iteration"] == 0


def test_filtered_rows_are_relabelled_and_stay_out(model: str, tmp_path: Path) -> None:
    keep = np.ones(len(IDS), dtype=bool)
    keep[:10] = False
    for name, cv in (("in-sample", None), ("cross-fitted", 2)):
        out = tmp_path / name
        table = LabelTable(IDS, WEAK.soft_label, keep)
        last = strong_to_strong(model, TRAIN, table, VAL, out, SETTINGS, iterations=1, cv=cv)
        assert last.record["n_rows"] == 14
        new = given(out, 1).align(TRAIN.ids)
        np.testing.assert_array_equal(new.keep, keep[:24])
        assert (new.soft_label != WEAK.align(TRAIN.ids).soft_label).all()
        assert record(out)["iterations"][1]["n_rows"] == 14


def test_only_kept_rows_count_as_changed() -> None:
    old = LabelTable(["a", "b", "c", "v"], [0.2, 0.6, 0.9, 0.9], [True, True, False, True])
    new = LabelTable(["v", "c", "b", "a"], [0.1, 0.1, 0.7, 0.6], [True, False, True, True])
    abc = Rows(np.array(["a", "b", "c"]), ["x"] * 3, np.zeros(3, dtype=np.int64))
    made = change(old, new, abc)
    assert (made.n_rows, made.n_flipped) == (2, 1)
    assert made.mean_change == pytest.approx(0.25)


def test_truth_is_not_read(model: str, published: Path, crossed: Path, tmp_path: Path) -> None:
    turned = [dataclasses.replace(part, labels=1 - part.labels) for part in (TRAIN, VAL)]
    for name, out, options in (
        ("in-sample", published, {"iterations": 2}),
        ("cross-fitted", crossed, {"iterations": 1, "cv": 3}),
    ):
        place = tmp_path / name
        strong_to_strong(model, turned[0], WEAK, turned[1], place, SETTINGS, **options)
        assert students(place) == students(out)


def test_cross_fitted_labels_come_from_the_other_folds(
    model: str, crossed: Path, tmp_path: Path
) -> None:
    folds = row_folds(TRAIN, 3)
    new = given(crossed, 1)
    for fold in range(3):
        inside, outside = (TRAIN.select(np.flatnonzero(m)) for m in (folds == fold, folds != fold))
        finetune(model, outside, WEAK, VAL, tmp_path / str(fold), SETTINGS)
        wanted = SavedModel.open(tmp_path / str(fold)).predict(inside)
        np.testing.assert_array_equal(new.align(inside.ids).soft_label, wanted.soft_label)
    assert names(crossed / "iteration-1") == {"labels.parquet", "student"}


def test_a_row_has_no_say_in_its_cross_fitted_label(
    model: str, crossed: Path, tmp_path: Path
) -> None:
    folds = row_folds(TRAIN, 3)
    soft = WEAK.soft_label.copy()
    soft[5] = 1 - soft[5]
    table = LabelTable(IDS, soft)
    new = cross_fit(model, TRAIN, table, VAL, tmp_path / "folds", SETTINGS, cv=3).soft_label
    old = given(crossed, 1).align(TRAIN.ids).soft_label
    mates = folds == folds[5]
    np.testing.assert_array_equal(new[mates], old[mates])
    assert (new[~mates] != old[~mates]).all(), "in the labels of others it has"
    student = strong_to_strong(model, TRAIN, table, VAL, tmp_path / "0", SETTINGS, iterations=0)
    changed = student.predict(TRAIN).soft_label
    before = SavedModel.open(crossed / "iteration-0/student").predict(TRAIN).soft_label
    assert changed[5] != before[5], "in-sample it has, too"


def test_groups_share_a_fold() -> None:
    groups = np.array([f"g{n % 7}" for n in range(24)])
    folds = row_folds(dataclasses.replace(TRAIN, groups=groups), 3)
    assert set(folds) == {0, 1, 2}
    assert all(len(set(folds[groups == name])) == 1 for name in groups)
    alone = row_folds(TRAIN, 3)
    assert any(len(set(alone[groups == name])) > 1 for name in groups)


def test_groups_reach_the_cross_fit(model: str, tmp_path: Path) -> None:
    grouped = dataclasses.replace(TRAIN, groups=np.array([f"g{n // 8}" for n in range(24)]))
    folds = row_folds(grouped, 3)
    soft = WEAK.soft_label.copy()
    flipped = [row for row in range(24) if folds[row] == folds[0]]
    soft[flipped] = 1 - soft[flipped]
    old, new = (
        cross_fit(model, grouped, table, VAL, tmp_path / name, SETTINGS, cv=3).soft_label
        for name, table in (("old", WEAK), ("new", LabelTable(IDS, soft)))
    )
    np.testing.assert_array_equal(old[flipped], new[flipped])


def test_no_further_student_where_labels_change_no_more(
    model: str, published: Path, tmp_path: Path
) -> None:
    flipped = [step["n_flipped"] for step in record(published)["iterations"][1:]]
    fewest = min(flipped)
    last, share = flipped.index(fewest), fewest / 24
    out = tmp_path / "run"
    strong_to_strong(model, TRAIN, WEAK, VAL, out, SETTINGS, iterations=5, stop_at=share)
    assert students(out) == students(published)[: last + 1]
    assert weights(out) == students(out)[last]
    done = record(out)
    assert (done["last"], done["stop_at"]) == (last, share)
    assert done["stopped"] == f"{fewest} of 24 hard labels changed"
    for name in VAL_SCORES:
        unknown = [step[name] is None for step in done["iterations"]]
        assert unknown == [False] * (last + 1) + [True]
    np.testing.assert_array_equal(
        given(out, last + 1).soft_label, given(published, last + 1).soft_label
    )


def test_students_go_on_where_more_labels_change(
    model: str, published: Path, tmp_path: Path
) -> None:
    fewest = min(step["n_flipped"] for step in record(published)["iterations"][1:])
    assert fewest > 0
    out, share = tmp_path / "run", (fewest - 1) / 24
    strong_to_strong(model, TRAIN, WEAK, VAL, out, SETTINGS, iterations=2, stop_at=share)
    assert students(out) == students(published)
    assert record(out)["stopped"] is None


def test_at_most_the_share_asked_for() -> None:
    assert Change(100, 3, 0.1).ends(0.03)
    assert not Change(100, 4, 0.1).ends(0.03)
    assert Change(100, 0, 0.1).ends(0.0)
    assert not Change(100, 0, 0.0).ends(None)


def interrupted(
    monkeypatch: pytest.MonkeyPatch, name: str, call: int, attempt: Callable[[], object]
) -> None:
    """Run up to the given call of one of the module's functions."""
    function, calls = getattr(module, name), []

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return function(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, counted)
        with pytest.raises(KeyboardInterrupt):
            attempt()


@pytest.mark.parametrize(
    ("cv", "name", "call", "left"),
    [
        (None, "relabelled", 1, 2),
        (None, "finetune", 3, 1),
        (None, "read_run", 4, 0),  # in the middle of the copy
        (3, "finetune", 3, 3),  # in the second fold
        (3, "relabelled", 1, 1),
    ],
)
def test_an_interrupted_run_goes_on(
    model: str,
    published: Path,
    crossed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cv: int | None,
    name: str,
    call: int,
    left: int,
) -> None:
    out, whole = tmp_path / "run", crossed if cv else published

    def attempt() -> SavedModel:
        n = 1 if cv else 2
        return strong_to_strong(model, TRAIN, WEAK, VAL, out, SETTINGS, iterations=n, cv=cv)

    interrupted(monkeypatch, name, call, attempt)
    assert not (out / "training.json").exists(), "visibly unfinished"
    trained: list[Path] = []

    def watched(*arguments: Any, **options: Any) -> SavedModel:
        trained.append(arguments[4])
        return finetune(*arguments, **options)

    monkeypatch.setattr(module, "finetune", watched)
    attempt()
    assert len(trained) == left, "what was finished is not trained again"
    assert students(out) == students(whole)
    assert weights(out) == weights(whole)
    assert record(out) == record(whole)
    assert {p.relative_to(out) for p in out.rglob("*")} == {
        p.relative_to(whole) for p in whole.rglob("*")
    }


def test_a_fold_is_removed_once_its_predictions_are_written(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(
        monkeypatch,
        "finetune",
        2,
        lambda: cross_fit(model, TRAIN, WEAK, VAL, tmp_path / "folds", SETTINGS, cv=3),
    )
    assert names(tmp_path / "folds") == {"fold-0.parquet"}


def test_more_iterations_can_be_asked_for_later(
    model: str, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    strong_to_strong(model, TRAIN, WEAK, VAL, out, SETTINGS, iterations=1)
    assert weights(out) == students(published)[1]
    again = strong_to_strong(model, TRAIN, WEAK, VAL, out, SETTINGS, iterations=2)
    assert weights(out) == students(published)[2]
    assert again.folder == out
    assert record(out) == record(published)
    monkeypatch.setattr(module, "finetune", None)  # not called again
    strong_to_strong(model, TRAIN, WEAK, VAL, out, SETTINGS, iterations=2)
    assert weights(out) == students(published)[2]


def test_a_folder_of_other_students_is_refused(model: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    flipped = LabelTable(IDS, 1 - WEAK.soft_label)
    strong_to_strong(model, TRAIN, WEAK, VAL, out, SETTINGS, iterations=0)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    other = SETTINGS.model_copy(update={"seed": 1})
    for labels, settings in ((flipped, SETTINGS), (WEAK, other)):
        with pytest.raises(InputError, match="students of other rows, labels, model or settings"):
            strong_to_strong(model, TRAIN, labels, VAL, out, settings, iterations=0)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_a_run_that_was_refused_can_be_mended(model: str, tmp_path: Path) -> None:
    long = dataclasses.replace(TRAIN, texts=["good " * 99, *TRAIN.texts[1:]])
    with pytest.raises(InputError, match="--truncate"):
        strong_to_strong(model, long, WEAK, VAL, tmp_path / "run", SETTINGS, iterations=0)
    strong_to_strong(model, TRAIN, WEAK, VAL, tmp_path / "run", SETTINGS, iterations=0)


def test_a_radius_is_that_of_the_labels_a_student_is_trained_on(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source's code goes on with the radius of the first student."""
    seen = []

    def watched(settings: TrainSettings, soft: list[float]) -> Any:
        seen.append(soft)
        return make_loss(settings, soft)

    make_loss = trainer.make_loss
    monkeypatch.setattr(trainer, "make_loss", watched)
    window = SETTINGS.model_copy(update={"loss": "window"})
    strong_to_strong(model, TRAIN, WEAK, VAL, tmp_path / "run", window, iterations=1)
    assert seen == [given(tmp_path / "run", n).align(TRAIN.ids).soft_label.tolist() for n in (0, 1)]


def test_a_prefix_is_computed_once_for_all_students(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upper = SETTINGS.model_copy(update={"lora_from_layer": 2})
    computed = []
    compute = Prefix._compute

    def counted(*arguments: Any, **options: Any) -> Any:
        computed.append(1)
        return compute(*arguments, **options)

    monkeypatch.setattr(Prefix, "_compute", counted)
    strong_to_strong(model, TRAIN, WEAK, VAL, tmp_path / "run", upper, iterations=1, cv=2)
    assert len(computed) == 1
    assert not (tmp_path / "run/prefixes").exists()


@pytest.mark.parametrize(
    ("options", "error", "part"),
    [
        ({"iterations": -1}, InputError, "--iterations is -1"),
        ({"iterations": 0, "cv": 3}, InputError, "--cv without --iterations"),
        ({"iterations": 0, "stop_at": 0.1}, InputError, "--stop-at without --iterations"),
        ({"iterations": 1, "stop_at": 1.0}, InputError, "--stop-at is 1.0"),
        ({"iterations": 1, "stop_at": float("nan")}, InputError, "--stop-at is nan"),
        ({"iterations": 1, "cv": 1}, InputError, "cv is 1"),
        ({"iterations": 1, "cv": 25}, InputError, "2 to 24"),
        ({"iterations": 1, "labels": LabelTable(TRAIN.ids, TRAIN.labels)}, IdMismatch, "'v0'"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    options: dict[str, Any], error: type, part: str, model: str, tmp_path: Path
) -> None:
    labels = options.pop("labels", WEAK)
    with pytest.raises(error, match=part):
        strong_to_strong(model, TRAIN, labels, VAL, tmp_path / "run", SETTINGS, **options)
    assert not (tmp_path / "run").exists()
