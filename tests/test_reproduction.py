"""Small files, tables and figures of a study: numbers beside those of numpy and scipy."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from benchmarks.reproduction.curve_tables import overfitting
from benchmarks.reproduction.study import Study
from tests.experiments.cases import save_other_task, save_study, study
from tests.forks import call_forked
from tests.test_benchmarks import script
from w2sprobe.comparison import Score, read_scores
from w2sprobe.experiments.config import StudyConfig
from w2sprobe.experiments.plan import make_plan
from w2sprobe.experiments.runner import run_study
from w2sprobe.results import StudyResults

PAGES = Path(__file__).parents[1] / "docs/reproduction"
KEPT = PAGES / "probes"  # small files of the study that the page is about
STUDIES = {
    "probes": "tables.md",
    "gemma": "tables-gemma.md",
    "finetuning": "tables-finetuning.md",
}
VERSION0 = PAGES / "version0/results"
NOISE = "logistic_probe_on_noise"


def run(*parts: str) -> str:
    done = call_forked(script, "reproduction", parts)
    assert done.returncode == 0, done.stderr
    return done.stdout


def table_of(text: str, title: str) -> list[dict[str, str]]:
    """Rows of the only table whose title begins so, by column."""
    (found,) = re.findall(rf"^{re.escape(title)}[^\n]*\n\n((?:\|[^\n]*\n?)+)", text, re.MULTILINE)
    header, _, *rows = (
        [cell.strip() for cell in line[1:-1].split("|")] for line in found.split("\n") if line
    )
    return [dict(zip(header, row, strict=True)) for row in rows]


def row_of(rows: list[dict[str, str]], **cells: str) -> dict[str, str]:
    (found,) = (row for row in rows if cells.items() <= row.items())
    return found


def numbers(cell: str) -> list[float]:
    return [float(text) for text in re.findall(r"[-+]?\d+(?:\.\d+)?", cell)]


def signed(values: Any) -> list[float]:
    """Mean with Student's t interval, as scipy has it."""
    mean = np.mean(values)
    return [mean, *stats.t.interval(0.95, len(values) - 1, mean, stats.sem(values))]


# --- a study of eight tasks that has no noise control ---------------------------------------------


@pytest.fixture(scope="module")
def of_version0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("version0") / "small"
    assert run("collect", str(VERSION0), str(folder)) == ""
    return folder


@pytest.fixture(scope="module")
def printed(of_version0: Path) -> str:
    return run("tables", str(of_version0))


def task_means(method: str, against: str) -> np.ndarray:
    """AUC of one method less that of another, a task each, over the seeds both have."""
    auc = {(s.method, s.task, s.seed): s.auc for s in read_scores(VERSION0)}
    tasks = dict.fromkeys(task for _, task, _ in auc)
    return np.array(
        [
            np.mean(
                [
                    value - auc[against, task, seed]
                    for (name, at, seed), value in auc.items()
                    if (name, at) == (method, task) and (against, task, seed) in auc
                ]
            )
            for task in tasks
        ]
    )


def test_a_small_folder_is_small_and_holds_all_scores(of_version0: Path) -> None:
    sizes = {path.name: path.stat().st_size for path in of_version0.iterdir()}
    assert sum(sizes.values()) < 200_000
    assert "preregistration.json" not in sizes, "nothing was declared"

    def numbers_of(scores: list[Score]) -> list[Any]:
        return [repr({**vars(score), "where": ""}) for score in scores]

    ours = read_scores(of_version0 / "scores.parquet")
    assert numbers_of(ours) == numbers_of(read_scores(VERSION0))


def test_a_declaration_is_kept(tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    for path in VERSION0.iterdir():
        (results / path.name).symlink_to(path)
    (results / "preregistration.json").write_text("{}\n")
    run("collect", str(results), str(tmp_path / "small"))
    assert (tmp_path / "small/preregistration.json").read_text() == "{}\n"


def test_gains_and_differences_are_those_of_scipy(printed: str) -> None:
    (row,) = table_of(printed, "Test AUC of student less its supervisor's")
    values = task_means("student", "weak")
    assert numbers(row["gain"]) == pytest.approx(signed(values), abs=6e-4)
    assert numbers(row["p"])[0] == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=6e-4)
    assert row["tasks above"] == f"{(values > 0).sum()} of {len(values)}"
    differences = table_of(printed, "minilm-l6: test AUC less that of student, over tasks, base")
    values = task_means("random_filter", "student")
    row = row_of(differences, method="random_filter")
    assert numbers(row["mean"]) == pytest.approx(signed(values), abs=6e-4)
    tests = (
        stats.ttest_1samp(values, -0.01, alternative="greater"),
        stats.ttest_1samp(values, 0.01, alternative="less"),
    )
    assert float(row["TOST p"]) == pytest.approx(max(t.pvalue for t in tests), abs=6e-4)


