"""`w2sprobe plan`: what it prints and writes, and what `run` and `report` make of it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from tests.experiments.cases import save_study, study
from w2sprobe.cli import root
from w2sprobe.declaration import Declaration
from w2sprobe.errors import InputError


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    save_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("W2SPROBE_CACHE", str(tmp_path / "cache"))
    values = study(tmp_path, methods=["student", "knn_probe", "zero_shot"])
    values["analysis"] = {"hypotheses": ["knn_probe exceeds the student"]}
    Path("study.yaml").write_text(yaml.safe_dump(values))
    return tmp_path


def invoke(*arguments: str) -> Any:
    shown = CliRunner().invoke(root, arguments, catch_exceptions=False)
    assert shown.exit_code == 0, shown.output
    return shown


def test_a_plan_is_printed_and_written_where_run_will_look(place: Path) -> None:
    shown = invoke("plan", "study.yaml").stdout
    for part in (
        "knn_probe exceeds the student",
        "Does student differ from its supervisor",
        "family of 1",
        "zero_shot (learns from no rows)",
        "smallest gain detected",
        "Warning: One run per task",
        "results/tiny/preregistration.json  SHA-256 ",
    ):
        assert part in shown
    declaration = Declaration.read(place / "results/tiny")
    assert declaration is not None
    assert declaration.sha256 in shown
    assert "the same was declared" not in shown
    again = invoke("plan", "study.yaml").stdout
    assert f"the same was declared {declaration.written}" in again
    assert not (place / "cache").exists()
    assert [path.name for path in (place / "results/tiny").iterdir()] == ["preregistration.json"]


def test_the_options_of_run_choose_what_is_declared(place: Path) -> None:
    more = ["--set", "strong.epochs=2", "--out", "out", "--sizes", "12,12,6,6", "--truncate"]
    held = json.loads(invoke("plan", "study.yaml", "--json", *more).stdout)
    assert held == json.loads(Path("out/preregistration.json").read_text())
    config = held["content"]["config"]
    assert (config["strong"]["epochs"], config["strong"]["truncate"]) == (2, True)
    assert held["content"]["design"]["tasks"][0]["test_rows"] == 6


def test_a_run_as_declared_is_reported_so(place: Path) -> None:
    invoke("plan", "study.yaml", "--out", "out")
    declaration = Declaration.read(Path("out"))
    assert declaration is not None
    shown = invoke("run", "study.yaml", "--out", "out")
    assert declaration.sha256 in shown.stderr
    assert "Not as declared" not in shown.output
    page = Path("out/report/report.html")
    invoke("report", "out")
    others = "The methods zero_shot, knn_probe_on_truth."
    for part in (declaration.sha256, "knn_probe exceeds the student", others):
        assert part in page.read_text()
    more = ["--set", "analysis.margin=0.02", "--set", "methods=[student]"]
    shown = invoke("run", "study.yaml", "--out", "out", *more)
    told = [line for line in shown.stderr.splitlines() if line.startswith("Not as declared")]
    deviations = [
        "methods: knn_probe, zero_shot declared, not run",
        "analysis.margin: 0.01 declared, 0.02 run",
    ]
    assert told == [f"Not as declared: {one}" for one in deviations]
    assert json.loads(Path("out/results.json").read_text())["preregistration"] == {
        "sha256": declaration.sha256,
        "written": declaration.written,
        "deviations": deviations,
        "stages_done": 0,
    }
    invoke("report", "out")
    assert all(one in page.read_text() for one in deviations)


def test_a_report_says_what_became_of_the_declaration(place: Path) -> None:
    run = ("run", "study.yaml", "--set", "methods=[student]", "--out")
    invoke(*run, "plain")
    invoke("report", "plain")
    assert "Nothing was declared before this run" in Path("plain/report/report.html").read_text()
    invoke("plan", *run[1:], "late")
    invoke(*run, "late")
    file, page = Path("late/preregistration.json"), Path("late/report/report.html")
    invoke("report", "late")
    assert "4 stages of the study had been run before" in page.read_text()
    changed = file.read_text().replace('"margin": 0.01', '"margin": 0.5')
    file.write_text(changed)
    invoke("report", "late")
    assert "was changed after it was written" in page.read_text()
    file.unlink()
    invoke("report", "late")
    assert "is not in the folder of the results" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--set", "analysis.margin=0.02"], ["declares something else", "choose another --out"]),
        (["--set", "analysis.family=[knn_prob]"], ["analysis: family", "did you mean 'knn_probe'"]),
        (["--pilot", "not_there"], ["no results in 'not_there'"]),
        (["--set", "strong.epoch=2"], ["strong.epoch: unknown key"]),
    ],
)
def test_mistakes_are_named(place: Path, arguments: list[str], parts: list[str]) -> None:
    invoke("plan", "study.yaml")
    shown = CliRunner().invoke(root, ["plan", "study.yaml", *arguments])
    assert isinstance(shown.exception, InputError)
    assert shown.exception.exit_code == 2
    assert all(part in str(shown.exception) for part in parts)


def test_a_changed_declaration_stops_run(place: Path) -> None:
    invoke("plan", "study.yaml", "--out", "out")
    file = Path("out/preregistration.json")
    file.write_text(file.read_text().replace("knn_probe exceeds", "student exceeds"))
    shown = CliRunner().invoke(root, ["run", "study.yaml", "--out", "out"])
    assert isinstance(shown.exception, InputError)
    assert "was changed after it was written" in str(shown.exception)
    assert not (place / "cache").exists()


def test_a_pilot_gives_the_variances(place: Path) -> None:
    pilot = str(Path(__file__).parents[2] / "docs/reproduction/version0/results")
    shown = invoke("plan", "study.yaml", "--pilot", pilot, "--json").stdout
    spread = json.loads(shown)["content"]["design"]["spread"]
    assert spread["source"] == f"pilot {pilot}: 8 tasks, 24 runs"
    assert spread["assumed"] == []
