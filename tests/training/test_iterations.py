"""Relabelling by students: most tests replace `finetune` by a stub, two train a tiny model."""

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.tiny import save_tiny_model, sentences
from w2sprobe.data import Rows
from w2sprobe.errors import InputError
from w2sprobe.folds import folds_of
from w2sprobe.labels import LabelTable
from w2sprobe.training.iterations import Change, change, cross_fit, relabelled
from w2sprobe.training.prefix import Prefix
from w2sprobe.training.saved import SavedModel
from w2sprobe.training.settings import TrainSettings
from w2sprobe.training.trainer import finetune

SETTINGS = TrainSettings(epochs=1, batch_size=8, learning_rate=1e-2, precision="float32")


def rows(n: int, seed: int, tag: str) -> Rows:
    texts = sentences(n, seed=seed, longest=8)
    labels = np.array([("good" in text or "great" in text) for text in texts], dtype=np.int64)
    return Rows(ids=np.array([f"{tag}{i}" for i in range(n)]), texts=texts, labels=labels)


TRAIN, VAL = rows(24, 1, "t"), rows(12, 2, "v")
IDS = [*TRAIN.ids, *VAL.ids]
WEAK = LabelTable(IDS, np.random.default_rng(0).uniform(size=len(IDS)))
FOLDS = folds_of(24, 3)


class MeanStudent:
    """Predicts the mean soft label of the rows it was fitted on, for every row."""

    def __init__(self, labels: LabelTable, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "training.json").touch()
        kept = labels.align(TRAIN.ids)
        self._mean = kept.soft_label[kept.keep].mean()

    def predict(self, asked: Rows) -> LabelTable:
        return LabelTable(asked.ids, np.full(len(asked), self._mean))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_model("llama", tmp_path_factory.mktemp("model"))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_cross_fitted_labels_come_from_the_other_folds(tmp_path: Path) -> None:
    new = cross_fit(MeanStudent, TRAIN, WEAK, tmp_path, cv=3)
    assert new.ids.tolist() == TRAIN.ids.tolist()
    soft = WEAK.align(TRAIN.ids).soft_label
    expected = [soft[fold != FOLDS].mean() for fold in FOLDS]
    np.testing.assert_allclose(new.soft_label, expected, rtol=1e-12)
    assert names(tmp_path) == {f"fold-{fold}.parquet" for fold in range(3)}, "no students left"


def test_a_cross_fitted_student_is_one_finetuned_on_the_other_folds(
    model: str, tmp_path: Path
) -> None:
    def fit(labels: LabelTable, out: Path) -> SavedModel:
        return finetune(model, TRAIN, labels, VAL, out, SETTINGS)

    new = cross_fit(fit, TRAIN, WEAK, tmp_path / "folds", cv=2)
    folds = folds_of(24, 2)
    for fold in range(2):
        inside, outside = (TRAIN.select(np.flatnonzero(m)) for m in (folds == fold, folds != fold))
        wanted = finetune(model, outside, WEAK, VAL, tmp_path / str(fold), SETTINGS).predict(inside)
        np.testing.assert_array_equal(new.align(inside.ids).soft_label, wanted.soft_label)


def test_a_row_does_not_influence_its_own_cross_fitted_label(tmp_path: Path) -> None:
    soft = WEAK.soft_label.copy()
    soft[5] = 1 - soft[5]
    old, new = (
        cross_fit(MeanStudent, TRAIN, table, tmp_path / name, cv=3).soft_label
        for name, table in (("old", WEAK), ("new", LabelTable(IDS, soft)))
    )
    same_fold = FOLDS[5] == FOLDS
    np.testing.assert_array_equal(new[same_fold], old[same_fold])
    assert (new[~same_fold] != old[~same_fold]).all()


def test_rows_of_a_group_share_a_fold(tmp_path: Path) -> None:
    groups = np.array([f"g{n // 8}" for n in range(24)])
    grouped = dataclasses.replace(TRAIN, groups=groups)
    new = cross_fit(MeanStudent, grouped, WEAK, tmp_path, cv=3).soft_label
    soft = WEAK.align(TRAIN.ids).soft_label
    expected = [soft[groups != group].mean() for group in groups]
    np.testing.assert_allclose(new, expected, rtol=1e-12)


