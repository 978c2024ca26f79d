"""Which rows a curation relabels or removes, from predictions and labels alone."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from w2sprobe.errors import InputError, UnknownName
from w2sprobe.labels import LabelTable
from w2sprobe.votes.rules import FILTER_RULES, check_rule, groups_of

Action = Literal["relabel", "filter"]
RANDOM = "random"  # no rule: rows go at random
KEPT, UNCHANGED, CHANCE = "kept", "unchanged", "removed: at random"
OUTSIDE = "removed: outside the largest component of its class"
FAR = "removed: label too far from the mean of its neighbours"


@dataclass(frozen=True)
class Curated:
    """A table before and after curation, and why each row fared as it did.

    Parameters
    ----------
    before, after : LabelTable
        The same ids in the same order.
    p : ndarray of float64, shape (n,), optional
        The probe's P(label = 1); for the rule "deep-knn" the share of neighbours with hard label
        1. None where no probe predicts: TopoFilter, the rule "random".
    fold : ndarray of int64, shape (n,), optional
        The fold that a row was left out with; None without cross-fitting.
    reason : tuple of str, length n
        A sentence a row.
    """

    before: LabelTable
    after: LabelTable
    p: np.ndarray | None
    fold: np.ndarray | None
    reason: tuple[str, ...]


def curate(
    action: Action,
    labels: LabelTable,
    p: np.ndarray,
    fold: np.ndarray | None = None,
    *,
    rule: str = "disagreement",
    contamination: float | None = 0.1,
    per_class: bool = False,
) -> Curated:
    """Relabel or filter rows by predictions for them.

    Parameters
    ----------
    action : {"relabel", "filter"}
    labels : LabelTable
        All rows count, those marked as filtered out too.
    p : ndarray of float64, shape (n,)
        Predictions for the rows, such as out-of-fold ones; for "deep-knn" votes on hard labels.
    fold : ndarray of int64, shape (n,), optional
        The fold that each row was left out with.
    rule : str, default "disagreement"
        How a filter ranks rows: one of `w2sprobe.votes.rules.FILTER_RULES`; docs/probes.md.
    contamination : float, optional, default 0.1, in (0, 1)
        Share of the rows that a filter removes. None: "confident-learning" and "deep-knn" remove
        the rows that they find to be wrong.
    per_class : bool, default False
        Remove this share of each class of the hard labels.

    Returns
    -------
    Curated

    Raises
    ------
    UnknownName
        No such action, or a rule that needs no predictions.
    InputError
        `contamination` is out of range, or `per_class` without one.
    MissingDependency
        cleanlab is not installed.
    """
    if action not in get_args(Action):
        raise UnknownName("action", action, get_args(Action))
    if rule not in FILTER_RULES:
        raise UnknownName("rule", rule, FILTER_RULES)
    if action == "relabel":
        reason = [
            UNCHANGED if new == old else f"relabelled: probe {new:.2f} against label {old:.2f}"
            for new, old in zip(p, labels.soft_label, strict=True)
        ]
        return Curated(labels, LabelTable(labels.ids, p, labels.keep), p, fold, tuple(reason))
    check_rule(rule, contamination, per_class=per_class)
    verdict = FILTER_RULES[rule].apply(p, labels.soft_label, contamination, per_class=per_class)
    reason = [
        KEPT if stays else f"removed: {verdict.criterion} {score:.2f}, {verdict.cut}"
        for stays, score in zip(verdict.keep, verdict.score, strict=True)
    ]
    return _filtered(labels, verdict.keep, reason, p, fold)


def curate_by_masks(labels: LabelTable, keep: np.ndarray, component: np.ndarray) -> Curated:
    """Filter rows by the two masks of TopoFilter.

    Parameters
    ----------
    labels : LabelTable
    keep : ndarray of bool, shape (n,)
        Rows that both steps keep.
    component : ndarray of bool, shape (n,)
        Rows in the largest component of their class.

    Returns
    -------
    Curated
    """
    reason = [
        KEPT if stays else FAR if inside else OUTSIDE
        for stays, inside in zip(keep, component, strict=True)
    ]
    return _filtered(labels, keep, reason)


def curate_at_random(
    labels: LabelTable, contamination: float, *, per_class: bool = False, seed: int = 0
) -> Curated:
    """Remove a share of the rows, whichever: the control of a filter.

    Parameters
    ----------
    labels : LabelTable
    contamination : float, in (0, 1)
        Share of the rows to remove.
    per_class : bool, default False
        Remove this share of each class of the hard labels.
    seed : int, default 0

    Returns
    -------
    Curated

    Raises
    ------
    InputError
        `contamination` is out of range.
    """
    check_rule(RANDOM, contamination, per_class=per_class)
    keep = np.ones(len(labels), dtype=bool)
    for rows in groups_of(labels.soft_label, per_class=per_class):
        keep[rows] = filter_at_random(len(rows), round(contamination * len(rows)), seed=seed)
    return _filtered(labels, keep, [KEPT if stays else CHANCE for stays in keep])


def filter_at_random(n: int, n_removed: int, *, seed: int = 0) -> np.ndarray:
    """Rows to keep when as many go as another filter removes, whichever: its control.

    Parameters
    ----------
    n : int
        Rows.
    n_removed : int, in [0, n]
        Rows to remove.
    seed : int, default 0

    Returns
    -------
    ndarray of bool, shape (n,)
        True: keep.

    Raises
    ------
    InputError
        `n_removed` is out of range.
    """
    if not 0 <= n_removed <= n:
        raise InputError(f"n_removed is {n_removed!r}", allowed=f"0 to {n}")
    keep = np.ones(n, dtype=bool)
    keep[np.random.default_rng(seed).choice(n, n_removed, replace=False)] = False
    return keep


def _filtered(
    before: LabelTable,
    keep: np.ndarray,
    reason: list[str],
    p: np.ndarray | None = None,
    fold: np.ndarray | None = None,
) -> Curated:
    after = LabelTable(before.ids, before.soft_label, keep, variance=before.variance)
    return Curated(before, after, p, fold, tuple(reason))
