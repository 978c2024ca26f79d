"""From the experiments on one cut of a task's rows to their stages.

First the supervisors' labels; then votes on them, of all supervisors together; then curations,
which read votes; then votes on curated labels; then everything that is finetuned.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from w2sprobe.checks import n_left_out
from w2sprobe.data import Rows, Splits
from w2sprobe.devices import resolve_device
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import ExperimentConfig, ZeroShotConfig
from w2sprobe.experiments.costs import (
    Lengths,
    extract_cost,
    forward_cost,
    train_cost,
    votes_cost,
)
from w2sprobe.experiments.functions import CurationFunction
from w2sprobe.experiments.methods import (
    FINETUNED,
    Method,
)
from w2sprobe.experiments.needs import Needs, check_folds
from w2sprobe.experiments.readings import Reading, VotesPlan
from w2sprobe.experiments.shared_runs import RUNS
from w2sprobe.experiments.stages import Cost, Stage, Work
from w2sprobe.experiments.steps import (
    TRUTH,
    AuditTask,
    CastVotes,
    Curate,
    CurateByFunction,
    Extract,
    FilterAtRandom,
    Indicators,
    Noise,
    Relabel,
    Train,
    ZeroShot,
)
from w2sprobe.experiments.supervisors import FinetunedSupervisor, States
from w2sprobe.extraction import store_identity
from w2sprobe.fingerprint import fingerprint
from w2sprobe.folds import folds_of
from w2sprobe.models import ModelInfo, load_tokenizer
from w2sprobe.probing.rows import ProbedRows
from w2sprobe.training.requirements import training_precision
from w2sprobe.training.settings import TrainSettings
from w2sprobe.training.zero_shot import Form, check_answers, check_head
from w2sprobe.votes.table import TRAIN


@dataclass(frozen=True)
class Planned:
    """A method of an experiment, and where its test predictions come from.

    Parameters
    ----------
    method : Method
    stages : list of Stage
        Its own; the last one holds the predictions.
    reading : Reading, optional
        Votes that the predictions are, where the learner is a probe.
    weak : Stage, optional
        Supervisor whose predictions are averaged in.
    curator : Reading, optional
        Votes by which its labels were curated.
    """

    method: Method
    stages: list[Stage]
    reading: Reading | None = None
    weak: Stage | None = None
    curator: Reading | None = None


@dataclass(frozen=True)
class Experiment:
    """One task, supervisor, strong model and run, and the stages that give its results.

    Parameters
    ----------
    config : ExperimentConfig
    splits : Splits
    layer : int or None
        The probes' layer, where a method has none of its own; None where it is chosen.
    truncated : dict of str to int
        Rows cut to the context, by model.
    stages : list of Stage
        In an order in which every stage follows its inputs; other experiments may have some, too.
    methods : dict of str to Planned
    ceilings : dict of str to str
        By method whose learner is a probe: the method that is the same learner on truth.
    left_out : dict of str to str
        Methods that cannot be run here, and why.
    sweep : Reading, optional
        Votes of the sweep for the report.
    """

    config: ExperimentConfig
    splits: Splits
    layer: int | None
    truncated: dict[str, int]
    stages: list[Stage] = field(default_factory=list)
    methods: dict[str, Planned] = field(default_factory=dict)
    ceilings: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    sweep: Reading | None = None


@dataclass(frozen=True)
class Cut:
    """Rows of a task, cut once, and what is known of the models that read them.

    Parameters
    ----------
    splits : Splits
    everywhere : Rows
        Rows whose activations are stored: those of all cuts of the task.
    weak_everywhere : Rows
        The same for weak models, whose own training rows are among them.
    """

    splits: Splits
    everywhere: Rows
    weak_everywhere: Rows


class Builder:
    """Lays out the stages of experiments on one cut, sharing those that are the same.

    Parameters
    ----------
    configs : sequence of ExperimentConfig
        With one task and split, and one strong model but for its seed.
    cut : Cut
    infos : dict of str to ModelInfo
        By name of the model.
    lengths : dict of str to Lengths
        In tokens, by name of the model.
    cache : Path
    device : str
    known : dict of str to Stage
        Stages by address, of all experiments so far; new ones are added.
    """

    def __init__(
        self,
        configs: Sequence[ExperimentConfig],
        cut: Cut,
        infos: dict[str, ModelInfo],
        lengths: dict[str, Lengths],
        cache: Path,
        device: str,
        known: dict[str, Stage],
    ) -> None:
        self.configs, self.cut, self.splits = configs, cut, cut.splits
        self.blind = cut.splits.blind  # what all work is given that need not know the truth
        self.infos, self.lengths, self.device, self.known = infos, lengths, device, known
        self.strong_model = configs[0].strong
        self.strong_info = infos[self.strong_model.model]
        self.cache, self.home = cache, cache / "stages"
        self.place = resolve_device(device)
        self.n_titles: dict[str, int] = {}  # of stages with votes
        self.groups = ProbedRows.of_rows(self.splits.strong_train, {}).groups
        self._most_by_folds: dict[int, int] = {}  # every method asks
        # a probe takes a GPU where there is one, but on a cluster none is kept for it
        probes = "cpu" if device == "cpu" else "auto"
        self.votes = VotesPlan(self.splits, probes, self._votes_stage)

    def build(self) -> list[Experiment]:
        """Lay out the stages of every experiment.

        Raises
        ------
        InputError
            Settings that model or rows do not allow; a model that cannot answer zero-shot.
        MissingDependency
            A method needs a package that is not installed.
        """
        parts = [_Part(self, config) for config in self.configs]
        for part in parts:
            part.read_votes()
        self.votes.cast("votes")
        for part in parts:
            part.curate()
        self.votes.cast("votes on curated labels")
        return [part.finish() for part in parts]

    def stage(
        self, work: Work, title: str, cost: Cost | None = None, place: Path | None = None
    ) -> Stage:
        """Add a stage, or find the one that does the same, here or in another experiment."""
        made = Stage(work, title, self.home, place, cost or Cost())
        return self.known.setdefault(made.address, made)

    @cached_property
    def audit(self) -> Stage:
        """Stage that looks for what could make the results mean something else."""
        weak = dict.fromkeys(getattr(config.weak, "model", None) for config in self.configs)
        names = [name for name in weak if name is not None]
        models = {
            "the weak model" if len(names) == 1 else f"the weak model {name}": self.infos[name]
            for name in names
        }
        return self.stage(
            AuditTask(self.splits, {**models, "the strong model": self.strong_info}),
            "audit of the task",
        )

    def finetuned_supervisor(self, weak: FinetunedSupervisor) -> Stage:
        """Stage that finetunes the weak model on truth and predicts all stored rows."""
        return self.train("weak model on truth", weak.model, weak.settings(weak.loss), "weak_train")

    def asked(self, model: str, settings: Any, rows: Rows, *, truncate: bool) -> Stage:
        """Stage that asks a model for the labels of rows.

        Raises
        ------
        InputError
            It has no language-model head, or does not tell the answers apart.
        """
        info = self.infos[model]
        check_head(info)
        form = ZeroShotConfig(question=settings.question, answers=settings.answers)
        check_answers(load_tokenizer(info.source), Form(form.answers, form.question))
        work = ZeroShot(info, rows, form, truncate, device=self.device)
        tokens = self.lengths[model].tokens
        n_tokens = sum(tokens[name] for name, part in self.blind.items() if part is rows) or (
            self.lengths[model].stored
        )
        title = "strong model, zero-shot" if rows is self.blind.test else f"{model}, zero-shot"
        return self.stage(work, title, forward_cost(info, n_tokens, len(rows)))

    def train(
        self,
        title: str,
        model: str,
        settings: TrainSettings,
        split: str,
        labels: Stage | None = None,
        previous: Stage | None = None,
    ) -> Stage:
        """Stage that finetunes on truth, or on the labels of another stage."""
        info, tokens = self.infos[model], self.lengths[model].tokens
        known = self.splits if labels is None else self.blind
        precision = training_precision(info, settings, self.place)
        weak = split == "weak_train"
        work = Train(
            info,
            settings,
            precision,
            known[split],
            known.val,
            self.blind.stored if weak else self.blind.test,
            labels,
            previous,
            device=self.device,
            prefixes=self.cache / "prefixes",
            runs=self.cache / RUNS,
            title=title,
        )
        cost = train_cost(
            info,
            settings,
            precision,
            trained=tokens[split],
            val=tokens["val"],
            predicted=self.lengths[model].stored if weak else tokens["test"],
        )
        return self.stage(work, title, cost)

    @cached_property
    def store(self) -> Stage:
        """Stage that caches the strong base model's activations."""
        config, info, rows = self.strong_model, self.strong_info, self.cut.everywhere
        identity = store_identity(
            info,
            rows.ids.tolist(),
            rows.texts,
            position=self.configs[0].probes.position,
            truncate=config.truncate,
        )
        work = Extract(identity, "all", info, rows=rows, device=self.device)
        n_tokens = self.lengths[config.model].stored * len(rows) // len(self.splits.stored)
        return self.stage(
            work,
            "activations of the strong base model",
            extract_cost(info, n_tokens, len(rows), len(info.layers)),
            self.cache / "stores" / fingerprint(identity),
        )

    def weak_store(self, states: States) -> Stage:
        """Stage that keeps one layer of a weak base model."""
        info, rows = self.infos[states.model], self.cut.weak_everywhere
        identity = store_identity(
            info,
            rows.ids.tolist(),
            rows.texts,
            position=states.position,
            truncate=states.truncate,
        )
        work = Extract(identity, self.weak_layer(states), info, rows=rows, device=self.device)
        n_tokens = sum(self.lengths[states.model].tokens.values())
        return self.stage(
            work, f"activations of {states.model}", extract_cost(info, n_tokens, len(rows), 1)
        )

    def weak_layer(self, states: States) -> int:
        """Number of the weak model's layer.

        Raises
        ------
        InputError
            It has no such layer, or several are named.
        """
        layers = self.infos[states.model].parse_layers(states.layer)
        if len(layers) != 1:
            raise InputError(f"weak.layer is {states.layer!r}", allowed="one layer")
        return layers[0]

    def _votes_stage(self, work: CastVotes, title: str) -> Stage:
        n_layers, n_labels = len(work.spec.layers.split(",")), len(work.labels) + work.truth
        hidden = self.strong_info.hidden_size
        cost = votes_cost(hidden, len(self.splits.strong_train), n_layers, n_labels)
        return self.stage(work, self._new_title(work, title), cost)

    def _new_title(self, work: CastVotes, title: str) -> str:
        """Name the probes, and a number where others have the same: results tell by titles."""
        how = "" if work.spec.preprocess == "none" else f", {work.spec.preprocess}"
        plain = f"{title}: {', '.join(work.spec.probes)}{how}"
        self.n_titles[plain] = self.n_titles.get(plain, 0) + 1
        return plain if self.n_titles[plain] == 1 else f"{plain} ({self.n_titles[plain]})"

    def most_by_folds(self, cv: int) -> int:
        """Neighbours that every row has outside its fold, of so many."""
        if cv not in self._most_by_folds:
            folds = folds_of(len(self.splits.strong_train), cv, self.groups)
            self._most_by_folds[cv] = len(folds) - n_left_out(folds, itself=True)
        return self._most_by_folds[cv]


