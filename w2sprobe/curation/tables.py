"""Curation of a LabelTable: labels in, labels out, and the account of every row."""

from typing import Any, cast, get_args

from numpy.typing import ArrayLike
from sklearn.base import clone

from w2sprobe.checks import optional_groups
from w2sprobe.curation.relabelling import IN_SAMPLE, CrossFit, relabel, resolve_cv
from w2sprobe.errors import InputError, UnknownName
from w2sprobe.folds import folds_of
from w2sprobe.labels import LabelTable
from w2sprobe.probes import KNNProbe, TopoFilter
from w2sprobe.votes.judging import Action, Curated, Rule, judge, judge_at_random, judge_masks
from w2sprobe.votes.rules import check_rule


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
            return judge_at_random(labels, cast(float, contamination), per_class=per_class)
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


def _by_topology(
    probe: TopoFilter, X: ArrayLike, labels: LabelTable, groups: ArrayLike | None
) -> Curated:
    fitted = clone(probe).fit(X, labels.soft_label, groups)
    return judge_masks(labels, fitted.keep_mask_, fitted.component_mask_)
