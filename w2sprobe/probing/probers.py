"""How each probe is fitted to the rows of one layer, for all label vectors and settings at once.

Configs name probes, and commands that read results read configs: so torch, which the fits need, is
imported by them and not by this file.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from w2sprobe.checks import n_left_out
from w2sprobe.labels import THRESHOLD
from w2sprobe.training.settings import LOSSES
from w2sprobe.votes.selection import HEAD
from w2sprobe.votes.table import COMPONENT, IN_SAMPLE, LEAVE_ONE_OUT, TRAIN

if TYPE_CHECKING:
    from w2sprobe.probes.neighbors import Neighbors, Search


@dataclass(frozen=True)
class Fit:
    """Rows of one layer and how probes are fitted to them.

    Parameters
    ----------
    X : ndarray of float32, shape (n, d)
        Training rows.
    Q : ndarray of float32, shape (m, d)
        Other rows; may be none.
    soft : ndarray of float64, shape (v, n)
        Soft labels, one vector a row.
    keep : ndarray of bool, shape (v, n), optional
        Rows that each vector's fits may use. None: all.
    groups : ndarray of int, shape (n,), optional
    cv : int
        Folds.
    held_out : collection of str
        How training rows are to be predicted: of TRAIN, LEAVE_ONE_OUT, IN_SAMPLE.
    options : dict
        Settings that all of a probe's fits share: preprocess, whiten, contamination, per_class,
        graph, head.
    search : callable
        Finds neighbours.
    device : str
        Of linear probes.
    """

    X: np.ndarray
    Q: np.ndarray
    soft: np.ndarray
    keep: np.ndarray | None
    groups: np.ndarray | None
    cv: int
    held_out: tuple[str, ...]
    options: Mapping[str, Any]
    search: "Search"
    device: str

    @property
    def asked(self) -> Iterator[tuple[str, np.ndarray]]:
        """Rows that the fits on all training rows predict."""
        if len(self.Q):
            yield OTHER, self.Q
        if IN_SAMPLE in self.held_out:
            yield IN_SAMPLE, self.X

    @property
    def by_folds(self) -> bool:
        """Whether a probe that cannot leave out single rows predicts training rows."""
        return TRAIN in self.held_out or LEAVE_ONE_OUT in self.held_out

    @property
    def folds(self) -> dict[str, Any]:
        """Arguments of every cross-fit."""
        return {
            "cv": self.cv,
            "groups": self.groups,
            "preprocess": self.options["preprocess"],
            "keep": self.keep,
        }


OTHER = "other"
# name of the probe, rows predicted, and P(label = 1) of shape (vectors, values, rows)
Predictions = Iterator[tuple[str, str, np.ndarray]]


@dataclass(frozen=True)
class Prober:
    """A probe that studies, sweeps and commands can name.

    Parameters
    ----------
    setting : str, optional
        Name of the hyperparameter whose values are tried; None where there is none.
    fit : callable
        Fits all values to all label vectors.
    default : float, optional
        Value of the setting where nobody says otherwise.
    alone : bool, default False
        It can leave out single rows: it needs no folds.
    predicts : bool, default True
        False: votes are masks of training rows, for filters alone.
    """

    setting: str | None
    fit: Callable[[Fit, tuple[float, ...]], Predictions]
    default: float | None = None
    alone: bool = False
    predicts: bool = True


def _knn(fit: Fit, ks: tuple[float, ...]) -> Predictions:
    from w2sprobe.probes import knn_cross_fit, knn_path

    counts, how = [int(k) for k in ks], fit.options["preprocess"]
    options: dict[str, Any] = {"ks": counts, "search": fit.search}
    if TRAIN in fit.held_out:
        yield "knn", TRAIN, knn_cross_fit(fit.X, fit.soft, **options, **fit.folds)
    options |= {"preprocess": how, "keep": fit.keep}
    if LEAVE_ONE_OUT in fit.held_out:
        yield "knn", LEAVE_ONE_OUT, knn_path(fit.X, fit.soft, groups=fit.groups, **options)
    for rows, points in fit.asked:
        yield "knn", rows, knn_path(fit.X, fit.soft, points, **options)


def _logistic(fit: Fit, l2s: tuple[float, ...]) -> Predictions:
    from w2sprobe.probes import logistic_cross_fit_path

    held_out, coef, intercept = logistic_cross_fit_path(
        fit.X, fit.soft, l2s=l2s, device=fit.device, **fit.folds
    )
    if fit.by_folds:
        yield "logistic", TRAIN, held_out
    for rows, points in fit.asked:
        yield "logistic", rows, _sigmoid(points, coef, intercept)


def _mass_mean(fit: Fit, _: tuple[float, ...]) -> Predictions:
    from w2sprobe.probes import mass_mean_cross_fit_path

    held_out, coef, intercept = mass_mean_cross_fit_path(
        fit.X, fit.soft, whiten=fit.options["whiten"], device=fit.device, **fit.folds
    )
    if fit.by_folds:
        yield "mass-mean", TRAIN, held_out[:, None]
    for rows, points in fit.asked:
        yield "mass-mean", rows, _sigmoid(points, coef[:, None], intercept[:, None])


class _SearchedOnce:
    """A search of some points in themselves, made once for the largest k; others as they come."""

    def __init__(self, search: "Search", points: np.ndarray, k: int) -> None:
        self.search, self.points, self.k = search, points, k
        self.found: Neighbors | None = None

    def __call__(self, X: np.ndarray, **options: Any) -> "Neighbors":
        if X.shape != self.points.shape or X.ctypes.data != self.points.ctypes.data:
            return self.search(X, **options)  # the rows within components, for the zeta step
        k = options.pop("k")
        if self.found is None:
            groups = options.get("groups")
            most = len(X) - n_left_out(groups, itself=True)
            self.found = self.search(X, k=max(k, min(self.k, most)), **options)
        return self.found.first(k)


def _topofilter(fit: Fit, ks: tuple[float, ...]) -> Predictions:
    from w2sprobe.probes import TopoFilter
    from w2sprobe.probes.preprocess import Preprocessing
    from w2sprobe.probes.topofilter import SHARED

    shape = (len(fit.soft), len(ks), len(fit.X))
    keep, component = np.zeros(shape), np.zeros(shape)
    hard = fit.soft > THRESHOLD
    one_sided: np.ndarray = (
        np.ptp(hard.astype(np.int8), axis=1) == 0
    )  # soft labels that are no use as classes
    searched: _SearchedOnce | None = None
    for vector, soft in enumerate(fit.soft):
        if one_sided[vector] and not one_sided.all():
            keep[vector] = component[vector] = np.nan
            continue
        rows = np.arange(len(soft)) if fit.keep is None else np.flatnonzero(fit.keep[vector])
        together = None if fit.groups is None else fit.groups[rows]
        X = fit.X[rows]
        moved = Preprocessing.fit(X, fit.options["preprocess"]).apply(X)
        if searched is None or fit.keep is not None:
            searched = _SearchedOnce(fit.search, moved, round(SHARED * max(ks)))
        for number, k in enumerate(ks):
            probe = TopoFilter(
                int(k),
                int(k),
                fit.options["contamination"],
                graph=fit.options["graph"],
                per_class=fit.options["per_class"],
                search=searched,
            ).fit(searched.points, soft[rows], together)
            keep[vector, number, rows] = probe.keep_mask_
            component[vector, number, rows] = probe.component_mask_
    yield "topofilter", LEAVE_ONE_OUT, keep
    yield COMPONENT, LEAVE_ONE_OUT, component


def _head(loss: str) -> Callable[[Fit, tuple[float, ...]], Predictions]:
    def fit_head(fit: Fit, seeds: tuple[float, ...]) -> Predictions:
        from w2sprobe.probing.heads import fit_heads

        # always standardised, which Adam needs, and never cross-fitted: heads only predict
        coef, intercept = fit_heads(
            fit.X,
            fit.soft,
            loss=loss,
            settings=fit.options["head"],
            seeds=[int(seed) for seed in seeds],
            keep=fit.keep,
            device=fit.device,
        )
        for rows, points in fit.asked:
            yield f"{HEAD}{loss}", rows, _sigmoid(points, coef, intercept)

    return fit_head


def _sigmoid(points: np.ndarray, coef: np.ndarray, intercept: np.ndarray) -> np.ndarray:
    """P(label = 1) of linear probes, (v, s, m), of coefficients (v, s, d)."""
    from scipy.special import expit

    from w2sprobe.probes.estimator import linear

    flat = linear(points, coef.reshape(-1, coef.shape[-1]), intercept.ravel())
    p: np.ndarray = expit(flat).reshape(*intercept.shape, len(points))
    return p


PROBERS: dict[str, Prober] = {
    "knn": Prober("k", _knn, default=50, alone=True),
    "logistic": Prober("l2", _logistic, default=1e-2),
    "mass-mean": Prober(None, _mass_mean),
    "topofilter": Prober("k", _topofilter, default=50, alone=True, predicts=False),
    **{f"{HEAD}{loss}": Prober("seed", _head(loss), default=0, alone=True) for loss in LOSSES},
}
PROBES = tuple(name for name in PROBERS if not name.startswith(HEAD))  # heads go by their loss
