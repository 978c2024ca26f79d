"""A sweep's rows, their labels, and which predictions are scored on which; checked beforehand."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from w2sprobe.cache import ActivationStore
from w2sprobe.checks import (
    check_both_classes,
    check_k,
    check_l2,
    n_left_out,
    optional_groups,
)
from w2sprobe.errors import InputError
from w2sprobe.fingerprint import fingerprint
from w2sprobe.folds import folds_of
from w2sprobe.labels import LabelTable
from w2sprobe.metrics import auc_inside_folds
from w2sprobe.probes.preprocess import check_preprocess
from w2sprobe.probing import ProbedRows
from w2sprobe.sweeps.scores import ScoredRows
from w2sprobe.sweeps.settings import SweepSettings

VERSION = 2  # of what a sweep computes: another one does not go on with the layers of this one


@dataclass(frozen=True)
class Problem:
    """A sweep's rows.

    Parameters
    ----------
    train : ndarray of str, shape (n,)
        Ids of the rows that probes are fitted on: those that no filter removed.
    groups : ndarray of int, shape (n,), optional
        Rows of one value have no say in one another's labels.
    folds : ndarray of int64, shape (n,), optional
        The fold that each row is held out with; None where all probes leave out single rows.
    vectors : dict of str to ndarray of float64, shape (n,)
        Labels to fit, "weak" and, for the ceiling, "truth".
    budget : ndarray of bool, shape (n,)
        Rows whose truth may be used to choose a setting.
    own : ScoredRows
        The rows of `train`.
    other : dict of str to ndarray of str
        Ids of the rows of other splits that can be scored.
    scored : dict of str to ScoredRows
        The same.
    n_filtered_out : int
        Rows of the labels that a filter removed: neither fitted on nor scored.
    """

    train: np.ndarray
    groups: np.ndarray | None
    folds: np.ndarray | None
    vectors: dict[str, np.ndarray]
    budget: np.ndarray
    own: ScoredRows
    other: dict[str, np.ndarray]
    scored: dict[str, ScoredRows]
    n_filtered_out: int

    @classmethod
    def of(cls, labels: LabelTable, rows: ProbedRows, settings: SweepSettings) -> "Problem":
        """Look up the labels of all rows, and refuse what no layer could answer.

        Raises
        ------
        InputError
            Settings that the rows do not allow; labels of one class; no truth where it is needed.
        IdMismatch
            A training row without a label.
        """
        given = labels.align(rows.train)
        train = rows.train[given.keep]
        groups = None if rows.groups is None else rows.groups[given.keep]
        own = _known(labels, rows.truth, train)
        vectors = {"weak": given.soft_label[given.keep]}
        if settings.ceiling:
            vectors["truth"] = _needed(own.truth, "the ceiling").astype(np.float64)
        scored = {name: _known(labels, rows.truth, ids) for name, ids in rows.other.items()}
        scored = {name: part for name, part in scored.items() if part.known}
        if not settings.ks and not settings.l2s:
            raise InputError("nothing to sweep", allowed="numbers of neighbours, or penalties")
        if not len(train):
            raise InputError(
                "no rows to fit", advice="The labels mark all of them as filtered out."
            )
        by_folds = not settings.leave_one_out or settings.l2s
        folds = folds_of(len(train), settings.cv, groups) if by_folds else None
        budget = np.zeros(len(train), dtype=bool)
        if settings.n_true_labels:
            truth = _needed(own.truth, "a budget of true labels")
            budget = _budget(train, groups, settings.n_true_labels)
            inside = None if folds is None else folds[budget]
            if budget.all() or not auc_inside_folds(truth[budget], truth[budget], inside).n_folds:
                one = "" if folds is None else f" in one of the {settings.cv} folds"
                raise InputError(
                    f"{int(budget.sum())} true labels of {len(train)} rows",
                    allowed=f"rows of both classes{one}, and some rows left",
                )
        problem = cls(
            train,
            groups,
            folds,
            vectors,
            budget,
            own,
            {name: rows.other[name] for name in scored},
            scored,
            int((~given.keep).sum()),
        )
        problem._check(settings)
        return problem

    def _check(self, settings: SweepSettings) -> None:
        n = len(self.train)
        check_preprocess(settings.preprocess)
        if settings.leave_one_out:
            most = n - n_left_out(optional_groups(self.groups, n), itself=True)
            outside = "a row's group"
        else:
            most = n - n_left_out(self.folds, itself=True)
            outside = f"the largest of {settings.cv} folds"
        for k in settings.ks:
            check_k(k, "k", most, f"the rows outside {outside}")
        if settings.l2s:
            check_l2(settings.l2s)
            for soft in self.vectors.values():
                check_both_classes(soft)

    def identity(self, store: ActivationStore, settings: SweepSettings) -> dict[str, Any]:
        """All that determines a layer's numbers, by what a user would call it; JSON."""
        parts = [self.own, *self.scored.values()]
        return {
            "version": VERSION,
            "store": [store.manifest["address"], store.manifest["ids_fingerprint"]],
            "rows": fingerprint(
                [
                    self.train.tolist(),
                    None if self.groups is None else self.groups.tolist(),
                    {name: ids.tolist() for name, ids in self.other.items()},
                ]
            ),
            "labels": fingerprint([None if p.weak is None else p.weak.tolist() for p in parts]),
            "truth": fingerprint([None if p.truth is None else p.truth.tolist() for p in parts]),
            **{
                name: list(value) if isinstance(value, tuple) else value
                for name, value in asdict(settings).items()
            },
        }


def _known(labels: LabelTable, truth: LabelTable | None, ids: np.ndarray) -> ScoredRows:
    has_weak = bool(np.isin(ids, labels.ids).all())
    has_truth = truth is not None and bool(np.isin(ids, truth.ids).all())
    return ScoredRows(
        labels.align(ids).soft_label if has_weak and len(ids) else None,
        truth.align(ids).hard_label if truth is not None and has_truth and len(ids) else None,
    )


def _needed(truth: np.ndarray | None, what: str) -> np.ndarray:
    if truth is None:
        raise InputError(f"{what} without truth", allowed="a task, or a column truth in the labels")
    return truth


def _budget(ids: np.ndarray, groups: np.ndarray | None, n: int) -> np.ndarray:
    """Mask of up to n rows, whole groups as they fit, in the order of their ids' hashes."""
    names = np.arange(len(ids)) if groups is None else groups
    members: dict[int, list[int]] = {}
    hashes = [hashlib.sha256(str(name).encode()).digest() for name in ids.tolist()]
    for row in sorted(range(len(ids)), key=hashes.__getitem__):
        members.setdefault(int(names[row]), []).append(row)
    mask = np.zeros(len(ids), dtype=bool)
    for rows in members.values():
        if mask.sum() + len(rows) <= n:
            mask[rows] = True
    return mask