def test_filters_are_held_against_random_ones(printed: str) -> None:
    rows = table_of(printed, "Test AUC of a learner on what a filter keeps")
    row = row_of(rows, filter="confident_learning_filter")
    assert row["control"] == "random_filter", "of another filter, and of equal size"
    values = task_means("confident_learning_filter", "random_filter")
    assert numbers(row["mean"]) == pytest.approx(signed(values), abs=6e-4)
    shares = []
    for task in {path.parent.parent for path in VERSION0.glob("*/*/training_labels.parquet")}:
        wrong = []
        for path in task.glob("*/training_labels.parquet"):
            given = [
                row for row in pq.read_table(path).to_pylist() if row["split"] == "strong_train"
            ]
            truth = {row["id"]: row["label"] for row in given}
            weak = {row["id"]: row["soft_label"] > 0.5 for row in given if row["method"] == "weak"}
            wrong += [
                weak[row["id"]] != truth[row["id"]]
                for row in given
                if row["method"] == "confident_learning_filter" and not row["keep"]
            ]
        shares.append(np.mean(wrong))
    assert numbers(row["of these wrong"]) == pytest.approx([100 * np.mean(shares)], abs=0.51)


def test_layers_are_compared_on_the_same_tasks(printed: str) -> None:
    at: dict[tuple[str, int], list[float]] = {}
    for path in VERSION0.glob("*/*/sweep.parquet"):
        for row in pq.read_table(path).to_pylist():
            kind = (row["probe"], row["fitted_on"], row["evaluation"], row["value"])
            if kind == ("knn", "weak", "test", 20):
                at.setdefault((path.parent.parent.name, row["layer"]), []).append(row["auc_truth"])
    tasks = sorted({task for task, _ in at})
    values = [np.mean(at[task, 15]) - np.mean(at[task, 30]) for task in tasks]
    rows = table_of(printed, "The middle layer less the first and the last")
    row = row_of(rows, probe="kNN, fitted on weak")
    assert row["middle"] == "15"
    assert numbers(row["less last"]) == pytest.approx(signed(values), abs=6e-4)


def test_what_was_not_run_is_said(printed: str) -> None:
    rows = table_of(printed, "minilm-l6: test AUC of each task")
    assert {row["gain of noise control"] for row in rows} == {"not run"}
    assert "gap not resolved" in {row["PGR"] for row in rows}
    shown, absent = printed.split("Not in this study:\n\n")
    slopes = "How student_logconf less student changes"  # needs several supervisors
    assert slopes not in shown
    assert f"- {slopes}" in absent


# --- a study of probes, of two tasks and supervisors ----------------------------------------------


@pytest.fixture(scope="module")
def of_probes(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyResults, Path]:
    folder = tmp_path_factory.mktemp("probes")
    save_study(folder)
    save_other_task(folder)
    values = study(
        folder,
        task={"sizes": {"weak_train": 16, "strong_train": 30, "val": 8, "test": 24}},
        tasks=[str(folder / "task.csv"), str(folder / "other.csv")],
        weak=[
            {"kind": "probe", "model": str(folder / "weak"), "rows": 8},
            {"kind": "probe", "model": str(folder / "weak")},
        ],
        strong={"model": str(folder / "strong")},
        splits=2,
        ceiling="logistic",
        probes={"layer": 1, "l2": 1.0, "n_neighbors": 5, "preprocess": "standardize"},
        sweep={"layers": "all", "ks": [1, 5, 10], "l2s": [0.1, 1.0, 10.0], "ceiling": True},
        min_gap=0.0,
        min_gap_se=0.0,
        analysis={"against": "logistic_probe"},
        methods=[
            *("logistic_probe", "head", "head_logconf", "knn_probe", NOISE),
            *("weak_to_weak_logistic", "logistic_on_knn_relabel", "logistic_on_logistic_filter"),
            *("logistic_on_random_like_logistic_filter", "logistic_on_knn_filter"),
        ],
    )
    plan = make_plan(StudyConfig.model_validate(values), cache=folder / "cache", out=folder / "out")
    results = run_study(plan, folder / "out")
    assert not results.failures, results.failures
    run("collect", str(folder / "out"), str(folder / "small"))
    return results, folder / "small"


