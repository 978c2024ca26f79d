"""Finetuning a classifier on a LabelTable, through transformers' Trainer and peft.

The trainer sees texts and a table of labels; whether they are truth, weak, relabelled or filtered
is not its business. One optimiser step is one batch, cut into micro-batches of similar length that
add up to the gradient of the whole.
"""

import importlib.metadata
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from w2sprobe.atomic import write_json
from w2sprobe.data import Rows
from w2sprobe.devices import resolve_device
from w2sprobe.errors import InputError, W2SProbeError
from w2sprobe.labels import LabelTable
from w2sprobe.metrics import roc_auc
from w2sprobe.models import (
    ModelInfo,
    describe_model,
    load_classifier,
    load_tokenizer,
    load_trained,
)
from w2sprobe.progress import Advance, progress_bar
from w2sprobe.tokens import length_sorted_batches, pad, tokenize
from w2sprobe.training.losses import make_loss
from w2sprobe.training.predict import predict
from w2sprobe.training.settings import TrainSettings

ADAM_BETAS = (0.9, 0.95)
WARMUP_SHARE = 0.1  # of all steps, at most
# The weight of an auxiliary loss grows over 100 steps as published, at most over a fifth of the
# run: Burns et al., arXiv 2312.09390, warm it up over the first 20 % of training.
RAMP_STEPS, RAMP_SHARE = 100, 0.2
RELOAD_TOLERANCE = 1e-3  # in probability; a lost head moves predictions by far more

Example = dict[str, Any]  # input_ids: ndarray of int, soft_label: float


@dataclass(frozen=True)
class TrainedModel:
    """A finished run: `adapter` and `training.json` in `folder`, ready to predict.

    Parameters
    ----------
    folder : Path
    record : dict
        What `training.json` holds: settings, steps, validation AUC an epoch, chosen epoch.
    """

    folder: Path
    record: dict[str, Any]
    _classifier: PeftModel
    _predict: Callable[[Sequence[str], Sequence[str]], np.ndarray]

    def predict(self, rows: Rows) -> LabelTable:
        """P(label = 1) of each row, from the weights as they were saved and reloaded."""
        return LabelTable(rows.ids, self._predict(rows.ids.tolist(), rows.texts))


