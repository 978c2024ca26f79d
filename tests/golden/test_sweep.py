"""Sweeps keep the numbers that they had when every sweep fitted its own probes."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.cache.cases import write, writer
from w2sprobe.labels import LabelTable
from w2sprobe.probing.rows import ProbedRows
from w2sprobe.probing.spec import VoteSpec
from w2sprobe.probing.sweep import sweep

HERE = Path(__file__).parent
TRAIN, VAL, LAYERS = 70, 15, (1, 2)
SWEEPS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "folds": (
        {"preprocess": "standardize", "held_out": ("train", "in_sample")},
        {"ceiling": True, "n_true_labels": 20},
    ),
    "alone": ({"held_out": ("leave_one_out", "in_sample")}, {}),
}
SOLVED = "log_loss_weak"  # other machines sum in another order: solutions agree to 1e-6


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_has_the_numbers_that_it_had(name: str, tmp_path: Path) -> None:
    given, (spec, options) = np.load(HERE / "sweep.npz"), SWEEPS[name]
    ids, X = given["ids"], {layer: given[f"layer_{layer}"] for layer in LAYERS}
    new = writer(
        tmp_path / "store", ids=ids.tolist(), layers=LAYERS, hidden_size=X[1].shape[1],
        rows_per_shard=len(ids),
    )  # fmt: skip
    write(new, X)
    rows = ProbedRows(
        "train",
        ids[:TRAIN],
        {"val": ids[TRAIN : TRAIN + VAL], "test": ids[TRAIN + VAL :]},
        LabelTable(ids, given["truth"]),
        given["groups"],
    )
    labels = LabelTable(ids, given["soft"], given["keep"])
    asked = VoteSpec(ks=(1, 5, 20), l2s=(1e-3, 1e-1, 10), **spec)
    done = sweep(new.finish({}), asked, rows, labels, tmp_path / "out", device="cpu", **options)
    expected = pq.read_table(HERE / f"sweep_{name}.parquet")
    assert done.table.drop_columns(SOLVED).equals(expected.drop_columns(SOLVED))
    np.testing.assert_allclose(done.table[SOLVED], expected[SOLVED], rtol=0, atol=1e-6)
