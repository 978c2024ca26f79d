"""Filter rules: which rows to remove, given predictions and labels. Add new rules here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from w2sprobe.errors import InputError, MissingDependency
from w2sprobe.labels import THRESHOLD
from w2sprobe.metrics import TIE_DECIMALS

RANDOM = "random"  # the control: rows are removed at random, without predictions
MAJORITY = 0.5  # share of the neighbours that must be exceeded: a tie keeps the row


@dataclass(frozen=True)
class FilterResult:
    """Rows that a rule keeps, with the reason for removing the others.

    Parameters
    ----------
    keep : ndarray of bool, shape (n,)
    score : ndarray of float64, shape (n,)
        In [0, 1]; rows with the highest scores are removed first.
    criterion : str
        What the score measures, for the reason of each removed row.
    cut : str
        Why a row with this score was removed, such as "among the largest 10 %".
    """

    keep: np.ndarray
    score: np.ndarray
    criterion: str
    cut: str


@dataclass(frozen=True)
class FilterRule:
    """A filter rule that studies and commands can name.

    Parameters
    ----------
    apply : callable
        `apply(p, soft, contamination, per_class=...)` returns a FilterResult; p and soft are
        predictions and labels in [0, 1], (n,), and contamination the share of rows to remove.
    removes : str
        Which rows it removes, in words that follow "rows".
    finds_share : bool, default False
        Estimates itself how many rows to remove if the contamination is None.
    hard_votes : bool, default False
        Needs predictions of kNN fitted on hard labels.
    """

    apply: Callable[..., FilterResult]
    removes: str
    finds_share: bool = False
    hard_votes: bool = False


def check_rule(rule: str, contamination: float | None, *, per_class: bool) -> None:
    """Refuse a contamination that a rule does not allow, and a rule whose package is missing."""
    if contamination is None and rule in FILTER_RULES and FILTER_RULES[rule].finds_share:
        if per_class:
            raise InputError("per_class without a contamination", allowed="a share, such as 0.1")
    elif contamination is None or not 0 < contamination < 1:
        raise InputError(f"contamination is {contamination!r}", allowed="above 0, below 1")
    if rule == "confident-learning":
        _import_cleanlab()


def by_disagreement(
    p: np.ndarray, soft: np.ndarray, contamination: float, *, per_class: bool
) -> FilterResult:
    """Remove the rows with the largest |label - prediction|."""
    return _ranked(np.abs(soft - p), "disagreement", soft, contamination, per_class=per_class)


def by_confident_learning(
    p: np.ndarray, soft: np.ndarray, contamination: float | None, *, per_class: bool
) -> FilterResult:
    """Remove the rows whose other label is most probable; None: as many as cleanlab estimates."""
    find_label_issues, get_label_quality_scores = _import_cleanlab()
    hard, both = (soft > THRESHOLD).astype(np.int64), np.column_stack([1 - p, p])
    score = 1 - get_label_quality_scores(hard, both, method="self_confidence")
    criterion = "P(other label)"
    if contamination is not None:
        return _ranked(score, criterion, soft, contamination, per_class=per_class)
    if hard.min() == hard.max():
        raise InputError(f"all hard labels are {hard[0]}", allowed="labels of both classes")
    # Removes from each class the rows with the largest margin p(other label) - p(label), as many as
    # the confident joint counts, except those whose label the probe predicts. For two classes this
    # ranks like p(label), so `prune_by_class` would be the same rule.
    issues = find_label_issues(hard, both, filter_by="prune_by_noise_rate", n_jobs=1)
    return FilterResult(~issues, score, criterion, "an error by the confident joint")


def by_majority(
    p: np.ndarray, soft: np.ndarray, contamination: float | None, *, per_class: bool
) -> FilterResult:
    """Remove the rows with the most neighbours of the other label; None: with a majority."""
    score, criterion = np.abs((soft > THRESHOLD) - p), "share of neighbours of the other label"
    if contamination is not None:
        return _ranked(score, criterion, soft, contamination, per_class=per_class)
    return FilterResult(score <= MAJORITY, score, criterion, "the majority")


def groups_of(soft: np.ndarray, *, per_class: bool) -> list[np.ndarray]:
    """Row numbers of each hard class, or of all rows together."""
    hard = soft > THRESHOLD
    masks = [~hard, hard] if per_class else [np.ones(len(soft), dtype=bool)]
    return [np.flatnonzero(mask) for mask in masks]


def _ranked(
    score: np.ndarray, criterion: str, soft: np.ndarray, contamination: float, *, per_class: bool
) -> FilterResult:
    """Remove the given share of the rows, or of each class: those with the highest scores."""
    keep = np.ones(len(score), dtype=bool)
    for rows in groups_of(soft, per_class=per_class):
        # rounded, so that scores that differ by float error tie, and the first row goes first
        ranked = rows[np.argsort(-score[rows].round(TIE_DECIMALS), kind="stable")]
        keep[ranked[: round(contamination * len(rows))]] = False
    cut = f"among the largest {100 * contamination:g} %" + " of its class" * per_class
    return FilterResult(keep, score, criterion, cut)


def _import_cleanlab() -> tuple[Any, Any]:
    try:
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores
    except ImportError as error:
        raise MissingDependency(
            "cleanlab is not installed", advice="pip install w2sprobe[cleanlab]"
        ) from error
    return find_label_issues, get_label_quality_scores


FILTER_RULES: dict[str, FilterRule] = {
    "disagreement": FilterRule(by_disagreement, "that contradict the probe most"),
    "confident-learning": FilterRule(
        by_confident_learning, "that confident learning takes for mislabelled", finds_share=True
    ),
    "deep-knn": FilterRule(
        by_majority, "whose neighbours have other labels", finds_share=True, hard_votes=True
    ),
}
