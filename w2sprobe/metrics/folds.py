"""AUC of cross-fitted predictions: rows are ranked only among rows of one fit."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from w2sprobe.errors import InputError


class FoldAUC(NamedTuple):
    """Mean of the AUCs inside each fold.

    Attributes
    ----------
    auc : ndarray of float64, shape (m,), or () of one vector of scores, optional
        In [0, 1]; None where no fold has rows of both classes.
    n_folds : int
        Folds with rows of both classes: the mean is taken over these.
    n_folds_total : int
        All folds.
    """

    auc: np.ndarray | None
    n_folds: int
    n_folds_total: int


def auc_inside_folds(
    truth: npt.ArrayLike, scores: npt.ArrayLike, folds: npt.ArrayLike | None
) -> FoldAUC:
    """AUC of out-of-fold scores: rows are ranked only among rows of the same fold.

    Parameters
    ----------
    truth : array_like of 0 and 1, shape (n,)
        One class alone is allowed: its AUC is None.
    scores : array_like of float, shape (n,) or (m, n)
        Finite; higher means more like class 1. Only their order inside each fold matters.
    folds : array_like, shape (n,), optional
        Rows of one value were scored by one model, which was fitted to all other rows. None: one
        model scored all rows.

    Raises
    ------
    InputError
        Shapes differ, `truth` is not 0 or 1, or a score is not finite.

    Notes
    -----
    Each fold's model was fitted without that fold, so a fold with many rows of class 1 gets lower
    scores. Ranking rows of different folds together therefore puts uninformative scores below one
    half (Parker, Günter & Bedo 2007, BMC Bioinformatics 8:326). The mean over folds, with equal
    weights, is AUC_avg of Forman & Scholz 2010, SIGKDD Explorations 12(1).

    Examples
    --------
    >>> result = auc_inside_folds([0, 1, 0, 1], [0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1])
    >>> float(result.auc), result.n_folds, result.n_folds_total
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
        raise InputError(f"folds of shape {numbers.shape}", allowed=f"({len(hard)},), one per row")
    masks = [numbers == fold for fold in np.unique(numbers)]
    scored = [rows for rows in masks if 0 < hard[rows].sum() < rows.sum()]
    if not scored:
        return FoldAUC(None, 0, len(masks))
    aucs = np.array([_aucs(hard[rows] == 1, values[..., rows]) for rows in scored])
    return FoldAUC(aucs.mean(axis=0), len(scored), len(masks))


def _aucs(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """AUC of each vector of scores, (..., n), from the sum of midranks (Mann-Whitney)."""
    from scipy.stats import rankdata

    n_ones = int(positive.sum())
    # all vectors at once, which `roc_auc` cannot do
    ranks = rankdata(scores, axis=-1)[..., positive].sum(axis=-1)
    aucs: np.ndarray = (ranks - n_ones * (n_ones + 1) / 2) / (n_ones * (len(positive) - n_ones))
    return aucs
