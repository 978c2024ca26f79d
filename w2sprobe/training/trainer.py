"""Finetuning a classifier on a LabelTable, through transformers' Trainer and peft.

The trainer sees texts and a table of labels; whether they are truth, weak, relabelled or filtered
is not its business. One optimiser step is one batch, cut into micro-batches of similar length that
add up to the gradient of the whole.
"""

import importlib.metadata
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback, TrainingArguments

from w2sprobe.atomic import write_json
from w2sprobe.data import Rows
from w2sprobe.devices import resolve_device
from w2sprobe.errors import InputError, W2SProbeError
from w2sprobe.fingerprint import fingerprint
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
from w2sprobe.tokens import tokenize
from w2sprobe.training import checkpoints
from w2sprobe.training._loop import BatchTrainer, Example
from w2sprobe.training.losses import make_loss
from w2sprobe.training.predict import from_tokens, predict
from w2sprobe.training.prefix import Prefix
from w2sprobe.training.saved import ADAPTER, RECORD, SavedModel, padding_token
from w2sprobe.training.settings import TrainSettings

ADAM_BETAS = (0.9, 0.95)
WARMUP_SHARE = 0.1  # of all steps, at most
RELOAD_TOLERANCE = 1e-3  # in probability; a lost head moves predictions by far more


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
    prefixes: Path | None = None,
) -> SavedModel:
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
        Folder for `adapter/` (an ordinary PEFT folder, head included) and `training.json`, which is
        written last. Until then `checkpoints/` lies there: a run that was killed goes on from it,
        to the weights that an uninterrupted one would have had.
    settings : TrainSettings
    device : str, default "auto"
    prefixes : Path, optional
        Folder in which prefixes (`lora_from_layer`) are kept for other runs on the same rows. None:
        this run's is removed at its end.

    Returns
    -------
    SavedModel
        Predicts from the reloaded adapter; its predictions have been compared with those that the
        run made at the end of the chosen epoch.

    Raises
    ------
    InputError
        Unknown model, loss or device; a text longer than the context; no rows left to train on;
        checkpoints of another run in `out`.
    IdMismatch
        A row has no label.
    W2SProbeError
        The loss became non-finite, or the saved adapter does not reproduce the run.
    """
    info = describe_model(model)
    place = resolve_device(device)
    precision = resolve_precision(settings.precision, place)
    tokenizer = load_tokenizer(info.source)
    pad_id = padding_token(tokenizer)

    def tokens(ids: Sequence[str], texts: Sequence[str]) -> list[np.ndarray]:
        return tokenize(
            tokenizer, ids, texts, max_tokens=info.max_tokens, truncate=settings.truncate
        ).input_ids

    table = labels.align(train.ids)
    train_tokens = tokens(train.ids.tolist(), train.texts)
    examples = [
        {"id": name, "position": position, "input_ids": row, "soft_label": soft}
        for position, name, row, soft, keep in zip(
            range(len(train)),
            train.ids.tolist(),
            train_tokens,
            table.soft_label.tolist(),
            table.keep,
            strict=True,
        )
        if keep
    ]
    if not examples:
        raise InputError("no rows left to train on: keep is False for all of them")
    loss = make_loss(settings, [example["soft_label"] for example in examples])
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
        from_layer=settings.lora_from_layer,
    )

    folder = checkpoints.claim(
        Path(out), _run_fingerprint(info, settings, precision, examples, val_tokens, val_truth)
    )
    prefix = None
    if settings.lora_from_layer:
        read = [*train_tokens, *val_tokens]
        made_of = [info.identity, precision, settings.lora_from_layer, [r.tolist() for r in read]]
        prefix = Prefix(
            classifier,
            settings.lora_from_layer,
            read,
            pad_id=pad_id,
            device=place,
            file=(prefixes or folder) / f"prefix-{fingerprint(made_of)}.npy",
        )

    def feeding_val(rows: np.ndarray) -> AbstractContextManager[None]:
        return prefix.feeding(len(train_tokens) + rows) if prefix else from_tokens(rows)

    def validate(network: torch.nn.Module) -> tuple[np.ndarray, float]:
        scores = predict(network, val_tokens, pad_id=pad_id, device=place, feeding=feeding_val)
        return scores, _validation_auc(val_truth, scores)

    trainer = BatchTrainer(
        classifier,
        _arguments(settings, len(examples), place, folder),
        examples,
        loss=loss,
        pad_id=pad_id,
        micro_batch_tokens=settings.micro_batch_tokens,
        validate=validate,
        feeding=prefix.feeding if prefix else from_tokens,
    )
    with progress_bar(f"training {info.name}", _n_steps(settings, len(examples))) as advance:
        trainer.add_callback(_Steps(advance))
        trainer.run(folder)
    if prefix:
        prefix.detach()
    adapter = Path(out) / ADAPTER
    classifier.save_pretrained(str(adapter))
    reloaded = load_trained(info, adapter, dtype=precision, pad_id=pad_id, device=place)
    best = checkpoints.state_of(Path(str(trainer.state.best_model_checkpoint)))
    again = predict(reloaded, val_tokens, pad_id=pad_id, device=place)
    _check_reload(np.array(best["val_scores"]), again, adapter)
    record = _record(info, settings, precision, len(examples), trainer)
    write_json(Path(out) / RECORD, record)
    shutil.rmtree(folder)
    return SavedModel(Path(out), record, info, reloaded, tokenizer, place)


class _Steps(TrainerCallback):
    """Moves a progress bar by each optimiser step."""

    def __init__(self, advance: Advance) -> None:
        self._advance = advance

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._advance(1)


def _run_fingerprint(
    info: ModelInfo,
    settings: TrainSettings,
    precision: str,
    examples: list[Example],
    val_tokens: list[np.ndarray],
    val_truth: np.ndarray,
) -> str:
    return fingerprint(
        {
            "model": info.identity,
            "settings": settings.model_dump(),
            "precision": precision,
            "train": [
                [row["id"], row["input_ids"].tolist(), row["soft_label"]] for row in examples
            ],
            "val": [[row.tolist() for row in val_tokens], val_truth.tolist()],
        }
    )


def _n_steps(settings: TrainSettings, n_rows: int) -> int:
    return settings.epochs * int(np.ceil(n_rows / settings.batch_size))


def _arguments(
    settings: TrainSettings, n_rows: int, device: torch.device, folder: Path
) -> TrainingArguments:
    # a run shorter than that is looked at once, at its end
    every = min(settings.eval_every, _n_steps(settings, n_rows)) or 1
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
        eval_strategy="steps" if settings.eval_every else "epoch",
        save_strategy="steps" if settings.eval_every else "epoch",
        eval_steps=every,
        save_steps=every,
        save_total_limit=2,  # the best one, and the newest or the one before it
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
    info: ModelInfo, settings: TrainSettings, precision: str, n_rows: int, trainer: BatchTrainer
) -> dict[str, Any]:
    looks = [entry for entry in trainer.state.log_history if "eval_auc" in entry]
    best = int(np.argmax([entry["eval_auc"] for entry in looks]))
    return {
        "model": info.name,
        "model_identity": info.identity,
        "settings": settings.model_dump(),
        "precision": precision,
        "n_rows": n_rows,
        "n_steps": trainer.state.global_step,
        "micro_batch_tokens": trainer.micro_batch_tokens,
        "train_loss": [e["loss"] for e in trainer.state.log_history if "loss" in e],
        "val_auc": [entry["eval_auc"] for entry in looks],
        "chosen_step": looks[best]["step"],
        "chosen_epoch": round(looks[best]["epoch"], 3),
        "versions": {
            package: importlib.metadata.version(package)
            for package in ("torch", "transformers", "peft")
        },
    }
