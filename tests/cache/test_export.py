"""Exports, read by pandas, `datasets` and numpy, are the store's values bit for bit."""

import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.cache.cases import IDS, LAYERS, complete, values, write, writer
from tests.cache.foreign import KINDS, assert_same, by_datasets, by_pandas, store_of
from w2sprobe.cache import ActivationStore, export_store, push_store, streaming
from w2sprobe.errors import InputError, OutputError, StoreDamaged, UnknownName


@pytest.mark.parametrize("part_bytes", [1, 100, 1 << 25], ids="part of {} bytes".format)
@pytest.mark.parametrize("kind", KINDS)
def test_parquet_is_the_store(
    kind: str, part_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "PART_BYTES", part_bytes)
    store = store_of(kind, tmp_path / "s")
    done = export_store(tmp_path / "s", tmp_path / "out")
    assert (done.layers, done.n_rows, done.largest_change) == (LAYERS, len(IDS), 0)
    assert done.dtype == ("float16" if kind == "float16" else "float32")
    for layer in LAYERS:
        assert_same(by_pandas(tmp_path / "out", layer), store, layer)
        assert_same(by_datasets(tmp_path / "out", layer, tmp_path), store, layer)
    groups = pq.ParquetFile(tmp_path / "out/layer_0/00000.parquet").num_row_groups
    assert groups == {1: 4, 1 << 25: 1}.get(part_bytes, groups), "4 rows in a shard"


def test_another_value_is_noticed(tmp_path: Path) -> None:
    """`assert_same` can fail."""
    complete(tmp_path / "s")
    export_store(tmp_path / "s", tmp_path / "out")
    with pytest.raises(AssertionError):
        assert_same(by_pandas(tmp_path / "out", 0), ActivationStore.open(tmp_path / "s"), 3)


@pytest.mark.parametrize("kind", KINDS)
def test_numpy_files_are_the_store(kind: str, tmp_path: Path) -> None:
    store = store_of(kind, tmp_path / "s")
    export_store(tmp_path / "s", tmp_path / "out", format="npy")
    load = {path.stem: np.load(path, mmap_mode="r") for path in (tmp_path / "out").glob("*.npy")}
    assert load["ids"].tolist() == store.ids.tolist()
    for layer in LAYERS:
        assert load[f"layer_{layer}"].dtype == ("float16" if kind == "float16" else "float32")
        found = load[f"layer_{layer}"].astype(np.float32)
        np.testing.assert_array_equal(found.view("u4"), store.read(layer).view("u4"))
    assert ("offsets" in load, "roles" in load) == (store.ragged, store.roles is not None)
    if store.ragged:
        np.testing.assert_array_equal(load["offsets"], store.offsets)
    if store.roles is not None:
        np.testing.assert_array_equal(load["roles"], store.roles)


@pytest.mark.parametrize("file_format", ["parquet", "npy"])
def test_narrowing_is_numpy_s_and_is_stated(file_format: str, tmp_path: Path) -> None:
    store = complete(tmp_path / "s")
    done = export_store(tmp_path / "s", tmp_path / "out", [3], format=file_format, dtype="float16")
    exact, found = store.read(3).astype(np.float64), store.read(3).astype(np.float16)
    change = np.linalg.norm(found - exact, axis=1) / np.linalg.norm(exact, axis=1)
    assert done.largest_change == pytest.approx(change.max(), rel=1e-12)
    assert f"at most {change.max():.1e} of its norm" in (tmp_path / "out/README.md").read_text()
    read = (
        np.load(tmp_path / "out/layer_3.npy")
        if file_format == "npy"
        else np.stack(by_pandas(tmp_path / "out", 3)["vector"].tolist())
    )
    assert read.dtype == np.float16
    np.testing.assert_array_equal(read.view(np.uint16), found.view(np.uint16))


