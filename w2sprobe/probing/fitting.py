"""From activations and labels to votes: each layer is read once, and every fit is made on it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from w2sprobe.atomic import check_writable, write_json
from w2sprobe.cache import ActivationStore
from w2sprobe.checks import check_both_classes, check_k, check_l2, n_left_out
from w2sprobe.devices import resolve_device
from w2sprobe.errors import InputError, first_few
from w2sprobe.fingerprint import fingerprint
from w2sprobe.folds import folds_of
from w2sprobe.labels import LabelTable
from w2sprobe.layers import parse_layers
from w2sprobe.probes import KS, L2S, nearest_neighbors
from w2sprobe.probes.neighbors import Search
from w2sprobe.probing.probers import OTHER, PROBERS, Fit
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

VERSION = 1  # of what is computed: layers of another one are not added to
GRIDS: dict[str, tuple[float, ...]] = {"knn": KS, "logistic": L2S}


@dataclass(frozen=True)
class ProbeInputs:
    """Label vectors on the rows of a store, and what is fitted to them; checked beforehand.

    Parameters
    ----------
    store : ActivationStore
    spec : VoteSpec
        Default grids are filled in: `KS`, as far as there are rows for it, and `L2S`.
    layers : tuple of int
    names : tuple of str, length v
        Of the label vectors.
    train : ndarray of str, shape (n,)
        Ids of the rows that some vector is fitted on.
    other : dict of str to ndarray of str
        Ids of the other rows, those that no vector is fitted on among them.
    soft : ndarray of float64, shape (v, n)
    keep : ndarray of bool, shape (v, n), optional
    groups : ndarray of int64, shape (n,), optional
    folds : ndarray of int64, shape (n,)
        Empty where no probe needs them.
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

    @classmethod
    def of(
        cls,
        store: ActivationStore,
        spec: VoteSpec,
        rows: ProbedRows,
        labels: Mapping[str, LabelTable],
        *,
        every_row: bool = False,
    ) -> "ProbeInputs":
        """Look up the labels of all training rows, and refuse what no layer could answer.

        With `every_row`, rows that no vector is fitted on are training rows, too.

        Raises
        ------
        InputError
            Settings that the rows or the store do not allow; labels of one class.
        IdMismatch
            A row without a label or without activations.
        """
        if not spec.probes or not labels:
            raise InputError("nothing to fit", allowed="at least one probe and one set of labels")
        _check_store(store, spec)
        tables = [table.align(rows.train) for table in labels.values()]
        keep = np.stack([table.keep for table in tables])
        fitted = keep.any(axis=0)
        if not fitted.any():
            raise InputError(
                "no rows to fit", advice="The labels mark all of them as filtered out."
            )
        fitted |= every_row
        train, keep = rows.train[fitted], keep[:, fitted]
        other = {FILTERED_OUT: rows.train[~fitted], **rows.other}
        groups = None if rows.groups is None else rows.groups[fitted]
        folds = np.empty(0, dtype=np.int64)
        if TRAIN in spec.held_out or not all(PROBERS[name].alone for name in spec.probes):
            folds = folds_of(len(train), spec.cv, groups)
        task = cls(
            store,
            spec,
            parse_layers(spec.layers, store.layers),
            tuple(labels),
            train,
            {name: ids for name, ids in other.items() if len(ids)},
            np.stack([table.soft_label[fitted] for table in tables]),
            None if keep.all() else keep,
            groups,
            folds,
        )
        task = replace(task, spec=task._filled())
        task._check()
        return task

    @property
    def most_neighbors(self) -> tuple[int, str]:
        """Most neighbours that kNN finds for every row, and what they are chosen from."""
        if TRAIN in self.spec.held_out:
            most = min(
                int(own[self.folds != fold].sum())
                for own in self._kept
                for fold in range(self.spec.cv)
            )
            return most, f"the rows outside the largest of {self.spec.cv} folds"
        if LEAVE_ONE_OUT in self.spec.held_out:
            return self._most_alone, "the rows outside a row's group"
        return int(self._kept.sum(axis=1).min()), "the rows"

    @property
    def _most_alone(self) -> int:
        return int(self._kept.sum(axis=1).min()) - n_left_out(self.groups, itself=True)

    @property
    def _kept(self) -> np.ndarray:
        return np.ones((1, len(self.train)), dtype=bool) if self.keep is None else self.keep

    def _filled(self) -> VoteSpec:
        """The spec, with a grid for each probe that has a setting and no values."""
        most, of = self.most_neighbors
        check_k(1, "k", most, of)
        filled = {}
        for name, values in self.spec.probes.items():
            prober = PROBERS[name]
            if not values and prober.setting is not None:
                values = GRIDS.get(name, (float(prober.default or 1),))
                if prober.setting == "k":
                    values = tuple(k for k in values if k <= most) or (float(most),)
            filled[name] = tuple(map(float, values))
        return self.spec.model_copy(update={"probes": filled})

    def _check(self) -> None:
        self.store.rows_of(np.concatenate([self.train, *self.other.values()]))
        learning = self.names if self.spec.needs_classes else ()
        for number, (name, soft) in enumerate(zip(learning, self.soft, strict=False)):
            try:
                check_both_classes(soft[self._kept[number % len(self._kept)]])
            except InputError as error:
                raise InputError(error.what, where=name, allowed=error.allowed) from error
        most, of = self.most_neighbors
        for k in self.spec.probes.get("knn", ()):
            check_k(int(k), "k", most, of)
        for k in self.spec.probes.get("topofilter", ()):
            check_k(int(k), "k", self._most_alone, "the rows outside a row's group")
        if "logistic" in self.spec.probes:
            check_l2(self.spec.probes["logistic"])

    @property
    def identity(self) -> dict[str, Any]:
        """All that determines the votes of a layer, by what a user would call it; JSON."""
        return {
            "version": VERSION,
            "store": [self.store.manifest["address"], self.store.manifest["ids_fingerprint"]],
            "rows": fingerprint(
                [
                    self.train.tolist(),
                    None if self.groups is None else self.groups.tolist(),
                    {name: ids.tolist() for name, ids in self.other.items()},
                ]
            ),
            "labels": fingerprint(
                {
                    name: [soft.tolist(), None if self.keep is None else self.keep[number].tolist()]
                    for number, (name, soft) in enumerate(zip(self.names, self.soft, strict=True))
                }
            ),
            # the store's address says its position
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
    search: Search = nearest_neighbors,
    device: str = "auto",
) -> Votes:
    """Fit probes on every layer and write what they predict, resuming layer by layer.

    Parameters
    ----------
    store : ActivationStore
    spec : VoteSpec
    rows : ProbedRows
    labels : mapping of str to LabelTable
        Label vectors by name; each has the training rows. Rows that a table filters out are
        predicted and not fitted on.
    folder : str or Path
        Layers that lie there, of the same rows, labels and settings, are not computed again.
    every_row : bool, default False
        Rows that all tables filter out have folds, and a part in what "standardize" learns: votes
        on a table are then the same whatever other tables there are.
    search : callable, default nearest_neighbors
        Finds neighbours.
    device : str, default "auto"
        Of linear probes.

    Returns
    -------
    Votes

    Raises
    ------
    InputError
        Settings that the rows do not allow; `folder` holds other votes.
    IdMismatch
        A row that is not in the labels or in the store.
    OutputError
        `folder` cannot be written to.
    """
    folder = Path(folder)
    task = ProbeInputs.of(store, spec, rows, labels, every_row=every_row)
    resolve_device(device)
    check_writable(folder)
    _claim(folder, task.identity)
    missing = [layer for layer in task.layers if not layer_file(folder, layer).exists()]
    with progress_bar("layers", len(missing)) as advance:
        for layer in missing:
            write_layer(
                predict_layer(task, layer, search=search, device=device), layer_file(folder, layer)
            )
            advance(1)
    write_note(folder, task.identity, task.layers)
    return Votes(folder, task.identity, task.layers)


