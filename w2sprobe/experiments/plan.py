"""Plan of a study: its config is checked and becomes stages, without loading model weights."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from w2sprobe.atomic import check_writable
from w2sprobe.data import Rows, Splits, Task
from w2sprobe.devices import rank_and_world
from w2sprobe.errors import InputError
from w2sprobe.experiments.builder import Builder
from w2sprobe.experiments.config import ExperimentConfig, ModelConfig, StudyConfig, TaskConfig
from w2sprobe.experiments.costs import RowTokens, TokenCounts, count_rows
from w2sprobe.experiments.experiment import Cut, Experiment
from w2sprobe.experiments.experiment_builder import build_experiments
from w2sprobe.experiments.methods import FINETUNED
from w2sprobe.experiments.stages import Stage
from w2sprobe.experiments.supervisors import FinetunedSupervisor
from w2sprobe.experiments.transfer_plan import Target
from w2sprobe.models import ModelInfo, describe_model
from w2sprobe.progress import progress_bar
from w2sprobe.results import RunKey
from w2sprobe.training.requirements import check_requirements, check_trainable


@dataclass(frozen=True)
class StudyPlan:
    """Experiments and stages of a study.

    Parameters
    ----------
    stages : list of Stage
        Stages of all experiments, each once and after its inputs.
    """

    config: StudyConfig
    experiments: list[Experiment]
    stages: list[Stage]

    def experiment_name(self, stage: Stage) -> str:
        """Name of the experiment that a stage belongs to; empty if there is only one."""
        return self._experiment_names.get(stage.address, "")

    @cached_property
    def _experiment_names(self) -> dict[str, str]:
        if len(self.experiments) == 1:
            return {}
        several = len(
            {(one.config.weak.label, one.config.strong.model) for one in self.experiments}
        )
        own: dict[str, str] = {}
        others: dict[str, str] = {}  # stages of no single method, such as votes
        for experiment in self.experiments:
            config = experiment.config
            parts = [config.task.label]
            if several > 1:
                parts.append(f"{config.weak.label} > {config.strong.model}")
            if config.key.run:
                parts.append(config.key.run)
            for planned in experiment.methods.values():
                own = {one.address: ", ".join(parts) for one in planned.stages} | own
            tests = [p for transfer in experiment.transfers for p in transfer.methods.values()]
            for stage in [*experiment.stages, *(p.stages[-1] for p in tests)]:
                others.setdefault(stage.address, ", ".join(parts))
        return others | own


def make_plan(config: StudyConfig, *, cache: Path, out: Path, device: str = "auto") -> StudyPlan:
    """Check all inputs and plan the stages; loads no weights and writes nothing.

    Parameters
    ----------
    cache : Path
        Holds `stores/` and `stages/`.
    out : Path
        Folder of the results; only checked here.

    Raises
    ------
    MissingDependency
        A method, or a model's `precision` or `report_to`, needs a package that is not installed.
    InputError
        Several processes; an unknown task, model, layer or device; unusable or too few rows; a
        class with a single test row or group; too long texts without `truncate`; a strong model
        that cannot answer zero-shot; a folder that cannot be written to.
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
    finetuned: list[FinetunedSupervisor | ModelConfig] = [
        one.weak for one in configs if isinstance(one.weak, FinetunedSupervisor)
    ]
    finetuned += [one.strong for one in configs if finetunes_strong(one)]
    for model in dict.fromkeys(finetuned):
        check_requirements(model)
        check_trainable(describe_model(model.model), model)
    known: dict[str, Stage] = {}
    inputs = _SharedInputs()
    cuts = inputs.cuts([one.task for one in configs])
    cuts |= inputs.test_cuts([other for one in configs for other in one.test_on])
    together: dict[tuple[TaskConfig, ModelConfig], list[ExperimentConfig]] = {}
    for one in configs:
        strong = one.strong.model_copy(update={"seed": 0})
        together.setdefault((one.task, strong), []).append(one)
    built: dict[RunKey, Experiment] = {}
    with progress_bar("checking tasks", len(together)) as advance:
        for same in together.values():
            for made in _build(same, cuts, inputs, cache, device, known):
                built[made.config.key] = made
            advance(1)
    experiments = [built[one.key] for one in configs]
    return StudyPlan(config, experiments, list(known.values()))


def finetunes_strong(config: ExperimentConfig) -> bool:
    """Whether an experiment finetunes the strong model."""
    methods = [config.entries[name] for name in config.methods if name not in ("weak", "ceiling")]
    return config.ceiling == FINETUNED or any(
        one.predicts == "student" and one.learner == FINETUNED for one in methods
    )


