from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cache.cases import IDENTITY, IDS, LAYERS, ROWS, complete, values, write, writer
from w2sprobe.cache import ActivationStore, store_size_bytes
from w2sprobe.errors import IdMismatch, InputError, StoreDamaged
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
    assert manifest["report"] == {"note": 1}


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


def test_every_flipped_byte_of_the_data_is_found(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    random = np.random.default_rng(0)
    for path in (tmp_path / "s").rglob("*.*"):
        sound = path.read_bytes()
        for at in random.integers(0, len(sound), 20):
            broken = bytearray(sound)
            broken[at] ^= 1 << int(random.integers(8))
            path.write_bytes(broken)
            assert _reported(tmp_path / "s") or _unchanged(tmp_path / "s"), f"{path.name} {at}"
            path.write_bytes(sound)
    assert not _reported(tmp_path / "s")
    assert _unchanged(tmp_path / "s")


def _reported(folder: Path) -> bool:
    try:
        return bool(ActivationStore.open(folder).verify())
    except (StoreDamaged, InputError):
        return True


def _unchanged(folder: Path) -> bool:
    """Damage in bytes of HDF5's own that nothing reads may pass; wrong numbers may not."""
    store = ActivationStore.open(folder)
    return all(np.array_equal(store.read(layer), values("float32")[layer]) for layer in LAYERS)


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


def test_an_unfinished_store_is_not_opened(tmp_path: Path) -> None:
    write(writer(tmp_path / "s"), values("float32"), shards=1)
    with pytest.raises(InputError, match="2 of 3 shards missing"):
        ActivationStore.open(tmp_path / "s")


def test_another_format_version_is_refused(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    path = tmp_path / "s/manifest.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    for door in (lambda: ActivationStore.open(tmp_path / "s"), lambda: writer(tmp_path / "s")):
        with pytest.raises(InputError, match="format version 2"):
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
