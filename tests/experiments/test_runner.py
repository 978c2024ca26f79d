"""Studies that are run: failures, results, seeds, and what is left beside them."""

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.experiments.cases import save_other_task, save_study, study
from w2sprobe.audit import Audit
from w2sprobe.comparison import overview, read_indicators, read_scores
from w2sprobe.data import Splits
from w2sprobe.experiments import stage_kinds
from w2sprobe.experiments.config import StudyConfig
from w2sprobe.experiments.plan import StudyPlan, make_plan
from w2sprobe.experiments.runner import run_study
from w2sprobe.metrics import bootstrap_pgr, capa, roc_auc
from w2sprobe.results import Results, StudyResults

METHODS = ["student", "knn_probe", "logistic_relabel"]
RUN = [*METHODS, "knn_probe_on_truth"]  # the probe's own ceiling, too
Make = Callable[..., StudyPlan]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies")
    save_study(folder)
    save_other_task(folder)
    return folder


@pytest.fixture(scope="module")
def make(place: Path) -> Make:
    def plan(cache: str = "cache", **sections: Any) -> StudyPlan:
        values = {**study(place), "methods": METHODS, "seeds": [0, 1], **sections}
        values["tasks"] = [str(place / "task.csv"), str(place / "other.csv")]
        values["task"] = {"sizes": values["task"]["sizes"]}
        config = StudyConfig.model_validate(values)
        return make_plan(config, cache=place / cache, out=place / "out")

    return plan


@pytest.fixture(scope="module")
def done(make: Make, place: Path) -> tuple[StudyPlan, StudyResults]:
    plan = make()
    return plan, run_study(plan, place / "out")


def results(place: Path, done: tuple[StudyPlan, StudyResults]) -> dict[str, Results]:
    return {
        name: Results.read(place / "out" / name / "results.json") for name in done[1].experiments
    }


def test_every_experiment_has_results_that_stand_alone(
    done: tuple[StudyPlan, StudyResults], place: Path
) -> None:
    found = results(place, done)
    assert len(found) == 4
    for experiment, (name, one) in zip(done[0].experiments, found.items(), strict=True):
        assert (one.task, one.seed) == (experiment.config.task.label, experiment.config.seed)
        table = pq.read_table(place / "out" / name / "predictions.parquet")
        assert table.column_names == ["id", "label", "weak", "ceiling", *RUN]
        for row in one.rows:
            auc = roc_auc(table["label"].to_numpy(), table[row.method].to_numpy())
            assert row.auc == pytest.approx(auc, abs=1e-12)
        assert not one.missing
        assert set(one.indicators) >= {"misfit_squared", "subspace_overlap", "capa_student"}
        label, weak, student = (table[key].to_numpy() for key in ("label", "weak", "student"))
        assert one.indicators["capa_student"] == pytest.approx(capa(label, weak, student))
        hard = capa(label, weak > 0.5, student > 0.5)
        assert one.indicators["capa_hard_student"] == pytest.approx(hard)
        ids = Splits.read((place / "out" / name).parent / "splits.parquet").test.ids.tolist()
        assert ids == table["id"].to_pylist()
        assert Audit.read(place / "out" / name / "audit.json").task == one.task


def test_the_summary_is_over_rows_and_seeds(
    done: tuple[StudyPlan, StudyResults], place: Path
) -> None:
    plan, found = done
    assert [(row.task, row.method) for row in found.summary] == [
        (one.config.task.label, method)
        for one in plan.experiments[::2]
        for method in ("weak", "ceiling", *RUN)
    ]
    test = plan.experiments[0].splits.test
    tables = [
        pq.read_table(place / "out" / name / "predictions.parquet")
        for name in found.experiments[:2]
    ]
    scores = {
        name: np.array([table[name].to_numpy() for table in tables])
        for name in ("weak", "student", "ceiling")
    }
    expected = bootstrap_pgr(test.labels, *scores.values())
    (row,) = (r for r in found.summary[:6] if r.method == "student")
    assert (row.n_seeds, row.n_cuts, row.n_supervisor_seeds, row.n_learner_seeds) == (2, 1, 2, 1)
    assert row.auc == pytest.approx(expected.student_auc)
    assert row.delta_auc_interval == pytest.approx(expected.delta_auc_interval)
    assert row.delta_auc_pvalue == pytest.approx(expected.delta_estimate.pvalue)
    assert (row.gap, row.gap_se) == pytest.approx((expected.gap, expected.gap_se))
    assert row.gap_row_se == pytest.approx(math.sqrt(expected.gap_estimate.parts[0][0]))
    written = StudyResults.model_validate_json((place / "out/study.json").read_text())
    assert written == found