class _SharedInputs:
    """Rows and token counts of a study's tasks, each computed once."""

    def __init__(self) -> None:
        self._splits: dict[TaskConfig, Splits] = {}
        self._read: dict[str, Task] = {}
        self._cuts: dict[str, list[TaskConfig]] = {}  # by task
        self._counts: dict[tuple[str, str, bool], RowTokens] = {}

    def splits(self, task: TaskConfig) -> Splits:
        if task not in self._splits:
            self._splits[task] = task.load(self._read)
            _check_test(self._splits[task].test, task.label)
        return self._splits[task]

    def lengths(self, task: TaskConfig, info: ModelInfo, *, truncate: bool) -> TokenCounts:
        key = (task.label, info.source, truncate)
        if key not in self._counts:
            splits = [self.splits(one) for one in self._cuts[task.label]]
            parts = [rows for one in splits for _, rows in one.items()]
            self._counts[key] = count_rows(info, parts, truncate=truncate)
        return TokenCounts.among(self._counts[key], self.splits(task))

    def cuts(self, tasks: list[TaskConfig]) -> dict[TaskConfig, Cut]:
        """Cuts of all tasks, each with the rows that all cuts of its task need."""
        for task in dict.fromkeys(tasks):
            self._cuts.setdefault(task.label, []).append(task)
        found: dict[TaskConfig, Cut] = {}
        for same in self._cuts.values():
            splits = [self.splits(task) for task in same]
            everywhere = union_rows([one.stored for one in splits])
            weak = union_rows([part for one in splits for part in (one.weak_train, one.stored)])
            found |= {
                task: Cut(one, everywhere, weak) for task, one in zip(same, splits, strict=True)
            }
        return found

    def test_cuts(self, tasks: list[TaskConfig]) -> dict[TaskConfig, Cut]:
        """Cuts of tasks that are only tested on; of those rows, only test rows are stored."""
        others: dict[str, list[TaskConfig]] = {}
        for task in dict.fromkeys(tasks):
            if task.label not in self._cuts:
                others.setdefault(task.label, []).append(task)
        found: dict[TaskConfig, Cut] = {}
        for label, same in others.items():
            tests = union_rows([self.splits(task).test for task in same])
            found |= {task: Cut(self.splits(task), tests, tests) for task in same}
            self._cuts[label] = same
        return found


def union_rows(parts: list[Rows]) -> Rows:
    """Union of rows, sorted by id and without groups; a single part is returned unchanged."""
    if len(parts) == 1:
        return parts[0]
    known: dict[str, tuple[str, int]] = {}
    for part in parts:
        columns = (part.ids.tolist(), part.texts, part.labels.tolist())
        known |= {name: (text, label) for name, text, label in zip(*columns, strict=True)}
    ids = sorted(known)
    return Rows(
        np.array(ids),
        [known[name][0] for name in ids],
        np.array([known[name][1] for name in ids]),
        chats=parts[0].chats,
    )


def _build(
    configs: list[ExperimentConfig],
    cuts: dict[TaskConfig, Cut],
    inputs: _SharedInputs,
    cache: Path,
    device: str,
    known: dict[str, Stage],
) -> list[Experiment]:
    """Plan the experiments on one cut of a task, with all supervisors and seeds."""
    models: dict[str, bool] = {}  # whether their texts are truncated
    for config in configs:
        for model in (config.weak, config.strong):
            name = getattr(model, "model", None)
            if name is not None:
                models.setdefault(name, getattr(model, "truncate", False))
    infos = {name: describe_model(name) for name in models}

    def builder(task: TaskConfig) -> Builder:
        lengths = {
            name: inputs.lengths(task, infos[name], truncate=cut) for name, cut in models.items()
        }
        return Builder(configs, cuts[task], infos, lengths, cache, device, known)

    home, first = builder(configs[0].task), configs[0]
    targets = [
        Target.of(task.label, builder(task), home.splits)
        for task in first.test_on
        if task.label != first.task.label
    ]
    return build_experiments(home, targets)


def _check_test(test: Rows, task: str) -> None:
    """Refuse test rows that could not be scored."""
    units, name = (test.ids, "row") if test.groups is None else (test.groups, "group")
    for label in (0, 1):
        if len(set(units[test.labels == label])) < 2:
            raise InputError(
                f"all test rows with label {label} are in one {name}",
                where=task,
                allowed=f"at least 2 {name}s of each label, for standard errors",
                advice="Choose a larger test split."
                if test.groups is None
                else "Choose a larger test split, or leave out the groups.",
            )
