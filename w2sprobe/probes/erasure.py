"""Least-squares concept erasure (LEACE): remove what linear probes read of a concept.

Belrose et al. 2023, arXiv 2306.03819. concept-erasure is the authors' package; without shrinkage,
`Erasure` equals its eraser without shrinkage and without its limit on the variance
(`tests/golden/leace.npz`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from w2sprobe.errors import InputError
from w2sprobe.probes.preprocess import Preprocessing

RANK_TOLERANCE = 1e-8  # smaller singular values, relative to the largest, are rounding errors


@dataclass(frozen=True)
class Erasure:
    """Affine map that removes a concept from activations, x - A B (x - mean).

    Parameters
    ----------
    mean : ndarray of float64, shape (d,)
        Of the rows that it was fitted on; it is kept.
    left, right : ndarray of float64, shape (d, r) and (r, d)
        A and B; r is the number of directions that are erased.
    """

    mean: np.ndarray
    left: np.ndarray
    right: np.ndarray

    @property
    def rank(self) -> int:
        """Number of directions that are erased."""
        return int(self.left.shape[1])

    @classmethod
    def fit(cls, X: ArrayLike, Z: ArrayLike, *, shrink: bool = True) -> "Erasure":
        """Learn to erase a concept from the rows of a training set.

        Parameters
        ----------
        X : array_like of float, shape (n, d)
            Activations.
        Z : array_like of float, shape (n,) or (n, k)
            The concept: numbers, or an indicator of each class. Constant columns are ignored.
        shrink : bool, default True
            Estimate the covariance of X by Ledoit & Wolf 2004. The guarantee is the same. If rows
            are not many more than columns, more of everything else is kept in new rows: on 500
            rows of width 576, a probe for the label went from an AUC of .944 to .936, without
            shrinkage to .917.

        Returns
        -------
        Erasure
            Afterwards the covariance of X and Z is 0 on these rows. If Z indicates classes, a
            linear probe fitted on them, by any convex loss, does no better than a constant (section
            3). Without shrinkage the rows have moved as little as possible (section 4).

        Raises
        ------
        InputError
            Shapes differ, fewer than 2 rows, or a number that is not finite.
        """
        states, concept = _checked(X, Z)
        scaling = Preprocessing.fit(states, "standardize")
        X_, Z_ = (states - scaling.centre) / scaling.scale, concept - concept.mean(axis=0)
        spread = Z_.std(axis=0)
        Z_ = Z_[:, spread > RANK_TOLERANCE * np.abs(concept).max(initial=1.0)]
        Z_ = Z_ / Z_.std(axis=0)
        values, vectors = np.linalg.eigh(_covariance(X_, shrink=shrink))
        kept = values > values.max(initial=0) * len(values) * np.finfo(np.float64).eps
        root, vectors = np.sqrt(values[kept]), vectors[:, kept]
        # section 4: x - W^+ P W (x - mean), where W = covariance^(-1/2) and P projects onto the
        # columns of W Sigma_xz
        U, sizes, _ = np.linalg.svd(
            (vectors / root) @ (vectors.T @ (X_.T @ Z_)) / len(X_), full_matrices=False
        )
        U = U[:, sizes > RANK_TOLERANCE * sizes.max(initial=0)]
        left = (vectors * root) @ (vectors.T @ U)
        right = (U.T @ (vectors / root)) @ vectors.T
        return cls(scaling.centre, scaling.scale[:, np.newaxis] * left, right / scaling.scale)

    def __call__(self, X: ArrayLike) -> np.ndarray:
        """Erase the concept from rows, (m, d), of the type of X.

        Raises
        ------
        InputError
            Another number of columns.
        """
        states = np.asarray(X)
        if states.ndim != 2 or states.shape[1] != len(self.mean):
            raise InputError(f"X has shape {states.shape}", allowed=f"(m, {len(self.mean)})")
        erased: np.ndarray = states - ((states - self.mean) @ self.right.T) @ self.left.T
        return erased.astype(states.dtype, copy=False)


def _covariance(X: np.ndarray, *, shrink: bool) -> np.ndarray:
    """Covariance of standardised rows."""
    if not shrink:
        return np.asarray(X.T @ X / len(X))
    from sklearn.covariance import ledoit_wolf  # takes a second to load

    covariance: np.ndarray = ledoit_wolf(X, assume_centered=True)[0]
    return covariance


def _checked(X: ArrayLike, Z: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    states, concept = np.asarray(X, dtype=np.float64), np.asarray(Z, dtype=np.float64)
    if states.ndim != 2 or len(states) < 2:
        raise InputError(f"X has shape {states.shape}", allowed="(n, d), at least 2 rows")
    concept = concept[:, np.newaxis] if concept.ndim == 1 else concept
    if concept.ndim != 2 or len(concept) != len(states):
        raise InputError(
            f"Z has shape {np.shape(Z)}", allowed=f"({len(states)},) or ({len(states)}, k)"
        )
    for name, values in (("X", states), ("Z", concept)):
        rows = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(rows):
            raise InputError(
                f"{name} is not finite in row {rows[0]} (and {len(rows) - 1} more)",
                allowed="finite numbers",
            )
    return states, concept