def resolve_precision(precision: str, device: torch.device) -> str:
    """`auto` is bfloat16 where the device multiplies it in hardware, else float32."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported()
    else:
        fast = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "bfloat16" if fast else "float32"


def finetune(
    model: str,
    train: Rows,
    labels: LabelTable,
    val: Rows,
    out: str | Path,
    settings: TrainSettings,
    *,
    device: str = "auto",
) -> TrainedModel:
    """Finetune a classifier with LoRA and keep the epoch that ranks the validation rows best.

    Parameters
    ----------
    model : str
        Asset name, local folder or hub name of the base model.
    train, val : Rows
        Only ids and texts are read; labels come from `labels`.
    labels : LabelTable
        Soft labels of all rows of `train` and `val`; rows of `train` with keep False are left out.
    out : str or Path
        Folder for `adapter/` (an ordinary PEFT folder, head included) and `training.json`.
    settings : TrainSettings
    device : str, default "auto"

    Returns
    -------
    TrainedModel
        Predicts from the reloaded adapter; its predictions have been compared with those that the
        run made at the end of the chosen epoch.

    Raises
    ------
    InputError
        Unknown model, loss or device; a text longer than the context; no rows left to train on.
    IdMismatch
        A row has no label.
    W2SProbeError
        The loss became non-finite, or the saved adapter does not reproduce the run.
    """
    loss = make_loss(settings.loss)
    info = describe_model(model)
    place = resolve_device(device)
    precision = resolve_precision(settings.precision, place)
    tokenizer = load_tokenizer(info.source)
    pad_id = next(
        (token for token in (tokenizer.pad_token_id, tokenizer.eos_token_id) if token is not None),
        0,
    )

    def tokens(ids: Sequence[str], texts: Sequence[str]) -> list[np.ndarray]:
        return tokenize(
            tokenizer, ids, texts, max_tokens=info.max_tokens, truncate=settings.truncate
        ).input_ids

    table = labels.align(train.ids)
    examples = [
        {"input_ids": row, "soft_label": soft}
        for row, soft, keep in zip(
            tokens(train.ids.tolist(), train.texts), table.soft_label, table.keep, strict=True
        )
        if keep
    ]
    if not examples:
        raise InputError("no rows left to train on: keep is False for all of them")
    val_tokens = tokens(val.ids.tolist(), val.texts)
    val_truth = labels.align(val.ids).hard_label

    classifier = load_classifier(
        info,
        dtype=precision,
        pad_id=pad_id,
        lora_rank=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        seed=settings.seed,
        device=place,
    )

    def score(network: torch.nn.Module, rows: list[np.ndarray]) -> np.ndarray:
        return predict(network, rows, pad_id=pad_id, device=place)

    val_scores: list[np.ndarray] = []  # an epoch each

    def validate(network: torch.nn.Module) -> float:
        val_scores.append(score(network, val_tokens))
        return _validation_auc(val_truth, val_scores[-1])

    with tempfile.TemporaryDirectory() as checkpoints:
        trainer = _Trainer(
            classifier,
            _arguments(settings, len(examples), place, Path(checkpoints)),
            examples,
            loss=loss,
            pad_id=pad_id,
            micro_batch_tokens=settings.micro_batch_tokens,
            validate=validate,
        )
        with progress_bar(f"training {info.name}", _n_steps(settings, len(examples))) as advance:
            trainer.add_callback(_Steps(advance))
            trainer.train()
        adapter = Path(out) / "adapter"
        classifier.save_pretrained(str(adapter))
        reloaded = load_trained(info, adapter, dtype=precision, pad_id=pad_id, device=place)
        record = _record(info, settings, precision, len(examples), trainer)
        chosen = val_scores[record["chosen_epoch"] - 1]
        _check_reload(chosen, score(reloaded, val_tokens), adapter)
    write_json(Path(out) / "training.json", record)
    return TrainedModel(
        Path(out), record, reloaded, lambda ids, texts: score(reloaded, tokens(ids, texts))
    )


class _Steps(TrainerCallback):
    """Moves a progress bar by each optimiser step."""

    def __init__(self, advance: Advance) -> None:
        self._advance = advance

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._advance(1)


class _Trainer(Trainer):
    """transformers' Trainer with exact micro-batches and validation that touches no loss state."""

    def __init__(
        self,
        classifier: PeftModel,
        arguments: TrainingArguments,
        examples: list[Example],
        *,
        loss: Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor],
        pad_id: int,
        micro_batch_tokens: int,
        validate: Callable[[torch.nn.Module], float],
    ) -> None:
        self._loss = loss
        self._validate = lambda: validate(classifier)
        super().__init__(
            model=classifier,
            args=arguments,
            train_dataset=examples,
            eval_dataset=[],
            data_collator=lambda batch: {
                "micro_batches": _micro_batches(batch, pad_id, micro_batch_tokens)
            },
        )
        self.remove_callback(PrinterCallback)  # stdout belongs to results

    def training_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        num_items_in_batch: torch.Tensor | int | None = None,  # noqa: ARG002 - counts tokens
    ) -> torch.Tensor:
        """Add up the gradient of the batch's mean loss, one micro-batch at a time.

        Raises
        ------
        W2SProbeError
            The loss is not finite.
        """
        model.train()
        batches = self._prepare_inputs(inputs)["micro_batches"]
        n_rows = sum(len(batch["soft_label"]) for batch in batches)
        ramp_steps = min(RAMP_STEPS, int(np.ceil(RAMP_SHARE * self.state.max_steps)))
        ramp = min(1.0, self.state.global_step / ramp_steps)
        total = torch.zeros((), device=self.args.device)
        for batch in batches:
            soft = batch.pop("soft_label")
            part = self._loss(model(**batch).logits, soft, ramp) * (len(soft) / n_rows)
            self.accelerator.backward(part)
            total += part.detach()
        if not torch.isfinite(total):
            raise W2SProbeError(
                f"loss is {total.item()} at step {self.state.global_step + 1}, "
                f"learning rate {self._get_learning_rate():.2e}",
                advice="Lower --learning-rate.",
            )
        return total

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Validation AUC against the given labels."""
        metrics = {"eval_auc": self._validate()}  # type: ignore[no-untyped-call]
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics


def _n_steps(settings: TrainSettings, n_rows: int) -> int:
    return settings.epochs * int(np.ceil(n_rows / settings.batch_size))


def _arguments(
    settings: TrainSettings, n_rows: int, device: torch.device, folder: Path
) -> TrainingArguments:
    warmup = int(np.ceil(WARMUP_SHARE * _n_steps(settings, n_rows)))
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=min(settings.warmup_steps, warmup),
        weight_decay=settings.weight_decay,
        adam_beta1=ADAM_BETAS[0],
        adam_beta2=ADAM_BETAS[1],
        max_grad_norm=1.0,
        use_cpu=device.type == "cpu",
        eval_strategy="epoch",
        save_strategy="epoch",
        save_only_model=True,
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="auc",
        greater_is_better=True,
        logging_strategy="epoch",
        remove_unused_columns=False,
        dataloader_pin_memory=device.type == "cuda",
        report_to="none",
        disable_tqdm=True,
        seed=settings.seed,
    )


def _micro_batches(
    examples: Sequence[Example], pad_id: int, max_tokens: int
) -> list[dict[str, torch.Tensor]]:
    lengths = np.array([len(example["input_ids"]) for example in examples])
    return [
        {
            **pad([examples[row]["input_ids"] for row in rows], pad_id),
            "soft_label": torch.tensor([examples[row]["soft_label"] for row in rows]).float(),
        }
        for rows in length_sorted_batches(lengths, max_tokens)
    ]


def _validation_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """AUC, or 0 for every epoch where the given labels hold one class: the first epoch stays."""
    return roc_auc(labels, scores) if 0 < labels.mean() < 1 else 0.0


def _check_reload(run: np.ndarray, reloaded: np.ndarray, adapter: Path) -> None:
    difference = float(np.abs(run - reloaded).max(initial=0))
    if not difference <= RELOAD_TOLERANCE:
        raise W2SProbeError(
            f"reloaded adapter predicts differently: by up to {difference:.3g}",
            where=str(adapter),
            allowed=f"{RELOAD_TOLERANCE}",
        )


def _record(
    info: ModelInfo, settings: TrainSettings, precision: str, n_rows: int, trainer: Trainer
) -> dict[str, Any]:
    epochs = [entry for entry in trainer.state.log_history if "eval_auc" in entry]
    best = int(np.argmax([entry["eval_auc"] for entry in epochs]))
    return {
        "model": info.name,
        "model_identity": info.identity,
        "settings": settings.model_dump(),
        "precision": precision,
        "n_rows": n_rows,
        "n_steps": trainer.state.global_step,
        "train_loss": [e["loss"] for e in trainer.state.log_history if "loss" in e],
        "val_auc": [entry["eval_auc"] for entry in epochs],
        "chosen_epoch": best + 1,
        "versions": {
            package: importlib.metadata.version(package)
            for package in ("torch", "transformers", "peft")
        },
    }