def predict_layer(
    task: ProbeInputs, layer: int, *, search: Search = nearest_neighbors, device: str = "auto"
) -> LayerVotes:
    """Fit every probe on one layer.

    Parameters
    ----------
    task : ProbeInputs
    layer : int
    search, device
        As in `predict_layers`.

    Returns
    -------
    LayerVotes

    Raises
    ------
    InputError
        Whatever a probe refuses.
    """
    spec, other = task.spec, np.concatenate([np.empty(0, np.str_), *task.other.values()])
    both = task.store.read(layer, task.store.rows_of(np.concatenate([task.train, other])))
    fit = Fit(
        both[: len(task.train)],
        both[len(task.train) :],
        task.soft,
        task.keep,
        task.groups,
        spec.cv,
        spec.held_out,
        {
            "preprocess": spec.preprocess,
            "whiten": spec.whiten,
            **spec.topofilter.model_dump(),
            "head": spec.head,
        },
        search,
        device,
    )
    ends = np.cumsum([len(ids) for ids in task.other.values()])[:-1]
    p: dict[tuple[FittedProbe, str], np.ndarray] = {}
    rows: dict[str, np.ndarray] = {}
    for name in spec.probes:
        prober = PROBERS[name]
        for probe, predicted, values in prober.fit(fit, spec.probes[name]):
            parts = {predicted: values}
            if predicted == OTHER:
                parts = dict(zip(task.other, np.split(values, ends, axis=-1), strict=True))
            for split, some in parts.items():
                rows[split] = task.other.get(split, task.train)
                for vector, labels in enumerate(task.names):
                    for number, value in enumerate(spec.values(name)):
                        key = FittedProbe(probe, prober.setting, value, labels)
                        if not np.isnan(some[vector, number]).all():  # else it has no votes
                            p[key, split] = some[vector, number]
    folds = task.folds if TRAIN in rows else np.empty(0, dtype=np.int64)
    return LayerVotes(layer, rows, folds, p)


def _check_store(store: ActivationStore, spec: VoteSpec) -> None:
    if store.ragged:
        raise InputError(
            "the store has a vector a token",
            where=str(store.path),
            allowed="a store with a vector a row",
            advice="Extract with another --position.",
        )
    there = store.manifest.get("identity", {}).get("position")
    if spec.position is not None and spec.position != there:
        raise InputError(
            f"position {spec.position!r} of a store with {there!r}", where=str(store.path)
        )


def _claim(folder: Path, identity: dict[str, Any]) -> None:
    """Say whose layers these are, or refuse to add to those of other votes."""
    note = folder / NOTE
    if not note.exists():
        if any((folder / LAYERS).glob("*")):
            raise InputError(
                f"layers without {NOTE}, of a sweep before there were votes",
                where=str(folder),
                advice="Name another folder, or delete this one.",
            )
        write_json(note, {"identity": identity, "layers": []})
        return
    try:
        there = json.loads(note.read_text(encoding="utf-8"))["identity"]
        differ = [name for name in identity if there.get(name) != identity[name]]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{str(note)!r} is no note of votes: {error}") from error
    if differ:
        raise InputError(
            f"other votes, which differ in {first_few(differ, limit=len(differ))}",
            where=str(folder),
            advice="Name another folder, or delete this one.",
        )
