import math
from dataclasses import replace

import numpy as np
import pytest

from tests.comparison.cases import by_unit, repeated, scores
from w2sprobe.comparison import Analysis, Score, compare
from w2sprobe.metrics import mean_of_runs


def test_gap_se_combines_rows_and_seeds() -> None:
    gaps = [0.02, 0.06, 0.10]
    rows = [
        Score("t", method, str(seed), auc=0.7, weak_auc=0.6, ceiling_auc=0.6 + gap, gap_se=0.01)
        for method in ("student", "other")
        for seed, gap in enumerate(gaps)
    ]
    (task,) = compare(rows).tasks
    assert task.gap == pytest.approx(0.06)
    assert task.gap_se == pytest.approx(np.sqrt(0.01**2 + np.var(gaps, ddof=1) / 3))
    assert not task.resolved  # .06 are 6 standard errors of rows alone
    (single,) = compare(rows[1::3]).tasks
    assert single.gap_se == 0.01
    assert single.resolved


def test_gain_se_combines_rows_and_seeds() -> None:
    table = [[0.70, 0.72, 0.77], [0.6, 0.61, 0.66]]
    rows = [replace(row, delta_auc_se=0.01) for row in repeated("student", table)]
    first, second = compare(rows).tasks
    for task, aucs in ((first, table[0]), (second, table[1])):
        expected = mean_of_runs(np.subtract(aucs, 0.6), 0.01**2)
        assert task.delta_auc_se["student"] == pytest.approx(expected.se)
    (unknown, _) = compare(repeated("student", table)).tasks
    assert math.isnan(unknown.delta_auc_se["student"])  # seeds alone would not be all of it


def test_runs_of_one_supervisor_share_its_noise() -> None:
    gains = {("0", "0"): 0.1, ("0", "1"): 0.12, ("1", "0"): 0.2, ("1", "1"): 0.24}
    rows = [
        Score("t", "student", f"{weak}/{strong}", auc=0.6 + gain, weak_auc=0.6, ceiling_auc=0.9,
              gap_se=0.01, delta_auc_se=0.01, split_seed="0", weak_seed=weak, strong_seed=strong)
        for (weak, strong), gain in gains.items()
    ]  # fmt: skip
    (task,) = compare(rows).tasks
    by_weak = mean_of_runs([0.11, 0.22], 0.01**2)
    assert task.delta_auc_se["student"] == pytest.approx(by_weak.se)
    cuts = [replace(row, split_seed=row.strong_seed) for row in rows]
    (task,) = compare(cuts).tasks
    by_cut = mean_of_runs([0.15, 0.18], 0.01**2)
    assert task.delta_auc_se["student"] == pytest.approx(by_cut.se)


def test_unresolved_tasks_are_shown_but_not_averaged_in_pgr() -> None:
    good = {"student": [0.7, 0.71], "x": [0.8, 0.8]}
    small = [replace(s, task="small") for s in scores({"student": [0.6], "x": [0.5]}, ceiling=0.62)]
    unsure = [replace(s, task="unsure") for s in scores({"student": [0.6], "x": [0.5]}, se=0.1)]
    found = compare([*scores(good), *small, *unsure])
    assert {row.task: row.excluded for row in found.tasks} == {
        "t0": "", "t1": "", "small": "gap 0.020 < 0.03", "unsure": "gap/SE 3.0 < 4",
    }  # fmt: skip
    assert [row.resolved for row in found.tasks] == [True, True, False, False]
    assert found.tasks[2].pgr["x"] == pytest.approx(-5)
    assert (by_unit(found)["pgr"].n, by_unit(found)["pgr"].n_shown) == (2, 4)
    assert by_unit(found)["auc"].n == 4
    assert {unit: row.n_runs for unit, row in by_unit(found).items()} == {"auc": 4, "pgr": 2}
    rule = Analysis(min_gap=0.02, min_gap_se=2)
    looser = compare([*scores(good), *small, *unsure], analysis=rule)
    assert by_unit(looser)["pgr"].n == 4


def test_the_published_rule_excludes_only_saturated_tasks() -> None:
    def one(task: str, auc: float, weak: float, ceiling: float) -> list[Score]:
        rows = scores({"student": [auc], "x": [auc]}, weak=weak, ceiling=ceiling)
        return [replace(score, task=task) for score in rows]

    rows = [
        *one("saturated", 0.9995, 0.999, 1.0),
        *one("nearly", 0.998, 0.999, 1.0),
        *one("small", 0.98, 0.97, 0.98),
        *one("none", 0.98, 0.97, 0.97),
    ]
    found = compare(rows, analysis=Analysis(saturated_only=True))
    assert {row.task: row.excluded for row in found.tasks} == {
        "saturated": "saturated", "nearly": "", "small": "", "none": "no gap",
    }  # fmt: skip
    assert not any(row.resolved for row in found.tasks)
    assert (by_unit(found)["pgr"].n, by_unit(found)["auc"].n) == (2, 3)


def test_tasks_average_all_seeds_and_pairs_shared_ones() -> None:
    rows = [
        *repeated("student", [[0.70, 0.72], [0.6, 0.6]]),
        *repeated("x", [[0.71, 0.75, 0.9], [0.7, 0.7, 0.7]]),
    ]
    found = compare(rows, units=["auc"])
    assert found.tasks[0].auc["student"] == pytest.approx(0.71)
    assert found.tasks[0].auc["x"] == pytest.approx(2.36 / 3)
    assert found.tasks[0].n_seeds == 3
    assert found.tasks[0].delta_auc["student"] == pytest.approx(0.11)
    assert by_unit(found)["auc"].n_runs == 4  # two tasks, two shared seeds
    assert (found.pairs[0].n_seeds, found.pairs[0].auc_difference) == (2, pytest.approx(0.02))
    assert "2 scores of x or student have no counterpart" in found.notes[-1]
    both = compare([*rows, *(replace(row, method="y") for row in rows if row.method == "x")])
    (note,) = (note for note in both.notes if "counterpart" in note)
    assert note.startswith("2 scores each of x, y or student have no counterpart")


def test_pgr_of_a_task_is_that_of_its_mean_aucs() -> None:
    rows = [
        Score("t", "student", "0", auc=0.7, weak_auc=0.6, ceiling_auc=0.9),
        Score("t", "student", "1", auc=0.7, weak_auc=0.5, ceiling_auc=0.7),
        Score("t", "x", "0", auc=0.7),
    ]
    (row,) = compare(rows).tasks
    assert (row.weak_auc, row.ceiling_auc) == (pytest.approx(0.55), pytest.approx(0.8))
    assert row.pgr["student"] == pytest.approx(0.6)  # the mean of PGRs would be .667
    # the gain of x is over the weak model of its own seed
    assert row.delta_auc == {"student": pytest.approx(0.15), "x": pytest.approx(0.1)}
