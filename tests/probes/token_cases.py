"""Rows whose label is decided by one token."""

import numpy as np


def planted(
    n: int, length: int, width: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, offsets and labels: one token of each row has a mark, and beside it the label."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(length // 2, length + 1, n)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = generator.standard_normal((offsets[-1], width))
    labels = generator.integers(0, 2, n)
    marked = offsets[:-1] + generator.integers(0, lengths)
    values[marked, 0] += 5
    values[marked, 1] += 5 * (2 * labels - 1)
    return (2 * values + 3).astype(np.float32), offsets, labels
