import json
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from transformers import OPTConfig

from tests.models.cases import save, set_config, weights_of
from tests.tiny import save_tiny_model, tiny_tokenizer
from w2sprobe import extract
from w2sprobe.errors import InputError
from w2sprobe.models import describe_model


@pytest.mark.parametrize(
    ("config_pad", "tokenizer_pad", "expected"),
    [
        (0, "[PAD]", 0),
        (2, "[PAD]", 2),  # the one that it was trained with
        (None, "[PAD]", 0),
        (None, None, 3),  # the one that ends texts
        (None, "<beyond>", 3),  # not in the embedding
        (-1, "[PAD]", 0),
    ],
)
def test_padding_token(
    config_pad: int | None, tokenizer_pad: str | None, expected: int, tmp_path: Path
) -> None:
    model = save_tiny_model("llama", tmp_path / "model", vocab_size=33)
    set_config(model, pad_token_id=config_pad)
    tokenizer = tiny_tokenizer("gpt2", "right")
    if tokenizer_pad:
        tokenizer.add_special_tokens({"pad_token": tokenizer_pad})
    tokenizer.save_pretrained(model)
    assert describe_model(model).pad_id == expected


def test_a_layer_of_another_width_is_left_out_and_refused_by_name(tmp_path: Path) -> None:
    config = OPTConfig(
        vocab_size=40,
        hidden_size=32,
        word_embed_proj_dim=16,
        do_layer_norm_before=False,
        num_hidden_layers=3,
        ffn_dim=64,
        num_attention_heads=4,
        max_position_embeddings=64,
    )
    model = save(config, tmp_path / "model")
    rows = [{"id": "a", "text": "good film"}]
    with pytest.warns(UserWarning, match="layer 3 has another width .* left out"):
        store = extract(model, rows, tmp_path / "store")
    assert store.layers == (0, 1, 2)
    with pytest.raises(InputError, match=r"no layer 3 .*Allowed: .*0 to 2.*layer 3 has another"):
        extract(model, rows, tmp_path / "odd", layers=3)


def test_a_float64_checkpoint_needs_a_type(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    tensors = {name: tensor.double() for name, tensor in load_file(weights_of(model)).items()}
    save_file(tensors, weights_of(model), metadata={"format": "pt"})
    set_config(model, dtype="float64")
    rows = [{"id": "a", "text": "good film"}]
    with pytest.raises(InputError, match=r"is in float64\. Allowed: .*--dtype float32"):
        extract(model, rows, tmp_path / "store")
    assert extract(model, rows, tmp_path / "store", dtype="float32").dtype == "float32"


@pytest.mark.parametrize("where", ["config", "tokenizer"])
def test_code_of_a_repository_is_never_run_nor_asked_about(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    ran = tmp_path / "ran"
    (Path(model) / "code.py").write_text(f"open({str(ran)!r}, 'w')\n")
    if where == "config":
        reference = {"AutoConfig": "code.Config", "AutoModel": "code.Model"}
        set_config(model, model_type="of-their-own", auto_map=reference)
    else:
        file = Path(model) / "tokenizer_config.json"
        content = json.loads(file.read_text())
        content |= {"auto_map": {"AutoTokenizer": [None, "code.Tokenizer"]}}
        content["tokenizer_class"] = "TheirTokenizer"
        file.write_text(json.dumps(content))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    with pytest.raises(InputError, match="needs code of its own, which is never run"):
        describe_model(model)
    assert not ran.exists()
    assert "code" not in sys.modules or not str(sys.modules["code"].__file__).startswith(model)


def test_a_config_that_transformers_refuses_is_told(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    set_config(model, max_position_embeddings="many")
    with pytest.raises(InputError, match=r"unknown model .*transformers said: .*many"):
        describe_model(model)
