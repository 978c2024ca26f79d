"""Gains over the supervisor use every task, resolved or not."""

import math

import numpy as np
import pytest

from w2sprobe.comparison import Analysis, TaskRow, supervisor_gains
from w2sprobe.metrics import holm, pool_tasks, pooled_pgr, task_mean

GAINS = [0.02, 0.05, -0.01, 0.04, 0.03]
GAPS = [0.1, 0.2, 0.02, 0.15, 0.08]
ERRORS = [0.01, 0.02, 0.03, 0.01, 0.02]


def tasks(gains=GAINS, gaps=GAPS, errors=ERRORS, method="x", own_gaps=None) -> list[TaskRow]:
    return [
        TaskRow(
            task=f"t{number}",
            n_seeds=1,
            weak_auc=0.6,
            ceiling_auc=0.6 + gap,
            gap=gap,
            gap_se=0.01,
            resolved=gap > 0.04,
            excluded="" if gap > 0.04 else "gap",
            saturated=False,
            auc={method: 0.6 + gain},
            delta_auc={method: gain},
            delta_auc_se={method: error},
            pgr={method: gain / gap},
            own_gap={method: own},
            own_pgr={method: gain / own},
        )
        for number, (gain, gap, error, own) in enumerate(
            zip(gains, gaps, errors, own_gaps or [math.nan] * len(gains), strict=True)
        )
    ]


def test_all_tasks_are_in_the_models_of_metrics() -> None:
    (row,) = supervisor_gains(tasks(), ["x", "y"], ["x"], Analysis())
    pooled, ratio = pool_tasks(GAINS, ERRORS, GAPS), pooled_pgr(GAINS, GAPS)
    assert (row.n, row.wins, row.losses, row.n_pgr) == (5, 4, 1, 5)
    assert row.mean_interval == pytest.approx(task_mean(GAINS).mean_interval)
    assert row.t_pvalue == row.t_holm == pytest.approx(task_mean(GAINS).pvalue)
    assert (row.pooled_mean, row.tau, row.slope) == (pooled.mean, pooled.tau, pooled.slope)
    assert (row.pooled_interval, row.slope_interval) == (
        pooled.mean_interval,
        pooled.slope_interval,
    )
    assert (row.pgr, row.pgr_interval) == (ratio.value, ratio.interval)
    assert [task.shrunken for task in row.tasks] == list(pooled.shrunken)
    assert [task.gain_se for task in row.tasks] == ERRORS


def test_own_ceilings_have_a_pooled_pgr_beside_the_published_one() -> None:
    own = [0.06, 0.1, 0.02, 0.08, math.nan]
    (row,) = supervisor_gains(tasks(own_gaps=own), ["x"], [], Analysis())
    ratio = pooled_pgr(GAINS[:4], own[:4])
    assert (row.n_own_pgr, row.own_pgr, row.own_pgr_interval) == (4, ratio.value, ratio.interval)
    assert row.pgr == pooled_pgr(GAINS, GAPS).value
    (without,) = supervisor_gains(tasks(), ["x"], [], Analysis())
    assert without.n_own_pgr == 0
    assert math.isnan(without.own_pgr)


def test_what_is_not_known_is_left_out() -> None:
    some = tasks(errors=[*ERRORS[:4], math.nan])
    (row,) = supervisor_gains(some, ["x"], ["x"], Analysis())
    assert row.tau == pool_tasks(GAINS, None, GAPS).tau
    assert math.isnan(row.tasks[0].shrunken_interval[0])
    gone = tasks(gaps=[*GAPS[:4], math.nan])
    (row,) = supervisor_gains(gone, ["x"], ["x"], Analysis())
    assert math.isnan(row.slope)
    assert (row.n, row.n_pgr) == (5, 4)
    unknown = tasks(gains=[math.nan] * 5)
    assert supervisor_gains(unknown, ["x"], ["x"], Analysis()) == ()


def test_a_ratio_without_bounds_has_no_interval() -> None:
    (row,) = supervisor_gains(tasks(gaps=[-0.1, 0.1, 0.02, -0.03, 0.05]), ["x"], [], Analysis())
    assert row.pgr_interval is None
    assert "Infinity" not in row.model_dump_json()


def test_the_family_is_adjusted_and_tests_are_two_sided() -> None:
    levels = {"student": 0.01, "a": 0.05, "b": -0.05, "c": 0.0}
    noise = np.array([0.01, -0.01, 0.02, 0.0, -0.02])
    given = []
    for number, of_task in enumerate(noise):
        gains = {name: level + of_task for name, level in levels.items()}
        (row,) = tasks([0.0], [0.1], [0.01])
        update = {
            "task": f"t{number}",
            "delta_auc": gains,
            "delta_auc_se": dict.fromkeys(gains, 0.01),
            "own_gap": dict.fromkeys(gains, math.nan),
        }
        given.append(row.model_copy(update=update))
    analysis = Analysis(alternative="greater")
    rows = {
        row.method: row for row in supervisor_gains(given, list(levels), ["a", "b", "c"], analysis)
    }
    family = [rows[name] for name in "abc"]
    assert [row.t_holm for row in family] == pytest.approx(holm([row.t_pvalue for row in family]))
    assert math.isnan(rows["student"].t_holm)
    assert [row.verdict for row in family] == ["better", "worse", "undecided"]
