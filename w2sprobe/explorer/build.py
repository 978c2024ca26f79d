"""A store and labels -> what the explorer shows; one layer in memory at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit

from w2sprobe.cache import ActivationStore
from w2sprobe.checks import check_k, n_left_out
from w2sprobe.data import Splits
from w2sprobe.errors import IdMismatch, InputError, UnknownName, first_few
from w2sprobe.explorer.projections import pca, umap, umap_module
from w2sprobe.folds import FOLDS, folds_of
from w2sprobe.labels import LabelTable
from w2sprobe.probes import knn_cross_fit, logistic_cross_fit_path
from w2sprobe.probes.estimator import linear
from w2sprobe.probes.neighbors import Search
from w2sprobe.probing import ProbedRows
from w2sprobe.reporting.explorer import ExplorerData, LayerView
from w2sprobe.searches import StoredSearch

PROJECTIONS = ("pca", "umap")
KS = (1, 5, 10, 20, 50)
N_LAYERS = 7


def default_layers(available: Sequence[int]) -> tuple[int, ...]:
    """About seven layers: the lowest, the highest, evenly between them, and the middle one.

    Parameters
    ----------
    available : sequence of int
        Ascending.

    Returns
    -------
    tuple of int

    Examples
    --------
    >>> default_layers(range(31))
    (0, 5, 10, 15, 20, 25, 30)
    >>> default_layers([3, 8])
    (3, 8)
    """
    spread = np.linspace(0, len(available) - 1, N_LAYERS).round().astype(int)
    middle = available[-1] // 2
    return tuple(sorted({available[n] for n in spread} | ({middle} & set(available))))


def explore(
    store: ActivationStore,
    labels: LabelTable,
    rows: ProbedRows,
    texts: Mapping[str, str] | None = None,
    *,
    layers: Sequence[int] | None = None,
    ks: Sequence[int] | None = None,
    l2: float = 1e-2,
    projection: str = "pca",
    splits: Sequence[str] = (),
    device: str = "auto",
) -> ExplorerData:
    """Project, search and probe some layers of a store.

    Parameters
    ----------
    store : ActivationStore
    labels : LabelTable
        Has every row that is shown. Training rows that it marks as filtered out are shown, and
        neither vote nor are fitted on.
    rows : ProbedRows
        Training rows; and others, by the names of their splits.
    texts : mapping of str to str, optional
        Text by id.
    layers : sequence of int, optional
        Default: `default_layers`.
    ks : sequence of int, optional
        Neighbours. Default: those of 1, 5, 10, 20 and 50 that there are rows for.
    l2 : float, default 1e-2
        Penalty of the logistic probe.
    projection : {"pca", "umap"}
    splits : sequence of str
        Of `rows.other`, to be shown beside the training rows.
    device : str, default "auto"
        Of the logistic probe.

    Returns
    -------
    ExplorerData

    Raises
    ------
    InputError
        The store has a vector a token, or whatever the probes refuse.
    IdMismatch
        A row without a label, without activations or without a text.
    UnknownName
        No such projection or split.
    MissingDependency
        The projection needs a package that is not installed.
    """
    if projection not in PROJECTIONS:
        raise UnknownName("projection", projection, PROJECTIONS)
    if projection == "umap":
        umap_module()
    for name in splits:
        if name not in rows.other:
            raise UnknownName("split", name, list(rows.other))
    if store.ragged:
        raise InputError(
            "the store has a vector a token",
            where=str(store.path),
            allowed="a store with a vector a row",
            advice="Extract with another --position.",
        )
    parts = {rows.name: rows.train, **{name: rows.other[name] for name in splits}}
    ids = np.concatenate(list(parts.values()))
    given = labels.align(ids)
    fitted = given.keep.copy()
    fitted[len(rows.train) :] = False
    groups = None if rows.groups is None else rows.groups[given.keep[: len(rows.train)]]
    if not fitted.any():
        raise InputError("the labels filter out all training rows", allowed="rows with keep")
    folds = np.full(len(ids), -1)
    folds[fitted] = folds_of(int(fitted.sum()), FOLDS, groups)
    most = int(fitted.sum()) - n_left_out(folds[fitted], itself=True)
    of = f"the rows outside the largest of {FOLDS} folds"
    chosen = [k for k in KS if k <= most] if ks is None else [check_k(k, "k", most, of) for k in ks]
    if not chosen:
        raise InputError("ks is empty", allowed="at least one k, and rows for it")
    here = _Rows(
        store.rows_of(ids), given.soft_label, fitted, groups, tuple(sorted(set(chosen))), l2, device
    )
    search = StoredSearch(store)
    wanted = default_layers(store.layers) if layers is None else layers
    return ExplorerData(
        labels,
        ids,
        None if texts is None else _texts(ids, texts),
        np.repeat(list(parts), [len(part) for part in parts.values()]),
        None if rows.truth is None else rows.truth.align(ids).hard_label,
        folds,
        here.ks,
        l2,
        projection,
        tuple(_view(layer, store, here, projection, search) for layer in wanted),
    )


def explore_run(store: Path, labels: LabelTable, splits: Path) -> ExplorerData:
    """What the explorer shows of a run: its strong-train rows, with default layers and settings.

    Parameters
    ----------
    store : Path
        Of the strong model's activations.
    labels : LabelTable
        Weak labels.
    splits : Path
        splits.parquet of the run.

    Returns
    -------
    ExplorerData

    Raises
    ------
    InputError
        As in `explore`; a file that cannot be read.
    IdMismatch
        As in `explore`.
    """
    cut = Splits.read(splits)
    rows, texts = ProbedRows.of_splits(cut), cut.stored.text_of()
    return explore(ActivationStore.open(store), labels, rows, texts)


@dataclass(frozen=True)
class _Rows:
    """What is the same for every layer; `fitted` rows vote, and the linear probe learns them."""

    positions: np.ndarray
    soft: np.ndarray
    fitted: np.ndarray
    groups: np.ndarray | None
    ks: tuple[int, ...]
    l2: float
    device: str


def _view(
    layer: int, store: ActivationStore, rows: _Rows, projection: str, search: Search
) -> LayerView:
    X = store.read(layer, rows.positions)
    fitted, k = rows.fitted, rows.ks[-1]
    known, asked, soft = X[fitted], X[~fitted], rows.soft[fitted]
    neighbors = np.empty((len(fitted), k), dtype=np.int64)
    neighbors[fitted] = search(known, k=k, exclude_self=True, groups=rows.groups).indices
    logistic = np.empty(len(fitted))
    (logistic[fitted],), coef, intercept = logistic_cross_fit_path(
        known, soft, l2s=[rows.l2], groups=rows.groups, device=rows.device
    )
    if len(asked):
        neighbors[~fitted] = search(known, asked, k=k).indices
        (logistic[~fitted],) = expit(linear(asked, coef, intercept))
    neighbors = np.flatnonzero(fitted)[neighbors]
    # as `knn_path` does it: a running sum over k
    sums = np.cumsum(rows.soft[neighbors], axis=1)
    votes = np.stack([sums[:, k - 1] / k for k in rows.ks]).clip(0, 1)
    fold_votes = votes.copy()
    fold_votes[:, fitted] = knn_cross_fit(
        known, soft, ks=rows.ks, groups=rows.groups, search=search
    )
    points, explained = (
        pca(X, fitted, rows.soft) if projection == "pca" else (umap(X, fitted), None)
    )
    return LayerView(layer, points, explained, neighbors, votes, fold_votes, logistic)


def _texts(ids: np.ndarray, texts: Mapping[str, str]) -> list[str]:
    missing = [name for name in ids.tolist() if name not in texts]
    if missing:
        raise IdMismatch(f"no text for ids {first_few(missing)}")
    return [texts[name] for name in ids.tolist()]
