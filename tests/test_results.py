"""results.json and study.json: round trips, files of other versions, keys and seeds of runs."""

import json
from pathlib import Path

import pytest

from tests.reporting.cases import METHODS, results, row, save_run, save_study
from w2sprobe.errors import InputError
from w2sprobe.results import (
    RESULTS,
    STUDY,
    MethodScores,
    Results,
    RunKey,
    StudyResults,
    study_in,
)


def test_results_are_read_back(tmp_path: Path) -> None:
    results().write(tmp_path / RESULTS)
    assert Results.read(tmp_path / RESULTS) == results()


@pytest.mark.parametrize("content", [None, "", "{}", '{"name": 1}'])
def test_results_that_cannot_be_read_are_named(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / RESULTS).write_text(content)
    with pytest.raises(InputError, match=r"cannot read results .*results\.json"):
        Results.read(tmp_path / RESULTS)


def test_fields_that_earlier_versions_lack_have_defaults(tmp_path: Path) -> None:
    held = results().model_dump(mode="json")
    for name in ("seed", "store", "chosen", "ceilings", "indicators", "machine", "warnings"):
        del held[name]
    for scores in held["rows"]:
        for name in ("own_ceiling", "performance", "accuracy_pgr", "delta_auc_se"):
            del scores[name]
    (tmp_path / RESULTS).write_text(json.dumps(held))
    assert Results.read(tmp_path / RESULTS) == results()


@pytest.mark.parametrize(
    ("seed", "name"), [("", ""), ("3", "seed 3"), ("cut3-weak1", "cut3-weak1")]
)
def test_a_run_is_named_by_its_seed(seed: str, name: str) -> None:
    assert RunKey("t", "w", "s", seed).run == name
    assert results().model_copy(update={"seed": seed}).key == ("t", "w", "s", seed)


def test_seeds_are_those_of_the_config() -> None:
    config = {"task": {"seed": 3}, "weak": {}}  # weak has no seed; strong is not there
    assert results().model_copy(update={"config": config}).seeds == (3, 0, None)


def test_a_gap_is_resolved_if_it_is_for_all_methods() -> None:
    assert results().resolved
    assert not results(resolved=False).resolved
    mixed = (row("weak", 0.8), row("ceiling", 0.9, resolved=False))
    assert not results().model_copy(update={"rows": mixed}).resolved


def test_a_single_run_has_a_summary_with_the_same_scores(tmp_path: Path) -> None:
    run = save_run(tmp_path, records=False)
    assert [scores.method for scores in run.summary] == list(METHODS)
    for scores, summary in zip(run.rows, run.summary, strict=True):
        for name in MethodScores.model_fields:
            assert getattr(summary, name) == getattr(scores, name)
        assert (summary.n_seeds, summary.n_cuts, summary.n_learner_seeds) == (1, 1, 1)
        assert (summary.gap, summary.n_test_rows) == (run.gap, run.splits["test"])


def test_a_folder_has_a_study_or_one_experiment_or_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a folder with study\.json or results\.json"):
        study_in(tmp_path)
    results().write(tmp_path / RESULTS)
    assert study_in(tmp_path) is None
    study = save_study(tmp_path, ("one",), ("0",), records=False)
    assert study_in(tmp_path) == study


def test_a_study_of_another_version_names_the_key(tmp_path: Path) -> None:
    (tmp_path / STUDY).write_text('{"name": "n", "experiments": 3}')
    with pytest.raises(InputError, match="is not of this version: experiments: ") as caught:
        StudyResults.read(tmp_path / STUDY)
    assert "Run the study again" in str(caught.value)
    with pytest.raises(InputError, match="cannot read"):
        StudyResults.read(tmp_path / "none.json")
