"""Votes against truth and against weak labels: the table of a sweep."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from w2sprobe.labels import THRESHOLD, LabelTable
from w2sprobe.votes.table import (
    FILTERED_OUT,
    IN_SAMPLE,
    LEAVE_ONE_OUT,
    MASKS,
    TRAIN,
    FittedProbe,
    LayerVotes,
)

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
    ]
)
CROSS_FIT, BUDGET = "cross_fit", "budget"  # held-out training rows: without the budget, and those
SATURATED = 0.999  # an AUC that calls for a look at the task: does something give its labels away?

AUCs = tuple[list[float | None], int | None]  # of each vector of scores; folds they are means of


@dataclass(frozen=True)
class ScoredRows:
    """Rows that predictions are scored on.

    Parameters
    ----------
    weak : ndarray of float64, shape (n,), optional
        Soft weak labels; None where some rows have none.
    truth : ndarray of int64, shape (n,), optional
        0 or 1; None where some rows have none.
    folds : ndarray of int64, shape (n,), optional
        Where each fold's rows were predicted by another fit: every AUC, that of the weak labels
        too, is the mean of those inside the folds. None: one fit predicted all rows.
    """

    weak: np.ndarray | None
    truth: np.ndarray | None
    folds: np.ndarray | None = None

    @classmethod
    def of(cls, ids: np.ndarray, weak: LabelTable, truth: LabelTable | None) -> "ScoredRows":
        """Look up what the tables know of some rows; a kind of labels counts if all rows have it.

        Parameters
        ----------
        ids : ndarray of str, shape (n,)
        weak : LabelTable
        truth : LabelTable, optional

        Returns
        -------
        ScoredRows
        """
        has_weak = len(ids) and bool(np.isin(ids, weak.ids).all())
        has_truth = len(ids) and truth is not None and bool(np.isin(ids, truth.ids).all())
        return cls(
            weak.align(ids).soft_label if has_weak else None,
            truth.align(ids).hard_label if truth is not None and has_truth else None,
        )

    @property
    def known(self) -> bool:
        """Whether there is anything to compare with."""
        return self.weak is not None or self.truth is not None

    def subset(self, mask: np.ndarray) -> "ScoredRows":
        """Return the rows of a mask."""
        parts = (self.weak, self.truth, self.folds)
        return ScoredRows(*(None if part is None else part[mask] for part in parts))

    def inside(self, folds: np.ndarray | None) -> "ScoredRows":
        """Return the same rows, predicted by folds."""
        return replace(self, folds=folds)

    @cached_property
    def hard(self) -> np.ndarray | None:
        """Hard weak labels."""
        return None if self.weak is None else (self.weak > THRESHOLD).astype(np.int64)

    @cached_property
    def of_labels(self) -> tuple[float | None, float | None]:
        """AUC of the soft weak labels against truth, and against the hard ones."""
        if self.weak is None:
            return None, None
        ranked = self._ranked(self.weak[None])
        (on_truth,), _ = self._aucs(self.truth, ranked)
        (on_weak,), _ = self._aucs(self.hard, ranked)
        return on_truth, on_weak

    def score(self, p: np.ndarray) -> list[dict[str, Any]]:
        """Compare predictions with what is known.

        Parameters
        ----------
        p : ndarray of float64, shape (v, n)
            P(label = 1) by vote.

        Returns
        -------
        list of dict
            For each vote the columns of a sweep from `n_rows` to `saturated`; None where something
            is unknown or of one class.
        """
        ranked = self._ranked(p)
        on_truth, n_truth = self._aucs(self.truth, ranked)
        on_weak, n_weak = self._aucs(self.hard, ranked)
        labels_auc, hard_auc = self.of_labels
        distinct = 1 + (np.diff(np.sort(p, axis=-1), axis=-1) > 0).sum(axis=-1)
        return [
            {
                "n_rows": p.shape[1],
                "n_distinct": n_distinct,
                "auc_truth": truth,
                "auc_weak": weak,
                "n_folds_truth": n_truth,
                "n_folds_weak": n_weak,
                "labels_auc": labels_auc,
                "delta_auc_truth": _difference(truth, labels_auc),
                "delta_auc_weak": _difference(weak, hard_auc),
                "log_loss_weak": loss,
                "saturated": max(truth or 0.0, weak or 0.0) >= SATURATED,
            }
            for n_distinct, truth, weak, loss in zip(
                distinct.tolist(), on_truth, on_weak, self._log_losses(p), strict=True
            )
        ]

    def _ranked(self, p: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Rows of each fold, and midranks of the predictions inside it, (v, rows)."""
        from scipy.stats import rankdata  # slow to load, and configs lead here

        numbers = np.zeros(p.shape[1]) if self.folds is None else self.folds
        parts = [np.flatnonzero(numbers == fold) for fold in np.unique(numbers)]
        return [(rows, rankdata(p[:, rows], axis=-1)) for rows in parts]

    def _aucs(self, hard: np.ndarray | None, ranked: list[tuple[np.ndarray, np.ndarray]]) -> AUCs:
        """AUCs as `metrics.auc_inside_folds` has them, of ranks that serve several labels."""
        n_votes = len(ranked[0][1])
        if hard is None:
            return [None] * n_votes, None
        aucs = []
        for rows, ranks in ranked:
            positive = hard[rows] == 1
            n_ones = int(positive.sum())
            if 0 < n_ones < len(rows):
                above = ranks[:, positive].sum(axis=-1) - n_ones * (n_ones + 1) / 2
                aucs.append(above / (n_ones * (len(rows) - n_ones)))
        means: list[float | None] = [None] * n_votes
        if aucs:
            means = np.stack(aucs, axis=-1).mean(axis=-1).tolist()
        return means, None if self.folds is None else len(aucs)

    def _log_losses(self, p: np.ndarray) -> list[float | None]:
        """Mean cross-entropy of the soft labels; infinite where a certain vote is contradicted."""
        from scipy.special import xlog1py, xlogy

        if self.weak is None:
            return [None] * len(p)
        losses: list[float | None] = (
            -(xlogy(self.weak, p) + xlog1py(1 - self.weak, -p)).mean(axis=-1)
        ).tolist()
        return losses