def test_scores_go_on_to_the_statistics(done: tuple[StudyPlan, StudyResults], place: Path) -> None:
    with (place / "out/scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * (2 + len(RUN))
    summary = {(row.task, row.method): row for row in done[1].summary}
    for row in rows:
        assert (row["split_seed"], row["weak_seed"], row["strong_seed"]) == (
            "0", row["seed"], row["seed"],
        )  # fmt: skip
        roles = {"weak": "", "ceiling": "", "knn_probe_on_truth": "control"}
        assert row["role"] == roles.get(row["method"], "competitor")
        assert 0 < float(row["accuracy"]) < 1
        one, ceiling = summary[row["task"], row["method"]], summary[row["task"], "ceiling"]
        assert float(row["delta_auc_se"]) == pytest.approx(one.delta_auc_row_se)
        assert float(row["gap_se"]) == pytest.approx(ceiling.gap_row_se)
    indicators = read_indicators(place / "out/indicators.csv")
    found = overview(read_scores(place / "out"), indicators)
    (comparison,) = found.comparisons
    assert {row.method: row.role for row in comparison.methods} == {
        name: "control" if name.endswith("_on_truth") else "competitor" for name in RUN[1:]
    }
    assert all(task.n_seeds == 2 for task in comparison.tasks)
    assert {seeds.method for seeds in comparison.seeds} <= {*RUN}
    # statistics and report agree on the error of a task's gap and gain
    for task in comparison.tasks:
        one = summary[task.task, "student"]
        assert (task.gap, task.gap_se) == pytest.approx((one.gap, one.gap_se))
        assert task.resolved == one.resolved
        assert task.delta_auc_se["student"] == pytest.approx(one.delta_auc_se)


def test_a_second_run_does_nothing_and_says_the_same(
    done: tuple[StudyPlan, StudyResults], make: Make, place: Path
) -> None:
    plan = make()
    started: list[str] = []
    before = (place / "out/study.json").read_bytes()
    run_study(plan, place / "out", report=lambda stage, _: started.append(stage.title))
    assert started == []
    assert (place / "out/study.json").read_bytes() == before


def test_a_failed_stage_stops_only_what_needs_it(
    done: tuple[StudyPlan, StudyResults], make: Make, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make(methods=[*METHODS, "knn_filter", "logistic_filter"])
    good = stage_kinds.Curate.run

    def broken(work: stage_kinds.Curate, folder: Path) -> None:
        if work.pick.probe == "knn":
            raise RuntimeError("no luck today")
        good(work, folder)

    monkeypatch.setattr(stage_kinds.Curate, "run", broken)
    found = run_study(plan, place / "broken")
    assert [(one.stage, one.n_waiting) for one in found.failures] == [("knn_filter labels", 1)] * 4
    assert {one.error for one in found.failures} == {"no luck today"}
    assert len({one.experiment for one in found.failures}) == 4
    assert "no luck today" in Path(found.failures[0].log).read_text()
    one = Results.read(place / "broken" / found.experiments[0] / "results.json")
    assert one.missing == {"knn_filter": "knn_filter labels"}
    assert [row.method for row in one.rows] == [
        "weak",
        "ceiling",
        *METHODS,
        "logistic_filter",
        RUN[-1],
    ]
    monkeypatch.undo()
    ran: list[str] = []
    again = run_study(
        make(methods=[*METHODS, "knn_filter", "logistic_filter"]),
        place / "broken",
        report=lambda stage, outcome: outcome and ran.append(stage.title),
    )
    assert not again.failures
    assert set(ran) == {"knn_filter labels", "strong student on knn_filter labels"}
    assert len(ran) == 8


def test_without_a_ceiling_there_are_no_results_but_the_others(
    make: Make, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make("broken-cache", seeds=[])
    other = plan.experiments[1].splits.strong_train.ids.tolist()
    good = stage_kinds.finetune

    def broken(model: str, rows: Any, table: Any, *arguments: Any, **options: Any) -> Any:
        on_truth = set(np.unique(table.soft_label)) <= {0.0, 1.0}
        if rows.ids.tolist() == other and on_truth:
            raise RuntimeError("no ceiling")
        return good(model, rows, table, *arguments, **options)

    monkeypatch.setattr(stage_kinds, "finetune", broken)
    found = run_study(plan, place / "no-ceiling")
    assert [one.stage for one in found.failures] == ["strong ceiling on truth"]
    assert {row.task for row in found.summary} == {plan.experiments[0].config.task.label}


def test_results_of_an_earlier_study_are_not_taken_for_this_one_s(
    done: tuple[StudyPlan, StudyResults], make: Make, place: Path
) -> None:
    out = place / "turns"
    run_study(make(methods=["student"]), out)  # reads no activations
    assert (out / "scores.csv").is_file()
    header = (out / "indicators.csv").read_text().splitlines()[0]
    assert '"capa_hard_ceiling"' in header
    assert "misfit" not in header
    plan = make(methods=["student"], seeds=[])
    one = StudyPlan(plan.config, plan.experiments[:1], plan.experiments[0].stages)
    run_study(one, out)
    assert (out / "results.json").is_file()
    assert not (out / "scores.csv").exists()
    assert not (out / "indicators.csv").exists()
    assert not (out / "study.json").exists()
    run_study(make(), out)
    assert "misfit" in (out / "indicators.csv").read_text()
    assert not (out / "results.json").exists()


def test_seeds_of_the_split_have_rows_of_their_own(make: Make, place: Path) -> None:
    plan = make(methods=["student"], vary=["split"])
    found = run_study(plan, place / "split")
    row = found.summary[2]
    assert (row.method, row.n_seeds) == ("student", 2)
    assert (row.n_cuts, row.n_supervisor_seeds) == (2, 1)
    files = [place / "split" / name / "results.json" for name in found.experiments]
    of_task = [one for one in map(Results.read, files) if one.task == row.task]
    gains = [next(r.delta_auc for r in one.rows if r.method == "student") for one in of_task]
    assert row.delta_auc == pytest.approx(np.mean(gains))
    low, high = row.delta_auc_interval
    assert low < min(gains) <= max(gains) < high  # two cuts: Student's t with one degree of freedom
    for name, experiment in zip(found.experiments, plan.experiments, strict=True):
        kept = Splits.read(place / "split" / name / "splits.parquet")
        assert kept.test.ids.tolist() == experiment.splits.test.ids.tolist()
