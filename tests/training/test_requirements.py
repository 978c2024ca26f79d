import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import processors
from transformers.integrations.integration_utils import get_reporting_integration_callbacks

from tests.zoo import save_tiny
from w2sprobe.data import Rows
from w2sprobe.errors import InputError, MissingDependency
from w2sprobe.labels import LabelTable
from w2sprobe.models import describe_model, load_tokenizer
from w2sprobe.training import requirements
from w2sprobe.training.requirements import check_requirements, check_trainable
from w2sprobe.training.settings import TrainSettings
from w2sprobe.training.trainer import finetune


def test_four_bits_need_bitsandbytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "find_spec", lambda _: None)
    with pytest.raises(MissingDependency) as caught:
        check_requirements(TrainSettings(precision="4bit"))
    assert "4bit needs bitsandbytes. Run: pip install 'w2sprobe[4bit]'" in str(caught.value)
    check_requirements(TrainSettings())
    monkeypatch.setattr(requirements, "find_spec", lambda _: "found")
    check_requirements(TrainSettings(precision="4bit"))


@pytest.mark.parametrize("name", ["wandb", "azure_ml"])
def test_reporters_that_are_not_installed_are_named(name: str) -> None:
    get = get_reporting_integration_callbacks
    try:
        get([name])[0]()
    except RuntimeError:
        with pytest.raises(MissingDependency, match=f"--report-to {name}: .*install"):
            check_requirements(TrainSettings(report_to=f"none,{name}"))
    else:
        check_requirements(TrainSettings(report_to=f"none,{name}"))


def test_unknown_reporters_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    rows = Rows(np.array(["a"]), ["good"], np.array([1]))
    settings = TrainSettings(report_to="smoke-signals")
    with pytest.raises(InputError, match="smoke-signals is not supported"):
        finetune("no-model", rows, LabelTable(["a"], [1]), rows, tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()


def without_closing_token(model: str) -> None:
    tokenizer = load_tokenizer(model)
    tokenizer._tokenizer.post_processor = processors.TemplateProcessing(
        single="$A", special_tokens=[]
    )
    tokenizer.save_pretrained(model)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_a_classifier_that_reads_a_closing_token_needs_one(family: str, tmp_path: Path) -> None:
    model = save_tiny(family, tmp_path / "model")
    check_trainable(describe_model(model), TrainSettings())
    without_closing_token(model)
    with pytest.raises(InputError, match=rf"{family} classifiers read .* adds 0"):
        check_trainable(describe_model(model), TrainSettings())


def test_a_padding_token_that_closes_texts_is_refused(tmp_path: Path) -> None:
    model = save_tiny("t5", tmp_path / "model")
    config = Path(model) / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"pad_token_id": 3}))
    with pytest.raises(InputError, match=r"pads with it \(3\)"):
        check_trainable(describe_model(model), TrainSettings())


@pytest.mark.parametrize(
    ("family", "layer", "fine"),
    [
        ("llama", 2, True),
        ("llama", 3, False),
        ("deberta", 1, True),
        ("t5", 1, False),
        ("rwkv", 1, False),
        ("albert", 1, False),
        ("llava", 2, True),
    ],
)
def test_lora_from_a_layer_is_checked_before_training(
    family: str, layer: int, fine: bool, tmp_path: Path
) -> None:
    info = describe_model(save_tiny(family, tmp_path / "model"))
    settings = TrainSettings(lora_from_layer=layer)
    if fine:
        check_trainable(info, settings)
    else:
        with pytest.raises(InputError, match=rf"--lora-from-layer is {layer} for model .*{family}"):
            check_trainable(info, settings)
