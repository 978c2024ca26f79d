"""Predictions against truth and against weak labels: the numbers in a row of a sweep."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import xlog1py, xlogy

from w2sprobe.labels import THRESHOLD
from w2sprobe.metrics import roc_auc

SATURATED = 0.999  # an AUC that calls for a look at the task: does something give its labels away?


@dataclass(frozen=True)
class ScoredRows:
    """Rows that predictions are scored on.

    Parameters
    ----------
    weak : ndarray of float64, shape (n,), optional
        Soft labels of the weak model; None where some rows have none.
    truth : ndarray of int64, shape (n,), optional
        0 or 1; None where some rows have none.
    """

    weak: np.ndarray | None
    truth: np.ndarray | None

    @property
    def known(self) -> bool:
        """Whether there is anything to compare with."""
        return self.weak is not None or self.truth is not None

    def subset(self, mask: np.ndarray) -> "ScoredRows":
        """Return the rows of a mask."""
        return ScoredRows(
            None if self.weak is None else self.weak[mask],
            None if self.truth is None else self.truth[mask],
        )

    @cached_property
    def hard(self) -> np.ndarray | None:
        """Hard labels of the weak model."""
        return None if self.weak is None else (self.weak > THRESHOLD).astype(np.int64)

    @cached_property
    def labels_auc(self) -> float | None:
        """AUC of the weak labels against truth."""
        return _auc(self.truth, self.weak)

    def score(self, p: np.ndarray) -> dict[str, Any]:
        """Compare predictions with what is known.

        Parameters
        ----------
        p : ndarray of float64, shape (n,)
            P(label = 1).

        Returns
        -------
        dict
            The columns of a sweep from `n_rows` to `saturated`; None where something is unknown
            or of one class.
        """
        on_truth, on_weak = _auc(self.truth, p), _auc(self.hard, p)
        aucs = [auc for auc in (on_truth, on_weak) if auc is not None]
        return {
            "n_rows": len(p),
            "n_distinct": len(np.unique(p)),
            "auc_truth": on_truth,
            "auc_weak": on_weak,
            "labels_auc": self.labels_auc,
            "delta_auc_truth": _difference(on_truth, self.labels_auc),
            "delta_auc_weak": _difference(on_weak, _auc(self.hard, self.weak)),
            "log_loss_weak": self._log_loss(p),
            "saturated": max(aucs, default=0.0) >= SATURATED,
        }

    def _log_loss(self, p: np.ndarray) -> float | None:
        """Mean cross-entropy of the soft labels; infinite where a certain vote is contradicted."""
        if self.weak is None:
            return None
        return float(-(xlogy(self.weak, p) + xlog1py(1 - self.weak, -p)).mean())


def _auc(hard: np.ndarray | None, scores: np.ndarray | None) -> float | None:
    """AUC, where there are labels of both classes and scores."""
    if hard is None or scores is None or not 0 < hard.sum() < len(hard):
        return None
    return roc_auc(hard, scores)


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b
