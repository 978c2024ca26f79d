from pathlib import Path

import pytest
import torch
from transformers import AutoModel, XLNetConfig

from tests.models.cases import save, set_config, set_limit
from tests.tiny import save_tiny_model
from w2sprobe import extract
from w2sprobe.models import describe_model


@pytest.mark.parametrize(
    ("architecture", "config", "tokenizer_limit", "expected"),
    [
        ("llama", {}, None, 64),
        ("llama", {}, 40, 40),
        ("llama", {"max_position_embeddings": -1}, -1, None),
        ("llama", {}, int(1e30), 64),
        ("gpt2", {}, None, 64),  # n_positions
        ("bert", {}, None, 64),
        # positions begin after the padding token: 66 in the table, ids from 1 on
        ("roberta", {"pad_token_id": 0}, None, 65),
        ("roberta", {"pad_token_id": 1}, None, 64),
    ],
)
def test_usable_context(
    architecture: str,
    config: dict,
    tokenizer_limit: int | None,
    expected: int | None,
    tmp_path: Path,
) -> None:
    model = save_tiny_model(architecture, tmp_path / "model")
    set_config(model, **config)
    set_limit(model, tokenizer_limit)
    assert describe_model(model).max_tokens == expected


def test_xlnet_writes_no_limit_as_minus_one(tmp_path: Path) -> None:
    config = XLNetConfig(vocab_size=40, d_model=32, n_layer=2, n_head=4, d_inner=64, pad_token_id=0)
    model = save(config, tmp_path / "model")
    set_limit(model, None)
    assert config.max_position_embeddings == -1
    assert describe_model(model).max_tokens is None


def test_a_row_of_the_whole_context_runs_and_no_longer_one(tmp_path: Path) -> None:
    model = save_tiny_model("roberta", tmp_path / "model", pad_token_id=1)
    set_limit(model, None)
    limit = describe_model(model).max_tokens
    row = {"id": "a", "text": " ".join(["good"] * (limit - 2))}  # and two special tokens
    assert extract(model, [row], tmp_path / "store").ids.tolist() == ["a"]
    network = AutoModel.from_pretrained(model)
    with pytest.raises((IndexError, RuntimeError), match="out of"):
        network(input_ids=torch.full((1, limit + 1), 5))
