"""A sweep: votes of every layer and setting in a folder, scored, and chosen from."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from w2sprobe.cache import ActivationStore
from w2sprobe.errors import InputError
from w2sprobe.folds import folds_of
from w2sprobe.labels import LabelTable
from w2sprobe.layers import parse_layers
from w2sprobe.metrics import auc_inside_folds
from w2sprobe.probing.fitting import predict_layers
from w2sprobe.probing.probers import PROBERS
from w2sprobe.probing.rows import ProbedRows
from w2sprobe.probing.spec import VoteSpec
from w2sprobe.searches import StoredSearch
from w2sprobe.votes.scores import ScoredRows, draw_budget, score_votes
from w2sprobe.votes.selection import Selection, write_sweep
from w2sprobe.votes.table import TRAIN, layer_file


@dataclass(frozen=True)
class Sweep:
    """What a sweep gave.

    Parameters
    ----------
    table : pyarrow.Table
        A row for each layer, setting and set of rows that it is scored on; docs/file-formats.md.
    selections : list of Selection
    layers : tuple of int
    layers_computed : int
        Those that were not there yet.
    n_rows : dict of str to int
        Rows fitted on, filtered out, and scored in each split.
    """

    table: pa.Table
    selections: list[Selection]
    layers: tuple[int, ...]
    layers_computed: int
    n_rows: dict[str, int]


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
    """Cast votes on every layer, score them, and say what each rule chooses.

    Parameters
    ----------
    store : ActivationStore
    spec : VoteSpec
    rows : ProbedRows
    labels : LabelTable
        Weak labels of the training rows, and of others where they are to be compared; rows that a
        filter removed are neither fitted on nor scored.
    folder : str or Path
        For votes, `sweep.parquet` and `sweep.json`. Layers that are there are not computed again.
    ceiling : bool, default False
        Also fit on the truth of the training rows: what the same probes could reach.
    n_true_labels : int, default 0
        Training rows whose truth may choose a setting; they are not scored with the others.
    device : str, default "auto"
        Of linear probes.

    Returns
    -------
    Sweep

    Raises
    ------
    InputError
        Settings that the rows do not allow; no truth where it is needed; `folder` holds other
        votes.
    IdMismatch
        A row that is not in the labels or in the store.
    OutputError
        `folder` cannot be written to.
    """
    folder, given = Path(folder), labels.align(rows.train)
    vectors = {"weak": given}
    if ceiling:
        truth = _truth(rows, rows.train, "the ceiling")
        vectors["truth"] = LabelTable(rows.train, truth, given.keep)
    budget = _budget(spec, rows, given, n_true_labels) if n_true_labels else None
    other = {
        name: ids
        for name, ids in rows.other.items()
        if ScoredRows.of(ids, labels, rows.truth).known
    }
    layers = parse_layers(spec.layers, store.layers)
    there = sum(layer_file(folder, layer).exists() for layer in layers)
    asked, search = replace(rows, other=other), StoredSearch(store)
    votes = predict_layers(store, spec, asked, vectors, folder, search=search, device=device)
    fitted_on = {name: name for name in vectors}
    table = score_votes(votes, labels, rows.truth, fitted_on=fitted_on, budget=budget)
    n_rows = {
        "fitted": int(given.keep.sum()),
        "filtered_out": int((~given.keep).sum()),
        "true_labels": 0 if budget is None else len(budget),
        **{name: len(ids) for name, ids in other.items()},
    }
    selections = write_sweep(folder, table, layers=layers, n_rows=n_rows)
    return Sweep(table, selections, layers, len(layers) - there, n_rows)


def _budget(spec: VoteSpec, rows: ProbedRows, given: LabelTable, n: int) -> np.ndarray:
    """Ids whose truth may choose; they need both classes where they are scored."""
    train = rows.train[given.keep]
    groups = None if rows.groups is None else rows.groups[given.keep]
    truth = _truth(rows, train, "a budget of true labels")
    budget = draw_budget(train, groups, n)
    mask, inside, where = np.isin(train, budget), None, ""
    if TRAIN in spec.held_out or not all(PROBERS[name].alone for name in spec.probes):
        inside = folds_of(len(train), spec.cv, groups)[mask]
        where = f" in one of the {spec.cv} folds"
    if mask.all() or not auc_inside_folds(truth[mask], truth[mask], inside).n_folds:
        raise InputError(
            f"{len(budget)} true labels of {len(train)} rows",
            allowed=f"rows of both classes{where}, and some rows left",
        )
    return budget


def _truth(rows: ProbedRows, ids: np.ndarray, what: str) -> np.ndarray:
    if rows.truth is None or not np.isin(ids, rows.truth.ids).all():
        raise InputError(f"{what} without truth", allowed="a task, or a column truth in the labels")
    return rows.truth.align(ids).hard_label