def test_what_float16_cannot_hold_is_refused(tmp_path: Path) -> None:
    data = values("float32")
    data[3][7, 2], data[3][8, 0] = 65_520, -1e5
    store = writer(tmp_path / "s")
    write(store, data)
    store.finish({})
    message = rf"beyond float16 for ids '{IDS[7]}' in layer 3 .*65,504.* Export as float32"
    with pytest.raises(InputError, match=message):
        export_store(tmp_path / "s", tmp_path / "out", dtype="float16")
    assert not (tmp_path / "out").exists()
    data[3][7, 2], data[3][8, 0] = 65_519, -65_504
    near = writer(tmp_path / "near")
    write(near, data)
    near.finish({})
    export_store(tmp_path / "near", tmp_path / "out", dtype="float16")


def test_labels_and_texts_are_beside_the_vectors(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    columns = {"label": [row % 2 for row in range(10)], "text": [f"text | {i}" for i in range(10)]}
    export_store(tmp_path / "s", tmp_path / "out", columns=columns)
    for table in (by_pandas(tmp_path / "out", 3), by_datasets(tmp_path / "out", 3, tmp_path)):
        assert {name: list(table[name]) for name in columns} == columns
    export_store(tmp_path / "s", tmp_path / "npy", format="npy", columns=columns)
    rows = pq.read_table(tmp_path / "npy/rows.parquet")
    assert rows.to_pydict() == {"id": IDS, **columns}
    for wrong, message in (
        ({"label": [1]}, "column 'label' of 1 rows. Allowed: 10"),
        ({"vector": [1] * 10}, "a column 'vector'"),
    ):
        with pytest.raises(InputError, match=message):
            export_store(tmp_path / "s", tmp_path / "bad", columns=wrong)


def test_nothing_is_written_where_something_is_wrong(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    with pytest.raises(UnknownName, match="unknown format 'npz'"):
        export_store(tmp_path / "s", tmp_path / "out", format="npz")
    with pytest.raises(UnknownName, match="unknown dtype 'bfloat16'"):
        export_store(tmp_path / "s", tmp_path / "out", dtype="bfloat16")
    with pytest.raises(InputError, match="no layer 1"):
        export_store(tmp_path / "s", tmp_path / "out", [1])
    with pytest.raises(OutputError, match="exists already"):
        export_store(tmp_path / "s", tmp_path / "s")
    shard = tmp_path / "s/shards/00001.h5"
    data = bytearray(shard.read_bytes())
    data[-5] ^= 1
    shard.write_bytes(data)
    with pytest.raises(StoreDamaged, match="shard 1"):
        export_store(tmp_path / "s", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s"]


def test_a_store_behind_a_url_is_exported(tmp_path: Path, bucket: str) -> None:
    store = complete(tmp_path / "s", "bfloat16")
    push_store(tmp_path / "s", bucket)
    export_store(bucket, tmp_path / "out", [3])
    assert_same(by_pandas(tmp_path / "out", 3), store, 3)


def test_what_the_model_wrote_is_exported_too(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    (tmp_path / "s/generated.parquet").write_bytes(b"texts")
    export_store(tmp_path / "s", tmp_path / "out")
    assert (tmp_path / "out/generated.parquet").read_bytes() == b"texts"
    assert "`generated.parquet` has the texts" in (tmp_path / "out/README.md").read_text()


def test_memory_does_not_grow_with_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "PART_BYTES", 1 << 12)

    def peak(n_shards: int) -> int:
        ids, width = [f"r{row}" for row in range(256 * n_shards)], 64
        store = writer(
            tmp_path / f"s{n_shards}", ids=ids, hidden_size=width, rows_per_shard=256, layers=(0,)
        )
        part = np.ones((256, width), dtype=np.float32)
        for index, _ in store.missing():
            store.write_shard(index, {0: part})
        store.finish({})
        tracemalloc.start()
        try:
            export_store(tmp_path / f"s{n_shards}", tmp_path / f"out{n_shards}", format="npy")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = peak(2), peak(32)
    layer = 32 * 256 * 64 * 4
    assert large - small < layer / 4, "the layer of the larger store has 2 MB"
