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


def comparison(*arguments: str) -> dict:
    """Of the one pair of models."""
    (found,) = json.loads(stdout(*arguments, "--json"))["comparisons"]
    return found


def study(folder: Path) -> str:
    """Two weak models, one strong model, four tasks; indicators of one of the pairs."""
    scores = ["task,weak_model,strong_model,seed,method,auc,weak_auc,ceiling_auc,gap_se"]
    indicators = ["task,weak_model,strong_model,seed,cka"]
    for number, task in enumerate("abcd"):
        for weak, low in (("tiny", 0.5), ("org/mini:v1", 0.6)):
            for method, auc in (("student", 0.7 + 0.01 * number), ("topofilter", 0.72)):
                scores.append(f"{task},{weak},big,0,{method},{auc},{low},.9,.01")
        indicators.append(f"{task},tiny,big,0,{(number + 1) % 4}")
    folder = folder / "study"
    folder.mkdir()
    (folder / "scores.csv").write_text("\n".join(scores))
    (folder / "indicators.csv").write_text("\n".join(indicators))
    return str(folder)


def test_several_pairs_have_a_matrix_and_tables_each(tmp_path: Path) -> None:
    text = stdout(study(tmp_path))
    assert "PGR of student" in text
    assert any(line.split() == ["tiny", "+0.54", "(4)"] for line in text.splitlines())
    assert text.count("PGR: difference to student") == 2
    assert text.index("PGR of student") < text.index("--- tiny:big") < text.index("--- org/mini")
    assert "Indicators and the gain of student" in text


def test_one_pair_can_be_chosen(tmp_path: Path) -> None:
    folder = study(tmp_path)
    text = stdout(folder, "--pair", "org/mini:v1:big")
    assert "PGR of student" not in text
    assert text.count("PGR: difference to student") == 1
    assert comparison(folder, "--pair", "tiny:big")["weak_model"] == "tiny"
    error = invoke(folder, "--pair", "tiny:bg").exception
    assert isinstance(error, InputError)
    assert "Did you mean 'tiny:big'" in str(error)


def test_json_has_one_shape_for_one_pair_and_several(tmp_path: Path, table: str) -> None:
    several = json.loads(stdout(study(tmp_path), "--json"))
    one = json.loads(stdout(table, "--json"))
    assert list(one) == list(several) == ["comparisons", "matrices", "gains", "notes"]
    assert [len(found["comparisons"]) for found in (one, several)] == [1, 2]
    assert (one["gains"], one["notes"]) == ([], [])
    (auc, pgr) = several["gains"]
    assert (auc["indicator"], auc["method"], auc["n"]) == ("cka", "student", 4)
    assert auc["correlation"] == pgr["correlation"] == pytest.approx(-0.2)


def test_differences_of_all_pairs_are_written(tmp_path: Path) -> None:
    out = tmp_path / "d.csv"
    stdout(study(tmp_path), "--out", str(out))
    rows = pyarrow.csv.read_csv(out).to_pylist()
    assert len(rows) == 8
    assert {(row["weak_model"], row["strong_model"]) for row in rows} == {
        ("tiny", "big"),
        ("org/mini:v1", "big"),
    }


def test_a_study_of_students_alone_shows_matrix_and_gains(tmp_path: Path) -> None:
    folder = study(tmp_path)
    path = Path(folder) / "scores.csv"
    kept = [line for line in path.read_text().splitlines() if "topofilter" not in line]
    path.write_text("\n".join(kept))
    text = stdout(folder)
    assert "PGR of student" in text
    assert "Indicators and the gain of student" in text
    assert text.count("AUC gain over the weak model") == 2
    assert "difference to student" not in text
    error = invoke(folder, "--out", str(tmp_path / "d.csv")).exception
    assert isinstance(error, InputError)
    assert "no differences to write" in str(error)


def test_the_published_comparison() -> None:
    arguments = ("published", "--compare", "logconf", "--saturated", "--unit", "pgr")
    text = stdout(*arguments, "--alternative", "greater")
    line = next(line for line in text.splitlines() if line.strip().startswith("logconf"))
    for part in ("21 of 21", " 16 ", "0.134", "0.072"):
        assert part in line
    two_sided = stdout(*arguments)
    line = next(line for line in two_sided.splitlines() if line.strip().startswith("logconf"))
    for part in ("21 of 21", " 16 ", "0.268", "0.144", "undecided"):
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
    assert [row["unit"] for row in comparison(table)["methods"]] == ["pgr", "auc"]


def test_the_family_and_its_tests_can_be_declared() -> None:
    methods = ("logconf", "window", "topofilter")
    options = [part for name in methods[:2] for part in ("--family", name)]
    found = comparison("published", *options, "--alternative", "less", "--margin", ".02")
    rule = found["analysis"]
    assert (rule["alternative"], rule["margin"], rule["alpha"]) == ("less", 0.02, 0.05)
    primary = {row["method"]: row["primary"] for row in found["methods"]}
    assert [primary[name] for name in methods] == [True, True, False]
    assert [family["methods"] for family in found["families"]] == [["logconf", "window"]] * 2
    text = stdout("published", *options)
    assert "in parentheses after Holm for 2 methods" in text
    assert "outside the primary family" in text


def test_thresholds_reach_the_comparison(table: str) -> None:
    found = comparison(table, "--min-gap", "0.005", "--min-gap-se", "1")
    rule = found["analysis"]
    assert (rule["min_gap"], rule["min_gap_se"], rule["saturated_only"]) == (0.005, 1, False)
    assert [task["resolved"] for task in found["tasks"]] == [True, True]
    strict = comparison(table, "--min-gap-se", "30")
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
    assert rows[0]["delta_auc"] == pytest.approx(0.1)
    assert rows[0]["delta_auc_se"] is None
    assert rows[1]["excluded"] == "gap 0.010 < 0.03"
    assert rows[1]["gap_se"] is None


def test_files_add_up(table: str, tmp_path: Path) -> None:
    more = tmp_path / "more.csv"
    more.write_text("task,method,auc,weak_auc,ceiling_auc\nc,student,.7,.6,.9\nc,x_[red]y,.8,,\n")
    assert len(comparison(table, str(more))["tasks"]) == 3


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["none.csv"], "none.csv"),
        (["published", "--against", "xnt"], "Did you mean 'xent'"),
        (["published", "--compare", "xent"], "nothing to compare"),
        (["published", "--out", "d.txt"], ".csv or .parquet"),
        (["published", "--family", "lgconf"], "Did you mean 'logconf'"),
        (["published", "published"], "occurs twice"),
    ],
)
def test_mistakes_are_input_errors(arguments: list[str], part: str) -> None:
    error = invoke(*arguments).exception
    assert isinstance(error, InputError)
    assert error.exit_code == 2
    assert part in str(error)


@pytest.mark.parametrize("option", ["--margin", "--min-gap", "--min-gap-se"])
@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
def test_thresholds_are_finite_numbers(option: str, value: str) -> None:
    done = invoke("published", option, value)
    assert done.exit_code == 2
    assert f"'{option}'" in done.stderr


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "d.csv").mkdir()
    error = invoke("none.csv", "--out", str(tmp_path / "d.csv")).exception
    assert isinstance(error, OutputError)


def test_the_published_rule_has_no_thresholds() -> None:
    done = invoke("published", "--saturated", "--min-gap", "0.1")
    assert done.exit_code == 2
    assert "--saturated ignores gaps" in done.stderr
