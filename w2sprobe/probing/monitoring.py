"""A probe as a monitor: recall at few false alarms, what a row costs, rows without an answer."""

from typing import Any

import numpy as np

from w2sprobe.cache import ActivationStore
from w2sprobe.data.stress import UNANSWERED
from w2sprobe.errors import W2SProbeError
from w2sprobe.metrics import recalls_at_fpr
from w2sprobe.probing.probe_types import TRAINED_POOLINGS
from w2sprobe.token_settings import TokenSettings


def monitoring(
    truth: np.ndarray | None, p: np.ndarray, groups: np.ndarray | None
) -> list[dict[str, Any]]:
    """Recall at each false-positive rate, ready for JSON; empty without truth of both classes.

    Parameters
    ----------
    truth : ndarray of int, shape (m,), optional
        0 or 1.
    p : ndarray of float64, shape (m,)
        P(label = 1).
    groups : ndarray, shape (m,), optional
        As in `recalls_at_fpr`.

    Returns
    -------
    list of dict
        fpr, n_zeros, n_needed, recall and interval; the last two None if there are too few rows.
    """
    if truth is None or len(np.unique(truth)) < 2:
        return []
    several = groups is not None and len(np.unique(groups)) > 1
    return [
        {
            "fpr": found.fpr,
            "n_zeros": found.n_zeros,
            "n_needed": found.n_needed,
            "recall": None if np.isnan(found.recall) else found.recall,
            "interval": None if np.isnan(found.recall) else found.interval,
        }
        for found in recalls_at_fpr(truth, p, groups=groups if several else None)
    ]


def confidence(ids: np.ndarray, p: np.ndarray) -> dict[str, float]:
    """Confidence in rows without an answer, and in the others; empty without such rows.

    Parameters
    ----------
    ids : ndarray of str, shape (m,)
    p : ndarray of float64, shape (m,)
        P(label = 1).

    Returns
    -------
    dict of str to float
        `rows` without an answer; `confidence`, their mean abs(2 p - 1): 0 is not knowing, 1 is
        certain; `confidence_of_others`.
    """
    # not only at the end: a text may be planted in such a row
    answerless = np.char.find(ids, UNANSWERED) >= 0
    if not answerless.any() or answerless.all():
        return {}
    sure = np.abs(2 * p - 1)
    return {
        "rows": int(answerless.sum()),
        "confidence": float(sure[answerless].mean()),
        "confidence_of_others": float(sure[~answerless].mean()),
    }


def row_flops(
    store: ActivationStore, layer: int, probe: str, n_fitted: int, tokens: TokenSettings
) -> dict[str, float]:
    """Floating-point operations of a row: of the probe, and of the model up to its layer.

    Parameters
    ----------
    probe : str
        kNN compares a row with all rows that it was fitted on; linear probes are one product;
        token-level probes are one for each token, head and kind of score.
    n_fitted : int
        Rows that the probe was fitted on.
    tokens : TokenSettings
        Of token-level probes.

    Returns
    -------
    dict of str to float
        `probe`, and `forward` for a row of mean length if the model of the store can be found and
        the store has counted its tokens.
    """
    flops = {"probe": 2.0 * store.hidden_size * _products(store, probe, n_fitted, tokens)}
    forward = _forward_flops(store, layer)
    return flops if forward is None else {**flops, "forward": forward}


def _products(store: ActivationStore, probe: str, n_fitted: int, tokens: TokenSettings) -> float:
    """Products of a vector of the store's width that one prediction takes; of rows, their mean."""
    if probe == "knn":
        return n_fitted
    tokens_per_row = float(store.offsets[-1]) / len(store)
    if probe == "token-mean":
        return tokens_per_row / 2 + 1  # a sum has half the operations of a product
    if probe in TRAINED_POOLINGS:
        scores_per_head = 2 if probe == "attention" else 1  # which token, and what it says
        return tokens_per_row * tokens.n_heads * scores_per_head
    return 1


def _forward_flops(store: ActivationStore, layer: int) -> float | None:
    # transformers takes seconds to load, and a store may be used where it is not installed
    manifest = store.manifest
    n_tokens = next((run["n_tokens"] for run in manifest["runs"] if "n_tokens" in run), None)
    if n_tokens is None:
        return None
    from w2sprobe.models import describe_model, forward_flops

    try:
        info = describe_model(manifest["model"])
    except W2SProbeError:
        return None  # the store was made on another machine
    if info.identity != manifest["identity"]["model"]:
        return None
    return forward_flops(info, layer, n_tokens / len(store))
