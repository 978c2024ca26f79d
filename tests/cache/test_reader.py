import os
import shutil
from pathlib import Path

import fsspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cache.cases import (
    IDS,
    LAYERS,
    ROWS,
    complete,
    values,
    write,
    writer,
)
from tests.cache.test_archive import write_ragged
from w2sprobe.cache import ActivationStore, store_info
from w2sprobe.errors import IdMismatch, InputError

DTYPES = ["float32", "float16", "bfloat16"]


def widened(dtype: str) -> dict[int, np.ndarray]:
    if dtype == "bfloat16":
        return {
            layer: (part.astype(np.uint32) << 16).view(np.float32)
            for layer, part in values(dtype).items()
        }
    return {layer: part.astype(np.float32) for layer, part in values(dtype).items()}


@pytest.mark.parametrize("dtype", DTYPES)
def test_round_trip_is_lossless(dtype: str, tmp_path: Path) -> None:
    complete(tmp_path / "s", dtype)
    store = ActivationStore.open(tmp_path / "s")
    assert (store.dtype, store.layers, store.hidden_size, len(store)) == (dtype, LAYERS, 6, ROWS)
    assert store.ids.tolist() == IDS
    for layer, expected in widened(dtype).items():
        found = store.read(layer)
        assert found.dtype == np.float32
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, expected)
    assert store.verify() == []


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> ActivationStore:
    """A finished float32 store that tests only read."""
    return complete(tmp_path_factory.mktemp("store") / "s")


@settings(deadline=None, max_examples=25, derandomize=True)
@given(rows=st.lists(st.integers(0, ROWS - 1), max_size=15))
def test_rows_come_in_the_requested_order(rows: list[int], finished: ActivationStore) -> None:
    store = finished
    np.testing.assert_array_equal(store.read(3, rows), values("float32")[3][rows])
    mask = np.isin(np.arange(ROWS), rows)
    np.testing.assert_array_equal(store.read(3, mask), values("float32")[3][mask])


def test_row_numbers_of_ids(tmp_path: Path) -> None:
    store = complete(tmp_path / "s")
    assert store.rows_of([IDS[7], IDS[0]]).tolist() == [7, 0]
    for wrong, part in (([IDS[0], "nobody"], "'nobody'"), ([IDS[0], IDS[0]], "doubled")):
        with pytest.raises(IdMismatch, match=part):
            store.rows_of(wrong)


def test_an_unfinished_store_is_not_opened(tmp_path: Path) -> None:
    write(writer(tmp_path / "s"), values("float32"), shards=1)
    with pytest.raises(InputError, match="2 of 3 shards missing"):
        ActivationStore.open(tmp_path / "s")


def test_finished_shards_of_an_unfinished_store_can_be_read(tmp_path: Path) -> None:
    write(writer(tmp_path / "s"), values("float32"), shards=2)
    store = ActivationStore.open(tmp_path / "s", partial=True)
    assert store.available.tolist() == [True] * 8 + [False] * 2
    assert store.ids.tolist() == [*IDS[:8], "", ""]
    np.testing.assert_array_equal(store.read(3, store.available), values("float32")[3][:8])
    assert store.verify() == []
    for rows in (None, [9]):
        with pytest.raises(InputError, match="not extracted yet"):
            store.read(3, rows)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_other_shards_of_a_ragged_store_can_be_read(tmp_path: Path, lost: int) -> None:
    whole = write_ragged(tmp_path / "s")
    offsets, expected = whole.offsets, whole.read(3)
    (tmp_path / f"s/shards/{lost:05}.h5").unlink()
    store = ActivationStore.open(tmp_path / "s", partial=True)
    for row in range(len(IDS)):
        if store.available[row]:
            np.testing.assert_array_equal(
                store.read(3, [row]), expected[offsets[row] : offsets[row + 1]]
            )
    lengths = np.diff(store.offsets)
    assert lengths.tolist() == np.where(store.available, np.diff(offsets), 0).tolist()
    with pytest.raises(InputError, match="not extracted yet"):
        store.read(3)


def test_lost_shards_are_named(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    shutil.rmtree(tmp_path / "s/shards")
    with pytest.raises(InputError, match=r"3 of 3 shards missing.*Copy all of shards/"):
        ActivationStore.open(tmp_path / "s")
    problems = ActivationStore.open(tmp_path / "s", partial=True).verify()
    assert [problem.split(",")[0] for problem in problems] == [
        "no shard 0",
        "no shard 1",
        "no shard 2",
    ]
    (tmp_path / "s/manifest.json").unlink()
    for path in (tmp_path / "s", tmp_path / "s/activations.h5"):
        with pytest.raises(InputError, match=r"no activation store.*activations.h5 alone holds no"):
            ActivationStore.open(path)


@pytest.mark.parametrize("layer", [True, None, "0", 0.0, np.array([0]), 1, np.int64(1)])
def test_no_such_layer(layer: object, finished: ActivationStore) -> None:
    with pytest.raises(InputError, match=r"no layer .*Allowed: 0, 3"):
        finished.read(layer)


def test_a_store_behind_a_url_is_read_layer_by_layer(tmp_path: Path) -> None:
    complete(tmp_path / "s", "bfloat16")
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "s"), "/remote", recursive=True)
    store = ActivationStore.open("memory://remote")
    np.testing.assert_array_equal(store.read(3), ActivationStore.open(tmp_path / "s").read(3))
    assert store.ids.tolist() == IDS
    assert store.verify() == []


def test_opening_counts_as_use_and_listing_does_not(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    os.utime(tmp_path / "s/manifest.json", (0, 0))
    assert store_info(tmp_path / "s").unused_days > 1000
    ActivationStore.open(tmp_path / "s")
    assert store_info(tmp_path / "s").unused_days < 1


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda store: store.read(1), "no layer 1"),
        (lambda store: store.read(-1), "no layer -1"),
        (lambda store: store.read(0, [10]), "no rows 10"),
        (lambda store: store.read(0, [-1]), "no rows -1"),
        (lambda store: store.read(0, [0.5]), "float64"),
        (lambda store: store.read(0, np.ones(3, dtype=bool)), "mask of shape"),
    ],
)
def test_bad_requests(call, part: str, finished: ActivationStore) -> None:
    with pytest.raises(InputError, match=part):
        call(finished)
