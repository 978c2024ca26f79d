import errno
import os
import shutil
from pathlib import Path

import fsspec
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cache.cases import (
    IDENTITY,
    IDS,
    LAYERS,
    ROWS,
    complete,
    open_elsewhere,
    values,
    write,
    writer,
)
from w2sprobe.cache import ActivationStore, drop_damage, store_info, store_size_bytes
from w2sprobe.errors import IdMismatch, InputError, StoreDamaged, StoreUnavailable
from w2sprobe.fingerprint import fingerprint

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


def test_the_manifest_holds_what_the_address_was_made_of(tmp_path: Path) -> None:
    manifest = complete(tmp_path / "s").manifest
    assert manifest["identity"] == IDENTITY
    assert manifest["address"] == fingerprint(IDENTITY)
    assert manifest["runs"] == [{"layers": [0, 3], "note": 1}]


@settings(deadline=None, max_examples=25, derandomize=True)
@given(rows=st.lists(st.integers(0, ROWS - 1), max_size=15))
def test_rows_come_in_the_order_asked_for(
    rows: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = complete(tmp_path_factory.mktemp("store") / "s")
    np.testing.assert_array_equal(store.read(3, rows), values("float32")[3][rows])
    mask = np.isin(np.arange(ROWS), rows)
    np.testing.assert_array_equal(store.read(3, mask), values("float32")[3][mask])


def test_ids_to_positions(tmp_path: Path) -> None:
    store = complete(tmp_path / "s")
    assert store.rows_of([IDS[7], IDS[0]]).tolist() == [7, 0]
    for wrong, part in (([IDS[0], "nobody"], "'nobody'"), ([IDS[0], IDS[0]], "doubled")):
        with pytest.raises(IdMismatch, match=part):
            store.rows_of(wrong)


def test_plain_h5py_reads_a_shard(tmp_path: Path) -> None:
    complete(tmp_path / "s", "bfloat16")
    with h5py.File(tmp_path / "s/shards/00001.h5") as file:
        assert [name.decode() for name in file["ids"][()]] == IDS[4:8]
        layer = file["layers/3"]
        assert layer.chunks is None
        assert layer.attrs["encoding"] == b"bfloat16"
        np.testing.assert_array_equal(layer[()], values("bfloat16")[3][4:8])


def test_every_flipped_bit_of_any_file_is_found(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    random = np.random.default_rng(0)
    files = [path for path in (tmp_path / "s").rglob("*") if path.is_file()]
    assert len(files) == 5  # manifest, activations.h5 and three shards
    for path in files:
        sound = path.read_bytes()
        for at in random.integers(0, len(sound), 50):
            broken = bytearray(sound)
            broken[at] ^= 1 << int(random.integers(8))
            path.write_bytes(broken)
            assert _reported(tmp_path / "s"), f"{path.name} {at}"
            path.write_bytes(sound)
    assert not _reported(tmp_path / "s")


def _reported(folder: Path) -> bool:
    try:
        return bool(ActivationStore.open(folder).verify())
    except (StoreDamaged, InputError):
        return True


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


def test_an_unfinished_store_is_not_opened(tmp_path: Path) -> None:
    write(writer(tmp_path / "s"), values("float32"), shards=1)
    with pytest.raises(InputError, match="2 of 3 shards missing"):
        ActivationStore.open(tmp_path / "s")


def test_finished_shards_can_be_read_meanwhile(tmp_path: Path) -> None:
    write(writer(tmp_path / "s"), values("float32"), shards=2)
    store = ActivationStore.open(tmp_path / "s", partial=True)
    assert store.available.tolist() == [True] * 8 + [False] * 2
    assert store.ids.tolist() == [*IDS[:8], "", ""]
    np.testing.assert_array_equal(store.read(3, store.available), values("float32")[3][:8])
    assert store.verify() == []
    for rows in (None, [9]):
        with pytest.raises(InputError, match="not extracted yet"):
            store.read(3, rows)


@pytest.mark.parametrize("dtype", DTYPES)
def test_plain_h5py_reads_all_shards_as_one(dtype: str, tmp_path: Path) -> None:
    complete(tmp_path / "s", dtype)
    (tmp_path / "s").rename(tmp_path / "moved")
    with h5py.File(tmp_path / "moved/activations.h5") as file:
        assert [name.decode() for name in file["ids"][()]] == IDS
        for layer, part in values(dtype).items():
            np.testing.assert_array_equal(file[f"layers/{layer}"][()], part)


@pytest.mark.parametrize("dtype", DTYPES)
def test_plain_h5py_shows_rows_whose_shards_are_absent_as_nan(dtype: str, tmp_path: Path) -> None:
    complete(tmp_path / "s", dtype)
    (tmp_path / "alone").mkdir()
    shutil.copy(tmp_path / "s/activations.h5", tmp_path / "alone")
    with h5py.File(tmp_path / "alone/activations.h5") as file:
        bits = file["layers/3"][()]
    assert bits.shape == (ROWS, 6)
    if dtype == "bfloat16":
        assert (bits == 0x7FC0).all()
        bits = (bits.astype(np.uint32) << 16).view(np.float32)
    assert np.isnan(bits).all()


def test_shards_that_are_lost_are_named(tmp_path: Path) -> None:
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


def test_a_file_open_for_writing_elsewhere_is_not_called_damaged(tmp_path: Path) -> None:
    store = complete(tmp_path / "s")
    with open_elsewhere(tmp_path / "s/shards/00001.h5"):
        with pytest.raises(StoreUnavailable, match="open for writing by another process") as caught:
            store.read(0)
        assert "00001.h5" in str(caught.value)
        (problem,) = store.verify()
        for said in (str(caught.value), problem):
            assert "damage" not in said
            assert "repair" not in said
        np.testing.assert_array_equal(store.read(0, [0, 9]), values("float32")[0][[0, 9]])
    with open_elsewhere(tmp_path / "s/activations.h5"):
        (problem,) = store.verify()
        assert "open for writing by another process" in problem
        assert "activations.h5" in problem


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied"),
        OSError(errno.EIO, "Input/output error"),
        OSError(errno.EMFILE, "Too many open files"),
        BlockingIOError(errno.EAGAIN, "unable to lock file"),
    ],
)
def test_what_the_system_refuses_is_not_called_damaged(
    error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = complete(tmp_path / "s")

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("h5py.File", refuse)
    with pytest.raises(StoreUnavailable) as caught:
        store.read(0)
    assert "repair" not in str(caught.value)
    assert all("damage" not in problem for problem in store.verify())
    with pytest.raises(StoreUnavailable):
        drop_damage(tmp_path / "s")
    with pytest.raises(StoreUnavailable):  # or its layers would be written anew
        writer(tmp_path / "s", layers=(0, 3, 5)).missing()
    assert len(list((tmp_path / "s/shards").iterdir())) == 3


@pytest.mark.parametrize("layer", [True, None, "0", 0.0, np.array([0]), 1, np.int64(1)])
def test_no_such_layer(layer: object, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no layer .*Allowed: 0, 3"):
        complete(tmp_path / "s").read(layer)


def test_a_store_behind_a_url_is_read_layer_by_layer(tmp_path: Path) -> None:
    complete(tmp_path / "s", "bfloat16")
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "s"), "/remote", recursive=True)
    store = ActivationStore.open("memory://remote")
    np.testing.assert_array_equal(store.read(3), ActivationStore.open(tmp_path / "s").read(3))
    assert store.ids.tolist() == IDS
    assert store.verify() == []


def test_opening_counts_as_use_and_looking_does_not(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    os.utime(tmp_path / "s/manifest.json", (0, 0))
    assert store_info(tmp_path / "s").unused_days > 1000
    ActivationStore.open(tmp_path / "s")
    assert store_info(tmp_path / "s").unused_days < 1


def test_another_format_version_is_refused(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    path = tmp_path / "s/manifest.json"
    path.write_text(path.read_text().replace('"version": 2', '"version": 1'))
    for door in (lambda: ActivationStore.open(tmp_path / "s"), lambda: writer(tmp_path / "s")):
        with pytest.raises(InputError, match="format version 1"):
            door()


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
def test_bad_requests(call, part: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=part):
        call(complete(tmp_path / "s"))


def test_size_estimate(tmp_path: Path) -> None:
    store = complete(tmp_path / "s")
    assert store_size_bytes(ROWS, 2, 6, "float32") == sum(
        store.read(layer).nbytes for layer in LAYERS
    )
