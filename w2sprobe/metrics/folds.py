"""AUC of cross-fitted predictions: rows are ranked only among rows of one fit."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from w2sprobe.errors import InputError


class FoldAUC(NamedTuple):
    """Mean over folds of each fold's AUC.

    Attributes
    ----------
    auc : ndarray of float64, shape (m,), or () of one vector of scores, optional
        In [0, 1]; None where no fold has rows of both classes.
    n_folds : int
        Folds that the mean is of: those with rows of both classes.
    of : int
        Folds that the rows lie in.
    """

    auc: np.ndarray | None
    n_folds: int
    of: int


def auc_inside_folds(
    truth: npt.ArrayLike, scores: npt.ArrayLike, folds: npt.ArrayLike | None
) -> FoldAUC:
    """AUC of scores that come from another fit in each fold.

    Parameters
    ----------
    truth : array_like of 0 and 1, shape (n,)
        One class alone is allowed: its AUC is None.
    scores : array_like of float, shape (n,) or (m, n)
        Finite; higher means more like class 1. Only their order inside each fold matters.
    folds : array_like, shape (n,), optional
        Rows of one value were scored by one fit, that on all other rows. None: all rows were.

    Returns
    -------
    FoldAUC

    Raises
    ------
    InputError
        Shapes differ, `truth` is not 0 or 1, or a score is not finite.

    Notes
    -----
    A fit that misses a fold with many rows of class 1 scores all rows lower, and it is asked about
    just these. To rank rows of different fits together therefore puts scores that know nothing
    below one half, by more where regularisation is stronger (Parker, Günter & Bedo, BMC
    Bioinformatics 8:326, 2007). Inside a fold all rows are scored by one fit that saw none of their
    labels: exchanging these changes no score, and scores that know nothing have an AUC of one half
    in expectation. The mean over folds is AUC_avg of Forman & Scholz, SIGKDD Explorations 12(1),
    2010. Folds have equal weight, whatever their classes; where they are random, the AUC of scores
    that are from one fit has the same expectation inside them as over all rows.

    Examples
    --------
    >>> found = auc_inside_folds([0, 1, 0, 1], [0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1])
    >>> float(found.auc), found.n_folds, found.of
    (1.0, 2, 2)
    >>> auc_inside_folds([0, 1, 1, 1], [0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]).n_folds
    1
    """
    hard, values = np.asarray(truth), np.asarray(scores)
    if hard.ndim != 1 or values.ndim not in (1, 2) or values.shape[-1:] != hard.shape:
        raise InputError(
            f"truth of shape {hard.shape}, scores of {values.shape}", allowed="(n,); (n,) or (m, n)"
        )
    if not np.isin(hard, (0, 1)).all():
        raise InputError("truth has other values than 0 and 1", allowed="0 and 1")
    if not np.isfinite(values).all():
        raise InputError("scores are not finite", allowed="finite numbers")
    numbers = np.zeros(len(hard), dtype=np.int64) if folds is None else np.asarray(folds)
    if numbers.shape != hard.shape:
        raise InputError(f"folds of shape {numbers.shape}", allowed=f"({len(hard)},), one a row")
    masks = [numbers == fold for fold in np.unique(numbers)]
    scored = [rows for rows in masks if 0 < hard[rows].sum() < rows.sum()]
    if not scored:
        return FoldAUC(None, 0, len(masks))
    aucs = np.array([_aucs(hard[rows] == 1, values[..., rows]) for rows in scored])
    return FoldAUC(aucs.mean(axis=0), len(scored), len(masks))


def _aucs(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """AUC of each vector of scores, (..., n), as `roc_auc` has it: from the sum of midranks."""
    from scipy.stats import rankdata

    n_ones = int(positive.sum())
    ranks = rankdata(scores, axis=-1)[..., positive].sum(axis=-1)
    aucs: np.ndarray = (ranks - n_ones * (n_ones + 1) / 2) / (n_ones * (len(positive) - n_ones))
    return aucs
