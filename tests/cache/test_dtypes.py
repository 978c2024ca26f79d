from pathlib import Path

import numpy as np
import pytest

from tests.cache.cases import (
    LAYERS,
    ROWS,
    complete,
)
from w2sprobe.cache.dtypes import non_finite, store_size_bytes, stored_type, to_float32
from w2sprobe.errors import UnknownName

EVERY_PATTERN = np.arange(1 << 16, dtype=np.uint16)


def widened(stored: np.ndarray, dtype: str) -> np.ndarray:
    out = np.empty(stored.shape, dtype=np.float32)
    to_float32(stored, dtype, out)
    return out


def test_every_bfloat16_is_the_upper_half_of_its_float32() -> None:
    wide = widened(EVERY_PATTERN, "bfloat16")
    np.testing.assert_array_equal(wide.view(np.uint32), EVERY_PATTERN.astype(np.uint32) << 16)
    np.testing.assert_array_equal(non_finite(EVERY_PATTERN, "bfloat16"), ~np.isfinite(wide))


def test_every_float16_is_widened_exactly() -> None:
    halves = EVERY_PATTERN.view(np.float16)
    wide = widened(halves, "float16")
    finite = np.isfinite(halves)
    assert (wide[finite].astype(np.float16).view(np.uint16) == EVERY_PATTERN[finite]).all()
    np.testing.assert_array_equal(non_finite(halves, "float16"), ~np.isfinite(wide))


def test_unknown_dtype() -> None:
    with pytest.raises(UnknownName, match="float64"):
        stored_type("float64")


def test_size_estimate() -> None:
    assert store_size_bytes(10, 2, 6, "float32") == 480
    assert store_size_bytes(10, 2, 6, "bfloat16") == 240


def test_size_estimate_is_what_the_layers_of_a_store_take(tmp_path: Path) -> None:
    store = complete(tmp_path / "s")
    assert store_size_bytes(ROWS, 2, 6, "float32") == sum(
        store.read(layer).nbytes for layer in LAYERS
    )
