"""A grid of probes over the layers of a store: every row in one table, every setting scored."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from w2sprobe.cache import ActivationStore
from w2sprobe.curation import (
    Action,
    Origin,
    overlap,
    predictions,
    provenance,
    scorecard,
    untouched,
)
from w2sprobe.data import Splits, truth_table
from w2sprobe.labels import LabelTable, read_truth
from w2sprobe.metrics import auc_inside_folds
from w2sprobe.probing.grid import Grid, choose_l2, curate_grid, fitted, held_out, voters


@dataclass(frozen=True)
class ProbedRows:
    """The rows that a probe is fitted on, those it is asked about, and what is known of both.

    Parameters
    ----------
    name : str
        Of the training rows.
    train : ndarray of str, shape (n,)
        Ids.
    other : dict of str to ndarray of str
        Ids of other rows, by the names of their splits.
    truth : LabelTable, optional
        True labels, for scoring alone.
    groups : ndarray of int, shape (n,), optional
        Training rows of one value have no say in one another's labels.
    """

    name: str
    train: np.ndarray
    other: dict[str, np.ndarray]
    truth: LabelTable | None
    groups: np.ndarray | None

    @classmethod
    def of_splits(cls, splits: Splits) -> "ProbedRows":
        """Strong-train rows, against validation and test.

        Rows of a group of the task, and copies of a text, are one group.
        """
        train = splits.strong_train
        groups = _codes([" ".join(text.split()) for text in train.texts])
        if train.groups is not None:
            # both kinds as the two sides of a graph, whose links are the rows
            nodes = (groups, len(train) + _codes(train.groups))
            links = coo_array((np.ones(len(train)), nodes), (2 * len(train),) * 2)
            groups = _codes(connected_components(links, directed=False)[1][groups])
        return cls(
            "strong_train",
            train.ids,
            {"val": splits.val.ids, "test": splits.test.ids},
            truth_table(train, splits.val, splits.test),
            groups if groups.max() + 1 < len(train) else None,
        )

    @classmethod
    def of_labels(cls, path: Path, store: ActivationStore) -> "ProbedRows":
        """Rows of a label file, against those only the store has; truth where the file has it."""
        ids = LabelTable.read(path).ids
        return cls(
            "labelled",
            ids,
            {"unlabelled": store.ids[~np.isin(store.ids, ids)]},
            read_truth(path),
            None,
        )


@dataclass(frozen=True)
class Outcome:
    """What a grid over layers gave.

    Parameters
    ----------
    table : pyarrow.Table
        `w2sprobe.votes.provenance.COLUMNS`; a row for each row, layer and setting.
    results : list of dict
        One a layer and setting: layer, setting and value, and scores; ready for JSON.
    """

    table: pa.Table
    results: list[dict[str, Any]]


def _codes(values: ArrayLike) -> np.ndarray:
    """Equal values as equal numbers, from 0 on."""
    codes: np.ndarray = np.unique(values, return_inverse=True)[1]
    return codes


def predict_store(
    grid: Grid,
    store: ActivationStore,
    layers: Sequence[int],
    labels: LabelTable,
    rows: ProbedRows,
) -> Outcome:
    """Predictions of every layer and setting, one layer in memory at a time.

    Parameters
    ----------
    grid : Grid
        Not of topofilter.
    store : ActivationStore
    layers : sequence of int
    labels : LabelTable
        Has the training rows; those it marks as filtered out are predicted and not fitted on.
    rows : ProbedRows

    Returns
    -------
    Outcome
        Scores: AUC of each part of the rows, against the labels given and against the truth. Of
        training rows predicted by folds it is the mean of the AUCs inside the folds, and `n_folds`
        says how many have rows of both classes. kNN that leaves out single rows ranks all of them
        together, which is biased downwards; `n_folds` is then not there.

    Raises
    ------
    InputError
        Whatever the probe refuses.
    IdMismatch
        A row that is not in the table or the store.
    """
    given = labels.align(rows.train)
    train, soft = rows.train[given.keep], given.soft_label[given.keep]
    groups = None if rows.groups is None else rows.groups[given.keep]
    other = {"filtered out": rows.train[~given.keep], **rows.other}
    other = {name: ids for name, ids in other.items() if len(ids)}
    asked = np.concatenate([np.empty(0, dtype=np.str_), *other.values()])
    ends = np.cumsum([len(ids) for ids in other.values()])[:-1]
    known = {
        name: _known(labels, rows.truth, ids) for name, ids in {rows.name: train, **other}.items()
    }
    tables, results = [], []
    for layer in layers:
        X = store.read(layer, store.rows_of(train))
        here = choose_l2(grid, X, soft, groups)
        own, fold = held_out(here, X, soft, groups)
        found = voters(here, X, groups)
        rest = np.empty((len(own), 0))
        if len(asked):
            rest = fitted(here, X, soft, store.read(layer, store.rows_of(asked)))
        for (setting, value), p, q in zip(here.settings, own, rest, strict=True):
            origin = Origin(here.probe, layer, setting, value)
            near = None if found is None else found[:, : int(value or 0)]
            tables.append(predictions(train, p, fold, asked, q, labels, origin, neighbors=near))
            parts = dict(zip(other, np.split(q, ends), strict=True)) if other else {}
            auc, n_folds = _aucs(known[rows.name], p, fold)
            aucs = {rows.name: auc}
            aucs |= {name: _aucs(known[name], part)[0] for name, part in parts.items()}
            results.append({**_place(layer, setting, value), "auc": aucs, **n_folds})
        del X  # or the next layer would be read beside it
    return Outcome(pa.concat_tables(tables), results)


def curate_store(
    grid: Grid,
    action: Action,
    store: ActivationStore,
    layers: Sequence[int],
    labels: LabelTable,
    rows: ProbedRows,
) -> Outcome:
    """Relabelled or filtered labels of every layer and setting.

    Parameters
    ----------
    grid : Grid
    action : {"relabel", "filter"}
    store, layers, rows
        As in `predict_store`.
    labels : LabelTable
        All training rows count; the rows that are no training rows are passed through.

    Returns
    -------
    Outcome
        Scores of relabelling: AUC of the new labels against the old and against the truth, that of
        the old ones, both as in `predict_store`, and flipped rows. Of filtering: the scorecard, and
        `overlap`: the Jaccard index of the removed rows with those of each other result, by its
        position in the list.

    Raises
    ------
    InputError
        Whatever the probe refuses.
    IdMismatch
        A row that is not in the table or the store.
    """
    given = labels.align(rows.train)
    truth = rows.truth.align(rows.train).hard_label if rows.truth else None
    tables: list[pa.Table] = []
    results: list[dict[str, Any]] = []
    keeps: dict[str, np.ndarray] = {}
    known, true = _known(labels, rows.truth, rows.train), _known(None, rows.truth, rows.train)
    for layer in layers:
        X = store.read(layer, store.rows_of(rows.train))
        here = choose_l2(grid, X, given.soft_label, rows.groups)
        curated = curate_grid(here, action, X, given, rows.groups)
        by_chance = action == "filter" and grid.rule == "random" and grid.probe != "topofilter"
        settings = [(None, None)] if by_chance else here.settings
        found = None if by_chance else voters(here, X, rows.groups)
        for (setting, value), one in zip(settings, curated, strict=True):
            origin = Origin("random" if by_chance else here.probe, layer, setting, value)
            near = None if found is None else found[:, : int(value or 0)]
            tables += [provenance(one, origin, neighbors=near), untouched(labels, one, origin)]
            result = _place(layer, setting, value)
            if action == "relabel":
                result["flipped"] = int((one.after.hard_label != given.hard_label).sum())
                result["auc"], n_folds = _aucs(known, one.after.soft_label, one.fold)
                result["auc_before"], _ = _aucs(true, given.soft_label, one.fold)
                result |= n_folds
            else:
                card = asdict(scorecard(one.after.keep, given.soft_label, truth))
                # a share of nothing is null in JSON
                result |= {name: None if share != share else share for name, share in card.items()}
                keeps[str(len(results))] = one.after.keep
            results.append(result)
        del X  # or the next layer would be read beside it
    for (one_, other_), jaccard in overlap(keeps).items():
        for a, b in ((one_, other_), (other_, one_)):
            results[int(a)].setdefault("overlap", {})[b] = jaccard
    return Outcome(pa.concat_tables(tables), results)


def _place(layer: int, setting: str | None, value: float | None) -> dict[str, Any]:
    return {"layer": layer} if setting is None else {"layer": layer, setting: value}


def _known(
    labels: LabelTable | None, truth: LabelTable | None, ids: np.ndarray
) -> dict[str, np.ndarray]:
    """Hard labels given and true ones of some rows, where they have them, and of both classes."""
    known = {}
    for name, table in (("labels", labels), ("truth", truth)):
        if table is not None and np.isin(ids, table.ids).all():
            hard = table.align(ids).hard_label
            if 0 < hard.sum() < len(hard):
                known[name] = hard
    return known


def _aucs(
    known: dict[str, np.ndarray], p: np.ndarray, fold: np.ndarray | None = None
) -> tuple[dict[str, float], dict[str, dict[str, int]]]:
    """AUC against each kind of labels; by folds, `n_folds` of each kind as well."""
    found = {name: auc_inside_folds(hard, p, fold) for name, hard in known.items()}
    aucs = {name: float(one.auc) for name, one in found.items() if one.auc is not None}
    n_folds = {name: one.n_folds for name, one in found.items()}
    return aucs, {} if fold is None or not found else {"n_folds": n_folds}
