"""Relabel or filter the rows of a store, as `w2sprobe probe` does."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, cast, get_args

import numpy as np
import pyarrow as pa

from w2sprobe.cache import ActivationStore
from w2sprobe.errors import InputError, UnknownName
from w2sprobe.labels import LabelTable
from w2sprobe.layers import parse_layers
from w2sprobe.metrics import overlap, scorecard
from w2sprobe.probes.neighbors import Search
from w2sprobe.probing.fitting import ProbeInputs
from w2sprobe.probing.probe import (
    GIVEN,
    ProbeOutput,
    ProbePoint,
    SearchRecorder,
    aucs,
    n_folds,
    predict_points,
)
from w2sprobe.probing.rows import ProbedRows
from w2sprobe.probing.spec import VoteSpec
from w2sprobe.searches import StoredSearch
from w2sprobe.votes.curated import Action, Curated, curate, curate_at_random, curate_by_masks
from w2sprobe.votes.provenance import Origin, provenance, untouched
from w2sprobe.votes.rules import FILTER_RULES, RANDOM, check_rule
from w2sprobe.votes.scores import ScoredRows
from w2sprobe.votes.table import COMPONENT, IN_SAMPLE, TRAIN


@dataclass(frozen=True)
class Curation:
    """How labels are relabelled or filtered.

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
        """Raise, before any fit, if a probe does not support the action, rule or contamination.

        Raises
        ------
        InputError
            An action, rule or contamination that a probe does not allow.
        UnknownName
            No such action or rule.
        """
        if self.action not in get_args(Action):
            raise UnknownName("action", self.action, get_args(Action))
        if self.rule not in (*FILTER_RULES, RANDOM):
            raise UnknownName("rule", self.rule, (*FILTER_RULES, RANDOM))
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
        """Labels to fit probes on: hard ones if the rule counts them; no row is filtered out."""
        soft = given.hard_label if self._counts_hard_labels else given.soft_label
        return LabelTable(given.ids, soft)

    def spec_to_fit(self, spec: VoteSpec) -> VoteSpec:
        """Hand the contamination on to topofilter."""
        if self.contamination is None:
            return spec
        share = {"contamination": self.contamination, "per_class": self.per_class}
        settings = spec.topofilter.model_copy(update=share)
        return spec.model_copy(update={"topofilter": settings})


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
    """Relabel or filter the training rows with every layer and hyperparameter value.

    Parameters
    ----------
    store, spec, rows
        As in `predict_store`; in-sample predictions are allowed.
    labels : LabelTable
        Labels of all training rows are curated, also of those marked as filtered out; labels of
        other rows stay as they are.
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
        A rule that the probe cannot follow; settings, rows or labels that the probe refuses.
    UnknownName
        No such action or rule.
    IdMismatch
        A row that is not in the labels or in the store.
    """
    curation.check(spec)
    given = labels.align(rows.train)
    recorder = SearchRecorder(search or StoredSearch(store))
    if curation.is_random(spec):
        points = _random_points(curation, given, parse_layers(spec.layers, store.layers))
    else:
        fitted_on = curation.labels_to_fit(given)
        spec = curation.spec_to_fit(spec)
        if best and IN_SAMPLE in spec.held_out:  # the value is chosen by held-out predictions
            spec = spec.model_copy(update={"held_out": (TRAIN, IN_SAMPLE)})
        inputs = ProbeInputs.of(store, spec, replace(rows, other={}), {GIVEN: fitted_on})
        points = (
            _CuratedPoint.of(point, curation, given)
            for point in predict_points(inputs, recorder, device, fitted_on, best=best)
        )
    scored = ScoredRows.of(rows.train, labels, rows.truth)
    score = _relabelling_scores if curation.action == "relabel" else _filter_scores
    tables: list[pa.Table] = []
    results: list[dict[str, Any]] = []
    keeps: list[np.ndarray] = []
    for point in points:
        tables.append(provenance(point.curated, point.origin, neighbors=point.neighbors))
        tables.append(untouched(labels, point.curated, point.origin))
        results.append({**point.setting, **score(point.curated, scored)})
        keeps.append(point.curated.after.keep)
    if curation.action == "filter":
        _add_overlaps(results, keeps)
    return ProbeOutput(pa.concat_tables(tables), results, recorder.searches)


@dataclass(frozen=True)
class _CuratedPoint:
    """Labels curated with one layer and hyperparameter value."""

    curated: Curated
    origin: Origin
    setting: dict[str, Any]
    neighbors: np.ndarray | None = None

    @classmethod
    def of(cls, point: ProbePoint, curation: Curation, given: LabelTable) -> "_CuratedPoint":
        if point.probe.probe == "topofilter":
            component = point.layer.of(point.probe._replace(probe=COMPONENT), point.split)
            curated = curate_by_masks(given, point.p > 0, component > 0)
        else:
            curated = curate(
                curation.action,
                given,
                point.p,
                point.fold,
                rule=curation.rule,
                contamination=curation.contamination,
                per_class=curation.per_class,
            )
        return cls(curated, point.origin, point.setting, point.neighbors)


def _random_points(
    curation: Curation, given: LabelTable, layers: tuple[int, ...]
) -> Iterator[_CuratedPoint]:
    """Remove the same random rows for every layer: the control of a filter."""
    share = cast(float, curation.contamination)  # None is refused before
    curated = curate_at_random(given, share, per_class=curation.per_class)
    for layer in layers:
        yield _CuratedPoint(curated, Origin(RANDOM, layer), {"layer": layer})


def _relabelling_scores(curated: Curated, scored: ScoredRows) -> dict[str, Any]:
    (score,) = scored.inside(curated.fold).score(curated.after.soft_label[None])
    before = score["labels_auc"]
    return {
        "flipped": int((curated.after.hard_label != curated.before.hard_label).sum()),
        "auc": aucs(score),
        "auc_before": {} if before is None else {"truth": before},
        **n_folds(score),
    }


def _filter_scores(curated: Curated, scored: ScoredRows) -> dict[str, Any]:
    card = asdict(scorecard(curated.after.keep, curated.before.soft_label, scored.truth))
    # fractions of zero rows are NaN, which JSON does not have
    return {name: None if value != value else value for name, value in card.items()}


def _add_overlaps(results: list[dict[str, Any]], keeps: list[np.ndarray]) -> None:
    """Add to each result the Jaccard index of its removed rows with those of every other one."""
    masks = {str(number): keep for number, keep in enumerate(keeps)}
    for (a, b), jaccard in overlap(masks).items():
        results[int(a)].setdefault("overlap", {})[b] = jaccard
        results[int(b)].setdefault("overlap", {})[a] = jaccard
