"""Base classes of the probes: scikit-learn classifiers of soft labels."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from w2sprobe.checks import (
    check_activations,
    check_features,
    check_labels,
    check_target,
)
from w2sprobe.errors import InputError
from w2sprobe.labels import THRESHOLD
from w2sprobe.probes.preprocess import BLOCK_ROWS

# private attributes that a fit sets, in one probe or another
FITTED = ("_X", "_y", "_groups", "_preprocessing", "_training")


class NotFitted(InputError, NotFittedError):  # type: ignore[misc]
    """A probe is used before `fit`."""


def check_fitted(probe: Any) -> None:
    """Raise NotFitted before `fit`."""
    try:
        check_is_fitted(probe)
    except NotFittedError as error:
        raise NotFitted(
            f"{type(probe).__name__} is not fitted", advice="Call fit(X, y)."
        ) from error


def forget(probe: Any) -> None:
    """Delete what an earlier fit set, so that a failed fit does not leave a mixture of two."""
    for name in [*vars(probe)]:
        if name.endswith("_") or name in FITTED:
            delattr(probe, name)


class ProbeEstimator(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Binary classifier of soft labels; subclasses define `fit` and `_predict_p`."""

    classes_: np.ndarray
    n_features_in_: int

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def _predict_p(self, X: np.ndarray) -> np.ndarray:
        """P(label = 1) of checked queries, shape (m,)."""
        raise NotImplementedError

    def _begin_fit(self, X: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Validate rows and soft labels: the first step of `fit`."""
        forget(self)
        points = check_features(self, X, fitting=True)
        soft = check_target(y, len(points))
        self.classes_ = np.array([0, 1])
        return points, soft

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """P(label = 0) and P(label = 1).

        Parameters
        ----------
        X : array_like of float, shape (m, d)
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
        check_fitted(self)
        return two_columns(self._predict_p(check_features(self, X, fitting=False)))

    def predict(self, X: ArrayLike) -> np.ndarray:
        """1 where P(label = 1) > 0.5, else 0; int64, shape (m,)."""
        hard: np.ndarray = self.predict_proba(X)[:, 1] > THRESHOLD
        return hard.astype(np.int64)

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy against hard labels (soft label > 0.5), in [0, 1]: higher is better."""
        hard = check_labels(y, len(check_activations(X))) > THRESHOLD
        return float(super().score(X, hard.astype(np.int64), sample_weight))


class LinearProbe(ProbeEstimator):
    """Probe with P(label = 1) = sigmoid(x·coef_ + intercept_)."""

    coef_: np.ndarray
    intercept_: float

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coef_")

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Margin X coef_ + intercept_, float64, shape (m,); above 0 for label 1."""
        check_fitted(self)
        return self._margin(check_features(self, X, fitting=False))

    def _margin(self, X: np.ndarray) -> np.ndarray:
        margin: np.ndarray = linear(X, self.coef_[None], np.array([self.intercept_]))[0]
        return margin

    def _predict_p(self, X: np.ndarray) -> np.ndarray:
        p: np.ndarray = expit(self._margin(X))
        return p


def linear(X: np.ndarray, coef: np.ndarray, intercept: np.ndarray) -> np.ndarray:
    """Margins coef x + intercept of float32 rows, in float64, shape (c, m)."""
    values = np.empty((len(coef), len(X)))
    # by blocks, as a float64 copy of X would be twice its size
    for start in range(0, len(X), BLOCK_ROWS):
        block = X[start : start + BLOCK_ROWS].astype(np.float64)
        values[:, start : start + BLOCK_ROWS] = coef @ block.T + intercept[:, None]
    return values


def out_of_fold(
    X: np.ndarray, folds: np.ndarray, coef: np.ndarray, intercept: np.ndarray
) -> np.ndarray:
    """Margins (c, n) of each row by the fit without its fold; coef (f, c, d), intercept (f, c)."""
    margins = np.empty((coef.shape[1], len(X)))
    for fold in range(folds.max() + 1):
        out = folds == fold
        margins[:, out] = linear(X[out], coef[fold], intercept[fold])
    return margins


def two_columns(p: np.ndarray) -> np.ndarray:
    """P(label = 1), shape (m,), as scikit-learn's (m, 2)."""
    both: np.ndarray = np.column_stack([1 - p, p])
    return both
