"""Which votes each method of an experiment reads: probe, layers, settings, labels, folds."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from w2sprobe.checks import n_left_out
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import ExperimentConfig, ProbeConfig, SweepConfig
from w2sprobe.experiments.methods import (
    AUTO,
    CANDIDATES,
    HEAD,
    IN_SAMPLE,
    Method,
    setting_field,
)
from w2sprobe.experiments.stage_kinds import HARD, TRUTH
from w2sprobe.experiments.stages import Stage
from w2sprobe.experiments.votes_plan import BY_FOLDS, Reading, VoteRequest
from w2sprobe.folds import FOLDS, folds_of
from w2sprobe.probing.probe_types import PROBE_TYPES, TRAINED_POOLINGS
from w2sprobe.probing.spec import HeadSettings
from w2sprobe.votes.picking import Pick
from w2sprobe.votes.rules import FILTER_RULES, check_rule
from w2sprobe.votes.selection import chosen_as
from w2sprobe.votes.table import IN_SAMPLE as FITTED
from w2sprobe.votes.table import LEAVE_ONE_OUT, TRAIN

if TYPE_CHECKING:
    from w2sprobe.experiments.builder import Builder

CROSS_FITTED = f"probes are cross-fitted over {FOLDS} folds"


@dataclass(frozen=True)
class _ProbeUse:
    """A probe of a method, the labels that it is fitted to, and how it predicts training rows.

    Parameters
    ----------
    name : str
        Name of the method.
    vector : str
        Name of the label vector.
    labels : Stage or None
        Labels of that name; None is truth.
    split : str, optional
        How training rows are predicted, as in `w2sprobe.votes.table`; None: not read.
    hard : bool
        Fit to hardened labels.
    apart : str
        Requests with other words here are cast by other stages.
    """

    name: str
    method: Method
    probe: str
    vector: str
    labels: Stage | None
    split: str | None = None
    cv: int = FOLDS
    hard: bool = False
    apart: str = ""

    @property
    def section(self) -> str:
        """Section of the config that holds the settings of this probe."""
        return f"define.{self.name}" if self.method.probe_settings else "probes"


class VoteRequests:
    """Requests the votes that the probes of one experiment read from the builder's `VotesPlan`.

    Parameters
    ----------
    weak : Stage
        The supervisor's labels.
    """

    def __init__(self, builder: "Builder", config: ExperimentConfig, weak: Stage) -> None:
        self.builder, self.config, self.weak = builder, config, weak
        self.splits, self.info = builder.splits, builder.strong_info
        # its label vector; where several supervisors share votes, the name says whose it is
        self.weak_vector = (
            "weak" if config.weak.finetunes else f"labels of {config.weak.full_label}"
        )

    def settings(self, method: Method) -> ProbeConfig:
        """Settings of probes in the config, overridden by those of the method."""
        return self.config.probes.model_copy(update=method.probe_settings)

    def one_layer(self, path: str, settings: ProbeConfig) -> int | None:
        """Number of the probes' layer; None for auto.

        Raises
        ------
        InputError
            The model has no such layer, or several are named.
        """
        if settings.layer == AUTO:
            return None
        layers = self.info.parse_layers(settings.layer)
        if len(layers) != 1:
            raise InputError(
                f"{path}.layer is {settings.layer!r}", allowed="one layer number, mid, or auto"
            )
        return layers[0]

    def split(self, method: Method, settings: ProbeConfig) -> str:
        """How a curation's probe predicts the training rows."""
        cv = method.folds(settings.cv)
        if cv == IN_SAMPLE:
            return FITTED
        alone = method.probe == "topofilter" or (method.probe == "knn" and cv is None)
        return LEAVE_ONE_OUT if alone else TRAIN

    def check_curation(self, name: str, method: Method) -> None:
        """Refuse a curation that the rows do not allow."""
        if method.curation not in ("relabel", "filter"):
            return
        settings, rows = self.settings(method), self.splits.strong_train
        if method.curation == "filter":
            check_rule(method.rule, settings.contamination, per_class=settings.per_class)
        cv, split = method.folds(settings.cv), self.split(method, settings)
        if isinstance(cv, int):
            check_folds(f"cv of {name} is {cv}", self.builder.groups, len(rows), cv)
        elif split == TRAIN:
            check_folds(CROSS_FITTED, self.builder.groups, len(rows), FOLDS)

    def curator(self, name: str, method: Method) -> Reading:
        """Request what a curation reads."""
        settings = self.settings(method)
        cv = method.folds(settings.cv)
        use = _ProbeUse(
            name,
            method,
            str(method.probe),
            self.weak_vector,
            self.weak,
            self.split(method, settings),
            cv if isinstance(cv, int) else FOLDS,
            FILTER_RULES[method.rule].hard_votes,
        )
        return self._request(use)

    def learner(
        self, name: str, method: Method, vector: str, labels: Stage | None, *, apart: str = ""
    ) -> Reading:
        """Request what a learner reads; curations that may fail are cast apart from others."""
        return self._request(
            _ProbeUse(name, method, method.probe_type, vector, labels, apart=apart)
        )

    def sweep(self, config: SweepConfig) -> Reading:
        """Request the votes of a sweep for the report; no method reads them."""
        n = len(self.splits.strong_train)
        check_folds(CROSS_FITTED, self.builder.groups, n, FOLDS)
        split = LEAVE_ONE_OUT if config.leave_one_out else TRAIN
        most = self._most_neighbors(split, FOLDS)
        values = {"knn": tuple(float(k) for k in config.ks if k <= most), "logistic": config.l2s}
        probes = {name: tried for name, tried in values.items() if tried}
        labels: dict[str, Stage | None] = {self.weak_vector: self.weak}
        if config.ceiling:
            labels[TRUTH] = None
        # every point is scored: of the pick only probe and layers are read
        layers = self.info.parse_layers(config.layers)
        pick = Pick(
            next(iter(probes)),
            None,
            (None,),
            layers,
            self.weak_vector,
            self.weak_vector,
            "weak_log_loss",
        )
        return self.builder.votes.read(
            VoteRequest(
                pick,
                self.builder.store,
                {"preprocess": config.preprocess or self.config.probes.preprocess, "cv": FOLDS},
                probes,
                labels,
                frozenset({split, *([FITTED] if config.in_sample else [])}),
                together=self.weak.address if self.config.weak.finetunes else "",
            )
        )

    def indicators(self, layer: int | None) -> Reading:
        """Request the held-out predictions that the indicators compare with the labels."""
        (middle,) = self.info.parse_layers("mid")
        method = Method(learner="logistic", layer=middle if layer is None else layer, l2=1e-2)
        return self._request(
            _ProbeUse("indicators", method, "logistic", self.weak_vector, self.weak, TRAIN)
        )

    def _request(self, use: _ProbeUse) -> Reading:
        """Request the votes of a probe on its labels, and on those that choose its settings."""
        settings = self.settings(use.method)
        layers, average = self._layers(use, settings)
        stack = use.method.combine == "stack"
        most = self._most_neighbors(use.split, use.cv)
        if (len(layers) > 1 and not average) or stack or settings.n_neighbors == AUTO:
            most = min(most, self.builder.most_by_folds(use.cv))  # settings are chosen by folds
        # truth never chooses: a ceiling is read where the weak labels choose
        chosen_by, chooser = (
            (self.weak_vector, self.weak) if use.labels is None else (use.vector, use.labels)
        )
        pick = Pick(
            use.probe,
            PROBE_TYPES[use.probe].hyperparameter,
            self._values(use, use.probe, settings, most),
            layers,
            use.vector + HARD if use.hard else use.vector,
            chosen_by,
            settings.candidates.rule,
            average,
            stack,
        )
        values = {use.probe: pick.values}
        chooser_probe = chosen_as(use.probe)
        if pick.chooses and chooser_probe != use.probe:
            values[chooser_probe] = self._values(use, chooser_probe, settings, most)
            pick = replace(pick, chooser_values=values[chooser_probe])
        probes = {
            probe: tuple(value for value in tried if value is not None)
            for probe, tried in values.items()
        }
        return self.builder.votes.read(
            VoteRequest(
                pick,
                self._store(use, layers),
                self._spec_fields(use, settings),
                probes,
                {use.vector: use.labels, chosen_by: chooser},
                _held_out(use.split, pick, probes),
                frozenset([use.vector] if use.hard else []),
                self._together(use, probes),
            )
        )

    def _store(self, use: _ProbeUse, layers: tuple[int, ...]) -> Stage:
        """Activations that a method's probe reads."""
        states = self.config.weak.states
        if PROBE_TYPES[use.probe].reads_tokens:
            return self.builder.token_store(layers)
        if use.method.states == "weak" and states is not None:
            return self.builder.weak_store(states)
        return self.builder.store

    def _spec_fields(self, use: _ProbeUse, settings: ProbeConfig) -> dict[str, Any]:
        """Fields of `VoteSpec` that this probe reads: others would change its address in vain."""
        fields: dict[str, Any] = {"preprocess": settings.preprocess, "cv": use.cv}
        if use.probe in TRAINED_POOLINGS:
            seed = settings.tokens.seed + self.config.strong.seed
            tokens = settings.tokens.model_copy(update={"seed": seed})
            return {"cv": use.cv, "tokens": tokens}
        if use.probe == "mass-mean" and settings.whiten:
            fields["whiten"] = True
        is_head = use.method.learner == HEAD and use.probe == use.method.probe_type
        if is_head and settings.head != HeadSettings():
            fields["head"] = settings.head
        if use.probe == "topofilter":
            fields["topofilter"] = {
                "contamination": settings.contamination,
                "per_class": settings.per_class,
                "graph": settings.graph,
            }
        return fields

    def _together(self, use: _ProbeUse, probes: dict[str, tuple[float, ...]]) -> str:
        """Key of the requests that one stage may serve; the words are part of no address."""
        # methods of cheap supervisors do not wait for finetuning, nor fail with a curation
        key = self.weak.address if self.config.weak.finetunes or use.apart else ""
        # kNN with more neighbours than folds leave can only be asked for other predictions
        most = self.builder.most_by_folds(use.cv)
        if use.probe == "knn" and max(probes["knn"], default=0) > most:
            key += " k"
        return key + " hard" * use.hard + use.apart

    def _layers(self, use: _ProbeUse, settings: ProbeConfig) -> tuple[tuple[int, ...], bool]:
        """Layers that a probe votes on, and whether they are averaged."""
        method, states = use.method, self.config.weak.states
        if method.states == "weak" and states is not None:
            return (self.builder.weak_layer(states),), False
        if method.layers is not None:
            spec = settings.candidates.layers if method.layers == CANDIDATES else method.layers
            return self.info.parse_layers(spec), True
        layer = self.one_layer(use.section, settings)
        if layer is not None:
            return (layer,), False
        return self.info.parse_layers(settings.candidates.layers), False

    def _values(
        self, use: _ProbeUse, probe: str, settings: ProbeConfig, most: int
    ) -> tuple[float | None, ...]:
        """Values of a probe's setting, the labels choose among several; k is at most `most`."""
        field = setting_field(probe)
        if field is None:
            seed = float(self.config.strong.seed)
            return (seed,) if PROBE_TYPES[probe].hyperparameter == "seed" else (None,)
        value = getattr(settings, field)
        if field == "l2":
            return tuple(map(float, settings.candidates.l2s if value == AUTO else (value,)))
        if value == AUTO:
            ks = tuple(k for k in settings.candidates.ks if k <= most)
            what = f"probes.candidates.ks are {list(settings.candidates.ks)}"
        else:
            ks = (value,) if value <= most else ()
            what = f"{use.section}.n_neighbors is {value}"
        if not ks:
            raise InputError(
                what,
                allowed=f"up to {most}, the rows of strong_train that a row may have for neighbors"
                + (", or auto" if value != AUTO else ""),
            )
        return tuple(map(float, ks))

    def _most_neighbors(self, split: str | None, cv: int) -> int:
        """Neighbours that every training row has, or that every other row has."""
        builder, n = self.builder, len(self.splits.strong_train)
        if split == LEAVE_ONE_OUT:
            return n - n_left_out(builder.groups, itself=True)
        return builder.most_by_folds(cv) if split == TRAIN else n


def _held_out(
    split: str | None, pick: Pick, probes: dict[str, tuple[float, ...]]
) -> frozenset[str]:
    """How training rows are predicted: as the method reads them, and by folds to choose by."""
    held_out = {split} if split is not None else set()
    if pick.chooses:
        held_out.add(TRAIN)
    if "knn" not in probes:  # only for kNN is leaving out single rows not the same request
        held_out = {BY_FOLDS if one == TRAIN else one for one in held_out}
    return frozenset(held_out)


def check_folds(what: str, groups: np.ndarray | None, n_rows: int, cv: int) -> None:
    """Refuse more folds than strong_train has rows or groups."""
    try:
        folds_of(n_rows, cv, groups)
    except InputError as error:
        raise InputError(what, allowed=f"{error.allowed} of strong_train") from error
