"""Complete and incomplete checkpoints, the run they belong to, and pruning."""

import shutil
from pathlib import Path

import pytest

from tests.tiny import save_tiny_model
from tests.training.cases import SETTINGS, TRAIN, TRUTH, VAL
from w2sprobe.errors import InputError
from w2sprobe.training import checkpoints
from w2sprobe.training.saved import read_validation
from w2sprobe.training.trainer import finetune


def save(folder: Path, step: int, *, sealed: bool = True) -> Path:
    """A checkpoint with weights and an optimiser's folder, as transformers writes them."""
    checkpoint = folder / f"checkpoint-{step}"
    (checkpoint / "optimizer").mkdir(parents=True)
    (checkpoint / "weights.safetensors").touch()
    if sealed:
        checkpoints.mark_complete(checkpoint, {"val_scores": [step / 100, 0.5]})
    return checkpoint


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_resumed_run_may_use_its_folder(tmp_path: Path) -> None:
    folder = checkpoints.claim(tmp_path, "a")
    save(folder, 4)
    assert checkpoints.claim(tmp_path, "a") == folder
    assert names(folder) == {"run.json", "checkpoint-4"}
    with pytest.raises(InputError, match="the folder holds an unfinished run with other rows"):
        checkpoints.claim(tmp_path, "b")


def test_the_newest_complete_checkpoint_is_found_and_incomplete_ones_removed(
    tmp_path: Path,
) -> None:
    assert checkpoints.newest(tmp_path) is None
    for step, sealed in ((8, True), (16, False), (10, True), (9, False)):
        save(tmp_path, step, sealed=sealed)
    assert checkpoints.newest(tmp_path) == tmp_path / "checkpoint-10"  # by number, not by name
    assert names(tmp_path) == {"checkpoint-8", "checkpoint-10"}


def test_old_checkpoints_keep_their_predictions_only(tmp_path: Path) -> None:
    for step in (4, 8, 12):
        save(tmp_path, step)
    checkpoints.prune(tmp_path, {"checkpoint-8", "checkpoint-12"})
    assert names(tmp_path / "checkpoint-4") == {"whole.json"}
    assert len(names(tmp_path / "checkpoint-8")) == len(names(tmp_path / "checkpoint-12")) == 3
    kept = checkpoints.predictions(tmp_path, [4, 12])
    assert {step: p.tolist() for step, p in kept.items()} == {4: [0.04, 0.5], 12: [0.12, 0.5]}


def test_predictions_are_complete_or_none(tmp_path: Path) -> None:
    save(tmp_path, 4)
    assert checkpoints.predictions(tmp_path, [4, 8]) == {}


def test_a_run_that_an_earlier_version_began_ends_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remove(folder: Path, keep: set[str]) -> None:
        for checkpoint in folder.glob("checkpoint-*"):
            if checkpoint.name not in keep:
                shutil.rmtree(checkpoint)

    monkeypatch.setattr(checkpoints, "prune", remove)
    six = SETTINGS.model_copy(update={"epochs": 6})
    model = save_tiny_model("llama", tmp_path / "model")
    saved = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", six)
    assert saved.record["val_step"] == [5, 10, 15, 20, 25, 30]
    assert read_validation(tmp_path / "run") == {}
