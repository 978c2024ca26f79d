"""`w2sprobe.probing.sweep` of 17 layers x ten k x ten penalties: what holding it together costs."""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from w2sprobe.bench.lines import Line, Peak, Size, problem, timed
from w2sprobe.bench.speed import KS, L2S
from w2sprobe.cache import ActivationStore, ActivationWriter
from w2sprobe.labels import LabelTable
from w2sprobe.probes import knn_cross_fit, logistic_cross_fit_path
from w2sprobe.probing.rows import ProbedRows
from w2sprobe.probing.spec import VoteSpec
from w2sprobe.probing.sweep import sweep as sweep_store

LAYERS = 17


def sweep(size: Size) -> Iterator[Line]:
    """One layer in memory, one search a fold and one solve of folds and penalties a layer."""
    ks = tuple(k for k in KS if k <= size.rows // 4)
    with tempfile.TemporaryDirectory(prefix="w2sprobe-bench-") as folder:
        store, soft = _store(Path(folder) / "store", size)
        reading, searching, solving = _parts(store, soft, ks[-1])
        labels = LabelTable(store.ids, soft)
        truth = LabelTable(store.ids, labels.hard_label)
        work = partial(
            sweep_store,
            store,
            VoteSpec(probes={"knn": ks, "logistic": L2S}),
            ProbedRows("rows", store.ids, {}, truth),
            labels,
            Path(folder) / "sweep",
        )
        with Peak() as peak:
            _, whole = timed(work)
    parts = LAYERS * (reading + searching + solving)
    name = f"sweep, {LAYERS} layers x {len(ks)} k x {len(L2S)} penalties"
    said = f"a layer: read {reading:.2f}, search {searching:.2f}, solve {solving:.2f} s"
    yield Line(f"{name} | sum of its parts", whole, parts, 1.2, said)
    layer_mb = size.rows * size.width * 4 / 1e6
    yield Line(f"{name}: peak memory | one layer", peak.megabytes, layer_mb, 3.0, unit="MB")


def _parts(store: ActivationStore, soft: np.ndarray, k: int) -> list[float]:
    """Seconds of reading, searching and solving one layer, each alone."""
    X, reading = timed(lambda: store.read(0), 2)
    logistic_cross_fit_path(X, soft, l2s=L2S)  # threads, compiled code, work space
    _, searching = timed(lambda: knn_cross_fit(X, soft, ks=[k]), 2)
    _, solving = timed(lambda: logistic_cross_fit_path(X, soft, l2s=L2S), 2)
    return [reading, searching, solving]


def _store(folder: Path, size: Size) -> tuple[ActivationStore, np.ndarray]:
    writer = ActivationWriter.create(
        folder,
        identity={},
        ids=[str(row) for row in range(size.rows)],
        layers=range(LAYERS),
        hidden_size=size.width,
        dtype="bfloat16",
    )
    X, soft = problem(size.rows, size.width)
    for index, rows in writer.missing():
        bits = (X[rows].view(np.uint32) >> 16).astype(np.uint16)
        # the same values in other columns: other layers, no other difficulty
        writer.write_shard(index, {layer: np.roll(bits, layer, axis=1) for layer in range(LAYERS)})
    return writer.finish({}), soft
