"""Hidden states of a text model from one forward pass, which stops at the highest layer."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from w2sprobe.models.families import n_blocks

Reduce = Callable[[torch.Tensor], torch.Tensor]


def blocks_of(network: torch.nn.Module) -> torch.nn.ModuleList | None:
    """Transformer blocks of a model; None where they are not in one list."""
    config: Any = network.config
    n_layers = n_blocks(config)
    lists = [
        module
        for module in network.modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == n_layers
    ]
    return lists[0] if len(lists) == 1 else None


class _Enough(Exception):
    """Raised inside a forward pass when the highest layer was read."""


class _OtherLayout(Exception):
    """Raised inside a forward pass whose blocks do not read (rows, tokens, width)."""


def hidden_states(
    network: PreTrainedModel,
    batch: dict[str, torch.Tensor],
    layers: Sequence[int],
    reduce: Reduce,
    *,
    whole_pass: bool = False,
) -> dict[int, torch.Tensor]:
    """Compute reduced hidden states of some layers; blocks above the highest are not run.

    Parameters
    ----------
    network : PreTrainedModel
        Text model in evaluation mode.
    batch : dict of str to Tensor
        `input_ids` and `attention_mask`, on the network's device.
    layers : sequence of int
        Indices into `hidden_states`: layer l is what block l reads, the highest one what the model
        returns.
    reduce : callable
        Maps (rows, tokens, width) to what is kept of a layer.
    whole_pass : bool, default False
        Run all blocks and take the states that transformers returns, for families whose blocks
        read something else.
    """
    blocks = None if whole_pass else blocks_of(network)
    states = None if blocks is None else _from_blocks(network, blocks, batch, layers, reduce)
    if states is None:
        output = network(**batch, output_hidden_states=True, use_cache=False)
        states = {layer: reduce(output.hidden_states[layer]) for layer in layers}
    return states


def _from_blocks(
    network: PreTrainedModel,
    blocks: torch.nn.ModuleList,
    batch: dict[str, torch.Tensor],
    layers: Sequence[int],
    reduce: Reduce,
) -> dict[int, torch.Tensor] | None:
    """States that the blocks read; None where these are not (rows, tokens, width)."""
    states: dict[int, torch.Tensor] = {}
    highest = max(layers)

    def keep(layer: int) -> Callable[..., None]:
        def hook(_: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            hidden = args[0] if args else kwargs.get("hidden_states")
            if hidden is None or hidden.shape[:-1] != batch["input_ids"].shape:
                raise _OtherLayout
            states[layer] = reduce(hidden)
            # only an exception ends a forward pass from inside; caught below
            if layer == highest:
                raise _Enough

        return hook

    handles = [
        blocks[layer].register_forward_pre_hook(keep(layer), with_kwargs=True)
        for layer in layers
        if layer < len(blocks)
    ]
    try:
        output = network(**batch, use_cache=False)
        states[len(blocks)] = reduce(output.last_hidden_state)
    except _Enough:
        pass
    except _OtherLayout:
        return None
    finally:
        for handle in handles:
            handle.remove()
    # a layer is missing where the model does not call the blocks of the list
    return states if states.keys() >= set(layers) else None
