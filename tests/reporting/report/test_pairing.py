"""Differences are paired by rows, cuts and seeds, or not made at all."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.reporting.cases import METHODS, save_run, save_study
from w2sprobe.metrics import ScoredRun, recover
from w2sprobe.reporting.report.pairing import (
    Predicted,
    Seeds,
    auc_difference,
    filter_differences,
    predicted,
)
from w2sprobe.reporting.report.sources import Run, Source

NAMES = [f"row {number:03}" for number in range(90)]


def cut_of(cut: int, seed: int, skill: float, n: int = 60) -> Predicted:
    """Rows of a cut are others than those of the next, but for half."""
    rows = np.arange(n) + 30 * cut
    truth = rows % 2
    scores = skill * truth + np.random.default_rng([cut, seed]).normal(size=n)
    return Predicted(np.array(NAMES)[rows], truth, None, scores)


def runs_of(skill: float, shift: int = 0) -> dict[Seeds, Predicted]:
    return {(cut, 0, 0): cut_of(cut, 10 + shift, skill) for cut in range(2)}


def test_cuts_may_have_rows_of_their_own() -> None:
    ours, theirs = runs_of(1.0), runs_of(2.0, shift=1)
    found = auc_difference(ours, theirs)
    assert found is not None
    runs = [
        ScoredRun(
            one.truth,
            {"weak": one.scores, "ceiling": one.scores, "student": theirs[seeds].scores},
            rows=one.ids,
            cut=seeds[0],
        )
        for seeds, one in ours.items()
    ]
    assert found == recover(runs)["student"].delta_estimate
    assert len(found.parts) == 2  # rows that cuts share, and cuts


def test_other_seeds_rows_labels_or_groups_are_not_paired() -> None:
    ours, theirs = runs_of(1.0), runs_of(2.0, shift=1)
    assert auc_difference({}, {}) is None
    assert auc_difference(ours, {seeds: theirs[seeds] for seeds in list(theirs)[:1]}) is None
    one = theirs[0, 0, 0]
    for other in (
        Predicted(one.ids[::-1], one.truth, None, one.scores),
        Predicted(one.ids, 1 - one.truth, None, one.scores),
        Predicted(one.ids, one.truth, one.ids, one.scores),
    ):
        assert auc_difference(ours, {**theirs, (0, 0, 0): other}) is None
    few = Predicted(one.ids[:3], np.array([0, 1, 0]), None, one.scores[:3])
    assert auc_difference({(0, 0, 0): few}, {(0, 0, 0): few}) is None  # one row of class 1


def test_predictions_are_in_the_order_of_ids(tmp_path: Path) -> None:
    save_study(tmp_path, ("one",), ("0", "1"), records=False)
    found = predicted(Source.read(tmp_path).runs, "student")
    assert set(found) == {(0, 0, 0), (0, 1, 1)}
    table = pq.read_table(tmp_path / "one/seed1/predictions.parquet")
    of_id = dict(zip(table["id"].to_pylist(), table["student"].to_pylist(), strict=True))
    one = found[0, 1, 1]
    assert list(one.ids) == sorted(of_id)
    assert [of_id[name] for name in one.ids] == pytest.approx(one.scores)


def test_a_filter_needs_a_random_filter_of_its_size(tmp_path: Path) -> None:
    results = save_run(tmp_path, methods=(*METHODS, "knn_filter"), records=False)
    rows = [
        row.model_copy(update={"rows_kept": row.rows_kept - (row.method == "knn_filter")})
        for row in results.rows
    ]
    results = results.model_copy(update={"rows": tuple(rows)})
    run = Run(tmp_path, results)
    found = filter_differences([run])
    by_method = {row.method: row.auc for row in rows}
    assert found["knn_filter"] is None
    assert found["topofilter"] is not None
    assert found["topofilter"].value == pytest.approx(
        by_method["topofilter"] - by_method["random_filter"]
    )
    without = [row for row in rows if row.method != "random_filter"]
    assert filter_differences([Run(tmp_path, results.model_copy(update={"rows": without}))]) == {}
