"""Predictions of a classifier, batched by length."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from scipy.special import expit

from w2sprobe.tokens import length_sorted_batches, pad

BATCH_TOKENS = 512


# positions of rows -> the context in which the classifier reads them
Feeding = Callable[[np.ndarray], AbstractContextManager[None]]


def from_tokens(_: np.ndarray) -> AbstractContextManager[None]:
    """Rows are read from their tokens, nothing else is fed."""
    return nullcontext()


@torch.inference_mode()
def predict(
    classifier: torch.nn.Module,
    input_ids: Sequence[np.ndarray],
    *,
    pad_id: int,
    device: torch.device,
    feeding: Feeding = from_tokens,
) -> np.ndarray:
    """P(label = 1) of each row.

    Parameters
    ----------
    classifier : Module
        Two logits a row.
    input_ids : sequence of ndarray of int, length n
        Tokens of each row, without padding.
    pad_id : int
        Token that the classifier takes for padding.
    device : torch.device
        Where the classifier is.
    feeding : Feeding
        `Prefix.feeding` where a prefix is attached.

    Returns
    -------
    ndarray of float64, shape (n,)
        Sigmoid of the difference of the two logits, taken in float64 so that confident rows do
        not tie; rows in the order given.
    """
    was_training = classifier.training
    classifier.eval()
    margins = np.empty(len(input_ids), dtype=np.float64)
    for rows in length_sorted_batches(np.array([len(row) for row in input_ids]), BATCH_TOKENS):
        batch = pad([input_ids[row] for row in rows], pad_id)
        with feeding(rows):
            output = classifier(**{name: tensor.to(device) for name, tensor in batch.items()})
        logits = output.logits.double().cpu().numpy()
        margins[rows] = logits[:, 1] - logits[:, 0]
    classifier.train(was_training)
    found: np.ndarray = expit(margins)
    return found
