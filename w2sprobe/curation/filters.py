"""Filters of training rows: each returns a mask of the rows to keep, for `LabelTable.keep`."""

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
    """Filter out the rows whose label is furthest from the probe's prediction.

    The score is |y - p|, higher is removed first; all rows are ranked together, as in EleutherAI's
    weak-to-strong experiments.

    Parameters
    ----------
    probe, X, y, groups
        As in `relabel`.
    cv : int or "in-sample", optional
        As in `relabel`: by default predictions are out-of-fold. "in-sample", as published: by a
        probe fitted on the rows themselves.
    contamination : float, default 0.1, in (0, 1)
        Share of the rows to remove, rounded to whole rows; of tied rows (to 12 decimals) the first
        are removed.
    per_class : bool, default False
        Remove this share of each class of the hard labels (soft label > 0.5), which keeps the class
        balance, instead of this share of all rows.

    Returns
    -------
    ndarray of bool, shape (n,)
        True: keep.

    Raises
    ------
    InputError
        `contamination` or `cv` is out of range; whatever the probe refuses.
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
    """Filter out the rows that confident learning estimates to be mislabelled.

    Parameters
    ----------
    probe, X, y, groups
        As in `relabel`.
    contamination : float, optional, in (0, 1)
        Share of the rows to remove, those whose hard label (soft label > 0.5) has the lowest
        probability first; ties as in `filter_by_disagreement`. None: as many as the confident joint
        estimates to be wrong.
    cv : int, optional, default 5
        As in `relabel`. Confident learning requires out-of-fold predictions, so "in-sample"
        departs from the method.
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
    Northcutt, Jiang & Chuang, JAIR 2021 (arXiv 1911.00068), by the authors' library cleanlab and
    its default rule `prune_by_noise_rate`. With hard labels and a contamination the same as
    `filter_by_disagreement`.
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
    """Filter out the rows whose label contradicts most of their nearest neighbours.

    Parameters
    ----------
    X : array_like of float, shape (n, d)
    y : array_like of float, shape (n,)
        Soft labels in [0, 1]; the hard labels (soft label > 0.5) vote.
    n_neighbors : int, default 50, in [1, n - 1]
        Number of nearest other rows that vote.
    contamination : float, optional, in (0, 1)
        Share of the rows to remove, those with the most contradicting neighbours first; ties as in
        `filter_by_disagreement`. None: all rows whose label fewer than half of their neighbours
        have.
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
    the logits of a preliminary model; here in X. A row does not vote on itself.
    """
    check_rule("deep-knn", contamination, per_class=per_class)
    soft = check_labels(y, len(np.asarray(X)))
    votes = relabel(KNNProbe(n_neighbors, search), X, soft > THRESHOLD, groups=groups)
    return by_majority(votes, soft, contamination, per_class=per_class).keep
