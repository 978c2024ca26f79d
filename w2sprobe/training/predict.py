"""Predictions of a classifier, in batches of similar length."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from scipy.special import expit

from w2sprobe.errors import InputError
from w2sprobe.models import running, tokens_per_pass
from w2sprobe.tokens import length_sorted_batches, pad

BATCH_TOKENS = 512
# Largest relative difference of a row's logits between a mixed batch and a batch without padding.
# In bfloat16 rounding alone moves them by some hundredths, so that only a strong dependence on
# padding is detected.
TOLERANCE, LOW_TOLERANCE = 1e-3, 0.2

# Called with row numbers: a context in which the classifier reads the cached prefix of these rows.
PrefixContext = Callable[[np.ndarray], AbstractContextManager[None]]


def no_prefix(_: np.ndarray) -> AbstractContextManager[None]:
    """Null context: run the full forward pass."""
    return nullcontext()


@torch.inference_mode()
def check_independence(
    classifier: torch.nn.Module,
    input_ids: Sequence[np.ndarray],
    *,
    pad_id: int,
    device: torch.device,
    precision: str,
) -> None:
    """Refuse a classifier whose logits of a row depend on padding or on the rows beside it.

    Parameters
    ----------
    classifier : Module
        Two logits per row.
    input_ids : sequence of ndarray of int
        Candidate rows. The longest and the shortest are predicted in one padded batch and in
        unpadded batches, and each row's logits are compared.
    device : torch.device
        Device of the classifier.
    precision : str
        Precision that the classifier computes in.

    Raises
    ------
    InputError
        The logits of the two rows change with their batch by more than rounding explains.
    """
    lengths = [len(row) for row in input_ids]
    rows = [input_ids[int(np.argmin(lengths))], input_ids[int(np.argmax(lengths))]]
    was_training = classifier.training
    classifier.eval()
    # A row beside itself needs no padding, and its batch of two uses the same kernels.
    groups = [pad(group, pad_id) for group in (rows, rows[:1] * 2, rows[1:] * 2)]
    with running(classifier):
        together, *alike = (
            classifier(**{name: part.to(device) for name, part in group.items()}).logits
            for group in groups
        )
    classifier.train(was_training)
    expected = torch.stack([logits[0] for logits in alike]).float()
    difference = float((together.float() - expected).abs().max() / expected.abs().max())
    allowed = TOLERANCE if precision == "float32" else LOW_TOLERANCE
    if not difference <= allowed:
        raise InputError(
            f"logits of rows in a batch and alone differ by {difference:.3g}, relatively",
            allowed=f"up to {allowed} in {precision}",
            advice="This model's classifier reads padding, so labels would depend on other rows.",
        )


@torch.inference_mode()
def predict(
    classifier: torch.nn.Module,
    input_ids: Sequence[np.ndarray],
    *,
    pad_id: int,
    device: torch.device,
    feeding: PrefixContext = no_prefix,
) -> np.ndarray:
    """Predict P(label = 1) of each row.

    Parameters
    ----------
    classifier : Module
        Two logits per row.
    input_ids : sequence of ndarray of int, length n
        Tokens of each row, without padding.
    device : torch.device
        Device of the classifier.
    feeding : PrefixContext
        `Prefix.feeding` if a prefix is attached.

    Returns
    -------
    ndarray of float64, shape (n,)
        Sigmoid of the difference of the two logits, in the order of `input_ids`.
    """
    was_training = classifier.training
    classifier.eval()
    margins = np.empty(len(input_ids), dtype=np.float64)
    lengths = np.array([len(row) for row in input_ids])
    # as in training: the optimiser's state may be in memory, too
    max_tokens = tokens_per_pass(classifier, device, training=True)
    for rows in length_sorted_batches(lengths, max_tokens):
        batch = pad([input_ids[row] for row in rows], pad_id)
        with feeding(rows):
            output = classifier(**{name: tensor.to(device) for name, tensor in batch.items()})
        logits = output.logits.double().cpu().numpy()
        margins[rows] = logits[:, 1] - logits[:, 0]
    classifier.train(was_training)
    p: np.ndarray = expit(margins)  # in float64, so that confident rows do not tie
    return p
