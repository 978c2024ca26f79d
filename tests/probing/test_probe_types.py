"""Probe types: the results of the estimators, from as few searches as possible."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.probes.cases import problem
from w2sprobe.errors import InputError
from w2sprobe.probes import Neighbors, TopoFilter, nearest_neighbors
from w2sprobe.probing.probe_types import PROBE_TYPES, FitInputs
from w2sprobe.probing.spec import VoteSpec
from w2sprobe.votes.table import LEAVE_ONE_OUT

N = 120
X = problem(N, 6, 0)[0]
SOFT = np.random.default_rng(0).random((2, N))
KEEP = np.random.default_rng(1).random((2, N)) > 0.2
GROUPS = np.repeat(np.arange(N // 2), 2)


@pytest.mark.filterwarnings("ignore:TopoFilter's component step")
@pytest.mark.parametrize("graph", ["union", "strong"])
@pytest.mark.parametrize("preprocess", ["none", "standardize"])
@pytest.mark.parametrize("keep", [None, KEEP], ids=["all", "kept"])
def test_topofilter_of_every_k_is_searched_once(
    keep: np.ndarray | None, preprocess: str, graph: str
) -> None:
    sizes: list[int] = []

    def search(points: np.ndarray, **options: Any) -> Neighbors:
        sizes.append(len(points))
        return nearest_neighbors(points, **options)

    spec = VoteSpec(preprocess=preprocess, topofilter={"graph": graph}, held_out=(LEAVE_ONE_OUT,))
    fit = FitInputs(X, X[:0], SOFT, keep, GROUPS, spec, search, "cpu")
    kept, component = PROBE_TYPES["topofilter"].fit(fit, (5, 20, 10))
    assert kept.split == component.split == LEAVE_ONE_OUT
    for vector, soft in enumerate(SOFT):
        rows = np.arange(N) if keep is None else np.flatnonzero(keep[vector])
        for number, k in enumerate((5, 20, 10)):
            alone = TopoFilter(k, k, preprocess=preprocess, graph=graph)
            alone.fit(X[rows], soft[rows], GROUPS[rows])
            np.testing.assert_array_equal(kept.p[vector, number, rows], alone.keep_mask_)
            np.testing.assert_array_equal(component.p[vector, number, rows], alone.component_mask_)
    whole = [N] if keep is None else [int(mask.sum()) for mask in KEEP]
    assert [sizes.count(size) for size in whole] == [1] * len(whole)


@pytest.mark.filterwarnings("ignore:TopoFilter's component step")
def test_a_vector_whose_kept_rows_are_of_one_class_is_left_out() -> None:
    keep = np.stack([np.ones(N, dtype=bool), SOFT[1] < 0.5])
    spec = VoteSpec(held_out=(LEAVE_ONE_OUT,))
    fit = FitInputs(X, X[:0], SOFT, keep, None, spec, nearest_neighbors, "cpu")
    kept, component = PROBE_TYPES["topofilter"].fit(fit, (5,))
    np.testing.assert_array_equal(kept.p[0, 0], TopoFilter(5, 5).fit(X, SOFT[0]).keep_mask_)
    assert np.isnan(kept.p[1]).all()
    assert np.isnan(component.p[1]).all()
    alone = replace(fit, soft=SOFT[1:], keep=keep[1:])
    with pytest.raises(InputError, match="all rows have one hard label"):
        list(PROBE_TYPES["topofilter"].fit(alone, (5,)))
