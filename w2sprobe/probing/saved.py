"""Probes that can be saved: made from settings, fitted on stored rows, applied to others."""

from typing import Any

import numpy as np

from w2sprobe.cache import ActivationStore
from w2sprobe.errors import InputError
from w2sprobe.probes import (
    AttentionProbe,
    KNNProbe,
    LogisticProbe,
    MassMeanProbe,
    MultiMaxProbe,
    SoftmaxMeanProbe,
)
from w2sprobe.probes.token_rows import TokenRows
from w2sprobe.probing.spec import VoteSpec

TRAINED = {
    "attention": AttentionProbe,
    "multimax": MultiMaxProbe,
    "softmax-mean": SoftmaxMeanProbe,
}
SAVED = ("knn", "logistic", "mass-mean", *TRAINED)
# what the identity of a store says of its states; stores of other tools may lack it
STATES = ("computed_in", "dtype", "max_tokens", "truncate", "cut")


def check_saved(probe: str) -> None:
    """Refuse a probe that cannot be saved.

    Raises
    ------
    InputError
        It is a filter, or pools the tokens of a store first.
    """
    if probe in SAVED:
        return
    advice = ""
    if probe.startswith("token-"):
        position = probe.removeprefix("token-")
        advice = f"Extract with --position {position}, and save a logistic probe."
    raise InputError(f"a {probe} probe cannot be saved", allowed=", ".join(SAVED), advice=advice)


def estimator(probe: str, value: float | None, spec: VoteSpec, device: str) -> Any:
    """Make an unfitted probe.

    Parameters
    ----------
    probe : str
        One of `SAVED`.
    value : float, optional
        Value of its hyperparameter.
    """
    if probe == "knn":
        return KNNProbe(int(value or 0), preprocess=spec.preprocess)
    if probe == "logistic":
        return LogisticProbe(float(value or 0), preprocess=spec.preprocess, device=device)
    if probe == "mass-mean":
        return MassMeanProbe(whiten=spec.whiten, preprocess=spec.preprocess, device=device)
    return TRAINED[probe](l2=float(value or 0), device=device, **spec.tokens.model_dump())


def fit_rows(probe: Any, points: Any, soft: np.ndarray, groups: np.ndarray | None) -> None:
    """Fit a probe on rows of `read_rows`.

    Raises
    ------
    InputError
        Rows or labels that the probe refuses.
    """
    if isinstance(points, TokenRows):
        probe.fit(points.values, soft, offsets=points.offsets)
    elif isinstance(probe, KNNProbe):
        probe.fit(points, soft, groups)
    else:
        probe.fit(points, soft)


def predict_rows(probe: Any, points: Any) -> np.ndarray:
    """P(label = 1) of rows of `read_rows`, float64, shape (n,).

    Raises
    ------
    InputError
        Another width, or not finite.
    """
    if isinstance(points, TokenRows):
        p: np.ndarray = probe.predict_proba(points.values, offsets=points.offsets)[:, 1]
    else:
        p = probe.predict_proba(points)[:, 1]
    return p


def states_of(store: ActivationStore) -> dict[str, Any]:
    """How the states of a store were computed and stored, as far as it says."""
    identity = store.manifest["identity"]
    known = {name: identity[name] for name in STATES if name in identity}
    return {"store": store.manifest["address"], **known, "dtype": store.dtype}
