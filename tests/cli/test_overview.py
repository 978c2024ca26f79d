from pathlib import Path

import pytest

from tests.cli.cases import save_scored_study
from w2sprobe.cli._overview import print_study


def printed(folder: Path, capsys: pytest.CaptureFixture[str], tasks: tuple[str, ...]) -> str:
    study = save_scored_study(folder, tasks)
    print_study(study.model_copy(update={"warnings": ("one seed only",)}), folder)
    return capsys.readouterr().out


def test_several_tasks_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(tmp_path, capsys, ("one", "two", "three"))
    assert "student" in shown
    assert "AUC: difference to student" in shown
    assert "Warning: one seed only" in shown
    assert shown.rstrip().endswith(f"{tmp_path / 'study.json'}  {tmp_path / 'scores.csv'}")


def test_one_task_has_no_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(tmp_path, capsys, ("one",))
    assert "student" in shown
    assert "difference to student" not in shown
