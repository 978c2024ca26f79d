from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sweeps.cases import GROUPS, IDS, SETTINGS, TRAIN, labels, rows
from w2sprobe.errors import InputError
from w2sprobe.sweeps.problem import Problem


def budget_of(n: int, order: np.ndarray, groups: np.ndarray | None) -> set[str]:
    asked = replace(
        rows(), train=IDS[:TRAIN][order], groups=None if groups is None else groups[order]
    )
    # one out: small budgets need not have both classes in a fold
    alone = replace(SETTINGS, ks=(1,), l2s=(), leave_one_out=True, n_true_labels=n)
    problem = Problem.of(labels(), asked, alone)
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


def test_a_budget_needs_both_classes_in_a_fold() -> None:
    settings = replace(SETTINGS, ks=(1,), n_true_labels=4, cv=TRAIN)  # a fold a row
    with pytest.raises(InputError, match=r"4 true labels of 50 rows.*in one of the 50 folds"):
        Problem.of(labels(), rows(groups=None), settings)
    alone = replace(settings, l2s=(), leave_one_out=True)
    assert Problem.of(labels(), rows(groups=None), alone).folds is None


def test_groups_lie_in_one_fold_whichever_probe_is_asked() -> None:
    folds = Problem.of(labels(), rows(), SETTINGS).folds
    assert folds is not None
    assert set(folds.tolist()) == set(range(SETTINGS.cv))
    for group in set(GROUPS.tolist()):
        assert len(set(folds[group == GROUPS].tolist())) == 1
