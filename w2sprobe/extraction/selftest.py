"""Self-test before an extraction: refuses models whose numbers depend on batching.

A few rows are computed in one padded batch and one by one, as transformers returns them.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from w2sprobe.errors import InputError
from w2sprobe.extraction.forward import Extractor
from w2sprobe.extraction.positions import keep_tokens, token_index
from w2sprobe.models import blocks_of, n_blocks, running

N_ROWS = 4
# Largest relative difference of a vector, batched against alone. smollm2-135m on 64 sentences,
# all layers: 1.1e-6, 1.9e-3, 1.5e-2; rows mixed up differ by about 1.
TOLERANCE = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}


def choose_rows(lengths: np.ndarray) -> np.ndarray:
    """Row numbers of the shortest row, the longest row and a few between them."""
    order = np.argsort(lengths, kind="stable")
    picks = np.linspace(0, len(order) - 1, min(N_ROWS, len(order))).round().astype(int)
    chosen: np.ndarray = order[np.unique(picks)]
    return chosen


def self_test(
    network: PreTrainedModel,
    input_ids: Sequence[np.ndarray],
    kept: Sequence[np.ndarray],
    layers: Sequence[int],
    *,
    average: bool,
) -> dict[str, Any]:
    """Compare rows in one padded batch with the same rows alone; arguments as in `Extractor`.

    Returns
    -------
    dict
        `rows`, `max_relative_difference`, `tolerance`, `padding_side`; `whole_pass`, whether
        hidden states must be those that transformers returns, as the blocks read something else;
        `layer_0_is_embedding`, whether the first hidden state is what the first block reads; and
        `last_layer_is_normed`, whether the last hidden state comes after a final norm (true) or is
        what the last block returned (false). The last two are None where the blocks are not found.

    Raises
    ------
    InputError
        transformers does not return one vector per token, layer and row; or the difference exceeds
        the tolerance, which depends on the type in which the model computes.
    """
    dtype = str(network.dtype).removeprefix("torch.")
    alone = _rows_alone(network, input_ids, kept, layers, average=average)
    # the fast way first: stop at the highest layer and take what the blocks read
    for whole_pass in (False, True):
        extractor = Extractor(
            network,
            average=average,
            dtype="float32",  # widened without loss, to compare with the rows alone
            batch_tokens=sum(map(len, input_ids)),
            whole_pass=whole_pass,
            one_batch=True,
        )
        difference = _difference(extractor.states(input_ids, kept, layers), alone.states)
        if difference <= TOLERANCE[dtype]:
            break
    else:
        raise InputError(
            f"hidden states of rows in a batch and alone differ by {difference:.3g}, relatively",
            allowed=f"up to {TOLERANCE[dtype]} in {dtype}",
            advice=f"{type(network).__name__} mixes padding or other rows into them; try float32.",
        )
    if alone.first_is_embedding is False:
        _warn_of_numbering(network)
    return {
        "rows": len(input_ids),
        "max_relative_difference": difference,
        "tolerance": TOLERANCE[dtype],
        "padding_side": "right",
        "whole_pass": whole_pass,
        "layer_0_is_embedding": alone.first_is_embedding,
        "last_layer_is_normed": alone.last_is_normed,
    }


def _warn_of_numbering(network: PreTrainedModel) -> None:
    warnings.warn(
        f"hidden_states[0] of {type(network).__name__} is not the embedding: transformers "
        "numbers this model's layers by what its blocks return, so layer 0 follows block 0",
        stacklevel=6,
    )


def _difference(batched: dict[int, np.ndarray], alone: dict[int, np.ndarray]) -> float:
    """Largest difference of a vector, relative to its norm, over all layers."""
    worst = 0.0
    for layer, expected in alone.items():
        difference = np.linalg.norm(batched[layer] - expected, axis=1)
        norm = np.linalg.norm(expected, axis=1)
        relative = difference / np.maximum(norm, np.finfo(np.float32).tiny)
        # NaN in the batch must not pass as small; a row that is not finite alone is left to the
        # writer, which names it
        relative = np.where(np.isnan(relative), np.inf, relative)[np.isfinite(norm)]
        worst = max(worst, float(relative.max(initial=0.0)))
    return worst


@dataclass(frozen=True)
class _RowsAlone:
    """Hidden states that transformers returns for single rows, and how they are numbered."""

    states: dict[int, np.ndarray]
    first_is_embedding: bool | None
    last_is_normed: bool | None


@torch.inference_mode()
def _rows_alone(
    network: PreTrainedModel,
    input_ids: Sequence[np.ndarray],
    kept: Sequence[np.ndarray],
    layers: Sequence[int],
    *,
    average: bool,
) -> _RowsAlone:
    parts: dict[int, list[torch.Tensor]] = {layer: [] for layer in layers}
    first_is_embedding = last_is_normed = None
    with _observed(network) as ends:
        for row, tokens in zip(input_ids, kept, strict=True):
            states = states_of_one_row(network, row)
            index = token_index([tokens])
            for layer in layers:
                vectors = keep_tokens(states[layer], index, average=average)
                parts[layer].append(vectors.float().cpu())
            # only where the blocks work on (rows, tokens, width): the first dimension is the row
            if ends.first_input and ends.last_output and ends.have_one_row():
                # some models pad a text to a multiple of their window
                first_is_embedding = _equal(ends.first_input[-1][:, : len(row)], states[0])
                last_is_normed = not _equal(ends.last_output[-1][:, : len(row)], states[-1])
    states_alone = {layer: torch.cat(rows).numpy() for layer, rows in parts.items()}
    return _RowsAlone(states_alone, first_is_embedding, last_is_normed)


@dataclass
class _BlockEnds:
    """What the first block read and the last block returned, pass by pass."""

    first_input: list[torch.Tensor] = field(default_factory=list)
    last_output: list[torch.Tensor] = field(default_factory=list)

    def have_one_row(self) -> bool:
        return len(self.first_input[-1]) == len(self.last_output[-1]) == 1


@contextmanager
def _observed(network: PreTrainedModel) -> Iterator[_BlockEnds]:
    """Record both ends of the stack of blocks; nothing where the blocks are not in one list."""
    ends = _BlockEnds()

    def read(_: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ends.first_input.append(args[0] if args else kwargs["hidden_states"])

    def returned(_: torch.nn.Module, __: Any, output: Any) -> None:
        ends.last_output.append(output[0] if isinstance(output, tuple | list) else output)

    blocks = blocks_of(network)
    handles = []
    if blocks is not None:
        handles = [
            blocks[0].register_forward_pre_hook(read, with_kwargs=True),
            blocks[-1].register_forward_hook(returned),
        ]
    try:
        yield ends
    finally:
        for handle in handles:
            handle.remove()


def states_of_one_row(network: PreTrainedModel, row: np.ndarray) -> Sequence[torch.Tensor]:
    """All hidden states of a single row, as transformers returns them."""
    tokens = torch.as_tensor(row[None], dtype=torch.int64, device=network.device)
    with running(network):
        output = network(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            output_hidden_states=True,
            use_cache=False,
        )
        return _checked(network, output.hidden_states, len(row))


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether tensors agree bit for bit, non-finite values included; on any devices."""
    if a.shape != b.shape:
        return False
    return bool(torch.allclose(a.to(b.device), b, rtol=0, atol=0, equal_nan=True))


def _checked(
    network: PreTrainedModel, states: Sequence[torch.Tensor] | None, n_tokens: int
) -> Sequence[torch.Tensor]:
    """Refuse anything but one vector per token for the embedding and each block."""
    expected = n_blocks(network.config) + 1
    name = type(network).__name__
    if states is None or len(states) != expected:
        n_states = "none" if states is None else str(len(states))
        raise InputError(
            f"{name} returns {n_states} hidden states",
            allowed=f"{expected}, for {expected - 1} blocks",
        )
    for layer, state in enumerate(states):
        # the width is not compared: the last layer of some models has another one
        if state.ndim != 3 or tuple(state.shape[:2]) != (1, n_tokens):
            raise InputError(
                f"hidden state {layer} of {name} has shape {tuple(state.shape)} for a row of "
                f"{n_tokens} tokens",
                allowed="one vector per token",
            )
    return states
