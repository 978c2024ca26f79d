"""An import that is killed, and started again: the bytes of one that was not."""

import signal
from pathlib import Path

import pytest
import torch

from tests.cache.cases import contents
from tests.crash.steps import count_steps, die_before_step
from tests.crash.test_extraction import finished, start
from tests.extraction.foreign_files import ROWS, states, write_requests
from tests.tiny import save_tiny_model
from w2sprobe.cache import ActivationStore
from w2sprobe.extraction import import_activations

LAYERS = (1, 2)
KILLS = 4


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    model = save_tiny_model("llama", folder / "model")
    write_requests(folder / "vllm", model, states(model), LAYERS, torch.float32)
    return folder


def work(inputs: Path, folder: Path) -> None:
    import_activations(
        inputs / "vllm",
        folder,
        model=inputs / "model",
        dataset=ROWS,
        layers=LAYERS,
        rows_per_shard=len(ROWS) // 6,
    )


def work_and_count(inputs: Path, folder: Path, result: Path) -> None:
    count_steps(folder, result)
    work(inputs, folder)


def work_and_die(inputs: Path, folder: Path, step: int) -> None:
    die_before_step(folder, step)
    work(inputs, folder)


def test_a_killed_import_continues(inputs: Path, tmp_path: Path) -> None:
    assert finished(start(work_and_count, inputs, tmp_path / "whole", tmp_path / "steps")) == 0
    n_steps = len((tmp_path / "steps").read_bytes())
    partial = 0
    for kill in range(KILLS):
        folder = tmp_path / f"cut{kill}"
        step = 1 + kill * (n_steps - 1) // (KILLS - 1)
        assert finished(start(work_and_die, inputs, folder, step)) == -signal.SIGKILL
        written = {file: file.stat().st_mtime_ns for file in folder.glob("shards/0*.h5")}
        partial += 0 < len(written) < 6
        work(inputs, folder)
        assert contents(folder) == contents(tmp_path / "whole"), step
        # a finished shard is not written again
        assert all(file.stat().st_mtime_ns == at for file, at in written.items())
    assert partial >= 2
    assert ActivationStore.open(tmp_path / "whole").verify() == []
