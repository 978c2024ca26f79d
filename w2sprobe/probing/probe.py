"""Predict the rows of a store, as `w2sprobe probe` does."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from w2sprobe.cache import ActivationStore
from w2sprobe.errors import InputError
from w2sprobe.labels import LabelTable
from w2sprobe.probes.neighbors import Neighbors, Search
from w2sprobe.probing.fitting import ProbeInputs, predict_layer_with_neighbors
from w2sprobe.probing.monitoring import confidence, monitoring, row_flops
from w2sprobe.probing.rows import ProbedRows
from w2sprobe.probing.spec import VoteSpec
from w2sprobe.searches import StoredSearch
from w2sprobe.votes.provenance import Origin, predictions
from w2sprobe.votes.scores import ScoredRows, score_votes
from w2sprobe.votes.selection import choose
from w2sprobe.votes.table import (
    COMPONENT,
    FILTERED_OUT,
    IN_SAMPLE,
    LEAVE_ONE_OUT,
    TRAIN,
    FittedProbe,
    LayerVotes,
)

GIVEN = "given"  # name of the only label vector
SCORED_AGAINST = {"labels": "weak", "truth": "truth"}  # name in results: suffix of score columns


@dataclass(frozen=True)
class ProbeOutput:
    """Predictions or curated labels of all rows, for each layer and hyperparameter value.

    Parameters
    ----------
    table : pyarrow.Table
        `w2sprobe.votes.provenance.COLUMNS`; one row per row of the data, layer and value.
    results : list of dict
        Scores of each layer and hyperparameter value, with these; ready for JSON.
    searches : list of (str, float)
        Backends of the neighbour searches with their recall.
    """

    table: pa.Table
    results: list[dict[str, Any]]
    searches: list[tuple[str, float]]


def predict_store(
    store: ActivationStore,
    spec: VoteSpec,
    rows: ProbedRows,
    labels: LabelTable,
    *,
    best: bool = False,
    search: Search | None = None,
    device: str = "auto",
) -> ProbeOutput:
    """Predict all rows with every layer and hyperparameter value, training rows held out.

    Parameters
    ----------
    store : ActivationStore
        Read one layer at a time.
    spec : VoteSpec
        Has one probe.
    labels : LabelTable
        Has all training rows; those that it filters out are predicted but not fitted on.
    best : bool, default False
        Keep only one value per layer: that of least held-out log-loss against the labels.
    search : callable, optional
        Neighbour search; default: `StoredSearch`.
    device : str, default "auto"
        Device of linear probes.

    Returns
    -------
    ProbeOutput
        Scores: AUC of each split against the labels and against truth. For cross-fitted training
        rows it is the mean of the AUCs inside the folds that have rows of both classes; `n_folds`
        counts them. Leave-one-out predictions of kNN are ranked together, which biases the AUC
        downwards. `monitoring`: recall on test rows at false-positive rates. `flops`: operations of
        a row. `without_answer`: confidence in training rows without an answer.

    Raises
    ------
    InputError
        In-sample predictions; settings, rows or labels that a probe refuses.
    IdMismatch
        A row that is not in the labels or in the store.
    """
    if IN_SAMPLE in spec.held_out:
        raise InputError(
            "in-sample predictions",
            allowed="held-out predictions: train or leave_one_out",
            advice="Only relabelling and filters have an in-sample variant.",
        )
    inputs = ProbeInputs.of(store, spec, rows, {GIVEN: labels})
    recorder = SearchRecorder(search or StoredSearch(store))
    splits = {TRAIN: inputs.train, **inputs.other}
    scored = {split: ScoredRows.of(ids, labels, rows.truth) for split, ids in splits.items()}
    n_fitted = int(labels.align(inputs.train).keep.sum())
    tables, results = [], []
    for point in predict_points(inputs, recorder, device, labels, best=best):
        tables.append(_table(inputs, point, labels))
        results.append(
            {
                **point.setting,
                **_scores(inputs, point, scored, rows.name),
                **_monitoring(inputs, point, scored, rows.test_groups),
                "flops": row_flops(
                    store, point.layer.layer, point.probe.probe, n_fitted, spec.tokens
                ),
            }
        )
    return ProbeOutput(pa.concat_tables(tables), results, recorder.searches)


@dataclass
class SearchRecorder:
    """A neighbour search that records which backends answered, and with what recall."""

    search: Search
    seen: set[tuple[str, float]] = field(default_factory=set)

    def __call__(self, *arguments: Any, **options: Any) -> Neighbors:
        """Search, and record."""
        neighbors = self.search(*arguments, **options)
        self.seen.add((neighbors.backend, round(neighbors.recall, 4)))
        return neighbors

    @property
    def searches(self) -> list[tuple[str, float]]:
        """Backends with their recall."""
        return sorted(self.seen)


@dataclass(frozen=True)
class ProbePoint:
    """Predictions of one layer and hyperparameter value."""

    layer: LayerVotes
    probe: FittedProbe
    split: str  # how the training rows were predicted
    neighbors: np.ndarray | None  # of the training rows, if kNN left out single rows
    at_edge: bool | None  # whether the value was chosen at the edge of the grid; None: not chosen

    @property
    def p(self) -> np.ndarray:
        """P(label = 1) of the training rows."""
        return self.layer.of(self.probe, self.split)

    @property
    def fold(self) -> np.ndarray | None:
        """Fold of each training row; None if they were not cross-fitted."""
        return self.layer.fold if self.split == TRAIN else None

    @property
    def origin(self) -> Origin:
        """Probe, layer and hyperparameter value, for provenance."""
        return Origin(self.probe.probe, self.layer.layer, self.probe.setting, self.probe.value)

    @property
    def setting(self) -> dict[str, Any]:
        """Layer, value of the hyperparameter, and whether it is at the edge of the grid."""
        setting: dict[str, Any] = {"layer": self.layer.layer}
        if self.probe.setting is not None:
            setting[self.probe.setting] = self.probe.value
        return setting if self.at_edge is None else {**setting, "at_edge": self.at_edge}


def predict_points(
    inputs: ProbeInputs, search: Search, device: str, labels: LabelTable, *, best: bool
) -> Iterator[ProbePoint]:
    """Fit layer by layer; with `best`, keep each layer's value of least held-out log-loss."""
    in_sample = [IN_SAMPLE] if IN_SAMPLE in inputs.spec.held_out else []
    preferred = (*in_sample, TRAIN, LEAVE_ONE_OUT)
    for number in inputs.layers:
        layer, all_neighbors = predict_layer_with_neighbors(
            inputs, number, search=search, device=device
        )
        probes = [probe for probe in layer.probes if probe.probe != COMPONENT]
        at_edge = None
        if best:
            table = score_votes([layer], labels, None, fitted_on={GIVEN: "weak"})
            choice = choose(table, probes[0].probe)
            probes = [probe for probe in probes if probe.value == choice.value]
            at_edge = choice.at_edge
        for probe in probes:
            split = next(name for name in preferred if (probe, name) in layer.p)
            neighbors = None
            if all_neighbors is not None and probe.probe == "knn" and split == LEAVE_ONE_OUT:
                neighbors = all_neighbors[:, : int(probe.value or 0)]
            yield ProbePoint(layer, probe, split, neighbors, at_edge)


