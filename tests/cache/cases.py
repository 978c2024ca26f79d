"""Small stores, and the ways in which a file cannot be read or written."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from w2sprobe.cache import ActivationStore, ActivationWriter

LAYERS, WIDTH, ROWS = (0, 3), 6, 10
IDS = [f"row-{n}-é" for n in range(ROWS)]
CAPABILITIES = ("dac_override", "dac_read_search", "fowner")
IDENTITY = {"model": {"weights": "abc"}, "position": "last"}


def values(dtype: str, seed: int = 0) -> dict[int, np.ndarray]:
    """Hidden states by layer; bfloat16 as bit patterns."""
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


@contextmanager
def open_elsewhere(path: Path) -> Iterator[None]:
    """Keep a file open for writing in another process."""
    code = (
        "import h5py, sys; f = h5py.File(sys.argv[1], 'r+'); print(flush=True); input(); f.close()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline()
        yield
        process.communicate(b"\n")


@contextmanager
def read_only(folder: Path) -> Iterator[list[str]]:
    """Make a folder read-only; yields the start of a command line that cannot write to it.

    Root may write anywhere, so its commands give up that capability; skips where they cannot.
    """
    prefix = ["setpriv", f"--bounding-set=-{',-'.join(CAPABILITIES)}"] if os.geteuid() == 0 else []
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    try:
        if prefix and not shutil.which("setpriv"):
            pytest.skip("root may write anywhere, and there is no setpriv to give that up")
        if not subprocess.run([*prefix, "test", "-w", str(folder)]).returncode:
            pytest.skip("the rights of a folder do not count here")
        yield [*prefix, sys.executable]
    finally:
        for path in folders:
            path.chmod(0o755)
