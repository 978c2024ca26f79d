"""From an experiment's config to its stages."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from w2sprobe.checks import n_left_out
from w2sprobe.curation import Action
from w2sprobe.data import Rows, Splits
from w2sprobe.devices import resolve_device
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import (
    ExperimentConfig,
    ModelConfig,
    ProbeConfig,
    SweepConfig,
)
from w2sprobe.experiments.costs import (
    Lengths,
    extract_cost,
    forward_cost,
    probe_cost,
    train_cost,
)
from w2sprobe.experiments.functions import CurationFunction
from w2sprobe.experiments.methods import AUTO, Method
from w2sprobe.experiments.shared_runs import RUNS
from w2sprobe.experiments.stages import VERSIONS, Cost, Stage
from w2sprobe.experiments.steps import (
    audit_step,
    choose_step,
    curate_step,
    extract_step,
    function_step,
    indicators_step,
    label_file,
    probe_step,
    random_filter_step,
    relabel_step,
    sweep_step,
    train_step,
    zero_shot_step,
)
from w2sprobe.extraction import store_identity
from w2sprobe.fingerprint import fingerprint
from w2sprobe.folds import FOLDS, folds_of
from w2sprobe.models import ModelInfo, load_tokenizer
from w2sprobe.probing import ProbedRows
from w2sprobe.sweeps import SweepSettings
from w2sprobe.training.requirements import training_precision
from w2sprobe.training.settings import TrainSettings
from w2sprobe.training.zero_shot import Form, check_answers, check_head
from w2sprobe.votes.rules import check_rule

CROSS_FITTED = f"probes are cross-fitted over {FOLDS} folds"
WEAK_POSITION = "mean"  # of the weak model's activations, sentence encoders among them


@dataclass(frozen=True)
class Experiment:
    """One task, weak model, strong model and seed, and the stages that give its results.

    Parameters
    ----------
    config : ExperimentConfig
    splits : Splits
    layer : int or None
        The probes' layer, where a method has none of its own; None where it is chosen.
    truncated : dict of str to int
        Rows cut to the context, a model.
    stages : list of Stage
        In an order in which every stage follows its inputs; other experiments may have some, too.
    methods : dict of str to list of Stage
        The stages of a method's own, the last one holding its test predictions.
    """

    config: ExperimentConfig
    splits: Splits
    layer: int | None
    truncated: dict[str, int]
    stages: list[Stage] = field(default_factory=list)
    methods: dict[str, list[Stage]] = field(default_factory=dict)


@dataclass(frozen=True)
class ProbeSettings:
    """Settings of one method's probe.

    Parameters
    ----------
    settings : ProbeConfig
    layer : int or None
        None where it is chosen.
    choice : Stage, optional
        That chooses what is `auto`.
    """

    settings: ProbeConfig
    layer: int | None
    choice: Stage | None = None

    @property
    def inputs(self) -> dict[str, Stage]:
        """What a stage with this probe reads for its settings."""
        return {} if self.choice is None else {"choice": self.choice}

    @property
    def arguments(self) -> dict[str, Any]:
        """For the function of such a stage."""
        choice = None if self.choice is None else self.choice.folder
        return {"settings": self.settings, "layer": self.layer, "choice": choice}


class Builder:
    """Lays out the stages of one experiment, sharing those that are the same.

    Parameters
    ----------
    config : ExperimentConfig
    splits : Splits
    infos : dict of str to ModelInfo
        Of weak and strong.
    lengths : dict of str to Lengths
        In tokens of weak and strong.
    cache : Path
    device : str
    known : dict of str to Stage
        Stages by address, of all experiments so far; new ones are added.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        splits: Splits,
        infos: dict[str, ModelInfo],
        lengths: dict[str, Lengths],
        cache: Path,
        device: str,
        known: dict[str, Stage],
    ) -> None:
        self.config, self.splits, self.device = config, splits, device
        self.weak_info, self.strong_info, self.lengths = infos["weak"], infos["strong"], lengths
        self.stored, self.cache, self.home = splits.stored, cache, cache / "stages"
        self.place = resolve_device(device)
        self.known = known
        layer = _check_layer("probes", config.probes, self.strong_info)
        truncated = {name: one.n_truncated for name, one in lengths.items()}
        self.experiment = Experiment(config, splits, layer, truncated)

    def build(self) -> Experiment:
        """Add the audit and every method's stages, in the order of the config.

        Raises
        ------
        InputError
            Settings that model or rows do not allow; a strong model that cannot answer zero-shot.
        MissingDependency
            A method needs a package that is not installed.
        """
        self.audit()
        weak = self.train(
            "weak model on truth",
            self.config.weak,
            "weak",
            self.splits.weak_train,
            loss=self.config.weak.loss,
            predicted=self.stored,
        )
        for name in self.config.methods:
            method = self.config.entries[name]
            if method.predicts == "weak":
                own = [weak]
            elif method.predicts == "ceiling":
                own = [self.strong("strong ceiling on truth", self.config.strong.loss)]
            elif method.predicts == "probe":
                own = [self.probe(name, method, weak)]
            elif method.predicts == "zero_shot":
                own = [self.zero_shot()]
            else:
                own = self.student(name, method, weak)
            self.experiment.methods[name] = own
        if self.config.sweep is not None:
            self.sweep(self.config.sweep, weak)
        if "store" in vars(self):  # something reads it; else it is not worth its disk space
            self.indicators(weak)
        return self.experiment

    def audit(self) -> Stage:
        """Stage that looks for what could make the results mean something else."""
        weak, strong = self.weak_info, self.strong_info
        params = {
            "weak": weak.identity,
            "strong": strong.identity,
            "splits": {
                name: [rows.content, fingerprint(rows.labels.tolist()), _groups(rows)]
                for name, rows in self.splits.items()
            },
        }
        run = partial(audit_step, splits=self.splits, weak=weak.name, strong=strong.name)
        return self.add(Stage("audit", "audit of the task", params, run, self.home))

    def add(self, stage: Stage) -> Stage:
        """Add a stage, or find the one that does the same, here or in another experiment."""
        known = self.known.setdefault(stage.address, stage)
        if known not in self.experiment.stages:
            self.experiment.stages.append(known)
        return known

    def train(
        self,
        title: str,
        model: ModelConfig,
        role: str,
        rows: Rows,
        *,
        loss: str,
        predicted: Rows,
        labels: Stage | None = None,
        previous: Stage | None = None,
    ) -> Stage:
        """Stage that finetunes on truth, or on the labels of another stage."""
        info = self.weak_info if role == "weak" else self.strong_info
        settings = model.settings(loss)
        precision = training_precision(info, settings, self.place)
        made_of = {**self.trained(info, settings, rows), "predicted": predicted.content}
        params = dict(made_of)
        if labels is None:
            params["truth"] = fingerprint([rows.labels.tolist(), self.splits.val.labels.tolist()])
        run = partial(
            train_step,
            model=info.name,
            rows=rows,
            val=self.splits.val,
            predicted=predicted,
            labels=label_file(labels.folder) if labels else None,
            # what `auto` is here, wherever the stage is run
            settings=settings.model_copy(update={"precision": precision}),
            device=self.device,
            prefixes=self.cache / "prefixes",
            previous=previous.folder if previous else None,
            runs=self.cache / RUNS,
            made_of={**made_of, "version": VERSIONS["train"]},
            title=title,
        )
        lengths = self.lengths[role]
        tokens = lengths.tokens
        cost = train_cost(
            info,
            settings,
            precision,
            trained=tokens[f"{role}_train"],
            val=tokens["val"],
            predicted=lengths.stored if role == "weak" else tokens["test"],
        )
        named = {"labels": labels, "previous": previous}
        inputs = {name: stage for name, stage in named.items() if stage}
        return self.add(
            Stage("train", title, params, run, self.home, inputs, resumable=True, cost=cost)
        )

    def trained(self, info: ModelInfo, settings: TrainSettings, rows: Rows) -> dict[str, Any]:
        """What weights follow from, beside labels."""
        return {
            "model": info.identity,
            "settings": settings.identity,
            "precision": training_precision(info, settings, self.place),
            "train": rows.content,
            "val": self.splits.val.content,
        }

    def strong(
        self, title: str, loss: str, labels: Stage | None = None, previous: Stage | None = None
    ) -> Stage:
        """Stage that finetunes the strong model on the strong-train rows."""
        return self.train(
            title,
            self.config.strong,
            "strong",
            self.splits.strong_train,
            loss=loss,
            predicted=self.splits.test,
            labels=labels,
            previous=previous,
        )

    @cached_property
    def store(self) -> Stage:
        """Stage that caches the strong base model's activations."""
        config = self.config.strong
        identity = store_identity(
            self.strong_info,
            self.stored.ids.tolist(),
            self.stored.texts,
            truncate=config.truncate,
        )
        run = partial(
            extract_step,
            model=self.strong_info.name,
            rows=self.stored,
            truncate=config.truncate,
            device=self.device,
        )
        place = self.cache / "stores" / fingerprint(identity)
        title, info = "activations of the strong base model", self.strong_info
        n_tokens = self.lengths["strong"].stored
        cost = extract_cost(info, n_tokens, len(self.stored), len(info.layers))
        return self.add(
            Stage(
                "extract", title, identity, run, self.home, place=place, resumable=True, cost=cost
            )
        )

    def weak_store(self) -> Stage:
        """Stage that keeps the last layer of the weak base model, for the indicators."""
        info, rows, truncate = self.weak_info, self.splits.strong_train, self.config.weak.truncate
        identity = store_identity(
            info, rows.ids.tolist(), rows.texts, position=WEAK_POSITION, truncate=truncate
        )
        params = {**identity, "layers": info.layers[-1]}
        run = partial(
            extract_step,
            model=info.name,
            rows=rows,
            truncate=truncate,
            device=self.device,
            layers=info.layers[-1],
            position=WEAK_POSITION,
        )
        cost = extract_cost(info, self.lengths["weak"].tokens["strong_train"], len(rows), 1)
        title = "activations of the weak base model"
        return self.add(Stage("extract", title, params, run, self.home, resumable=True, cost=cost))

    def indicators(self, weak: Stage) -> Stage:
        """Stage that computes what is said to predict the gain, without any truth."""
        rows, layer = self.splits.strong_train, self.experiment.layer
        if layer is None:
            (layer,) = self.strong_info.parse_layers("mid")
        inputs = {"store": self.store, "weak_store": self.weak_store(), "labels": weak}
        run = partial(
            indicators_step,
            layer=layer,
            store=self.store.folder,
            weak_store=inputs["weak_store"].folder,
            labels=label_file(weak.folder),
            rows=rows,
        )
        params = {"layer": layer, "rows": rows.content, "groups": _groups(rows)}
        cost = probe_cost(self.strong_info, len(rows))
        return self.add(
            Stage("indicators", "indicators of the gain", params, run, self.home, inputs, cost=cost)
        )

    def zero_shot(self) -> Stage:
        """Stage that asks the strong model for the test rows' labels."""
        info, settings, test = self.strong_info, self.config.zero_shot, self.splits.test
        truncate = self.config.strong.truncate
        check_head(info)
        check_answers(load_tokenizer(info.source), Form(settings.answers, settings.question))
        params = {
            "model": info.identity,
            "settings": settings.model_dump(mode="json"),
            "truncate": truncate,
            "predicted": test.content,
        }
        run = partial(
            zero_shot_step,
            model=info.name,
            rows=test,
            settings=settings,
            truncate=truncate,
            device=self.device,
        )
        cost = forward_cost(info, self.lengths["strong"].tokens["test"], len(test))
        return self.add(
            Stage("zero_shot", "strong model, zero-shot", params, run, self.home, cost=cost)
        )

    def probe(self, name: str, method: Method, weak: Stage) -> Stage:
        """Stage that fits a probe on weak labels, or on truth, and predicts the test rows."""
        store, rows, on_truth = self.store, self.splits.strong_train, method.labels == "truth"
        given = self.probe_settings(name, method, weak)
        params = {**self.probe_params(method, given), "predicted": self.splits.test.content}
        inputs = {"store": store, **given.inputs}
        if on_truth:
            params["truth"] = fingerprint(rows.labels.tolist())
        else:
            inputs["labels"] = weak
        run = partial(
            probe_step,
            method=method,
            **given.arguments,
            store=store.folder,
            labels=None if on_truth else label_file(weak.folder),
            rows=rows,
            predicted=self.splits.test,
        )
        plain = method == Method(predicts="probe", probe=method.probe)
        title = f"{method.probe} probe" if plain else f"probe {name}"
        cost = probe_cost(self.strong_info, len(rows))
        return self.add(Stage("probe", title, params, run, self.home, inputs, cost=cost))

    def student(self, name: str, method: Method, weak: Stage) -> list[Stage]:
        """Stages of a student: its curated labels, if any, its training, and its students'."""
        plain = "student" if method.loss == "xent" else f"student_{method.loss}"
        if method.labels == "truth":
            return [self.strong(f"strong {plain} on truth", method.loss)]
        if method.curation is None and method.function is None:
            return self.students(f"strong {plain}", method, weak)
        curated = self.curate(name, method, weak)
        return [curated, *self.students(f"strong student on {name} labels", method, curated)]

    def students(self, title: str, method: Method, labels: Stage) -> list[Stage]:
        """Stages of a student, of its students and of the labels between them."""
        stages = [self.strong(title, method.loss, labels)]
        stop = self.config.strong_to_strong.stop_at is not None
        how = ", cross-fitted" if method.cross_fit else ""
        for number in range(1, method.iterations + 1):
            student = stages[-1]
            labels = self.relabel(f"labels {number} of {title}{how}", method, labels, student)
            name = f"{title}{how}, iteration {number}"
            # only where it may stop there is the student before an input
            last = self.strong(name, method.loss, labels, student if stop else None)
            stages += [labels, last]
        return stages

    def relabel(self, title: str, method: Method, given: Stage, student: Stage) -> Stage:
        """Stage that gives the strong-train rows the labels of a student."""
        rows, config = self.splits.strong_train, self.config.strong_to_strong
        settings = self.config.strong.settings(method.loss)
        params: dict[str, Any] = {"stop_at": config.stop_at}
        inputs = {"labels": given}
        if method.cross_fit:
            _check_folds(f"strong_to_strong.cv is {config.cv}", rows.groups, len(rows), config.cv)
            params |= self.trained(self.strong_info, settings, rows)
            params |= {"cv": config.cv, "groups": _groups(rows)}
        else:
            params |= {"train": rows.content, "val": self.splits.val.content}
            inputs["student"] = student
        run = partial(
            relabel_step,
            model=self.strong_info.name,
            given=given.folder,
            student=student.folder,
            rows=rows,
            val=self.splits.val,
            settings=settings.model_copy(
                update={"precision": training_precision(self.strong_info, settings, self.place)}
            ),
            cv=config.cv if method.cross_fit else None,
            stop_at=config.stop_at,
            device=self.device,
            prefixes=self.cache / "prefixes",
        )
        cost = self.relabel_cost(method, settings)
        return self.add(
            Stage("relabel", title, params, run, self.home, inputs, resumable=True, cost=cost)
        )

    def relabel_cost(self, method: Method, settings: TrainSettings) -> Cost:
        """Of one student's predictions, or of as many students as there are folds."""
        tokens, rows = self.lengths["strong"].tokens, self.splits.strong_train
        if not method.cross_fit:
            return forward_cost(self.strong_info, tokens["strong_train"], len(rows))
        cv = self.config.strong_to_strong.cv
        cost = train_cost(
            self.strong_info,
            settings,
            training_precision(self.strong_info, settings, self.place),
            trained=tokens["strong_train"] * (cv - 1) // cv,
            val=tokens["val"],
            predicted=tokens["strong_train"] // cv,
        )
        return dataclasses.replace(cost, flops=cv * cost.flops)

    def curate(self, name: str, method: Method, weak: Stage) -> Stage:
        """Stage that relabels or filters the weak labels."""
        rows, val = self.splits.strong_train, self.splits.val
        common: dict[str, Any] = {"labels": label_file(weak.folder), "rows": rows, "val": val}
        params: dict[str, Any] = {"curation": method.curation, "val": val.content}
        inputs = {"labels": weak}
        run: Callable[[Path], None]
        if method.same_size_as is not None:
            like = self.curate(method.same_size_as, self.config.entries[method.same_size_as], weak)
            params["seed"] = seed = self.config.strong.seed
            inputs["same_size_as"] = like
            same_size_as = label_file(like.folder)
            run = partial(random_filter_step, **common, same_size_as=same_size_as, seed=seed)
            return self.add(Stage("curate", f"{name} labels", params, run, self.home, inputs))
        given = self.probe_settings(name, method, weak)
        cost = probe_cost(self.strong_info, len(rows))
        inputs |= {"store": self.store, **given.inputs}
        common["store"] = self.store.folder
        if method.function is not None:
            layer = given.layer
            if layer is None:
                raise InputError(
                    f"layer auto for the function of {name}",
                    allowed="a layer number, or mid: only probes have something to choose by",
                    advice=f"Name one: define.{name}.layer.",
                )
            function = CurationFunction.load(method.function)
            params |= {"curation": "function", "function": function.spec, "layer": layer}
            params |= {"source": function.source, "fitted": rows.content}
            run = partial(function_step, **common, function=function, layer=layer)
        else:
            action: Action = "relabel" if method.curation == "relabel" else "filter"
            if action == "filter":
                check_rule(method.rule, given.settings.contamination, per_class=False)
            cv = method.folds(given.settings.cv)
            if isinstance(cv, int):
                _check_folds(f"cv of {name} is {cv}", rows.groups, len(rows), cv)
            elif cv is None and method.probe in ("logistic", "mass-mean"):
                _check_folds(CROSS_FITTED, rows.groups, len(rows), FOLDS)
            params |= self.probe_params(method, given)
            run = partial(curate_step, **common, **given.arguments, method=method, action=action)
        return self.add(
            Stage("curate", f"{name} labels", params, run, self.home, inputs, cost=cost)
        )

    def probe_settings(self, name: str, method: Method, weak: Stage) -> ProbeSettings:
        """Settings of this method's probe, and the stage that chooses what is `auto` in them."""
        own = method.probe_settings
        settings = self.config.probes.model_copy(update=own)
        path = f"define.{name}" if own else "probes"
        layer = _check_layer(path, settings, self.strong_info)
        field = "n_neighbors" if method.probe in ("knn", "topofilter") else "l2"
        is_auto = layer is None or (
            method.probe not in (None, "mass-mean") and getattr(settings, field) == AUTO
        )
        if field == "n_neighbors":
            _check_neighbors(path, method, settings, self.splits.strong_train)
        if method.function is not None or not is_auto:
            return ProbeSettings(settings, layer)
        return ProbeSettings(
            settings, layer, self.choice(name if own else "", field, settings, weak)
        )

    def choice(self, name: str, field: str, settings: ProbeConfig, weak: Stage) -> Stage:
        """Stage that chooses a layer, and k or a penalty, where they are `auto`."""
        rows, info, candidates = self.splits.strong_train, self.strong_info, settings.candidates
        spec = candidates.layers if settings.layer == AUTO else settings.layer
        layers = info.parse_layers(spec)
        value = getattr(settings, field)
        names = {"n_neighbors": "ks", "l2": "l2s"}
        values = list(getattr(candidates, names[field])) if value == AUTO else [value]
        _check_folds(CROSS_FITTED, rows.groups, len(rows), FOLDS)
        if field == "n_neighbors":
            most = _most_neighbors(rows.groups, len(rows), FOLDS)
            if min(values) > most:
                what = f"candidates.ks are {values}" if value == AUTO else f"n_neighbors is {value}"
                raise InputError(
                    f"probes.{what}",
                    allowed=f"up to {most}, the rows that the largest of {FOLDS} folds leaves of "
                    f"the {len(rows)} of strong_train",
                )
            values = [k for k in values if k <= most]
        tried: dict[str, Any] = {"layers": layers, names[field]: values, "rule": candidates.rule}
        inputs = {"store": self.store, "labels": weak}
        run = partial(
            choose_step,
            store=self.store.folder,
            labels=label_file(weak.folder),
            rows=rows,
            device=self.probe_device,
            **tried,
        )
        params = {**tried, "fitted": rows.content, "groups": _groups(rows)}
        cost = self.layers_cost(len(layers))
        title = f"choice of layer and {names[field]}" + (f" for {name}" if name else "")
        return self.add(
            Stage("choose", title, params, run, self.home, inputs, resumable=True, cost=cost)
        )

    def sweep(self, config: SweepConfig, weak: Stage) -> Stage:
        """Stage that scores probes on many layers and settings; no method reads it."""
        rows = ProbedRows.of_splits(self.splits)
        layers = list(self.strong_info.parse_layers(config.layers))
        _check_folds(CROSS_FITTED, rows.groups, len(rows.train), FOLDS)
        # of the rows as they are swept: copies of a text are left out together
        most = _most_neighbors(
            rows.groups, len(rows.train), None if config.leave_one_out else FOLDS
        )
        settings = SweepSettings(
            tuple(k for k in config.ks if k <= most),
            config.l2s,
            in_sample=config.in_sample,
            ceiling=config.ceiling,
            leave_one_out=config.leave_one_out,
        )
        run = partial(
            sweep_step,
            store=self.store.folder,
            labels=label_file(weak.folder),
            rows=rows,
            layers=layers,
            settings=settings,
            device=self.probe_device,
        )
        parts = {name: getattr(self.splits, name) for name in ("strong_train", "val", "test")}
        params = {
            "layers": layers,
            "settings": dataclasses.asdict(settings),
            "rows": {
                name: [part.content, fingerprint(part.labels.tolist())]
                for name, part in parts.items()
            },
            "groups": _groups(self.splits.strong_train),
        }
        cost = self.layers_cost(len(layers))
        inputs = {"store": self.store, "labels": weak}
        title = "sweep of layers and settings"
        return self.add(
            Stage("sweep", title, params, run, self.home, inputs, resumable=True, cost=cost)
        )

    @property
    def probe_device(self) -> str:
        """A probe takes a GPU where there is one, but on a cluster none is kept for it."""
        return "cpu" if self.device == "cpu" else "auto"

    def layers_cost(self, n_layers: int) -> Cost:
        """Of probes on so many layers, one after the other."""
        one = probe_cost(self.strong_info, len(self.splits.strong_train))
        return dataclasses.replace(one, flops=n_layers * one.flops)

    def probe_params(self, method: Method, given: ProbeSettings) -> dict[str, Any]:
        """What this probe and curation read; other settings do not move the address."""
        settings = given.settings
        used: dict[str, Any] = {
            "fitted": self.splits.strong_train.content,
            "probe": method.probe,
        }
        if given.choice is None:
            used["layer"] = given.layer
            if method.probe == "logistic":
                used["l2"] = settings.l2
            elif method.probe != "mass-mean":
                used["k"] = settings.n_neighbors
        if method.curation == "filter":
            used["contamination"] = settings.contamination
            if method.rule != "disagreement":
                used["rule"] = method.rule
        if method.curation:
            used["cv"] = method.folds(settings.cv)
            if self.splits.strong_train.groups is not None:
                used["groups"] = _groups(self.splits.strong_train)
        return used


