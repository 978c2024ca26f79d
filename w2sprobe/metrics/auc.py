"""AUC with ties, of one sample or of many at once."""

import numpy as np
import numpy.typing as npt

from w2sprobe.metrics._checks import check_scores, check_truth


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

    Notes
    -----
    The Mann-Whitney statistic with midranks, divided by its maximum.

    Examples
    --------
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    0.875
    """
    positive = check_truth(truth)
    beats = Beats(positive, check_scores(scores, "scores", len(positive)))
    n_pairs = int(positive.sum()) * int((~positive).sum())
    return int(beats.below.sum() + beats.upto.sum()) / (2 * n_pairs)


class Beats:
    """How many rows of class 0 each row of class 1 beats, by one model's scores."""

    def __init__(self, positive: np.ndarray, scores: np.ndarray) -> None:
        ones, zeros = np.flatnonzero(positive), np.flatnonzero(~positive)
        self.ones = ones[np.argsort(scores[ones])]
        self.zeros = zeros[np.argsort(scores[zeros])]
        # of the sorted rows of class 0, those strictly below, and those below or tied
        self.below = np.searchsorted(scores[self.zeros], scores[self.ones], side="left")
        self.upto = np.searchsorted(scores[self.zeros], scores[self.ones], side="right")

    def auc(self, counts: np.ndarray) -> np.ndarray:
        """AUC when row i occurs counts[:, i] times; exact in integers up to the division."""
        ones, zeros = counts[:, self.ones], counts[:, self.zeros]
        beaten = np.zeros((len(counts), len(self.zeros) + 1), dtype=np.int64)
        np.cumsum(zeros, axis=1, out=beaten[:, 1:])
        twice = np.einsum("ri,ri->r", ones, beaten[:, self.below] + beaten[:, self.upto])
        return np.asarray(twice / (2 * ones.sum(axis=1) * beaten[:, -1]))
