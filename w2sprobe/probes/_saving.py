"""Fitted probes on disk: arrays in safetensors, everything else in JSON. No pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from w2sprobe.atomic import atomic_folder, write_json
from w2sprobe.errors import InputError
from w2sprobe.probes.card import CardRows, ProbeCard, card_text
from w2sprobe.probes.estimator import check_fitted
from w2sprobe.probes.knn import KNNProbe
from w2sprobe.probes.logistic import LogisticProbe
from w2sprobe.probes.mass_mean import MassMeanProbe
from w2sprobe.probes.preprocess import Preprocessing
from w2sprobe.probes.token_probes import AttentionProbe, MultiMaxProbe, SoftmaxMeanProbe
from w2sprobe.probes.topofilter import TopoFilter

FORMAT = 1
ARRAYS, SETTINGS = "probe.safetensors", "probe.json"
CARD, ROWS = "README.md", "rows.parquet"
PROBES: dict[str, type] = {
    probe.__name__: probe
    for probe in (
        *(KNNProbe, LogisticProbe, MassMeanProbe, TopoFilter),
        *(AttentionProbe, MultiMaxProbe, SoftmaxMeanProbe),
    )
}
NOT_SAVED = ("search", "_training")  # a function; the training rows of a linear probe


def save_probe(
    probe: Any,
    folder: str | Path,
    *,
    origin: Mapping[str, Any] | None = None,
    card: ProbeCard | None = None,
    rows: CardRows | None = None,
) -> None:
    """Write a fitted probe to a new folder, atomically.

    Parameters
    ----------
    probe : any probe of this package
        Fitted. A kNN probe is saved with its rows, a linear probe without, so that
        `predict_train_proba` needs a new fit. `search` is not saved.
    folder : str or Path
        Must not exist. Will hold `probe.safetensors` and `probe.json`.
    origin : mapping, optional
        Where the activations come from, as `ActivationStore.origin(layer)` says: model, position,
        layer and, of conversations, the chat template. `load_probe` can compare it.
    card : ProbeCard, optional
        Kept in `probe.json`, and for people in `README.md`; `load_card` reads it.
        `w2sprobe.probing.cards.keep_probe` makes one.
    rows : CardRows, optional
        Rows that the card is about, in `rows.parquet`.

    Raises
    ------
    InputError
        Not fitted, or not one of these probes; a card without rows.
    OutputError
        The folder exists, or cannot be written.
    """
    kind = type(probe).__name__
    if kind not in PROBES:
        raise InputError(f"cannot save a {kind}", allowed=", ".join(PROBES))
    check_fitted(probe)
    if (card is None) != (rows is None):
        raise InputError("card and rows go together", allowed="both, or neither")
    arrays: dict[str, np.ndarray] = {}
    values: dict[str, Any] = {}
    for name, value in vars(probe).items():
        if name in NOT_SAVED:
            continue
        if isinstance(value, Preprocessing):
            arrays["preprocessing.centre"], arrays["preprocessing.scale"] = (
                value.centre,
                value.scale,
            )
        elif isinstance(value, np.ndarray) and value.dtype != object:
            arrays[name] = np.ascontiguousarray(value)
        else:
            values[name] = value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
    with atomic_folder(Path(folder)) as temporary:
        save_file(arrays, temporary / ARRAYS)
        record: dict[str, Any] = {"format": FORMAT, "probe": kind, "values": values}
        if origin is not None:
            record["origin"] = dict(origin)
        if card is not None and rows is not None:
            record["card"] = card.model_dump(mode="json")
            text = card_text(kind, record.get("origin"), card)
            (temporary / CARD).write_text(text, encoding="utf-8")
            rows.write(temporary / ROWS)
        write_json(temporary / SETTINGS, record)


def load_probe(folder: str | Path, *, origin: Mapping[str, Any] | None = None) -> Any:
    """Read a probe that `save_probe` wrote.

    Parameters
    ----------
    origin : mapping, optional
        Where the activations come from that it shall predict, as `ActivationStore.origin(layer)`
        says.

    Returns
    -------
    probe
        Fitted, with the default `search`.

    Raises
    ------
    InputError
        Not a folder of `save_probe`, damaged, or of a newer format; the probe was fitted on
        activations of another model, position, layer or chat template than `origin`, or without a
        record of it. `w2sprobe probe check` admits another model, and says how far it is away.
    """
    folder = Path(folder)
    record = _read_record(folder)
    try:
        arrays = load_file(folder / ARRAYS)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"no probe in {str(folder)!r}: {error}", allowed="a folder of save_probe"
        ) from error
    kind, values = PROBES[record["probe"]], record["values"]
    if origin is not None:
        _check_origin(record.get("origin"), json.loads(json.dumps(dict(origin))), folder)
    probe: Any = kind()
    if "preprocessing.centre" in arrays:
        probe._preprocessing = Preprocessing(
            arrays.pop("preprocessing.centre"), arrays.pop("preprocessing.scale")
        )
    for name, value in (values | arrays).items():
        if name == "feature_names_in_":
            value = np.asarray(value, dtype=object)
        setattr(probe, name, value)
    return probe


def load_card(folder: str | Path) -> tuple[ProbeCard, CardRows]:
    """Read the card of a probe, and the rows that it is about.

    Raises
    ------
    InputError
        As `load_probe`; the probe was saved without a card, or the card cannot be read.
    """
    folder = Path(folder)
    record = _read_record(folder)
    if record.get("card") is None:
        raise InputError(
            "the probe was saved without a card",
            where=str(folder),
            advice="`w2sprobe probe ... --save` writes one.",
        )
    try:
        return ProbeCard.model_validate(record["card"]), CardRows.read(folder / ROWS)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise InputError(f"cannot read its card: {error}", where=str(folder)) from error


def load_origin(folder: str | Path) -> dict[str, Any] | None:
    """Read where the activations came from that a probe was fitted on; None if unknown.

    Raises
    ------
    InputError
        As `load_probe`.
    """
    origin: dict[str, Any] | None = _read_record(Path(folder)).get("origin")
    return origin


def _read_record(folder: Path) -> dict[str, Any]:
    """Content of `probe.json`."""
    try:
        record: dict[str, Any] = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        version, kind, _ = record["format"], record["probe"], record["values"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"no probe in {str(folder)!r}: {error}", allowed="a folder of save_probe"
        ) from error
    if version != FORMAT or kind not in PROBES:
        raise InputError(
            f"{kind} of format {version!r} in {str(folder)!r} is no probe known here",
            allowed=f"{', '.join(PROBES)} of format {FORMAT}",
            advice="Install the w2sprobe that wrote it.",
        )
    return record


def _check_origin(stored: Any, asked: dict[str, Any], folder: Path) -> None:
    """Refuse activations of another origin than a probe was fitted on."""
    if stored is None:
        raise InputError(
            "the probe was saved without its origin",
            where=str(folder),
            advice="Save it with save_probe(..., origin=store.origin(layer)).",
        )
    differ = [name for name in {**stored, **asked} if stored.get(name) != asked.get(name)]
    if differ:
        said = "; ".join(f"{name} {asked.get(name)!r}" for name in differ)
        fitted = "; ".join(f"{name} {stored.get(name)!r}" for name in differ)
        raise InputError(
            f"activations with {said}", where=str(folder), allowed=f"{fitted}, as fitted"
        )
