"""One layer's activations, a probe, and a whole grid of its settings: predictions and curations.

Every k comes from one search, every penalty from one solve; the store is read by whoever calls.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import expit

from w2sprobe.checks import optional_groups
from w2sprobe.curation import (
    IN_SAMPLE,
    Action,
    CrossFit,
    Curated,
    Rule,
    explain,
    judge,
    relabel,
)
from w2sprobe.errors import InputError
from w2sprobe.folds import FOLDS, folds_of
from w2sprobe.labels import LabelTable
from w2sprobe.probes import (
    LogisticProbe,
    Preprocess,
    Probe,
    knn_cross_fit,
    knn_path,
    logistic_cross_fit,
    logistic_path,
    make_probe,
    nearest_neighbors,
)
from w2sprobe.probes.estimator import linear
from w2sprobe.probes.neighbors import Search
from w2sprobe.probes.preprocess import Preprocessing

ProbeName = Literal["knn", "logistic", "mass-mean", "topofilter"]


@dataclass(frozen=True)
class Grid:
    """A probe and the settings to try.

    Parameters
    ----------
    probe : {"knn", "logistic", "mass-mean", "topofilter"}
    ks : tuple of int, default (50,)
        Neighbours, of knn and topofilter.
    l2s : tuple of float, default (1e-2,)
        Penalties of logistic; `choose_l2` fills in an empty one.
    preprocess : {"none", "center", "standardize"}, default "none"
    whiten : bool, default False
        Of mass-mean.
    cv : int or "in-sample", optional
        Folds of cross-fitted predictions for training rows. None: kNN leaves each row out, the
        others take 5. "in-sample": relabel and filter by a fit on all rows, as published.
    rule : {"disagreement", "confident-learning", "deep-knn", "random"}
        Of filters.
    contamination : float, optional, default 0.1
        Share of the rows that a filter removes.
    per_class : bool, default False
        Remove the share of each class.
    search : callable, default nearest_neighbors
    device : str, default "auto"
        Of the linear probes.
    """

    probe: ProbeName
    ks: tuple[int, ...] = (50,)
    l2s: tuple[float, ...] = (1e-2,)
    preprocess: Preprocess = "none"
    whiten: bool = False
    cv: CrossFit = None
    rule: Rule = "disagreement"
    contamination: float | None = 0.1
    per_class: bool = False
    search: Search = nearest_neighbors
    device: str = "auto"

    @property
    def settings(self) -> list[tuple[str | None, float | None]]:
        """Name and value of each setting: ("k", 50.0), ("l2", 0.01), or (None, None)."""
        if self.probe in ("knn", "topofilter"):
            return [("k", float(k)) for k in self.ks]
        if self.probe == "logistic":
            return [("l2", float(l2)) for l2 in self.l2s]
        return [(None, None)]

    def make(self, value: float | None) -> Probe:
        """The probe with one value of its setting."""
        return make_probe(
            self.probe,
            n_neighbors=int(value) if value and self.probe != "logistic" else 50,
            l2=value if value and self.probe == "logistic" else 1e-2,
            contamination=0.1 if self.contamination is None else self.contamination,
            whiten=self.whiten,
            preprocess=self.preprocess,
            per_class=self.per_class,
            search=self.search,
            device=self.device,
        )


def choose_l2(
    grid: Grid, X: np.ndarray, soft: np.ndarray, groups: np.ndarray | None = None
) -> Grid:
    """The grid, its penalty chosen by out-of-fold loss against `soft` where it has none.

    The labels of all rows have a say in that one number, also where `held_out` then leaves a row's
    own label out; `LogisticProbe("auto").cross_fit` chooses within the other folds.
    """
    if grid.l2s or grid.probe != "logistic":
        return grid
    probe = LogisticProbe("auto", grid.preprocess, grid.device).fit(X, soft, groups)
    return replace(grid, l2s=(probe.l2_,))


def held_out(
    grid: Grid, X: np.ndarray, soft: np.ndarray, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Predictions for training rows in which their own labels have no say.

    Parameters
    ----------
    grid : Grid
        Not of topofilter, which predicts nothing.
    X : ndarray of float32, shape (n, d)
    soft : ndarray of float64, shape (n,)
    groups : ndarray, shape (n,), optional
        Rows of one value have no say in one another's predictions either.

    Returns
    -------
    p : ndarray of float64, shape (settings, n)
        P(label = 1).
    fold : ndarray of int64, shape (n,), optional
        The fold each row was left out with; None where kNN leaves out the row alone.

    Raises
    ------
    InputError
        `cv` is "in-sample"; whatever the probe refuses.
    """
    if grid.probe == "knn" and grid.cv is None:
        votes = knn_path(
            X, soft, ks=grid.ks, groups=groups, preprocess=grid.preprocess, search=grid.search
        )
        return votes, None
    if grid.cv == IN_SAMPLE:
        raise InputError(
            f"cv is {grid.cv!r}",
            allowed="folds: these predictions are held out",
            advice="Only relabelling and filters have an in-sample variant.",
        )
    cv = grid.cv or FOLDS
    fold = folds_of(len(X), cv, optional_groups(groups, len(X)))
    if grid.probe == "knn":
        votes = knn_cross_fit(
            X,
            soft,
            ks=grid.ks,
            cv=cv,
            groups=groups,
            preprocess=grid.preprocess,
            search=grid.search,
        )
        return votes, fold
    if grid.probe == "logistic":
        p = logistic_cross_fit(
            X,
            soft,
            l2s=grid.l2s,
            cv=cv,
            groups=groups,
            preprocess=grid.preprocess,
            device=grid.device,
        )
        return p, fold
    each = [relabel(grid.make(v), X, soft, cv=cv, groups=groups) for _, v in grid.settings]
    return np.stack(each), fold


