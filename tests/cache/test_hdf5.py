from pathlib import Path

import numpy as np
import pytest

from tests.cache.cases import (
    LAYERS,
    complete,
    values,
    write,
    writer,
)
from w2sprobe.cache import ActivationStore
from w2sprobe.errors import InputError, StoreDamaged


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


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_compression_loses_nothing(dtype: str, tmp_path: Path) -> None:
    store = writer(tmp_path / "s", dtype, compression="bitshuffle-zstd")
    write(store, values(dtype))
    found = store.finish({})
    assert found.verify() == []
    complete(tmp_path / "plain", dtype)
    for layer in LAYERS:
        np.testing.assert_array_equal(
            found.read(layer), ActivationStore.open(tmp_path / "plain").read(layer)
        )
