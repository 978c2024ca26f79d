"""The probes that configs and commands can name, each fitted to all label vectors at once.

torch is imported inside the fit functions, because reading a config imports this module.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np

from w2sprobe.labels import THRESHOLD
from w2sprobe.training.settings import LOSSES
from w2sprobe.votes.selection import HEAD
from w2sprobe.votes.table import COMPONENT, IN_SAMPLE, LEAVE_ONE_OUT, TRAIN

if TYPE_CHECKING:
    from w2sprobe.probes.neighbors import Neighbors, Search
    from w2sprobe.probes.token_rows import TokenRows
    from w2sprobe.probing.spec import VoteSpec

OTHER = "other"  # rows that are not training rows
TRAINED_POOLINGS = ("attention", "multimax", "softmax-mean")
_Points = TypeVar("_Points", np.ndarray, "TokenRows")


class Predictions(NamedTuple):
    """Predictions of one probe for some rows, for every label vector and hyperparameter value.

    Attributes
    ----------
    probe : str
        Name of the probe in results.
    split : str
        `OTHER`, or how the training rows were predicted: a split of `w2sprobe.votes.table`.
    p : ndarray of float64, shape (v, s, m)
        P(label = 1) by label vector, hyperparameter value and row; NaN where a probe could not be
        fitted.
    neighbors : ndarray of int64, shape (m, k), optional
        Nearest training rows of each training row, itself and its group left out, nearest first,
        rows that are not kept included; at least as many as the largest k.
    """

    probe: str
    split: str
    p: np.ndarray
    neighbors: np.ndarray | None = None


@dataclass(frozen=True)
class FitInputs(Generic[_Points]):
    """Rows of one layer, their label vectors, and how probes are fitted to them.

    Parameters
    ----------
    X : ndarray of float32, shape (n, d), or TokenRows of n rows
        Training rows; TokenRows where the store has one vector per token.
    Q : ndarray of float32, shape (m, d), or TokenRows of m rows
        Other rows; m may be 0.
    soft : ndarray of float64, shape (v, n)
        Soft labels, one label vector per row.
    keep : ndarray of bool, shape (v, n), optional
        Rows that each vector's fits may use. None: all.
    groups : ndarray of int, shape (n,), optional
        Rows of one group are held out together.
    search : callable
        Neighbour search, as `nearest_neighbors`.
    device : str
        Device of linear probes.
    """

    X: _Points
    Q: _Points
    soft: np.ndarray
    keep: np.ndarray | None
    groups: np.ndarray | None
    spec: "VoteSpec"
    search: "Search"
    device: str

    @property
    def queries(self) -> Iterator[tuple[str, _Points]]:
        """Rows that a fit on all training rows predicts, by name."""
        if len(self.Q):
            yield OTHER, self.Q
        if IN_SAMPLE in self.spec.held_out:
            yield IN_SAMPLE, self.X

    @property
    def cross_fits(self) -> bool:
        """Whether probes without a leave-one-out variant are cross-fitted."""
        return TRAIN in self.spec.held_out or LEAVE_ONE_OUT in self.spec.held_out

    @property
    def cross_fit_options(self) -> dict[str, Any]:
        """Arguments shared by the cross-fits of all probes."""
        return {
            "cv": self.spec.cv,
            "groups": self.groups,
            "preprocess": self.spec.preprocess,
            "keep": self.keep,
        }


@dataclass(frozen=True)
class ProbeType:
    """A probe that studies, sweeps and commands can name.

    Parameters
    ----------
    hyperparameter : str, optional
        Its name; None if the probe has none.
    fit : callable
        Fits every value of the hyperparameter to every label vector, and yields held-out
        predictions of the training rows (not heads) and predictions of `FitInputs.queries` (not
        topofilter, which yields masks).
    default : float, optional
        Default value of the hyperparameter.
    folds_optional : bool, default False
        True: the probe is never cross-fitted unless `held_out` has `train`; topofilter and heads
        never are. False: training rows are always cross-fitted, also for `leave_one_out`.
    predicts : bool, default True
        False: its results are masks of training rows, which only filters use.
    reads_tokens : bool, default False
        True: reads one vector per token; False: one vector per row.
    """

    hyperparameter: str | None
    fit: "FitFunction"
    default: float | None = None
    folds_optional: bool = False
    predicts: bool = True
    reads_tokens: bool = False


FitFunction = Callable[[FitInputs[Any], tuple[float, ...]], Iterator[Predictions]]


def _knn(fit: FitInputs[np.ndarray], ks: tuple[float, ...]) -> Iterator[Predictions]:
    from w2sprobe.probes import knn_cross_fit, knn_path

    options: dict[str, Any] = {"ks": [int(k) for k in ks]}
    if TRAIN in fit.spec.held_out:
        p = knn_cross_fit(fit.X, fit.soft, search=fit.search, **options, **fit.cross_fit_options)
        yield Predictions("knn", TRAIN, p)
    options |= {"preprocess": fit.spec.preprocess, "keep": fit.keep}
    if LEAVE_ONE_OUT in fit.spec.held_out:
        searched: list[Neighbors] = []

        def search_and_remember(*arrays: np.ndarray, **search_options: Any) -> "Neighbors":
            searched.append(fit.search(*arrays, **search_options))
            return searched[-1]

        p = knn_path(fit.X, fit.soft, groups=fit.groups, search=search_and_remember, **options)
        # the first search is for all rows; others follow only where `keep` leaves too few of them
        yield Predictions("knn", LEAVE_ONE_OUT, p, searched[0].indices)
    for rows, points in fit.queries:
        p = knn_path(fit.X, fit.soft, points, search=fit.search, **options)
        yield Predictions("knn", rows, p)


def _logistic(fit: FitInputs[np.ndarray], l2s: tuple[float, ...]) -> Iterator[Predictions]:
    from w2sprobe.probes import logistic_cross_fit_path

    held_out, coef, intercept = logistic_cross_fit_path(
        fit.X, fit.soft, l2s=l2s, device=fit.device, **fit.cross_fit_options
    )
    if fit.cross_fits:
        yield Predictions("logistic", TRAIN, held_out)
    for rows, points in fit.queries:
        yield Predictions("logistic", rows, _sigmoid(points, coef, intercept))


def _mass_mean(fit: FitInputs[np.ndarray], _: tuple[float, ...]) -> Iterator[Predictions]:
    from w2sprobe.probes import mass_mean_cross_fit_path

    held_out, coef, intercept = mass_mean_cross_fit_path(
        fit.X, fit.soft, whiten=fit.spec.whiten, device=fit.device, **fit.cross_fit_options
    )
    if fit.cross_fits:
        yield Predictions("mass-mean", TRAIN, held_out[:, None])
    for rows, points in fit.queries:
        p = _sigmoid(points, coef[:, None], intercept[:, None])
        yield Predictions("mass-mean", rows, p)


def _topofilter(fit: FitInputs[np.ndarray], ks: tuple[float, ...]) -> Iterator[Predictions]:
    from w2sprobe.probes import TopoFilter
    from w2sprobe.probes.topofilter import SearchedRows

    settings = fit.spec.topofilter
    shape = (len(fit.soft), len(ks), len(fit.X))
    keep, component = np.zeros(shape), np.zeros(shape)
    hard = fit.soft > THRESHOLD
    kept = np.ones_like(hard) if fit.keep is None else fit.keep
    one_class = np.asarray(~((hard & kept).any(axis=1) & (~hard & kept).any(axis=1)))
    searched: SearchedRows | None = None
    for vector, soft in enumerate(fit.soft):
        if one_class[vector] and not one_class.all():
            # without results; if all vectors are of one class, TopoFilter says why it refuses
            keep[vector] = component[vector] = np.nan
            continue
        rows = np.arange(len(soft)) if fit.keep is None else np.flatnonzero(fit.keep[vector])
        if searched is None or fit.keep is not None:  # label vectors on the same rows share it
            searched = SearchedRows.of(
                fit.X[rows],
                None if fit.groups is None else fit.groups[rows],
                k_cc=int(max(ks)),
                k_zeta=int(max(ks)),
                preprocess=fit.spec.preprocess,
                search=fit.search,
            )
        for number, k in enumerate(ks):
            probe = TopoFilter(
                int(k),
                int(k),
                settings.contamination,
                graph=settings.graph,
                per_class=settings.per_class,
                search=fit.search,
            ).fit_searched(searched, soft[rows])
            keep[vector, number, rows] = probe.keep_mask_
            component[vector, number, rows] = probe.component_mask_
    yield Predictions("topofilter", LEAVE_ONE_OUT, keep)
    yield Predictions(COMPONENT, LEAVE_ONE_OUT, component)


def _head(loss: str) -> FitFunction:
    def fit_head(fit: FitInputs[np.ndarray], seeds: tuple[float, ...]) -> Iterator[Predictions]:
        from w2sprobe.probing.heads import fit_heads

        # activations are standardised whatever the spec says: Adam needs it
        coef, intercept = fit_heads(
            fit.X,
            fit.soft,
            loss=loss,
            settings=fit.spec.head,
            seeds=[int(seed) for seed in seeds],
            keep=fit.keep,
            device=fit.device,
        )
        for rows, points in fit.queries:
            yield Predictions(f"{HEAD}{loss}", rows, _sigmoid(points, coef, intercept))

    return fit_head


def _pooled(name: str, pool: "Callable[[TokenRows], np.ndarray]") -> FitFunction:
    """Logistic regression on one vector that is computed from a row's tokens."""

    def fit_pooled(fit: "FitInputs[TokenRows]", l2s: tuple[float, ...]) -> Iterator[Predictions]:
        pooled = replace(fit, X=pool(fit.X), Q=pool(fit.Q))  # type: ignore[arg-type]
        for predictions in _logistic(pooled, l2s):  # type: ignore[arg-type]
            yield predictions._replace(probe=name)

    return fit_pooled


