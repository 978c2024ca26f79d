"""Finetuning a classifier on a LabelTable, through transformers' Trainer and peft.

The trainer sees texts and a table of labels; whether they are truth, weak, relabelled or filtered
is not its business. One optimiser step is one batch, cut into micro-batches of similar length that
add up to the gradient of the whole.
"""

import importlib.metadata
import shutil
import warnings
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from transformers import TrainerCallback, TrainerState, TrainingArguments

from w2sprobe.atomic import write_json
from w2sprobe.data import Rows
from w2sprobe.devices import rank_and_world, resolve_device
from w2sprobe.errors import InputError, W2SProbeError
from w2sprobe.fingerprint import fingerprint, fingerprint_strings
from w2sprobe.labels import LabelTable
from w2sprobe.models import FOUR_BITS, ModelInfo, describe_model, load_tokenizer
from w2sprobe.progress import Advance, progress_bar
from w2sprobe.tokens import warn_of_changes
from w2sprobe.training import checkpoints
from w2sprobe.training.batches import Example
from w2sprobe.training.classifiers import (
    ADAPTER,
    WEIGHTS,
    load_classifier,
    load_trained,
)
from w2sprobe.training.heads import classifier_tokens
from w2sprobe.training.loop import PREFERENCE, BatchTrainer
from w2sprobe.training.losses import make_loss, window_radius
from w2sprobe.training.predict import check_independence, from_tokens, predict
from w2sprobe.training.prefix import shared_prefix
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
    """Finetune a classifier and keep the evaluation that `early_stopping` prefers.

    Parameters
    ----------
    model : str
        Asset name, local folder or hub name of the base model.
    train, val : Rows
        Only ids and texts are read; labels come from `labels`.
    labels : LabelTable
        Soft labels of all rows of `train` and `val`; rows of `train` with keep False are left out.
    out : str or Path
        Folder for `adapter/` (an ordinary PEFT folder, head included; with `full` for `model/`, a
        transformers folder with tokenizer), `validation.parquet` (predictions of the validation
        rows at every evaluation) and `training.json`, which is written last. Until then
        `checkpoints/` lies there: a run that was killed goes on from it, to the weights that an
        uninterrupted one would have had. A finished one is opened and not trained again.
    settings : TrainSettings
    device : str, default "auto"
    prefixes : Path, optional
        Folder in which prefixes (`lora_from_layer`) are kept for other runs on the same rows. None:
        this run's is removed at its end.

    Returns
    -------
    SavedModel
        Predicts from what was saved and loaded again; its predictions have been compared with
        those that the run made at the end of the chosen epoch.

    Raises
    ------
    InputError
        Unknown model, loss or device, or a GPU that is not the first; a text longer than the
        context; no rows left to train on, or none to validate; another run in `out`.
    IdMismatch
        A row has no label.
    MissingDependency
        `precision` or `report_to` needs a package that is not installed.
    OutputError
        A checkpoint cannot be written; the last whole one is kept.
    W2SProbeError
        The loss became non-finite, or what was saved does not reproduce the run.

    Warns
    -----
    UserWarning
        `early_stopping` is undefined on these labels; the record has it under `warnings`.

    Notes
    -----
    Started by torchrun or `accelerate launch`, the processes share every batch; the first writes.
    """
    check_requirements(settings)
    info = describe_model(model)
    place = resolve_device(device)
    check_trainable(info, settings)
    precision = training_precision(info, settings, place)
    tokenizer = load_tokenizer(info.source)
    pad_id = info.pad_id

    def tokens(rows: Rows) -> list[np.ndarray]:
        found = classifier_tokens(info, tokenizer, rows, truncate=settings.truncate)
        warn_of_changes(found, info.name, info.max_tokens)
        return found.input_ids

    train_tokens = tokens(train)
    examples = _examples(labels.align(train.ids), train_tokens)
    if not examples:
        raise InputError("no rows left to train on: keep is False for all of them")
    if not len(val):
        raise InputError("no validation rows, by which early stopping could choose")
    soft_labels = [example["soft_label"] for example in examples]
    loss = make_loss(settings, soft_labels)
    val_tokens = tokens(val)
    val_labels = labels.align(val.ids)

    run = _run_fingerprint(info, settings, precision, examples, val_tokens, val_labels.soft_label)
    if (Path(out) / RECORD).is_file():
        return _finished(Path(out), run, device)
    arguments = _arguments(settings, len(examples), place, Path(out))
    classifier = load_classifier(info, settings, precision=precision, pad_id=pad_id, device=place)

    if precision != FOUR_BITS:  # bitsandbytes packs weights for good when it first predicts
        check_independence(
            classifier, train_tokens, pad_id=pad_id, device=place, precision=precision
        )
    with arguments.main_process_first(local=False):
        folder = checkpoints.claim(Path(out), run)
    reports = report_callbacks(settings, Path(out)) if arguments.should_save else []
    prefix = None
    if settings.lora_from_layer and isinstance(classifier, PeftModel):
        with arguments.main_process_first(local=False):  # the others read what it computes
            prefix = shared_prefix(
                classifier,
                info,
                settings.lora_from_layer,
                [*train_tokens, *val_tokens],
                precision=precision,
                pad_id=pad_id,
                device=place,
                folder=prefixes or folder,
            )

    def feeding_val(rows: np.ndarray) -> AbstractContextManager[None]:
        return prefix.feeding(len(train_tokens) + rows) if prefix else from_tokens(rows)

    def validate(network: torch.nn.Module) -> tuple[np.ndarray, ValidationScores]:
        scores = predict(network, val_tokens, pad_id=pad_id, device=place, feeding=feeding_val)
        return scores, validation_scores(val_labels, scores)

    trainer = BatchTrainer(
        classifier,
        arguments,
        examples,
        settings,
        loss=loss,
        pad_id=pad_id,
        validate=validate,
        feeding=prefix.feeding if prefix else from_tokens,
        callbacks=reports,
    )
    with progress_bar(f"training {info.name}", _n_steps(settings, len(examples))) as advance:
        trainer.add_callback(_Steps(advance))
        trainer.run(folder)
    # before the first process, which waits for the others in `save`, removes it
    best = checkpoints.state_of(Path(str(trainer.state.best_model_checkpoint)))
    scores = np.array(best["val_scores"])
    if prefix:
        # bfloat16 depends on a batch's shape, and a prefix on batches of other rows
        prefix.detach()
        scores = predict(classifier, val_tokens, pad_id=pad_id, device=place)
    learned = Path(out) / (WEIGHTS if settings.full else ADAPTER)
    trainer.save(learned)
    trainer.release()
    if settings.full and arguments.should_save:
        tokenizer.save_pretrained(str(learned))
    reloaded = load_trained(info, Path(out), precision=precision, pad_id=pad_id, device=place)
    again = predict(reloaded, val_tokens, pad_id=pad_id, device=place)
    _check_reload(scores, again, learned)
    record = {
        **_record(info, settings, precision, trainer),
        "run": run,
        "n_rows": len(examples),
        "rows": fingerprint_strings(train.ids.tolist(), train.texts),
        "labels": fingerprint(soft_labels),
        "window_radius": window_radius(settings, soft_labels)
        if settings.loss == "window"
        else None,
    }
    if arguments.should_save:
        evaluations = checkpoints.predictions(folder, record["val_step"])
        if evaluations:
            write_validation(Path(out), val.ids, evaluations)
        write_json(Path(out) / RECORD, record)
        shutil.rmtree(folder)
        for message in record["warnings"]:
            warnings.warn(message, stacklevel=2)
    return SavedModel(Path(out), record, info, reloaded, tokenizer, place)


