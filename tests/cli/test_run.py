"""`w2sprobe run`: what its options do to a config, and the schema for editors."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from tests.experiments.cases import save_study, study
from w2sprobe.cli import root
from w2sprobe.experiments.config import StudyConfig
from w2sprobe.experiments.methods import METHODS, Method


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    save_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("W2SPROBE_CACHE", str(tmp_path / "cache"))
    Path("study.yaml").write_text(yaml.safe_dump(study(tmp_path, methods=["student"])))

    def invoke(*arguments: str) -> Any:
        shown = CliRunner().invoke(root, ["run", *arguments], catch_exceptions=False)
        assert shown.exit_code == 0
        return json.loads(shown.stdout)

    return invoke


def test_settings_change_the_plan(run: Any) -> None:
    def titles(*arguments: str) -> list[str]:
        return [s["stage"] for s in run("study.yaml", "--dry-run", "--json", *arguments)["stages"]]

    assert titles()[-1] == "strong student"
    added = titles("--set", "methods=[student, mine]", "--set", "define.mine={predicts: zero_shot}")
    assert added == [*titles(), "strong model, zero-shot"]


def test_the_config_that_was_run_lies_beside_the_results(run: Any) -> None:
    results = run("study.yaml", "--json", "--out", "out", "--set", "methods=[mass_mean_probe]")
    assert [row["method"] for row in results["rows"]] == ["weak", "ceiling", "mass_mean_probe"]
    assert yaml.safe_load(Path("out/config.yaml").read_text()) == results["config"]
    again = run("out/config.yaml", "--dry-run", "--json")
    assert all(stage["done"] for stage in again["stages"])


def test_the_schema_names_every_key_and_method() -> None:
    shown = CliRunner().invoke(root, ["run", "--schema"])
    assert shown.exit_code == 0
    schema = json.loads(shown.stdout)
    assert list(schema["properties"]) == list(StudyConfig.model_fields)
    assert schema["properties"]["methods"]["items"]["anyOf"][0]["enum"] == list(METHODS)
    entry = schema["$defs"]["Method"]
    assert list(entry["properties"]) == list(Method.model_fields)
    sections = [
        schema,
        *(part for part in schema["$defs"].values() if part["title"] != "SplitSizes"),
    ]
    assert all(section["additionalProperties"] is False for section in sections)
