"""Predictions and curations of a store's rows by probes, with an account of every row."""

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
    RANDOM,
    Action,
    Curated,
    curate,
    curate_at_random,
    curate_by_masks,
)
from w2sprobe.votes.provenance import Origin, predictions, provenance, untouched
from w2sprobe.votes.rules import FILTER_RULES, check_rule
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

GIVEN = "given"  # the one vector of labels
Judged = tuple[Curated, Origin, dict[str, Any], np.ndarray | None]
KINDS = {"labels": "weak", "truth": "truth"}  # what results call labels, and columns of scores


@dataclass(frozen=True)
class ProbeOutput:
    """What probes made of the rows of a store.

    Parameters
    ----------
    table : pyarrow.Table
        `w2sprobe.votes.provenance.COLUMNS`; a row for each row, layer and setting.
    results : list of dict
        One per layer and setting: layer, setting and value, and scores; ready for JSON.
    searches : list of (str, float)
        Backends of the neighbour searches, and their recall.
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
    """Predictions of every layer and setting for all rows, one layer in memory at a time.

    Parameters
    ----------
    store : ActivationStore
    spec : VoteSpec
        Training rows are held out.
    rows : ProbedRows
    labels : LabelTable
        Has the training rows; those it marks as filtered out are predicted and not fitted on.
    best : bool, default False
        Only the value of least held-out log-loss against the labels, on each layer.
    search : callable, optional
        Finds neighbours; default: `StoredSearch`.
    device : str, default "auto"
        Of linear probes.

    Returns
    -------
    ProbeOutput
        Scores: AUC of each part of the rows, against the labels given and against the truth. Of
        training rows predicted by folds it is the mean of the AUCs inside the folds, and `n_folds`
        says how many have rows of both classes. kNN that leaves out single rows ranks all of them
        together, which is biased downwards; `n_folds` is then not there.

    Raises
    ------
    InputError
        In-sample predictions, or whatever the probe refuses.
    IdMismatch
        A row that is not in the labels or in the store.
    """
    if IN_SAMPLE in spec.held_out:
        raise InputError(
            "in-sample predictions",
            allowed="folds: these predictions are held out",
            advice="Only relabelling and filters have an in-sample variant.",
        )
    task = ProbeInputs.of(store, spec, rows, {GIVEN: labels})
    noted = _Noted(search or StoredSearch(store))
    asked = np.concatenate([np.empty(0, dtype=np.str_), *task.other.values()])
    parts = {
        name: ScoredRows.of(ids, labels, rows.truth)
        for name, ids in {TRAIN: task.train, **task.other}.items()
    }
    tables, results = [], []
    for point in _points(task, noted, device, labels, best=best):
        scored = {**parts, TRAIN: parts[TRAIN].inside(point.fold)}
        p = {TRAIN: point.p, **{name: point.votes.of(point.vote, name) for name in task.other}}
        scores = {name: scored[name].score(p[name][None])[0] for name in p}
        q = np.concatenate([np.empty(0), *list(p.values())[1:]])
        tables.append(
            predictions(
                task.train,
                point.p,
                point.fold,
                asked,
                q,
                labels,
                point.origin,
                neighbors=point.neighbors,
            )
        )
        names = {TRAIN: rows.name, FILTERED_OUT: "filtered out"}
        aucs = {names.get(name, name): _aucs(score) for name, score in scores.items()}
        results.append({**point.place, "auc": aucs, **_n_folds(scores[TRAIN])})
    return ProbeOutput(pa.concat_tables(tables), results, noted.searches)


def curate_store(
    store: ActivationStore,
    spec: VoteSpec,
    rows: ProbedRows,
    labels: LabelTable,
    action: Action,
    *,
    rule: str = "disagreement",
    contamination: float | None = 0.1,
    per_class: bool = False,
    best: bool = False,
    search: Search | None = None,
    device: str = "auto",
) -> ProbeOutput:
    """Relabelled or filtered labels of every layer and setting.

    Parameters
    ----------
    store, spec, rows
        As in `predict_store`; in-sample predictions are allowed.
    labels : LabelTable
        All training rows count; the rows that are no training rows are passed through.
    action : {"relabel", "filter"}
        topofilter only filters, by a rule of its own.
    rule : str, default "disagreement"
        How a filter ranks rows: one of `w2sprobe.votes.rules.FILTER_RULES`; or "random", which
        asks no probe.
    contamination : float, optional, default 0.1
        Share of the rows that a filter removes. None: confident-learning and deep-knn find out.
    per_class : bool, default False
        Remove the share of each class.
    best, search, device
        As in `predict_store`.

    Returns
    -------
    ProbeOutput
        Scores of relabelling: AUC of the new labels against the old and against the truth, that of
        the old ones, both as in `predict_store`, and flipped rows. Of filtering: the scorecard, and
        `overlap`: the Jaccard index of the removed rows with those of each other result, by its
        position in the list.

    Raises
    ------
    InputError
        A rule that the probe cannot follow; whatever the probe refuses.
    IdMismatch
        A row that is not in the labels or in the store.
    """
    given, judging = labels.align(rows.train), _Judging(action, rule, contamination, per_class)
    judging.check(spec)
    noted = _Noted(search or StoredSearch(store))
    scored = ScoredRows.of(rows.train, labels, rows.truth)
    tables: list[pa.Table] = []
    results: list[dict[str, Any]] = []
    keeps: dict[str, np.ndarray] = {}
    if judging.by_chance(spec):
        chance = curate_at_random(given, cast(float, contamination), per_class=per_class)
        layers = parse_layers(spec.layers, store.layers)
        found: Iterator[Judged] = (
            (chance, Origin("random", layer), {"layer": layer}, None) for layer in layers
        )
    else:
        fitted = LabelTable(given.ids, judging.fitted(given))
        task = ProbeInputs.of(store, judging.told(spec), replace(rows, other={}), {GIVEN: fitted})
        found = (
            (judging.of(point, given), point.origin, point.place, point.neighbors)
            for point in _points(task, noted, device, fitted, best=best)
        )
    for curated, origin, place, neighbors in found:
        tables += [provenance(curated, origin, neighbors=neighbors)]
        tables += [untouched(labels, curated, origin)]
        if action == "relabel":
            (score,) = scored.inside(curated.fold).score(curated.after.soft_label[None])
            before = score["labels_auc"]
            result = {
                "flipped": int((curated.after.hard_label != given.hard_label).sum()),
                "auc": _aucs(score),
                "auc_before": {} if before is None else {"truth": before},
                **_n_folds(score),
            }
        else:
            card = asdict(scorecard(curated.after.keep, given.soft_label, scored.truth))
            # a share of nothing is null in JSON
            result = {name: None if share != share else share for name, share in card.items()}
            keeps[str(len(results))] = curated.after.keep
        results.append({**place, **result})
    for (one, other), jaccard in overlap(keeps).items():
        for a, b in ((one, other), (other, one)):
            results[int(a)].setdefault("overlap", {})[b] = jaccard
    return ProbeOutput(pa.concat_tables(tables), results, noted.searches)


@dataclass
class _Noted:
    """A search that notes backends, and the neighbours of rows that leave themselves out."""

    search: Search
    found: set[tuple[str, float]] = field(default_factory=set)
    own: np.ndarray | None = None

    def __call__(self, *arguments: Any, **options: Any) -> Neighbors:
        neighbors = self.search(*arguments, **options)
        self.found.add((neighbors.backend, round(neighbors.recall, 4)))
        if options.get("exclude_self"):
            self.own = neighbors.indices
        return neighbors

    @property
    def searches(self) -> list[tuple[str, float]]:
        return sorted(self.found)


@dataclass(frozen=True)
class _Point:
    """Predictions of one layer and setting for the training rows."""

    votes: LayerVotes
    vote: FittedProbe
    split: str
    neighbors: np.ndarray | None
    at_edge: bool | None

    @property
    def p(self) -> np.ndarray:
        return self.votes.of(self.vote, self.split)

    @property
    def fold(self) -> np.ndarray | None:
        return self.votes.fold if self.split == TRAIN else None

    @property
    def origin(self) -> Origin:
        return Origin(self.vote.probe, self.votes.layer, self.vote.setting, self.vote.value)

    @property
    def place(self) -> dict[str, Any]:
        found: dict[str, Any] = {"layer": self.votes.layer}
        if self.vote.setting is not None:
            found[self.vote.setting] = self.vote.value
        return found if self.at_edge is None else {**found, "at_edge": self.at_edge}


@dataclass(frozen=True)
class _Judging:
    """What is made of predictions."""

    action: Action
    rule: str
    contamination: float | None
    per_class: bool

    def by_chance(self, spec: VoteSpec) -> bool:
        by_rule = self.action == "filter" and "topofilter" not in spec.probes
        return by_rule and self.rule == RANDOM

    def check(self, spec: VoteSpec) -> None:
        """Refuse what the probes cannot do, before any is fitted."""
        if "topofilter" in spec.probes:
            if self.action == "relabel":
                raise InputError("topofilter cannot relabel", allowed="filter")
            if self.contamination is None:
                raise InputError(
                    "contamination is auto with topofilter", allowed="above 0, below 1"
                )
        elif self.action == "filter":
            check_rule(self.rule, self.contamination, per_class=self.per_class)
            if self.hard_votes and set(spec.probes) != {"knn"}:
                raise InputError(f"{self.rule} with {', '.join(spec.probes)}", allowed="knn")

    def told(self, spec: VoteSpec) -> VoteSpec:
        """The spec with the share that topofilter removes."""
        if self.contamination is None:
            return spec
        share = {"contamination": self.contamination, "per_class": self.per_class}
        settings = spec.topofilter.model_copy(update=share)
        return spec.model_copy(update={"topofilter": settings})

    @property
    def hard_votes(self) -> bool:
        """Whether the probes are fitted on hard labels."""
        rule = FILTER_RULES.get(self.rule)
        return self.action == "filter" and rule is not None and rule.hard_votes

    def fitted(self, given: LabelTable) -> np.ndarray:
        """Labels that the probes are fitted on."""
        return given.hard_label if self.hard_votes else given.soft_label

    def of(self, point: _Point, given: LabelTable) -> Curated:
        if point.vote.probe == "topofilter":
            component = point.votes.of(point.vote._replace(probe=COMPONENT), point.split)
            return curate_by_masks(given, point.p > 0, component > 0)
        return curate(
            self.action,
            given,
            point.p,
            point.fold,
            rule=self.rule,
            contamination=self.contamination,
            per_class=self.per_class,
        )


def _points(
    task: ProbeInputs, search: _Noted, device: str, labels: LabelTable, *, best: bool
) -> Iterator[_Point]:
    """Votes for training rows by layer and setting; with `best` the one of least log-loss."""
    wanted = [IN_SAMPLE] if IN_SAMPLE in task.spec.held_out else []
    if best and wanted:  # the choice is made held out
        spec = task.spec.model_copy(update={"held_out": (TRAIN, IN_SAMPLE)})
        task = replace(task, spec=spec)
    for layer in task.layers:
        found = predict_layer(task, layer, search=search, device=device)
        votes = [one for one in found.votes if one.probe != COMPONENT]
        edge = None
        if best:
            table = score_votes([found], labels, None, fitted_on={GIVEN: "weak"})
            chosen = choose(table, votes[0].probe)
            votes = [one for one in votes if one.value == chosen.value]
            edge = chosen.at_edge
        for one in votes:
            splits = (*wanted, TRAIN, LEAVE_ONE_OUT)
            split = next(name for name in splits if (one, name) in found.p)
            near = None
            if one.probe == "knn" and split == LEAVE_ONE_OUT and search.own is not None:
                near = search.own[:, : int(one.value or 0)]
            yield _Point(found, one, split, near, edge)


def _aucs(score: dict[str, Any]) -> dict[str, float]:
    return {
        name: score[f"auc_{column}"]
        for name, column in KINDS.items()
        if score[f"auc_{column}"] is not None
    }


def _n_folds(score: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Folds of each kind of labels that the AUCs are means of, where there are folds."""
    found = {
        name: score[f"n_folds_{column}"]
        for name, column in KINDS.items()
        if score[f"n_folds_{column}"] is not None
    }
    return {"n_folds": found} if found else {}
