from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.sweeps.cases import GROUPS, IDS, SETTINGS, TRAIN, labels, rows
from w2sprobe.sweeps.problem import Problem


def budget_of(n: int, order: np.ndarray, groups: np.ndarray | None) -> set[str]:
    asked = replace(
        rows(), train=IDS[:TRAIN][order], groups=None if groups is None else groups[order]
    )
    problem = Problem.of(labels(), asked, replace(SETTINGS, ks=(1,), n_true_labels=n))
    return set(problem.train[problem.budget].tolist())


@given(st.integers(8, 40), st.permutations(range(TRAIN)), st.booleans())
def test_a_budget_hangs_on_ids_alone_and_splits_no_group(
    n: int, order: list[int], grouped: bool
) -> None:
    groups = GROUPS if grouped else None
    chosen = budget_of(n, np.array(order), groups)
    assert chosen == budget_of(n, np.arange(TRAIN), groups)
    assert len(chosen) == (n - n % 2 if grouped else n)
    if grouped:
        of = dict(zip(IDS.tolist(), GROUPS.tolist(), strict=False))
        inside = {of[name] for name in chosen}
        assert chosen == {name for name, group in of.items() if group in inside}


def test_larger_budgets_hold_smaller_ones() -> None:
    order = np.arange(TRAIN)
    assert budget_of(10, order, None) < budget_of(20, order, None)