def score_votes(
    layers: Iterable[LayerVotes],
    weak: LabelTable,
    truth: LabelTable | None,
    *,
    fitted_on: Mapping[str, str],
    budget: np.ndarray | None = None,
) -> pa.Table:
    """Score every vote on every set of rows of which something is known.

    Parameters
    ----------
    layers : iterable of LayerVotes
        A `Votes` folder, or votes in memory.
    weak : LabelTable
        Weak labels of the training rows, and of others where they are to be compared. Training
        rows that it filters out are not scored.
    truth : LabelTable, optional
        True labels.
    fitted_on : mapping of str to {"weak", "truth"}
        What the vectors of labels are, by their names in the votes; others are left out.
    budget : ndarray of str, optional
        Ids of training rows whose truth may choose a setting: they are scored apart, as "budget".

    Returns
    -------
    pyarrow.Table
        `COLUMNS`; by layer, probe, label vector, value and set of rows. "cross_fit" are the
        training rows, predicted by the other folds and ranked inside the folds; a vote that has no
        such predictions has each row left out alone, and all rows ranked together.

    Raises
    ------
    IdMismatch
        A training row without a weak label.
    """
    chosen = np.empty(0, dtype=np.str_) if budget is None else budget
    known: dict[tuple[str, str], _Known] = {}
    rows = []
    for layer in layers:
        votes = [one for one in layer.votes if one.labels in fitted_on and one.probe not in MASKS]
        found: dict[tuple[FittedProbe, str], dict[str, Any]] = {}
        evaluations: dict[str, None] = {}
        for (evaluation, split), some in _evaluations(layer, votes).items():
            key = evaluation, split
            if key not in known or not known[key].of_same(layer, split):
                known[key] = _Known.of(layer, evaluation, split, weak, truth, chosen)
            mask, scored = known[key].mask, known[key].scored
            if not scored.known or not mask.any():
                continue
            evaluations[evaluation] = None
            scores = scored.score(np.stack([layer.p[one, split][mask] for one in some]))
            found |= {(one, evaluation): score for one, score in zip(some, scores, strict=True)}
        rows += [
            {
                "layer": layer.layer,
                "probe": one.probe,
                "setting": one.setting,
                "value": one.value,
                "fitted_on": fitted_on[one.labels],
                "evaluation": evaluation,
                **found[one, evaluation],
            }
            for one in votes
            for evaluation in evaluations
            if (one, evaluation) in found
        ]
    return pa.Table.from_pylist(rows, schema=COLUMNS)


