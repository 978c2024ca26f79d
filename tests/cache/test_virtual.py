import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.cache.cases import (
    IDS,
    ROWS,
    complete,
    values,
)

DTYPES = ["float32", "float16", "bfloat16"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_plain_h5py_reads_all_shards_as_one(dtype: str, tmp_path: Path) -> None:
    complete(tmp_path / "s", dtype)
    (tmp_path / "s").rename(tmp_path / "moved")
    with h5py.File(tmp_path / "moved/activations.h5") as file:
        assert [name.decode() for name in file["ids"][()]] == IDS
        for layer, part in values(dtype).items():
            np.testing.assert_array_equal(file[f"layers/{layer}"][()], part)


@pytest.mark.parametrize("dtype", DTYPES)
def test_plain_h5py_shows_rows_of_absent_shards_as_nan(dtype: str, tmp_path: Path) -> None:
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
