"""Small stores."""

from pathlib import Path

import numpy as np

from w2sprobe.cache import ActivationStore, ActivationWriter

LAYERS, WIDTH, ROWS = (0, 3), 6, 10
IDS = [f"row-{n}-é" for n in range(ROWS)]
IDENTITY = {"model": {"weights": "abc"}, "position": "last"}


def values(dtype: str, seed: int = 0) -> dict[int, np.ndarray]:
    """As a model would hand them over, bfloat16 as bit patterns."""
    random = np.random.default_rng(seed)
    full = {layer: random.normal(size=(ROWS, WIDTH)).astype(np.float32) for layer in LAYERS}
    if dtype == "bfloat16":
        return {k: (v.view(np.uint32) >> 16).astype(np.uint16) for k, v in full.items()}
    return {k: v.astype(dtype) for k, v in full.items()}


def writer(path: Path, dtype: str = "float32", **changes: object) -> ActivationWriter:
    arguments = {
        "identity": IDENTITY,
        "ids": IDS,
        "layers": LAYERS,
        "hidden_size": WIDTH,
        "dtype": dtype,
        "rows_per_shard": 4,
        **changes,
    }
    return ActivationWriter.create(path, **arguments)


def write(store: ActivationWriter, data: dict[int, np.ndarray], shards: int | None = None) -> None:
    for index, rows in store.missing()[:shards]:
        store.write_shard(index, {layer: part[rows] for layer, part in data.items()})


def complete(path: Path, dtype: str = "float32") -> ActivationStore:
    store = writer(path, dtype)
    write(store, values(dtype))
    return store.finish({"note": 1})


def contents(path: Path) -> dict[str, bytes]:
    return {str(f.relative_to(path)): f.read_bytes() for f in path.rglob("*") if f.is_file()}
