"""`w2sprobe join`; the join itself is tested in tests/experiments/test_join.py."""

import json
from pathlib import Path

import pytest

from tests.cli.cases import invoke, run, save_scored_study
from w2sprobe.errors import W2SProbeError
from w2sprobe.experiments import join
from w2sprobe.results import StudyResults


def test_the_joined_study_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def join_studies(folders: tuple[Path, ...], out: Path, *, name: str | None) -> StudyResults:
        calls.append((folders, out, name))
        return save_scored_study(out)

    monkeypatch.setattr(join, "join_studies", join_studies)
    monkeypatch.chdir(tmp_path)
    shown = run("join", "seed0", "seed1", "--out", "both", "--name", "mine")
    assert calls == [((Path("seed0"), Path("seed1")), Path("both"), "mine")]
    assert "student" in shown
    assert "both/study.json  both/scores.csv" in shown
    study = json.loads(run("join", "seed0", "--out", "both", "--json"))
    assert study["name"] == "made-up"


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    done = invoke("join", str(tmp_path / "absent"), "--out", str(tmp_path / "out"))
    assert isinstance(done.exception, W2SProbeError)
    assert done.exception.exit_code == 2
    assert "absent" in str(done.exception)
    assert not (tmp_path / "out").exists()
