"""Compute what the explorer shows from a store and labels; one layer in memory at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from w2sprobe.cache import ActivationStore
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
    """About seven layers, evenly from the lowest to the highest, and the middle one.

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
    """Project layers of a store to two dimensions, and fit probes on them.

    Parameters
    ----------
    labels
        Labels of every row that is shown. Training rows with `keep` false are shown, and no probe
        is fitted on them.
    rows
        Training rows; and others, by the names of their splits.
    texts
        Text by id.
    layers
        By default `default_layers`.
    ks
        Numbers of neighbours; by default those of 1, 5, 10, 20 and 50 that there are rows for.
    projection
        "pca" or "umap".
    splits
        Splits of `rows.other` that are shown beside the training rows.

    Raises
    ------
    InputError
        The store has a vector per token, or the probes refuse the rows or labels.
    IdMismatch
        A row has no label, no activations or no text.
    """
    _check_names(projection, splits, rows)
    rows = replace(rows, other={name: rows.other[name] for name in splits})
    parts = {rows.name: rows.train, **rows.other}
    ids = np.concatenate(list(parts.values()))
    soft = labels.align(ids).soft_label
    inputs = _probe_inputs(store, labels, rows, ks, l2)
    folds = np.full(len(ids), -1)
    folds[np.isin(ids, inputs.train)] = inputs.folds
    search = StoredSearch(store)  # neighbours are kept in the store, and searched once
    views = []
    for layer in default_layers(store.layers) if layers is None else layers:
        votes = predict_layer(inputs, layer, search=search, device=device)
        views.append(_view(inputs, votes, ids, soft, projection, search))
    return ExplorerData(
        labels=labels,
        ids=ids,
        texts=None if texts is None else _texts(ids, texts),
        splits=np.repeat(list(parts), [len(part) for part in parts.values()]),
        truth=None if rows.truth is None else rows.truth.align(ids).hard_label,
        folds=folds,
        ks=tuple(int(k) for k in inputs.spec.probes["knn"]),
        l2=l2,
        projection=projection,
        layers=tuple(views),
    )


def _check_names(projection: str, splits: Sequence[str], rows: ProbedRows) -> None:
    if projection not in PROJECTIONS:
        raise UnknownName("projection", projection, PROJECTIONS)
    if projection == "umap":
        umap_module()  # refuses if it is not installed
    for name in splits:
        if name not in rows.other:
            raise UnknownName("split", name, list(rows.other))


def _probe_inputs(
    store: ActivationStore,
    labels: LabelTable,
    rows: ProbedRows,
    ks: Sequence[int] | None,
    l2: float,
) -> ProbeInputs:
    """Inputs of the probes; by default with every k of `KS` that there are rows for."""
    spec = VoteSpec(probes={"knn": KS[:1], "logistic": (l2,)}, held_out=(TRAIN, LEAVE_ONE_OUT))
    inputs = ProbeInputs.of(store, spec, rows, {WEAK: labels})
    chosen = [k for k in KS if k <= inputs.max_k] if ks is None else [inputs.check_k(k) for k in ks]
    if not chosen:
        raise InputError("ks is empty", allowed="at least one k")
    probes = {**spec.probes, "knn": tuple(map(float, sorted(set(chosen))))}
    return replace(inputs, spec=spec.model_copy(update={"probes": probes}))


def explore_run(store: Path, labels: LabelTable, splits: Path) -> ExplorerData:
    """Explore the strong-train rows of a run, with default layers and settings.

    Parameters
    ----------
    store : Path
        Folder of the strong model's activations.
    labels : LabelTable
        Weak labels.
    splits : Path
        splits.parquet of the run.

    Raises
    ------
    InputError
        A file cannot be read, or `explore` refuses its content.
    IdMismatch
        A row has no label, no activations or no text.
    """
    all_splits = Splits.read(splits)
    rows, texts = ProbedRows.of_splits(all_splits), all_splits.stored.text_of()
    return explore(ActivationStore.open(store), labels, rows, texts)


def _view(
    inputs: ProbeInputs,
    votes: LayerVotes,
    ids: np.ndarray,
    soft: np.ndarray,
    projection: str,
    search: Search,
) -> LayerView:
    X = inputs.store.read(votes.layer, inputs.store.rows_of(ids))
    fitted = np.isin(ids, inputs.train)

    def predicted(probe: FittedProbe, split: str) -> np.ndarray:
        """Held-out predictions for fitted rows, predictions of the full fit for the others."""
        p = np.empty(len(ids))
        p[fitted] = votes.of(probe, split)
        p[~fitted] = np.concatenate(
            [np.empty(0), *(votes.of(probe, name) for name in inputs.other)]
        )
        return p

    ks = [FittedProbe("knn", "k", k, WEAK) for k in inputs.spec.probes["knn"]]
    (l2,) = inputs.spec.probes["logistic"]
    k = int(inputs.spec.probes["knn"][-1])
    neighbors = np.empty((len(ids), k), dtype=np.int64)
    neighbors[fitted] = search(X[fitted], k=k, exclude_self=True, groups=inputs.groups).indices
    if not fitted.all():  # the rows of `inputs.other`, in their order
        neighbors[~fitted] = search(X[fitted], X[~fitted], k=k).indices
    points, explained = pca(X, fitted, soft) if projection == "pca" else (umap(X, fitted), None)
    return LayerView(
        votes.layer,
        points,
        explained,
        np.flatnonzero(fitted)[neighbors],
        np.stack([predicted(knn, LEAVE_ONE_OUT) for knn in ks]),
        np.stack([predicted(knn, TRAIN) for knn in ks]),
        predicted(FittedProbe("logistic", "l2", l2, WEAK), TRAIN),
    )


def _texts(ids: np.ndarray, texts: Mapping[str, str]) -> list[str]:
    missing = [name for name in ids.tolist() if name not in texts]
    if missing:
        raise IdMismatch(f"no text for ids {first_few(missing)}")
    return [texts[name] for name in ids.tolist()]
