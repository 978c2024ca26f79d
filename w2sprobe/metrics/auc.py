"""AUC with ties, against hard labels and against soft ones."""

import numpy as np
import numpy.typing as npt

from w2sprobe.metrics._checks import check_scores, check_soft_labels, check_truth


def roc_auc(truth: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Chance that a row of class 1 scores above a row of class 0, ties counting one half.

    Parameters
    ----------
    truth : array_like of 0 and 1, shape (n,)
        Both classes present.
    scores : array_like of float, shape (n,)
        Finite; higher means more like class 1. Only their order matters.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    InputError
        Shapes differ, `truth` is not 0 or 1 or has one class, or a score is not finite.

    Examples
    --------
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    0.875
    """
    positive = check_truth(truth)
    values = check_scores(scores, "scores", len(positive))
    # the Mann-Whitney statistic: a tie counts in `upto` only, that is one half
    ones, zeros = values[positive], np.sort(values[~positive])
    below, upto = (np.searchsorted(zeros, ones, side=side) for side in ("left", "right"))
    return int(below.sum() + upto.sum()) / (2 * len(ones) * len(zeros))


def soft_auc(soft_labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """AUC in expectation over hard labels that are drawn from the soft ones.

    Parameters
    ----------
    soft_labels : array_like of float, shape (n,)
        q = P(label = 1), in [0, 1]; neither all 0 nor all 1.
    scores : array_like of float, shape (n,)
        Finite; higher means more like class 1. Only their order matters.

    Returns
    -------
    float
        In [0, 1]; `roc_auc` where all labels are 0 or 1.

    Raises
    ------
    InputError
        Shapes differ, fewer than 2 rows, a soft label outside [0, 1], all of them 0 or all 1, or a
        score that is not finite.

    Examples
    --------
    >>> soft_auc([0.1, 0.1, 0.3, 0.3], [1, 2, 3, 4])  # all below one half
    0.7040816326530612
    """
    q = check_soft_labels(soft_labels)
    values = check_scores(scores, "scores", len(q))
    # Labels are drawn independently, so rows i != j are expected to make q_i (1 - q_j) pairs of a 1
    # and a 0. The result is a ratio of two expectations, pairs in the right order to all pairs; the
    # mean AUC of the draws is close, but does not exist where a draw may be of one class.
    _, group = np.unique(values, return_inverse=True)  # rows that tie, in the order of scores
    ones, zeros = np.bincount(group, q), np.bincount(group, 1 - q)
    right = ones @ (np.cumsum(zeros) - zeros)
    wrong = zeros @ (np.cumsum(ones) - ones)
    tied = (ones * zeros - np.bincount(group, q * (1 - q))).sum()  # no row is paired with itself
    return float((2 * right + tied) / (2 * right + 2 * wrong + 2 * tied))
