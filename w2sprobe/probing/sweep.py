"""Sweeps: predict with every layer and hyperparameter value, score, and select."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from w2sprobe.cache import ActivationStore
from w2sprobe.errors import InputError
from w2sprobe.folds import folds_of
from w2sprobe.labels import LabelTable
from w2sprobe.layers import parse_layers
from w2sprobe.metrics import auc_inside_folds
from w2sprobe.probing.fitting import predict_layers
from w2sprobe.probing.monitoring import monitoring, row_flops
from w2sprobe.probing.rows import ProbedRows
from w2sprobe.probing.spec import VoteSpec
from w2sprobe.searches import StoredSearch
from w2sprobe.votes.scores import ScoredRows, draw_budget, score_votes
from w2sprobe.votes.selection import Selection, write_sweep
from w2sprobe.votes.table import FittedProbe, Votes, layer_file


@dataclass(frozen=True)
class Sweep:
    """Result of a sweep.

    Parameters
    ----------
    table : pyarrow.Table
        One row per layer, setting and set of rows that it is scored on; docs/file-formats.md.
    selections : list of Selection
        What each rule chooses.
    layers_computed : int
        Number of `layers` that the folder did not have yet.
    n_rows : dict of str to int
        Number of rows fitted on, filtered out, and scored in each split.
    monitors : list of dict
        Each selected point as a monitor, where the truth of test rows is known: probe, layer, value
        of the hyperparameter, `monitoring` (recall at false-positive rates) and `flops` of a row.
    """

    table: pa.Table
    selections: list[Selection]
    layers: tuple[int, ...]
    layers_computed: int
    n_rows: dict[str, int]
    monitors: list[dict[str, Any]]


def sweep(
    store: ActivationStore,
    spec: VoteSpec,
    rows: ProbedRows,
    labels: LabelTable,
    folder: str | Path,
    *,
    ceiling: bool = False,
    n_true_labels: int = 0,
    device: str = "auto",
) -> Sweep:
    """Predict with every layer and hyperparameter value, score, and apply selection rules.

    Parameters
    ----------
    labels : LabelTable
        Weak labels of all training rows. Another split is scored against weak labels only if all of
        its rows have one; likewise for true labels. Training rows that are filtered out are neither
        fitted on nor scored.
    folder : str or Path
        For predictions, `sweep.parquet` and `sweep.json`. Layers that it already has are not
        computed again. The results list the layers of this call only.
    ceiling : bool, default False
        Also fit on the true labels of the training rows, as an upper bound for the same probes.
    n_true_labels : int, default 0
        Number of training rows whose truth may be used for selection; they are scored apart.
    device : str, default "auto"
        Device of linear probes.

    Raises
    ------
    InputError
        Settings that the rows do not allow; missing true labels; `folder` holds predictions of
        something else.
    IdMismatch
        A row that is not in the labels or in the store.
    OutputError
        `folder` cannot be written to.
    """
    folder, given = Path(folder), labels.align(rows.train)
    vectors = _label_vectors(rows, given, ceiling=ceiling)
    budget = _budget(spec, rows, given, n_true_labels) if n_true_labels else None
    other = {
        split: ids
        for split, ids in rows.other.items()
        if ScoredRows.of(ids, labels, rows.truth).known
    }
    layers = parse_layers(spec.layers, store.layers)
    n_kept = sum(layer_file(folder, layer).exists() for layer in layers)
    predicted = predict_layers(
        store,
        spec,
        replace(rows, other=other),
        vectors,
        folder,
        search=StoredSearch(store),
        device=device,
    )
    fitted_on = {name: name for name in vectors}
    table = score_votes(predicted, labels, rows.truth, fitted_on=fitted_on, budget=budget)
    n_rows = {
        "fitted": int(given.keep.sum()),
        "filtered_out": int((~given.keep).sum()),
        "true_labels": 0 if budget is None else len(budget),
        **{split: len(ids) for split, ids in other.items()},
    }
    selections = write_sweep(folder, table, layers=layers, n_rows=n_rows)
    monitors = _monitors(store, spec, predicted, selections, rows, n_rows["fitted"])
    return Sweep(table, selections, layers, len(layers) - n_kept, n_rows, monitors)


def _monitors(
    store: ActivationStore,
    spec: VoteSpec,
    predicted: Votes,
    selections: list[Selection],
    rows: ProbedRows,
    n_fitted: int,
) -> list[dict[str, Any]]:
    test = rows.other.get("test")
    if test is None or rows.truth is None or not np.isin(test, rows.truth.ids).all():
        return []
    truth = rows.truth.align(test).hard_label
    found = []
    chosen = dict.fromkeys((one.layer, one.probe, one.setting, one.value) for one in selections)
    for layer, name, setting, value in chosen:
        probe = FittedProbe(name, setting, value, "weak")
        recalls = monitoring(truth, predicted.layer(layer).of(probe, "test"), rows.test_groups)
        if recalls:
            at: dict[str, Any] = {"probe": probe.probe, "layer": layer}
            at |= {} if probe.setting is None else {probe.setting: probe.value}
            flops = row_flops(store, layer, probe.probe, n_fitted, spec.tokens)
            found.append({**at, "monitoring": recalls, "flops": flops})
    return found


def _label_vectors(rows: ProbedRows, given: LabelTable, *, ceiling: bool) -> dict[str, LabelTable]:
    if not ceiling:
        return {"weak": given}
    truth = _truth(rows, rows.train, "ceiling")
    return {"weak": given, "truth": LabelTable(rows.train, truth, given.keep)}


def _budget(spec: VoteSpec, rows: ProbedRows, given: LabelTable, n: int) -> np.ndarray:
    """Draw the rows whose truth may be used for selection; an AUC needs both classes."""
    train = rows.train[given.keep]
    groups = None if rows.groups is None else rows.groups[given.keep]
    truth = _truth(rows, train, "n_true_labels")
    budget = draw_budget(train, groups, n)
    mask, folds, where = np.isin(train, budget), None, ""
    if spec.needs_folds:
        folds = folds_of(len(train), spec.cv, groups)[mask]
        where = f" in one of the {spec.cv} folds"
    if mask.all() or not auc_inside_folds(truth[mask], truth[mask], folds).n_folds:
        raise InputError(
            f"{len(budget)} true labels of {len(train)} rows",
            allowed=f"rows of both classes{where}, and some rows left",
        )
    return budget


def _truth(rows: ProbedRows, ids: np.ndarray, what: str) -> np.ndarray:
    if rows.truth is None or not np.isin(ids, rows.truth.ids).all():
        raise InputError(
            f"{what} needs true labels, and there are none",
            allowed="a task, or a column truth in the labels",
        )
    return rows.truth.align(ids).hard_label
