"""One layer of a sweep: read once, one search a fold and one solve for all of its settings."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import expit

from w2sprobe.cache import ActivationStore
from w2sprobe.probes import knn_cross_fit, knn_path, logistic_cross_fit_path
from w2sprobe.probes.estimator import linear
from w2sprobe.probes.neighbors import Search
from w2sprobe.sweeps.problem import Problem
from w2sprobe.sweeps.settings import SweepSettings

COLUMNS = pa.schema(
    [
        ("layer", pa.int64()),
        ("probe", pa.string()),
        ("setting", pa.string()),
        ("value", pa.float64()),
        ("fitted_on", pa.string()),
        ("evaluation", pa.string()),
        ("n_rows", pa.int64()),
        ("n_distinct", pa.int64()),
        ("auc_truth", pa.float64()),
        ("auc_weak", pa.float64()),
        ("n_folds_truth", pa.int64()),
        ("n_folds_weak", pa.int64()),
        ("labels_auc", pa.float64()),
        ("delta_auc_truth", pa.float64()),
        ("delta_auc_weak", pa.float64()),
        ("log_loss_weak", pa.float64()),
        ("saturated", pa.bool_()),
        ("seconds", pa.float64()),
    ]
)
CROSS_FIT, BUDGET, IN_SAMPLE = "cross_fit", "budget", "in_sample"

# predictions are of every label vector, setting and row: (v, s, m)
Predict = Callable[[np.ndarray], np.ndarray]
Fit = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, Predict]]


def sweep_layer(
    store: ActivationStore,
    layer: int,
    problem: Problem,
    settings: SweepSettings,
    *,
    search: Search,
    device: str = "auto",
) -> pa.Table:
    """Every setting on one layer.

    Parameters
    ----------
    store : ActivationStore
    layer : int
    problem : Problem
    settings : SweepSettings
    search : callable
        Finds neighbours.
    device : str, default "auto"
        Of the logistic probes.

    Returns
    -------
    pyarrow.Table
        `COLUMNS`; a row for each label vector, setting and set of rows that it is scored on.

    Raises
    ------
    InputError
        Whatever the probe refuses.
    """
    ids = np.concatenate([problem.train, *problem.other.values()])
    both = store.read(layer, store.rows_of(ids))
    X, Q = both[: len(problem.train)], both[len(problem.train) :]
    soft = np.stack(list(problem.vectors.values()))
    ends = np.cumsum([len(ids) for ids in problem.other.values()])[:-1]
    rows = []
    for probe, setting, values, fit in _probes(problem, settings, search, device):
        one_out = probe == "knn" and settings.leave_one_out
        own = problem.own if one_out else problem.own.inside(problem.folds)
        scored = {
            CROSS_FIT: own.subset(~problem.budget),
            BUDGET: own.subset(problem.budget),
            IN_SAMPLE: problem.own,
            **problem.scored,
        }
        start = time.perf_counter()
        held_out, predict = fit(X, soft)
        p = {CROSS_FIT: held_out[..., ~problem.budget]}
        if problem.budget.any():
            p[BUDGET] = held_out[..., problem.budget]
        if settings.in_sample:
            p[IN_SAMPLE] = predict(X)
        if len(Q):
            p |= zip(problem.other, np.split(predict(Q), ends, axis=-1), strict=True)
        seconds = time.perf_counter() - start
        rows += [
            {
                "layer": layer,
                "probe": probe,
                "setting": setting,
                "value": float(value),
                "fitted_on": fitted_on,
                "evaluation": evaluation,
                **scored[evaluation].score(some[vector, number]),
                "seconds": seconds,
            }
            for vector, fitted_on in enumerate(problem.vectors)
            for number, value in enumerate(values)
            for evaluation, some in p.items()
        ]
    return pa.Table.from_pylist(rows, schema=COLUMNS)


def _probes(
    problem: Problem, settings: SweepSettings, search: Search, device: str
) -> Iterator[tuple[str, str, tuple[float, ...], Fit]]:
    """Name, setting and its values, and the fit of each probe: held-out predictions, and others."""

    def knn(X: np.ndarray, soft: np.ndarray) -> tuple[np.ndarray, Predict]:
        options: dict[str, Any] = {
            "ks": settings.ks,
            "preprocess": settings.preprocess,
            "search": search,
        }

        def held_out(vector: np.ndarray) -> np.ndarray:
            if settings.leave_one_out:
                return knn_path(X, vector, groups=problem.groups, **options)
            return knn_cross_fit(X, vector, cv=settings.cv, groups=problem.groups, **options)

        def predict(Q: np.ndarray) -> np.ndarray:
            return np.stack([knn_path(X, vector, Q, **options) for vector in soft])

        # the search for a second label vector is that for the first: a StoredSearch reads it
        return np.stack([held_out(vector) for vector in soft]), predict

    def logistic(X: np.ndarray, soft: np.ndarray) -> tuple[np.ndarray, Predict]:
        held_out, coef, intercept = logistic_cross_fit_path(
            X,
            soft,
            l2s=settings.l2s,
            cv=settings.cv,
            groups=problem.groups,
            preprocess=settings.preprocess,
            device=device,
        )

        def predict(Q: np.ndarray) -> np.ndarray:
            return np.stack(
                [expit(linear(Q, *solved)) for solved in zip(coef, intercept, strict=True)]
            )

        return held_out, predict

    if settings.ks:
        yield "knn", "k", settings.ks, knn
    if settings.l2s:
        yield "logistic", "l2", settings.l2s, logistic
