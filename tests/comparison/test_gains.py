import math

import numpy as np
import pytest

from w2sprobe.comparison import (
    Analysis,
    GainRow,
    IndicatorRow,
    Score,
    by_method,
    by_pair,
    gains,
    overview,
    published,
    task_rows,
)
from w2sprobe.metrics import holm, rank_correlation

PAIR = ("w", "s")


def scores(aucs: list[float], ceilings: list[float] | None = None, **names: str) -> list[Score]:
    """A row a task."""
    return [
        Score(f"t{task}", "student", auc=auc, weak_auc=0.6, ceiling_auc=ceiling, gap_se=0.005,
              **{"weak_model": "w", "strong_model": "s", **names})
        for task, (auc, ceiling) in enumerate(zip(aucs, ceilings or [0.9] * len(aucs), strict=True))
    ]  # fmt: skip


def indicated(values: dict[str, list[float]], strong_model: str = "s") -> list[IndicatorRow]:
    return [
        IndicatorRow(f"t{task}", dict(zip(values, row, strict=True)), "w", strong_model)
        for task, row in enumerate(zip(*values.values(), strict=True))
    ]


def found(rows: list[Score], indicators: list[IndicatorRow]) -> dict[tuple[str, str], GainRow]:
    tasks = {pair: task_rows(by_method(own)) for pair, own in by_pair(rows).items()}
    return {(row.indicator, row.unit): row for row in gains(tasks, indicators, "student")}


def test_correlations_are_those_of_metrics_and_adjusted_together() -> None:
    aucs, x = [0.61, 0.65, 0.7, 0.72, 0.8, 0.81], [1, 3, 2, 4, 6, 5]
    y = [5, 1, 2, 3, 2, 4]
    rows = found(scores(aucs), indicated({"x": x, "y": y}))
    for name, values in (("x", x), ("y", y)):
        expected = rank_correlation(values, aucs)
        for unit in ("auc", "pgr"):  # one gap everywhere: PGR has the order of the gains
            row = rows[name, unit]
            assert (row.n, row.n_tasks) == (6, 6)
            assert row.correlation == expected.correlation
            assert row.interval == expected.interval
            assert row.pvalue == expected.pvalue
    adjusted = holm([rows["x", "auc"].pvalue, rows["y", "auc"].pvalue])
    assert [rows["x", "auc"].holm, rows["y", "auc"].holm] == adjusted.tolist()


def test_pgr_uses_only_tasks_with_a_resolved_gap() -> None:
    ceilings = [0.9, 0.9, 0.9, 0.9, 0.61]
    aucs = [0.61, 0.65, 0.7, 0.72, 0.8]
    rows = found(scores(aucs, ceilings), indicated({"x": [1, 2, 3, 4, 0]}))
    assert (rows["x", "auc"].n, rows["x", "pgr"].n) == (5, 4)
    assert rows["x", "auc"].correlation == pytest.approx(0)
    assert rows["x", "pgr"].correlation == 1


def test_indicators_are_averaged_over_seeds_and_may_be_missing() -> None:
    seeds = [
        IndicatorRow("t0", {"x": 1.0, "y": math.nan}, *PAIR, "0"),
        IndicatorRow("t0", {"x": 3.0, "y": math.nan}, *PAIR, "1"),
        IndicatorRow("t1", {"x": 1.5, "y": 1.0}, *PAIR, "0"),
        IndicatorRow("t1", {"x": math.nan, "y": 2.0}, *PAIR, "1"),
        IndicatorRow("elsewhere", {"x": 9.0, "y": 9.0}, *PAIR, "0"),
        IndicatorRow("t0", {"x": 9.0, "y": 9.0}, "another", "s", "0"),
    ]
    rows = found(scores([0.7, 0.8, 0.9]), seeds)
    # t0 has 2, t1 1.5, t2 nothing: falling as the gain rises
    assert (rows["x", "auc"].n, rows["x", "auc"].correlation) == (2, -1)
    assert math.isnan(rows["x", "auc"].interval[0])
    assert rows["y", "auc"].n == 1
    assert math.isnan(rows["y", "auc"].correlation)
    assert math.isnan(rows["y", "auc"].holm)


def test_points_of_several_pairs_are_counted_apart_from_tasks() -> None:
    aucs = [0.61, 0.65, 0.7]
    rows = [*scores(aucs), *scores([0.7, 0.75, 0.8], strong_model="l")]
    indicators = [*indicated({"x": [1, 2, 3]}), *indicated({"x": [4, 5, 6]}, "l")]
    row = found(rows, indicators)["x", "auc"]
    assert (row.n, row.n_tasks) == (6, 3)
    assert row.correlation == pytest.approx(
        rank_correlation(range(6), [1, 2, 3.5, 3.5, 5, 6]).correlation
    )


def test_the_published_students() -> None:
    # Spearman over the 21 tasks, as computed by others from the same figures
    source = published()
    indicators = [
        IndicatorRow(s.task, {"weak": s.weak_auc, "gap": s.ceiling_auc - s.weak_auc}, *s.pair)
        for s in source.scores
        if s.method == "logconf"
    ]
    rule = Analysis(saturated_only=True)
    rows = overview(source.scores, indicators, methods=["logconf"], analysis=rule).gains
    by_key = {(row.indicator, row.unit): row for row in rows if row.method == "logconf"}
    assert {row.n for row in by_key.values()} == {21}
    assert by_key["weak", "pgr"].correlation == pytest.approx(0.58, abs=0.005)
    assert by_key["gap", "pgr"].correlation == pytest.approx(-0.53, abs=0.005)
    assert by_key["gap", "auc"].correlation == pytest.approx(0.7, abs=0.02)
    low, high = by_key["weak", "pgr"].interval
    reach = 1.96 * np.sqrt((1 + 0.578**2 / 2) / 18)
    assert (np.arctanh(high) - np.arctanh(low)) / 2 == pytest.approx(reach, rel=1e-3)