def draw_budget(ids: np.ndarray, groups: np.ndarray | None, n: int) -> np.ndarray:
    """Ids of up to n rows, whole groups as they fit, in the order of their ids' hashes.

    Parameters
    ----------
    ids : ndarray of str, shape (m,)
    groups : ndarray of int, shape (m,), optional
    n : int
        A larger budget holds every smaller one where rows have no groups.

    Returns
    -------
    ndarray of str
    """
    names = np.arange(len(ids)) if groups is None else groups
    members: dict[int, list[int]] = {}
    hashes = [hashlib.sha256(str(name).encode()).digest() for name in ids.tolist()]
    for row in sorted(range(len(ids)), key=hashes.__getitem__):
        members.setdefault(int(names[row]), []).append(row)
    chosen: list[int] = []
    for rows in members.values():
        if len(chosen) + len(rows) <= n:
            chosen += rows
    return ids[np.sort(np.array(chosen, dtype=np.int64))]


@dataclass(frozen=True)
class _Known:
    """What is known of the rows of a split; looked up once for layers of the same rows."""

    ids: np.ndarray
    fold: np.ndarray
    mask: np.ndarray  # rows of the split that are scored
    scored: ScoredRows

    def of_same(self, layer: LayerVotes, split: str) -> bool:
        return np.array_equal(self.ids, layer.rows[split]) and np.array_equal(self.fold, layer.fold)

    @classmethod
    def of(
        cls,
        layer: LayerVotes,
        evaluation: str,
        split: str,
        weak: LabelTable,
        truth: LabelTable | None,
        budget: np.ndarray,
    ) -> "_Known":
        ids = layer.rows[split]
        mask = np.ones(len(ids), dtype=bool)
        if split in (TRAIN, LEAVE_ONE_OUT, IN_SAMPLE):
            mask = weak.align(ids).keep
            if evaluation != IN_SAMPLE:
                mask = mask & (np.isin(ids, budget) == (evaluation == BUDGET))
        scored = ScoredRows.of(ids, weak, truth)
        scored = scored.inside(layer.fold if split == TRAIN else None)
        return cls(ids, layer.fold, mask, scored.subset(mask))


def _evaluations(
    layer: LayerVotes, votes: list[FittedProbe]
) -> dict[tuple[str, str], list[FittedProbe]]:
    """Votes by what they are scored as, and the split that has their predictions."""
    found: dict[tuple[str, str], list[FittedProbe]] = {}
    others = [
        split
        for split in layer.rows
        if split not in (TRAIN, LEAVE_ONE_OUT, IN_SAMPLE, FILTERED_OUT)
    ]
    for evaluation, splits in _sources(others):
        for vote in votes:
            for split in splits:
                if (vote, split) in layer.p:
                    found.setdefault((evaluation, split), []).append(vote)
                    break
    return found


def _sources(others: list[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Sets of rows in their order in the table; of several splits, a vote's first one counts."""
    yield CROSS_FIT, (TRAIN, LEAVE_ONE_OUT)
    yield BUDGET, (TRAIN, LEAVE_ONE_OUT)
    yield IN_SAMPLE, (IN_SAMPLE,)
    for name in others:
        yield name, (name,)


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b
