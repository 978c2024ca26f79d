import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM

from tests.models.cases import set_config
from tests.tiny import save_tiny_model, sentences
from tests.training.test_zero_shot import ANSWERS, rows
from w2sprobe import extract
from w2sprobe.errors import InputError
from w2sprobe.models import describe_model, forget_models, load_base
from w2sprobe.training.classifiers import forget_base, load_classifier
from w2sprobe.training.settings import TrainSettings
from w2sprobe.training.zero_shot import zero_shot

CPU = torch.device("cpu")
ROWS = [{"id": f"r{number}", "text": text} for number, text in enumerate(sentences(8))]


@pytest.fixture(autouse=True)
def _load_anew() -> None:
    forget_base()


def rewrite(model: str, change) -> None:
    """Change the tensors of a saved model."""
    file = Path(model) / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def load_by(kind: str, model: str) -> object:
    info = describe_model(model)
    if kind == "base":
        return load_base(info, "float32", CPU)
    return load_classifier(
        info, TrainSettings(full=kind == "full"), precision="float32", pad_id=0, device=CPU
    )


@pytest.mark.parametrize("kind", ["base", "lora", "full"])
@pytest.mark.parametrize("prefix", ["_orig_mod.", "module."])
def test_keys_with_a_prefix_are_refused(kind: str, prefix: str, tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    rewrite(model, lambda tensors: {prefix + name: tensor for name, tensor in tensors.items()})
    with pytest.raises(InputError, match=r"does not hold these weights of LlamaModel: .*more") as e:
        load_by(kind, model)
    assert f"'{prefix}" in str(e.value), "says what the file holds instead"


@pytest.mark.parametrize("kind", ["base", "lora", "full"])
@pytest.mark.parametrize("architecture", ["llama", "bert", "roberta"])
def test_a_block_that_the_file_lacks_is_refused(
    kind: str, architecture: str, tmp_path: Path
) -> None:
    model = save_tiny_model(architecture, tmp_path / "model")
    set_config(model, num_hidden_layers=4)
    with pytest.raises(InputError, match=r"does not hold these weights .*\.3\..* more"):
        load_by(kind, model)


@pytest.mark.parametrize("kind", ["base", "lora", "full"])
def test_tensors_of_another_shape_are_refused(kind: str, tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    set_config(model, intermediate_size=48)
    with pytest.raises(InputError, match=r"has shape \(.*\) in the file, \(.*48.*\) in the model"):
        load_by(kind, model)


@pytest.mark.parametrize("kind", ["base", "lora", "full"])
def test_one_missing_tensor_is_named(kind: str, tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    lost = "model.layers.1.mlp.up_proj.weight"
    rewrite(model, lambda tensors: {n: t for n, t in tensors.items() if n != lost})
    with pytest.raises(InputError, match=r"layers\.1\.mlp\.up_proj\.weight'"):
        load_by(kind, model)


def test_blocks_that_the_config_leaves_out_are_named(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    set_config(model, num_hidden_layers=2)
    with pytest.warns(UserWarning, match=r"weights that its config leaves out: .*layers\.2"):
        load_by("base", model)


def test_a_missing_pooler_or_head_is_fine(tmp_path: Path) -> None:
    model = save_tiny_model("bert", tmp_path / "model")  # of masked language modelling: no pooler
    assert not any("pooler" in name for name in load_file(Path(model) / "model.safetensors"))
    load_by("base", model)
    with pytest.warns(UserWarning, match=r"bert\.pooler.* start at random"):
        load_by("lora", model)


def test_zero_shot_checks_its_weights(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    lost = "model.norm.weight"
    rewrite(model, lambda tensors: {n: t for n, t in tensors.items() if n != lost})
    with pytest.raises(InputError, match=r"does not hold these weights .*norm\.weight"):
        zero_shot(model, rows(4, 1, "r"), answers=ANSWERS)


def test_nothing_is_written_where_weights_are_missing(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    set_config(model, num_hidden_layers=4)
    with pytest.raises(InputError, match="does not hold"):
        extract(model, ROWS, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_sharded_safetensors(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    whole = AutoModelForCausalLM.from_pretrained(model)
    (tmp_path / "model/model.safetensors").unlink()
    whole.save_pretrained(model, max_shard_size="20KB")
    shards = sorted(Path(model).glob("model-*.safetensors"))
    assert len(shards) > 2
    found = load_by("base", model).state_dict()
    for name, tensor in AutoModel.from_pretrained(model).state_dict().items():
        assert torch.equal(found[name], tensor), name
    forget_models()
    shards[1].unlink()
    with pytest.raises(InputError, match=shards[1].name):
        load_by("base", model)


def test_an_index_that_is_not_read_does_not_matter(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    left = Path(model) / "pytorch_model.bin.index.json"
    left.write_text(json.dumps({"weight_map": {"model.norm.weight": "pytorch_model-00001.bin"}}))
    load_by("base", model)


def test_weights_that_the_config_leaves_out_are_named(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    rewrite(model, lambda all_: all_ | {"model.layers.0.self_attn.q_proj.bias": torch.ones(32)})
    for kind in ("base", "lora"):
        with pytest.warns(UserWarning, match=r"leaves out: .*q_proj\.bias"):
            load_by(kind, model)
