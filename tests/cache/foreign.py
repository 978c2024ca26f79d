"""Stores to export, and their exported layers as other tools read them."""

from pathlib import Path

import datasets
import numpy as np
import pandas as pd

from tests.cache.cases import IDENTITY, LAYERS, WIDTH, complete, writer
from w2sprobe.cache import ActivationStore

KINDS = ("float32", "float16", "bfloat16", "ragged", "chats")
LENGTHS = [2, 0, 5, 1, 1, 3, 0, 0, 4, 2]  # tokens of a ragged store's rows


def store_of(kind: str, path: Path) -> ActivationStore:
    """A store with a value of each dtype, or with one vector per token."""
    if kind not in ("ragged", "chats"):
        return complete(path, kind)
    identity = {**IDENTITY, **({"chat_template": "abc"} if kind == "chats" else {})}
    random = np.random.default_rng(3)
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)])
    data = {layer: random.normal(size=(offsets[-1], WIDTH)).astype("f4") for layer in LAYERS}
    data[LAYERS[0]][0, :3] = -0.0, 1e-40, 1e38  # bits that a cast or a sum would change
    roles = random.integers(0, 4, offsets[-1]).astype(np.int8) if kind == "chats" else None
    store = writer(path, ragged=True, identity=identity)
    for index, rows in store.missing():
        part = slice(offsets[rows.start], offsets[rows.stop])
        states = {layer: vectors[part] for layer, vectors in data.items()}
        local = offsets[rows.start : rows.stop + 1] - part.start
        store.write_shard(index, states, local, None if roles is None else roles[part])
    return store.finish({})


def by_datasets(name: str | Path, layer: int, cache: Path) -> datasets.Dataset:
    """A layer as `datasets` reads it, of a folder with a card."""
    loaded = datasets.load_dataset(
        str(name), f"layer_{layer}", split="train", cache_dir=str(cache / "datasets")
    )
    assert isinstance(loaded, datasets.Dataset)
    return loaded


def by_pandas(folder: Path, layer: int) -> pd.DataFrame:
    return pd.read_parquet(folder / f"layer_{layer}")


def assert_same(table: datasets.Dataset | pd.DataFrame, store: ActivationStore, layer: int) -> None:
    """Ids, vectors and roles of a table are those of the store, bit for bit."""
    columns = {
        name: list(table[name]) for name in ("id", "vector", "vectors", "roles") if has(table, name)
    }
    assert [str(name) for name in columns["id"]] == store.ids.tolist()
    expected = store.read(layer)
    if store.ragged:
        assert list(map(len, columns["vectors"])) == np.diff(store.offsets).tolist()
        found = np.array([vector for row in columns["vectors"] for vector in row])
        if store.roles is not None:
            assert [role for row in columns["roles"] for role in row] == store.roles.tolist()
    else:
        found = np.array(columns["vector"])
    assert ("roles" in columns) == (store.roles is not None)
    found = np.stack([np.asarray(vector) for vector in found]).astype(np.float32)
    np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))


def has(table: datasets.Dataset | pd.DataFrame, name: str) -> bool:
    names = table.column_names if isinstance(table, datasets.Dataset) else table.columns
    return name in names
