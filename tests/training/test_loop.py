from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import TrainingArguments

from tests.tiny import save_tiny_model, sentences
from w2sprobe.models import describe_model, load_tokenizer
from w2sprobe.training.batches import Example
from w2sprobe.training.classifiers import load_classifier
from w2sprobe.training.loop import BatchTrainer
from w2sprobe.training.losses import make_loss
from w2sprobe.training.settings import TrainSettings

CPU = torch.device("cpu")
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def trainer_of(model: str, place: Path, settings: TrainSettings) -> BatchTrainer:
    info = describe_model(model)
    classifier = load_classifier(info, settings, precision="float32", pad_id=0, device=CPU)
    with torch.no_grad():  # a head near zero would leave nothing to compare
        for name, parameter in classifier.named_parameters():
            if parameter.requires_grad:
                generator = torch.Generator().manual_seed(len(name))
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return BatchTrainer(
        classifier,
        TrainingArguments(output_dir=str(place), use_cpu=True, report_to="none"),
        [],
        settings,
        loss=make_loss(settings),
        pad_id=0,
        validate=lambda _: (np.empty(0), {}),
    )


def batch_of(model: str) -> list[Example]:
    tokenizer = load_tokenizer(model)
    return [
        {
            "id": str(row),
            "position": row,
            "input_ids": np.array(tokenizer(text)["input_ids"]),
            "soft_label": row / 15,
        }
        for row, text in enumerate(sentences(16, seed=3))
    ]


def gradients(classifier: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: parameter.grad.clone()
        for name, parameter in classifier.named_parameters()
        if parameter.grad is not None
    }


@pytest.mark.parametrize("tokens", [1, 60, 10_000])
@pytest.mark.parametrize("loss", ["xent", "entropy"])
@pytest.mark.parametrize(("architecture", "config"), [("llama", {}), ("bert", NO_DROPOUT)])
def test_gradient_is_that_of_rows_one_by_one(
    architecture: str, config: dict[str, float], loss: str, tokens: int, tmp_path: Path
) -> None:
    model = save_tiny_model(architecture, tmp_path / "model", **config)
    settings = TrainSettings(loss=loss, micro_batch_tokens=tokens)
    trainer = trainer_of(model, tmp_path / "run", settings)
    trainer.state.max_steps, trainer.state.global_step = 10, 9  # warm-up of the loss is over
    batch, classifier = batch_of(model), trainer.model
    total = trainer.training_step(classifier, {"examples": batch})
    found = gradients(classifier)

    classifier.zero_grad()
    expected_total = 0.0
    for example in batch:
        logits = classifier(torch.tensor(example["input_ids"])[None]).logits
        part = make_loss(settings)(logits, torch.tensor([example["soft_label"]]), 1.0) / len(batch)
        part.backward()
        expected_total += part.item()
    expected = gradients(classifier)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        scale = gradient.abs().max().clamp_min(1e-3)
        assert (found[name] - gradient).abs().max() <= 1e-5 * scale, name
    assert total.item() == pytest.approx(expected_total, rel=1e-5)
    assert max(gradient.abs().max() for gradient in expected.values()) > 1e-3