def test_every_table_has_its_rows(of_probes: tuple[StudyResults, Path]) -> None:
    results, folder = of_probes
    text = run("tables", str(folder))
    assert "Not in this study" not in text
    assert "not run" not in text
    by = {(row.task, row.weak_model, row.method): row for row in results.summary}
    supervisors = list(dict.fromkeys(weak for _, weak, _ in by))
    for weak in supervisors:
        rows = table_of(text, f"{weak}: test AUC of each task")
        for task in {task for task, _, _ in by}:
            row = row_of(rows, task=task)
            assert float(row["own ceiling"]) == pytest.approx(
                by[task, weak, "ceiling"].auc, abs=6e-4
            )
            noise = by[task, weak, NOISE]
            assert numbers(row["gain of noise control"]) == pytest.approx(
                [noise.delta_auc, *(noise.delta_auc_interval or ())], abs=6e-4
            )
            differences = table_of(text, "Test AUC of head_logconf less that of head")
            row = row_of(differences, supervisor=weak, task=task)
            expected = by[task, weak, "head_logconf"].auc - by[task, weak, "head"].auc
            assert numbers(row["difference"])[0] == pytest.approx(expected, abs=6e-4)
    slopes = []
    for task in {task for task, _, _ in by}:
        aucs = [by[task, weak, "weak"].auc for weak in supervisors]
        differences = [
            by[task, weak, "head_logconf"].auc - by[task, weak, "head"].auc for weak in supervisors
        ]
        slopes.append(stats.linregress(aucs, differences).slope / 10)
    (row,) = table_of(text, "How head_logconf less head changes")
    assert numbers(row["mean slope"]) == pytest.approx(signed(slopes), abs=6e-4)
    (row, _) = table_of(text, "Test AUC of logistic_probe less its supervisor's")
    less = [
        by[task, supervisors[0], "logistic_probe"].auc
        - by[task, supervisors[0], "weak_to_weak_logistic"].auc
        for task in {task for task, _, _ in by}
    ]
    assert numbers(row["student less weak-to-weak"])[:3] == pytest.approx(signed(less), abs=6e-4)
    controls = {row["filter"]: row["control"] for row in table_of(text, "Test AUC of a learner on")}
    assert controls["logistic_on_logistic_filter"] == "logistic_on_random_like_logistic_filter"


def test_a_control_of_another_size_is_none(of_probes: tuple[StudyResults, Path]) -> None:
    read = Study.read(of_probes[1])
    pair = next(iter(read.pairs))
    name, control = "logistic_on_knn_filter", "logistic_on_random_like_logistic_filter"
    assert read.control(pair, name) == control
    fewer = {run: rows - 1 for run, rows in read.kept[pair, name].items()}
    other = dataclasses.replace(read, kept={**read.kept, (pair, name): fewer})
    assert other.control(pair, name) is None


