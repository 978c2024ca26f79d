from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.cache.cases import (
    IDS,
    complete,
    values,
)
from w2sprobe.cache import ActivationStore
from w2sprobe.errors import InputError, StoreDamaged


def test_plain_h5py_reads_a_shard(tmp_path: Path) -> None:
    complete(tmp_path / "s", "bfloat16")
    with h5py.File(tmp_path / "s/shards/00001.h5") as file:
        assert [name.decode() for name in file["ids"][()]] == IDS[4:8]
        layer = file["layers/3"]
        assert layer.chunks is None
        assert layer.attrs["encoding"] == b"bfloat16"
        np.testing.assert_array_equal(layer[()], values("bfloat16")[3][4:8])


def test_damage_names_shard_and_layer(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    path = tmp_path / "s/shards/00002.h5"
    data = bytearray(path.read_bytes())
    at = data.index(values("float32")[3][8:].tobytes())
    data[at] ^= 1
    path.write_bytes(data)
    store = ActivationStore.open(tmp_path / "s")
    with pytest.raises(StoreDamaged, match="shard 2, layer 3"):
        store.read(3)
    np.testing.assert_array_equal(store.read(0), values("float32")[0])
    (problem,) = store.verify()
    assert "shard 2, layer 3" in problem
    path.unlink()
    with pytest.raises(InputError, match="1 of 3 shards missing"):
        ActivationStore.open(tmp_path / "s")


def test_layers_are_not_read_under_damaged_ids(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    path = tmp_path / "s/shards/00001.h5"
    data = bytearray(path.read_bytes())
    data[data.index(IDS[5].encode())] ^= 1
    path.write_bytes(data)
    store = ActivationStore.open(tmp_path / "s")
    with pytest.raises(StoreDamaged, match="ids differ from their checksum in shard 1, layer 0"):
        store.read(0)
    np.testing.assert_array_equal(store.read(0, [0, 9]), values("float32")[0][[0, 9]])
