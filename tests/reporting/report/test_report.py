"""Reports of made-up results: what is drawn and written, and which numbers stand behind it."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.reporting.cases import HOSTILE, METHODS, save_run, save_study
from w2sprobe.comparison import published
from w2sprobe.errors import InputError
from w2sprobe.metrics import bootstrap_pgr
from w2sprobe.reporting.figures import results_figure
from w2sprobe.reporting.report import write_report
from w2sprobe.reporting.report.label_drawings import (
    cards_of,
    overlap_drawing,
)
from w2sprobe.reporting.report.sections import report_of
from w2sprobe.reporting.report.sources import Source, labels_by_method
from w2sprobe.reporting.scores import study_tables
from w2sprobe.results import Results, StudyResults

FEW = METHODS[:3]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("study")
    save_study(place)
    write_report([place], place / "report")
    return place


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


def test_data_are_the_results(study: Path) -> None:
    summary = {(r.task, r.method): r for r in Source.read(study).summary}
    found = rows_of(study / "report/figures/pgr.csv")
    assert {(one["task"], one["method"]) for one in found} == {
        key for key in summary if key[1] not in ("weak", "ceiling")
    }
    for one in found:
        row = summary[one["task"], one["method"]]
        assert float(one["pgr"]) == row.pgr
        assert row.pgr_interval is not None
        assert (float(one["pgr_low"]), float(one["pgr_high"])) == row.pgr_interval


def test_the_page_is_one_file_without_addresses(study: Path) -> None:
    text = (study / "report/report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!#|data:)', text)
    assert "var(--blue)" in text
    assert HOSTILE not in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_methods_are_told_in_words(tmp_path: Path) -> None:
    save_run(tmp_path, records=False, methods=("weak", "ceiling", "student", "mine"))
    page = write_report([tmp_path], describe=lambda results: {"student": f"of {results.task}"})
    text = page.read_text()
    assert "What each method does" in text
    assert ">of reviews<" in text
    assert ">A method of this run&#39;s own.<" in text


def test_the_same_results_give_the_same_files(tmp_path: Path) -> None:
    save_run(tmp_path, methods=FEW)
    one, other = (write_report([tmp_path], tmp_path / name).parent for name in ("1", "2"))
    paths = [path for path in sorted(one.rglob("*")) if path.is_file()]
    assert len(paths) > 12
    for path in paths:
        assert (other / path.relative_to(one)).read_bytes() == path.read_bytes()


def test_warnings_come_first_and_undefined_scores_have_no_line(tmp_path: Path) -> None:
    results = save_run(tmp_path, methods=FEW)
    write_report([tmp_path], tmp_path / "without")
    assert "Warnings of trainings" not in (tmp_path / "without/report.html").read_text()
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
    assert text.index("Warnings of trainings") < text.rindex("Who recovers the gap")
    assert "student undefined" in text
    assert "ceiling 0.500" in text


def test_one_run_without_records(tmp_path: Path) -> None:
    save_run(tmp_path, records=False, methods=FEW)
    page = write_report([tmp_path / "results.json"], tmp_path / "out")
    assert {path.stem for path in (tmp_path / "out/figures").iterdir()} == {"methods", "rows"}
    assert "No sweep was part of this run" in page.read_text()


def test_explorers_stay_when_their_activations_are_gone(tmp_path: Path) -> None:
    save_run(tmp_path, records=False, methods=FEW)
    (tmp_path / "report").mkdir()
    page = tmp_path / "report/explorer-1.html"
    page.write_text("an explorer")
    write_report([tmp_path], stores=tmp_path / "stores")
    assert page.read_text() == "an explorer"


def test_filters_are_held_against_truth(tmp_path: Path) -> None:
    save_run(tmp_path)
    table = pq.read_table(tmp_path / "training_labels.parquet")
    labels = labels_by_method(table)
    cards = {(card["method"], card["step"]): card for card in cards_of(labels, "run")}
    frame = table.to_pandas()
    weak = frame[frame["method"] == "weak"].set_index("id")
    own = frame[frame["method"] == "topofilter"].set_index("id").loc[weak.index]
    wrong = (weak["soft_label"] > 0.5) != (weak["label"] == 1)
    gone = ~own["keep"]
    whole = cards["topofilter", ""]
    assert (whole["offered"], whole["removed"], whole["flipped"]) == (60, 6, 0)
    assert whole["precision"] == pytest.approx(wrong[gone].mean())
    assert whole["noise_before"] == pytest.approx(wrong.mean())
    assert whole["noise_after"] == pytest.approx(wrong[~gone].mean())
    for step in {"outside_component", "topofilter"} & set(own["step"].dropna()):
        taken = own["step"] == step
        assert cards["topofilter", step]["removed"] == taken.sum()
        assert cards["topofilter", step]["precision"] == pytest.approx(wrong[taken].mean())
    flips = cards["knn_relabel", ""]  # the made-up relabelling turns every label
    assert (flips["flipped"], flips["removed"]) == (60, 0)
    assert flips["flips_right"] == pytest.approx(wrong.mean())
    assert flips["noise_after"] == pytest.approx(1 - wrong.mean())
    ones = (weak["soft_label"] > 0.5).mean()
    assert (whole["ones_before"], flips["ones_after"]) == pytest.approx((ones, 1 - ones))


def test_overlap_is_a_mean_over_runs_whatever_their_order() -> None:
    def keep(*removed: int) -> dict[str, np.ndarray]:
        return {"keep": ~np.isin(np.arange(4), removed)}

    same = {"one": keep(0, 1), "two": keep(0, 1), "three": keep(2)}
    other = {"weak": keep(), "two": keep(0), "one": keep(0, 3), "three": keep(0, 3)}
    drawing = overlap_drawing([same, other], "overlap")
    assert drawing is not None
    shares = {(row["filter"], row["other"]): row["jaccard"] for row in drawing.data}
    assert shares == {("one", "two"): 0.75, ("one", "three"): 0.5, ("two", "three"): 0.25}
    assert "1: the same rows." in drawing.caption
    told = overlap_drawing([same, dict(reversed(same.items()))], "overlap")
    assert told is not None
    assert "The same rows in every run: one and two." in told.caption


def test_two_results_side_by_side(tmp_path: Path) -> None:
    for name, shift in (("a", 0.0), ("b", 1.0)):
        (tmp_path / name).mkdir()
        save_run(tmp_path / name, shift=shift, records=False, methods=FEW)
    page = write_report([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    text = page.read_text()
    assert "probes.n_neighbors" in text
    found = {one["method"]: one for one in rows_of(tmp_path / "out/figures/versus2-versus.csv")}
    assert set(found) == set(FEW)
    tables = [pq.read_table(tmp_path / name / "predictions.parquet") for name in "ab"]
    a, b = (table["student"].to_numpy() for table in tables)
    expected = bootstrap_pgr(tables[0]["label"].to_numpy(), a, b, b)
    student = found["student"]
    assert float(student["difference"]) == pytest.approx(expected.delta_auc)
    order = np.argsort(np.array(tables[0]["id"].to_pylist()))  # rows are joined by id
    by_id = bootstrap_pgr(tables[0]["label"].to_numpy()[order], a[order], b[order], b[order])
    assert (float(student["low"]), float(student["high"])) == by_id.delta_auc_interval


def test_other_test_rows_have_no_interval(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_run(tmp_path / name, records=False, methods=FEW)
    path = tmp_path / "b/predictions.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    write_report([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    found = rows_of(tmp_path / "out/figures/versus2-versus.csv")
    assert all((one["difference"], one["low"], one["high"]) == ("0.0", "", "") for one in found)


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


@pytest.mark.parametrize(
    ("methods", "unresolved", "words"), list(LACKING.values()), ids=list(LACKING)
)
def test_what_a_study_lacks_is_no_mistake(
    tmp_path: Path, methods: dict[str, tuple[str, ...]], unresolved: tuple[str, ...], words: str
) -> None:
    options = {"methods": methods, "unresolved": unresolved}
    study = save_study(tmp_path, tuple(methods), ("0",), **options)
    (numbers,) = report_of(Source.read(tmp_path)).key_numbers
    told = [cell.text for row in numbers.table.rows for cell in row.cells] + list(numbers.notes)
    assert [text for text in told if words in text]
    assert not [text for text in told if "nan" in text]
    (table,) = study_tables(study)
    assert len(table.rows) == len(methods)


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


def test_published_values_stand_beside_the_same_task_and_method(tmp_path: Path) -> None:
    save_study(tmp_path, tasks=("boolq", "mine"), seeds=("0",))
    page = write_report([tmp_path])
    theirs = {(one.task, one.method): one.pgr for one in published().scores}
    found = {
        (row["task"], row["method"]): row["published_pgr"]
        for row in rows_of(tmp_path / "report/figures/pgr.csv")
    }
    assert float(found["boolq", "student"]) == theirs["boolq", "xent"]
    assert float(found["boolq", "topofilter"]) == theirs["boolq", "topofilter"]
    assert found["boolq", "random_filter"] == ""
    assert {value for (task, _), value in found.items() if task == "mine"} == {""}
    assert "weak and ceiling, published" in page.read_text()
    ends = {
        (row["task"], row["method"]): row["published_auc"]
        for row in rows_of(tmp_path / "report/figures/auc.csv")
    }
    (weak,) = {one.weak_auc for one in published().scores if one.task == "boolq"}
    assert (float(ends["boolq", "weak"]), ends["boolq", "student"]) == (weak, "")


def test_gains_are_measured_and_shrunken(study: Path) -> None:
    rows = {row["task"]: row for row in rows_of(study / "report/figures/gains.csv")}
    summary = {row.task: row for row in Source.read(study).summary if row.method == "student"}
    assert set(rows) == set(summary)
    for task, row in summary.items():
        assert float(rows[task]["gain"]) == pytest.approx(row.delta_auc)
        assert row.delta_auc_interval is not None
        ends = [float(rows[task][f"gain_{end}"]) for end in ("low", "high")]
        assert ends == pytest.approx(row.delta_auc_interval)
        assert float(rows[task]["gap"]) == pytest.approx(row.gap)
        assert rows[task]["shrunken"]
    page = (study / "report/report.html").read_text()
    for text in ("Gains over the supervisor", "noise of mean", "TOST p", "losses"):
        assert text in page


def test_results_of_earlier_versions_open(tmp_path: Path) -> None:
    study = save_study(tmp_path, records=False).model_dump(mode="json")
    later = ("n_cuts", "n_supervisor_seeds", "n_learner_seeds")
    later += ("delta_auc_se", "delta_auc_df", "delta_auc_pvalue")
    for row in study["summary"]:
        for name in later:
            del row[name]
    (tmp_path / "study.json").write_text(json.dumps(study))
    (numbers,) = report_of(Source.read(tmp_path)).key_numbers
    assert "written by an earlier version" in " ".join(numbers.notes)
    (table,) = study_tables(StudyResults.read(tmp_path / "study.json"))
    assert len(table.rows) == 3
