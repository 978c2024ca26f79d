"""Tokens of a pass, on GPUs that are not there: meta tensors and made-up memory."""

from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaConfig, LlamaModel

from w2sprobe.models import tokens_per_pass

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
EIGHT_B = LlamaConfig(
    hidden_size=4096,
    intermediate_size=14336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    vocab_size=128_256,
)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch):
    """Says how many GB the GPU has."""

    def of(gigabytes: float) -> None:
        size = int(gigabytes * 1e9)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (size // 3, size))

    return of


@pytest.fixture(scope="module")
def eight_b() -> LlamaModel:
    with torch.device("meta"):
        return LlamaModel._from_config(EIGHT_B, dtype=torch.bfloat16)


def test_a_cpu_takes_512_whatever_the_model(eight_b: LlamaModel) -> None:
    assert tokens_per_pass(eight_b, CPU) == tokens_per_pass(eight_b, CPU, training=True) == 512


@pytest.mark.parametrize(
    ("gigabytes", "inference", "training"),
    [(141, 16_384, 4096), (50, 16_384, 2048), (24, 16_384, 512), (17, 4096, 512), (10, 512, 512)],
)
def test_a_larger_card_takes_more_tokens(
    gigabytes: float, inference: int, training: int, card, eight_b: LlamaModel
) -> None:
    card(gigabytes)
    frozen = eight_b.requires_grad_(False)
    assert tokens_per_pass(frozen, GPU) == inference
    assert tokens_per_pass(frozen, GPU, training=True) == training


def test_trained_weights_leave_less_room(card, eight_b: LlamaModel) -> None:
    card(80)
    try:
        assert tokens_per_pass(eight_b.requires_grad_(True), GPU, training=True) == 1024
    finally:
        eight_b.requires_grad_(False)


def test_weights_on_another_card_do_not_count(card, monkeypatch: pytest.MonkeyPatch) -> None:
    card(10)

    weight = SimpleNamespace(
        numel=lambda: 8_000_000_000, element_size=lambda: 1, device=torch.device("cuda", 1)
    )
    network = SimpleNamespace(parameters=lambda: [weight])
    monkeypatch.setattr("w2sprobe.models.passes.token_bytes", lambda *_, **__: 1e6)
    assert tokens_per_pass(network, GPU) == 4096
    weight.device = GPU
    assert tokens_per_pass(network, GPU) == 512
