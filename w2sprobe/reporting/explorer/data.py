"""Content of the explorer: rows, and for each layer their projection and probes."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from w2sprobe.labels import LabelTable
from w2sprobe.metrics import auc_inside_folds


@dataclass(frozen=True)
class LayerView:
    """Projection, neighbours and probes of one layer.

    Parameters
    ----------
    points : ndarray of float32, shape (n, 2)
    explained : tuple of float, optional
        Share of the variance along each axis; None where the projection is not linear.
    neighbors : ndarray of int64, shape (n, max(ks))
        Positions of the nearest training rows, nearest first.
    votes : ndarray of float64, shape (len(ks), n)
        kNN probe, P(label = 1); a training row is left out of its own vote.
    fold_votes : ndarray of float64, shape (len(ks), n)
        Votes by neighbours outside a row's fold, where it has one; for the AUC.
    logistic : ndarray of float64, shape (n,)
        Logistic probe, P(label = 1); out-of-fold for the rows it was fitted on.
    """

    layer: int
    points: np.ndarray
    explained: tuple[float, float] | None
    neighbors: np.ndarray
    votes: np.ndarray
    fold_votes: np.ndarray
    logistic: np.ndarray


@dataclass(frozen=True)
class ExplorerData:
    """Rows and layers of an explorer.

    Parameters
    ----------
    labels : LabelTable
        Labels as given: of all rows that are shown, and maybe others.
    ids : ndarray of str, shape (n,)
        Rows that are shown, training rows first.
    splits : ndarray of str, shape (n,)
        The split that each row is of.
    truth : ndarray of int64, shape (n,), optional
    folds : ndarray of int64, shape (n,)
        The fold that a row was held out with; -1 for rows that no probe was fitted on.
    ks : tuple of int
        Ascending.
    l2 : float
        Penalty of the logistic probe.
    projection : {"pca", "umap"}
    """

    labels: LabelTable
    ids: np.ndarray
    texts: list[str] | None
    splits: np.ndarray
    truth: np.ndarray | None
    folds: np.ndarray
    ks: tuple[int, ...]
    l2: float
    projection: str
    layers: tuple[LayerView, ...]

    @property
    def split_names(self) -> list[str]:
        """Splits of the rows, in their order."""
        return list(dict.fromkeys(self.splits.tolist()))

    def aucs(self) -> dict[str, dict[str, Any]]:
        """AUC against truth, by split.

        Returns
        -------
        dict
            Of each split whose truth is known and of both classes: `weak`, and for each layer, in
            their order, `logistic` and `knn` (one a k). Of a split with rows that probes were
            fitted on, these alone are scored; each AUC is the mean of those inside the folds, and
            `folds` says how many of how many have rows of both classes. It is None of others.
        """
        if self.truth is None:
            return {}
        weak = self.labels.align(self.ids).soft_label
        found = {}
        for name in self.split_names:
            rows = self.splits == name
            is_fitted = bool((self.folds[rows] >= 0).any())
            if is_fitted:
                rows &= self.folds >= 0
            scores = [[weak], *([view.logistic, *view.fold_votes] for view in self.layers)]
            inside = auc_inside_folds(
                self.truth[rows], np.vstack(scores)[:, rows], self.folds[rows]
            )
            if inside.auc is None:
                continue
            of_weak, *of_probes = inside.auc.tolist()
            step = 1 + len(self.ks)
            found[name] = {
                "weak": of_weak,
                "logistic": of_probes[::step],
                "knn": [
                    of_probes[start + 1 : start + step] for start in range(0, len(of_probes), step)
                ],
                "folds": [inside.n_folds, inside.n_folds_total] if is_fitted else None,
            }
        return found
