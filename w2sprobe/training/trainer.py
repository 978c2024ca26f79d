"""Finetuning a classifier on a LabelTable, through transformers' Trainer and peft.

The trainer sees texts and a table of labels; it cannot tell true, weak, relabelled and filtered
labels apart. One optimiser step is one batch, cut into micro-batches of similar length whose
gradients add up to that of the batch.
"""

import importlib.metadata
import shutil
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
)

from w2sprobe.atomic import write_json
from w2sprobe.data import Rows
from w2sprobe.devices import rank_and_world, resolve_device
from w2sprobe.errors import InputError, W2SProbeError
from w2sprobe.fingerprint import fingerprint
from w2sprobe.labels import LabelTable
from w2sprobe.models import FOUR_BITS, ModelInfo, describe_model, load_tokenizer
from w2sprobe.progress import Advance, progress_bar
from w2sprobe.tokens import warn_of_changes
from w2sprobe.training import checkpoints
from w2sprobe.training.batches import Example
from w2sprobe.training.classifier_classes import classifier_tokens
from w2sprobe.training.classifiers import (
    ADAPTER,
    WEIGHTS,
    load_classifier,
    load_trained,
)
from w2sprobe.training.loop import SELECTION_SCORE, BatchTrainer
from w2sprobe.training.losses import Loss, make_loss, window_radius
from w2sprobe.training.predict import PrefixContext, check_independence, no_prefix, predict
from w2sprobe.training.prefix import Prefix, shared_prefix
from w2sprobe.training.reports import report_callbacks
from w2sprobe.training.requirements import (
    check_requirements,
    check_trainable,
    training_precision,
)
from w2sprobe.training.saved import RECORD, SavedModel, write_validation
from w2sprobe.training.settings import STOPPING_RULES, TrainSettings
from w2sprobe.training.stopping import ValidationScores, undefined, validation_scores

ADAM_BETAS = (0.9, 0.95)
WARMUP_SHARE = 0.1  # of all steps, at most
RELOAD_TOLERANCE = 1e-3  # in probability; a lost head moves predictions by far more


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
    """Finetune a classifier and keep its best checkpoint, chosen by `early_stopping`.

    A killed run continues from its last checkpoint, to the weights that an uninterrupted run would
    have had; a finished one is opened. Processes of torchrun or `accelerate launch` share every
    batch, and the first one writes.

    Parameters
    ----------
    model : str
        Asset name, local folder or hub name of the base model.
    train, val : Rows
        Only ids and texts are read; labels come from `labels`.
    labels : LabelTable
        Soft labels of all rows; rows of `train` with keep False are left out.
    out : str or Path
        Folder for `adapter/` (a PEFT folder, head included; with `full` for `model/`, a
        transformers folder), `validation.parquet` (predictions at every evaluation) and
        `training.json`, written last. `checkpoints/` is removed at the end.
    prefixes : Path, optional
        Folder that keeps prefixes (`lora_from_layer`) for other runs on the same rows.

    Returns
    -------
    SavedModel
        Loaded again from `out`, and checked against the best checkpoint's predictions.

    Raises
    ------
    InputError
        Unknown model, loss or device, or a GPU that is not the first; a text longer than the
        context; no rows to train on, or none to validate; another run in `out`.
    IdMismatch
        A row has no label.
    MissingDependency
        `precision` or `report_to` needs a package that is not installed.
    OutputError
        A checkpoint cannot be written; the last complete one is kept.
    W2SProbeError
        The loss became non-finite, or what was saved does not reproduce the run.

    Warns
    -----
    UserWarning
        `early_stopping` is undefined on these labels; the record has it under `warnings`.
    """
    folder = Path(out)
    base = _describe(model, settings, device)
    data = _tokenize(base, train, labels, val)
    loss = make_loss(settings, data.soft_labels)
    run = _run_fingerprint(base, data)
    if (folder / RECORD).is_file():
        return _open_finished(folder, run, device)

    arguments = _training_arguments(settings, len(data.examples), base.device, folder)
    classifier = _load(base, data)
    with arguments.main_process_first(local=False):
        unfinished = checkpoints.claim(folder, run)
    prefix = _attach_prefix(base, data, classifier, arguments, prefixes or unfinished)
    trainer = _make_trainer(base, data, classifier, arguments, loss, prefix, folder)
    n_steps = _n_steps(settings, len(data.examples))
    with progress_bar(f"training {base.info.name}", n_steps) as advance:
        trainer.add_callback(_Steps(advance))
        trainer.run(unfinished)
    # read now: once the processes part, in `_save`, the first one may remove the checkpoints
    expected = _best_predictions(base, data, trainer, classifier, prefix)
    reloaded = _save(base, data, trainer, folder, expected)
    record = _record(base, data, trainer) | {
        "run": run,
        "rows": train.content,
    }
    if arguments.should_save:
        _finish(folder, record, val)
    return SavedModel(folder, record, base.info, reloaded, base.tokenizer, base.device)


