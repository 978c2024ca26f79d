"""Predictions against truth and against weak labels: the numbers in a row of a sweep."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import xlog1py, xlogy

from w2sprobe.labels import THRESHOLD
from w2sprobe.metrics import auc_inside_folds

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
    folds : ndarray of int64, shape (n,), optional
        Where each fold's rows were predicted by another fit: every AUC, that of the weak labels
        too, is the mean of those inside the folds. None: one fit predicted all rows.
    """

    weak: np.ndarray | None
    truth: np.ndarray | None
    folds: np.ndarray | None = None

    @property
    def known(self) -> bool:
        """Whether there is anything to compare with."""
        return self.weak is not None or self.truth is not None

    def subset(self, mask: np.ndarray) -> "ScoredRows":
        """Return the rows of a mask."""
        parts = (self.weak, self.truth, self.folds)
        return ScoredRows(*(None if part is None else part[mask] for part in parts))

    def inside(self, folds: np.ndarray | None) -> "ScoredRows":
        """Return the same rows, predicted by folds."""
        return replace(self, folds=folds)

    @cached_property
    def hard(self) -> np.ndarray | None:
        """Hard labels of the weak model."""
        return None if self.weak is None else (self.weak > THRESHOLD).astype(np.int64)

    @cached_property
    def labels_auc(self) -> float | None:
        """AUC of the weak labels against truth."""
        return self._auc(self.truth, self.weak)[0]

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
        on_truth, n_truth = self._auc(self.truth, p)
        on_weak, n_weak = self._auc(self.hard, p)
        aucs = [auc for auc in (on_truth, on_weak) if auc is not None]
        return {
            "n_rows": len(p),
            "n_distinct": len(np.unique(p)),
            "auc_truth": on_truth,
            "auc_weak": on_weak,
            "n_folds_truth": n_truth,
            "n_folds_weak": n_weak,
            "labels_auc": self.labels_auc,
            "delta_auc_truth": _difference(on_truth, self.labels_auc),
            "delta_auc_weak": _difference(on_weak, self._auc(self.hard, self.weak)[0]),
            "log_loss_weak": self._log_loss(p),
            "saturated": max(aucs, default=0.0) >= SATURATED,
        }

    def _auc(
        self, hard: np.ndarray | None, scores: np.ndarray | None
    ) -> tuple[float | None, int | None]:
        """AUC where there are labels of both classes and scores; folds that it is the mean of."""
        if hard is None or scores is None:
            return None, None
        found = auc_inside_folds(hard, scores, self.folds)
        auc = None if found.auc is None else float(found.auc)
        return auc, None if self.folds is None else found.n_folds

    def _log_loss(self, p: np.ndarray) -> float | None:
        """Mean cross-entropy of the soft labels; infinite where a certain vote is contradicted."""
        if self.weak is None:
            return None
        return float(-(xlogy(self.weak, p) + xlog1py(1 - self.weak, -p)).mean())


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b