def _trained(pooling: str) -> FitFunction:
    """Token-level probe whose pooling is trained."""

    def fit_trained(fit: "FitInputs[TokenRows]", l2s: tuple[float, ...]) -> Iterator[Predictions]:
        from scipy.special import expit

        from w2sprobe.devices import resolve_device
        from w2sprobe.probes.token_probes import token_cross_fit_path

        held_out, models = token_cross_fit_path(
            fit.X,
            fit.soft,
            pooling=pooling,
            l2s=l2s,
            settings=fit.spec.tokens,
            cv=fit.spec.cv if fit.cross_fits else 0,
            groups=fit.groups,
            keep=fit.keep,
            device=fit.device,
        )
        if fit.cross_fits:
            yield Predictions(pooling, TRAIN, held_out)
        for rows, tokens in fit.queries:
            p = expit(models.logits(tokens, resolve_device(fit.device)))
            yield Predictions(pooling, rows, p.reshape(len(fit.soft), len(l2s), len(tokens)))

    return fit_trained


def _sigmoid(points: np.ndarray, coef: np.ndarray, intercept: np.ndarray) -> np.ndarray:
    """P(label = 1) by linear probes, (v, s, m), from coefficients (v, s, d)."""
    from scipy.special import expit

    from w2sprobe.probes.estimator import linear

    flat = linear(points, coef.reshape(-1, coef.shape[-1]), intercept.ravel())
    p: np.ndarray = expit(flat).reshape(*intercept.shape, len(points))
    return p


PROBE_TYPES: dict[str, ProbeType] = {
    "knn": ProbeType("k", _knn, default=50, folds_optional=True),
    "logistic": ProbeType("l2", _logistic, default=1e-2),
    "mass-mean": ProbeType(None, _mass_mean),
    "topofilter": ProbeType("k", _topofilter, default=50, folds_optional=True, predicts=False),
    **{
        f"{HEAD}{loss}": ProbeType("seed", _head(loss), default=0, folds_optional=True)
        for loss in LOSSES
    },
    "token-mean": ProbeType(
        "l2", _pooled("token-mean", lambda rows: rows.means()), default=1e-2, reads_tokens=True
    ),
    "token-last": ProbeType(
        "l2", _pooled("token-last", lambda rows: rows.last()), default=1e-2, reads_tokens=True
    ),
    **{
        name: ProbeType("l2", _trained(name), default=1e-3, reads_tokens=True)
        for name in TRAINED_POOLINGS
    },
}
PROBES = tuple(name for name in PROBE_TYPES if not name.startswith(HEAD))  # without linear heads
TOKEN_PROBES = tuple(name for name in PROBES if PROBE_TYPES[name].reads_tokens)
