"""Training in several processes, as torchrun starts them, equals training in one."""

import os
import signal
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.forks import FORKS
from tests.tiny import save_tiny_model, sentences
from w2sprobe.data import Rows
from w2sprobe.labels import LabelTable
from w2sprobe.training import loop, trainer
from w2sprobe.training.settings import TrainSettings

TEXTS = sentences(50, seed=1)
LABELS = np.array([("good" in text or "great" in text) for text in TEXTS], dtype=np.int64)
ROWS = Rows(np.array([f"r{number}" for number in range(50)]), TEXTS, LABELS)
# the last batch of an epoch has one row: a process without a share of it must not fall behind
SETTINGS = TrainSettings(
    epochs=2, batch_size=8, learning_rate=1e-2, precision="float32", micro_batch_tokens=64
)


def work(rank: int, world: int, port: int, model: str, out: Path, kill: int | None) -> None:
    if world > 1:
        places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_PORT": port}
        os.environ |= {name: str(value) for name, value in places.items()}
        os.environ["MASTER_ADDR"] = "127.0.0.1"

    class Killed(loop.BatchTrainer):
        def training_step(self, *arguments: Any, **options: Any) -> Any:
            if self.state.global_step == kill:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().training_step(*arguments, **options)

    trainer.BatchTrainer = Killed  # type: ignore[misc]
    torch.set_num_threads(1)
    train, val = ROWS.select(range(33)), ROWS.select(range(33, 50))
    trained = trainer.finetune(
        model, train, LabelTable(ROWS.ids, LABELS), val, out, SETTINGS, device="cpu"
    )
    trained.predict(val).write(out / f"predicted-{rank}.parquet")


def run(world: int, model: str, out: Path, kill: int | None = None) -> list[int | None]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        FORKS.Process(target=work, args=(rank, world, port, model, out, kill))
        for rank in range(world)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes]


@pytest.mark.parametrize("architecture", ["llama", "bert"])
def test_several_processes_train_the_weights_of_a_single_one(
    architecture: str, tmp_path: Path
) -> None:
    config: dict[str, Any] = {}
    if architecture == "bert":  # dropout is drawn in each process
        config = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = save_tiny_model(architecture, tmp_path / "model", **config)
    assert run(1, model, tmp_path / "one") == [0]
    assert run(2, model, tmp_path / "two") == [0, 0]
    one, two = (
        load_file(tmp_path / name / "adapter/adapter_model.safetensors") for name in ("one", "two")
    )
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        np.testing.assert_allclose(two[name], tensor, atol=2e-4, err_msg=name)
    tables = [LabelTable.read(tmp_path / f"two/predicted-{rank}.parquet") for rank in (0, 1)]
    np.testing.assert_array_equal(tables[0].soft_label, tables[1].soft_label)


def test_killed_processes_resume_together(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    assert run(2, model, tmp_path / "whole") == [0, 0]
    assert run(2, model, tmp_path / "killed", kill=7) == [-signal.SIGKILL] * 2
    assert not (tmp_path / "killed/training.json").exists()
    assert run(2, model, tmp_path / "killed") == [0, 0]
    for file in ("adapter/adapter_model.safetensors", "validation.parquet"):
        whole, killed = ((tmp_path / name / file).read_bytes() for name in ("whole", "killed"))
        assert whole == killed
