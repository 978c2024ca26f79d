"""Types in which activations are stored, and their way back to float32."""

from typing import Any

import numpy as np

from w2sprobe.errors import UnknownName

# numpy has no bfloat16: a store keeps its bit pattern, which is the upper half of a float32
STORED: dict[str, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),
}
BFLOAT16_EXPONENT = 0x7F80
BFLOAT16_NAN = 0x7FC0


def stored_type(dtype: str) -> np.dtype[Any]:
    """Numpy type of the arrays that hold a dtype, in memory and on disk.

    Raises
    ------
    UnknownName
        Not a dtype of stores.
    """
    if dtype not in STORED:
        raise UnknownName("dtype", dtype, STORED)
    return STORED[dtype]


def store_size_bytes(n_rows: int, n_layers: int, hidden_size: int, dtype: str) -> int:
    """Disk space of a store's activations; ids and HDF5's own tables are not counted.

    Parameters
    ----------
    n_rows, n_layers, hidden_size : int
        Vectors per layer (tokens in a ragged store), layers, and width.
    dtype : {"float32", "float16", "bfloat16"}
        As stored.

    Examples
    --------
    >>> store_size_bytes(10_000, 17, 2048, "bfloat16")
    696320000
    """
    return n_rows * n_layers * hidden_size * stored_type(dtype).itemsize


def non_finite(stored: np.ndarray, dtype: str) -> np.ndarray:
    """Mask of infinities and NaN among stored values."""
    mask: np.ndarray = (
        (stored & BFLOAT16_EXPONENT) == BFLOAT16_EXPONENT  # all exponent bits set: inf or NaN
        if dtype == "bfloat16"
        else ~np.isfinite(stored)
    )
    return mask


def to_float32(stored: np.ndarray, dtype: str, out: np.ndarray) -> None:
    """Widen stored values into `out` (float32); exact for every dtype."""
    if dtype == "bfloat16":
        np.left_shift(stored, 16, out=out.view(np.uint32), dtype=np.uint32)
    else:
        out[...] = stored