def _groups(rows: Rows) -> str:
    return "" if rows.groups is None else fingerprint(rows.groups.tolist())


def _check_neighbors(path: str, method: Method, settings: ProbeConfig, rows: Rows) -> None:
    """Refuse more neighbours than a row has: curation leaves out its group, or its fold."""
    most = len(rows) - 1
    if method.curation is not None:
        most = _most_neighbors(rows.groups, len(rows), method.folds(settings.cv))
    if settings.n_neighbors != AUTO and settings.n_neighbors > most:
        raise InputError(
            f"{path}.n_neighbors is {settings.n_neighbors}",
            allowed=f"fewer than the {len(rows)} rows of strong_train, or auto"
            + (
                f"; with a row's group or fold left out, up to {most}"
                if most + 1 < len(rows)
                else ""
            ),
        )


def _most_neighbors(groups: np.ndarray | None, n_rows: int, cv: int | str | None) -> int:
    """How many neighbours every row has outside its group, or its fold."""
    together = folds_of(n_rows, cv, groups) if isinstance(cv, int) else groups
    return n_rows - n_left_out(together, itself=True)


def _check_layer(path: str, settings: ProbeConfig, info: ModelInfo) -> int | None:
    """Refuse what the model does not have; return the layer's number, None if it is chosen."""
    if settings.layer == AUTO:
        return None
    layers = info.parse_layers(settings.layer)
    if len(layers) != 1:
        raise InputError(
            f"{path}.layer is {settings.layer!r}", allowed="one layer number, mid, or auto"
        )
    return layers[0]


def _check_folds(what: str, groups: np.ndarray | None, n_rows: int, cv: int) -> None:
    """Refuse more folds than strong_train has rows or groups."""
    try:
        folds_of(n_rows, cv, groups)
    except InputError as error:
        raise InputError(what, allowed=f"{error.allowed} of strong_train") from error
