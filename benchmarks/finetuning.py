"""Finetuning: rows a second of three ways to take the same steps, in one run.

python -m benchmarks.finetuning [--rows N] [--model NAME] [--task NAME] [--epochs N] [--precision P]

One row at a time (accumulated to the same batches, as in the published code), batches by token
budget, and the same with LoRA on the upper half of the blocks and the lower half computed once.
Loading and evaluation are not timed; computing the prefix is timed by itself, as epochs and
students share it.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import TrainingArguments

from w2sprobe.data import load_splits
from w2sprobe.data.splits import SplitSizes
from w2sprobe.devices import resolve_precision
from w2sprobe.models import describe_model, load_tokenizer
from w2sprobe.tokens import tokenize
from w2sprobe.training.batches import EpochBatches, Example, micro_batches
from w2sprobe.training.classifiers import load_classifier
from w2sprobe.training.loop import BatchTrainer
from w2sprobe.training.losses import make_loss
from w2sprobe.training.predict import no_prefix
from w2sprobe.training.prefix import Prefix
from w2sprobe.training.settings import TrainSettings

TARGETS = {"batches by tokens": 2.2, "upper half, prefix cached": 2.0}
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Run:
    """What one way took, and the mean loss of its last epoch."""

    seconds: float
    prefix_seconds: float
    loss: float


def train(model: str, examples: list[Example], settings: TrainSettings, precision: str) -> Run:
    """Take all steps of some epochs; the same batches whatever the micro-batches."""
    info = describe_model(model)
    pad_id = info.pad_id
    classifier = load_classifier(info, settings, precision=precision, pad_id=pad_id, device=CPU)
    with tempfile.TemporaryDirectory() as place:
        start = time.perf_counter()
        prefix = None
        if settings.lora_from_layer:
            rows = [example["input_ids"] for example in examples]
            file = Path(place) / "prefix.npy"
            prefix = Prefix(
                classifier, settings.lora_from_layer, rows, pad_id=pad_id, device=CPU, file=file
            )
        prefix_seconds = time.perf_counter() - start
        arguments = TrainingArguments(
            output_dir=place,
            num_train_epochs=settings.epochs,
            learning_rate=settings.learning_rate,
            adam_beta2=0.95,
            weight_decay=settings.weight_decay,
            use_cpu=True,
            eval_strategy="no",
            save_strategy="no",
            logging_strategy="epoch",
            remove_unused_columns=False,
            report_to="none",
            disable_tqdm=True,
        )
        trainer = BatchTrainer(
            classifier,
            arguments,
            examples,
            settings,
            loss=make_loss(settings),
            pad_id=pad_id,
            validate=lambda _: (np.empty(0), {}),
            feeding=prefix.feeding if prefix else no_prefix,
        )
        start = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - start
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return Run(seconds, prefix_seconds, losses[-1])


def padding_waste(examples: list[Example], settings: TrainSettings) -> float:
    """Share of padding among all tokens of the first epoch's micro-batches."""
    batches = EpochBatches(len(examples), settings.batch_size, seed=settings.seed, step=lambda: 0)
    cut = (
        micro_batches([examples[row] for row in rows], 0, settings.micro_batch_tokens)
        for rows in batches
    )
    padded = sum(part["input_ids"].numel() for parts in cut for part, _ in parts)
    return 1 - sum(len(example["input_ids"]) for example in examples) / padded


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--task", default="bigbench:multiemo/all_sentence_en")
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()
    splits = load_splits(options.task, sizes=SplitSizes(2, options.rows, 2, 2))
    rows, info = splits.strong_train, describe_model(options.model)
    found = tokenize(
        load_tokenizer(info.source), rows.ids.tolist(), rows.texts, max_tokens=info.max_tokens
    )
    examples = [
        {"id": name, "position": at, "input_ids": row, "soft_label": float(label)}
        for at, (name, row, label) in enumerate(
            zip(rows.ids.tolist(), found.input_ids, rows.labels.tolist(), strict=True)
        )
    ]
    settings = TrainSettings(epochs=options.epochs, learning_rate=5e-4)
    ways = {
        "one row at a time": settings.model_copy(update={"micro_batch_tokens": 1}),
        "batches by tokens": settings,
        "upper half, prefix cached": settings.model_copy(
            update={"lora_from_layer": info.n_layers // 2}
        ),
    }
    precision = resolve_precision(options.precision, CPU)
    print(
        f"{options.model}, {len(examples)} rows of {found.lengths.mean():.0f} tokens, "
        f"{options.epochs} epochs, {precision}, {torch.get_num_threads()} threads; padding of "
        f"batches by tokens {100 * padding_waste(examples, settings):.1f} %"
    )
    before = 0.0
    for name, way in ways.items():
        run = train(options.model, examples, way, precision)
        rate = len(examples) * options.epochs / run.seconds
        ratio = f"{rate / before:5.2f} x (target {TARGETS[name]})" if before else ""
        once = f"  computing the prefix {run.prefix_seconds:.0f} s" if way.lora_from_layer else ""
        print(f"{name:27}{rate:7.2f} rows/s  loss {run.loss:.3f}  {ratio}{once}")
        before = rate


if __name__ == "__main__":
    main()
