"""Hidden states of a text model, in one forward pass that stops when it has them."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from w2sprobe.models.families import n_blocks

Reduce = Callable[[torch.Tensor], torch.Tensor]


def blocks_of(network: torch.nn.Module) -> torch.nn.ModuleList | None:
    """The transformer blocks; None where they do not stand in one list."""
    config: Any = network.config
    n_layers = n_blocks(config)
    lists = [
        module
        for module in network.modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == n_layers
    ]
    return lists[0] if len(lists) == 1 else None


class _Enough(Exception):
    """Raised inside a forward pass when no later layer is wanted."""


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
    """Reduced hidden states of some layers; blocks above the highest one are not run.

    Parameters
    ----------
    network : PreTrainedModel
        Text model in evaluation mode.
    batch : dict of str to Tensor
        `input_ids` and `attention_mask`, on the network's device.
    layers : sequence of int
        Indices into `hidden_states`: l is what block l reads, the highest what the model returns.
    reduce : callable
        Takes (rows, tokens, width); what it returns is kept instead.
    whole_pass : bool, default False
        Run all blocks and take what transformers returns, for families whose `hidden_states` are
        not what their blocks read.

    Returns
    -------
    dict of int to Tensor
    """
    blocks = None if whole_pass else blocks_of(network)
    found = None if blocks is None else _from_blocks(network, blocks, batch, layers, reduce)
    if found is None:
        output = network(**batch, output_hidden_states=True, use_cache=False)
        found = {layer: reduce(output.hidden_states[layer]) for layer in layers}
    return found


def _from_blocks(
    network: PreTrainedModel,
    blocks: torch.nn.ModuleList,
    batch: dict[str, torch.Tensor],
    layers: Sequence[int],
    reduce: Reduce,
) -> dict[int, torch.Tensor] | None:
    """What the blocks read; None where that is not (rows, tokens, width), or not to be had."""
    found: dict[int, torch.Tensor] = {}
    highest = max(layers)

    def keep(layer: int) -> Callable[..., None]:
        def hook(_: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            hidden = args[0] if args else kwargs.get("hidden_states")
            if hidden is None or hidden.shape[:-1] != batch["input_ids"].shape:
                raise _OtherLayout
            found[layer] = reduce(hidden)
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
        found[len(blocks)] = reduce(output.last_hidden_state)
    except _Enough:
        pass
    except _OtherLayout:
        return None
    finally:
        for handle in handles:
            handle.remove()
    return found if found.keys() >= set(layers) else None  # a list that the model does not call
