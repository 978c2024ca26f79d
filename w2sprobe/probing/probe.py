"""Predict or curate the rows of a store with probes, as `w2sprobe probe` does."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

import numpy as np
import pyarrow as pa

from w2sprobe.cache import ActivationStore
from w2sprobe.errors import InputError
from w2sprobe.labels import LabelTable
from w2sprobe.layers import parse_layers
from w2sprobe.metrics import overlap, scorecard
from w2sprobe.probes.neighbors import Neighbors, Search
from w2sprobe.probing.fitting import ProbeInputs, predict_layer
from w2sprobe.probing.rows import ProbedRows
from w2sprobe.probing.spec import VoteSpec
from w2sprobe.searches import StoredSearch
from w2sprobe.votes.curated import (
    Action,
    Curated,
    curate,
    curate_at_random,
    curate_by_masks,
)
from w2sprobe.votes.provenance import Origin, predictions, provenance, untouched
from w2sprobe.votes.rules import FILTER_RULES, RANDOM, check_rule
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
    """Predictions or curated labels of all rows, for each layer and setting.

    Parameters
    ----------
    table : pyarrow.Table
        `w2sprobe.votes.provenance.COLUMNS`; one row per row of the data, layer and setting.
    results : list of dict
        Layer, setting, value and scores of each layer and setting; ready for JSON.
    searches : list of (str, float)
        Backends of the neighbour searches with their recall.
    """

    table: pa.Table
    results: list[dict[str, Any]]
    searches: list[tuple[str, float]]


@dataclass(frozen=True)
class Curation:
    """How predictions change labels.

    Parameters
    ----------
    action : {"relabel", "filter"}
        topofilter only filters, with its own rule.
    rule : str, default "disagreement"
        How a filter ranks rows: one of `w2sprobe.votes.rules.FILTER_RULES`; or "random", which
        needs no probe.
    contamination : float, optional, default 0.1
        Share of the rows that a filter removes. None: confident-learning and deep-knn estimate it.
    per_class : bool, default False
        Remove this share of each class.
    """

    action: Action
    rule: str = "disagreement"
    contamination: float | None = 0.1
    per_class: bool = False

    def is_random(self, spec: VoteSpec) -> bool:
        """Whether rows are removed at random, so that no probe is fitted."""
        return self.action == "filter" and self.rule == RANDOM and "topofilter" not in spec.probes

    def check(self, spec: VoteSpec) -> None:
        """Refuse what the probes of a spec cannot do, before any is fitted.

        Raises
        ------
        InputError
            An action, rule or contamination that a probe does not allow.
        """
        if "topofilter" in spec.probes:
            if self.action == "relabel":
                raise InputError("topofilter cannot relabel", allowed="filter")
            if self.contamination is None:
                raise InputError(
                    "contamination is auto with topofilter", allowed="above 0, below 1"
                )
        elif self.action == "filter":
            check_rule(self.rule, self.contamination, per_class=self.per_class)
            if self._counts_hard_labels and set(spec.probes) != {"knn"}:
                raise InputError(f"{self.rule} with {', '.join(spec.probes)}", allowed="knn")

    @property
    def _counts_hard_labels(self) -> bool:
        rule = FILTER_RULES.get(self.rule)
        return self.action == "filter" and rule is not None and rule.hard_votes

    def labels_to_fit(self, given: LabelTable) -> LabelTable:
        """Labels that the probes are fitted on, those marked as filtered out included."""
        soft = given.hard_label if self._counts_hard_labels else given.soft_label
        return LabelTable(given.ids, soft)

    def spec_to_fit(self, spec: VoteSpec) -> VoteSpec:
        """Hand the contamination on to topofilter."""
        if self.contamination is None:
            return spec
        share = {"contamination": self.contamination, "per_class": self.per_class}
        settings = spec.topofilter.model_copy(update=share)
        return spec.model_copy(update={"topofilter": settings})


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
    """Predict all rows with every layer and setting, training rows held out.

    Parameters
    ----------
    store : ActivationStore
        Read one layer at a time.
    spec : VoteSpec
    rows : ProbedRows
    labels : LabelTable
        Has all training rows; those that it filters out are predicted but not fitted on.
    best : bool, default False
        Per layer, only the value of least held-out log-loss against the labels.
    search : callable, optional
        Neighbour search; default: `StoredSearch`.
    device : str, default "auto"
        Device of linear probes.

    Returns
    -------
    ProbeOutput
        Scores: AUC of each split against the labels and against truth. For cross-fitted training
        rows it is the mean of the AUCs inside the folds, and `n_folds` counts the folds with rows
        of both classes. For kNN that leaves out single rows, all rows are ranked together, which
        biases the AUC downwards, and there is no `n_folds`.

    Raises
    ------
    InputError
        In-sample predictions, or whatever a probe refuses.
    IdMismatch
        A row that is not in the labels or in the store.
    """
    if IN_SAMPLE in spec.held_out:
        raise InputError(
            "in-sample predictions",
            allowed="held-out predictions, by folds",
            advice="Only relabelling and filters have an in-sample variant.",
        )
    inputs = ProbeInputs.of(store, spec, rows, {GIVEN: labels})
    recorder = _SearchRecorder(search or StoredSearch(store))
    splits = {TRAIN: inputs.train, **inputs.other}
    known = {split: ScoredRows.of(ids, labels, rows.truth) for split, ids in splits.items()}
    other_ids = np.concatenate([np.empty(0, dtype=np.str_), *inputs.other.values()])
    tables, results = [], []
    for point in _points(inputs, recorder, device, labels, best=best):
        other = {split: point.votes.of(point.probe, split) for split in inputs.other}
        tables.append(
            predictions(
                inputs.train,
                point.p,
                point.fold,
                other_ids,
                np.concatenate([np.empty(0), *other.values()]),
                labels,
                point.origin,
                neighbors=point.neighbors,
            )
        )
        (train_score,) = known[TRAIN].inside(point.fold).score(point.p[None])
        aucs = {rows.name: _aucs(train_score)}
        for split, p in other.items():
            name = "filtered out" if split == FILTERED_OUT else split
            aucs[name] = _aucs(known[split].score(p[None])[0])
        results.append({**point.setting, "auc": aucs, **_n_folds(train_score)})
    return ProbeOutput(pa.concat_tables(tables), results, recorder.searches)


def curate_store(
    store: ActivationStore,
    spec: VoteSpec,
    rows: ProbedRows,
    labels: LabelTable,
    curation: Curation,
    *,
    best: bool = False,
    search: Search | None = None,
    device: str = "auto",
) -> ProbeOutput:
    """Relabel or filter the training rows with every layer and setting.

    Parameters
    ----------
    store, spec, rows
        As in `predict_store`; in-sample predictions are allowed.
    labels : LabelTable
        Its training rows are curated, those marked as filtered out included; others pass through.
    curation : Curation
    best, search, device
        As in `predict_store`.

    Returns
    -------
    ProbeOutput
        Scores of relabelling: AUC of the new labels as in `predict_store`, that of the old labels
        against truth (`auc_before`), and flipped rows. Scores of filtering: the scorecard, and
        `overlap`, the Jaccard index of the removed rows with those of each other result, by its
        position in the list.

    Raises
    ------
    InputError
        A rule that the probe cannot follow, or whatever the probe refuses.
    IdMismatch
        A row that is not in the labels or in the store.
    """
    curation.check(spec)
    given = labels.align(rows.train)
    recorder = _SearchRecorder(search or StoredSearch(store))
    if curation.is_random(spec):
        points = _curated_at_random(curation, given, parse_layers(spec.layers, store.layers))
    else:
        fitted_on = curation.labels_to_fit(given)
        inputs = ProbeInputs.of(
            store, curation.spec_to_fit(spec), replace(rows, other={}), {GIVEN: fitted_on}
        )
        points = (
            _CuratedPoint(_curate(curation, point, given), point.origin, point.setting, point)
            for point in _points(inputs, recorder, device, fitted_on, best=best)
        )
    scored = ScoredRows.of(rows.train, labels, rows.truth)
    tables: list[pa.Table] = []
    results: list[dict[str, Any]] = []
    keeps: list[np.ndarray] = []
    for one in points:
        neighbors = None if one.point is None else one.point.neighbors
        tables.append(provenance(one.curated, one.origin, neighbors=neighbors))
        tables.append(untouched(labels, one.curated, one.origin))
        score = _relabelling_scores if curation.action == "relabel" else _filter_scores
        results.append({**one.setting, **score(one.curated, scored)})
        keeps.append(one.curated.after.keep)
    if curation.action == "filter":
        _add_overlaps(results, keeps)
    return ProbeOutput(pa.concat_tables(tables), results, recorder.searches)


@dataclass
class _SearchRecorder:
    """A neighbour search that records its backends and the neighbours of the training rows."""

    search: Search
    seen: set[tuple[str, float]] = field(default_factory=set)
    train_neighbors: np.ndarray | None = None  # of the last search that left rows themselves out

    def __call__(self, *arguments: Any, **options: Any) -> Neighbors:
        neighbors = self.search(*arguments, **options)
        self.seen.add((neighbors.backend, round(neighbors.recall, 4)))
        if options.get("exclude_self"):
            self.train_neighbors = neighbors.indices
        return neighbors

    @property
    def searches(self) -> list[tuple[str, float]]:
        return sorted(self.seen)


@dataclass(frozen=True)
class _Point:
    """Predictions of one layer and setting for the training rows."""

    votes: LayerVotes
    probe: FittedProbe
    split: str
    neighbors: np.ndarray | None
    at_edge: bool | None

    @property
    def p(self) -> np.ndarray:
        return self.votes.of(self.probe, self.split)

    @property
    def fold(self) -> np.ndarray | None:
        return self.votes.fold if self.split == TRAIN else None

    @property
    def origin(self) -> Origin:
        return Origin(self.probe.probe, self.votes.layer, self.probe.setting, self.probe.value)

    @property
    def setting(self) -> dict[str, Any]:
        """Layer, value of the hyperparameter, and whether it is at the edge of the grid."""
        setting: dict[str, Any] = {"layer": self.votes.layer}
        if self.probe.setting is not None:
            setting[self.probe.setting] = self.probe.value
        return setting if self.at_edge is None else {**setting, "at_edge": self.at_edge}


@dataclass(frozen=True)
class _CuratedPoint:
    """Labels curated with one layer and setting."""

    curated: Curated
    origin: Origin
    setting: dict[str, Any]
    point: _Point | None  # None if no probe was needed


def _points(
    inputs: ProbeInputs, search: _SearchRecorder, device: str, labels: LabelTable, *, best: bool
) -> Iterator[_Point]:
    """Predict training rows layer by layer; `best`: only the value of least log-loss."""
    in_sample = IN_SAMPLE in inputs.spec.held_out
    if best and in_sample:  # the value is chosen by held-out predictions
        spec = inputs.spec.model_copy(update={"held_out": (TRAIN, IN_SAMPLE)})
        inputs = replace(inputs, spec=spec)
    preferred = (*([IN_SAMPLE] if in_sample else []), TRAIN, LEAVE_ONE_OUT)
    for layer in inputs.layers:
        votes = predict_layer(inputs, layer, search=search, device=device)
        probes = [probe for probe in votes.probes if probe.probe != COMPONENT]
        at_edge = None
        if best:
            table = score_votes([votes], labels, None, fitted_on={GIVEN: "weak"})
            choice = choose(table, probes[0].probe)
            probes = [probe for probe in probes if probe.value == choice.value]
            at_edge = choice.at_edge
        for probe in probes:
            split = next(name for name in preferred if (probe, name) in votes.p)
            neighbors = None
            leaves_one_out = probe.probe == "knn" and split == LEAVE_ONE_OUT
            if leaves_one_out and search.train_neighbors is not None:
                neighbors = search.train_neighbors[:, : int(probe.value or 0)]
            yield _Point(votes, probe, split, neighbors, at_edge)


def _curated_at_random(
    curation: Curation, given: LabelTable, layers: tuple[int, ...]
) -> Iterator[_CuratedPoint]:
    """Remove the same random rows for every layer: the control of a filter."""
    share = cast(float, curation.contamination)  # checked
    curated = curate_at_random(given, share, per_class=curation.per_class)
    for layer in layers:
        yield _CuratedPoint(curated, Origin(RANDOM, layer), {"layer": layer}, None)


def _curate(curation: Curation, point: _Point, given: LabelTable) -> Curated:
    if point.probe.probe == "topofilter":
        component = point.votes.of(point.probe._replace(probe=COMPONENT), point.split)
        return curate_by_masks(given, point.p > 0, component > 0)
    return curate(
        curation.action,
        given,
        point.p,
        point.fold,
        rule=curation.rule,
        contamination=curation.contamination,
        per_class=curation.per_class,
    )


def _relabelling_scores(curated: Curated, scored: ScoredRows) -> dict[str, Any]:
    (score,) = scored.inside(curated.fold).score(curated.after.soft_label[None])
    before = score["labels_auc"]
    return {
        "flipped": int((curated.after.hard_label != curated.before.hard_label).sum()),
        "auc": _aucs(score),
        "auc_before": {} if before is None else {"truth": before},
        **_n_folds(score),
    }


def _filter_scores(curated: Curated, scored: ScoredRows) -> dict[str, Any]:
    card = asdict(scorecard(curated.after.keep, curated.before.soft_label, scored.truth))
    # a share of no rows is NaN, which JSON does not have
    return {name: None if value != value else value for name, value in card.items()}


def _add_overlaps(results: list[dict[str, Any]], keeps: list[np.ndarray]) -> None:
    """Add to each result the Jaccard index of its removed rows with those of every other one."""
    masks = {str(number): keep for number, keep in enumerate(keeps)}
    for (a, b), jaccard in overlap(masks).items():
        results[int(a)].setdefault("overlap", {})[b] = jaccard
        results[int(b)].setdefault("overlap", {})[a] = jaccard


def _aucs(score: dict[str, Any]) -> dict[str, float]:
    return _by_name(score, "auc")


def _n_folds(score: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Number of folds that the AUCs are means of; nothing if the rows have no folds."""
    n_folds = _by_name(score, "n_folds")
    return {"n_folds": n_folds} if n_folds else {}


def _by_name(score: dict[str, Any], column: str) -> dict[str, float]:
    """One kind of score, by what the predictions were compared with; unknown ones left out."""
    scores = {name: score[f"{column}_{suffix}"] for name, suffix in SCORED_AGAINST.items()}
    return {name: value for name, value in scores.items() if value is not None}