def _finished(out: Path, run: str, device: str) -> SavedModel:
    saved = SavedModel.open(out, device)
    if saved.record.get("run") != run:
        raise InputError(
            "a finished run with other rows, labels, model or settings",
            where=str(out),
            advice="Choose another folder, or remove this one.",
        )
    return saved


class _Steps(TrainerCallback):
    """Moves a progress bar by each optimiser step, and mends what transformers leaves out."""

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


def _examples(labels: LabelTable, input_ids: list[np.ndarray]) -> list[Example]:
    """Rows that are trained on; `position` is that among all rows, as a prefix counts them."""
    rows = zip(labels.ids.tolist(), input_ids, labels.soft_label.tolist(), strict=True)
    return [
        {"id": name, "position": position, "input_ids": tokens, "soft_label": soft}
        for position, (name, tokens, soft) in enumerate(rows)
        if labels.keep[position]
    ]


def _run_fingerprint(
    info: ModelInfo,
    settings: TrainSettings,
    precision: str,
    examples: list[Example],
    val_tokens: list[np.ndarray],
    val_labels: np.ndarray,
) -> str:
    return fingerprint(
        {
            "model": info.identity,
            "settings": settings.identity,
            "precision": precision,
            "processes": rank_and_world()[1],  # each has its own state
            "train": [
                [row["id"], row["input_ids"].tolist(), row["soft_label"]] for row in examples
            ],
            "val": [[row.tolist() for row in val_tokens], val_labels.tolist()],
        }
    )