def fitted(grid: Grid, X: np.ndarray, soft: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """Predictions for any rows by a fit on all training rows.

    Parameters
    ----------
    grid, X, soft
        As in `held_out`.
    Q : ndarray of float32, shape (m, d)

    Returns
    -------
    ndarray of float64, shape (settings, m)

    Raises
    ------
    InputError
        Whatever the probe refuses.
    """
    if grid.probe == "knn":
        return knn_path(X, soft, Q, ks=grid.ks, preprocess=grid.preprocess, search=grid.search)
    if grid.probe == "logistic":
        solved = logistic_path(
            X, soft, l2s=grid.l2s, preprocess=grid.preprocess, device=grid.device
        )
        p: np.ndarray = expit(linear(Q, *solved))
        return p
    return np.stack([grid.make(v).fit(X, soft).predict_proba(Q)[:, 1] for _, v in grid.settings])


def curate_grid(
    grid: Grid, action: Action, X: np.ndarray, labels: LabelTable, groups: np.ndarray | None = None
) -> list[Curated]:
    """Relabelled or filtered tables, one a setting.

    Parameters
    ----------
    grid : Grid
    action : {"relabel", "filter"}
    X : ndarray of float32, shape (n, d)
        Activations of the table's rows, in its order.
    labels : LabelTable
    groups : ndarray, shape (n,), optional
        As in `held_out`.

    Returns
    -------
    list of Curated

    Raises
    ------
    InputError
        Whatever `curate` refuses.
    """
    if grid.probe == "topofilter":
        if grid.contamination is None:
            raise InputError("contamination is auto with topofilter", allowed="above 0, below 1")
        return [explain(grid.make(v), action, X, labels, groups=groups) for _, v in grid.settings]
    rule, share, per_class = grid.rule, grid.contamination, grid.per_class
    votes = action == "filter" and grid.rule == "deep-knn"
    if (action == "filter" and grid.rule == "random") or (votes and grid.probe != "knn"):
        probe = grid.make(None)  # not asked, or not of the kind: `explain` says so
        return [
            explain(probe, action, X, labels, rule=rule, contamination=share, per_class=per_class)
        ]
    soft = labels.hard_label if votes else labels.soft_label
    if grid.cv == IN_SAMPLE:
        p, fold = fitted(grid, X, soft, X), None
    else:
        p, fold = held_out(grid, X, soft, groups)
    return [
        judge(action, labels, row, fold, rule=rule, contamination=share, per_class=per_class)
        for row in p
    ]


def voters(grid: Grid, X: np.ndarray, groups: np.ndarray | None) -> np.ndarray | None:
    """Rows that voted on each training row, nearest first, (n, max(ks)); None without votes.

    The search is the one that the votes came from: a `StoredSearch` has kept it.
    """
    if grid.probe != "knn" or grid.cv is not None:
        return None
    points = Preprocessing.fit(X, grid.preprocess).apply(X)
    found = grid.search(points, k=max(grid.ks), exclude_self=True, groups=groups)
    indices: np.ndarray = found.indices
    return indices