@dataclass(frozen=True)
class _Base:
    """Base model and settings, checked; no weights are loaded."""

    info: ModelInfo
    settings: TrainSettings
    precision: str
    device: torch.device
    tokenizer: PreTrainedTokenizerBase

    def tokens(self, rows: Rows) -> list[np.ndarray]:
        tokens = classifier_tokens(self.info, self.tokenizer, rows, truncate=self.settings.truncate)
        warn_of_changes(tokens, self.info.name, self.info.max_tokens)
        return tokens.input_ids

    def predict(
        self,
        classifier: torch.nn.Module,
        input_ids: Sequence[np.ndarray],
        feeding: PrefixContext = no_prefix,
    ) -> np.ndarray:
        return predict(
            classifier, input_ids, pad_id=self.info.pad_id, device=self.device, feeding=feeding
        )


@dataclass(frozen=True)
class _Data:
    """Tokens and labels of a run."""

    train_tokens: list[np.ndarray]  # of all training rows, as in a prefix
    examples: list[Example]  # the training rows that are kept
    val_tokens: list[np.ndarray]
    val_labels: LabelTable

    @property
    def soft_labels(self) -> list[float]:
        return [example["soft_label"] for example in self.examples]


def _describe(model: str, settings: TrainSettings, device: str) -> _Base:
    check_requirements(settings)
    info = describe_model(model)
    resolved = resolve_device(device)
    check_trainable(info, settings)
    precision = training_precision(info, settings, resolved)
    return _Base(info, settings, precision, resolved, load_tokenizer(info.source))


def _tokenize(base: _Base, train: Rows, labels: LabelTable, val: Rows) -> _Data:
    train_tokens = base.tokens(train)
    examples = _examples(labels.align(train.ids), train_tokens)
    if not examples:
        raise InputError("no rows left to train on: keep is False for all of them")
    if not len(val):
        raise InputError("no validation rows; early stopping needs at least one")
    return _Data(train_tokens, examples, base.tokens(val), labels.align(val.ids))


def _open_finished(out: Path, run: str, device: str) -> SavedModel:
    saved = SavedModel.open(out, device)
    if saved.record.get("run") != run:
        raise InputError(
            f"the folder holds a finished run with other {checkpoints.IDENTITY}",
            where=str(out),
            advice="Choose another folder, or remove this one.",
        )
    return saved


def _load(base: _Base, data: _Data) -> PreTrainedModel | PeftModel:
    pad_id = base.info.pad_id
    classifier = load_classifier(
        base.info, base.settings, precision=base.precision, pad_id=pad_id, device=base.device
    )
    if base.precision != FOUR_BITS:  # bitsandbytes packs weights for good when it first predicts
        check_independence(
            classifier,
            data.train_tokens,
            pad_id=pad_id,
            device=base.device,
            precision=base.precision,
        )
    return classifier


def _attach_prefix(
    base: _Base,
    data: _Data,
    classifier: PreTrainedModel | PeftModel,
    arguments: TrainingArguments,
    folder: Path,
) -> Prefix | None:
    if not base.settings.lora_from_layer or not isinstance(classifier, PeftModel):
        return None
    with arguments.main_process_first(local=False):  # the others read what it computes
        return shared_prefix(
            classifier,
            base.info,
            base.settings.lora_from_layer,
            [*data.train_tokens, *data.val_tokens],
            precision=base.precision,
            pad_id=base.info.pad_id,
            device=base.device,
            folder=folder,
        )


