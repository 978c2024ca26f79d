"""Fitted probes on disk: arrays in safetensors, everything else in JSON. No pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from w2sprobe.atomic import atomic_folder, write_json
from w2sprobe.errors import InputError
from w2sprobe.probes.estimator import check_fitted
from w2sprobe.probes.knn import KNNProbe
from w2sprobe.probes.logistic import LogisticProbe
from w2sprobe.probes.mass_mean import MassMeanProbe
from w2sprobe.probes.preprocess import Preprocessing
from w2sprobe.probes.token_probes import AttentionProbe, MultiMaxProbe, SoftmaxMeanProbe
from w2sprobe.probes.topofilter import TopoFilter

FORMAT = 1
ARRAYS, SETTINGS = "probe.safetensors", "probe.json"
PROBES: dict[str, type] = {
    probe.__name__: probe
    for probe in (
        *(KNNProbe, LogisticProbe, MassMeanProbe, TopoFilter),
        *(AttentionProbe, MultiMaxProbe, SoftmaxMeanProbe),
    )
}
NOT_SAVED = ("search", "_training")  # a function; the training rows of a linear probe


def save_probe(probe: Any, folder: str | Path, *, origin: Mapping[str, Any] | None = None) -> None:
    """Write a fitted probe to a new folder, atomically.

    Parameters
    ----------
    probe : any probe of this package
        Fitted. A kNN probe is saved with its rows, a linear probe without, so that
        `predict_train_proba` needs a new fit. `search` is not saved.
    folder : str or Path
        Must not exist. Will hold `probe.safetensors` and `probe.json`.
    origin : mapping, optional
        Where the activations come from, as `ActivationStore.origin(layer)` says: model, position
        and layer. `load_probe` can compare it.

    Raises
    ------
    InputError
        Not fitted, or not one of these probes.
    OutputError
        The folder exists, or cannot be written.
    """
    kind = type(probe).__name__
    if kind not in PROBES:
        raise InputError(f"cannot save a {kind}", allowed=", ".join(PROBES))
    check_fitted(probe)
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
        record = {"format": FORMAT, "probe": kind, "values": values}
        if origin is not None:
            record["origin"] = dict(origin)
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
        activations of another model, position or layer than `origin`, or without a record of it.
    """
    folder = Path(folder)
    try:
        record = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        arrays = load_file(folder / ARRAYS)
        version = record["format"]
        kind, values = PROBES.get(record["probe"]), record["values"]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(
            f"no probe in {str(folder)!r}: {error}", allowed="a folder of save_probe"
        ) from error
    if version != FORMAT or kind is None:
        raise InputError(
            f"{record['probe']} of format {version!r} in {str(folder)!r} is no probe known here",
            allowed=f"{', '.join(PROBES)} of format {FORMAT}",
            advice="Install the w2sprobe that wrote it.",
        )
    if origin is not None:
        _check_origin(record.get("origin"), json.loads(json.dumps(dict(origin))), folder)
    probe = kind()
    if "preprocessing.centre" in arrays:
        probe._preprocessing = Preprocessing(
            arrays.pop("preprocessing.centre"), arrays.pop("preprocessing.scale")
        )
    for name, value in (values | arrays).items():
        if name == "feature_names_in_":
            value = np.asarray(value, dtype=object)
        setattr(probe, name, value)
    return probe


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
