"""Scores of several results together."""

import json
from pathlib import Path

import pytest

from tests.reporting.cases import save_study
from w2sprobe.comparison import PUBLISHED, published, read_sources, study_overview
from w2sprobe.errors import UnknownName
from w2sprobe.results import StudyResults


def saved(folder: Path) -> StudyResults:
    study = save_study(folder, records=False)
    rows = [f"{task},{name},0.8,0.7,0.9" for task in ("one", "two") for name in ("student", "x")]
    (folder / "scores.csv").write_text("\n".join(["task,method,auc,weak_auc,ceiling_auc", *rows]))
    return study


def test_sources_are_read_together_and_declare_what_they_share(tmp_path: Path) -> None:
    saved(tmp_path / "a")
    saved(tmp_path / "b")
    both = read_sources([str(tmp_path / "a"), str(tmp_path / "b")])
    one = read_sources([str(tmp_path / "a")])
    assert len(both.scores) == 2 * len(one.scores)
    assert both.config == one.config
    other = json.loads((tmp_path / "b/study.json").read_text())
    other["config"]["analysis"] = {"margin": 0.5}
    (tmp_path / "b/study.json").write_text(json.dumps(other))
    assert read_sources([str(tmp_path / "b")]).config["analysis"] == {"margin": 0.5}
    assert read_sources([str(tmp_path / "a"), str(tmp_path / "b")]).config == {}
    assert len(read_sources([PUBLISHED]).scores) == len(published().scores)


def test_one_pair_is_looked_up_by_its_spelling() -> None:
    given = read_sources([PUBLISHED])
    with pytest.raises(UnknownName, match="a:b"):
        given.of_pair("a:b")


def test_a_study_without_a_baseline_is_not_compared(tmp_path: Path) -> None:
    study = saved(tmp_path)
    found = study_overview(study, tmp_path)
    assert found is not None
    assert found.comparisons[0].against == "student"
    alone = [row for row in study.summary if row.method in ("weak", "ceiling")]
    assert study_overview(study.model_copy(update={"summary": tuple(alone)}), tmp_path) is None
