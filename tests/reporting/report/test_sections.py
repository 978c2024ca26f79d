"""Which sections a report has, and what they say where something is missing."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.reporting.cases import METHODS, save_run, save_study
from w2sprobe.reporting.report.drawing import Drawing
from w2sprobe.reporting.report.sections import SourceReport, report_of
from w2sprobe.reporting.report.sources import ResultsFolder
from w2sprobe.reporting.scores import study_tables
from w2sprobe.results import StudyResults

FEW = METHODS[:3]
ENDS = METHODS[:2]
LACKING = {
    "the student where the gap is resolved": (
        {"one": (*ENDS, "knn_probe"), "two": METHODS},
        ("two",),
        "undecided: one task",
    ),
    "the student everywhere": (
        {"one": (*ENDS, "knn_probe"), "two": (*ENDS, "topofilter")},
        (),
        "No plain student was trained",
    ),
    "all methods": ({"one": ENDS, "two": ENDS}, (), "No plain student was trained"),
    "all methods and gaps": ({"one": ENDS, "two": ENDS}, ("one", "two"), "No plain student"),
    "all but the student": ({"one": (*ENDS, "student"), "two": ENDS}, (), "undecided: one task"),
    "gaps": (
        {"one": METHODS, "two": METHODS},
        ("one", "two"),
        "0 of 2",
    ),
    "the student's rivals": (
        {"one": (*ENDS, "student"), "two": (*ENDS, "topofilter", "random_filter")},
        ("two",),
        "undecided: one task",
    ),
    "what a random filter is held against": (
        {"one": (*ENDS, "random_filter"), "two": (*ENDS, "student")},
        (),
        "undecided: one task",
    ),
}


def texts_of(report: SourceReport) -> list[str]:
    """Texts of all key numbers."""
    cells = [
        cell.text for one in report.key_numbers for row in one.table.rows for cell in row.cells
    ]
    return cells + [note for one in report.key_numbers for note in one.notes]


def drawings_of(report: SourceReport) -> list[str]:
    blocks = [block for section in report.sections for block in section.blocks]
    return [block.name for block in blocks if isinstance(block, Drawing)]


@pytest.mark.parametrize(
    ("methods", "unresolved", "words"), list(LACKING.values()), ids=list(LACKING)
)
def test_what_a_study_lacks_is_no_mistake(
    tmp_path: Path, methods: dict[str, tuple[str, ...]], unresolved: tuple[str, ...], words: str
) -> None:
    options = {"methods": methods, "unresolved": unresolved}
    study = save_study(tmp_path, tuple(methods), ("0",), **options)
    told = texts_of(report_of(ResultsFolder.read(tmp_path)))
    assert [text for text in told if words in text]
    assert not [text for text in told if "nan" in text]
    (table,) = study_tables(study)
    assert len(table.rows) == len(methods)


def test_results_of_earlier_versions_open(tmp_path: Path) -> None:
    study = save_study(tmp_path, records=False).model_dump(mode="json")
    later = ("n_cuts", "n_supervisor_seeds", "n_learner_seeds")
    later += ("delta_auc_se", "delta_auc_df", "delta_auc_pvalue")
    for row in study["summary"]:
        for name in later:
            del row[name]
    (tmp_path / "study.json").write_text(json.dumps(study))
    told = texts_of(report_of(ResultsFolder.read(tmp_path)))
    assert "an earlier version wrote these results" in " ".join(told)
    (table,) = study_tables(StudyResults.read(tmp_path / "study.json"))
    assert len(table.rows) == 3


def test_one_run_without_records(tmp_path: Path) -> None:
    save_run(tmp_path, records=False, methods=FEW)
    report = report_of(ResultsFolder.read(tmp_path / "results.json"))
    assert drawings_of(report) == ["methods", "rows"]
    (probes,) = [section for section in report.sections if section.name == "probes"]
    assert "This run had no sweep" in probes.intro


def test_every_pair_of_models_has_its_sections(tmp_path: Path) -> None:
    one = ResultsFolder.read(save_run(tmp_path, methods=FEW, records=False) and tmp_path)
    other = {"weak_model": "tiny"}
    run = replace(one.runs[0], results=one.runs[0].results.model_copy(update=other))
    summary = [row.model_copy(update=other) for row in one.summary]
    both = replace(one, runs=(*one.runs, run), summary=(*one.summary, *summary))
    assert both.of_pair(("small", "large")) == one
    report = report_of(both)
    assert [numbers.table.title for numbers in report.key_numbers] == [
        *("small supervises large", "tiny supervises large")
    ]
    names = [section.name for section in report.sections]
    assert len(set(names)) == len(names)
    assert {"pair1-scores", "pair2-scores"} <= set(names)
    assert "Who recovers the gap: tiny supervises large" in {s.title for s in report.sections}
