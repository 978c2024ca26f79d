"""Reports of made-up results: which files are written, and what the page holds."""

import csv
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.reporting.cases import HOSTILE, METHODS, save_run, save_study
from w2sprobe.errors import InputError
from w2sprobe.reporting.figures import results_figure
from w2sprobe.reporting.report import write_report
from w2sprobe.reporting.report.sections import report_of
from w2sprobe.reporting.report.sources import ResultsFolder
from w2sprobe.results import Results

ENDS, FEW = METHODS[:2], METHODS[:3]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    save_study(folder)
    write_report([folder], folder / "report")
    return folder


def test_every_figure_has_three_forms_and_its_data(study: Path) -> None:
    figures = study / "report/figures"
    names = {path.stem for path in figures.iterdir()}
    assert names == {
        "auc",
        "pgr",
        "differences",
        "gains",
        "rows",
        "layers",
        "sweep-test",
        "sweep-cross-fit",
        "filters",
        "overlap",
        "indicators",
        "curves-1",
        "curves-2",
        "curves-3",
    }
    for name in names:
        for kind, start in (("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")):
            assert (figures / f"{name}.{kind}").read_bytes().startswith(start)
        assert rows_of(figures / f"{name}.csv")


def test_the_page_is_one_file_without_addresses(study: Path) -> None:
    text = (study / "report/report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!#|data:)', text)
    assert "var(--blue)" in text
    assert HOSTILE not in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    for words in ("Gains over the supervisor", "noise of mean", "TOST p", "losses"):
        assert words in text


def test_methods_are_told_in_words(tmp_path: Path) -> None:
    save_run(tmp_path, records=False, methods=("weak", "ceiling", "student", "mine"))
    page = write_report([tmp_path], describe=lambda results: {"student": f"of {results.task}"})
    text = page.read_text()
    assert "What each method does" in text
    assert ">of reviews<" in text
    assert ">Not known to this version of w2sprobe.<" in text


def test_the_same_results_give_the_same_files(tmp_path: Path) -> None:
    save_run(tmp_path, methods=FEW)
    one, other = (write_report([tmp_path], tmp_path / name).parent for name in ("1", "2"))
    paths = [path for path in sorted(one.rglob("*")) if path.is_file()]
    assert len(paths) > 12
    for path in paths:
        assert (other / path.relative_to(one)).read_bytes() == path.read_bytes()


def test_warnings_come_first_and_undefined_scores_have_no_line(tmp_path: Path) -> None:
    results = save_run(tmp_path, methods=FEW)
    before = report_of(ResultsFolder.read(tmp_path))
    assert "Warnings" not in {section.title for section in before.sections}
    told = results.model_copy(update={"warnings": (f"student: {HOSTILE}",)})
    told.write(tmp_path / "results.json")
    curves = pq.read_table(tmp_path / "training.parquet").to_pylist()
    for row in curves:
        student = row["method"] == "student"
        row |= {
            "early_stopping": "auc" if student else "log_loss",
            "val_auc": None if student else row["val_auc"],
            "val_log_loss": 0.5,
        }
    pq.write_table(pa.Table.from_pylist(curves), tmp_path / "training.parquet")
    text = write_report([tmp_path], tmp_path / "with").read_text()
    assert HOSTILE not in text
    assert text.index("Warnings of training runs") < text.rindex("Who recovers the gap")
    assert "student undefined" in text
    assert "ceiling 0.500" in text


def test_weak_model_and_ceiling_alone_are_a_report(tmp_path: Path) -> None:
    save_study(tmp_path, ("one", "two"), ("0",), methods={"one": ENDS, "two": ENDS}, records=False)
    assert "No plain student was trained" in write_report([tmp_path]).read_text()
    save_run(tmp_path / "alone", methods=ENDS, records=False)
    assert "No plain student was trained" in write_report([tmp_path / "alone"]).read_text()
    results_figure(Results.read(tmp_path / "alone/results.json"), tmp_path / "results.png")


def test_no_results(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no results in .*study\.json or results\.json"):
        write_report([tmp_path], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    save_run(tmp_path)
    with pytest.raises(InputError, match="named twice"):
        write_report([tmp_path, tmp_path], tmp_path / "out")
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(InputError, match=r"study\.json' is not of this version: name"):
        write_report([tmp_path], tmp_path / "out")