class _Part:
    """One experiment while its stages are laid out."""

    def __init__(self, builder: Builder, config: ExperimentConfig) -> None:
        self.builder, self.config = builder, config
        self.splits, self.info = builder.splits, builder.strong_info
        self.audit = builder.audit
        self.weak = config.weak.stage(builder)
        self.needs = Needs(builder, config, self.weak)
        self.who = self.needs.who
        self.layer = self.needs.one_layer("probes", config.probes)
        self.readings: dict[str, Reading] = {}  # of learners, by method
        self.curators: dict[str, Reading] = {}
        self.curated: dict[str, Stage] = {}
        self.left_out: dict[str, str] = {}
        self.ceilings: dict[str, str] = {}
        self.methods = self._methods()
        self.indicators: Reading | None = None
        self.sweep: Reading | None = None

    def _methods(self) -> dict[str, Method]:
        """Methods to run, with the ceiling of every learner that is a probe."""
        config, entries = self.config, self.config.entries
        found: dict[str, Method] = {}
        for name in config.methods:
            method = entries[name]
            if method.states == "weak" and config.weak.states is None:
                self.left_out[name] = f"{config.weak.label} has no activations to learn from."
            elif name == "ceiling" and config.ceiling != FINETUNED:
                found[name] = Method(labels="truth", learner=config.ceiling)
            else:
                found[name] = method
        known = {method: name for name, method in entries.items()}
        for name, method in list(found.items()):
            own = method.own_ceiling
            if own is None or own == found["ceiling"]:
                continue
            new = f"{name}_on_truth"
            taken = new in entries and entries[new] != own
            self.ceilings[name] = known.setdefault(own, f"{name}_own_ceiling" if taken else new)
            found.setdefault(self.ceilings[name], own)
        return found

    def labels(self, method: Method) -> tuple[str, Stage | None]:
        """Name and stage of the labels that a method begins with; None of truth."""
        if method.labels == "truth":
            return TRUTH, None
        if method.labels == "weak":
            return self.who, self.weak
        soft, seed = method.labels == "soft_noise", self.config.strong.seed
        title = f"{'soft noise' if soft else 'noise'} {seed} like {self.who}"
        rows, val = self.splits.strong_train, self.splits.val
        work = Noise(self.weak, rows, val, soft, seed)
        return title, self.builder.stage(work, title)

    def read_votes(self) -> None:
        """Note what is read of votes on labels that are not curated by them."""
        for name, method in self.methods.items():
            self.needs.check_curation(name, method)
            if method.curation in ("relabel", "filter"):
                self.curators[name] = self.needs.curator(name, method)
            elif method.learns_by_probe and not method.filters and not method.curation:
                self.readings[name] = self.needs.learner(name, method, *self.labels(method))
            like = method.same_size_as
            if like is not None and self.config.entries[like].function is None:
                self.needs.check_curation(like, self.config.entries[like])
                self.curators[like] = self.needs.curator(like, self.config.entries[like])
        if self.config.sweep is not None:
            self.sweep = self.needs.sweep(self.config.sweep)
        functions = any(method.function for method in self.methods.values())
        if functions or "store" in vars(self.builder):  # else it is not worth its disk space
            self.indicators = self.needs.indicators(self.layer)

    def curate(self) -> None:
        """Lay out curations, and note what learners read of votes on their labels."""
        for name, method in self.methods.items():
            if method.curation or method.function:
                stage = self._curated(name, method)
                if method.learns_by_probe:
                    apart = " after topofilter" if self._may_be_refused(method) else " curated"
                    drawn = f" {self.config.strong.seed}" * (method.same_size_as is not None)
                    vector = f"{name}{drawn} of {self.who}"
                    self.readings[name] = self.needs.learner(
                        name, method, vector, stage, apart=apart
                    )

    def _may_be_refused(self, method: Method) -> bool:
        """Whether labels are what TopoFilter leaves, which needs hard labels of both classes."""
        like = method if method.same_size_as is None else self.config.entries[method.same_size_as]
        return like.probe == "topofilter"

    def finish(self) -> Experiment:
        """Lay out what is finetuned, and the experiment."""
        planned = {name: self._planned(name, method) for name, method in self.methods.items()}
        needed = [self.audit, *(stage for one in planned.values() for stage in one.stages)]
        if self.sweep is not None:
            needed.append(self.sweep.stage)
        if self.indicators is not None:
            needed.append(self._indicators_stage(self.indicators))
        inside = _with_inputs(needed)
        return Experiment(
            self.config,
            self.splits,
            self.layer,
            {role: one.n_truncated for role, one in self._lengths().items()},
            [stage for address, stage in self.builder.known.items() if address in inside],
            planned,
            self.ceilings,
            self.left_out,
            self.sweep,
        )

    def _lengths(self) -> dict[str, Lengths]:
        models = {
            "weak": getattr(self.config.weak, "model", None),
            "strong": self.config.strong.model,
        }
        return {role: self.builder.lengths[name] for role, name in models.items() if name}

    def _planned(self, name: str, method: Method) -> Planned:
        weak = self.weak if method.with_weak else None
        if method.predicts == "weak":
            return Planned(method, [self.weak])
        if method.predicts == "ceiling":
            return Planned(
                method, [self._strong("strong ceiling on truth", self.config.strong.loss)]
            )
        if method.predicts == "zero_shot":
            test, truncate = self.builder.blind.test, self.config.strong.truncate
            settings = self.config.zero_shot
            model = self.config.strong.model
            return Planned(method, [self.builder.asked(model, settings, test, truncate=truncate)])
        curated = [self.curated[name]] if name in self.curated else []
        curator = self.curators.get(name)
        if method.learns_by_probe:
            reading = self.readings[name]
            return Planned(method, [*curated, reading.stage], reading, weak, curator)
        return Planned(method, [*curated, *self._students(name, method)], None, weak, curator)

    def _students(self, name: str, method: Method) -> list[Stage]:
        """Stages of a student, of its students and of the labels between them."""
        plain = "student" if method.loss == "xent" else f"student_{method.loss}"
        vector, labels = self.labels(method)
        if labels is None:
            return [self._strong(f"strong {plain} on truth", method.loss)]
        title = f"strong {plain}" if method.labels == "weak" else f"strong {plain} on {vector}"
        if name in self.curated:
            title, labels = f"strong student on {name} labels", self.curated[name]
        stages = [self._strong(title, method.loss, labels)]
        stop = self.config.strong_to_strong.stop_at is not None
        how = ", cross-fitted" if method.cross_fit else ""
        given = labels
        for number in range(1, method.iterations + 1):
            student = stages[-1]
            given = self._relabel(f"labels {number} of {title}{how}", method, given, student)
            # only where it may stop is the student before an input
            again = f"{title}{how}, iteration {number}"
            stages += [given, self._strong(again, method.loss, given, student if stop else None)]
        return stages

    def _strong(
        self, title: str, loss: str, labels: Stage | None = None, previous: Stage | None = None
    ) -> Stage:
        """Stage that finetunes the strong model on the strong-train rows."""
        model = self.config.strong
        return self.builder.train(
            title, model.model, model.settings(loss), "strong_train", labels, previous
        )

    def _relabel(self, title: str, method: Method, given: Stage, student: Stage) -> Stage:
        """Stage that gives the strong-train rows the labels of a student."""
        builder, config = self.builder, self.config.strong_to_strong
        rows, val = builder.blind.strong_train, builder.blind.val
        settings = self.config.strong.settings(method.loss)
        precision = training_precision(self.info, settings, builder.place)
        tokens = builder.lengths[self.config.strong.model].tokens
        cost = forward_cost(self.info, tokens["strong_train"], len(rows))
        if method.cross_fit:
            check_folds(f"strong_to_strong.cv is {config.cv}", rows.groups, len(rows), config.cv)
            one = train_cost(
                self.info,
                settings,
                precision,
                trained=tokens["strong_train"] * (config.cv - 1) // config.cv,
                val=tokens["val"],
                predicted=tokens["strong_train"] // config.cv,
            )
            cost = dataclasses.replace(one, flops=config.cv * one.flops)
        work = Relabel(
            given,
            None if method.cross_fit else student,
            self.info,
            settings,
            precision,
            rows,
            val,
            config.cv if method.cross_fit else 0,
            config.stop_at,
            device=builder.device,
            prefixes=builder.cache / "prefixes",
        )
        return builder.stage(work, title, cost)

    def _curated(self, name: str, method: Method) -> Stage:
        """Stage that relabels or filters the supervisor's labels."""
        if name in self.curated:
            return self.curated[name]
        builder = self.builder
        rows, val = builder.blind.strong_train, builder.blind.val
        work: Work
        if method.same_size_as is not None:
            like = self._curated(method.same_size_as, self.config.entries[method.same_size_as])
            work = FilterAtRandom(self.weak, like, rows, val, self.config.strong.seed)
        elif method.function is not None:
            settings = self.needs.settings(method)
            layer = self.needs.one_layer(f"define.{name}", settings)
            if layer is None:
                raise InputError(
                    f"layer auto for the function of {name}",
                    allowed="a layer number, or mid: only probes have something to choose by",
                    advice=f"Name one: define.{name}.layer.",
                )
            function = CurationFunction.load(method.function)
            work = CurateByFunction(builder.store, self.weak, function, layer, rows, val)
        else:
            reading, settings = self.curators[name], self.needs.settings(method)
            filters = method.curation == "filter"
            work = Curate(
                reading.stage,
                reading.pick,
                self.weak,
                self.needs.split(method, settings),
                "filter" if filters else "relabel",
                method.rule,
                settings.contamination if filters else None,
                settings.per_class,
                rows,
                val,
            )
        # where supervisors are voted on together, others' labels are among an experiment's inputs
        whose = "" if self.config.weak.finetunes else f" of {self.config.weak.full_label}"
        self.curated[name] = builder.stage(work, f"{name} labels{whose}")
        return self.curated[name]

    def _indicators_stage(self, reading: Reading) -> Stage:
        """Stage that computes what is said to predict the gain, without any truth."""
        states = self.config.weak.states
        work = Indicators(
            self.builder.store,
            None if states is None else self.builder.weak_store(states),
            None if states is None else self.builder.weak_layer(states),
            reading.stage,
            reading.pick,
            TRAIN,
            self.weak,
            self.builder.blind.strong_train,
        )
        return self.builder.stage(work, "indicators of the gain")


def _with_inputs(stages: list[Stage]) -> set[str]:
    """Addresses of stages and of all that they need."""
    found: set[str] = set()
    open_ = list(stages)
    while open_:
        stage = open_.pop()
        if stage.address not in found:
            found.add(stage.address)
            open_ += stage.inputs.values()
    return found
