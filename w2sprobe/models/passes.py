"""Tokens of one forward pass, by the device that runs it."""

import torch

from w2sprobe.models.families import n_blocks, text_config

CPU_TOKENS = 512  # 2 cores: 53 rows a second at 512 tokens a pass, 46 at 1,024
MAX_GPU_TOKENS = 16_384  # beyond, products of an 8B model are as fast as they get
GPU_SHARE = 0.5  # of the memory that the weights leave; the rest is for kernels and fragments
# numbers that a block has in memory at a time, per token: of the model's width, and of its MLP's
WIDTHS, MLP_WIDTHS = 12, 5


def tokens_per_pass(
    network: torch.nn.Module, device: torch.device, *, training: bool = False
) -> int:
    """Tokens that one forward pass should have, padding included.

    512 on a CPU. On a GPU as many as fit half of the memory that the weights leave, at most 16,384.
    The size of the card counts and not what is free on it, so that batches do not depend on other
    processes; callers halve them where memory runs out.

    Parameters
    ----------
    network : Module
        Model of transformers, or of peft around one; its config and its weights are read.
    training : bool, default False
        Count the activations of all blocks, which a backward pass needs, instead of one block's,
        and the state of the optimiser.

    Returns
    -------
    int
        A power of two from 512 to 16,384.
    """
    if device.type != "cuda":
        return CPU_TOKENS
    _, total = torch.cuda.mem_get_info(device)
    room = GPU_SHARE * max(0, total - _weight_bytes(network, device, training=training))
    fitting = int(min(MAX_GPU_TOKENS, room / token_bytes(network, training=training)))
    return max(CPU_TOKENS, 1 << max(0, fitting.bit_length() - 1))


def _weight_bytes(network: torch.nn.Module, device: torch.device, *, training: bool) -> int:
    """Bytes of the weights on a GPU; of trained ones also gradients and two moments."""
    index = device.index or 0
    return sum(
        weight.numel() * weight.element_size() * (4 if training and weight.requires_grad else 1)
        for weight in network.parameters()
        if weight.device.index in (None, index)  # a device map may put others elsewhere
    )


def token_bytes(network: torch.nn.Module, *, training: bool) -> float:
    """Bytes of activations of a token, in the type of most weights.

    Parameters
    ----------
    training : bool
        As in `tokens_per_pass`.
    """
    config = text_config(network.config)  # type: ignore[arg-type]
    width = config.hidden_size
    mlp = getattr(config, "intermediate_size", None) or 4 * width
    dtype = max(network.parameters(), key=torch.Tensor.numel).dtype
    itemsize = max(2, dtype.itemsize)  # quantised weights compute in 16 bits
    blocks = n_blocks(config) if training else 1
    return float(blocks * itemsize * (WIDTHS * width + MLP_WIDTHS * mlp))