def _make_trainer(
    base: _Base,
    data: _Data,
    classifier: PreTrainedModel | PeftModel,
    arguments: TrainingArguments,
    loss: Loss,
    prefix: Prefix | None,
    out: Path,
) -> BatchTrainer:
    def feeding_val(rows: np.ndarray) -> AbstractContextManager[None]:
        # row numbers of a prefix run over all training rows, then all validation rows
        return prefix.feeding(len(data.train_tokens) + rows) if prefix else no_prefix(rows)

    def validate(network: torch.nn.Module) -> tuple[np.ndarray, ValidationScores]:
        scores = base.predict(network, data.val_tokens, feeding_val)
        return scores, validation_scores(data.val_labels, scores)

    return BatchTrainer(
        classifier,
        arguments,
        data.examples,
        base.settings,
        loss=loss,
        pad_id=base.info.pad_id,
        validate=validate,
        feeding=prefix.feeding if prefix else no_prefix,
        callbacks=report_callbacks(base.settings, out) if arguments.should_save else [],
    )


def _best_predictions(
    base: _Base,
    data: _Data,
    trainer: BatchTrainer,
    classifier: PreTrainedModel | PeftModel,
    prefix: Prefix | None,
) -> np.ndarray:
    """Validation predictions of the best checkpoint, whose weights the classifier has."""
    if prefix:
        # In bfloat16 a prediction depends on the shape of its batch; a prefix was computed in
        # batches of other rows than the reloaded model will see.
        prefix.detach()
        return base.predict(classifier, data.val_tokens)
    best = checkpoints.state_of(Path(str(trainer.state.best_model_checkpoint)))
    return np.array(best["val_scores"])


def _save(
    base: _Base, data: _Data, trainer: BatchTrainer, out: Path, expected: np.ndarray
) -> PreTrainedModel | PeftModel:
    """Write the trained weights, load them again, and compare validation predictions.

    Raises
    ------
    W2SProbeError
        The reloaded model does not predict `expected`.
    """
    saved_to = out / (WEIGHTS if base.settings.full else ADAPTER)
    trainer.save(saved_to)
    trainer.release()
    if base.settings.full and trainer.args.should_save:
        base.tokenizer.save_pretrained(str(saved_to))
    reloaded = load_trained(
        base.info, out, precision=base.precision, pad_id=base.info.pad_id, device=base.device
    )
    predicted = base.predict(reloaded, data.val_tokens)
    difference = float(np.abs(expected - predicted).max(initial=0))
    if not difference <= RELOAD_TOLERANCE:  # NaN fails too
        raise W2SProbeError(
            f"what was saved predicts differently from the run: by up to {difference:.3g}",
            where=str(saved_to),
            allowed=f"{RELOAD_TOLERANCE}",
        )
    return reloaded


class _Steps(TrainerCallback):
    """Progress bar of optimiser steps; also mends the path of the best checkpoint."""

    def __init__(self, advance: Advance) -> None:
        self._advance = advance

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, *_: Any, **__: Any
    ) -> None:
        # a checkpoint names the best one by its path; the run may have been moved since
        if state.best_global_step:
            best = Path(str(args.output_dir)) / f"checkpoint-{state.best_global_step}"
            state.best_model_checkpoint = str(best)

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._advance(1)


def _finish(out: Path, record: dict[str, Any], val: Rows) -> None:
    """Keep the validation predictions, write the record, and remove the checkpoints."""
    unfinished = out / checkpoints.FOLDER
    evaluations = checkpoints.predictions(unfinished, record["val_step"])
    if evaluations:
        write_validation(out, val.ids, evaluations)
    write_json(out / RECORD, record)
    shutil.rmtree(unfinished)
    for message in record["warnings"]:
        warnings.warn(message, stacklevel=3)


def _examples(labels: LabelTable, input_ids: list[np.ndarray]) -> list[Example]:
    """Rows that are kept; `position` is a row's number among all training rows, as in a prefix."""
    rows = zip(labels.ids.tolist(), input_ids, labels.soft_label.tolist(), strict=True)
    return [
        {"id": name, "position": position, "input_ids": tokens, "soft_label": soft}
        for position, (name, tokens, soft) in enumerate(rows)
        if labels.keep[position]
    ]