def aucs(score: Mapping[str, Any]) -> dict[str, float]:
    """AUC of a score of `ScoredRows`, by what the predictions were compared with."""
    return _by_name(score, "auc")


def n_folds(score: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Number of folds that the AUCs are means of; empty if the rows have no folds."""
    counts = _by_name(score, "n_folds")
    return {"n_folds": counts} if counts else {}


def _by_name(score: Mapping[str, Any], column: str) -> dict[str, float]:
    values = {name: score[f"{column}_{suffix}"] for name, suffix in SCORED_AGAINST.items()}
    return {name: value for name, value in values.items() if value is not None}


def _table(inputs: ProbeInputs, point: ProbePoint, labels: LabelTable) -> pa.Table:
    ids = [np.empty(0, dtype=np.str_), *inputs.other.values()]
    p = [np.empty(0), *(point.layer.of(point.probe, split) for split in inputs.other)]
    return predictions(
        inputs.train,
        point.p,
        point.fold,
        np.concatenate(ids),
        np.concatenate(p),
        labels,
        point.origin,
        neighbors=point.neighbors,
    )


def _monitoring(
    inputs: ProbeInputs,
    point: ProbePoint,
    scored: Mapping[str, ScoredRows],
    groups: np.ndarray | None,
) -> dict[str, Any]:
    """Recall at false-positive rates on test rows; empty without these."""
    if "test" not in inputs.other:
        return {}
    p = point.layer.of(point.probe, "test")
    found = monitoring(scored["test"].truth, p, groups)
    return {"monitoring": found} if found else {}


def _scores(
    inputs: ProbeInputs, point: ProbePoint, scored: Mapping[str, ScoredRows], train_name: str
) -> dict[str, Any]:
    """AUC of each split, the folds of the training rows, and rows without an answer apart."""
    (train,) = scored[TRAIN].inside(point.fold).score(point.p[None])
    by_split = {train_name: aucs(train)}
    for split in inputs.other:
        (score,) = scored[split].score(point.layer.of(point.probe, split)[None])
        by_split["filtered out" if split == FILTERED_OUT else split] = aucs(score)
    sure = confidence(inputs.train, point.p)
    apart = {"without_answer": sure} if sure else {}
    return {"auc": by_split, **n_folds(train), **apart}
