"""Relabel or filter a LabelTable by predictions, with a reason for every row."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from w2sprobe.errors import InputError, UnknownName
from w2sprobe.labels import LabelTable
from w2sprobe.votes.rules import FILTER_RULES, RANDOM, check_rule, groups_of

Action = Literal["relabel", "filter"]
# reasons
KEPT, UNCHANGED, CHANCE = "kept", "unchanged", "removed: at random"
OUTSIDE = "removed: outside the largest component of its class"
FAR = "removed: label too far from the mean of its neighbours"


@dataclass(frozen=True)
class Curated:
    """Labels before and after a curation, with a reason for every row.

    Parameters
    ----------
    before, after : LabelTable
        The same ids in the same order.
    p : ndarray of float64, shape (n,), optional
        The probe's P(label = 1); for the rule "deep-knn" the share of neighbours with hard label
        1. None without predictions: TopoFilter and the rule "random".
    fold : ndarray of int64, shape (n,), optional
        Fold in which each row was held out; None without cross-fitting.
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
        Rows marked as filtered out are curated like the others.
    p : ndarray of float64, shape (n,)
        Predictions, such as out-of-fold ones; for "deep-knn" those of kNN fitted on hard labels.
    fold : ndarray of int64, shape (n,), optional
        Fold in which each row was held out.
    rule : str, default "disagreement"
        How a filter ranks rows: one of `w2sprobe.votes.rules.FILTER_RULES`; docs/probes.md.
    contamination : float, optional, default 0.1, in (0, 1)
        Share of the rows that a filter removes. None: "confident-learning" and "deep-knn" estimate
        it.
    per_class : bool, default False
        Remove this share of each class of the hard labels.

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
    result = FILTER_RULES[rule].apply(p, labels.soft_label, contamination, per_class=per_class)
    reason = [
        KEPT if kept else f"removed: {result.criterion} {score:.2f}, {result.cut}"
        for kept, score in zip(result.keep, result.score, strict=True)
    ]
    return _filtered(labels, result.keep, reason, p, fold)


def curate_by_masks(labels: LabelTable, keep: np.ndarray, component: np.ndarray) -> Curated:
    """Filter rows by the two masks of TopoFilter.

    Parameters
    ----------
    keep : ndarray of bool, shape (n,)
        Rows that both of its steps keep.
    component : ndarray of bool, shape (n,)
        Rows that its first step keeps: those in the largest component of their class.
    """
    reason = [
        KEPT if kept else FAR if inside else OUTSIDE
        for kept, inside in zip(keep, component, strict=True)
    ]
    return _filtered(labels, keep, reason)


def curate_at_random(
    labels: LabelTable, contamination: float, *, per_class: bool = False, seed: int = 0
) -> Curated:
    """Remove a share of the rows at random, as a control for filters.

    Parameters
    ----------
    contamination : float, in (0, 1)
        Share of the rows to remove.
    per_class : bool, default False
        Remove this share of each class of the hard labels.

    Raises
    ------
    InputError
        `contamination` is out of range.
    """
    check_rule(RANDOM, contamination, per_class=per_class)
    keep = np.ones(len(labels), dtype=bool)
    for rows in groups_of(labels.soft_label, per_class=per_class):
        keep[rows] = filter_at_random(len(rows), round(contamination * len(rows)), seed=seed)
    return _filtered(labels, keep, [KEPT if kept else CHANCE for kept in keep])


def filter_at_random(n: int, n_removed: int, *, seed: int = 0) -> np.ndarray:
    """Choose rows to keep when a given number is removed at random, as a control for a filter.

    Parameters
    ----------
    n : int
        Number of rows.
    n_removed : int, in [0, n]

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
