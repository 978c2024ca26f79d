"""Stores of this format version that were written once and must stay readable.

`python -m tests.cache.test_archive` writes them; only for a new format version, into a new folder.
"""

from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.cache.cases import IDENTITY, IDS, LAYERS, complete, contents, values, writer
from w2sprobe.cache import ActivationStore, ActivationWriter

ARCHIVE = Path(__file__).parent / "archive/version-2"
WRITTEN_WITH = "2."  # HDF5; other releases may lay the same content out differently


def ragged_values() -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Offsets and layers of a ragged store: one to four vectors per row."""
    random = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(random.integers(1, 5, len(IDS)))])
    return offsets, {layer: random.normal(size=(offsets[-1], 6)).astype("f4") for layer in LAYERS}


def write_ragged(path: Path) -> ActivationStore:
    offsets, data = ragged_values()
    store: ActivationWriter = writer(path, ragged=True)
    for index, rows in store.missing():
        part = offsets[rows.start : rows.stop + 1]
        states = {layer: vectors[part[0] : part[-1]] for layer, vectors in data.items()}
        store.write_shard(index, states, part - part[0])
    return store.finish({"note": 1})


def write_all(folder: Path) -> None:
    for dtype in ("float32", "float16", "bfloat16"):
        complete(folder / dtype, dtype)
    write_ragged(folder / "ragged")


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_archived_stores_are_read(dtype: str) -> None:
    store = ActivationStore.open(ARCHIVE / dtype)
    assert store.verify() == []
    assert (store.ids.tolist(), store.layers, store.dtype) == (IDS, LAYERS, dtype)
    assert store.manifest["identity"] == IDENTITY
    assert store.manifest["address"] == "aa495ad1b58013bf"
    for layer, expected in values(dtype).items():
        found = store.read(layer)
        if dtype == "bfloat16":
            np.testing.assert_array_equal(found.view(np.uint32) >> 16, expected)
        else:
            np.testing.assert_array_equal(found, expected.astype(np.float32))


def test_an_archived_ragged_store_is_read() -> None:
    offsets, data = ragged_values()
    store = ActivationStore.open(ARCHIVE / "ragged")
    assert store.verify() == []
    np.testing.assert_array_equal(store.offsets, offsets)
    for layer, expected in data.items():
        np.testing.assert_array_equal(store.read(layer), expected)


@pytest.mark.skipif(
    not h5py.version.hdf5_version.startswith(WRITTEN_WITH), reason="another release of HDF5"
)
def test_the_same_values_give_the_archived_bytes(tmp_path: Path) -> None:
    write_all(tmp_path)
    assert contents(tmp_path) == contents(ARCHIVE)


if __name__ == "__main__":
    write_all(ARCHIVE)
