"""What the probes' public doors check."""

import numpy as np
from numpy.typing import ArrayLike

from w2sprobe.errors import InputError, first_few


def check_activations(X: ArrayLike, name: str = "X", width: int | None = None) -> np.ndarray:
    """Return a finite, C-contiguous float32 matrix; InputError names the first bad rows."""
    matrix = np.asarray(X)
    if matrix.ndim != 2 or not matrix.size:
        raise InputError(f"{name} of shape {matrix.shape}", allowed="(rows, width), not empty")
    if width is not None and matrix.shape[1] != width:
        raise InputError(f"{name} of width {matrix.shape[1]}", allowed=f"{width}, as fitted")
    try:
        matrix = np.ascontiguousarray(matrix, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is not numeric: {error}") from error
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if bad.size:
        raise InputError(f"{name} is not finite in rows {first_few(bad.tolist())}")
    return matrix


def check_labels(y: ArrayLike, n: int) -> np.ndarray:
    """Return soft labels as float64 (n,); InputError names the first bad rows."""
    try:
        soft = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"labels are not numeric: {error}") from error
    if soft.shape != (n,):
        raise InputError(f"labels of shape {soft.shape}", allowed=f"({n},), one a row")
    bad = np.flatnonzero(~((soft >= 0) & (soft <= 1)))
    if bad.size:
        raise InputError(
            f"label {float(soft[bad[0]])!r} in row {bad[0]} (and {bad.size - 1} more)",
            allowed="0 to 1",
        )
    return soft


def check_k(k: int, name: str, most: int) -> int:
    """Return a neighbour count within [1, most]."""
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 1 <= k <= most:
        raise InputError(f"{name} is {k!r}", allowed=f"1 to {most}, with so many rows")
    return int(k)
