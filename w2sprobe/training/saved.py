"""Finished runs: open the folder that `finetune` left, and predict with what is in it."""

import json
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

from w2sprobe.atomic import atomic_path
from w2sprobe.data import Rows
from w2sprobe.devices import resolve_device
from w2sprobe.errors import InputError, first_few
from w2sprobe.labels import LabelTable
from w2sprobe.models import ModelInfo, describe_model, load_tokenizer
from w2sprobe.tokens import warn_of_changes
from w2sprobe.training.classifiers import ADAPTER, WEIGHTS, load_trained
from w2sprobe.training.heads import classifier_tokens
from w2sprobe.training.predict import Feeding, from_tokens, predict
from w2sprobe.training.prefix import shared_prefix

RECORD = "training.json"  # written last: a run is finished when it is there
VALIDATION = "validation.parquet"  # predictions of every evaluation; earlier versions left none
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
        What `training.json` says: base model, settings, precision, epochs.
    """

    folder: Path
    record: dict[str, Any]
    _info: ModelInfo
    _classifier: PreTrainedModel | PeftModel
    _tokenizer: PreTrainedTokenizerBase
    _device: torch.device

    @classmethod
    def open(cls, folder: str | Path, device: str = "auto") -> "SavedModel":
        """Load what a finished run has learned, and its base model under an adapter.

        Parameters
        ----------
        folder : str or Path
        device : str, default "auto"

        Returns
        -------
        SavedModel
            In the precision of the run.

        Raises
        ------
        InputError
            Not a finished run; unknown device; or the base model is not found, or is not the one
            that the run was trained on.
        """
        record = read_run(folder)
        place = resolve_device(device)
        info = base_of(record, folder)
        tokenizer = load_tokenizer(info.source)
        classifier = load_trained(
            info,
            Path(folder),
            precision=record["precision"],
            pad_id=info.pad_id,
            device=place,
        )
        return cls(Path(folder), record, info, classifier, tokenizer, place)

    def predict(
        self, rows: Rows, *, truncate: bool | None = None, prefixes: Path | None = None
    ) -> LabelTable:
        """Predict P(label = 1) of each row; its own label is not read.

        Parameters
        ----------
        rows : Rows
        truncate : bool, optional
            Cut texts that exceed the model's context, with a warning that counts them. None: as
            the run did.
        prefixes : Path, optional
            Folder in which what lies below the first trained block (`lora_from_layer`) is kept for
            other runs asked about the same rows. It changes no prediction: rows are read in the
            same batches.

        Returns
        -------
        LabelTable
            In the order of `rows`; in float32 a row's prediction does not depend on the others.

        Raises
        ------
        InputError
            A text is longer than the model's context and is not to be cut.
        """
        cut = bool(self.record["settings"]["truncate"]) if truncate is None else truncate
        tokens = classifier_tokens(self._info, self._tokenizer, rows, truncate=cut)
        warn_of_changes(tokens, self._info.name, self._info.max_tokens)
        below = self.record["settings"].get("lora_from_layer", 0)
        if prefixes is None or not below or not isinstance(self._classifier, PeftModel):
            return LabelTable(rows.ids, self.score(tokens.input_ids))
        prefix = shared_prefix(
            self._classifier,
            self._info,
            below,
            tokens.input_ids,
            precision=self.record["precision"],
            pad_id=self._info.pad_id,
            device=self._device,
            folder=prefixes,
        )
        try:
            return LabelTable(rows.ids, self.score(tokens.input_ids, feeding=prefix.feeding))
        finally:
            prefix.detach()

    def score(
        self, input_ids: Sequence[np.ndarray], *, feeding: Feeding = from_tokens
    ) -> np.ndarray:
        """P(label = 1) of rows of tokens, float64, in the order given."""
        return predict(
            self._classifier,
            input_ids,
            pad_id=self._info.pad_id,
            device=self._device,
            feeding=feeding,
        )


def read_run(folder: str | Path) -> dict[str, Any]:
    """Read the record of a finished run, without loading anything.

    Parameters
    ----------
    folder : str or Path

    Returns
    -------
    dict
        What `training.json` holds.

    Raises
    ------
    InputError
        The folder holds no finished run: says what is missing.
    """
    place = Path(folder)
    if not place.is_dir():
        raise InputError(
            f"no run folder {str(folder)!r}",
            advice="Make one with `w2sprobe train`, or pass --zero-shot for a model as it is.",
        )
    files = (RECORD, *(FULL_FILES if (place / WEIGHTS).is_dir() else LORA_FILES))
    missing = [name for name in files if not (place / name).is_file()]
    if missing:
        if (place / "config.json").is_file():
            advice = "It is a base model: finetune it first, or pass --zero-shot."
        else:
            advice = "Was the run stopped? The same `w2sprobe train` command finishes it."
        raise InputError(
            f"{str(folder)!r} is no finished run: it lacks {first_few(missing)}", advice=advice
        )
    try:
        record = json.loads((place / RECORD).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"not JSON: {error}", where=str(place / RECORD)) from error
    lacks = [key for key in NEEDED if not isinstance(record, dict) or key not in record]
    if lacks:
        raise InputError(f"no key {first_few(lacks)}", where=str(place / RECORD))
    found: dict[str, Any] = record
    return found


def write_validation(folder: Path, ids: np.ndarray, predictions: dict[int, np.ndarray]) -> None:
    """Keep a run's validation predictions of every evaluation: `validation.parquet`.

    Parameters
    ----------
    folder : Path
        Of the run.
    ids : ndarray of str, shape (n,)
        Of the validation rows.
    predictions : dict of int to ndarray of float64, shape (n,)
        P(label = 1) by the optimiser steps before the evaluation.
    """
    columns = {
        "step": np.repeat(np.array(list(predictions), dtype=np.int64), len(ids)),
        "id": np.tile(ids, len(predictions)),
        "p": np.concatenate(list(predictions.values())),
    }
    with atomic_path(folder / VALIDATION) as temporary:
        pq.write_table(pa.table(columns), temporary)


def read_validation(folder: Path) -> dict[int, LabelTable]:
    """Read a run's validation predictions, by the optimiser steps before the evaluation.

    Parameters
    ----------
    folder : Path
        Of the run.

    Returns
    -------
    dict of int to LabelTable
        In the order of training; empty for a run of an earlier version, which kept none.
    """
    if not (folder / VALIDATION).is_file():
        return {}
    table = pq.read_table(folder / VALIDATION)
    step, ids, p = (np.array(table[name].to_pylist()) for name in ("step", "id", "p"))
    return {int(one): LabelTable(ids[step == one], p[step == one]) for one in dict.fromkeys(step)}


def base_of(record: dict[str, Any], folder: str | Path) -> ModelInfo:
    """Look up what a run's tokenizer and base come from, without loading weights.

    Parameters
    ----------
    record : dict
        As `read_run` returns it.
    folder : str or Path
        Of the run, for messages.

    Returns
    -------
    ModelInfo
        The run itself where it trained all weights.

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
