"""From a config to stages, with every check that needs no model weights."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from w2sprobe.atomic import check_writable
from w2sprobe.cache import store_size_bytes
from w2sprobe.curation import Action
from w2sprobe.curation._rules import check_rule
from w2sprobe.data import Rows, Splits, join_rows
from w2sprobe.devices import rank_and_world, resolve_device, resolve_precision
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import ExperimentConfig, ModelConfig, ProbeConfig
from w2sprobe.experiments.functions import CurationFunction
from w2sprobe.experiments.methods import Method
from w2sprobe.experiments.stages import Stage
from w2sprobe.experiments.steps import (
    audit_step,
    curate_step,
    extract_step,
    function_step,
    label_file,
    probe_step,
    random_filter_step,
    relabel_step,
    train_step,
    zero_shot_step,
)
from w2sprobe.extraction import store_identity
from w2sprobe.fingerprint import fingerprint, fingerprint_strings
from w2sprobe.layers import parse_layers
from w2sprobe.models import ModelInfo, describe_model, load_tokenizer
from w2sprobe.tokens import tokenize
from w2sprobe.training.iterations import row_folds
from w2sprobe.training.requirements import check_requirements
from w2sprobe.training.settings import TrainSettings
from w2sprobe.training.zero_shot import Form, check_answers, check_head


@dataclass(frozen=True)
class Plan:
    """What an experiment will do.

    Parameters
    ----------
    config : ExperimentConfig
    splits : Splits
    layer : int
        The probes' layer, where a method has none of its own.
    truncated : dict of str to int
        Rows cut to the context, a model.
    store_bytes : int
        Disk that the activation store needs.
    stages : list of Stage
        In an order in which every stage follows its inputs.
    methods : dict of str to list of Stage
        The stages of a method's own, the last one holding its test predictions.
    """

    config: ExperimentConfig
    splits: Splits
    layer: int
    truncated: dict[str, int]
    store_bytes: int
    stages: list[Stage] = field(default_factory=list)
    methods: dict[str, list[Stage]] = field(default_factory=dict)


def make_plan(config: ExperimentConfig, *, cache: Path, out: Path, device: str = "auto") -> Plan:
    """Check all inputs and lay out the stages; loads no weights and writes nothing.

    Parameters
    ----------
    config : ExperimentConfig
    cache : Path
        Holds `stores/` and `stages/`.
    out : Path
        Folder of the results; only checked here.
    device : str, default "auto"

    Returns
    -------
    Plan

    Raises
    ------
    MissingDependency
        A method, or a model's `precision` or `report_to`, needs a package that is not installed.
    InputError
        Several processes; unknown task, model, layer or device; unusable rows; too few rows; texts
        too long without `truncate`; a strong model that cannot answer zero-shot; a place that
        cannot be written to.
    """
    _, world = rank_and_world()
    if world > 1:
        raise InputError(
            f"an experiment in {world} processes",
            allowed="one",
            advice="torchrun is for `w2sprobe train` and `w2sprobe extract`.",
        )
    check_writable(cache)
    check_writable(out)
    for model in (config.weak, config.strong):
        check_requirements(model)
    splits = config.task.load()
    weak, strong = describe_model(config.weak.model), describe_model(config.strong.model)
    layer = _check_probes("probes", config.probes, strong, len(splits.strong_train))
    truncated = {
        "weak": _count_truncated(weak, splits, truncate=config.weak.truncate),
        "strong": _count_truncated(strong, splits, truncate=config.strong.truncate),
    }
    stored = splits.stored
    plan = Plan(
        config,
        splits,
        layer,
        truncated,
        store_size_bytes(len(stored), strong.n_layers + 1, strong.hidden_size, strong.dtype),
    )
    _Builder(plan, weak, strong, stored, cache, device).build()
    return plan


class _Builder:
    """Adds the stages of each method to a plan, sharing those that are the same."""

    def __init__(
        self,
        plan: Plan,
        weak: ModelInfo,
        strong: ModelInfo,
        stored: Rows,
        cache: Path,
        device: str,
    ) -> None:
        self.plan, self.weak_info, self.strong_info = plan, weak, strong
        self.config, self.splits, self.device = plan.config, plan.splits, device
        self.stored, self.cache, self.home = stored, cache, cache / "stages"
        self.precision_of = partial(resolve_precision, device=resolve_device(device))
        self.by_address: dict[str, Stage] = {}

    def build(self) -> None:
        """Add the audit and every method's stages, in the order of the config."""
        truth = self.splits
        self.plan.stages.append(self.audit())
        weak = self.train(
            "weak model on truth",
            self.config.weak,
            self.weak_info,
            truth.weak_train,
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
            self.plan.methods[name] = own

    def audit(self) -> Stage:
        """Stage that looks for what could make the results mean something else."""
        weak, strong = self.weak_info, self.strong_info
        params = {
            "weak": weak.identity,
            "strong": strong.identity,
            "splits": {
                name: [_content(rows), fingerprint(rows.labels.tolist()), _groups(rows)]
                for name, rows in self.splits.items()
            },
        }
        run = partial(audit_step, splits=self.splits, weak=weak.name, strong=strong.name)
        return Stage("audit", "audit of the task", params, run, self.home)

    def add(self, stage: Stage) -> Stage:
        """Add a stage, or find the one that does the same."""
        known = self.by_address.setdefault(stage.address, stage)
        if known is stage:
            self.plan.stages.append(stage)
        return known

    def train(
        self,
        title: str,
        model: ModelConfig,
        info: ModelInfo,
        rows: Rows,
        *,
        loss: str,
        predicted: Rows,
        labels: Stage | None = None,
        previous: Stage | None = None,
    ) -> Stage:
        """Stage that finetunes on truth, or on the labels of another stage."""
        settings = model.settings(loss)
        params = {**self.trained(info, settings, rows), "predicted": _content(predicted)}
        if labels is None:
            params["truth"] = fingerprint([rows.labels.tolist(), self.splits.val.labels.tolist()])
        run = partial(
            train_step,
            model=info.name,
            rows=rows,
            val=self.splits.val,
            predicted=predicted,
            labels=label_file(labels.folder) if labels else None,
            settings=settings,
            device=self.device,
            prefixes=self.cache / "prefixes",
            previous=previous.folder if previous else None,
        )
        named = {"labels": labels, "previous": previous}
        inputs = {name: stage for name, stage in named.items() if stage}
        return self.add(Stage("train", title, params, run, self.home, inputs, resumable=True))

    def trained(self, info: ModelInfo, settings: TrainSettings, rows: Rows) -> dict[str, Any]:
        """What weights follow from, beside labels."""
        return {
            "model": info.identity,
            "settings": settings.identity,
            "precision": self.precision_of(settings.precision),
            "train": _content(rows),
            "val": _content(self.splits.val),
        }

    def strong(
        self, title: str, loss: str, labels: Stage | None = None, previous: Stage | None = None
    ) -> Stage:
        """Stage that finetunes the strong model on the strong-train rows."""
        return self.train(
            title,
            self.config.strong,
            self.strong_info,
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
        title = "activations of the strong base model"
        return self.add(
            Stage("extract", title, identity, run, self.home, place=place, resumable=True)
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
            "predicted": _content(test),
        }
        run = partial(
            zero_shot_step,
            model=info.name,
            rows=test,
            settings=settings,
            truncate=truncate,
            device=self.device,
        )
        return self.add(Stage("zero_shot", "strong model, zero-shot", params, run, self.home))

    def probe(self, name: str, method: Method, weak: Stage) -> Stage:
        """Stage that fits a probe on weak labels, or on truth, and predicts the test rows."""
        store, rows, on_truth = self.store, self.splits.strong_train, method.labels == "truth"
        settings, layer = self.probe_settings(name, method)
        params = {
            **self.probe_params(method, settings, layer),
            "predicted": _content(self.splits.test),
        }
        inputs = {"store": store}
        if on_truth:
            params["truth"] = fingerprint(rows.labels.tolist())
        else:
            inputs["labels"] = weak
        run = partial(
            probe_step,
            method=method,
            settings=settings,
            layer=layer,
            store=store.folder,
            labels=None if on_truth else label_file(weak.folder),
            rows=rows,
            predicted=self.splits.test,
        )
        plain = method == Method(predicts="probe", probe=method.probe)
        title = f"{method.probe} probe" if plain else f"probe {name}"
        return self.add(Stage("probe", title, params, run, self.home, inputs))

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
            _check_folds(rows, config.cv)
            params |= self.trained(self.strong_info, settings, rows)
            params |= {"cv": config.cv, "groups": _groups(rows)}
        else:
            params |= {"train": _content(rows), "val": _content(self.splits.val)}
            inputs["student"] = student
        run = partial(
            relabel_step,
            model=self.strong_info.name,
            given=given.folder,
            student=student.folder,
            rows=rows,
            val=self.splits.val,
            settings=settings,
            cv=config.cv if method.cross_fit else None,
            stop_at=config.stop_at,
            device=self.device,
            prefixes=self.cache / "prefixes",
        )
        return self.add(Stage("relabel", title, params, run, self.home, inputs, resumable=True))

    def curate(self, name: str, method: Method, weak: Stage) -> Stage:
        """Stage that relabels or filters the weak labels."""
        rows, val = self.splits.strong_train, self.splits.val
        common: dict[str, Any] = {"labels": label_file(weak.folder), "rows": rows, "val": val}
        params: dict[str, Any] = {"curation": method.curation, "val": _content(val)}
        inputs = {"labels": weak}
        run: Callable[[Path], None]
        if method.same_size_as is not None:
            like = self.curate(method.same_size_as, self.config.entries[method.same_size_as], weak)
            params["seed"] = seed = self.config.task.seed
            inputs["same_size_as"] = like
            same_size_as = label_file(like.folder)
            run = partial(random_filter_step, **common, same_size_as=same_size_as, seed=seed)
            return self.add(Stage("curate", f"{name} labels", params, run, self.home, inputs))
        settings, layer = self.probe_settings(name, method)
        inputs["store"] = self.store
        common |= {"layer": layer, "store": self.store.folder}
        if method.function is not None:
            function = CurationFunction.load(method.function)
            params |= {"curation": "function", "function": function.spec, "layer": layer}
            params |= {"source": function.source, "fitted": _content(rows)}
            run = partial(function_step, **common, function=function)
        else:
            action: Action = "relabel" if method.curation == "relabel" else "filter"
            if action == "filter":
                check_rule(method.rule, settings.contamination, per_class=False)
            params |= self.probe_params(method, settings, layer)
            run = partial(curate_step, **common, method=method, action=action, settings=settings)
        return self.add(Stage("curate", f"{name} labels", params, run, self.home, inputs))

    def probe_settings(self, name: str, method: Method) -> tuple[ProbeConfig, int]:
        """Settings of this method's probe, and its layer's number."""
        own = method.probe_settings
        if not own:
            return self.config.probes, self.plan.layer
        settings = self.config.probes.model_copy(update=own)
        n_rows = len(self.splits.strong_train)
        return settings, _check_probes(f"define.{name}", settings, self.strong_info, n_rows)

    def probe_params(self, method: Method, settings: ProbeConfig, layer: int) -> dict[str, Any]:
        """What this probe and curation read; other settings do not move the address."""
        used: dict[str, Any] = {
            "layer": layer,
            "fitted": _content(self.splits.strong_train),
            "probe": method.probe,
        }
        if method.probe == "logistic":
            used["l2"] = settings.l2
        elif method.probe != "mass-mean":
            used["k"] = settings.n_neighbors
        if method.curation == "filter":
            used["contamination"] = settings.contamination
            if method.rule != "disagreement":
                used["rule"] = method.rule
        if method.curation:
            used["cv"] = settings.cv
        return used


def _groups(rows: Rows) -> str:
    return "" if rows.groups is None else fingerprint(rows.groups.tolist())


def _content(rows: Rows) -> str:
    return fingerprint_strings(rows.ids.tolist(), rows.texts)


def _check_probes(path: str, settings: ProbeConfig, info: ModelInfo, n_rows: int) -> int:
    """Refuse what model and rows do not allow; return the layer's number."""
    layers = parse_layers(settings.layer, range(info.n_layers + 1))
    if len(layers) != 1:
        raise InputError(f"{path}.layer is {settings.layer!r}", allowed="one layer number, or mid")
    if settings.n_neighbors >= n_rows:
        raise InputError(
            f"{path}.n_neighbors is {settings.n_neighbors}",
            allowed=f"fewer than the {n_rows} rows of strong_train",
        )
    return layers[0]


def _check_folds(rows: Rows, cv: int) -> None:
    try:
        row_folds(rows, cv)
    except InputError as error:
        raise InputError(f"strong_to_strong.{error.what}", allowed=error.allowed) from error


def _count_truncated(info: ModelInfo, splits: Splits, *, truncate: bool) -> int:
    rows = join_rows(splits.weak_train, splits.strong_train, splits.val, splits.test)
    return tokenize(
        load_tokenizer(info.source),
        rows.ids.tolist(),
        rows.texts,
        max_tokens=info.max_tokens,
        truncate=truncate,
    ).n_truncated