def _n_steps(settings: TrainSettings, n_rows: int) -> int:
    return settings.epochs * int(np.ceil(n_rows / settings.batch_size))


def _arguments(
    settings: TrainSettings, n_rows: int, device: torch.device, out: Path
) -> TrainingArguments:
    # a run shorter than that is evaluated once, at its end
    every = min(settings.eval_every, _n_steps(settings, n_rows)) or 1
    warmup = int(np.ceil(WARMUP_SHARE * _n_steps(settings, n_rows)))
    arguments = TrainingArguments(
        output_dir=str(out / checkpoints.FOLDER),
        run_name=out.name,
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
        metric_for_best_model=PREFERENCE,
        greater_is_better=True,
        logging_steps=1,
        remove_unused_columns=False,
        report_to="none",  # callbacks of ours do it
        disable_tqdm=True,
        seed=settings.seed,
    )
    if device.type == "cuda" and device.index not in (None, arguments.device.index):
        raise InputError(
            f"--device {device}: training takes the first GPU it sees, {arguments.device}",
            advice=f"Pass --device cuda under CUDA_VISIBLE_DEVICES={device.index}.",
        )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several are for several processes
    if device.type == "cpu":  # accelerate 1.3 numbers CPUs, and torch cannot load onto "cpu:0"
        arguments.__dict__["_setup_devices"] = device
    return arguments


def _check_reload(run: np.ndarray, reloaded: np.ndarray, learned: Path) -> None:
    difference = float(np.abs(run - reloaded).max(initial=0))
    if not difference <= RELOAD_TOLERANCE:
        raise W2SProbeError(
            f"what was saved predicts differently from the run: by up to {difference:.3g}",
            where=str(learned),
            allowed=f"{RELOAD_TOLERANCE}",
        )


def _record(
    info: ModelInfo, settings: TrainSettings, precision: str, trainer: BatchTrainer
) -> dict[str, Any]:
    log = trainer.state.log_history
    evaluations = [entry for entry in log if "eval_log_loss" in entry]  # never undefined
    losses = np.array([entry["loss"] for entry in log if "loss" in entry])  # one a step
    best_step = trainer.state.best_global_step
    chosen = next(one for one in evaluations if one["step"] == best_step)
    scores = {rule: [one.get(f"eval_{rule}") for one in evaluations] for rule in STOPPING_RULES}
    warning = undefined(settings.early_stopping, {rule: scores[rule][0] for rule in scores})
    return {
        "model": info.name,
        "model_identity": info.identity,
        "settings": settings.model_dump(),
        "precision": precision,
        "n_steps": trainer.state.global_step,
        "micro_batch_tokens": trainer.micro_batch_tokens,
        "train_loss": losses.reshape(settings.epochs, -1).mean(axis=1).tolist(),
        "val_step": [one["step"] for one in evaluations],
        **{f"val_{rule}": scores[rule] for rule in STOPPING_RULES},
        "chosen_step": chosen["step"],
        "chosen_epoch": round(chosen["epoch"], 3),
        "warnings": [] if warning is None else [warning],
        "versions": {
            package: importlib.metadata.version(package)
            for package in ("torch", "transformers", "peft")
        },
    }
