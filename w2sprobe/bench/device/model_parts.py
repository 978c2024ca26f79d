"""Extraction and finetuning on a device, by Llamas of random weights: speed depends on shapes."""

import tempfile
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from transformers import (
    LlamaConfig,
    LlamaModel,
    PreTrainedModel,
    TrainerCallback,
    TrainingArguments,
)

from w2sprobe.bench.device.row import Row, timed_on, wait_for
from w2sprobe.bench.device.sizes import Sizes
from w2sprobe.extraction.forward import Extractor
from w2sprobe.extraction.selftest import choose_rows, self_test
from w2sprobe.models import DTYPES, parameters_of
from w2sprobe.training.batches import Example
from w2sprobe.training.classifiers import random_classifier
from w2sprobe.training.loop import BatchTrainer
from w2sprobe.training.losses import make_loss
from w2sprobe.training.settings import TrainSettings

DTYPE = "bfloat16"
# operations per weight and token; frozen weights have no gradients of their own
FORWARD, FORWARD_AND_BACKWARD = 2.0, 4.0
UNTIMED_STEPS = 2  # the first ones allocate memory and choose kernels
SHORTEST = 0.5  # rows have half of the tokens to all of them


def extraction(
    device: torch.device, name: str, shape: dict[str, Any], sizes: Sizes
) -> Iterator[Row]:
    """States of all layers at the last token of each row, as `w2sprobe extract` computes them."""
    network = random_llama(shape, device)
    input_ids = random_rows(sizes.rows, sizes.tokens, shape["vocab_size"])
    kept = [np.array([len(row) - 1]) for row in input_ids]
    layers = range(shape["num_hidden_layers"] + 1)
    tested = choose_rows(np.array([len(row) for row in input_ids]))
    report = self_test(
        network,
        [input_ids[row] for row in tested],
        [kept[row] for row in tested],
        layers,
        average=False,
    )
    extractor = Extractor(network, average=False, dtype=DTYPE)
    extractor.states(input_ids[: sizes.rows // 4], kept[: sizes.rows // 4], layers)
    states, seconds = timed_on(device, partial(extractor.states, input_ids, kept, layers))
    # bfloat16 as bit patterns: an exponent of ones is infinity or NaN
    finite = all(bool((part & 0x7F80 != 0x7F80).all()) for part in states.values())
    check = (
        f"self-test: rows in a batch and alone differ by {report['max_relative_difference']:.1e}; "
        f"{'all' if finite else 'NOT all'} states finite; {extractor.batch_tokens} tokens per pass"
    )
    n_tokens = sum(map(len, input_ids))
    flops = FORWARD * _operations(network, shape, input_ids)
    yield Row(f"extraction, {name}", seconds, n_tokens, "tokens", flops, DTYPE, check, finite)


def finetuning(
    device: torch.device, name: str, shape: dict[str, Any], sizes: Sizes
) -> Iterator[Row]:
    """Optimiser steps of LoRA on all blocks, as `w2sprobe train` takes them."""
    settings = TrainSettings(epochs=1, micro_batch_tokens=0, learning_rate=5e-4)
    config = LlamaConfig(**shape, pad_token_id=0)
    classifier = random_classifier(config, settings, precision=DTYPE, device=device)
    n_steps = UNTIMED_STEPS + sizes.steps
    input_ids = random_rows(n_steps * settings.batch_size, sizes.tokens, shape["vocab_size"])
    steps = _StepTimes(device)
    trainer = _trained(classifier, input_ids, settings, device, steps)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    check = (
        f"loss {losses[0]:.3f} to {losses[-1]:.3f}; {trainer.micro_batch_tokens} tokens per pass"
    )
    # batches are drawn at random: the timed ones have their share of the tokens, on average
    share = sizes.steps / n_steps
    n_tokens = share * sum(map(len, input_ids))
    flops = share * FORWARD_AND_BACKWARD * _operations(classifier, shape, input_ids)
    seconds = steps.ends[-1] - steps.ends[-1 - sizes.steps]
    finite = bool(np.isfinite(losses).all())
    yield Row(f"finetuning, {name}", seconds, n_tokens, "tokens", flops, DTYPE, check, finite)


def _trained(
    classifier: PreTrainedModel | PeftModel,
    input_ids: list[np.ndarray],
    settings: TrainSettings,
    device: torch.device,
    steps: TrainerCallback,
) -> BatchTrainer:
    """Train for one epoch; labels alternate."""
    examples: list[Example] = [
        {"id": str(row), "position": row, "input_ids": tokens, "soft_label": float(row % 2)}
        for row, tokens in enumerate(input_ids)
    ]
    with tempfile.TemporaryDirectory() as folder:
        trainer = BatchTrainer(
            classifier,
            _arguments(folder, device),
            examples,
            settings,
            loss=make_loss(settings),
            pad_id=0,
            validate=lambda _: (np.empty(0), {}),
            callbacks=[steps],
        )
        trainer.train()
    return trainer


def random_llama(shape: dict[str, Any], device: torch.device) -> LlamaModel:
    """A Llama without head, of random weights in bfloat16, on its device from the start."""
    with device:
        built: Any = LlamaModel._from_config(  # type: ignore[no-untyped-call]
            LlamaConfig(**shape), dtype=DTYPES[DTYPE]
        )
    network: LlamaModel = built
    network.train(mode=False)
    return network


def random_rows(n_rows: int, longest: int, vocab_size: int) -> list[np.ndarray]:
    """Rows of random tokens, none of them 0; lengths are spread evenly."""
    random = np.random.default_rng(0)
    lengths = random.integers(max(1, round(SHORTEST * longest)), longest + 1, size=n_rows)
    return [random.integers(1, vocab_size, size=length) for length in lengths]


def _operations(
    network: torch.nn.Module, shape: dict[str, Any], input_ids: list[np.ndarray]
) -> float:
    """Products of all tokens with all weights and with one another, before the factor 2 or 4.

    As in `w2sprobe.models.forward_flops`: N, and blocks x tokens x width inside causal attention.
    """
    weights = parameters_of(network).blocks
    inside = shape["num_hidden_layers"] * shape["hidden_size"]
    return float(sum(len(row) * (weights + inside * len(row)) for row in input_ids))


def _arguments(folder: str, device: torch.device) -> TrainingArguments:
    """Steps and nothing else: no evaluation, no checkpoints."""
    arguments = TrainingArguments(
        output_dir=folder,
        num_train_epochs=1,
        use_cpu=device.type == "cpu",
        eval_strategy="no",
        save_strategy="no",
        logging_steps=1,
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=True,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


class _StepTimes(TrainerCallback):
    """When each optimiser step ended."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.ends: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        wait_for(self._device)
        self.ends.append(time.perf_counter())
