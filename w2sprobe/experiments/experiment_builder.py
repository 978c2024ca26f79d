"""Planning of the stages of the experiments on one cut of a task's rows.

The order is: labels of the supervisors; votes on these labels, for all supervisors together;
curations, which read votes; votes on curated labels; everything that is finetuned.
"""

import dataclasses
from collections.abc import Sequence

from w2sprobe.errors import InputError
from w2sprobe.experiments.builder import Builder
from w2sprobe.experiments.config import ExperimentConfig
from w2sprobe.experiments.costs import (
    TokenCounts,
    forward_cost,
    train_cost,
)
from w2sprobe.experiments.experiment import Experiment, PlannedMethod
from w2sprobe.experiments.functions import CurationFunction
from w2sprobe.experiments.methods import (
    FINETUNED,
    Method,
    ceiling_method,
)
from w2sprobe.experiments.stage_kinds import (
    TRUTH,
    Curate,
    CurateByFunction,
    FilterAtRandom,
    Indicators,
    Noise,
    Relabel,
)
from w2sprobe.experiments.stages import Stage, Work
from w2sprobe.experiments.transfer_plan import Target, plan_transfers
from w2sprobe.experiments.vote_requests import VoteRequests, check_folds
from w2sprobe.experiments.votes_plan import Reading
from w2sprobe.training.requirements import training_precision
from w2sprobe.votes.table import TRAIN


def build_experiments(builder: Builder, targets: Sequence[Target] = ()) -> list[Experiment]:
    """Plan the stages of every experiment, and of their tests on other tasks.

    Raises
    ------
    InputError
        Model or rows do not allow a setting, or a model cannot answer zero-shot.
    MissingDependency
        A method needs a package that is not installed.
    """
    experiments = [ExperimentBuilder(builder, config) for config in builder.configs]
    for one in experiments:
        one.request_votes()
    builder.votes.cast("votes")
    for one in experiments:
        one.curate()
    builder.votes.cast("votes on curated labels")
    return plan_transfers([one.finish() for one in experiments], builder, targets)


