"""Counts from the config alone, beside those of the loaded model."""

from pathlib import Path

import pytest
import torch

from tests.tiny import save_tiny_model
from w2sprobe.models import count_parameters, describe_model, has_blocks, load_base


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
