"""Curation of a LabelTable: labels in, labels out, and the account of every row."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from w2sprobe.curation._rules import (
    Verdict,
    by_confident_learning,
    by_disagreement,
    by_majority,
    check_rule,
    groups_of,
)
from w2sprobe.curation.filters import filter_at_random
from w2sprobe.curation.relabelling import IN_SAMPLE, CrossFit, relabel, resolve_cv
from w2sprobe.errors import InputError, UnknownName
from w2sprobe.labels import LabelTable
from w2sprobe.probes import KNNProbe, TopoFilter
from w2sprobe.probes._checks import optional_groups
from w2sprobe.probes._folds import folds_of

Action = Literal["relabel", "filter"]
Rule = Literal["disagreement", "confident-learning", "deep-knn", "random"]
VERDICTS: dict[Rule, Callable[..., Verdict]] = {
    "disagreement": by_disagreement,
    "confident-learning": by_confident_learning,
    "deep-knn": by_majority,
}
KEPT, UNCHANGED, CHANCE = "kept", "unchanged", "removed: at random"
OUTSIDE = "removed: outside the largest component of its class"


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
    probe: Any,
    action: Action,
    X: ArrayLike,
    labels: LabelTable,
    *,
    rule: Rule = "disagreement",
    contamination: float | None = 0.1,
    cv: CrossFit = None,
    per_class: bool = False,
    groups: ArrayLike | None = None,
) -> LabelTable:
    """Relabel or filter the rows of a table.

    Parameters
    ----------
    probe : estimator
        As in `w2sprobe.probes`; TopoFilter only filters.
    action : {"relabel", "filter"}
    X : array_like of float, shape (n, d)
        Activations of the table's rows, in its order.
    labels : LabelTable
        All rows count, those marked as filtered out too.
    rule : {"disagreement", "confident-learning", "deep-knn", "random"}
        How rows are chosen to go: `filter_by_disagreement`, `filter_by_confident_learning`,
        `filter_by_neighbors` (k and search are those of a KNNProbe) or `filter_at_random` with
        seed 0, which asks no probe. TopoFilter is its own rule.
    contamination : float, optional, default 0.1, in (0, 1)
        Share of the rows that a filter removes; TopoFilter brings its own. None lets
        "confident-learning" and "deep-knn" find out.
    cv : int or "in-sample", optional
        As in `relabel`: 5 folds by default; kNN leaves a row out of its own vote instead.
    per_class : bool, default False
        A filter removes the share of each class of the hard labels.
    groups : array_like, shape (n,), optional
        As in `relabel`; TopoFilter heeds them too.

    Returns
    -------
    LabelTable
        New soft labels and the old `keep`, or the old soft labels and a new `keep`.

    Raises
    ------
    UnknownName
        No such action or rule.
    InputError
        TopoFilter is asked to relabel or for `per_class`, or another probe than kNN for
        "deep-knn"; whatever `relabel` and the filter refuse.
    MissingDependency
        cleanlab is not installed.
    """
    return explain(
        probe,
        action,
        X,
        labels,
        rule=rule,
        contamination=contamination,
        cv=cv,
        per_class=per_class,
        groups=groups,
    ).after


def explain(
    probe: Any,
    action: Action,
    X: ArrayLike,
    labels: LabelTable,
    *,
    rule: Rule = "disagreement",
    contamination: float | None = 0.1,
    cv: CrossFit = None,
    per_class: bool = False,
    groups: ArrayLike | None = None,
) -> Curated:
    """`curate`, with an account of every row.

    Parameters
    ----------
    probe, action, X, labels, rule, contamination, cv, per_class, groups
        As in `curate`.

    Returns
    -------
    Curated
        Its `after` is what `curate` returns; `provenance` makes a file of it.

    Raises
    ------
    UnknownName
        As in `curate`.
    InputError
        As in `curate`.
    MissingDependency
        As in `curate`.
    """
    if action not in get_args(Action):
        raise UnknownName("action", action, get_args(Action))
    if rule not in get_args(Rule):
        raise UnknownName("rule", rule, get_args(Rule))
    if isinstance(probe, TopoFilter):
        if action == "relabel":
            raise InputError("TopoFilter cannot relabel", allowed="filter")
        if per_class:
            raise InputError("TopoFilter with per_class", allowed="TopoFilter(per_class=True)")
        return _by_topology(probe, X, labels, groups)
    if action == "filter":
        check_rule(rule, contamination, per_class=per_class)
        if rule == "random":
            return _by_chance(labels, cast(float, contamination), per_class=per_class)
        if rule == "deep-knn" and not isinstance(probe, KNNProbe):
            raise InputError(f"deep-knn with {type(probe).__name__}", allowed="KNNProbe")
    cv = resolve_cv(probe, cv)
    given = labels.hard_label if action == "filter" and rule == "deep-knn" else labels.soft_label
    p = relabel(probe, X, given, cv=cv, groups=groups)
    fold = None
    if cv is not None and cv != IN_SAMPLE:
        together = optional_groups(groups, len(labels))
        fold = folds_of(len(labels), cv, together)
    return judge(
        action, labels, p, fold, rule=rule, contamination=contamination, per_class=per_class
    )


def judge(
    action: Action,
    labels: LabelTable,
    p: np.ndarray,
    fold: np.ndarray | None = None,
    *,
    rule: Rule = "disagreement",
    contamination: float | None = 0.1,
    per_class: bool = False,
) -> Curated:
    """`explain` for predictions that are there already, such as those of a whole grid.

    Parameters
    ----------
    action, labels, contamination, per_class
        As in `curate`.
    p : ndarray of float64, shape (n,)
        Predictions for the rows, such as out-of-fold ones; for "deep-knn" votes on hard labels.
    fold : ndarray of int64, shape (n,), optional
        The fold that each row was left out with.
    rule : {"disagreement", "confident-learning", "deep-knn"}

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
    if rule not in VERDICTS:
        raise UnknownName("rule", rule, VERDICTS)
    if action == "relabel":
        reason = [
            UNCHANGED if new == old else f"relabelled: probe {new:.2f} against label {old:.2f}"
            for new, old in zip(p, labels.soft_label, strict=True)
        ]
        return Curated(labels, LabelTable(labels.ids, p, labels.keep), p, fold, tuple(reason))
    check_rule(rule, contamination, per_class=per_class)
    verdict = VERDICTS[rule](p, labels.soft_label, contamination, per_class=per_class)
    reason = [
        KEPT if stays else f"removed: {verdict.criterion} {score:.2f}, {verdict.cut}"
        for stays, score in zip(verdict.keep, verdict.score, strict=True)
    ]
    return _filtered(labels, verdict.keep, reason, p, fold)


def _by_topology(
    probe: TopoFilter, X: ArrayLike, labels: LabelTable, groups: ArrayLike | None
) -> Curated:
    fitted = clone(probe).fit(X, labels.soft_label, groups)
    far = f"removed: label {fitted.zeta_:.2f} or further from the mean of its neighbours"
    reason = [
        KEPT if stays else far if inside else OUTSIDE
        for stays, inside in zip(fitted.keep_mask_, fitted.component_mask_, strict=True)
    ]
    return _filtered(labels, fitted.keep_mask_, reason)


def _by_chance(labels: LabelTable, contamination: float, *, per_class: bool) -> Curated:
    keep = np.ones(len(labels), dtype=bool)
    for rows in groups_of(labels.soft_label, per_class=per_class):
        keep[rows] = filter_at_random(len(rows), round(contamination * len(rows)))
    return _filtered(labels, keep, [KEPT if stays else CHANCE for stays in keep])


def _filtered(
    before: LabelTable,
    keep: np.ndarray,
    reason: list[str],
    p: np.ndarray | None = None,
    fold: np.ndarray | None = None,
) -> Curated:
    after = LabelTable(before.ids, before.soft_label, keep, variance=before.variance)
    return Curated(before, after, p, fold, tuple(reason))
