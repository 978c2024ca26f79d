"""Every benchmark runs at its smallest size; no time is tested."""

import csv
import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import coverage, on_paper, recall_coverage
from tests.forks import call_forked
from tests.reporting.cases import save_study
from tests.tiny import save_tiny_model, sentences
from w2sprobe.atomic import write_json
from w2sprobe.bench.device import FULL, parts_of
from w2sprobe.results import SummaryRow, TransferRow
from w2sprobe.threads import usable_cores


def run(name: str, *parts: str) -> str:
    done = call_forked(script, name, parts)
    assert done.returncode == 0, done.stderr
    return done.stdout


def script(name: str, parts: tuple[str, ...]) -> None:
    sys.argv = [name, *parts]
    runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)


def start(name: str, *parts: str) -> str:
    """In a fresh interpreter, for what measures memory or brings processes of its own."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *parts],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_probe_study_is_measured_beside_its_parts_and_one_vector() -> None:
    lines = json.loads(run("probe_study", "--smoke", "--json"))
    whole, beside_one_vector = lines
    assert whole["ours"] == beside_one_vector["ours"] > 0
    assert whole["ratio"] == whole["ours"] / whole["peer"]


@pytest.fixture(scope="module")
def tiny_model_and_task(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that name a model and a task."""
    folder = tmp_path_factory.mktemp("tiny")
    model = save_tiny_model("llama", folder / "model")
    rows = [{"text": f"{text} {n}", "label": n % 2} for n, text in enumerate(sentences(60))]
    file = folder / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return ["--model", model, "--task", str(file)]


def test_the_busy_machine_benchmark_runs(tiny_model_and_task: list[str]) -> None:
    _, _, *lines = start("busy", "--smoke", "--rows", "8", *tiny_model_and_task).splitlines()
    own, one = ((line.split()[-7], line.split()[-4]) for line in lines)
    assert int(own[0]) == usable_cores()
    assert one[0] == "1"
    assert float(own[1]) == 1, "the reference of all ratios"


def test_the_finetuning_benchmark_runs(tiny_model_and_task: list[str]) -> None:
    lines = run("finetuning", "--rows", "40", *tiny_model_and_task).splitlines()
    assert len(lines) == 4
    losses = [float(line.split("loss")[1].split()[0]) for line in lines[1:3]]
    assert losses[0] == pytest.approx(losses[1], abs=1e-3), "the same steps"


