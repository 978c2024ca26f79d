"""Finished finetuning runs: open, predict with, and copy the folders that `finetune` leaves."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from w2sprobe.atomic import atomic_path, write_json
from w2sprobe.data import Rows
from w2sprobe.devices import resolve_device
from w2sprobe.errors import InputError, first_few
from w2sprobe.labels import LabelTable
from w2sprobe.models import ModelInfo, describe_model, load_tokenizer
from w2sprobe.tokens import warn_of_changes
from w2sprobe.training.classifier_classes import classifier_tokens
from w2sprobe.training.classifiers import ADAPTER, WEIGHTS, load_trained
from w2sprobe.training.predict import PrefixContext, no_prefix, predict
from w2sprobe.training.prefix import shared_prefix

RECORD = "training.json"  # written last: a run is finished when it is there
VALIDATION = "validation.parquet"  # predictions at every evaluation; earlier versions wrote none
LORA_FILES = (f"{ADAPTER}/adapter_config.json", f"{ADAPTER}/adapter_model.safetensors")
FULL_FILES = (f"{WEIGHTS}/config.json",)  # its weights may be one file or several
NEEDED = ("model", "model_identity", "precision", "settings")  # keys of the record


@dataclass(frozen=True)
class SavedModel:
    """A finished run, loaded and ready to predict.

    Parameters
    ----------
    folder : Path
        Holds `adapter/` or `model/`, and `training.json`.
    record : dict
        Content of `training.json`: base model, settings, precision, scores.
    """

    folder: Path
    record: dict[str, Any]
    _info: ModelInfo
    _classifier: PreTrainedModel | PeftModel
    _tokenizer: PreTrainedTokenizerBase
    _device: torch.device

    @classmethod
    def open(cls, folder: str | Path, device: str = "auto") -> "SavedModel":
        """Load the weights of a finished run, in its precision.

        Raises
        ------
        InputError
            Not a finished run; unknown device; or the base model is not found, or is not the one
            that the run was trained on.
        """
        record = read_run(folder)
        resolved = resolve_device(device)
        info = base_of(record, folder)
        tokenizer = load_tokenizer(info.source)
        classifier = load_trained(
            info,
            Path(folder),
            precision=record["precision"],
            pad_id=info.pad_id,
            device=resolved,
        )
        return cls(Path(folder), record, info, classifier, tokenizer, resolved)

    def predict(
        self, rows: Rows, *, truncate: bool | None = None, prefixes: Path | None = None
    ) -> LabelTable:
        """Predict P(label = 1) of each row; labels in `rows` are not read.

        Parameters
        ----------
        truncate : bool, optional
            Cut texts that exceed the model's context, with a warning that counts them. None: as in
            training.
        prefixes : Path, optional
            Folder in which the prefix (`lora_from_layer`) of these rows is kept for other runs. It
            changes no prediction: rows are read in the same batches.

        Returns
        -------
        LabelTable
            In the order of `rows`; in float32 a prediction does not depend on the other rows.

        Raises
        ------
        InputError
            A text is longer than the model's context, and is not cut.
        """
        cut = bool(self.record["settings"]["truncate"]) if truncate is None else truncate
        tokens = classifier_tokens(self._info, self._tokenizer, rows, truncate=cut)
        warn_of_changes(tokens, self._info.name, self._info.max_tokens)
        first_block = self.record["settings"].get("lora_from_layer", 0)
        if prefixes is None or not first_block or not isinstance(self._classifier, PeftModel):
            return LabelTable(rows.ids, self.predict_tokens(tokens.input_ids))
        prefix = shared_prefix(
            self._classifier,
            self._info,
            first_block,
            tokens.input_ids,
            precision=self.record["precision"],
            pad_id=self._info.pad_id,
            device=self._device,
            folder=prefixes,
        )
        try:
            return LabelTable(
                rows.ids, self.predict_tokens(tokens.input_ids, feeding=prefix.feeding)
            )
        finally:
            prefix.detach()

    def predict_tokens(
        self, input_ids: Sequence[np.ndarray], *, feeding: PrefixContext = no_prefix
    ) -> np.ndarray:
        """Predict P(label = 1) of tokenized rows, float64, in the order given."""
        return predict(
            self._classifier,
            input_ids,
            pad_id=self._info.pad_id,
            device=self._device,
            feeding=feeding,
        )


def read_run(folder: str | Path) -> dict[str, Any]:
    """Read `training.json` of a finished run, without loading weights.

    Raises
    ------
    InputError
        The folder holds no finished run: names the missing files or keys.
    """
    path = Path(folder)
    if not path.is_dir():
        raise InputError(
            f"no run folder {str(folder)!r}",
            advice="Make one with `w2sprobe train`, or pass --zero-shot for a model as it is.",
        )
    files = (RECORD, *(FULL_FILES if (path / WEIGHTS).is_dir() else LORA_FILES))
    missing = [name for name in files if not (path / name).is_file()]
    if missing:
        if (path / "config.json").is_file():
            advice = "It is a base model: finetune it first, or pass --zero-shot."
        else:
            advice = "Was the run stopped? The same `w2sprobe train` command finishes it."
        raise InputError(
            f"{str(folder)!r} is no finished run: it lacks {first_few(missing)}", advice=advice
        )
    try:
        record: dict[str, Any] = json.loads((path / RECORD).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"not JSON: {error}", where=str(path / RECORD)) from error
    lacks = [key for key in NEEDED if not isinstance(record, dict) or key not in record]
    if lacks:
        raise InputError(f"no key {first_few(lacks)}", where=str(path / RECORD))
    return record


def copy_run(source: Path, target: Path, notes: dict[str, Any] | None = None) -> None:
    """Copy a finished run; a copy that was cut short lacks `training.json`.

    Parameters
    ----------
    source, target : Path
        Folders; other files in them stay as they are.
    notes : dict, optional
        Added to the record of the copy.
    """
    (target / RECORD).unlink(missing_ok=True)
    for name in (ADAPTER, WEIGHTS):
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, dirs_exist_ok=True)
    (target / VALIDATION).unlink(missing_ok=True)  # of another student; the source may have none
    if (source / VALIDATION).is_file():
        shutil.copyfile(source / VALIDATION, target / VALIDATION)
    write_json(target / RECORD, read_run(source) | (notes or {}))


def write_validation(folder: Path, ids: np.ndarray, predictions: dict[int, np.ndarray]) -> None:
    """Write `validation.parquet`: a run's validation predictions at every evaluation.

    Parameters
    ----------
    ids : ndarray of str, shape (n,)
        Ids of the validation rows.
    predictions : dict of int to ndarray of float64, shape (n,)
        P(label = 1) by the number of optimiser steps before the evaluation.
    """
    columns = {
        "step": np.repeat(np.array(list(predictions), dtype=np.int64), len(ids)),
        "id": np.tile(ids, len(predictions)),
        "p": np.concatenate(list(predictions.values())),
    }
    with atomic_path(folder / VALIDATION) as temporary:
        pq.write_table(pa.table(columns), temporary)


def read_validation(folder: Path) -> dict[int, LabelTable]:
    """Read a run's validation predictions, by the optimiser steps before each evaluation.

    Returns
    -------
    dict of int to LabelTable
        In the order of training; empty for a run of an earlier version, which wrote none.
    """
    if not (folder / VALIDATION).is_file():
        return {}
    table = pq.read_table(folder / VALIDATION)
    step, ids, p = (np.array(table[name].to_pylist()) for name in ("step", "id", "p"))
    return {int(s): LabelTable(ids[step == s], p[step == s]) for s in dict.fromkeys(step)}


def base_of(record: dict[str, Any], folder: str | Path) -> ModelInfo:
    """Describe the base model of a run, or the run itself if it trained all weights.

    Raises
    ------
    InputError
        There is no such model, or its files are not those that the run was trained on.
    """
    if (Path(folder) / WEIGHTS).is_dir():
        return describe_model(str(Path(folder) / WEIGHTS))
    name, trained_on = record["model"], record["model_identity"]
    try:
        info = describe_model(name)
    except InputError as error:
        raise InputError(
            f"base model of run {str(folder)!r}: {error.what}",
            where=error.where,
            allowed=error.allowed,
            advice=error.advice,
        ) from error
    if info.identity != trained_on:
        raise InputError(
            f"base model {name!r} has changed since run {str(folder)!r}: it is {info.identity}, "
            f"the run was trained on {trained_on}",
            advice="Bring the old files back, or train again.",
        )
    return info
