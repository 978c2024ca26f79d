"""`w2sprobe run`: what its options do to a config, and the schema for editors."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

from tests.experiments.cases import MODEL, save_study, study
from w2sprobe.cli import root
from w2sprobe.errors import InputError, W2SProbeError
from w2sprobe.experiments.config import StudyConfig
from w2sprobe.experiments.methods import METHODS, Method
from w2sprobe.results import Results, StudyResults


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
    methods = ["weak", "ceiling", "mass_mean_probe", "mass_mean_probe_on_truth"]
    assert [row["method"] for row in results["rows"]] == methods
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


def test_the_schema_describes_sections_in_one_sentence() -> None:
    """Docstrings have more: sections such as Raises are for readers of the code."""
    schema = json.loads(CliRunner().invoke(root, ["run", "--schema"]).stdout)
    for section in (schema, *schema["$defs"].values()):
        assert "\n" not in section["description"]
        assert section["description"].endswith(".")
    assert "---" not in json.dumps(schema)


def test_a_study_of_several_ends_with_gaps_and_comparisons(run: Any, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    header, *rows = (tmp_path / "task.csv").read_text().splitlines()
    other.write_text("\n".join([header, *(f"so {row}" for row in rows)]))
    several = ["--set", f"tasks=[{tmp_path / 'task.csv'}, {other}]"]
    several += ["--set", "task={sizes: {weak_train: 16, strong_train: 16, val: 8, test: 16}}"]
    several += ["--set", "methods=[student, knn_probe]"]
    study = run("study.yaml", "--json", "--out", "several", *several)
    assert len(study["experiments"]) == 2
    shown = CliRunner().invoke(root, ["run", "study.yaml", "--out", "several", *several])
    assert shown.exit_code == 0
    for part in ("resolved", "AUC: difference to student", "knn_probe", "several/study.json"):
        assert part in shown.stdout
    again = run("several/config.yaml", "--dry-run", "--json")
    assert again["n_experiments"] == 2
    assert all(stage["done"] for stage in again["stages"])
    compared = CliRunner().invoke(root, ["stats", "several"])
    assert compared.exit_code == 0, compared.output
    assert "AUC: difference to student" in compared.stdout


def test_options_change_every_task_and_model(run: Any, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    header, *rows = (tmp_path / "task.csv").read_text().splitlines()
    other.write_text("\n".join([header, *(f"so {row}" for row in rows)]))
    tasks = f"tasks=[{tmp_path / 'task.csv'}, {{name: {other}, seed: 5}}]"
    sizes = {"weak_train": 10, "strong_train": 10, "val": 8, "test": 8}
    settings = ["--set", tasks, "--set", f"task={json.dumps({'sizes': sizes})}"]
    plan = run("study.yaml", "--dry-run", "--json", *settings)
    assert set(plan["splits"]) == {str(tmp_path / "task.csv"), str(other)}
    assert {tuple(sizes.values()) for sizes in plan["splits"].values()} == {(10, 10, 8, 8)}
    sized = run("study.yaml", "--dry-run", "--json", *settings, "--sizes", "12,12,6,6")
    assert {tuple(sizes.values()) for sizes in sized["splits"].values()} == {(12, 12, 6, 6)}
    one = run("study.yaml", "--dry-run", "--json", *settings, "--task", str(other))
    assert set(one["splits"]) == {str(other)}
    twice = ["--set", f"weak=[{{model: {tmp_path / 'weak'}}}, {{model: {tmp_path / 'strong'}}}]"]
    refused = CliRunner().invoke(root, ["run", "study.yaml", "--weak-model", "x", *twice])
    assert isinstance(refused.exception, InputError)
    assert "--weak-model beside 2 weak models" in str(refused.exception)


def test_a_failure_ends_with_status_1_and_a_log_after_everything_else(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("rules_that_fail.py").write_text("def mine(X, labels, texts):\n    return 1 / 0\n")
    define = {"mine": {"predicts": "student", "function": "rules_that_fail:mine"}}
    arguments = ["run", "study.yaml", "--out", "failed", "--set", f"define={json.dumps(define)}"]
    arguments += ["--set", "methods=[mine, student]"]
    shown = CliRunner().invoke(root, arguments)
    assert isinstance(shown.exception, W2SProbeError)
    assert shown.exception.exit_code == 1
    for part in ("1 stage failed", "mine labels", "1 more wait", "tries them again"):
        assert part in str(shown.exception)
    results = Results.read(Path("failed/results.json"))
    assert [row.method for row in results.rows] == ["weak", "ceiling", "student"]
    assert results.missing == {"mine": "mine labels"}
    (log,) = Path("cache/stages").glob("*.log")
    assert "ZeroDivisionError" in log.read_text()
    assert "No result for mine: mine labels failed." in shown.stdout


DIVERGES = ["--set", "strong.learning_rate=1.0e+30"]  # the ceiling's loss becomes non-finite


def test_a_run_without_results_names_no_file_that_is_not_there(run: Any) -> None:
    run("study.yaml", "--out", "out", "--json")  # what it leaves is of another config
    shown = CliRunner().invoke(root, ["run", "study.yaml", "--out", "out", *DIVERGES])
    assert isinstance(shown.exception, W2SProbeError)
    assert "strong ceiling on truth" in str(shown.exception)
    assert "No results in out: its weak model or its ceiling failed." in shown.stdout
    named = re.findall(r"out/[\w.]+", shown.output)
    assert [name for name in named if not Path(name).exists()] == []
    left = {path.name for path in Path("out").iterdir()}
    assert not left & {"results.json", "results.png", "predictions.parquet"}
    told = CliRunner().invoke(root, ["report", "out"])
    assert isinstance(told.exception, InputError)
    assert "whose weak model or ceiling failed" in str(told.exception)


def test_a_study_says_which_experiments_have_no_results(run: Any, tmp_path: Path) -> None:
    pair = [{"model": str(tmp_path / "strong"), **MODEL}, {"model": "diverging", **MODEL}]
    pair[1]["learning_rate"] = 1e30
    shutil.copytree(tmp_path / "strong", tmp_path / "diverging")
    arguments = ["run", "study.yaml", "--out", "several", "--set", f"strong={json.dumps(pair)}"]
    shown = CliRunner().invoke(root, arguments)
    assert isinstance(shown.exception, W2SProbeError)
    study = StudyResults.read(Path("several/study.json"))
    (lacking,) = study.without_results
    assert lacking.endswith("diverging")
    assert f"No results in several/{lacking}" in shown.stdout
    named = re.findall(r"several/[\w./-]+\w", shown.output)
    assert [name for name in named if not Path(name).exists()] == []
    alone = ["--set", f"strong={json.dumps(pair[1:])}", "--set", "seeds=[0, 1]"]
    shown = CliRunner().invoke(root, ["run", "study.yaml", "--out", "none", *alone])
    assert shown.stdout.count("No results in none/") == 2
    assert Path("none/study.json").is_file()
    assert Path("none/scores.csv").is_file()


def test_a_study_is_the_same_on_ray(run: Any, tmp_path: Path) -> None:
    several = ["--set", "seeds=[0, 1]", "--set", "methods=[student, knn_probe]", "--json"]
    # probes instead of two trainings a seed: each stage with a model starts a process
    several += ["--set", f"weak={{kind: probe, model: {tmp_path / 'weak'}}}"]
    several += ["--set", "ceiling=logistic"]
    here = run("study.yaml", "--out", "here", *several)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("W2SPROBE_CACHE", str(Path("other-cache").absolute()))
        there = run("study.yaml", "--out", "there", "--engine", "ray", *several)
    assert there == here
    for name in here["experiments"]:
        one, two = (Path(out, name, "predictions.parquet") for out in ("here", "there"))
        assert pq.read_table(one).equals(pq.read_table(two))
