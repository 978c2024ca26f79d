"""Filters: each answers with the rows to keep.

Nothing is removed from an array here; a mask travels in `LabelTable.keep`.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from w2sprobe.checks import check_labels
from w2sprobe.curation.relabelling import CrossFit, relabel
from w2sprobe.labels import THRESHOLD
from w2sprobe.probes import KNNProbe, nearest_neighbors
from w2sprobe.probes.neighbors import Search
from w2sprobe.votes.rules import (
    by_confident_learning,
    by_disagreement,
    by_majority,
    check_rule,
)


def filter_by_disagreement(
    probe: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    contamination: float = 0.1,
    cv: CrossFit = None,
    per_class: bool = False,
    groups: ArrayLike | None = None,
) -> np.ndarray:
    """Rows to keep when those go whose label is furthest from the probe's prediction.

    Parameters
    ----------
    probe, X, y, groups
        As in `relabel`.
    cv : int or "in-sample", optional
        As in `relabel`: by default a row's own label has no say in the prediction that it is held
        against. "in-sample": it has, as published.
    contamination : float, default 0.1, in (0, 1)
        Share of the rows to remove, rounded to whole rows; ties (to 12 decimals) go by position,
        first removed first.
    per_class : bool, default False
        Remove this share of each class of the hard labels (soft label > 0.5), so that the balance
        of the labels stays, instead of this share of all rows.

    Returns
    -------
    ndarray of bool, shape (n,)
        True: keep.

    Raises
    ------
    InputError
        `contamination` or `cv` is out of range; whatever the probe refuses.

    Notes
    -----
    Score |y - p|, higher = removed first; all rows ranked together, as in EleutherAI's
    weak-to-strong experiments.
    """
    check_rule("disagreement", contamination, per_class=per_class)
    p = relabel(probe, X, y, cv=cv, groups=groups)
    return by_disagreement(p, check_labels(y, len(p)), contamination, per_class=per_class).keep


def filter_by_confident_learning(
    probe: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    contamination: float | None = None,
    cv: CrossFit = 5,
    per_class: bool = False,
    groups: ArrayLike | None = None,
) -> np.ndarray:
    """Rows to keep when those go that confident learning takes for label errors.

    Parameters
    ----------
    probe, X, y, groups
        As in `relabel`.
    contamination : float, optional, in (0, 1)
        Share of the rows to remove, those first whose hard label (soft label > 0.5) the probe
        finds least probable; ties as in `filter_by_disagreement`. None: as many as the confident
        joint estimates to be wrong.
    cv : int, optional, default 5
        As in `relabel`. Confident learning asks for predictions that the row's own label had no
        say in: "in-sample" is not what its authors mean.
    per_class : bool, default False
        Remove the share `contamination` of each class of the hard labels.

    Returns
    -------
    ndarray of bool, shape (n,)
        True: keep.

    Raises
    ------
    InputError
        `contamination` or `cv` is out of range; `per_class` without a contamination; without a
        contamination, hard labels of one class; whatever the probe refuses.
    MissingDependency
        cleanlab is not installed.

    Notes
    -----
    Northcutt, Jiang & Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR
    2021 (arXiv 1911.00068), by the authors' library cleanlab. Without a contamination, its default
    rule `prune_by_noise_rate` removes from each class the rows with the largest margin p(other
    label) - p(label), as many as the joint counts, save those whose label the probe predicts. For
    two classes that margin and self-confidence p(label) rank alike, so that `prune_by_class` is
    the same rule. Which of the rows tied at the cut go is cleanlab's choice. With a contamination
    the score is 1 - self-confidence: for hard labels, that of `filter_by_disagreement`.
    """
    check_rule("confident-learning", contamination, per_class=per_class)
    p = relabel(probe, X, y, cv=cv, groups=groups)
    soft = check_labels(y, len(p))
    return by_confident_learning(p, soft, contamination, per_class=per_class).keep


def filter_by_neighbors(
    X: ArrayLike,
    y: ArrayLike,
    *,
    n_neighbors: int = 50,
    contamination: float | None = None,
    per_class: bool = False,
    search: Search = nearest_neighbors,
    groups: ArrayLike | None = None,
) -> np.ndarray:
    """Rows to keep when those go that their neighbours outvote.

    Parameters
    ----------
    X : array_like of float, shape (n, d)
    y : array_like of float, shape (n,)
        Soft labels in [0, 1]; the hard labels (soft label > 0.5) vote.
    n_neighbors : int, default 50, in [1, n - 1]
        Nearest other rows that vote.
    contamination : float, optional, in (0, 1)
        Share of the rows to remove, those first that most of their neighbours contradict; ties as
        in `filter_by_disagreement`. None: all rows whose label is not that of at least half of
        their neighbours.
    per_class : bool, default False
        Remove the share `contamination` of each class of the hard labels.
    search : callable, default nearest_neighbors
        Finds the neighbours; `w2sprobe.searches.StoredSearch` reads them from a store.
    groups : array_like, shape (n,), optional
        As in `relabel`.

    Returns
    -------
    ndarray of bool, shape (n,)
        True: keep.

    Raises
    ------
    InputError
        Shape, range or a value that is not finite; `per_class` without a contamination.

    Notes
    -----
    Bahri, Jiang & Gupta, "Deep k-NN for Noisy Labels", ICML 2020 (arXiv 2004.12289), who search in
    the logits of a preliminary model; here X is searched, whatever layer it is. A row does not
    vote on itself.
    """
    check_rule("deep-knn", contamination, per_class=per_class)
    soft = check_labels(y, len(np.asarray(X)))
    votes = relabel(KNNProbe(n_neighbors, search), X, soft > THRESHOLD, groups=groups)
    return by_majority(votes, soft, contamination, per_class=per_class).keep
