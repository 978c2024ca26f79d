"""Finetuning: rows a second of three ways to take the same steps, in one run.

python -m benchmarks.finetuning [--rows N] [--model NAME] [--task NAME] [--epochs N] [--precision P]

One row at a time (accumulated to the same batches, as in the published code), batches by token
budget, and the same with LoRA on the upper half of the blocks and the lower half computed once.
Loading and evaluation are not timed; computing the prefix is.
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
from w2sprobe.models import describe_model, load_classifier, load_tokenizer
from w2sprobe.tokens import length_sorted_batches, tokenize
from w2sprobe.training._loop import BatchTrainer, Example
from w2sprobe.training.losses import make_loss
from w2sprobe.training.predict import from_tokens
from w2sprobe.training.prefix import Prefix
from w2sprobe.training.saved import padding_token
from w2sprobe.training.trainer import resolve_precision

BATCH = 32
TARGETS = {"batches by tokens": 2.2, "upper half, prefix once": 2.0}


@dataclass(frozen=True)
class Run:
    """What one way took, and the mean loss of its last epoch."""

    seconds: float
    loss: float


def train(
    model: str, examples: list[Example], *, tokens: int, layer: int, epochs: int, precision: str
) -> Run:
    """Take all steps of some epochs; the same batches whatever the micro-batches."""
    info, device = describe_model(model), torch.device("cpu")
    pad_id = padding_token(load_tokenizer(info.source))
    classifier = load_classifier(
        info, dtype=precision, pad_id=pad_id, lora_rank=8, lora_alpha=8, seed=0, device=device,
        from_layer=layer,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        start = time.perf_counter()
        prefix = None
        if layer:
            rows = [example["input_ids"] for example in examples]
            prefix = Prefix(
                classifier, layer, rows, pad_id=pad_id, device=device, file=Path(place) / "p.npy"
            )
        trainer = BatchTrainer(
            classifier,
            TrainingArguments(
                output_dir=place,
                num_train_epochs=epochs,
                per_device_train_batch_size=BATCH,
                learning_rate=5e-4,
                adam_beta2=0.95,
                weight_decay=0.1,
                use_cpu=True,
                eval_strategy="no",
                save_strategy="no",
                logging_strategy="epoch",
                remove_unused_columns=False,
                report_to="none",
                disable_tqdm=True,
            ),
            examples,
            loss=make_loss("xent"),
            pad_id=pad_id,
            micro_batch_tokens=tokens,
            validate=lambda _: (np.empty(0), 0.0),
            feeding=prefix.feeding if prefix else from_tokens,
        )
        trainer.train()
        seconds = time.perf_counter() - start
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return Run(seconds, losses[-1])


def padding_waste(examples: list[Example], tokens: int) -> float:
    """Share of padding among all tokens of an epoch's micro-batches, in the order given."""
    real = padded = 0
    for start in range(0, len(examples), BATCH):
        batch = [len(example["input_ids"]) for example in examples[start : start + BATCH]]
        for rows in length_sorted_batches(np.array(batch), tokens):
            real += sum(batch[row] for row in rows)
            padded += max(batch[row] for row in rows) * len(rows)
    return 1 - real / padded


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
    precision = resolve_precision(options.precision, torch.device("cpu"))
    ways = {
        "one row at a time": (1, 0),
        "batches by tokens": (512, 0),
        "upper half, prefix once": (512, info.n_layers // 2),
    }
    print(
        f"{options.model}, {len(examples)} rows of {found.lengths.mean():.0f} tokens, "
        f"{options.epochs} epochs, {precision}, {torch.get_num_threads()} threads; padding of "
        f"batches by tokens {100 * padding_waste(examples, 512):.1f} %"
    )
    before = 0.0
    for name, (tokens, layer) in ways.items():
        run = train(
            options.model, examples, tokens=tokens, layer=layer, epochs=options.epochs,
            precision=precision,
        )  # fmt: skip
        rate = len(examples) * options.epochs / run.seconds
        ratio = f"{rate / before:5.2f} x (target {TARGETS[name]})" if before else ""
        print(f"{name:26}{rate:7.2f} rows/s  loss {run.loss:.3f}  {ratio}")
        before = rate


if __name__ == "__main__":
    main()
