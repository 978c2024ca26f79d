"""Score predictions of probes against truth and weak labels: the table of a sweep."""

import hashlib
from collections.abc import Iterable, Mapping
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
# Evaluations of held-out training rows: those outside the budget of true labels, and those in it.
CROSS_FIT, BUDGET = "cross_fit", "budget"
SATURATED = 0.999  # an AUC this high suggests that something gives the labels away

AUCs = tuple[list[float | None], int | None]  # one per prediction vector; number of folds averaged


@dataclass(frozen=True)
class ScoredRows:
    """Weak and true labels of the rows that predictions are scored on.

    Parameters
    ----------
    weak : ndarray of float64, shape (n,), optional
        Soft weak labels; None if some rows have none.
    truth : ndarray of int64, shape (n,), optional
        0 or 1; None if some rows have none.
    folds : ndarray of int64, shape (n,), optional
        For cross-fitted predictions: every AUC, also that of the weak labels, is the mean of the
        AUCs inside the folds. None: one fit predicted all rows.
    """

    weak: np.ndarray | None
    truth: np.ndarray | None
    folds: np.ndarray | None = None

    @classmethod
    def of(cls, ids: np.ndarray, weak: LabelTable, truth: LabelTable | None) -> "ScoredRows":
        """Look up the labels of some rows; labels that not all rows have are left out."""
        has_weak = len(ids) and bool(np.isin(ids, weak.ids).all())
        has_truth = len(ids) and truth is not None and bool(np.isin(ids, truth.ids).all())
        return cls(
            weak.align(ids).soft_label if has_weak else None,
            truth.align(ids).hard_label if truth is not None and has_truth else None,
        )

    @property
    def known(self) -> bool:
        """Whether there are labels to score against."""
        return self.weak is not None or self.truth is not None

    def subset(self, mask: np.ndarray) -> "ScoredRows":
        """Return the rows of a mask."""
        parts = (self.weak, self.truth, self.folds)
        return ScoredRows(*(None if part is None else part[mask] for part in parts))

    def inside(self, folds: np.ndarray | None) -> "ScoredRows":
        """Return a copy for cross-fitted predictions."""
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
        """Score several vectors of predictions at once.

        Parameters
        ----------
        p : ndarray of float64, shape (v, n)
            P(label = 1).

        Returns
        -------
        list of dict
            For each vector the columns `n_rows` to `saturated` of a sweep; None if labels are
            missing or of one class.
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
        from scipy.stats import rankdata  # slow to load; configs import this file

        numbers = np.zeros(p.shape[1]) if self.folds is None else self.folds
        parts = [np.flatnonzero(numbers == fold) for fold in np.unique(numbers)]
        return [(rows, rankdata(p[:, rows], axis=-1)) for rows in parts]

    def _aucs(self, hard: np.ndarray | None, ranked: list[tuple[np.ndarray, np.ndarray]]) -> AUCs:
        """AUCs as `metrics.auc_inside_folds`, from ranks that serve several label vectors."""
        n_vectors = len(ranked[0][1])
        if hard is None:
            return [None] * n_vectors, None
        aucs = []
        for rows, ranks in ranked:
            positive = hard[rows] == 1
            n_ones = int(positive.sum())
            if 0 < n_ones < len(rows):
                # Mann-Whitney U = rank sum of the positives - its minimum; AUC = U / pairs
                u = ranks[:, positive].sum(axis=-1) - n_ones * (n_ones + 1) / 2
                aucs.append(u / (n_ones * (len(rows) - n_ones)))
        means: list[float | None] = [None] * n_vectors
        if aucs:
            means = np.stack(aucs, axis=-1).mean(axis=-1).tolist()
        return means, None if self.folds is None else len(aucs)

    def _log_losses(self, p: np.ndarray) -> list[float | None]:
        """Mean cross-entropy of the soft labels; infinite if a prediction of 0 or 1 is wrong."""
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
    """Score the predictions of every probe on every set of rows that has labels.

    Parameters
    ----------
    layers : iterable of LayerVotes
        A `Votes` folder, or predictions in memory.
    weak : LabelTable
        Weak labels of the training rows, and of other rows to score against them. Training rows
        that it filters out are not scored.
    truth : LabelTable, optional
        True labels.
    fitted_on : mapping of str to {"weak", "truth"}
        Kind of each label vector, by its name; probes fitted on others are left out.
    budget : ndarray of str, optional
        Ids of training rows whose truth may be used for selection; scored apart, as "budget".

    Returns
    -------
    pyarrow.Table
        `COLUMNS`; sorted by layer, probe, label vector, value and set of rows. The rows of
        "cross_fit" are the training rows, cross-fitted and ranked inside the folds; a probe without
        such predictions is scored by leave-one-out, with all rows ranked together.

    Raises
    ------
    IdMismatch
        A training row without a weak label.
    """
    no_ids = np.empty(0, dtype=np.str_)
    labelled: dict[tuple[str, str], _EvaluatedRows] = {}
    rows = []
    for layer in layers:
        probes = [
            probe
            for probe in layer.probes
            if probe.labels in fitted_on and probe.probe not in MASKS
        ]
        scores: dict[str, dict[FittedProbe, dict[str, Any]]] = {}
        for (evaluation, split), evaluated in _evaluations(layer, probes).items():
            key = evaluation, split
            if key not in labelled or not labelled[key].same_rows(layer, split):
                labelled[key] = _EvaluatedRows.of(
                    layer, evaluation, split, weak, truth, no_ids if budget is None else budget
                )
            if labelled[key].any:
                p = [layer.p[probe, split] for probe in evaluated]
                scores.setdefault(evaluation, {}).update(
                    zip(evaluated, labelled[key].score(p), strict=True)
                )
        rows += [
            {
                "layer": layer.layer,
                "probe": probe.probe,
                "setting": probe.setting,
                "value": probe.value,
                "fitted_on": fitted_on[probe.labels],
                "evaluation": evaluation,
                **scores[evaluation][probe],
            }
            for probe in probes
            for evaluation in scores
            if probe in scores[evaluation]
        ]
    return pa.Table.from_pylist(rows, schema=COLUMNS)


def draw_budget(ids: np.ndarray, groups: np.ndarray | None, n: int) -> np.ndarray:
    """Draw up to n rows by the hash of their ids; groups are taken whole, if they fit.

    Parameters
    ----------
    ids : ndarray of str, shape (m,)
    groups : ndarray of int, shape (m,), optional
    n : int
        Without groups, a larger draw contains every smaller one.

    Returns
    -------
    ndarray of str
        Ids, in the order of `ids`.
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
class _EvaluatedRows:
    """Rows of a split that count for an evaluation; looked up once for layers of the same rows."""

    ids: np.ndarray
    fold: np.ndarray
    mask: np.ndarray  # rows of the split that are scored
    scored: ScoredRows

    @property
    def any(self) -> bool:
        """Whether there are rows with labels."""
        return self.scored.known and bool(self.mask.any())

    def score(self, p: Iterable[np.ndarray]) -> list[dict[str, Any]]:
        """Score vectors of predictions for all rows of the split."""
        # not p[:, mask], whose memory order would make the last digits of sums depend on how many
        # vectors are scored together
        return self.scored.score(np.stack([vector[self.mask] for vector in p]))

    def same_rows(self, layer: LayerVotes, split: str) -> bool:
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
    ) -> "_EvaluatedRows":
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
    layer: LayerVotes, probes: list[FittedProbe]
) -> dict[tuple[str, str], list[FittedProbe]]:
    """Group probes by evaluation and by the split that holds their predictions for it."""
    not_evaluated = (TRAIN, LEAVE_ONE_OUT, IN_SAMPLE, FILTERED_OUT)
    splits_of = {
        CROSS_FIT: (TRAIN, LEAVE_ONE_OUT),  # the first that a probe has
        BUDGET: (TRAIN, LEAVE_ONE_OUT),
        IN_SAMPLE: (IN_SAMPLE,),
        **{split: (split,) for split in layer.rows if split not in not_evaluated},
    }
    groups: dict[tuple[str, str], list[FittedProbe]] = {}
    for evaluation, splits in splits_of.items():
        for probe in probes:
            split = next((name for name in splits if (probe, name) in layer.p), None)
            if split is not None:
                groups.setdefault((evaluation, split), []).append(probe)
    return groups


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b
