import math

import pytest

from w2sprobe.comparison import Score, by_method, matrix, task_rows


def student(task: str, auc: float, seed: str = "", ceiling: float = 0.9) -> Score:
    return Score(task, "student", seed, auc=auc, weak_auc=0.6, ceiling_auc=ceiling, gap_se=0.01)


def test_means_over_the_tasks_that_count() -> None:
    tasks = {
        ("w", "s"): task_rows(
            by_method(
                [student("a", 0.7, "0"), student("a", 0.8, "1"), student("b", 0.6),
                 student("small", 0.64, ceiling=0.62)]
            )
        ),
        ("w", "l"): task_rows(by_method([student("small", 0.61, ceiling=0.62)])),
    }  # fmt: skip
    first, second = matrix(tasks, "student").cells
    assert (first.weak_model, first.strong_model) == ("w", "s")
    # PGR of a is .5 (mean of AUCs), of b 0; the small gap counts in AUC alone
    assert (first.n_pgr, first.pgr) == (2, pytest.approx(0.25))
    assert (first.n_delta_auc, first.delta_auc) == (3, pytest.approx((0.15 + 0 + 0.04) / 3))
    assert (second.n_pgr, second.n_delta_auc) == (0, 1)
    assert math.isnan(second.pgr)


def test_a_pair_without_the_method_has_an_empty_cell() -> None:
    (cell,) = matrix({("w", "s"): task_rows(by_method([student("a", 0.7)]))}, "x").cells
    assert (cell.n_pgr, cell.n_delta_auc) == (0, 0)
    assert math.isnan(cell.delta_auc)
