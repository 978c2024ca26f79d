"""A small store whose later layers predict the truth better, and weak labels."""

from pathlib import Path
from typing import Any

import numpy as np

from tests.cache.cases import write, writer
from w2sprobe.cache import ActivationStore
from w2sprobe.labels import LabelTable
from w2sprobe.probes import KNNProbe, LogisticProbe, MassMeanProbe
from w2sprobe.probing.probe import ProbeOutput
from w2sprobe.probing.rows import ProbedRows
from w2sprobe.probing.spec import VoteSpec

LAYERS, WIDTH, TRAIN, TEST = (0, 2, 5), 6, 50, 40
ROWS = TRAIN + TEST
RANDOM = np.random.default_rng(0)
IDS = np.array([f"row-{n}" for n in range(ROWS)])
TRUTH = RANDOM.permutation(np.arange(ROWS) % 2)
SOFT = np.clip(0.5 + 0.5 * (TRUTH - 0.5) + 0.3 * RANDOM.normal(size=ROWS), 0.02, 0.97)
X = {
    layer: (RANDOM.normal(size=(ROWS, WIDTH)) + 0.3 * layer * TRUTH[:, None]).astype(np.float32)
    for layer in LAYERS
}
GROUPS = np.arange(TRAIN) // 2 + 7
KS, L2S, CV = (7, 1, 20), (1e-2, 1.0), 4
LAYER = 2
# by name: the estimator that is fitted alone, and the values of its hyperparameter
SINGLE = {
    "knn": (KNNProbe(7), (7,)),
    "logistic": (LogisticProbe(), (1e-2,)),
    "mass-mean": (MassMeanProbe(), ()),
}
LOO, FOLDS, IN_SAMPLE = ("leave_one_out",), ("train",), ("in_sample",)


def spec(**changes: Any) -> VoteSpec:
    """Settings of most tests; empty values leave a probe out."""
    given = {"layers": ",".join(map(str, LAYERS)), "ks": KS, "l2s": L2S, "cv": CV}
    return VoteSpec(**{**given, **changes})


def single(probe: str, *values: float, **changes: Any) -> VoteSpec:
    """One probe on one layer."""
    given = {"layers": str(LAYER), "probes": {probe: values}, "held_out": LOO}
    return VoteSpec(**{**given, **changes})


def column(output: ProbeOutput, ids: np.ndarray, name: str = "soft_label") -> np.ndarray:
    """One column of the output of one layer and setting, for some rows."""
    values = dict(zip(output.table["id"].to_pylist(), output.table[name].to_pylist(), strict=True))
    return np.array([values[row] for row in ids.tolist()])


def store_in(folder: Path) -> ActivationStore:
    new = writer(folder, ids=IDS.tolist(), layers=LAYERS, hidden_size=WIDTH, rows_per_shard=32)
    write(new, X)
    return new.finish({})


def labels(soft: np.ndarray = SOFT, keep: np.ndarray | None = None) -> LabelTable:
    return LabelTable(IDS, soft, keep)


def rows(truth: np.ndarray | None = TRUTH, groups: np.ndarray | None = GROUPS) -> ProbedRows:
    return ProbedRows(
        "strong_train",
        IDS[:TRAIN],
        {"test": IDS[TRAIN:]},
        None if truth is None else LabelTable(IDS, truth),
        groups,
    )
