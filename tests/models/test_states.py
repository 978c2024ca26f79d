from pathlib import Path

import pytest
import torch

from tests.tiny import CONFIGS, save_tiny_model
from w2sprobe.models import (
    blocks_of,
    describe_model,
    hidden_states,
    load_base,
)


@pytest.mark.parametrize("architecture", CONFIGS)
def test_blocks_above_the_highest_layer_are_not_run(
    architecture: str, tmp_path: Path, monkeypatch
) -> None:
    model = save_tiny_model(architecture, tmp_path / "model")
    network = load_base(describe_model(model), "float32", torch.device("cpu"))
    blocks, ran = blocks_of(network), []
    assert blocks is not None
    for number, block in enumerate(blocks):
        block.register_forward_hook(lambda *_, number=number: ran.append(number))
    batch = {name: torch.ones(2, 5, dtype=torch.int64) for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        found = hidden_states(network, batch, [0, 1], lambda hidden: hidden)
        assert (sorted(found), ran) == ([0, 1], [0])
        full = network(**batch, output_hidden_states=True).hidden_states
        torch.testing.assert_close(found[1], full[1])
        monkeypatch.setattr("w2sprobe.models.states.blocks_of", lambda _: None)
        other = hidden_states(network, batch, [1, 3], lambda hidden: hidden)
    torch.testing.assert_close(other[3], full[3])
