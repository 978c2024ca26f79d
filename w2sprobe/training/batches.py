"""Which rows make an optimiser step, and how they are cut to fit into memory."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from w2sprobe.tokens import length_sorted_batches, pad

Example = dict[str, Any]  # id: str, position: int, input_ids: ndarray of int, soft_label: float


class EpochBatches:
    """Rows of each step of an epoch: a batch sampler.

    Parameters
    ----------
    n_rows, batch_size : int
    seed : int
    epoch : callable
        Number of the epoch that begins. Its order depends on seed and number alone: a run that is
        taken up again finds the same.

    Notes
    -----
    Batches are drawn at random. Rows of like length in a batch would save padding, but teach less
    where length goes with the label: docs/training.md.
    """

    def __init__(
        self, n_rows: int, batch_size: int, *, seed: int, epoch: Callable[[], int]
    ) -> None:
        self._n_rows, self._size, self._seed, self._epoch = n_rows, batch_size, seed, epoch

    def __len__(self) -> int:
        return -(-self._n_rows // self._size)

    def __iter__(self) -> Iterator[list[int]]:
        rows = np.random.default_rng([self._seed, self._epoch()]).permutation(self._n_rows)
        for start in range(0, self._n_rows, self._size):
            yield rows[start : start + self._size].tolist()


def micro_batches(
    examples: Sequence[Example], pad_id: int, max_tokens: int, *, rank: int = 0, world: int = 1
) -> list[tuple[dict[str, torch.Tensor], bool]]:
    """Cut this process's share of a batch into padded parts of similar length.

    Parameters
    ----------
    examples : sequence of Example
        The whole batch, the same in every process.
    pad_id : int
    max_tokens : int
        Limit of a part, padding included; a single longer row makes a part of its own.
    rank, world : int
        Number of this process, and of all.

    Returns
    -------
    list of (dict of Tensor, bool)
        `input_ids`, `attention_mask`, `soft_label` and `position`, longest rows first; and whether
        the part counts. Processes compute in step, so all have as many parts: one that has fewer
        gets its share, or a row of another, once more, not to be counted.
    """
    order = np.argsort([-len(example["input_ids"]) for example in examples], kind="stable")
    shares = [order[number::world] for number in range(world)]
    cuts = [_cut_by_tokens(examples, share, max_tokens) for share in shares]
    own = cuts[rank]
    lacking = max(map(len, cuts)) - len(own)
    filler = own[-1] if own else order[-1:]
    return [
        *((_collate([examples[row] for row in rows], pad_id), True) for rows in own),
        *((_collate([examples[row] for row in filler], pad_id), False) for _ in range(lacking)),
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
