import math
from dataclasses import replace

import pytest

from w2sprobe.comparison import IndicatorRow, Score, compare, overview
from w2sprobe.errors import InputError, UnknownName


def pair(strong: str, **aucs: float) -> list[Score]:
    return [
        Score(
            task, method, weak_model="w", strong_model=strong, auc=auc + shift,
            weak_auc=0.6, ceiling_auc=0.9, gap_se=0.01,
        )
        for task, shift in (("a", 0.0), ("b", 0.02))
        for method, auc in aucs.items()
    ]  # fmt: skip


def test_each_pair_is_compared_by_itself() -> None:
    small, large = pair("s", student=0.7, x=0.75), pair("l", student=0.8, x=0.7)
    found = overview([*small, *large])
    # as JSON: nan is not equal to nan
    alone = [compare(own).model_dump_json() for own in (small, large)]
    assert [row.model_dump_json() for row in found.comparisons] == alone
    (matrix,) = found.matrices
    assert matrix.method == "student"
    assert [cell.delta_auc for cell in matrix.cells] == pytest.approx([0.11, 0.21])
    assert (found.gains, found.notes) == ((), ())


def test_methods_that_are_named_have_a_matrix_and_gains() -> None:
    indicators = [IndicatorRow(task, {"i": 1.0}, "w", "s") for task in "ab"]
    found = overview(pair("s", student=0.7, x=0.75, y=0.7), indicators, methods=["x"])
    assert [matrix.method for matrix in found.matrices] == ["student", "x"]
    assert [row.method for row in found.gains] == ["student"] * 2 + ["x"] * 2


def test_a_pair_that_cannot_be_compared_is_left_out_with_a_note() -> None:
    found = overview([*pair("s", student=0.7, x=0.75), *pair("l", x=0.8)])
    assert [row.strong_model for row in found.comparisons] == ["s"]
    (note,) = found.notes
    assert note.startswith("w:l: unknown method 'student'")
    assert len(found.matrices[0].cells) == 2


def test_one_pair_that_cannot_be_compared_is_an_error_unless_there_are_indicators() -> None:
    alone = [replace(row, weak_auc=math.nan) for row in pair("s", student=0.7)]
    with pytest.raises(InputError, match="nothing to compare"):
        overview(alone)
    found = overview(alone, [IndicatorRow("a", {"i": 1.0}, "w", "s")])
    assert len(found.gains) == 2
    assert found.comparisons == ()


def test_mistakes_are_errors_also_with_several_pairs() -> None:
    both = [*pair("s", student=0.7, x=0.75), *pair("l", student=0.8, x=0.7)]
    with pytest.raises(UnknownName, match="unknown method 'z'"):
        overview(both, methods=["z"])
    with pytest.raises(UnknownName, match="unknown method 'z'"):
        overview(both, against="z")
    with pytest.raises(InputError, match="occurs twice"):
        overview([*both, replace(both[0], auc=0.71)])


def test_own_ceilings_are_used_even_if_their_methods_are_not_selected() -> None:
    given = [
        replace(row, own_ceiling="x_on_truth" if row.method == "x" else "")
        for row in pair("s", student=0.7, x=0.75, x_on_truth=0.85)
    ]
    (found,) = overview(given, methods=["x"]).comparisons
    for task in found.tasks:
        gap = {"a": 0.25, "b": 0.27}[task.task]
        assert task.own_gap["x"] == pytest.approx(gap)
        assert task.own_pgr["x"] == pytest.approx(task.delta_auc["x"] / gap)
        assert math.isnan(task.own_gap["student"])
    gain = next(row for row in found.supervisor_gains if row.method == "x")
    assert gain.own_pgr == pytest.approx((0.15 + 0.17) / (0.25 + 0.27))
    assert gain.pgr == pytest.approx((0.15 + 0.17) / 0.6)
