"""Tables of methods on other tasks: means at home and away, matrices, short names."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reporting.report.cases import ROW, row, shown
from w2sprobe.reporting.transfer import (
    NO_TEST,
    matrix_of_tasks,
    pairs_table,
    short_names,
    task_pairs,
    transfer_table,
    transfer_tables,
)
from w2sprobe.results import SummaryRow, TransferRow

TASKS = ("big/hotels_en", "big/films_en")
ELSEWHERE = "big/news_en"


def away(
    task: str, test_task: str, gain: float, method: str = "student", **other: Any
) -> TransferRow:
    values = {
        "auc": 0.7 + gain,
        "weak_auc": 0.7,
        "ceiling_auc": 0.9,
        "delta_auc": gain,
        "delta_auc_interval": (gain - 0.03, gain + 0.03),
        "pgr": gain / 0.2,
        "pgr_interval": None,
        "resolved": True,
        "n_seeds": 3,
        "n_test_rows": 100,
        "n_left_out": 4,
    }
    names = {"task": task, "test_task": test_task, "weak_model": "small", "strong_model": "large"}
    return TransferRow(**{**names, "method": method, **values, **other})


HOME: list[SummaryRow] = [
    one
    for task, auc in zip(TASKS, (0.82, 0.86), strict=True)
    for one in (row("weak", 0.8, task=task), row("student", auc, task=task))
]
AWAY = [away(*TASKS, 0.02), away(*TASKS[::-1], 0.05), away(TASKS[0], ELSEWHERE, -0.04)]
AWAY += [away(*TASKS, 0.0, "weak")]


def test_means_are_over_tasks_at_home_and_over_pairs_away() -> None:
    table = transfer_table(task_pairs(HOME, AWAY))
    titles = [column.title for column in table.columns]
    assert titles[1:4] == ["pairs", "weak AUC home", "weak AUC away"]
    # gap at home 0.1, away 0.2
    assert shown(table) == {
        "student": ["3", "0.800", "0.700", "+0.040", "+0.010", "+0.40", "+0.05"]
    }
    assert NO_TEST in table.note


def test_tasks_without_scores_elsewhere_are_left_out_at_home() -> None:
    others = [row("student", 0.99, task="untested")]
    assert task_pairs([*HOME, *others], AWAY) == task_pairs(HOME, AWAY)


def test_a_matrix_has_tasks_of_training_as_rows_and_other_tasks_last() -> None:
    table = matrix_of_tasks(task_pairs(HOME, AWAY), "student")
    assert [column.title for column in table.columns][1:] == ["hotels", "films", "news"]
    cells = shown(table)
    assert cells["hotels"][1:] == ["+0.020 [-0.010, +0.050]", "-0.040 [-0.070, -0.010]"]
    assert cells["films"][0] == "+0.050 [+0.020, +0.080]"
    assert cells["films"][2] == ""
    tones = [[cell.tone for cell in line.cells[1:]] for line in table.rows]
    assert tones[0][1:] == ["", "bad"]
    assert tones[1][0] == "good"


def test_every_pair_has_its_rows_and_what_was_left_out() -> None:
    table = pairs_table(task_pairs(HOME, [*AWAY, away(*TASKS, 0.3, "knn", resolved=False)]))
    assert len(table.rows) == 4  # not the weak model
    assert [line.unresolved for line in table.rows] == [False, False, False, True]
    assert [cell.text for cell in table.rows[0].cells[-2:]] == ["100", "4"]


def test_each_pair_of_models_has_its_table() -> None:
    other = {"weak_model": "smaller"}
    more = [away(*TASKS, 0.1, **other)]
    home = [*HOME, row("student", 0.81, **{**ROW, **other, "task": TASKS[0]})]
    first, second = transfer_tables(home, [*AWAY, *more])
    assert first.title.endswith("small supervises large")
    assert second.title.endswith("smaller supervises large")
    assert shown(second)["student"][3:5] == ["+0.010", "+0.100"]


@given(st.lists(st.text("ab/_ []", min_size=1, max_size=8), min_size=1, max_size=5, unique=True))
def test_short_names_are_parts_of_the_names_and_differ(names: list[str]) -> None:
    short = short_names(names)
    assert list(short) == names
    assert len(set(short.values())) == len(names)
    assert all(value and value in name for name, value in short.items())


def test_a_twin_short_names_could_be_equal() -> None:
    with pytest.raises(AssertionError):
        test_short_names_are_parts_of_the_names_and_differ.hypothesis.inner_test(["a", "a"])
