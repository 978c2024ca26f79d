"""`w2sprobe train --iterations` on a small random model and a local file."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tests.models import save_tiny_model, sentences
from w2sprobe.cli import root
from w2sprobe.errors import InputError, OutputError
from w2sprobe.labels import LabelTable
from w2sprobe.training.saved import SavedModel

Train = Callable[..., str]
STUDENTS = ("--iterations", "1", "--out", "run")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train")
    with (folder / "task.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        texts = sorted(set(sentences(90, longest=6)))
        rows.writerows((text, index % 2) for index, text in enumerate(texts))
    save_tiny_model("llama", folder / "model")
    return folder


@pytest.fixture
def train(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(
            root,
            [
                *("train", "--model", str(place / "model"), "--task", str(place / "task.csv")),
                *("--sizes", "16,12,8,12", "--epochs", "1", "--batch-size", "4"),
                *("--learning-rate", "1e-2", "--precision", "float32", *arguments),
            ],
            catch_exceptions=False,
        )
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


def test_the_last_student_is_in_the_folder(train: Train) -> None:
    result = json.loads(train(*STUDENTS, "--cv", "2", "--json"))
    assert (result["last"], result["stopped"], result["rows_kept"]) == (1, None, 12)
    assert [step["iteration"] for step in result["iterations"]] == [0, 1]
    adapter = "adapter/adapter_model.safetensors"
    weights = [Path(f, adapter).read_bytes() for f in ("run", "run/iteration-1/student")]
    assert weights[0] == weights[1]
    SavedModel.open("run")
    assert len(LabelTable.read("run/labels.parquet")) == 16 + 8 + 12, "all but strong_train"


def test_what_was_done_is_shown(train: Train) -> None:
    shown = train(*STUDENTS, "--stop-at", "0.99")
    assert "iteration 0: AUC against the given labels, val: " in shown
    assert "of 12 hard labels flipped, mean change" in shown
    assert "no student" in shown
    assert "stopped after iteration 0: " in shown


def test_without_iterations_nothing_is_new(train: Train) -> None:
    result = json.loads(train("--out", "run", "--json"))
    assert set(result) == {"out", "model", "trained_on", "rows_kept", "chosen_epoch", "auc"}
    left = {path.name for path in Path("run").iterdir()}
    assert left == {"adapter", "training.json", "labels.parquet"}


def test_an_interrupted_command_goes_on(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    train("--iterations", "1", "--out", "whole")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("w2sprobe.training.iterations.copy_run", stop)
        with pytest.raises(AssertionError):
            train(*STUDENTS)
    assert not Path("run/training.json").exists()
    with pytest.raises(OutputError, match="not empty"):
        train("--out", "run")  # another command
    train(*STUDENTS)
    tables = [LabelTable.read(f"{folder}/labels.parquet").soft_label for folder in ("run", "whole")]
    np.testing.assert_array_equal(*tables)
    with pytest.raises(OutputError, match="not empty"):
        train(*STUDENTS)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--cv", "5"), "--cv without --iterations"),
        (("--stop-at", "0.01"), "--stop-at without --iterations"),
        (("--iterations", "1", "--stop-at", "1.5"), "--stop-at is 1.5"),
    ],
)
def test_what_does_not_fit_is_refused_before_rows_are_read(
    train: Train, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], part: str
) -> None:
    monkeypatch.setattr("w2sprobe.experiments.config.TaskConfig.load", None)
    with pytest.raises(InputError, match=part):
        train(*arguments, "--out", "run")
    assert not Path("run").exists()


@pytest.mark.parametrize("arguments", [("--iterations", "-1"), ("--iterations", "1", "--cv", "1")])
def test_numbers_out_of_range_are_a_matter_of_usage(arguments: tuple[str, ...]) -> None:
    done: Any = CliRunner().invoke(
        root, ["train", "--model", "x", "--task", "y", "--out", "run", *arguments]
    )
    assert done.exit_code == 2
    assert arguments[-2] in done.output


@pytest.mark.parametrize(("split", "rate"), [("weak_train", 5e-4), ("strong_train", 8e-5)])
def test_the_learning_rate_is_that_of_the_split(
    split: str, rate: float, place: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    done = CliRunner().invoke(
        root,
        [
            *("train", "--model", str(place / "model"), "--task", str(place / "task.csv")),
            *("--sizes", "16,12,8,12", "--epochs", "1", "--split", split, "--out", str(out)),
        ],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    assert json.loads((out / "training.json").read_text())["settings"]["learning_rate"] == rate
