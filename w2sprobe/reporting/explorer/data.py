"""Content of the explorer: rows, and the projection and probes of each layer."""

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
        kNN predictions of P(label = 1); a training row is left out of its own vote.
    fold_votes : ndarray of float64, shape (len(ks), n)
        The same, for the AUC: rows with a fold are predicted by neighbours outside it.
    logistic : ndarray of float64, shape (n,)
        Logistic predictions of P(label = 1), out of fold for the rows that were fitted on.
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
        Labels as given, of all rows that are shown, and possibly of others.
    ids : ndarray of str, shape (n,)
        Rows that are shown, training rows first.
    splits : ndarray of str, shape (n,)
        Split of each row.
    truth : ndarray of int64, shape (n,), optional
    folds : ndarray of int64, shape (n,)
        Fold in which a row was held out; -1 for rows that no probe was fitted on.
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
        """Names of the splits, in order of appearance."""
        return list(dict.fromkeys(self.splits.tolist()))

    def aucs(self) -> dict[str, dict[str, Any]]:
        """AUC against truth, by split.

        Returns
        -------
        dict
            For each split with rows of both classes: `weak`, then lists over layers, `logistic`
            and `knn` (a list over k). In a split that probes were fitted on, only those rows are
            scored, each AUC is the mean of the AUCs within folds, and `folds` counts the folds
            with both classes and all folds. For other splits `folds` is None.
        """
        if self.truth is None:
            return {}
        weak = self.labels.align(self.ids).soft_label
        aucs = {}
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
            aucs[name] = {
                "weak": of_weak,
                "logistic": of_probes[::step],
                "knn": [
                    of_probes[start + 1 : start + step] for start in range(0, len(of_probes), step)
                ],
                "folds": [inside.n_folds, inside.n_folds_total] if is_fitted else None,
            }
        return aucs