def test_figures_are_drawn(
    of_probes: tuple[StudyResults, Path], of_version0: Path, tmp_path: Path
) -> None:
    for folder, supervisor in ((of_probes[1], "8 rows"), (of_version0, "200 rows")):
        run("figures", str(folder), str(tmp_path / folder.parent.name), "--supervisor", supervisor)
    drawn = sorted(tmp_path.glob("*/*.png"))
    assert [path.name for path in drawn] == 2 * ["gains.png", "layers.png", "methods.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


# --- the page -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("results", "page"), STUDIES.items())
def test_tables_of_a_page_are_those_of_the_command(results: str, page: str) -> None:
    """All of them, word for word, each below its title."""
    shown = (PAGES / page).read_text(encoding="utf-8")
    blocks = run("tables", str(PAGES / results)).strip().split("\n\n")
    for title, table in zip(blocks[::2], blocks[1::2], strict=True):
        assert f"{title}\n\n{table}" in shown


def test_the_table_of_stage_0_is_that_of_the_command() -> None:
    done = call_forked(script, "choose_tasks", (str(PAGES / "stage0/scores.parquet"),))
    assert done.returncode == 0, done.stderr
    assert done.stdout in (PAGES / "stage0.md").read_text(encoding="utf-8")


# --- finetuned students ---------------------------------------------------------------------------


def test_losses_are_compared_on_students_where_these_are_the_baseline() -> None:
    scores = read_scores(PAGES / "finetuning/scores.parquet")
    auc = {(s.method, s.task, s.seed): s.auc for s in scores}
    tasks = {task for _, task, _ in auc}
    by_task = {
        task: np.mean(
            [
                value - auc["student", task, seed]
                for (method, at, seed), value in auc.items()
                if (method, at) == ("student_logconf", task)
            ]
        )
        for task in tasks
    }
    printed = run("tables", str(PAGES / "finetuning"))
    rows = table_of(printed, "Test AUC of student_logconf less that of student")
    for task, difference in by_task.items():
        row = row_of(rows, task=task.removeprefix("bigbench:"))
        assert numbers(row["difference"])[0] == pytest.approx(difference, abs=6e-4)
    mean, low, high, p = numbers(row_of(rows, task="mean over tasks")["difference"])
    assert [mean, low, high] == pytest.approx(signed([*by_task.values()]), abs=6e-4)
    assert p == pytest.approx(stats.ttest_1samp([*by_task.values()], 0).pvalue, abs=6e-4)


def test_contrasts_are_those_of_scipy() -> None:
    auc = {
        (s.method, s.task, s.seed): s.auc for s in read_scores(PAGES / "finetuning/scores.parquet")
    }
    tasks = [*dict.fromkeys(task for _, task, _ in auc)]
    cuts = [*dict.fromkeys(seed for *_, seed in auc)]

    def of(method: str) -> np.ndarray:
        return np.array([[auc[method, task, cut] for cut in cuts] for task in tasks])

    values = of("ceiling") - of("logistic_probe_on_truth") - of("student") + of("logistic_probe")
    rows = table_of(run("tables", str(PAGES / "finetuning")), "minilm-l6: contrasts of test AUCs")
    row = row_of(rows, contrast="true labels less weak labels, of these differences")
    assert numbers(row["mean"]) == pytest.approx(signed(values.mean(axis=1)), abs=6e-4)
    assert row["runs above 0"] == f"{(values > 0).sum()} of {values.size}"
    over_tasks, over_cuts = float(row["SE over tasks"]), float(row["SE over cuts"])
    assert over_tasks == pytest.approx(stats.sem(values.mean(axis=1)), abs=6e-4)
    # the mean of four tasks, each the mean of its cuts
    assert over_cuts == pytest.approx(np.sqrt((stats.sem(values, axis=1) ** 2).sum()) / 4, abs=6e-4)
    reviews = values[[index for index, task in enumerate(tasks) if "multiemo" in task]]
    assert numbers(row["reviews: mean"]) == pytest.approx(signed(reviews.mean(axis=1)), abs=6e-4)


def test_a_study_without_sweeps_has_no_figure_of_layers(tmp_path: Path) -> None:
    run("figures", str(PAGES / "finetuning"), str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gains.png", "methods.png"]


# --- training curves ------------------------------------------------------------------------------


def test_overfitting_is_the_change_from_the_first_evaluation_to_the_last() -> None:
    pair = ("weak", "strong")
    changes = {"a": (0.02, -0.03), "b": (0.04, -0.005), "c": (0.03, 0.01)}  # labels, truth
    curves = [
        {
            **dict(zip(("weak_model", "strong_model"), pair, strict=True)),
            "task": task,
            "seed": seed,
            "method": method,
            "epoch": epoch,
            "val_soft_auc": 0.8 + labels * (epoch - 1),
            "val_true_auc": 0.7 + truth * (epoch - 1),
        }
        for task, (labels, truth) in changes.items()
        for seed in ("cut0", "cut1")
        for method in ("student", "ceiling")
        for epoch in (2.0, 1.0)
    ]
    old = [{**row, "val_true_auc": None} for row in curves]
    study = dataclasses.replace(
        Study.read(KEPT),
        scores=[
            Score(task="a", method="student", seed="", weak_model="weak", strong_model="strong")
        ],
    )
    (table,) = overfitting(dataclasses.replace(study, curves=curves))
    ((method, tasks, first, last, change, *of_truth, falls),) = table.rows
    assert (method, tasks, first, last) == ("student", "3", "0.800", "0.830")
    assert numbers(change) == pytest.approx(signed([0.02, 0.04, 0.03]), abs=6e-4)
    assert numbers(of_truth[2]) == pytest.approx(signed([-0.03, -0.005, 0.01]), abs=6e-4)
    assert falls == "2 of 6", "both cuts of a"
    assert [*overfitting(dataclasses.replace(study, curves=old))] == []
