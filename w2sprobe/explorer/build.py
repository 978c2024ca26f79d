"""A store and labels -> what the explorer shows; one layer in memory at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from w2sprobe.cache import ActivationStore
from w2sprobe.checks import check_k
from w2sprobe.data import Splits
from w2sprobe.errors import IdMismatch, InputError, UnknownName, first_few
from w2sprobe.explorer.projections import pca, umap, umap_module
from w2sprobe.labels import LabelTable
from w2sprobe.probes.neighbors import Search
from w2sprobe.probing.fitting import ProbeInputs, predict_layer
from w2sprobe.probing.rows import ProbedRows
from w2sprobe.probing.spec import VoteSpec
from w2sprobe.reporting.explorer import ExplorerData, LayerView
from w2sprobe.searches import StoredSearch
from w2sprobe.votes.table import LEAVE_ONE_OUT, TRAIN, FittedProbe, LayerVotes

PROJECTIONS = ("pca", "umap")
KS = (1, 5, 10, 20, 50)
N_LAYERS = 7
WEAK = "weak"  # the labels that the probes are fitted on


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
    parts = {rows.name: rows.train, **{name: rows.other[name] for name in splits}}
    ids = np.concatenate(list(parts.values()))
    soft = labels.align(ids).soft_label
    spec = VoteSpec(probes={"knn": KS[:1], "logistic": (l2,)}, held_out=(TRAIN, LEAVE_ONE_OUT))
    shown = replace(rows, other={name: rows.other[name] for name in splits})
    task = ProbeInputs.of(store, spec, shown, {WEAK: labels})
    most, of = task.most_neighbors
    chosen = [k for k in KS if k <= most] if ks is None else [check_k(k, "k", most, of) for k in ks]
    if not chosen:
        raise InputError("ks is empty", allowed="at least one k")
    chosen = sorted(set(chosen))
    probes = {**spec.probes, "knn": tuple(map(float, chosen))}
    task = replace(task, spec=spec.model_copy(update={"probes": probes}))
    folds = np.full(len(ids), -1)
    folds[np.isin(ids, task.train)] = task.folds
    search = StoredSearch(store)
    wanted = default_layers(store.layers) if layers is None else layers
    return ExplorerData(
        labels,
        ids,
        None if texts is None else _texts(ids, texts),
        np.repeat(list(parts), [len(part) for part in parts.values()]),
        None if rows.truth is None else rows.truth.align(ids).hard_label,
        folds,
        tuple(chosen),
        l2,
        projection,
        tuple(
            _view(
                task,
                predict_layer(task, layer, search=search, device=device),
                ids,
                soft,
                projection,
                search,
            )
            for layer in wanted
        ),
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


def _view(
    task: ProbeInputs,
    votes: LayerVotes,
    ids: np.ndarray,
    soft: np.ndarray,
    projection: str,
    search: Search,
) -> LayerView:
    X, fitted = task.store.read(votes.layer, task.store.rows_of(ids)), np.isin(ids, task.train)

    def predicted(one: FittedProbe, split: str) -> np.ndarray:
        p = np.empty(len(ids))
        p[fitted] = votes.of(one, split)
        p[~fitted] = np.concatenate([np.empty(0), *(votes.of(one, name) for name in task.other)])
        return p

    ks = [FittedProbe("knn", "k", k, WEAK) for k in task.spec.probes["knn"]]
    (l2,) = task.spec.probes["logistic"]
    k = int(task.spec.probes["knn"][-1])
    neighbors = np.empty((len(ids), k), dtype=np.int64)
    neighbors[fitted] = search(X[fitted], k=k, exclude_self=True, groups=task.groups).indices
    if not fitted.all():  # the rows of `task.other`, in their order
        neighbors[~fitted] = search(X[fitted], X[~fitted], k=k).indices
    points, explained = pca(X, fitted, soft) if projection == "pca" else (umap(X, fitted), None)
    return LayerView(
        votes.layer,
        points,
        explained,
        np.flatnonzero(fitted)[neighbors],
        np.stack([predicted(one, LEAVE_ONE_OUT) for one in ks]),
        np.stack([predicted(one, TRAIN) for one in ks]),
        predicted(FittedProbe("logistic", "l2", l2, WEAK), TRAIN),
    )


def _texts(ids: np.ndarray, texts: Mapping[str, str]) -> list[str]:
    missing = [name for name in ids.tolist() if name not in texts]
    if missing:
        raise IdMismatch(f"no text for ids {first_few(missing)}")
    return [texts[name] for name in ids.tolist()]
