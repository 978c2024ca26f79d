"""Which votes each method of an experiment reads: probe, layers, settings, labels, folds."""

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
from w2sprobe.experiments.readings import BY_FOLDS, Need, Reading
from w2sprobe.experiments.stages import Stage
from w2sprobe.experiments.steps import HARD, TRUTH
from w2sprobe.folds import FOLDS, folds_of
from w2sprobe.probing.probers import PROBERS
from w2sprobe.probing.spec import HeadSettings
from w2sprobe.votes.picking import Pick
from w2sprobe.votes.rules import FILTER_RULES, check_rule
from w2sprobe.votes.selection import chosen_as
from w2sprobe.votes.table import IN_SAMPLE as FITTED
from w2sprobe.votes.table import LEAVE_ONE_OUT, TRAIN

if TYPE_CHECKING:
    from w2sprobe.experiments.builder import Builder

CROSS_FITTED = f"probes are cross-fitted over {FOLDS} folds"


class Needs:
    """What the probes of one experiment read, noted in the builder's plan of votes.

    Parameters
    ----------
    builder : Builder
    config : ExperimentConfig
    weak : Stage
        The supervisor's labels.
    """

    def __init__(self, builder: "Builder", config: ExperimentConfig, weak: Stage) -> None:
        self.builder, self.config, self.weak = builder, config, weak
        self.splits, self.info = builder.splits, builder.strong_info
        # name of its labels among those that are voted on together, whatever others there are
        self.who = "weak" if config.weak.finetunes else f"labels of {config.weak.full_label}"

    def settings(self, method: Method) -> ProbeConfig:
        """The config's settings of probes, with those that a method has of its own."""
        return self.config.probes.model_copy(update=method.probe_settings)

    def one_layer(self, path: str, settings: ProbeConfig) -> int | None:
        """Number of the probes' layer; None where it is chosen.

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
        """Refuse a curation that the rows do not allow, before anything runs."""
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
        """Note what a curation reads."""
        settings, cv = self.settings(method), method.folds(self.settings(method).cv)
        return self._need(
            name,
            method,
            str(method.probe),
            settings,
            self.who,
            self.weak,
            self.split(method, settings),
            cv=cv if isinstance(cv, int) else FOLDS,
            hard=FILTER_RULES[method.rule].hard_votes,
        )

    def learner(
        self,
        name: str,
        method: Method,
        vector: str,
        labels: Stage | None,
        *,
        apart: str = "",
    ) -> Reading:
        """Note what a learner reads; curations that may fail are read apart from others."""
        settings = self.settings(method)
        return self._need(name, method, method.prober, settings, vector, labels, apart=apart)

    def _need(
        self,
        name: str,
        method: Method,
        probe: str,
        settings: ProbeConfig,
        vector: str,
        labels: Stage | None,
        split: str | None = None,
        *,
        cv: int = FOLDS,
        hard: bool = False,
        apart: str = "",
    ) -> Reading:
        """Note which votes a probe of a method gives, for its labels and for those that choose."""
        own = f"define.{name}" if method.probe_settings else "probes"
        layers, average = self._layers(own, method, settings)
        chooses_layer = len(layers) > 1 and not average
        prober, candidates = PROBERS[probe], settings.candidates
        most = self._most_neighbors(split, cv)
        if chooses_layer or settings.n_neighbors == AUTO:
            most = min(most, self.builder.most_by_folds(cv))  # where they choose
        values = self._values(own, probe, settings, most)
        chooser = chosen_as(probe)
        chooses = len(values) > 1 or chooses_layer
        probes = {probe: tuple(value for value in values if value is not None)}
        if chooses and chooser != probe:
            probes[chooser] = tuple(
                value for value in self._values(own, chooser, settings, most) if value is not None
            )
        # truth never chooses: a ceiling is read where the weak labels choose
        by, by_stage = (self.who, self.weak) if labels is None else (vector, labels)
        read = {vector: labels, by: by_stage}
        if hard:
            read = {self.who: self.weak}
        store = self.builder.store
        if method.states == "weak":
            states = self.config.weak.states
            if states is not None:
                store = self.builder.weak_store(states)
        held_out = {split} if split is not None else set()
        held_out |= {TRAIN} if chooses else set()
        if TRAIN in held_out and "knn" not in probes:
            held_out = held_out - {TRAIN} | {BY_FOLDS}
        wide = probe == "knn" and max(probes["knn"], default=0) > self.builder.most_by_folds(cv)
        pick = Pick(
            probe,
            prober.setting,
            values,
            layers,
            vector + HARD if hard else vector,
            by,
            candidates.rule,
            average,
        )
        fields: dict[str, Any] = {"preprocess": settings.preprocess, "cv": cv}
        if probe == "mass-mean" and settings.whiten:
            fields["whiten"] = True
        if probe == method.prober and method.learner == HEAD and settings.head != HeadSettings():
            fields["head"] = settings.head
        if probe == "topofilter":
            fields["topofilter"] = {
                "contamination": settings.contamination,
                "per_class": settings.per_class,
                "graph": settings.graph,
            }
        # what takes long, or may fail, keeps no other methods waiting
        together = self.weak.address if self.config.weak.finetunes or apart else ""
        return self.builder.votes.read(
            Need(
                pick,
                store,
                fields,
                probes,
                read,
                frozenset(held_out),
                frozenset([vector] if hard else []),
                together + " k" * wide + " hard" * hard + apart,
            )
        )

    def _layers(
        self, path: str, method: Method, settings: ProbeConfig
    ) -> tuple[tuple[int, ...], bool]:
        """Layers that a probe votes on, and whether they are averaged."""
        states = self.config.weak.states
        if method.states == "weak" and states is not None:
            return (self.builder.weak_layer(states),), False
        if method.layers is not None:
            spec = settings.candidates.layers if method.layers == CANDIDATES else method.layers
            return self.info.parse_layers(spec), True
        layer = self.one_layer(path, settings)
        if layer is not None:
            return (layer,), False
        return self.info.parse_layers(settings.candidates.layers), False

    def _values(
        self, path: str, probe: str, settings: ProbeConfig, neighbors: int
    ) -> tuple[float | None, ...]:
        """Values of a probe's setting, at most so many neighbors; of several, the labels choose."""
        field = setting_field(probe)
        if field is None:
            seed = float(self.config.strong.seed)
            return (seed,) if PROBERS[probe].setting == "seed" else (None,)
        value = getattr(settings, field)
        most = neighbors if field == "n_neighbors" else None
        if value == AUTO:
            tried = settings.candidates.ks if most is not None else settings.candidates.l2s
            what = f"candidates.ks are {list(tried)}"
            values = tuple(one for one in tried if most is None or one <= most)
        else:
            what, values = f"n_neighbors is {value}", (value,)
        if most is not None and (not values or min(values) > most):
            raise InputError(
                f"{'probes' if value == AUTO else path}.{what}",
                allowed=f"up to {most}, the rows of strong_train that a row may have for neighbors"
                + (", or auto" if value != AUTO else ""),
            )
        return tuple(float(one) for one in values)

    def _most_neighbors(self, split: str | None, cv: int) -> int:
        """Neighbours that every training row has, or every other one."""
        builder, n = self.builder, len(self.splits.strong_train)
        if split == LEAVE_ONE_OUT:
            return n - n_left_out(builder.groups, itself=True)
        return builder.most_by_folds(cv) if split == TRAIN else n

    def sweep(self, config: SweepConfig) -> Reading:
        """Note the votes of a sweep for the report; no method reads them."""
        n = len(self.splits.strong_train)
        check_folds(CROSS_FITTED, self.builder.groups, n, FOLDS)
        split = LEAVE_ONE_OUT if config.leave_one_out else TRAIN
        most = self._most_neighbors(split, FOLDS)
        probes = {"knn": tuple(float(k) for k in config.ks if k <= most), "logistic": config.l2s}
        layers = self.info.parse_layers(config.layers)
        vectors: dict[str, Stage | None] = {self.who: self.weak}
        if config.ceiling:
            vectors[TRUTH] = None
        how = config.preprocess or self.config.probes.preprocess
        probes = {name: values for name, values in probes.items() if values}
        # of the votes only probe and layers are read from the pick: every point is scored
        probe = next(iter(probes))
        pick = Pick(probe, None, (None,), layers, self.who, self.who, "weak_log_loss")
        return self.builder.votes.read(
            Need(
                pick,
                self.builder.store,
                {"preprocess": how, "cv": FOLDS},
                probes,
                vectors,
                frozenset({split, *([FITTED] if config.in_sample else [])}),
                together=self.weak.address if self.config.weak.finetunes else "",
            )
        )

    def indicators(self, layer: int | None) -> Reading:
        """Note the held-out predictions that the indicators compare with the labels."""
        (middle,) = self.info.parse_layers("mid")
        method = Method(learner="logistic", layer=middle if layer is None else layer, l2=1e-2)
        return self._need(
            "indicators", method, "logistic", self.settings(method), self.who, self.weak, TRAIN
        )


def check_folds(what: str, groups: np.ndarray | None, n_rows: int, cv: int) -> None:
    """Refuse more folds than strong_train has rows or groups."""
    try:
        folds_of(n_rows, cv, groups)
    except InputError as error:
        raise InputError(what, allowed=f"{error.allowed} of strong_train") from error
