"""What is done to activations before a probe sees them, fitted on its training rows."""

from dataclasses import dataclass
from typing import get_args

import numpy as np

from w2sprobe.checks import Preprocess
from w2sprobe.errors import UnknownName

BLOCK_ROWS = 1024  # rows that are in float64 at a time
PREPROCESS = get_args(Preprocess)


def check_preprocess(how: str) -> None:
    """Refuse an unknown name."""
    if how not in PREPROCESS:
        raise UnknownName("preprocessing", how, PREPROCESS)


@dataclass(frozen=True)
class Preprocessing:
    """(x - centre) / scale.

    Parameters
    ----------
    centre, scale : ndarray of float64, shape (d,)
        Zeros and ones where nothing is done.
    """

    centre: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, X: np.ndarray, how: str) -> "Preprocessing":
        """Learn from training rows.

        Parameters
        ----------
        X : ndarray of float32, shape (n, d)
        how : {"none", "center", "standardize"}
            Nothing, as published; subtract the mean; divide by the standard deviation (of the
            population) too, columns that do not vary staying 0.

        Returns
        -------
        Preprocessing

        Raises
        ------
        UnknownName
            Not one of them.
        """
        check_preprocess(how)
        width = X.shape[1]
        if how == "none":
            return cls(np.zeros(width), np.ones(width))
        centre = X.mean(axis=0, dtype=np.float64)
        if how == "center":
            return cls(centre, np.ones(width))
        squares = np.zeros(width)
        for start in range(0, len(X), BLOCK_ROWS):
            squares += ((X[start : start + BLOCK_ROWS] - centre) ** 2).sum(axis=0)
        scale = np.sqrt(squares / len(X))
        # the mean of equal numbers is off by rounding, which must not be scaled up
        constant = scale <= 1e-7 * np.abs(centre)
        return cls(centre, np.where(constant | (scale == 0), 1.0, scale))

    def apply(self, X: np.ndarray) -> np.ndarray:
        """Transform rows, (m, d), to float32; as they are where nothing is done."""
        if not self.centre.any() and (self.scale == 1).all():
            return X
        moved = np.empty_like(X)
        for start in range(0, len(X), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            moved[part] = (X[part] - self.centre) / self.scale
        return moved