class ExperimentBuilder:
    """Plans the stages of one experiment, step by step."""

    def __init__(self, builder: Builder, config: ExperimentConfig) -> None:
        self.builder, self.config = builder, config
        self.splits, self.info = builder.splits, builder.strong_info
        self.audit = builder.audit
        self.weak = config.weak.stage(builder)
        self.requests = VoteRequests(builder, config, self.weak)
        self.weak_vector = self.requests.weak_vector
        self.layer = self.requests.one_layer("probes", config.probes)
        self.readings: dict[str, Reading] = {}  # votes of learners, by method
        self.curators: dict[str, Reading] = {}
        self.curated: dict[str, Stage] = {}
        self.left_out: dict[str, str] = {}
        self.ceilings: dict[str, str] = {}
        self.methods = self._methods()
        self.indicators: Reading | None = None
        self.sweep: Reading | None = None

    def _methods(self) -> dict[str, Method]:
        """Methods to run, with the own ceilings of all learners that are probes."""
        config, entries = self.config, self.config.entries
        found: dict[str, Method] = {}
        for name in config.methods:
            method = entries[name]
            if method.states == "weak" and config.weak.states is None:
                self.left_out[name] = f"{config.weak.label} has no activations to learn from."
            elif name == "ceiling" and config.ceiling != FINETUNED:
                found[name] = ceiling_method(config.ceiling)
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
        """Name and stage of a method's labels before curation; the stage is None for truth."""
        if method.labels == "truth":
            return TRUTH, None
        if method.labels == "weak":
            return self.weak_vector, self.weak
        soft, seed = method.labels == "soft_noise", self.config.strong.seed
        title = f"{'soft noise' if soft else 'noise'} {seed} like {self.weak_vector}"
        rows, val = self.splits.strong_train, self.splits.val
        work = Noise(self.weak, rows, val, soft, seed)
        return title, self.builder.stage(work, title)

    def request_votes(self) -> None:
        """Request the votes on labels that are not curated."""
        for name, method in self.methods.items():
            self.requests.check_curation(name, method)
            if method.curation in ("relabel", "filter"):
                self.curators[name] = self.requests.curator(name, method)
            elif method.learns_by_probe and not method.filters and not method.curation:
                self.readings[name] = self.requests.learner(name, method, *self.labels(method))
            like = method.same_size_as
            if like is not None and self.config.entries[like].function is None:
                self.requests.check_curation(like, self.config.entries[like])
                self.curators[like] = self.requests.curator(like, self.config.entries[like])
        if self.config.sweep is not None:
            self.sweep = self.requests.sweep(self.config.sweep)
        functions = any(method.function for method in self.methods.values())
        # indicators alone are not worth a store: only if the cached property is already used
        if functions or "store" in vars(self.builder):
            self.indicators = self.requests.indicators(self.layer)

    def curate(self) -> None:
        """Plan curations, and request the votes on their labels."""
        for name, method in self.methods.items():
            if method.curation or method.function:
                stage = self._curated(name, method)
                if method.learns_by_probe:
                    apart = " after topofilter" if self._may_be_refused(method) else " curated"
                    drawn = f" {self.config.strong.seed}" * (method.same_size_as is not None)
                    vector = f"{name}{drawn} of {self.weak_vector}"
                    self.readings[name] = self.requests.learner(
                        name, method, vector, stage, apart=apart
                    )

    def _may_be_refused(self, method: Method) -> bool:
        """Whether labels depend on TopoFilter, which fails if hard labels are of one class."""
        like = method if method.same_size_as is None else self.config.entries[method.same_size_as]
        return like.probe == "topofilter"

    def finish(self) -> Experiment:
        """Plan the finetuning, and return the experiment."""
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

    def _lengths(self) -> dict[str, TokenCounts]:
        models = {
            "weak": getattr(self.config.weak, "model", None),
            "strong": self.config.strong.model,
        }
        return {role: self.builder.lengths[name] for role, name in models.items() if name}

    def _planned(self, name: str, method: Method) -> PlannedMethod:
        weak = self.weak if method.with_weak else None
        if method.predicts == "weak":
            return PlannedMethod(method, [self.weak])
        if method.predicts == "ceiling":
            return PlannedMethod(
                method, [self._strong("strong ceiling on truth", self.config.strong.loss)]
            )
        if method.predicts == "zero_shot":
            test, truncate = self.builder.blind.test, self.config.strong.truncate
            settings = self.config.zero_shot
            model = self.config.strong.model
            return PlannedMethod(
                method, [self.builder.asked(model, settings, test, truncate=truncate)]
            )
        curated = [self.curated[name]] if name in self.curated else []
        curator = self.curators.get(name)
        if method.learns_by_probe:
            reading = self.readings[name]
            return PlannedMethod(method, [*curated, reading.stage], reading, weak, curator)
        return PlannedMethod(method, [*curated, *self._students(name, method)], None, weak, curator)

    def _students(self, name: str, method: Method) -> list[Stage]:
        """Stages of a student and of its iterations: labels, next student, and so on."""
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
            # the previous student is an input only if iterations may stop
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
        """Stage that relabels the strong-train rows by a student."""
        builder, config = self.builder, self.config.strong_to_strong
        rows, val = builder.blind.strong_train, builder.blind.val
        settings = self.config.strong.settings(method.loss)
        precision = training_precision(self.info, settings, builder.torch_device)
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
            settings = self.requests.settings(method)
            layer = self.requests.one_layer(f"define.{name}", settings)
            if layer is None:
                raise InputError(
                    f"layer auto for the function of {name}",
                    allowed="a layer number, or mid: only probes have something to choose by",
                    advice=f"Name one: define.{name}.layer.",
                )
            function = CurationFunction.load(method.function)
            work = CurateByFunction(builder.store, self.weak, function, layer, rows, val)
        else:
            reading, settings = self.curators[name], self.requests.settings(method)
            filters = method.curation == "filter"
            work = Curate(
                reading.stage,
                reading.pick,
                self.weak,
                self.requests.split(method, settings),
                "filter" if filters else "relabel",
                method.rule,
                settings.contamination if filters else None,
                settings.per_class,
                rows,
                val,
            )
        # experiments that share votes see each other's stages: titles name the supervisor
        whose = "" if self.config.weak.finetunes else f" of {self.config.weak.full_label}"
        self.curated[name] = builder.stage(work, f"{name} labels{whose}")
        return self.curated[name]

    def _indicators_stage(self, reading: Reading) -> Stage:
        """Stage that computes the label-free indicators of the gain."""
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
    """Addresses of stages and of all their inputs."""
    found: set[str] = set()
    pending = list(stages)
    while pending:
        stage = pending.pop()
        if stage.address not in found:
            found.add(stage.address)
            pending += stage.inputs.values()
    return found
