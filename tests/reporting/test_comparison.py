import re
from collections.abc import Sequence

import pytest
from rich.console import Console

from w2sprobe.comparison import Score, compare
from w2sprobe.reporting.comparison import comparison_tables

OTHERS = [f"a_method_of_number_{i}" for i in range(14)]


def scores(methods: Sequence[str]) -> list[Score]:
    ends = {"weak_auc": 0.7, "ceiling_auc": 0.9, "gap_se": 0.01}
    return [
        Score(task=f"task{task}", method=name, auc=0.75 + 0.001 * task + 0.002 * i, **ends)
        for task in range(3)
        for i, name in enumerate(methods)
    ]


def printed(methods: Sequence[str], width: int) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        for table in comparison_tables(compare(scores(methods), against="student", units=["auc"])):
            console.print(table)
    return capture.get()


@pytest.mark.parametrize(("n_others", "n_tables"), [(1, 1), (6, 1), (7, 2), (14, 3)])
def test_methods_are_spread_over_as_many_tables_as_they_need(n_others: int, n_tables: int) -> None:
    text = printed(["student", *OTHERS[:n_others]], width=200)
    assert text.count("AUC a task") == n_tables
    assert text.count("AUC a task, continued") == n_tables - 1
    assert text.count("ceiling") == 1
    rows = [line.split() for line in text.splitlines() if line.strip().startswith("task1")]
    assert [row[:2] for row in rows[1:]] == [["task1", "0.751"]] * (n_tables - 1)  # the baseline
    values = [*rows[0][7:], *(value for row in rows[1:] for value in row[2:])]
    assert values == [f"{0.753 + 0.002 * i:.3f}" for i in range(n_others)]


def test_numbers_stay_whole_on_a_narrow_terminal() -> None:
    text = printed(["student", *OTHERS], width=120)
    values = re.findall(r"(?<![\d.])0\.7\d\d(?!\d)", text.split("difference to")[0])
    # three tables of three tasks: each has the weak AUC once, the baseline thrice, others once
    assert len(values) == 3 * (1 + 3 + len(OTHERS))