def test_filtered_rows_are_relabelled_and_stay_out(tmp_path: Path) -> None:
    keep = np.ones(len(IDS), dtype=bool)
    keep[:10] = False
    table = LabelTable(IDS, WEAK.soft_label, keep)
    new = relabelled(table, cross_fit(MeanStudent, TRAIN, table, tmp_path, cv=2))
    assert new.align(TRAIN.ids).keep.tolist() == keep[:24].tolist()
    assert (new.soft_label != WEAK.soft_label)[:24].all()
    used = folds_of(24, 2)[:24][keep[:24]]
    soft = WEAK.soft_label[:24][keep[:24]]
    assert new.soft_label[0] == pytest.approx(soft[used != folds_of(24, 2)[0]].mean())


def test_validation_rows_keep_their_labels() -> None:
    predicted = LabelTable(TRAIN.ids, np.full(24, 0.5))
    new = relabelled(WEAK, predicted)
    np.testing.assert_array_equal(new.align(VAL.ids).soft_label, WEAK.align(VAL.ids).soft_label)
    np.testing.assert_array_equal(new.align(TRAIN.ids).soft_label, predicted.soft_label)


def test_finished_folds_are_not_computed_again(tmp_path: Path) -> None:
    fitted: list[str] = []

    def fit(labels: LabelTable, out: Path) -> MeanStudent:
        fitted.append(out.name)
        if len(fitted) == 2:
            raise KeyboardInterrupt
        return MeanStudent(labels, out)

    with pytest.raises(KeyboardInterrupt):
        cross_fit(fit, TRAIN, WEAK, tmp_path / "cut", cv=3)
    assert names(tmp_path / "cut") == {"fold-0.parquet"}
    resumed = cross_fit(fit, TRAIN, WEAK, tmp_path / "cut", cv=3)
    assert fitted == ["fold-0", "fold-1", "fold-1", "fold-2"]
    whole = cross_fit(MeanStudent, TRAIN, WEAK, tmp_path / "whole", cv=3)
    np.testing.assert_array_equal(resumed.soft_label, whole.soft_label)


def test_a_prefix_is_computed_once_for_all_folds(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = []
    compute = Prefix._compute
    monkeypatch.setattr(Prefix, "_compute", lambda *given: (computed.append(1), compute(*given))[1])
    upper = SETTINGS.model_copy(update={"lora_from_layer": 2})
    shared = partial(finetune, settings=upper, prefixes=tmp_path / "prefixes")
    cross_fit(
        lambda labels, out: shared(model, TRAIN, labels, VAL, out),
        *(TRAIN, WEAK, tmp_path / "folds"),
        cv=2,
    )
    assert len(computed) == 1


@pytest.mark.parametrize(("cv", "part"), [(1, "cv is 1"), (25, "2 to 24")])
def test_a_number_of_folds_that_does_not_fit_is_refused(cv: int, part: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=part):
        cross_fit(MeanStudent, TRAIN, WEAK, tmp_path / "folds", cv=cv)
    assert not (tmp_path / "folds").exists()


def test_only_kept_rows_count_as_changed() -> None:
    old = LabelTable(["a", "b", "c", "v"], [0.2, 0.6, 0.9, 0.9], [True, True, False, True])
    new = LabelTable(["v", "c", "b", "a"], [0.1, 0.1, 0.7, 0.6], [True, False, True, True])
    abc = Rows(np.array(["a", "b", "c"]), ["x"] * 3, np.zeros(3, dtype=np.int64))
    made = change(old, new, abc)
    assert (made.n_rows, made.n_flipped) == (2, 1)
    assert made.mean_change == pytest.approx(0.25)


def test_iterations_stop_where_at_most_the_given_share_changes() -> None:
    assert Change(100, 3, 0.1).ends(0.03)
    assert not Change(100, 4, 0.1).ends(0.03)
    assert Change(100, 0, 0.1).ends(0.0)
    assert not Change(100, 0, 0.0).ends(None)
