from pathlib import Path

import fsspec
import numpy as np
import pytest

from tests.cache.cases import IDS, complete, contents, values, write, writer
from w2sprobe.cache import ActivationStore, copy_store, push_store
from w2sprobe.errors import InputError, OutputError, StoreDamaged, StoreMismatch


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> str:
    memory = fsspec.filesystem("memory")
    monkeypatch.setattr(memory, "store", {})
    return "memory://bucket/store"


def test_a_copied_store_is_the_same(bucket: str, tmp_path: Path) -> None:
    complete(tmp_path / "s", "bfloat16")
    sent = push_store(tmp_path / "s", bucket)
    assert sent[-1] == "manifest.json"
    back = copy_store(bucket, tmp_path / "back")
    assert back.verify() == []
    one, other = contents(tmp_path / "s"), contents(tmp_path / "back")
    assert all(one[name] == other[name] for name in one if name != "manifest.json")


def test_single_layers_are_copied(bucket: str, tmp_path: Path) -> None:
    complete(tmp_path / "s")
    push_store(tmp_path / "s", bucket, [3])
    assert ActivationStore.open(bucket).layers == (3,)
    with pytest.raises(InputError, match="no layer 0"):
        copy_store(bucket, tmp_path / "none", [0])
    copy_store(bucket, tmp_path / "back", [3])
    grown = copy_store(tmp_path / "s", tmp_path / "back")
    assert grown.layers == (0, 3)
    np.testing.assert_array_equal(grown.read(0), values("float32")[0])


def test_nothing_is_overwritten_and_no_damage_is_copied(bucket: str, tmp_path: Path) -> None:
    complete(tmp_path / "s")
    push_store(tmp_path / "s", bucket)
    other = writer(tmp_path / "other", identity={"model": "another"})
    write(other, values("float32"))
    other.finish({})
    with pytest.raises(OutputError, match=r"another store is there: .* in .*memory:.*bucket"):
        push_store(tmp_path / "other", bucket)
    with pytest.raises(OutputError, match=r"layers \[0\] would be lost"):
        push_store(tmp_path / "s", bucket, [3])
    with pytest.raises(StoreMismatch):
        copy_store(tmp_path / "other", tmp_path / "s")
    shard = tmp_path / "s/shards/00001.h5"
    data = bytearray(shard.read_bytes())
    data[-5] ^= 1
    shard.write_bytes(data)
    with pytest.raises(StoreDamaged, match="shard 1"):
        push_store(tmp_path / "s", "memory://elsewhere")
    assert not fsspec.filesystem("memory").exists("/elsewhere")
    assert ActivationStore.open(bucket).ids.tolist() == IDS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows_per_shard": 3}, "rows per shard: the target has 3, the source 4"),
        ({"compression": "bitshuffle-zstd"}, "the target has bitshuffle-zstd, the source none"),
        ({"ids": [f"other-{row}" for row in IDS]}, "another store is there"),
    ],
)
def test_shards_that_the_old_manifest_cannot_read_are_not_sent(
    changes: dict, message: str, tmp_path: Path
) -> None:
    complete(tmp_path / "s")
    old = writer(tmp_path / "target", **changes)
    write(old, values("float32"))
    old.finish({})
    before = contents(tmp_path / "target")
    with pytest.raises(OutputError, match=message):
        push_store(tmp_path / "s", tmp_path / "target")
    assert contents(tmp_path / "target") == before


def test_more_layers_are_sent_to_the_same_target(bucket: str, tmp_path: Path) -> None:
    complete(tmp_path / "s")
    push_store(tmp_path / "s", bucket, [3])
    push_store(tmp_path / "s", bucket)
    sent = ActivationStore.open(bucket)
    assert (sent.layers, sent.verify()) == ((0, 3), [])


def test_a_lost_shard_is_copied_with_every_layer_of_the_target(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    copy_store(tmp_path / "s", tmp_path / "copy")
    copy_store(tmp_path / "s", tmp_path / "one layer", [3])
    (tmp_path / "copy/shards/00001.h5").unlink()
    with pytest.raises(InputError, match=r"shard 1 of the target is lost .* no layer 0"):
        copy_store(tmp_path / "one layer", tmp_path / "copy")
    assert copy_store(tmp_path / "s", tmp_path / "copy", [3]).verify() == []
