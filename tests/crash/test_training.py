"""Training that is killed for real, and taken up again: the same weights, bit for bit."""

import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.forks import FORKS
from tests.tiny import save_tiny_model, sentences
from w2sprobe.data import Rows
from w2sprobe.errors import OutputError
from w2sprobe.labels import LabelTable
from w2sprobe.training import checkpoints, loop, trainer
from w2sprobe.training.settings import TrainSettings

TEXTS = sentences(40, seed=1)
LABELS = np.array([("good" in text or "great" in text) for text in TEXTS], dtype=np.int64)
ROWS = Rows(np.array([f"r{number}" for number in range(40)]), TEXTS, LABELS)
SOFT = np.clip(LABELS + np.linspace(-0.4, 0.4, 40), 0, 1)
# four epochs of four steps; the loss remembers its last predictions
SETTINGS = TrainSettings(
    epochs=4, batch_size=8, learning_rate=1e-2, precision="float32", loss="logconf"
)
# checkpoints in the middle of an epoch, of a whole model
BY_STEPS = SETTINGS.model_copy(
    update={
        "eval_every": 3,
        "early_stopping": "log_loss",
        "full": True,
        "learning_rate": 1e-3,
    }
)
SETTINGS_OF = {"bert": SETTINGS, "llama": BY_STEPS}
FULL = 28  # what a process says that found no room


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fill_the_disk() -> None:
    """From now on no file grows beyond 10 kB; a checkpoint's weights and optimiser need more."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what is printed goes to a file of pytest's
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))


def work(model: str, out: Path, kill: int | None, place: str) -> None:
    settings = SETTINGS_OF[Path(model).name]

    class Killed(loop.BatchTrainer):
        def training_step(self, *arguments: Any, **options: Any) -> Any:
            if place == "step" and self.state.global_step == kill:
                die()
            return super().training_step(*arguments, **options)

        def _save_checkpoint(self, *arguments: Any, **options: Any) -> None:
            if place == "full disk" and self.state.global_step == kill:
                fill_the_disk()
            if place == "save" and self.state.global_step == kill:
                checkpoints.mark_complete = die  # all is written but whole.json
            super()._save_checkpoint(*arguments, **options)

        def save(self, folder: Path) -> None:
            super().save(folder)
            if place == "end":
                die()

    trainer.BatchTrainer = Killed  # type: ignore[misc]
    train, val = ROWS.select(range(30)), ROWS.select(range(30, 40))
    try:
        trainer.finetune(model, train, LabelTable(ROWS.ids, SOFT), val, out, settings, device="cpu")
    except OutputError as error:
        parts = ("checkpoint of step", "last complete checkpoint is kept")
        said = all(part in str(error) for part in parts)
        sys.exit(FULL if said else 1)


def run(model: str, out: Path, kill: int | None = None, place: str = "") -> int | None:
    process = FORKS.Process(target=work, args=(model, out, kill, place))
    process.start()
    process.join(120)
    return process.exitcode


def weights(folder: Path) -> bytes:
    (file,) = folder.glob("*/*model.safetensors")
    return file.read_bytes()


def record(folder: Path) -> dict[str, Any]:
    """Losses, looks, steps and the choice among them: what the Trainer's state came to."""
    found: dict[str, Any] = json.loads((folder / "training.json").read_text())
    return found


def validation(folder: Path) -> list[dict[str, Any]]:
    """Predictions of every evaluation, as many as the record has."""
    found: list[dict[str, Any]] = pq.read_table(folder / "validation.parquet").to_pylist()
    assert [row["step"] for row in found[::10]] == record(folder)["val_step"]
    assert len({row["p"] for row in found}) > len(found) / 2
    return found


@pytest.fixture(scope="module", params=["bert", "llama"])
def uninterrupted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, bytes]:
    """A model with dropout and one without, and the weights of a whole run."""
    folder = tmp_path_factory.mktemp(request.param)
    model = save_tiny_model(request.param, folder / request.param)
    assert run(model, folder / "run") == 0
    return model, weights(folder / "run")


@pytest.mark.parametrize(
    "kills",
    [
        [(0, "step")],
        [(10, "step"), (16, "end")],
        [(2, "step"), (12, "save"), (15, "step")],
    ],
    ids=["at once", "when all is learned", "again and again"],
)
def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(
    uninterrupted: tuple[str, bytes], kills: list[tuple[int, str]], tmp_path: Path
) -> None:
    model, expected = uninterrupted
    for kill, place in kills:
        assert run(model, tmp_path / "run", kill, place) == -signal.SIGKILL
        assert not (tmp_path / "run/training.json").exists(), "visibly unfinished"
    assert run(model, tmp_path / "run") == 0
    assert weights(tmp_path / "run") == expected
    assert record(tmp_path / "run") == record(Path(model).parent / "run")
    assert validation(tmp_path / "run") == validation(Path(model).parent / "run")
    left = {path.name for path in (tmp_path / "run").iterdir()}
    learned = "model" if SETTINGS_OF[Path(model).name].full else "adapter"
    assert left == {learned, "validation.parquet", "training.json"}


@pytest.mark.parametrize("checkpoint", [1, 3])
def test_a_full_disk_costs_no_more_than_the_steps_since_the_last_checkpoint(
    uninterrupted: tuple[str, bytes], checkpoint: int, tmp_path: Path
) -> None:
    model, expected = uninterrupted
    every = SETTINGS_OF[Path(model).name].eval_every or 4
    step = checkpoint * every
    assert run(model, tmp_path / "run", step, "full disk") == FULL
    whole = checkpoints.newest(tmp_path / "run/checkpoints")
    assert whole is None if checkpoint == 1 else whole.name == f"checkpoint-{step - every}"
    assert run(model, tmp_path / "run") == 0
    assert weights(tmp_path / "run") == expected


def test_another_seed_gives_other_weights(uninterrupted: tuple[str, bytes], tmp_path: Path) -> None:
    """So that the comparison above can fail."""
    model, expected = uninterrupted
    train, val = ROWS.select(range(30)), ROWS.select(range(30, 40))
    other = SETTINGS_OF[Path(model).name].model_copy(update={"seed": 1})
    trainer.finetune(model, train, LabelTable(ROWS.ids, SOFT), val, tmp_path, other, device="cpu")
    assert weights(tmp_path) != expected
