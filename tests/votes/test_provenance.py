import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.curation.cases import SOFT, N, X
from w2sprobe.curation import relabel
from w2sprobe.errors import InputError
from w2sprobe.labels import LabelTable
from w2sprobe.probes import KNNProbe, nearest_neighbors
from w2sprobe.votes.curated import Curated, curate, curate_at_random, curate_by_masks
from w2sprobe.votes.provenance import COLUMNS, Origin, provenance

GIVEN = LabelTable([f"r{row}" for row in range(N)], SOFT)
P = relabel(KNNProbe(9), X, SOFT)
MASKS = curate_by_masks(GIVEN, SOFT > 0.2, SOFT > 0.1)


def test_golden() -> None:
    curated = Curated(
        LabelTable(["a", "b"], [0.25, 1.0]),
        LabelTable(["a", "b"], [0.75, 1.0], [True, False]),
        p=np.array([0.75, 0.4]),
        fold=np.array([1, 0]),
        reason=("relabelled", "removed"),
    )
    origin = Origin("knn", 12, "k", 1)
    assert provenance(curated, origin, neighbors=np.array([[1], [0]])).to_pylist() == [
        {
            "id": "a",
            "soft_label": 0.75,
            "keep": True,
            "old_label": 0.25,
            "p": 0.75,
            "confidence": 0.75,
            "neighbor_ids": ["b"],
            "probe": "knn",
            "layer": 12,
            "setting": "k",
            "value": 1.0,
            "fold": 1,
            "reason": "relabelled",
        },
        {
            "id": "b",
            "soft_label": 1.0,
            "keep": False,
            "old_label": 1.0,
            "p": 0.4,
            "confidence": 0.6,
            "neighbor_ids": ["a"],
            "probe": "knn",
            "layer": 12,
            "setting": "k",
            "value": 1.0,
            "fold": 0,
            "reason": "removed",
        },
    ]


@pytest.mark.parametrize(
    ("curated", "origin"),
    [
        (curate("relabel", GIVEN, P), Origin("knn", 3, "k", 9)),
        (curate("filter", GIVEN, P, rule="deep-knn"), Origin("knn", 3, "k", 9)),
        (MASKS, Origin("topofilter", 3)),
        (curate_at_random(GIVEN, 0.1), Origin("none", 3)),
    ],
)
def test_a_label_table_is_read_back(curated: Curated, origin: Origin, tmp_path) -> None:
    table = provenance(curated, origin)
    assert table.schema == COLUMNS
    pq.write_table(table, tmp_path / "labels.parquet")
    read = LabelTable.read(tmp_path / "labels.parquet")
    for column in ("ids", "soft_label", "keep"):
        np.testing.assert_array_equal(getattr(read, column), getattr(curated.after, column))
    assert pq.read_table(tmp_path / "labels.parquet").equals(table)


def test_unknown_values_are_null() -> None:
    table = provenance(MASKS, Origin("topofilter", 3))
    for column in ("p", "confidence", "neighbor_ids", "setting", "value", "fold"):
        assert table[column].null_count == N
    for column in ("id", "soft_label", "keep", "old_label", "probe", "layer", "reason"):
        assert table[column].null_count == 0


def test_the_prediction_is_the_mean_label_of_the_neighbors() -> None:
    curated = curate("relabel", GIVEN, P)
    _, found = nearest_neighbors(X, k=9, exclude_self=True)
    rows = provenance(curated, Origin("knn", 3, "k", 9), neighbors=found).to_pylist()
    label = {row["id"]: row["old_label"] for row in rows}
    for row in rows:
        assert row["id"] not in row["neighbor_ids"]
        votes = [label[name] for name in row["neighbor_ids"]]
        assert row["p"] == pytest.approx(np.mean(votes))
        assert row["confidence"] == max(row["p"], 1 - row["p"])


@pytest.mark.parametrize(
    ("neighbors", "part"),
    [
        (np.zeros((N - 1, 2), dtype=int), r"neighbors of shape \(119, 2\). Allowed: \(120, k\)"),
        (np.zeros(N, dtype=int), r"neighbors of shape \(120,\)"),
        (np.full((N, 2), N), "neighbors from 120 to 120. Allowed: 0 to 119"),
        (np.full((N, 2), -1), "neighbors from -1 to -1"),
    ],
)
def test_bad_input(neighbors: np.ndarray, part: str) -> None:
    curated = curate("filter", GIVEN, P)
    with pytest.raises(InputError, match=part):
        provenance(curated, Origin("knn", 3, "k", 9), neighbors=neighbors)
