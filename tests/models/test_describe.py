import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, OPTConfig, XLNetConfig

from tests.tiny import save_tiny_model, tiny_tokenizer
from w2sprobe import extract
from w2sprobe.errors import InputError, MissingDependency
from w2sprobe.models import describe_model, forget_models


@pytest.fixture(autouse=True)
def _afresh() -> None:
    forget_models()


def set_config(model: str, **values: object) -> None:
    file = Path(model) / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def set_limit(model: str, limit: int | None) -> None:
    file = Path(model) / "tokenizer_config.json"
    content = json.loads(file.read_text())
    content.pop("model_max_length", None)
    if limit is not None:
        content["model_max_length"] = limit
    file.write_text(json.dumps(content))


def save(config, folder: Path) -> str:
    AutoModel.from_config(config).save_pretrained(folder)
    tiny_tokenizer("llama", "right").save_pretrained(folder)
    return str(folder)


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


def weights_of(model: str) -> Path:
    return Path(model) / "model.safetensors"


def test_a_git_lfs_pointer_is_named(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    weights_of(model).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(
        InputError, match=r"pointer of Git LFS .*model\.safetensors.*`git lfs pull`"
    ):
        describe_model(model)


@pytest.mark.parametrize("kept", [4, 40, -100])
def test_a_cut_safetensors_file_is_named(kept: int, tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    weights_of(model).write_bytes(weights_of(model).read_bytes()[:kept])
    with pytest.raises(InputError, match=r"model\.safetensors.* download complete"):
        describe_model(model)


def test_a_file_that_is_no_safetensors_file_is_named(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    weights_of(model).write_bytes(b"\x10" + b"\0" * 40)
    with pytest.raises(InputError, match=r"not a safetensors file in .*model\.safetensors"):
        describe_model(model)


def test_a_cut_pickled_checkpoint_is_refused(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    torch.save(load_file(weights_of(model)), tmp_path / "model/pytorch_model.bin")  # noqa: TID251
    weights_of(model).unlink()
    whole = (tmp_path / "model/pytorch_model.bin").read_bytes()
    (tmp_path / "model/pytorch_model.bin").write_bytes(whole[:-200])
    with pytest.raises(InputError, match=r"weights of model .* cannot be loaded"):
        extract(model, [{"id": "a", "text": "good"}], tmp_path / "store")


def test_a_float64_checkpoint_needs_a_type(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    tensors = {name: tensor.double() for name, tensor in load_file(weights_of(model)).items()}
    save_file(tensors, weights_of(model), metadata={"format": "pt"})
    set_config(model, dtype="float64")
    rows = [{"id": "a", "text": "good film"}]
    with pytest.raises(InputError, match=r"is in float64\. Allowed: .*--dtype float32"):
        extract(model, rows, tmp_path / "store")
    assert extract(model, rows, tmp_path / "store", dtype="float32").dtype == "float32"


@pytest.mark.parametrize("method", ["gptq", "awq", "bitnet_of_tomorrow"])
def test_a_quantised_checkpoint_that_nothing_reads_is_refused(method: str, tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    set_config(model, quantization_config={"quant_method": method, "bits": 4})
    with pytest.raises(InputError, match=rf"weights of model .* are quantised \({method}\)"):
        describe_model(model)
    if method == "gptq":
        with pytest.raises(MissingDependency):
            describe_model(model)


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


def test_an_adapter_folder_is_no_model(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    shutil.copy(Path(model) / "config.json", Path(model) / "adapter_config.json")
    with pytest.raises(InputError, match="holds a PEFT adapter"):
        describe_model(model)


def test_every_file_of_a_tokenizer_is_part_of_the_identity(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    before = describe_model(model).identity
    for name in ("added_tokens.json", "source.spm", "dict.txt"):
        forget_models()
        (Path(model) / name).write_text("{}")
        after = describe_model(model).identity
        assert after != before, name
        before = after