def test_the_benchmark_of_early_stopping_runs_and_goes_on(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    rows = [{"text": f"{text} {n}", "label": n % 2} for n, text in enumerate(sentences(90))]
    task, runs = tmp_path / "rows.jsonl", tmp_path / "runs.jsonl"
    task.write_text("\n".join(map(json.dumps, rows)))
    sizes = {"--weak-rows": 16, "--rows": 16, "--val-rows": 12, "--test-rows": 12}
    options = {"--weak": model, "--student": model, "--from-layer": 1, "--epochs": 1, **sizes}
    parts = [str(part) for option in options.items() for part in option]
    first = run("early_stopping", str(runs), str(task), "--seeds", "1", *parts)
    left = runs.read_text()
    forms = [json.loads(line)["form"] for line in left.splitlines()]
    assert forms == ["given", "soft", "mostly", "below"]
    assert "| labels below | 1 |" in first
    assert run("early_stopping", str(runs), str(task), "--seeds", "1", *parts) == first
    assert run("early_stopping", str(runs), "--table") == first
    assert runs.read_text() == left, "nothing is trained twice"


def test_the_reading_benchmark_runs_and_its_peers_agree() -> None:
    assert len(run("cache", "--smoke", "reading").splitlines()) == 4


def test_the_study_benchmark_runs() -> None:
    lines = start("study", "--smoke").splitlines()
    assert lines[0].startswith("26 stages")
    assert [line.split()[-1] in ("pass", "FAIL") for line in lines] == [False, *4 * [True], False]


def test_the_numbers_on_paper_are_those_of_the_document() -> None:
    document = (Path(__file__).parents[1] / "docs/cluster.md").read_text()
    assert run("on_paper") in document


def test_tasks_are_chosen_by_gap_weak_auc_and_noise_control(tmp_path: Path) -> None:
    # weak, ceiling and noise-control AUC in two cuts: means decide, cuts do not
    tasks = {
        "kept": [(0.70, 0.86, 0.80), (0.74, 0.78, 0.74)],
        "small": [(0.70, 0.80, 0.75), (0.74, 0.74, 0.74)],
        "blind": [(0.55, 0.80, 0.75), (0.57, 0.80, 0.75)],
        "deaf": [(0.70, 0.80, 0.72), (0.70, 0.80, 0.71)],
    }
    lines = ["task,weak_model,strong_model,method,seed,auc,weak_auc,ceiling_auc"]
    for task, cuts in tasks.items():
        for cut, (weak, ceiling, noise) in enumerate(cuts):
            aucs = {"weak": weak, "ceiling": ceiling, "logistic_probe_on_noise": noise}
            lines += [
                f"{task},w,s,{name},{cut},{auc},{weak},{ceiling}" for name, auc in aucs.items()
            ]
    scores = tmp_path / "scores.csv"
    scores.write_text("\n".join(lines))
    printed = run("choose_tasks", str(scores)).splitlines()
    reasons = {line.split(" | ")[0][2:]: line.split("|")[-2].strip() for line in printed[2:6]}
    assert reasons == {
        "kept": "",
        "small": "gap below 0.06",
        "blind": "weak AUC below 0.58",
        "deaf": "PGR of noise below 0.3",
    }
    assert "| kept | w | 0.720 | 0.820 | +0.100 | +0.50 |" in printed[2]
    assert "| small | w | 0.720 | 0.770 | +0.050 | – |" in printed[3]
    assert "Kept: kept." in printed
    assert "| logistic_probe_on_noise | 0.7700 |" in printed[-1]


def test_students_are_tested_on_other_tasks(tmp_path: Path) -> None:
    """The table of a made-up study: every task of training with every task of testing."""
    study = save_study(tmp_path, ("books", "films"), records=False)
    rename = {"student": "logistic_probe", "knn_probe": "logistic_probe_on_noise"}
    summary = [
        row.model_copy(update={"method": rename.get(row.method, row.method)})
        for row in study.summary
    ]
    fields = {*TransferRow.model_fields} & {*SummaryRow.model_fields}
    transfer = [
        TransferRow(
            **{**row.model_dump(include=fields), "task": task, "delta_auc": row.delta_auc + 0.1},
            test_task=row.task,
            n_left_out=0,
            weak_auc=row.auc - row.delta_auc,
            ceiling_auc=row.auc - row.delta_auc + row.gap,
        )
        for row in summary
        for task in ({"books", "films"} - {row.task})
    ]
    update = {"summary": tuple(summary), "transfer": tuple(transfer)}
    write_json(tmp_path / "study.json", study.model_copy(update=update).model_dump(mode="json"))
    lines = list(csv.DictReader(run("transfer", str(tmp_path), "--csv").splitlines()))
    pairs = [(line["trained on"], line["tested on"]) for line in lines]
    assert pairs == [("books", "books"), ("books", "films"), ("films", "books"), ("films", "films")]
    student = {row.task: row for row in summary if row.method == "logistic_probe"}
    gains = {task: row.delta_auc for task, row in student.items()}
    for line in lines:
        away = 0.1 * (line["trained on"] != line["tested on"])
        assert line["gain"].startswith(f"{gains[line['tested on']] + away:+.3f} ")
        ceiling, weak = float(line["ceiling"]), float(line["weak"])
        assert ceiling - weak == pytest.approx(student[line["tested on"]].gap, abs=1.1e-3)


def test_the_explorer_benchmark_runs() -> None:
    pytest.importorskip("playwright")
    if not (shutil.which("chromium") or shutil.which("chromium-browser")):
        pytest.skip("no chromium: apt-get install chromium")
    assert "another layer" in run("explorer", "--smoke")


def test_coverage_of_intervals_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = list(coverage.cells())
    monkeypatch.setattr(coverage, "cells", lambda: iter([cells[2], cells[-1]]))
    file = tmp_path / "coverage.csv"
    coverage.main(["rows", str(file), "--repetitions", "20", "--processes", "1"])
    first = file.read_text()
    assert len(first.splitlines()) == 3
    assert all(0.5 < float(row["gap_coverage"]) <= 1 for row in coverage.read(file).values())
    coverage.main(["rows", str(file), "--repetitions", "20", "--processes", "1"])
    assert file.read_text() == first
    assert len(list(coverage.table_rows(file))) == 4


def test_coverage_over_tasks_has_a_line_a_number_and_shape_of_tasks() -> None:
    lines = list(coverage.task_table(repetitions=5))
    assert len(lines) == 2 + 4 * 3
    assert all(line.count("|") == lines[0].count("|") for line in lines)


def test_coverage_is_that_of_the_page() -> None:
    page = (Path(__file__).parents[1] / "docs/coverage.md").read_text(encoding="utf-8")
    for line in coverage.table_rows(Path(__file__).parents[1] / "docs/coverage.csv"):
        assert line in page


def test_coverage_of_recalls_has_a_line_a_number_and_kind_of_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recall_coverage, "N_ZEROS", (200, 1000))
    monkeypatch.setattr(recall_coverage, "N_RESAMPLES", 20)
    recall_coverage.main(["--repetitions", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 4
    assert lines[2].startswith("| 200 | independent | - | ")


def test_the_share_on_paper_is_the_measured_one_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_paper, "GPU_RECORD", tmp_path / "gpu.json")
    assert on_paper.model_share() == (on_paper.ASSUMED_SHARE, "assumed; `make gpu` measures it")
    row = {"flops": 8e15, "seconds": 20.0}
    record = {
        "device": {"name": "H100", "peak_tflops": {"bfloat16": 1000}},
        "parts": {on_paper.FINETUNING: {"rows": [row]}},
    }
    write_json(tmp_path / "gpu.json", record)
    share, source = on_paper.model_share()
    assert share == pytest.approx(0.4)
    assert source == "measured on H100, docs/gpu.json"
    write_json(tmp_path / "gpu.json", {**record, "parts": {}})
    assert on_paper.model_share()[0] == on_paper.ASSUMED_SHARE


def test_the_part_that_the_paper_reads_exists() -> None:
    names = [part.name for part in parts_of(FULL)]
    assert on_paper.FINETUNING in names
