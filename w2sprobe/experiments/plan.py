"""From a study's config to stages, with every check that needs no model weights."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from w2sprobe.atomic import check_writable
from w2sprobe.data import Rows, Splits
from w2sprobe.devices import rank_and_world
from w2sprobe.errors import InputError
from w2sprobe.experiments.builder import Builder, Experiment
from w2sprobe.experiments.config import ExperimentConfig, ModelConfig, StudyConfig, TaskConfig
from w2sprobe.experiments.costs import Lengths
from w2sprobe.experiments.stages import Stage
from w2sprobe.models import ModelInfo, describe_model
from w2sprobe.progress import progress_bar
from w2sprobe.training.requirements import check_requirements, check_trainable


@dataclass(frozen=True)
class Plan:
    """What a study will do.

    Parameters
    ----------
    config : StudyConfig
    experiments : list of Experiment
    stages : list of Stage
        Of all experiments, each once, in an order in which every stage follows its inputs.
    """

    config: StudyConfig
    experiments: list[Experiment]
    stages: list[Stage]

    def place(self, stage: Stage) -> str:
        """Where a stage belongs, in words; empty where there is one experiment."""
        return self._places.get(stage.address, "")

    @cached_property
    def _places(self) -> dict[str, str]:
        if len(self.experiments) == 1:
            return {}
        several = len(
            {(one.config.weak.model, one.config.strong.model) for one in self.experiments}
        )
        found: dict[str, str] = {}
        for experiment in self.experiments:
            config = experiment.config
            parts = [config.task.label]
            if several > 1:
                parts.append(f"{config.weak.model} > {config.strong.model}")
            if config.seed:
                parts.append(f"seed {config.seed}")
            for stage in experiment.stages:
                found.setdefault(stage.address, ", ".join(parts))
        return found


def make_plan(config: StudyConfig, *, cache: Path, out: Path, device: str = "auto") -> Plan:
    """Check all inputs and lay out the stages; loads no weights and writes nothing.

    Parameters
    ----------
    config : StudyConfig
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
        Several processes; unknown task, model, layer or device; unusable rows; too few rows, or
        test rows of which a class is in one row or group; texts too long without `truncate`; a
        strong model that cannot answer zero-shot; a place that cannot be written to.
    """
    _, world = rank_and_world()
    if world > 1:
        raise InputError(
            f"a study in {world} processes",
            allowed="one",
            advice="torchrun is for `w2sprobe train` and `w2sprobe extract`; `--engine ray` "
            "runs a study on several GPUs.",
        )
    check_writable(cache)
    check_writable(out)
    configs = config.experiments()
    for model in dict.fromkeys(one for each in configs for one in (each.weak, each.strong)):
        check_requirements(model)
        check_trainable(describe_model(model.model), model)
    known: dict[str, Stage] = {}
    facts = _Facts()
    experiments = []
    with progress_bar("checking tasks", len(configs)) as advance:
        for each in configs:
            experiments.append(_experiment(each, facts, cache, device, known))
            advance(1)
    return Plan(config, experiments, list(known.values()))


class _Facts:
    """What experiments of a study have in common: splits, and their lengths in tokens."""

    def __init__(self) -> None:
        self._splits: dict[TaskConfig, Splits] = {}
        self._lengths: dict[tuple[TaskConfig, str, bool], Lengths] = {}

    def splits(self, task: TaskConfig) -> Splits:
        if task not in self._splits:
            self._splits[task] = task.load()
        return self._splits[task]

    def lengths(self, task: TaskConfig, info: ModelInfo, model: ModelConfig) -> Lengths:
        key = (task, info.source, model.truncate)
        if key not in self._lengths:
            self._lengths[key] = Lengths.of(info, self.splits(task), truncate=model.truncate)
        return self._lengths[key]


def _experiment(
    config: ExperimentConfig, facts: _Facts, cache: Path, device: str, known: dict[str, Stage]
) -> Experiment:
    models = {"weak": config.weak, "strong": config.strong}
    infos = {role: describe_model(model.model) for role, model in models.items()}
    splits = facts.splits(config.task)
    _check_test(splits.test, config.task.label)
    lengths = {role: facts.lengths(config.task, infos[role], models[role]) for role in models}
    return Builder(config, splits, infos, lengths, cache, device, known).build()


def _check_test(test: Rows, task: str) -> None:
    """Refuse test rows that scoring would refuse, when all models are trained."""
    units, name = (test.ids, "row") if test.groups is None else (test.groups, "group")
    for label in (0, 1):
        if len(set(units[test.labels == label])) < 2:
            raise InputError(
                f"all test rows with label {label} are in one {name}",
                where=task,
                allowed=f"at least 2 {name}s of each label, as one says nothing of others",
                advice="Choose a larger test split."
                if test.groups is None
                else "Choose a larger test split, or leave out the groups.",
            )
