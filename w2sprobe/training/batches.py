"""Batches of rows for the optimiser steps, and their cut into micro-batches that fit memory."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from w2sprobe.tokens import length_sorted_batches, pad

Example = dict[str, Any]  # id: str, position: int, input_ids: ndarray of int, soft_label: float


class EpochBatches:
    """Batch sampler: shuffles the rows anew in every epoch.

    Parameters
    ----------
    step : callable
        Returns how many batches the run has trained on so far. The order of rows in an epoch
        depends only on the seed and the epoch's number, so a resumed run reads the same batches.

    Notes
    -----
    Batches are drawn at random. Rows of similar length in a batch would save padding, but train
    worse where length correlates with the label: docs/training.md.
    """

    def __init__(self, n_rows: int, batch_size: int, *, seed: int, step: Callable[[], int]) -> None:
        self._n_rows, self._size, self._seed, self._step = n_rows, batch_size, seed, step

    def __len__(self) -> int:
        return -(-self._n_rows // self._size)

    def __iter__(self) -> Iterator[list[int]]:
        epoch = self._step() // len(self)
        rows = np.random.default_rng([self._seed, epoch]).permutation(self._n_rows)
        for start in range(0, self._n_rows, self._size):
            yield rows[start : start + self._size].tolist()


def micro_batches(
    examples: Sequence[Example], pad_id: int, max_tokens: int, *, rank: int = 0, world: int = 1
) -> list[tuple[dict[str, torch.Tensor], bool]]:
    """Cut this process's share of a batch into padded micro-batches of similar length.

    Parameters
    ----------
    examples : sequence of Example
        The whole batch, the same in every process.
    max_tokens : int
        Upper limit of a micro-batch, padding included; a single longer row makes one by itself.
        Rows of very different length go into different ones even where one would hold them.
    rank, world : int
        Index of this process, and number of processes.

    Returns
    -------
    list of (dict of Tensor, bool)
        `input_ids`, `attention_mask`, `soft_label` and `position`, longest rows first; and whether
        the micro-batch counts. Processes compute in step, so all need equally many: a process that
        has fewer repeats its last one, or a row of another process, which does not count.
    """
    order = np.argsort([-len(example["input_ids"]) for example in examples], kind="stable")
    shares = [order[number::world] for number in range(world)]
    cuts = [_cut_by_tokens(examples, share, max_tokens) for share in shares]
    parts = cuts[rank]
    n_fillers = max(map(len, cuts)) - len(parts)
    filler = parts[-1] if parts else order[-1:]
    return [
        *((_collate([examples[row] for row in rows], pad_id), True) for rows in parts),
        *((_collate([examples[row] for row in filler], pad_id), False) for _ in range(n_fillers)),
    ]


def _cut_by_tokens(
    examples: Sequence[Example], rows: np.ndarray, max_tokens: int
) -> list[np.ndarray]:
    lengths = np.array([len(examples[row]["input_ids"]) for row in rows], dtype=np.int64)
    return [rows[part] for part in length_sorted_batches(lengths, max_tokens)]


def _collate(examples: Sequence[Example], pad_id: int) -> dict[str, torch.Tensor]:
    return {
        **pad([example["input_ids"] for example in examples], pad_id),
        "soft_label": torch.tensor([example["soft_label"] for example in examples]).float(),
        "position": torch.tensor([example["position"] for example in examples]),
    }
