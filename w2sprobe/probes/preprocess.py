"""Centring and scaling of activations, learnt from a probe's training rows."""

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
    """The transformation (x - centre) / scale of each column, zeros and ones for "none"."""

    centre: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, X: np.ndarray, how: str) -> "Preprocessing":
        """Learn from training rows.

        Parameters
        ----------
        X : ndarray of float32, shape (n, d)
        how : {"none", "center", "standardize"}
            Nothing, as published; subtract the mean; also divide by the standard deviation (of the
            population), where constant columns stay 0. "center" changes no prediction of a probe:
            distances, class means and a free intercept do not depend on the origin. It does change
            what Adam does in `probing.heads.fit_heads`.

        Raises
        ------
        UnknownName
            Another name.
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
        # the mean of equal numbers is off by rounding, and dividing by that would make it noise
        constant = scale <= 1e-7 * np.abs(centre)
        return cls(centre, np.where(constant | (scale == 0), 1.0, scale))

    def apply(self, X: np.ndarray) -> np.ndarray:
        """Transformed rows, float32, (m, d); the array itself for "none"."""
        if not self.centre.any() and (self.scale == 1).all():
            return X
        transformed = np.empty_like(X)
        for start in range(0, len(X), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            transformed[part] = (X[part] - self.centre) / self.scale
        return transformed
