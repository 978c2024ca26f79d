"""Stages that the experiments on one cut of a task's rows share: stores, trainings, votes."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from w2sprobe.chat import template_hash
from w2sprobe.checks import n_left_out
from w2sprobe.data import Rows
from w2sprobe.devices import resolve_device
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import ExperimentConfig, ZeroShotConfig
from w2sprobe.experiments.costs import (
    TokenCounts,
    extract_cost,
    forward_cost,
    train_cost,
    votes_cost,
)
from w2sprobe.experiments.experiment import Cut
from w2sprobe.experiments.shared_runs import RUNS
from w2sprobe.experiments.stage_kinds import (
    AuditTask,
    CastVotes,
    Extract,
    Train,
    ZeroShot,
)
from w2sprobe.experiments.stages import Cost, Stage, Work
from w2sprobe.experiments.supervisors import FinetunedSupervisor, WeakStates
from w2sprobe.experiments.votes_plan import VotesPlan
from w2sprobe.extraction import store_identity
from w2sprobe.fingerprint import fingerprint
from w2sprobe.folds import folds_of
from w2sprobe.models import ModelInfo, check_head, load_tokenizer
from w2sprobe.probing.rows import ProbedRows
from w2sprobe.training.requirements import training_precision
from w2sprobe.training.settings import TrainSettings
from w2sprobe.training.zero_shot import PromptTemplate, check_answers, check_texts


class Builder:
    """Makes the stages of the experiments on one cut of the rows; equal work becomes one stage.

    Parameters
    ----------
    configs : sequence of ExperimentConfig
        Configs with the same task, split and strong model, apart from its seed.
    infos : dict of str to ModelInfo
        By name of the model.
    lengths : dict of str to TokenCounts
        By name of the model.
    known : dict of str to Stage
        Stages of all experiments so far, by address; new ones are added.
    """

    def __init__(
        self,
        configs: Sequence[ExperimentConfig],
        cut: Cut,
        infos: dict[str, ModelInfo],
        lengths: dict[str, TokenCounts],
        cache: Path,
        device: str,
        known: dict[str, Stage],
    ) -> None:
        self.configs, self.cut, self.splits = configs, cut, cut.splits
        self.blind = cut.splits.blind  # without true labels, for all work that does not need them
        self.infos, self.lengths, self.device, self.known = infos, lengths, device, known
        self.strong_model = configs[0].strong
        self.strong_info = infos[self.strong_model.model]
        self.cache, self.home = cache, cache / "stages"
        self.torch_device = resolve_device(device)
        self.n_titles: dict[str, int] = {}  # numbers of stages of votes, by title
        self.groups = ProbedRows.of_rows(self.splits.strong_train, {}).groups
        self._most_by_folds: dict[int, int] = {}
        # probes use a GPU if there is one, but do not request one on a cluster
        probes = "cpu" if device == "cpu" else "auto"
        self.votes = VotesPlan(self.splits, probes, self._votes_stage)

    def stage(
        self, work: Work, title: str, cost: Cost | None = None, own_folder: Path | None = None
    ) -> Stage:
        """Add a stage, or return a known one that does the same."""
        made = Stage(work, title, self.home, own_folder, cost or Cost())
        return self.known.setdefault(made.address, made)

    @cached_property
    def audit(self) -> Stage:
        """Stage that audits the task."""
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
        """Stage that prompts a model for the labels of rows.

        Raises
        ------
        InputError
            The model has no language-model head, or cannot tell the answers apart; or the rows are
            conversations.
        """
        info = self.infos[model]
        check_head(info)
        check_texts(rows)
        form = ZeroShotConfig(question=settings.question, answers=settings.answers)
        check_answers(load_tokenizer(info.source), PromptTemplate(form.answers, form.question))
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
        precision = training_precision(info, settings, self.torch_device)
        weak = split == "weak_train"
        work = Train(
            self._with_template(info),
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

    def _with_template(self, info: ModelInfo) -> ModelInfo:
        """Model of a stage that reads conversations: their template is part of its identity."""
        if not self.splits.test.chats:
            return info
        template = template_hash(load_tokenizer(info.source))
        return replace(info, identity={**info.identity, "chat_template": template})

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
            chats=rows.chats,
        )
        work = Extract(identity, "all", info, rows=rows, device=self.device)
        n_tokens = self.lengths[config.model].stored * len(rows) // len(self.splits.stored)
        return self.stage(
            work,
            "activations of the strong base model",
            extract_cost(info, n_tokens, len(rows), len(info.layers)),
            self.cache / "stores" / fingerprint(identity),
        )

    def token_store(self, layers: tuple[int, ...]) -> Stage:
        """Stage that caches the strong base model's activations of all tokens, on some layers."""
        config, info, rows = self.strong_model, self.strong_info, self.cut.everywhere
        identity = store_identity(
            info,
            rows.ids.tolist(),
            rows.texts,
            position="all",
            truncate=config.truncate,
            chats=rows.chats,
        )
        names = ",".join(map(str, layers))
        work = Extract(identity, names, info, rows=rows, device=self.device)
        n_tokens = self.lengths[config.model].stored * len(rows) // len(self.splits.stored)
        # a vector for each token, where other stores have one for each row
        cost = extract_cost(info, n_tokens, n_tokens, len(layers))
        return self.stage(work, f"activations of all tokens, layers {names}", cost)

    def weak_store(self, states: WeakStates) -> Stage:
        """Stage that caches one layer of a weak base model's activations."""
        info, rows = self.infos[states.model], self.cut.weak_everywhere
        identity = store_identity(
            info,
            rows.ids.tolist(),
            rows.texts,
            position=states.position,
            truncate=states.truncate,
            chats=rows.chats,
        )
        work = Extract(identity, self.weak_layer(states), info, rows=rows, device=self.device)
        n_tokens = sum(self.lengths[states.model].tokens.values())
        return self.stage(
            work, f"activations of {states.model}", extract_cost(info, n_tokens, len(rows), 1)
        )

    def weak_layer(self, states: WeakStates) -> int:
        """Number of the weak model's layer.

        Raises
        ------
        InputError
            The model has no such layer, or the setting names several.
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
        """Title with the probes, and a number if it is taken, as results list stages by title."""
        how = "" if work.spec.preprocess == "none" else f", {work.spec.preprocess}"
        plain = f"{title}: {', '.join(work.spec.probes)}{how}"
        self.n_titles[plain] = self.n_titles.get(plain, 0) + 1
        return plain if self.n_titles[plain] == 1 else f"{plain} ({self.n_titles[plain]})"

    def most_by_folds(self, cv: int) -> int:
        """Largest number of neighbours that every row has outside its own fold, with `cv` folds."""
        if cv not in self._most_by_folds:
            folds = folds_of(len(self.splits.strong_train), cv, self.groups)
            self._most_by_folds[cv] = len(folds) - n_left_out(folds, itself=True)
        return self._most_by_folds[cv]