def _run_fingerprint(base: _Base, data: _Data) -> str:
    """Hash of everything that the weights depend on."""
    return fingerprint(
        {
            "model": base.info.identity,
            "settings": base.settings.identity,
            "precision": base.precision,
            "processes": rank_and_world()[1],  # each has its own state
            "train": [
                [row["id"], row["input_ids"].tolist(), row["soft_label"]] for row in data.examples
            ],
            "val": [
                [row.tolist() for row in data.val_tokens],
                data.val_labels.soft_label.tolist(),
            ],
        }
    )


def _n_steps(settings: TrainSettings, n_rows: int) -> int:
    return settings.epochs * int(np.ceil(n_rows / settings.batch_size))


def _training_arguments(
    settings: TrainSettings, n_rows: int, device: torch.device, out: Path
) -> TrainingArguments:
    n_steps = _n_steps(settings, n_rows)
    # a run shorter than `eval_every` is evaluated once, at its end
    every = min(settings.eval_every, n_steps) or 1
    warmup = int(np.ceil(WARMUP_SHARE * n_steps))
    arguments = TrainingArguments(
        output_dir=str(out / checkpoints.FOLDER),
        run_name=out.name,
        project="w2sprobe",  # trackio's
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=max(1, settings.batch_size // rank_and_world()[1]),
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
        load_best_model_at_end=True,
        metric_for_best_model=SELECTION_SCORE,
        greater_is_better=True,
        logging_steps=1,
        remove_unused_columns=False,
        report_to="none",  # callbacks of ours do it
        disable_tqdm=True,
        seed=settings.seed,
    )
    _pin_device(arguments, device)
    return arguments


def _pin_device(arguments: TrainingArguments, device: torch.device) -> None:
    """Make transformers train on the device that was asked for, or refuse."""
    if device.type == "cuda" and device.index not in (None, arguments.device.index):
        raise InputError(
            f"--device {device}: training takes the first GPU it sees, {arguments.device}",
            advice=f"Pass --device cuda under CUDA_VISIBLE_DEVICES={device.index}.",
        )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # use one GPU per process
    if device.type == "cpu":  # accelerate 1.3 numbers CPUs, and torch cannot load onto "cpu:0"
        arguments.__dict__["_setup_devices"] = device


def _record(base: _Base, data: _Data, trainer: BatchTrainer) -> dict[str, Any]:
    settings, log = base.settings, trainer.state.log_history
    evaluations = [entry for entry in log if "eval_log_loss" in entry]  # never undefined
    losses = np.array([entry["loss"] for entry in log if "loss" in entry])  # logged at every step
    best_step = trainer.state.best_global_step
    chosen = next(entry for entry in evaluations if entry["step"] == best_step)
    scores = {rule: [entry.get(f"eval_{rule}") for entry in evaluations] for rule in STOPPING_RULES}
    # whether a rule is undefined depends on the labels alone: the first evaluation tells
    warning = undefined(settings.early_stopping, {rule: scores[rule][0] for rule in scores})
    return {
        "model": base.info.name,
        "model_identity": base.info.identity,
        "settings": settings.model_dump(),
        "precision": base.precision,
        "n_rows": len(data.examples),
        "labels": fingerprint(data.soft_labels),
        "window_radius": window_radius(settings, data.soft_labels)
        if settings.loss == "window"
        else None,
        "n_steps": trainer.state.global_step,
        "micro_batch_tokens": trainer.micro_batch_tokens,
        "train_loss": losses.reshape(settings.epochs, -1).mean(axis=1).tolist(),
        "val_step": [entry["step"] for entry in evaluations],
        **{f"val_{rule}": scores[rule] for rule in STOPPING_RULES},
        "chosen_step": chosen["step"],
        "chosen_epoch": round(chosen["epoch"], 3),
        "warnings": [] if warning is None else [warning],
        "versions": {
            package: importlib.metadata.version(package)
            for package in ("torch", "transformers", "peft")
        },
    }
