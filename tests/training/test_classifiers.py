import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    BitsAndBytesConfig,
)

from tests.tiny import save_tiny_model, tiny_tokenizer
from tests.zoo import save_tiny
from w2sprobe import extract
from w2sprobe.errors import InputError
from w2sprobe.models import ModelInfo, describe_model, load_tokenizer
from w2sprobe.training import classifiers
from w2sprobe.training.classifiers import forget_base, load_classifier, load_trained
from w2sprobe.training.predict import predict
from w2sprobe.training.requirements import training_precision
from w2sprobe.training.settings import TrainSettings

CPU = torch.device("cpu")
TOKENS = [np.arange(4, 4 + n) for n in (3, 7, 12)]


def load(info: ModelInfo, precision: str = "float32", **settings: object) -> torch.nn.Module:
    wanted = TrainSettings(**settings)
    return load_classifier(info, wanted, precision=precision, pad_id=0, device=CPU)


def state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def shake(network: torch.nn.Module) -> None:
    """Change every trained parameter."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.normal_()


def enlarge_head(network: torch.nn.Module) -> None:
    """Give every model of one width the same large head, so that differences show in logits."""
    head = [
        module
        for module in network.modules()
        if isinstance(module, torch.nn.Linear) and module.out_features == 2
    ][-1]
    with torch.no_grad():
        head.weight.copy_(
            torch.randn(head.weight.shape, generator=torch.Generator().manual_seed(0))
        )


@pytest.fixture(params=["llama", "bert", "roberta"])
def info(request: pytest.FixtureRequest, tmp_path: Path) -> ModelInfo:
    forget_base()
    return describe_model(save_tiny_model(request.param, tmp_path / "model"))


def test_a_base_is_read_once_for_several_students(
    info: ModelInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(info)
    monkeypatch.setattr(classifiers, "classifier_class", None)
    second = load(info, seed=1)
    shared = {p.data_ptr() for p in first.parameters() if not p.requires_grad}
    assert shared >= {p.data_ptr() for p in second.parameters() if not p.requires_grad} - {
        p.data_ptr() for name, p in second.named_parameters() if "original_module" in name
    }
    forget_base()
    with pytest.raises(TypeError, match="not callable"):
        load(info)


def test_students_that_share_a_base_do_not_touch_one_another(info: ModelInfo) -> None:
    first = load(info)
    fresh, before = state(first), predict(first, TOKENS, pad_id=0, device=CPU)
    shake(load(info, seed=1))
    second = load(info)
    for name, tensor in second.state_dict().items():
        assert torch.equal(tensor, fresh[name]), name
    np.testing.assert_array_equal(predict(first, TOKENS, pad_id=0, device=CPU), before)
    shake(first)
    assert np.ptp(predict(first, TOKENS, pad_id=0, device=CPU) - before) > 0.01


def test_a_shared_base_gives_the_same_student_as_a_separate_one(info: ModelInfo) -> None:
    load(info, seed=3)
    shared = state(load(info, seed=5))
    forget_base()
    for name, tensor in load(info, seed=5).state_dict().items():
        assert torch.equal(tensor, shared[name]), name


def test_only_the_base_read_last_stays_in_memory(tmp_path: Path) -> None:
    one, two = (
        describe_model(save_tiny_model("llama", tmp_path / name, seed=seed))
        for seed, name in enumerate(("one", "two"))
    )
    frozen = weakref.ref(next(p for p in load(one).parameters() if not p.requires_grad))
    gc.collect()
    assert frozen() is not None, "kept for the next student"
    load(two)
    gc.collect()
    assert frozen() is None


@pytest.mark.parametrize("full", [False, True])
def test_the_head_starts_near_zero(info: ModelInfo, full: bool) -> None:
    found = predict(load(info, full=full), TOKENS, pad_id=0, device=CPU)
    assert np.abs(found - 0.5).max() < 0.01
    assert np.ptp(found) > 0


@pytest.mark.parametrize("full", [False, True])
def test_a_head_of_another_task_is_replaced(info: ModelInfo, full: bool, tmp_path: Path) -> None:
    other = AutoModelForSequenceClassification.from_pretrained(info.source, num_labels=3)
    other.save_pretrained(tmp_path / "other")
    tiny_tokenizer("bert", "right").save_pretrained(tmp_path / "other")
    found = describe_model(str(tmp_path / "other"))
    network = load(found, full=full)
    assert predict(network, TOKENS, pad_id=0, device=CPU).shape == (3,)
    trained = [name for name, p in network.named_parameters() if p.requires_grad]
    assert any("score" in name or "classifier" in name for name in trained)


def test_full_trains_every_weight_in_float32(info: ModelInfo) -> None:
    network = load(info, precision="bfloat16", full=True)
    assert all(p.requires_grad and p.dtype == torch.float32 for p in network.parameters())
    assert "lora" not in "".join(name for name, _ in network.named_parameters())
    computed_in = []
    for module in network.base_model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda *call: computed_in.append(call[-1].dtype))
    exact = load(info, full=True)
    for part in (network, exact):
        enlarge_head(part)
    logits = network(torch.tensor([[5, 6, 7]])).logits.detach()
    assert set(computed_in) == {torch.bfloat16}
    assert logits.dtype == torch.float32
    expected = exact(torch.tensor([[5, 6, 7]])).logits.detach()
    assert expected.abs().max() > 0.1
    np.testing.assert_allclose(logits, expected, atol=0.05 * expected.abs().max().item())


def test_what_is_trained_is_float32_over_a_bfloat16_base(info: ModelInfo) -> None:
    network = load(info, precision="bfloat16").train()
    dtypes = {name: p.dtype for name, p in network.named_parameters()}
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert {dtypes[name] for name in trained} == {torch.float32}
    assert torch.bfloat16 in {dtypes[name] for name in dtypes.keys() - trained}
    logits = network(torch.tensor([[5, 6, 7]])).logits
    assert logits.dtype == torch.float32
    logits.sum().backward()


@pytest.mark.parametrize("architecture", ["llama", "bert"])
def test_four_bits(architecture: str, tmp_path: Path) -> None:
    bitsandbytes = pytest.importorskip("bitsandbytes", reason="needs bitsandbytes")
    forget_base()
    # with AVX512-bfloat16, bitsandbytes packs weights in blocks of 64
    wide = {"hidden_size": 64, "intermediate_size": 64}
    wide |= {"head_dim": 32} if architecture == "llama" else {}
    info = describe_model(save_tiny_model(architecture, tmp_path / "model", **wide))
    network = load(info, precision="4bit")
    quantized = [m for m in network.modules() if isinstance(m, bitsandbytes.nn.Linear4bit)]
    assert len(quantized) >= 3 * 4
    trained = {p.dtype for p in network.parameters() if p.requires_grad}
    assert trained == {torch.float32}
    shared = load(info, precision="4bit", seed=1)
    shake(shared)
    found, expected = (
        part.get_base_model().base_model(torch.tensor([[5, 6, 7]])).last_hidden_state.detach()
        for part in (network, load(info))
    )
    assert 0 < (found - expected).norm() < 0.2 * expected.norm(), "4 bits, not garbage"
    assert np.ptp(predict(network, TOKENS, pad_id=0, device=CPU)) > 0


def save_in_four_bits(folder: Path) -> str:
    """A checkpoint whose weights are stored quantised, as bitsandbytes does it."""
    plain = save_tiny_model(
        "llama", folder / "plain", hidden_size=64, intermediate_size=64, head_dim=32
    )
    stored = AutoModelForCausalLM.from_pretrained(
        plain,
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32
        ),
        device_map={"": "cpu"},
    )
    stored.save_pretrained(folder / "stored")
    tiny_tokenizer("llama", "right").save_pretrained(folder / "stored")
    return str(folder / "stored")


def test_a_checkpoint_in_four_bits_is_recognised(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="needs bitsandbytes")
    info = describe_model(save_in_four_bits(tmp_path))
    assert info.quantization == "4bit"
    assert training_precision(info, TrainSettings(), CPU) == "4bit"
    assert training_precision(info, TrainSettings(precision="4bit"), CPU) == "4bit"
    for settings in ({"full": True}, {"precision": "float32"}):
        with pytest.raises(InputError, match=r"stored in 4 bits.*--precision auto or 4bit"):
            training_precision(info, TrainSettings(**settings), CPU)
    network = load(info, precision="4bit")
    assert {p.dtype for p in network.parameters() if p.requires_grad} == {torch.float32}
    assert np.ptp(predict(network, TOKENS, pad_id=0, device=CPU)) > 0


def test_a_checkpoint_in_four_bits_is_extracted(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="needs bitsandbytes")
    stored = save_in_four_bits(tmp_path)
    rows = [{"id": "a", "text": "good film"}, {"id": "b", "text": "bad food was it"}]
    found = extract(stored, rows, tmp_path / "store", dtype="float32").read(3)
    exact = extract(str(tmp_path / "plain"), rows, tmp_path / "exact").read(3)
    assert 0 < np.linalg.norm(found - exact) < 0.3 * np.linalg.norm(exact)


def test_an_adapter_that_lacks_a_tensor_is_refused(tmp_path: Path) -> None:
    info = describe_model(save_tiny_model("llama", tmp_path / "model"))
    load(info).save_pretrained(tmp_path / "run/adapter")
    load_trained(info, tmp_path / "run", precision="float32", pad_id=0, device=CPU)
    file = tmp_path / "run/adapter/adapter_model.safetensors"
    tensors = load_file(file)
    lost = next(name for name in tensors if "lora_B" in name)
    del tensors[lost]
    save_file(tensors, file)
    with (
        pytest.warns(UserWarning, match="missing adapter keys"),
        pytest.raises(InputError, match=r"missing tensors: .*lora_B.*; unexpected tensors: none"),
    ):
        load_trained(info, tmp_path / "run", precision="float32", pad_id=0, device=CPU)
    whole = file.read_bytes()
    save_file({f"_orig_mod.{name}": tensor for name, tensor in tensors.items()}, file)
    with pytest.raises(InputError, match="run/adapter"):
        load_trained(info, tmp_path / "run", precision="float32", pad_id=0, device=CPU)
    for content in (whole[:-40], b"version https://git-lfs.github.com/spec/v1"):
        file.write_bytes(content)
        with pytest.raises(InputError, match=r"adapter_model\.safetensors"):
            load_trained(info, tmp_path / "run", precision="float32", pad_id=0, device=CPU)


def test_a_run_of_all_weights_that_lacks_its_head_is_refused(tmp_path: Path) -> None:
    info = describe_model(save_tiny_model("llama", tmp_path / "model"))
    load(info, full=True).save_pretrained(tmp_path / "run/model")
    load_trained(info, tmp_path / "run", precision="float32", pad_id=0, device=CPU)
    file = tmp_path / "run/model/model.safetensors"
    tensors = load_file(file)
    del tensors["score.weight"]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"does not hold these weights .*score\.weight"):
        load_trained(info, tmp_path / "run", precision="float32", pad_id=0, device=CPU)


def test_positions_do_not_move_with_the_tokenizer_s_padding_token(tmp_path: Path) -> None:
    """RoBERTa counts positions from the id of the padding token that it was trained with."""
    model = save_tiny_model("roberta", tmp_path / "model", pad_token_id=1)
    info = describe_model(model)
    assert load_tokenizer(model).pad_token_id == 0
    assert info.pad_id == 1
    network = load_classifier(
        info, TrainSettings(), precision="float32", pad_id=info.pad_id, device=CPU
    )
    body = network.get_base_model().base_model
    plain = AutoModel.from_pretrained(model)
    tokens = torch.tensor([[2, 7, 8, 9, 3]])
    with torch.inference_mode():
        found, expected = (one(tokens).last_hidden_state for one in (body, plain))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_head_of_several_layers_is_trained_whole(tmp_path: Path) -> None:
    """Even if the checkpoint has a part of it, as DistilBERT's classifier does."""
    model = save_tiny("distilbert", tmp_path / "model")
    other = AutoModelForSequenceClassification.from_pretrained(model, num_labels=2)
    other.save_pretrained(model)
    forget_base()
    network = load(describe_model(model))
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert any("pre_classifier" in name and "modules_to_save" in name for name in trained)
    assert not any("classifier" in name and "lora" in name for name in trained)
    assert np.ptp(predict(network, TOKENS, pad_id=0, device=CPU)) > 0
