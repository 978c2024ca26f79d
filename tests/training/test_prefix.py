from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny import CONFIGS, save_tiny_model
from tests.training.cases import SETTINGS, TRAIN, TRUTH, VAL, weights
from tests.zoo import save_tiny
from w2sprobe.labels import LabelTable
from w2sprobe.models import describe_model
from w2sprobe.training import trainer as trainer_module
from w2sprobe.training.classifiers import load_classifier
from w2sprobe.training.predict import predict
from w2sprobe.training.prefix import Prefix, shared_prefix
from w2sprobe.training.saved import SavedModel
from w2sprobe.training.settings import TrainSettings
from w2sprobe.training.trainer import finetune

CPU = torch.device("cpu")
TOKENS = [np.arange(4, 4 + n) for n in (3, 7, 12)]


@pytest.mark.parametrize("architecture", CONFIGS)
def test_a_prefix_computed_once_changes_nothing(
    architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without dropout, which a prefix leaves out, a run equals one that computes every block."""
    model = save_tiny_model(architecture, tmp_path / "model")
    upper = SETTINGS.model_copy(update={"lora_from_layer": 2})
    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.Dropout, "forward", lambda _, x: x)
        patch.setattr(torch.nn.functional, "dropout", lambda x, *_, **__: x)
        cached = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "cached", upper)
        patch.setattr(trainer_module, "shared_prefix", lambda *_, **__: None)
        plain = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "plain", upper)
    np.testing.assert_allclose(cached.record["train_loss"], plain.record["train_loss"], rtol=1e-4)
    np.testing.assert_allclose(
        cached.predict(VAL).soft_label, plain.predict(VAL).soft_label, atol=1e-4
    )
    assert not (tmp_path / "cached" / "checkpoints").exists()


def test_a_prefix_is_shared_by_runs_on_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    upper = SETTINGS.model_copy(update={"lora_from_layer": 1})
    place = tmp_path / "prefixes"
    first = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "1", upper, prefixes=place)
    monkeypatch.setattr(Prefix, "_compute", None)  # not called again
    flipped = LabelTable(TRUTH.ids, 1 - TRUTH.soft_label)
    finetune(model, TRAIN, flipped, VAL, tmp_path / "2", upper, prefixes=place)
    again = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "3", upper, prefixes=place)
    assert len(list(place.iterdir())) == 1
    assert weights(tmp_path / "1") == weights(tmp_path / "3") != weights(tmp_path / "2")
    np.testing.assert_array_equal(first.predict(VAL).soft_label, again.predict(VAL).soft_label)
    other = upper.model_copy(update={"lora_from_layer": 2})
    with pytest.raises(TypeError):
        finetune(model, TRAIN, TRUTH, VAL, tmp_path / "4", other, prefixes=place)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_predictions_share_a_prefix_too(
    architecture: str, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_tiny_model(architecture, tmp_path / "model")
    changes = {"lora_from_layer": 2, "epochs": 1, "precision": precision}
    place = tmp_path / "prefixes"
    run = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", SETTINGS.model_copy(update=changes))
    whole = run.predict(VAL)
    shared = run.predict(VAL, prefixes=place)
    # the same batches, so bfloat16 rounds alike
    np.testing.assert_allclose(shared.soft_label, whole.soft_label, atol=1e-6)
    np.testing.assert_array_equal(run.predict(VAL).soft_label, whole.soft_label)  # detached
    monkeypatch.setattr(Prefix, "_compute", None)  # not called again
    again = SavedModel.open(tmp_path / "run").predict(VAL, prefixes=place)
    np.testing.assert_array_equal(again.soft_label, shared.soft_label)


def test_predictions_of_all_blocks_have_no_prefix(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    settings = SETTINGS.model_copy(update={"epochs": 1})
    run = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", settings)
    run.predict(VAL, prefixes=tmp_path / "prefixes")
    assert not (tmp_path / "prefixes").exists()


@pytest.mark.parametrize("family", ["granite", "gemma3", "openai-gpt", "deberta", "mamba", "mpt"])
def test_a_prefix_of_families_of_any_kind(family: str, tmp_path: Path) -> None:
    """States below the first trained block are read from a file and give the same predictions."""
    info = describe_model(save_tiny(family, tmp_path / "model"))
    settings = TrainSettings(lora_from_layer=2)
    network = load_classifier(info, settings, precision="float32", pad_id=0, device=CPU)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.1)
    expected = predict(network, TOKENS, pad_id=0, device=CPU)
    prefix = shared_prefix(
        network, info, 2, TOKENS, precision="float32", pad_id=0, device=CPU, folder=tmp_path
    )
    found = predict(network, TOKENS, pad_id=0, device=CPU, feeding=prefix.feeding)
    prefix.detach()
    assert np.ptp(expected) > 1e-4
    np.testing.assert_allclose(found, expected, atol=1e-6)
    again = predict(network, TOKENS, pad_id=0, device=CPU)
    np.testing.assert_allclose(again, expected, atol=1e-6)
