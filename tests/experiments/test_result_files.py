"""Folders and files of a study: names, tables of scores and indicators."""

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.reporting.cases import results
from w2sprobe.comparison import INDICATORS, SCORES, read_indicators, read_scores
from w2sprobe.experiments.result_files import (
    CONFIG,
    file_names,
    result_folders,
    warnings_of,
    write_config,
    write_study,
)
from w2sprobe.results import STUDY, Results, RunKey, StudyResults, SummaryRow


def test_results_have_a_folder_per_experiment() -> None:
    keys = [RunKey(t, w, "s", seed) for t in "ab" for w in ("w", "x/y") for seed in ("0", "1")]
    folders = result_folders(keys, Path("out"))
    assert len(set(folders)) == len(keys)
    assert folders[3] == Path("out/a/x-y--s--seed1")
    assert result_folders(keys[:1], Path("out")) == [Path("out")]


def test_folders_of_runs_are_named_after_seeds_or_cuts() -> None:
    keys = [RunKey("t", "w", "s", run) for run in ("", "3", "cut3", "cut3-weak1")]
    assert [key.run for key in keys] == ["", "seed 3", "cut3", "cut3-weak1"]
    folders = result_folders(keys, Path("out"))
    assert [folder.name for folder in folders] == [
        "w--s",
        "w--s--seed3",
        "w--s--cut3",
        "w--s--cut3-weak1",
    ]


def test_names_that_would_share_a_file_do_not() -> None:
    names = ["a/b", "a:b", "A-B", "..", "x" * 200, "x" * 201, "ü"]
    found = file_names(names)
    assert len({name.lower() for name in found.values()}) == len(names)
    assert all(name and "/" not in name and not name.startswith(".") for name in found.values())


def run(seed: str, **changes: Any) -> Results:
    given = results().model_copy(update={"seed": seed, **changes})
    sections = {name: {"seed": int(seed)} for name in ("task", "weak", "strong")}
    return given.model_copy(update={"config": sections})


def study(*runs: Results) -> StudyResults:
    def over(row: SummaryRow) -> SummaryRow:
        shared = {"n_seeds": len(runs), "gap_row_se": 0.5, "delta_auc_row_se": 0.25}
        return row.model_copy(update=shared)

    return StudyResults(
        name="n",
        experiments=tuple(one.seed for one in runs),
        summary=tuple(map(over, runs[0].summary)),
        failures=(),
        config={"name": "n", "methods": ["é"]},
        versions={},
    )


def test_scores_have_keys_seeds_and_roles(tmp_path: Path) -> None:
    runs = [run("0"), run("1")]
    write_study(study(*runs), runs, tmp_path)
    with (tmp_path / SCORES).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(runs[0].rows)
    student = rows[-1]
    assert (student["method"], student["role"], student["seed"]) == ("student", "competitor", "1")
    assert [student[f"{name}_seed"] for name in ("split", "weak", "strong")] == ["1"] * 3
    assert (float(student["weak_auc"]), float(student["ceiling_auc"])) == (0.8, 0.9)
    assert rows[0]["role"] == ""
    assert [score.auc for score in read_scores(tmp_path)] == [0.8, 0.9, 0.83] * 2
    assert StudyResults.read(tmp_path / STUDY) == study(*runs)


@pytest.mark.parametrize(("n", "gap_se", "delta_se"), [(1, 0.0153, 0.02), (2, 0.5, 0.25)])
def test_standard_errors_are_those_of_shared_rows(
    n: int, gap_se: float, delta_se: float, tmp_path: Path
) -> None:
    runs = [run(str(seed)) for seed in range(n)]
    rows = tuple(row.model_copy(update={"delta_auc_se": 0.02}) for row in runs[0].rows)
    runs = [one.model_copy(update={"rows": rows}) for one in runs]
    write_study(study(*runs), runs, tmp_path)
    score = read_scores(tmp_path)[0]
    assert (score.gap_se, score.delta_auc_se) == pytest.approx((gap_se, delta_se))


def test_indicators_are_written_if_there_are_any(tmp_path: Path) -> None:
    runs = [run("0", indicators={"misfit": 0.25, "overlap": None}), run("1")]
    write_study(study(*runs), runs, tmp_path)
    first, second = read_indicators(tmp_path / INDICATORS)
    assert first.values["misfit"] == 0.25
    assert second.values.get("misfit") != 0.25
    runs = [run("0"), run("1")]
    write_study(study(*runs), runs, tmp_path)
    assert not (tmp_path / INDICATORS).exists()  # those of the earlier study


def test_a_config_is_readable_yaml_in_its_order(tmp_path: Path) -> None:
    config = {"name": "é", "methods": ["b", "a"], "analysis": {"alpha": 0.05}}
    write_config(config, tmp_path)
    text = (tmp_path / CONFIG).read_text(encoding="utf-8")
    assert yaml.safe_load(text) == config
    assert text.index("name: é") < text.index("methods") < text.index("analysis")


def test_warnings_name_their_experiment() -> None:
    given = {"a": results().model_copy(update={"warnings": ("w1", "w2")}), "b": results()}
    assert warnings_of(given) == ("a: w1", "a: w2")
