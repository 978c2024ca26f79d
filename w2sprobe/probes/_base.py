"""What the probes share as scikit-learn estimators."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit
from sklearn.base import BaseEstimator

from w2sprobe.errors import InputError
from w2sprobe.labels import THRESHOLD
from w2sprobe.probes._checks import check_activations


class ProbeEstimator(BaseEstimator):  # type: ignore[misc]
    """Binary soft-label classifier: subclasses have `fit` and `_votes`."""

    n_features_in_: int

    def _votes(self, Q: np.ndarray) -> np.ndarray:
        """P(label = 1) of checked queries, shape (m,)."""
        raise NotImplementedError

    def _set_fitted(self, width: int) -> None:
        """Note what scikit-learn asks a fitted classifier for; the last step of `fit`."""
        self.classes_ = np.array([0, 1])
        self.n_features_in_ = width

    def _check_fitted(self) -> None:
        """Refuse a probe that has seen no rows."""
        if not hasattr(self, "n_features_in_"):
            raise InputError(f"{type(self).__name__} is not fitted", advice="Call fit(X, y).")

    def predict_proba(self, Q: ArrayLike) -> np.ndarray:
        """P(label = 0) and P(label = 1).

        Parameters
        ----------
        Q : array_like of float, shape (m, d)
            Activations, finite.

        Returns
        -------
        ndarray of float64, shape (m, 2)
            Rows add up to 1.

        Raises
        ------
        InputError
            Not fitted, another width, or not finite.
        """
        self._check_fitted()
        return two_columns(self._votes(check_activations(Q, "Q", self.n_features_in_)))

    def predict(self, Q: ArrayLike) -> np.ndarray:
        """1 where P(label = 1) > 0.5, else 0; int64, shape (m,)."""
        return (self.predict_proba(Q)[:, 1] > THRESHOLD).astype(np.int64)


class LinearProbe(ProbeEstimator):
    """Probe whose P(label = 1) is the sigmoid of a linear function."""

    coef_: np.ndarray
    intercept_: float

    def _votes(self, Q: np.ndarray) -> np.ndarray:
        votes: np.ndarray = expit(Q @ self.coef_ + self.intercept_)
        return votes


def two_columns(p: np.ndarray) -> np.ndarray:
    """P(1), shape (m,), as scikit-learn's (m, 2)."""
    return np.column_stack([1 - p, p])
