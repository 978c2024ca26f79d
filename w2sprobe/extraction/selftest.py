"""Does batching change the numbers? A few rows, computed alone, answer before a job begins."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from w2sprobe.errors import InputError
from w2sprobe.extraction.forward import Extractor
from w2sprobe.extraction.positions import keep_tokens
from w2sprobe.models import blocks_of, n_blocks, running

N_ROWS = 4
# Largest relative difference of a vector, batched against alone. smollm2-135m on 64 sentences,
# all layers: 1.1e-6, 1.9e-3, 1.5e-2; rows mixed up differ by about 1.
TOLERANCE = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}


def choose_rows(lengths: np.ndarray) -> np.ndarray:
    """Positions of the shortest and the longest row and of some between them."""
    order = np.argsort(lengths, kind="stable")
    picks = np.linspace(0, len(order) - 1, min(N_ROWS, len(order))).round().astype(int)
    chosen: np.ndarray = order[np.unique(picks)]
    return chosen


def self_test(
    network: PreTrainedModel,
    input_ids: Sequence[np.ndarray],
    spans: np.ndarray,
    layers: Sequence[int],
    *,
    average: bool,
) -> dict[str, Any]:
    """Compare rows in one padded batch with the same rows alone, as transformers returns them.

    Parameters
    ----------
    network : PreTrainedModel
        Text model in evaluation mode.
    input_ids : sequence of ndarray of int, length n
        Rows of different lengths.
    spans : ndarray of int64, shape (n, 2)
    layers : sequence of int
        Ascending.
    average : bool

    Returns
    -------
    dict
        `rows`, `max_relative_difference`, `tolerance`, `padding_side`; `whole_pass`, whether hidden
        states must be taken from what transformers returns, as they are not what the blocks read;
        `layer_0_is_embedding`, whether transformers' first hidden state is what the first block
        reads; and `last_layer_is_normed`, whether the model's last hidden state is what its last
        block returned (false) or that after a final norm (true). The last two are None where the
        blocks are not found.

    Raises
    ------
    InputError
        transformers does not return one vector a token, layer and row; or the difference is beyond
        the tolerance, which depends on what the model computes in.
    """
    dtype = str(network.dtype).removeprefix("torch.")
    alone = _alone(network, input_ids, spans, layers, average=average)
    worst = np.inf
    for whole_pass in (False, True):
        extractor = Extractor(
            network,
            average=average,
            dtype="float32",
            batch_tokens=sum(map(len, input_ids)),
            whole_pass=whole_pass,
            one_batch=True,
        )
        worst = _difference(extractor.states(input_ids, spans, layers), alone.states)
        if worst <= TOLERANCE[dtype]:
            break
    else:
        raise InputError(
            f"hidden states of rows in a batch and alone differ by {worst:.3g}, relatively",
            allowed=f"up to {TOLERANCE[dtype]} in {dtype}",
            advice=f"{type(network).__name__} mixes padding or other rows into them; try float32.",
        )
    if alone.first_is_embedding is False:
        warnings.warn(
            f"hidden_states[0] of {type(network).__name__} is not the embedding: transformers "
            "numbers this model's layers by what its blocks return, so layer 0 follows block 0",
            stacklevel=3,
        )
    return {
        "rows": len(input_ids),
        "max_relative_difference": worst,
        "tolerance": TOLERANCE[dtype],
        "padding_side": "right",
        "whole_pass": whole_pass,
        "layer_0_is_embedding": alone.first_is_embedding,
        "last_layer_is_normed": alone.last_is_normed,
    }


def _difference(batched: dict[int, np.ndarray], alone: dict[int, np.ndarray]) -> float:
    worst = 0.0
    for layer, expected in alone.items():
        difference = np.linalg.norm(batched[layer] - expected, axis=1)
        norm = np.linalg.norm(expected, axis=1)
        relative = difference / np.maximum(norm, np.finfo(np.float32).tiny)
        # a row that is not finite by itself is the writer's to name; NaN must not pass as small
        relative = np.where(np.isnan(relative), np.inf, relative)[np.isfinite(norm)]
        worst = max(worst, float(relative.max(initial=0.0)))
    return worst


@dataclass(frozen=True)
class _Alone:
    """Rows as transformers returns them one by one, and how its numbering fits the blocks."""

    states: dict[int, np.ndarray]
    first_is_embedding: bool | None
    last_is_normed: bool | None


@torch.inference_mode()
def _alone(
    network: PreTrainedModel,
    input_ids: Sequence[np.ndarray],
    spans: np.ndarray,
    layers: Sequence[int],
    *,
    average: bool,
) -> _Alone:
    blocks = blocks_of(network)
    read: list[torch.Tensor] = []
    returned: list[torch.Tensor] = []

    def reads(_: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        read.append(args[0] if args else kwargs["hidden_states"])

    def returns(_: torch.nn.Module, __: Any, output: Any) -> None:
        returned.append(output[0] if isinstance(output, tuple | list) else output)

    handles = []
    if blocks is not None:
        handles = [
            blocks[0].register_forward_pre_hook(reads, with_kwargs=True),
            blocks[-1].register_forward_hook(returns),
        ]
    parts: dict[int, list[torch.Tensor]] = {layer: [] for layer in layers}
    first_is_embedding = last_is_normed = None
    try:
        for row, span in zip(input_ids, spans, strict=True):
            tokens = torch.as_tensor(row[None], dtype=torch.int64, device=network.device)
            with running(network):
                output = network(
                    input_ids=tokens,
                    attention_mask=torch.ones_like(tokens),
                    output_hidden_states=True,
                    use_cache=False,
                )
                states = _checked(network, output.hidden_states, len(row))
            kept = torch.as_tensor(span[None])
            for layer in layers:
                vectors = keep_tokens(states[layer], kept, average=average)
                parts[layer].append(vectors.float().cpu())
            if read and returned and len(read[-1]) == len(returned[-1]) == 1:  # rows come first
                # some read a text that is filled up to a multiple of their window
                first_is_embedding = _equal(read[-1][:, : len(row)], states[0])
                last_is_normed = not _equal(returned[-1][:, : len(row)], states[-1])
    finally:
        for handle in handles:
            handle.remove()
    found = {layer: torch.cat(rows).numpy() for layer, rows in parts.items()}
    return _Alone(found, first_is_embedding, last_is_normed)


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Bit for bit, values that are not finite included; on any devices."""
    if one.shape != other.shape:
        return False
    return bool(torch.allclose(one.to(other.device), other, rtol=0, atol=0, equal_nan=True))


def _checked(
    network: PreTrainedModel, states: Sequence[torch.Tensor] | None, n_tokens: int
) -> Sequence[torch.Tensor]:
    """One vector a token, for the embedding and each block; the last may have another width."""
    wanted = n_blocks(network.config)
    name = type(network).__name__
    if states is None or len(states) != wanted + 1:
        found = "none" if states is None else str(len(states))
        raise InputError(
            f"{name} returns {found} hidden states", allowed=f"{wanted + 1}, for {wanted} blocks"
        )
    for layer, state in enumerate(states):
        if state.ndim != 3 or tuple(state.shape[:2]) != (1, n_tokens):
            raise InputError(
                f"hidden state {layer} of {name} has shape {tuple(state.shape)} for a row of "
                f"{n_tokens} tokens",
                allowed="one vector a token",
            )
    return states
