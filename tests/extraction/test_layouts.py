"""Which tensor is which layer."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from w2sprobe.errors import InputError
from w2sprobe.extraction.layouts import ForeignFile, Wanted
from w2sprobe.extraction.positions import parse_position
from w2sprobe.models import describe_model

WIDTH = 32  # of the tiny model, which has three blocks


def opened(
    tmp_path: Path, model: str, tensors: dict[str, torch.Tensor], layers: object = "all"
) -> ForeignFile:
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, tmp_path / "a.safetensors"
    )
    wanted = Wanted(describe_model(model), layers, parse_position("last"))
    return ForeignFile(tmp_path / "a.safetensors", wanted)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("hook_embed", 0),
        ("embed.hook_out", 0),
        ("blocks.0.hook_resid_pre", 0),
        ("blocks.0.hook_in", 0),
        ("blocks.1.hook_resid_post", 2),
        ("blocks.1.hook_out", 2),
        ("ln_final.hook_out", 3),
        ("ln_final.hook_normalized", 3),
        ("ln_final", 3),
        ("model.embed_tokens.output", 0),
        ("transformer.wte", 0),
        ("model.layers.1", 2),
        ("model.layers.1.output", 2),
        ("model.model.layers.1.output.0", 2),
        ("transformer.h.1.input", 1),
        ("encoder.layer.0.output", 1),
        ("model.norm.output", 3),
        ("transformer.ln_f", 3),
        ("gpt_neox.final_layer_norm.output.0", 3),
    ],
)
def test_names_of_layers(name: str, layer: int, llama: str, tmp_path: Path) -> None:
    file = opened(tmp_path, llama, {name: torch.full((2, 5, WIDTH), 7.0)})
    assert (file.kind, file.layers) == ("named tensors", (layer,))
    assert (file.n_rows, file.per_token) == (2, True)
    assert file.vectors(1, (layer,))[layer].shape == (5, WIDTH)


@pytest.mark.parametrize(
    "name",
    [
        "blocks.1.attn.hook_z",
        "blocks.1.hook_mlp_out",
        "model.layers.1.mlp.output",
        "model.layers.1.input_layernorm.output",
        "model.layers.1.norm",
        "hook_pos_embed",
    ],
)
def test_parts_of_blocks_are_no_layers(name: str, llama: str, tmp_path: Path) -> None:
    tensors = {name: torch.zeros(2, 5, WIDTH), "other": torch.zeros(2, 5, WIDTH)}
    with pytest.raises(InputError, match="no known layout"):
        opened(tmp_path, llama, tensors)


def test_the_final_norm_wins_over_the_last_block(llama: str, tmp_path: Path) -> None:
    tensors = {
        "blocks.2.hook_resid_post": torch.zeros(1, 5, WIDTH),
        "ln_final.hook_out": torch.ones(1, 5, WIDTH),
        # before the norm's weights, in some models
        "ln_final.hook_normalized": torch.zeros(1, 5, WIDTH),
    }
    assert opened(tmp_path, llama, tensors).vectors(0, (3,))[3].min() == 1


def test_two_axes_are_tokens_only_beside_token_ids(llama: str, tmp_path: Path) -> None:
    states = {"blocks.0.hook_resid_post": torch.rand(5, WIDTH)}
    rows = opened(tmp_path, llama, states)
    assert (rows.n_rows, rows.per_token) == (5, False)
    one = opened(tmp_path, llama, {**states, "tokens": torch.arange(5)})
    assert (one.n_rows, one.per_token) == (1, True)
    assert one.token_ids(0).tolist() == [0, 1, 2, 3, 4]
    assert torch.equal(one.vectors(0, (1,))[1], states["blocks.0.hook_resid_post"])


def test_padding_on_either_side_is_left_out(llama: str, tmp_path: Path) -> None:
    states, mask = torch.rand(2, 4, WIDTH), torch.tensor([[0, 1, 1, 1], [1, 1, 0, 0]])
    tensors = {
        "model.layers.0": states,
        "attention_mask": mask,
        "input_ids": torch.arange(8).reshape(2, 4),
    }
    file = opened(tmp_path, llama, tensors)
    assert [file.token_ids(row).tolist() for row in (0, 1)] == [[1, 2, 3], [4, 5]]
    assert torch.equal(file.vectors(0, (1,))[1], states[0, 1:])
    assert torch.equal(file.vectors(1, (1,))[1], states[1, :2])


@pytest.mark.parametrize(
    ("tensors", "layers", "said"),
    [
        ({"a": torch.zeros(3, WIDTH), "b": torch.zeros(3, WIDTH)}, "1", "no known layout"),
        ({"blocks.0.hook_resid_post": torch.zeros(2, 5, WIDTH)}, "1,3", "no layer 3.*layers 1"),
        ({"blocks.9.hook_resid_post": torch.zeros(2, 5, WIDTH)}, "1", "no layer 1.*layers 10"),
        ({"a": torch.zeros(2, 2, 2, WIDTH)}, "1", "a tensor of shape"),
        ({"a": torch.zeros(2, 0, WIDTH)}, "1", "0 layers in the file"),
        ({"1": torch.zeros(0, WIDTH)}, "1", "an empty tensor"),
        ({"1": torch.zeros(3, WIDTH), "2": torch.zeros(4, WIDTH)}, "1,2", "layer 2 is float32"),
        ({"1": torch.zeros(3, WIDTH, dtype=torch.int32)}, "1", "states in i"),
        ({"pooled_max_layer_0": torch.zeros(1, WIDTH)}, "1", "no layer 1 at position last"),
    ],
)
def test_bad_tensors(
    tensors: dict[str, torch.Tensor], layers: str, said: str, llama: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        opened(tmp_path, llama, tensors, layers)
