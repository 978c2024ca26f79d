from pathlib import Path

import numpy as np
import pytest

from tests.cache.cases import complete
from w2sprobe.errors import IdMismatch, InputError
from w2sprobe.indicators import cka, indicators
from w2sprobe.labels import LabelTable
from w2sprobe.probes import LogisticProbe
from w2sprobe.probing import Grid, store_indicators


def test_a_strong_and_a_weak_store_are_joined_by_id(tmp_path: Path) -> None:
    strong, weak = complete(tmp_path / "strong"), complete(tmp_path / "weak", "float16")
    ids = strong.ids[::-1]
    soft = np.linspace(0.1, 0.9, len(ids))
    low, high = strong.layers[0], weak.layers[-1]
    found = store_indicators(
        strong, low, LabelTable(ids, soft), weak_store=weak, grid=Grid("logistic", cv=2)
    )
    X, Z = strong.read(low)[::-1], weak.read(high)[::-1]
    p = LogisticProbe().cross_fit(X, soft, 2)
    assert found == pytest.approx(indicators(X, soft, p, Z), nan_ok=True)
    assert found["cka"] == pytest.approx(cka(X, Z))
    alone = store_indicators(strong, low, LabelTable(ids, soft), grid=Grid("logistic", cv=2))
    assert set(found) - set(alone) == {"subspace_overlap", "representation_gap", "cka"}


def test_groups_are_left_out_together_where_the_penalty_is_chosen() -> None:
    """Copies of a row have its label: with one of them in the fit, no penalty is too small."""
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(30, 40)), 4, axis=0).astype(np.float32)
    labels = LabelTable(
        [f"r{row}" for row in range(120)], np.repeat(rng.uniform(0.05, 0.95, 30), 4)
    )
    groups = np.repeat([f"g{row}" for row in range(30)], 4)
    grid = Grid("logistic", l2s=())

    class Store:
        """Rows of one layer."""

        layers = (0,)

        def rows_of(self, ids):
            return np.arange(len(ids))

        def read(self, layer, rows):
            return X[rows]

    def expected(together):
        l2 = LogisticProbe("auto").fit(X, labels.soft_label, together).l2_
        p = LogisticProbe(l2).cross_fit(X, labels.soft_label, 5, groups)
        return indicators(X, labels.soft_label, p)

    found = store_indicators(Store(), 0, labels, grid=grid, groups=groups)
    assert found == pytest.approx(expected(groups), nan_ok=True)
    assert found["misfit_squared"] != pytest.approx(expected(None)["misfit_squared"])


def test_what_is_refused(tmp_path: Path) -> None:
    store = complete(tmp_path / "s")
    labels = LabelTable(store.ids, np.linspace(0.1, 0.9, len(store)))
    with pytest.raises(InputError, match="grid of 2 settings"):
        store_indicators(store, store.layers[0], labels, grid=Grid("knn", ks=(1, 2)))
    with pytest.raises(IdMismatch, match="other"):
        store_indicators(store, store.layers[0], LabelTable(["other", "b"], [0.1, 0.9]))
