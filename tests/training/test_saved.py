import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.tiny import save_tiny_model, sentences
from w2sprobe.data import Rows
from w2sprobe.errors import InputError
from w2sprobe.labels import LabelTable
from w2sprobe.models import load_tokenizer
from w2sprobe.training.saved import SavedModel, copy_run, read_run
from w2sprobe.training.settings import TrainSettings
from w2sprobe.training.trainer import finetune

SETTINGS = TrainSettings(epochs=1, batch_size=8, learning_rate=1e-2, precision="float32")


def rows(n: int, seed: int, tag: str) -> Rows:
    texts = sentences(n, seed=seed)
    labels = np.array(["good" in text for text in texts], dtype=np.int64)
    return Rows(ids=np.array([f"{tag}{i}" for i in range(n)]), texts=texts, labels=labels)


TRAIN, VAL = rows(16, 1, "t"), rows(30, 2, "v")
TRUTH = LabelTable([*TRAIN.ids, *VAL.ids], [*TRAIN.labels, *VAL.labels])


@pytest.fixture(scope="module", params=["llama", "bert", "gpt2"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp(request.param)
    model = save_tiny_model(request.param, place / "model", padding_side="left")
    finetune(model, TRAIN, TRUTH, VAL, place / "run", SETTINGS).predict(VAL).write(
        place / "predicted.parquet"
    )
    return place / "run"


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copy"))


def test_an_opened_run_predicts_what_the_run_did(run: Path) -> None:
    table = SavedModel.open(run).predict(VAL)
    then = LabelTable.read(run.parent / "predicted.parquet")
    np.testing.assert_array_equal(table.ids, then.ids)
    np.testing.assert_array_equal(table.soft_label, then.soft_label)
    assert np.ptp(table.soft_label) > 0


def test_other_rows_in_the_batch_change_no_prediction(run: Path) -> None:
    saved = SavedModel.open(run)
    table = saved.predict(VAL)
    order = np.random.default_rng(0).permutation(len(VAL))
    mixed = saved.predict(VAL.select(order)).align(VAL.ids)
    alone = np.concatenate([saved.predict(VAL.select([row])).soft_label for row in range(9)])
    np.testing.assert_allclose(mixed.soft_label, table.soft_label, atol=1e-6)
    np.testing.assert_allclose(alone, table.soft_label[:9], atol=1e-6)


def test_the_padding_side_changes_no_prediction(tmp_path: Path) -> None:
    tables = []
    for side in ("left", "right"):
        model = save_tiny_model("llama", tmp_path / side, padding_side=side)
        assert load_tokenizer(model).padding_side == side
        finetune(model, TRAIN, TRUTH, VAL, tmp_path / f"run {side}", SETTINGS)
        tables.append(SavedModel.open(tmp_path / f"run {side}").predict(VAL))
    np.testing.assert_array_equal(tables[0].soft_label, tables[1].soft_label)


def test_labels_of_the_rows_are_not_read(run: Path) -> None:
    saved = SavedModel.open(run)
    turned = Rows(VAL.ids, VAL.texts, 1 - VAL.labels)
    np.testing.assert_array_equal(saved.predict(turned).soft_label, saved.predict(VAL).soft_label)


def test_long_texts_are_refused_or_cut_and_counted(copy: Path) -> None:
    long = Rows(np.array(["a", "b"]), ["good " * 99, "bad"], np.array([0, 1]))
    saved = SavedModel.open(copy)
    with pytest.raises(InputError, match="longer than the model's context"):
        saved.predict(long)
    with pytest.warns(UserWarning, match="1 of 2 texts were cut to 64 tokens"):
        cut = saved.predict(long, truncate=True)
    record = read_run(copy)
    record["settings"]["truncate"] = True
    (copy / "training.json").write_text(json.dumps(record))
    with pytest.warns(UserWarning, match="1 of 2"):
        again = SavedModel.open(copy).predict(long)
    np.testing.assert_array_equal(again.soft_label, cut.soft_label)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("training.json", "lacks 'training.json'"),
        ("adapter/adapter_config.json", "lacks 'adapter/adapter_config.json'"),
        ("adapter", "'adapter/adapter_config.json', 'adapter/adapter_model.safetensors'"),
    ],
)
def test_an_unfinished_run_is_refused(copy: Path, name: str, part: str) -> None:
    gone = copy / name
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    with pytest.raises(InputError) as caught:
        SavedModel.open(copy)
    assert part in str(caught.value)
    assert "no finished run" in str(caught.value)


def test_folders_that_are_no_runs_are_told_apart(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run folder"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(InputError, match="It is a base model"):
        read_run(read_run(copy)["model"])
    (copy / "training.json").write_text("{}")
    with pytest.raises(InputError, match="no key 'model', 'model_identity', 'precision'"):
        read_run(copy)
    (copy / "training.json").write_text("[")
    with pytest.raises(InputError, match="not JSON"):
        read_run(copy)


def test_another_base_model_is_refused(copy: Path) -> None:
    record = read_run(copy)
    now, then = str(record["model_identity"]["weights"]), "0123456789abcdef"
    record["model_identity"]["weights"] = then
    (copy / "training.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="has changed since run") as caught:
        SavedModel.open(copy)
    assert now in str(caught.value)
    assert then in str(caught.value)
    record["model"] = "gone/away"
    (copy / "training.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"base model of run .*: unknown model 'gone/away'"):
        SavedModel.open(copy)


def test_a_copied_run_replaces_another_with_all_its_files(copy: Path, tmp_path: Path) -> None:
    target = Path(shutil.copytree(copy, tmp_path / "target"))
    (copy / "validation.parquet").unlink()  # as earlier versions left a run
    (copy / "adapter/adapter_model.safetensors").write_bytes(b"other weights")
    copy_run(copy, target, {"same_run_as": "a"})
    assert (target / "adapter/adapter_model.safetensors").read_bytes() == b"other weights"
    assert not (target / "validation.parquet").exists(), "predictions of another student"
    assert read_run(target) == read_run(copy) | {"same_run_as": "a"}


def test_a_copy_that_was_cut_short_is_no_run(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Path(shutil.copytree(copy, tmp_path / "target"))

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copytree", killed)
    with pytest.raises(KeyboardInterrupt):
        copy_run(copy, target)
    with pytest.raises(InputError, match=r"lacks 'training\.json'"):
        read_run(target)
