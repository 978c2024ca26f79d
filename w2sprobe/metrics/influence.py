"""Influence of each test row on a score: the variance that test rows give, without resampling."""

from collections.abc import Callable

import numpy as np

from w2sprobe.labels import THRESHOLD

# a score on all rows, and what each row adds to its deviation from the expected score, shape (n,)
Influence = tuple[float, np.ndarray]
Metric = Callable[[np.ndarray, np.ndarray], Influence]


def auc_influence(positive: np.ndarray, scores: np.ndarray) -> Influence:
    """AUC, and what each row adds to its deviation from the population AUC.

    Parameters
    ----------
    positive : ndarray of bool, shape (n,)
        Rows of class 1; both classes present.
    scores : ndarray of float, shape (n,)

    Returns
    -------
    float
        AUC, ties counting one half.
    ndarray of float64, shape (n,)
        Of a row of class 1: (share of class 0 that it beats - AUC) / rows of class 1; of a row of
        class 0: (share of class 1 that beats it - AUC) / rows of class 0. Each class sums to 0.

    Notes
    -----
    The placement values of DeLong, DeLong & Clarke-Pearson (1988, Biometrics 44, eq. 3 and 4).
    Their squares sum to the variance of the bootstrap over rows, up to a factor (n - 1) / n: the
    infinitesimal jackknife (Efron 1982, chapter 6).
    """
    ones, zeros = scores[positive], scores[~positive]
    placements = np.empty(len(scores))
    placements[positive] = _beaten(ones, zeros)
    placements[~positive] = 1 - _beaten(zeros, ones)
    auc = float(placements[positive].mean())
    sizes = np.where(positive, len(ones), len(zeros))
    return auc, (placements - auc) / sizes


def accuracy_influence(positive: np.ndarray, scores: np.ndarray) -> Influence:
    """Accuracy at threshold 0.5, and what each row adds to its deviation from the population's.

    Parameters
    ----------
    positive : ndarray of bool, shape (n,)
    scores : ndarray of float, shape (n,)
        P(label = 1).

    Returns
    -------
    float
        In [0, 1].
    ndarray of float64, shape (n,)
        ((1 where the row is right, else 0) - accuracy) / n.
    """
    right = (scores > THRESHOLD) == positive
    accuracy = float(right.mean())
    return accuracy, (right - accuracy) / len(right)


def _beaten(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Share of `others` that each score beats, ties counting one half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, scores, side="left")
    upto = np.searchsorted(ordered, scores, side="right")
    return np.asarray((below + upto) / (2 * len(others)))
