"""What a reference pass sees, in every architecture."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny import CONFIGS, ENCODERS, save_tiny_model, sentences
from w2sprobe.extraction.reference import CENTRED, NORMED_TWICE, NOT_NORMED, Reference
from w2sprobe.models import describe_model, load_base, load_tokenizer

TEXT = max(sentences(20), key=len)


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("name", CONFIGS)
def test_states_and_readings(name: str, average: bool, tmp_path: Path) -> None:
    info = describe_model(save_tiny_model(name, tmp_path / "model"))
    network = load_base(info, "float32", torch.device("cpu"))
    tokens = np.array(load_tokenizer(info.source)(TEXT)["input_ids"])
    kept = np.arange(1, 4) if average else np.array([len(tokens) - 1])
    reference = Reference(network, tokens, kept, average=average)
    with torch.inference_mode():
        output = network(torch.as_tensor(tokens[None]), output_hidden_states=True)
    expected = [state[0, kept].mean(dim=0).numpy() for state in output.hidden_states]
    for layer in range(info.n_layers + 1):
        np.testing.assert_allclose(reference.states(layer)[0], expected[layer], atol=1e-6)
    top = {cause: states for cause, states, _ in reference.readings(info.n_layers)}
    has_norm = name not in ENCODERS or name == "modernbert"
    assert {NOT_NORMED, NORMED_TWICE} <= {*top} if has_norm else NOT_NORMED not in top
    kinds = {cause.kind for cause in top}
    assert {"layer", "shift", "split", CENTRED.kind} <= kinds
    assert all(states.shape == (1, info.hidden_size) for states in top.values())


def test_tokens_beyond_the_ends_of_a_row_are_left_out(llama: str) -> None:
    network = load_base(describe_model(llama), "float32", torch.device("cpu"))
    reference = Reference(network, np.array([5, 6, 7]), np.arange(3), average=False)
    right = reference.states(1)
    shifts = {
        cause.what.split(":")[0]: (states, part)
        for cause, states, part in reference.readings(1)
        if cause.kind == "shift"
    }
    before, part = shifts["is 1 token before the right position"]
    assert part == slice(1, 3)
    np.testing.assert_array_equal(before, right[:2])
    after, part = shifts["is 2 tokens after the right position"]
    assert part == slice(0, 1)
    np.testing.assert_array_equal(after, right[2:])


def test_no_hooks_are_left(llama: str) -> None:
    network = load_base(describe_model(llama), "float32", torch.device("cpu"))

    def pass_and_count() -> int:
        Reference(network, np.array([5, 6]), np.array([1]), average=False)
        return sum(len(module._forward_hooks) for module in network.modules())

    # transformers leaves hooks of its own at the first pass
    assert pass_and_count() == pass_and_count()
