"""Poolings of padded rows beside numpy on each row."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from w2sprobe.probes.pooling import POOLINGS

REFERENCES: dict[str, Callable[[np.ndarray], float]] = {
    "attention": lambda z: (softmax(z[: len(z) // 2], axis=1) * z[len(z) // 2 :]).sum(),
    "softmax-mean": lambda z: (softmax(z, axis=1) * z).sum(),
    "multimax": lambda z: z.max(axis=1).sum(),
}


@pytest.mark.parametrize("name", POOLINGS)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(0, 99))
def test_padded_rows_are_pooled_as_each_row_alone(name: str, lengths: list[int], seed: int) -> None:
    mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
    scores = np.random.default_rng(seed).normal(scale=3.0, size=(2, 4, *mask.shape))
    logits = POOLINGS[name].function(torch.from_numpy(scores), torch.from_numpy(mask)).numpy()
    assert logits.shape == (2, len(lengths))
    for model in range(2):
        for row, length in enumerate(lengths):
            expected = REFERENCES[name](scores[model, :, row, :length])
            assert logits[model, row] == pytest.approx(expected)
