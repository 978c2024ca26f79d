"""Running commands in this process, and a task and a model to extract from."""

import csv
from collections.abc import Sequence
from pathlib import Path

from click.testing import CliRunner, Result

from tests.reporting.cases import save_study
from tests.tiny import save_tiny_model, sentences
from w2sprobe.cli import root
from w2sprobe.results import StudyResults

STORE = ("--model", "model", "--task", "task.csv", "--store", "shared/store")


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(root, arguments)


def run(*arguments: str) -> str:
    """What a command prints that succeeds."""
    done = CliRunner().invoke(root, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def save_inputs(folder: Path) -> None:
    """Write task.csv and the random model `model`, as `STORE` names them."""
    with (folder / "task.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "text", "label"])
        texts = sorted(set(sentences(90, longest=6)))
        rows.writerows((row, text, row % 2) for row, text in enumerate(texts))
    save_tiny_model("llama", folder / "model")


def save_scored_study(folder: Path, tasks: Sequence[str] = ("one", "two", "three")) -> StudyResults:
    """Write a made-up study and its scores.csv."""
    study = save_study(folder, tasks, records=False)
    with (folder / "scores.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["task", "method", "auc"])
        rows.writerows((row.task, row.method, row.auc) for row in study.summary)
    return study
