"""Fit probes on stored activations and keep their predictions, layer by layer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, product
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from w2sprobe.atomic import check_writable, write_json
from w2sprobe.cache import ActivationStore
from w2sprobe.checks import check_both_classes, check_k, check_l2, most_neighbors
from w2sprobe.devices import resolve_device
from w2sprobe.errors import InputError, first_few
from w2sprobe.fingerprint import fingerprint
from w2sprobe.folds import folds_of
from w2sprobe.labels import LabelTable
from w2sprobe.layers import parse_layers
from w2sprobe.probes import KS, L2S, nearest_neighbors
from w2sprobe.probes.neighbors import Search
from w2sprobe.probes.token_probes import TOKEN_L2S
from w2sprobe.probes.token_rows import TokenRows
from w2sprobe.probing.probe_types import (
    OTHER,
    PROBE_TYPES,
    TOKEN_PROBES,
    TRAINED_POOLINGS,
    FitInputs,
    Predictions,
)
from w2sprobe.probing.rows import ProbedRows
from w2sprobe.probing.spec import VoteSpec
from w2sprobe.progress import progress_bar
from w2sprobe.votes.table import (
    FILTERED_OUT,
    LAYERS,
    LEAVE_ONE_OUT,
    NOTE,
    TRAIN,
    FittedProbe,
    LayerVotes,
    Votes,
    layer_file,
    write_layer,
    write_note,
)

VERSION = 1  # part of `identity`: raised when predictions change, so no folder mixes versions
GRIDS: dict[str, tuple[float, ...]] = {
    "knn": KS,
    "logistic": L2S,
    "token-mean": L2S,
    "token-last": L2S,
    **dict.fromkeys(TRAINED_POOLINGS, TOKEN_L2S),
}
NOWHERE: Final[Mapping[str, ActivationStore]] = MappingProxyType({})


@dataclass(frozen=True)
class ProbeInputs:
    """A store, rows, label vectors and settings, checked before any probe is fitted.

    Parameters
    ----------
    spec : VoteSpec
        Empty lists are replaced by the default grid (`L2S`, `KS`) or value; no k exceeds `max_k`.
    names : tuple of str, length v
        Names of the label vectors.
    train : ndarray of str, shape (n,)
        Ids of the training rows: those that at least one vector is fitted on, or all with
        `every_row`.
    other : dict of str to ndarray of str
        Ids of all other rows, by split.
    soft : ndarray of float64, shape (v, n)
        Soft labels.
    keep : ndarray of bool, shape (v, n), optional
        Rows that each vector is fitted on. None: all.
    groups : ndarray of int64, shape (n,), optional
    folds : ndarray of int64, shape (n,)
        Empty if no probe is cross-fitted.
    elsewhere : mapping of str to ActivationStore
        Stores of those splits of `other` that are not in `store`, by split.
    """

    store: ActivationStore
    spec: VoteSpec
    layers: tuple[int, ...]
    names: tuple[str, ...]
    train: np.ndarray
    other: dict[str, np.ndarray]
    soft: np.ndarray
    keep: np.ndarray | None
    groups: np.ndarray | None
    folds: np.ndarray
    elsewhere: Mapping[str, ActivationStore] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        store: ActivationStore,
        spec: VoteSpec,
        rows: ProbedRows,
        labels: Mapping[str, LabelTable],
        *,
        every_row: bool = False,
        elsewhere: Mapping[str, ActivationStore] = NOWHERE,
    ) -> "ProbeInputs":
        """Look up the labels of all training rows and check that every probe can be fitted.

        With `every_row`, rows that no vector is fitted on count as training rows, too.

        Raises
        ------
        InputError
            Settings that the rows or the store do not allow; labels of one class.
        IdMismatch
            A row without a label or without activations.
        """
        if not spec.probes or not labels:
            raise InputError("nothing to fit", allowed="at least one probe and one set of labels")
        for one in (store, *elsewhere.values()):
            _check_store(one, spec)
        tables = [table.align(rows.train) for table in labels.values()]
        keep = np.stack([table.keep for table in tables])
        for name, kept in zip(labels, keep, strict=True):
            if not kept.any():
                raise InputError(
                    "no rows to fit",
                    where=name,
                    advice="The labels mark all of them as filtered out.",
                )
        train = keep.any(axis=0) | every_row
        keep = keep[:, train]
        other = {FILTERED_OUT: rows.train[~train], **rows.other}
        groups = None if rows.groups is None else rows.groups[train]
        n = int(train.sum())
        inputs = cls(
            store=store,
            spec=spec,
            layers=parse_layers(spec.layers, store.layers),
            names=tuple(labels),
            train=rows.train[train],
            other={name: ids for name, ids in other.items() if len(ids)},
            soft=np.stack([table.soft_label[train] for table in tables]),
            keep=None if keep.all() else keep,
            groups=groups,
            folds=folds_of(n, spec.cv, groups) if spec.needs_folds else np.empty(0, dtype=np.int64),
            elsewhere=elsewhere,
        )
        inputs = replace(inputs, spec=inputs._with_grids())
        inputs._check()
        return inputs

    @property
    def max_k(self) -> int:
        """Largest k for which every kNN prediction has enough neighbours."""
        if TRAIN in self.spec.held_out:
            return min(map(self._smallest_fit, self._kept))
        if LEAVE_ONE_OUT in self.spec.held_out:
            return self._max_k_leave_one_out
        return int(self._kept.sum(axis=1).min())

    def check_k(self, k: int) -> int:
        """Return k if every kNN prediction has enough neighbours.

        Raises
        ------
        InputError
            It is not in [1, `max_k`].
        """
        if TRAIN in self.spec.held_out:
            candidates = f"the rows outside the largest of {self.spec.cv} folds"
        elif LEAVE_ONE_OUT in self.spec.held_out:
            candidates = self._candidates_leave_one_out
        else:
            candidates = "the rows"
        return check_k(k, "k", self.max_k, candidates)

    @property
    def _cross_fits(self) -> bool:
        """Whether a probe is cross-fitted whatever `held_out` says."""
        return not all(PROBE_TYPES[name].folds_optional for name in self.spec.probes)

    def _smallest_fit(self, kept: np.ndarray) -> int:
        """Fewest kept rows, by a mask (n,), that a fit of the cross-fit has."""
        return min(int(kept[self.folds != fold].sum()) for fold in range(self.spec.cv))

    @property
    def _max_k_leave_one_out(self) -> int:
        return min(most_neighbors(kept, self.groups, itself=True) for kept in self._kept)

    @property
    def _candidates_leave_one_out(self) -> str:
        return "the other rows" if self.groups is None else "the rows outside the largest group"

    @property
    def _kept(self) -> np.ndarray:
        return np.ones((1, len(self.train)), dtype=bool) if self.keep is None else self.keep

    def _with_grids(self) -> VoteSpec:
        """Fill in the default grid of each probe that names no values."""
        if any(PROBE_TYPES[name].hyperparameter == "k" for name in self.spec.probes):
            self.check_k(1)
        probes = {}
        for name, values in self.spec.probes.items():
            probe_type = PROBE_TYPES[name]
            if not values and probe_type.hyperparameter is not None:
                values = GRIDS.get(
                    name, (float(1 if probe_type.default is None else probe_type.default),)
                )
                if probe_type.hyperparameter == "k":
                    values = tuple(k for k in values if k <= self.max_k) or (float(self.max_k),)
            probes[name] = tuple(map(float, values))
        return self.spec.model_copy(update={"probes": probes})

    def _check(self) -> None:
        self.store.rows_of(self.train)
        for split, ids in self.other.items():
            self.store_of(split).rows_of(ids)
        if self.spec.needs_classes:
            every_kept = np.broadcast_to(self._kept, self.soft.shape)
            for name, soft, kept in zip(self.names, self.soft, every_kept, strict=True):
                try:
                    check_both_classes(soft[kept])
                except InputError as error:
                    raise InputError(error.what, where=name, allowed=error.allowed) from error
                if self._cross_fits and not self._smallest_fit(kept):
                    raise InputError(
                        f"no rows to fit outside one of the {self.spec.cv} folds", where=name
                    )
        for k in self.spec.probes.get("knn", ()):
            self.check_k(int(k))
        for k in self.spec.probes.get("topofilter", ()):
            check_k(int(k), "k", self._max_k_leave_one_out, self._candidates_leave_one_out)
        for name, values in self.spec.probes.items():
            if PROBE_TYPES[name].hyperparameter == "l2":
                check_l2(values)

    def store_of(self, split: str) -> ActivationStore:
        """Store that holds the rows of a split of `other`."""
        return self.elsewhere.get(split, self.store)

    def read(self, layer: int) -> tuple[Any, Any]:
        """Activations of the training rows and of all others: matrices (n, d), or TokenRows."""
        n = len(self.train)
        if not self.elsewhere:  # one pass over the shards
            X = read_rows(self.store, layer, np.concatenate([self.train, *self.other.values()]))
            if isinstance(X, TokenRows):
                return X.span(0, n), X.span(n, len(X))
            return X[:n], X[n:]
        parts = [read_rows(self.store_of(split), layer, ids) for split, ids in self.other.items()]
        Q = TokenRows.join(parts) if self.store.ragged else np.concatenate(parts)
        return read_rows(self.store, layer, self.train), Q

    @property
    def identity(self) -> dict[str, Any]:
        """Everything the predictions depend on, as JSON; keys appear in error messages."""
        keeps = [None] * len(self.names) if self.keep is None else self.keep.tolist()
        elsewhere = {split: store.manifest["address"] for split, store in self.elsewhere.items()}
        return {
            "version": VERSION,
            "store": [self.store.manifest["address"], self.store.manifest["ids_fingerprint"]],
            **({"elsewhere": elsewhere} if elsewhere else {}),
            "rows": fingerprint(
                [
                    self.train.tolist(),
                    None if self.groups is None else self.groups.tolist(),
                    {name: ids.tolist() for name, ids in self.other.items()},
                ]
            ),
            "labels": fingerprint(
                {
                    name: [soft, keep]
                    for name, soft, keep in zip(self.names, self.soft.tolist(), keeps, strict=True)
                }
            ),
            # the store's address covers the position
            **self.spec.model_dump(mode="json", exclude={"layers", "position"}),
        }


def predict_layers(
    store: ActivationStore,
    spec: VoteSpec,
    rows: ProbedRows,
    labels: Mapping[str, LabelTable],
    folder: str | Path,
    *,
    every_row: bool = False,
    elsewhere: Mapping[str, ActivationStore] = NOWHERE,
    search: Search = nearest_neighbors,
    device: str = "auto",
) -> Votes:
    """Fit probes on every layer and write their predictions, one file per layer.

    Parameters
    ----------
    labels : mapping of str to LabelTable
        Label vectors by name; each has all training rows. Rows that a table filters out are
        predicted but not fitted on.
    folder : str or Path
        Layers that it already has, of the same rows, labels and settings, are not computed again.
        The results list the layers of this call only.
    every_row : bool, default False
        Assign folds, and compute the scale of "standardize", from all training rows, also those
        that every table filters out. Then predictions for one table do not depend on which other
        tables are given.
    elsewhere : mapping of str to ActivationStore, optional
        Stores of splits of `rows.other` that are not in `store`, by split: test rows of other
        tasks, in states of the same model.
    device : str, default "auto"
        Device of linear and token-level probes.

    Raises
    ------
    InputError
        Settings that the rows do not allow; `folder` holds predictions of something else.
    IdMismatch
        A row that is not in the labels or in the store.
    OutputError
        `folder` cannot be written to.
    """
    folder = Path(folder)
    inputs = ProbeInputs.of(store, spec, rows, labels, every_row=every_row, elsewhere=elsewhere)
    resolve_device(device)
    check_writable(folder)
    _claim(folder, inputs.identity)
    missing = [layer for layer in inputs.layers if not layer_file(folder, layer).exists()]
    with progress_bar("layers", len(missing)) as advance:
        for layer in missing:
            predictions = predict_layer(inputs, layer, search=search, device=device)
            write_layer(predictions, layer_file(folder, layer))
            advance(1)
    write_note(folder, inputs.identity, inputs.layers)
    return Votes(folder, inputs.identity, inputs.layers)


def predict_layer(
    inputs: ProbeInputs,
    layer: int,
    *,
    search: Search = nearest_neighbors,
    device: str = "auto",
) -> LayerVotes:
    """Fit every probe on one layer and predict all rows.

    Parameters
    ----------
    search, device
        As in `predict_layers`.

    Raises
    ------
    InputError
        Rows or labels that a probe refuses.
    """
    return predict_layer_with_neighbors(inputs, layer, search=search, device=device)[0]


def predict_layer_with_neighbors(
    inputs: ProbeInputs,
    layer: int,
    *,
    search: Search = nearest_neighbors,
    device: str = "auto",
) -> tuple[LayerVotes, np.ndarray | None]:
    """Predict as `predict_layer`, and return the neighbours of the training rows too.

    Returns
    -------
    LayerVotes
    ndarray of int64, shape (n, k), optional
        Nearest training rows of each training row, itself and its group left out, k at least the
        largest of kNN's values; None unless kNN predicts by leaving out single rows.

    Raises
    ------
    InputError
        Rows or labels that a probe refuses.
    """
    X, Q = inputs.read(layer)
    fit = FitInputs(
        X=X,
        Q=Q,
        soft=inputs.soft,
        keep=inputs.keep,
        groups=inputs.groups,
        spec=inputs.spec,
        search=search,
        device=device,
    )
    p: dict[tuple[FittedProbe, str], np.ndarray] = {}
    rows: dict[str, np.ndarray] = {}
    neighbors = None
    for name, values in inputs.spec.probes.items():
        parameter = PROBE_TYPES[name].hyperparameter
        for fitted in PROBE_TYPES[name].fit(fit, values):
            if fitted.neighbors is not None:
                neighbors = fitted.neighbors
            for split, p_of_split in _by_split(inputs, fitted).items():
                rows[split] = inputs.other.get(split, inputs.train)
                keys = product(inputs.names, inputs.spec.values(name))
                for (labels, value), row in zip(keys, chain(*p_of_split), strict=True):
                    if not np.isnan(row).all():  # NaN: could not be fitted to these labels
                        p[FittedProbe(fitted.probe, parameter, value, labels), split] = row
    folds = inputs.folds if TRAIN in rows else np.empty(0, dtype=np.int64)
    return LayerVotes(layer, rows, folds, p), neighbors


def read_rows(store: ActivationStore, layer: int, ids: np.ndarray) -> Any:
    """Read one layer of some rows: a matrix (n, d), or TokenRows of a ragged store.

    Raises
    ------
    IdMismatch
        An id is not in the store.
    """
    rows = store.rows_of(ids)
    values = store.read(layer, rows)
    if not store.ragged:
        return values
    offsets = np.concatenate([[0], np.cumsum(np.diff(store.offsets)[rows])])
    return TokenRows(values, offsets)


def _by_split(inputs: ProbeInputs, fitted: Predictions) -> dict[str, np.ndarray]:
    """Divide predictions for all other rows, (..., m), into their splits."""
    if fitted.split != OTHER:
        return {fitted.split: fitted.p}
    ends = np.cumsum([len(ids) for ids in inputs.other.values()])[:-1]
    return dict(zip(inputs.other, np.split(fitted.p, ends, axis=-1), strict=True))


def _check_store(store: ActivationStore, spec: VoteSpec) -> None:
    if store.ragged and not spec.reads_tokens:
        raise InputError(
            f"the store has one vector per token; {', '.join(spec.probes)}: one per row",
            where=str(store.path),
            allowed=f"probes of tokens: {', '.join(TOKEN_PROBES)}",
            advice="Or extract with another --position.",
        )
    if spec.reads_tokens and not store.ragged:
        raise InputError(
            f"the store has one vector per row; {', '.join(spec.probes)}: one per token",
            where=str(store.path),
            advice="Extract with --position all.",
        )
    position = store.manifest.get("identity", {}).get("position")
    if spec.position is not None and spec.position != position:
        raise InputError(
            f"position {spec.position!r} of a store with {position!r}", where=str(store.path)
        )


def _claim(folder: Path, identity: dict[str, Any]) -> None:
    """Write the identity of these predictions to the folder; raise if it holds another identity."""
    note = folder / NOTE
    if not note.exists():
        if any((folder / LAYERS).glob("*")):
            raise InputError(
                f"layers without {NOTE}, from a sweep by an old version",
                where=str(folder),
                advice="Name another folder, or delete this one.",
            )
        write_json(note, {"identity": identity, "layers": []})
        return
    try:
        stored = json.loads(note.read_text(encoding="utf-8"))["identity"]
        differ = [name for name in identity if stored.get(name) != identity[name]]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"cannot read {str(note)!r}: {error}",
            allowed=f"{NOTE} as written by `w2sprobe sweep`",
            advice="Name another folder, or delete this one.",
        ) from error
    if differ:
        names = first_few(differ, limit=len(differ))
        raise InputError(
            f"the folder holds predictions computed with other {names}",
            where=str(folder),
            advice="Name another folder, or delete this one.",
        )
