"""`w2sprobe stats`: what it prints, writes and refuses."""

import json
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from w2sprobe.cli import root
from w2sprobe.errors import InputError, OutputError

SCORES = """task,method,seed,auc,gap_se
a,weak,0,.6,.01
a,ceiling,0,.8,
a,student,0,.65,
a,student,1,.66,
a,x_[red]y,0,.7,
b,weak,,.6,
b,ceiling,,.61,
b,student,0,.605,
b,x_[red]y,0,.608,
"""


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "scores.csv"
    path.write_text(
        SCORES.replace("a,student,1,.66,", "a,student,1,.66,\na,weak,1,.6,\na,ceiling,1,.8,.01")
    )
    return str(path)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["stats", *arguments])


def stdout(*arguments: str) -> str:
    done = invoke(*arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_published_comparison() -> None:
    text = stdout("published", "--compare", "logconf", "--saturated", "--unit", "pgr")
    line = next(line for line in text.splitlines() if line.strip().startswith("logconf"))
    for part in ("21 of 21", " 16 ", "0.134", "0.072"):
        assert part in line
    assert "saturated" in text
    assert "https://blog.eleuther.ai/weak-to-strong" in text
    assert "have no gap_se" in text


def test_unresolved_tasks_noise_and_odd_names_are_shown(table: str) -> None:
    text = stdout(table)
    assert "gap 0.010 < 0.03" in text
    assert "x_[red]y" in text
    assert "1 of 2" in text
    assert "Noise of seeds" in text
    assert "+0.250" in text
    assert "published:" not in text


def test_units_can_be_chosen(table: str) -> None:
    text = stdout(table, "--unit", "auc")
    assert "AUC: difference to student" in text
    assert "PGR: difference" not in text
    assert [row["unit"] for row in json.loads(stdout(table, "--json"))["methods"]] == ["pgr", "auc"]


def test_thresholds_reach_the_comparison(table: str) -> None:
    found = json.loads(stdout(table, "--json", "--min-gap", "0.005", "--min-gap-se", "1"))
    assert (found["min_gap"], found["min_gap_se"]) == (0.005, 1)
    assert [task["resolved"] for task in found["tasks"]] == [True, True]
    strict = json.loads(stdout(table, "--json", "--min-gap-se", "30"))
    assert strict["tasks"][0]["excluded"] == "gap/SE 20.0 < 30"


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_differences_are_written(kind: str, table: str, tmp_path: Path) -> None:
    out = tmp_path / f"d.{kind}"
    assert str(out) in stdout(table, "--out", str(out))
    rows = (pyarrow.csv.read_csv(out) if kind == "csv" else pq.read_table(out)).to_pylist()
    assert [(row["task"], row["method"], row["against"]) for row in rows] == [
        ("a", "x_[red]y", "student"),
        ("b", "x_[red]y", "student"),
    ]
    assert rows[0]["auc_difference"] == pytest.approx(0.05)
    assert rows[0]["pgr_difference"] == pytest.approx(0.25)
    assert rows[1]["excluded"] == "gap 0.010 < 0.03"
    assert rows[1]["gap_se"] is None


def test_files_add_up(table: str, tmp_path: Path) -> None:
    more = tmp_path / "more.csv"
    more.write_text("task,method,auc,weak_auc,ceiling_auc\nc,student,.7,.6,.9\nc,x_[red]y,.8,,\n")
    assert len(json.loads(stdout(table, str(more), "--json"))["tasks"]) == 3


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["none.csv"], "none.csv"),
        (["published", "--against", "xnt"], "Did you mean 'xent'"),
        (["published", "--compare", "xent"], "nothing to compare"),
        (["published", "--out", "d.txt"], ".csv or .parquet"),
        (["published", "published"], "occurs twice"),
    ],
)
def test_mistakes_are_input_errors(arguments: list[str], part: str) -> None:
    error = invoke(*arguments).exception
    assert isinstance(error, InputError)
    assert error.exit_code == 2
    assert part in str(error)


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "d.csv").mkdir()
    error = invoke("none.csv", "--out", str(tmp_path / "d.csv")).exception
    assert isinstance(error, OutputError)


def test_the_published_rule_has_no_thresholds() -> None:
    done = invoke("published", "--saturated", "--min-gap", "0.1")
    assert done.exit_code == 2
    assert "--saturated looks at no gap" in done.stderr
