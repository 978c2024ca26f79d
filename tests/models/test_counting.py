"""Counts from the config alone, beside those of the loaded model."""

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.tiny import save_tiny_model
from w2sprobe.models import (
    count_parameters,
    describe_model,
    forward_flops,
    has_blocks,
    load_base,
)


@pytest.mark.parametrize("architecture", ["llama", "gpt_neox", "bert"])
def test_counts_are_those_of_the_loaded_model(architecture: str, tmp_path: Path) -> None:
    model = save_tiny_model(architecture, tmp_path / "model")
    info = describe_model(model)
    network = load_base(info, "float32", torch.device("cpu"))
    counts = count_parameters(info.source)
    assert counts.total == sum(weight.numel() for weight in network.parameters())
    linear = [m.weight for m in network.modules() if isinstance(m, torch.nn.Linear)]
    assert counts.blocks == sum(weight.numel() for weight in linear)
    assert counts.sides == sum(sum(weight.shape) for weight in linear)
    assert has_blocks(info.source)


@pytest.mark.parametrize("layer", [1, 3])
def test_operations_are_those_that_torch_counts(layer: int, tmp_path: Path) -> None:
    info = describe_model(save_tiny_model("llama", tmp_path / "model"))
    network = load_base(info, "float32", torch.device("cpu"))
    network.set_attn_implementation("eager")
    n_tokens = 40
    with FlopCounterMode(display=False) as counter:
        network(torch.ones(1, n_tokens, dtype=torch.long))
    of_model = counter.get_total_flops() * layer / info.n_layers
    # torch also counts the half of the attention that the causal mask hides
    hidden = 2 * layer * n_tokens**2 * info.hidden_size
    # and the angles of rotary embeddings, once
    assert forward_flops(info, layer, n_tokens) == pytest.approx(of_model - hidden, rel=0.002)
