"""Config of a study: names, defaults, ranges and help of every key, and how a file is read."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from w2sprobe import help_texts
from w2sprobe.data import Splits, SplitSizes, Stress, Task, load_splits
from w2sprobe.data.tasks import Formatting, row_slice
from w2sprobe.errors import InputError, UnknownName
from w2sprobe.experiments.config_errors import ONE, SEVERAL, describe, unknown
from w2sprobe.experiments.methods import (
    DEFAULT_METHODS,
    FINETUNED,
    HEAD,
    LEARNERS,
    METHODS,
    ChoiceRule,
    Contamination,
    Folds,
    Graph,
    Layer,
    Method,
    Neighbors,
    Penalty,
    PerClass,
    Preprocessed,
    Whiten,
)
from w2sprobe.experiments.supervisors import AnySupervisor, Supervisor
from w2sprobe.metrics import MIN_GAP, MIN_GAP_SE
from w2sprobe.probing.spec import HeadSettings
from w2sprobe.results import RunKey
from w2sprobe.token_settings import TokenSettings
from w2sprobe.training.settings import TrainSettings

PRESETS = tuple(
    sorted(
        file.name.removesuffix(".yaml")
        for file in files("w2sprobe.experiments").joinpath("presets").iterdir()
        if file.name.endswith(".yaml")
    )
)


PREDICTION_COLUMNS = ("id", "label", "group")  # and one column per method
TRANSFER_COLUMNS = ("test_task", *PREDICTION_COLUMNS)


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


NAME = (
    "Task: name from `w2sprobe tasks ls`; bigbench:NAME; .jsonl, .csv or .parquet file with "
    "columns text (or messages) and label (0/1), optionally id, group and split (train/test); "
    "`save_to_disk` folder with these columns; module:function that returns such rows; or file "
    "from `w2sprobe tasks split`."
)


class SharedTask(_Config):
    """Task of a study, or settings that its tasks share."""

    name: str | None = Field(None, description=NAME)
    positive: str | None = Field(
        None,
        description="BIG-bench tasks whose answers are classes: the class that becomes label 1.",
    )
    negative: str | None = Field(
        None,
        description="BIG-bench tasks whose answers are classes: the class that becomes label 0.",
    )
    formatting: Formatting = Field(
        "repaired",
        description="Prompt templates of the Hugging Face tasks: repaired (default), or published: "
        "as in EleutherAI's code (github.com/EleutherAI/w2s), bugs included.",
    )
    rows: Annotated[int, Field(ge=8)] | str | None = Field(
        None,
        description="Use only the first N rows, or the rows START:STOP, of a fixed order (by "
        "hash); 0:900 and 900: are disjoint. The order does not depend on the split seed, so that "
        "all seeds can use the same stored activations. Default: all rows.",
    )
    sizes: SplitSizes | None = Field(
        None,
        description="Sizes of weak_train, strong_train, val and test: numbers of rows "
        "(1000,1000,200,500) or fractions of the rows left after class balancing (.4,.4,.1,.1). "
        "In a config: {weak_train: 1000, strong_train: 1000, val: 200, test: 500}. If the source "
        "has its own test rows, the fraction for test is of these, the other three are of the "
        "remaining rows, and the default is .45,.45,.1,1.0. If it has none, the default is: test "
        "1,000 rows, but at least 20 and at most 40 % of all; val 10 %; each training split half "
        "of the rest. Defaults never exceed 5000,5000,1000,5000 rows.",
    )
    keep_prior: bool = Field(
        default=False,
        description="Keep the original class proportions. Default: balance the classes by dropping "
        "rows of the larger class.",
    )
    seed: int = Field(0, ge=0, description="Seed of the random split; default: 0.")
    planted: str | None = Field(
        None,
        min_length=1,
        description="Stress test: put this text before some rows, independently of their labels "
        "unless planted_agreement says otherwise.",
    )
    planted_agreement: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of rows in which the planted text goes with the label: there for 1, "
        "absent for 0. Default .5: it says nothing about the label.",
    )
    planted_test_agreement: float | None = Field(
        None, ge=0, le=1, description="The same for test rows; default: as for training rows."
    )
    prior: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Stress test: share of label 1 in every split, by dropping rows of the other "
        "label.",
    )
    without_answer: str | None = Field(
        None,
        min_length=1,
        description="Stress test: task or file of rows that have no answer here. They replace some "
        "weak-train and strong-train rows, with random labels; test rows all have an answer.",
    )
    answerless_share: float | None = Field(
        None, gt=0, lt=1, description="Share of training rows without an answer, default .1."
    )

    @field_validator("rows")
    @classmethod
    def _a_part(cls, rows: int | str | None) -> int | str | None:
        if rows is not None:
            try:
                row_slice(rows)
            except InputError as error:
                raise ValueError(str(error)) from None
        return rows


STRESS = (
    "planted",
    "planted_agreement",
    "planted_test_agreement",
    "prior",
    "without_answer",
    "answerless_share",
)


class TaskConfig(SharedTask):
    """Source of the rows, and how they are split."""

    name: str = Field(description=NAME)

    @property
    def label(self) -> str:
        """Name of the task in results, with classes and stress where they are chosen."""
        classes = [name for name in (self.positive, self.negative) if name is not None]
        name = f"{self.name} [{' / '.join(classes)}]" if classes else self.name
        changes = self.stress.label
        return f"{name} ({changes})" if changes else name

    @property
    def stress(self) -> Stress:
        """What is changed about the task.

        Raises
        ------
        InputError
            An agreement without a planted text.
        """
        return Stress(*(getattr(self, name) for name in STRESS))

    def load(self, read: dict[str, Task] | None = None) -> Splits:
        """Read the task and cut its rows into splits.

        Parameters
        ----------
        read : dict of str to Task, optional
            Cache of tasks that were read; a new one is added.

        Raises
        ------
        InputError
            As `load_splits`.
        """
        given = {name: value for name, value in self if name not in STRESS}
        return load_splits(**given, stress=self.stress, read=read)


@dataclass(frozen=True)
class _AlsoOfType:
    """JSON schema, for editors, in which a value may also be of a simple type."""

    type: str

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [{"type": self.type}, handler(core_schema)]}


NamedTask = Annotated[
    TaskConfig,
    BeforeValidator(lambda value: {"name": value} if isinstance(value, str) else value),
    _AlsoOfType("string"),
]


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, (str, dict, BaseModel)) else value


OTHER_TASKS = "tasks"  # in `test_on`: every other task of the study
TestTasks = Annotated[tuple[NamedTask, ...], BeforeValidator(_as_list), _AlsoOfType("string")]


class ModelConfig(TrainSettings):
    """A model and how it is finetuned."""

    model: str = Field(description=help_texts.MODEL)

    def settings(self, loss: str) -> TrainSettings:
        """Return the finetuning settings alone, with another loss."""
        fields = self.model_dump(exclude={"model"})
        return TrainSettings(**{**fields, "loss": loss})


KS = (5, 10, 20, 50, 100, 200, 400)
L2S = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0)


class AutoCandidates(_Config):
    """Candidates for `auto`, which selects by out-of-fold scores against the weak labels."""

    layers: str = Field("all", description=help_texts.LAYERS)
    ks: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        KS,
        min_length=1,
        description="Numbers of neighbours for kNN and TopoFilter; too large ones are skipped.",
    )
    l2s: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        L2S, min_length=1, description="L2 regularisation strengths of logistic regression."
    )
    rule: ChoiceRule = Field(
        "weak_log_loss",
        description="weak_log_loss: lowest log-loss; weak_auc: highest mean within-fold AUC; both "
        "against the weak labels.",
    )


class SweepConfig(_Config):
    """Sweep of probes over layers and hyperparameters, as in `w2sprobe sweep`, for the report."""

    layers: str = Field("all", description=help_texts.LAYERS)
    ks: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1, 2, *KS),
        description="Numbers of neighbours for kNN; too large ones are skipped.",
    )
    l2s: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        L2S, description="L2 regularisation strengths of logistic regression."
    )
    preprocess: Preprocessed | None = Field(
        None,
        description="Scaling of activations: none, center or standardize; default: as in `probes`.",
    )
    in_sample: bool = Field(default=False, description=help_texts.IN_SAMPLE)
    ceiling: bool = Field(default=False, description=help_texts.CEILING)
    leave_one_out: bool = Field(default=False, description=help_texts.LEAVE_ONE_OUT)


class ProbeConfig(_Config):
    """Default settings of the probes that methods use as students or for curation."""

    layer: Layer = "mid"
    n_neighbors: Neighbors = 50
    l2: Penalty = 1e-2
    preprocess: Preprocessed = "none"
    whiten: Whiten = False
    position: str = Field(
        "last",
        description="Token of the strong model whose hidden state is used: last, first or mean (of "
        "all tokens); in conversations also last-assistant.",
    )
    contamination: Contamination = 0.1
    per_class: PerClass = False
    graph: Graph = "union"
    cv: Folds | None = None
    head: HeadSettings = Field(
        default_factory=HeadSettings, description="Training of linear heads."
    )
    tokens: TokenSettings = Field(
        default_factory=TokenSettings,
        description="Training of token-level probes; `seed` is added to that of the learner.",
    )
    candidates: AutoCandidates = Field(default_factory=AutoCandidates)


class StrongToStrongConfig(_Config):
    """Students trained on the predictions of students; methods set the number of iterations."""

    cv: int = Field(5, ge=2, description="Cross-fitting folds of methods with cross_fit.")
    stop_at: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Stop when at most this fraction of the kept rows changes its hard label from "
        "one student to the next; default: train all students.",
    )


class ZeroShotConfig(_Config):
    """Zero-shot prompt of the strong model."""

    question: str = Field("", description=help_texts.QUESTION)
    answers: tuple[str, str] = Field(("No", "Yes"), description=help_texts.ANSWERS)


class AnalysisConfig(_Config):
    """Planned comparisons and tests; declare them before the run."""

    against: str = Field(
        "student", description="Baseline: the method that all others are compared with."
    )
    family: tuple[str, ...] | None = Field(
        None,
        description=help_texts.FAMILY,
        json_schema_extra={"items": {"anyOf": [{"enum": list(METHODS)}, {"type": "string"}]}},
    )
    alternative: Literal["two-sided", "greater", "less"] = Field(
        "two-sided",
        description="Alternative hypothesis: the method differs (two-sided), is better (greater) "
        "or is worse (less). The baseline's own gain over the supervisor is always tested "
        "two-sided.",
    )
    alpha: float = Field(0.05, gt=0, lt=0.5, description="Significance level.")
    margin: float = Field(0.01, gt=0, lt=1, description=help_texts.MARGIN)
    hypotheses: tuple[str, ...] = Field((), description="Hypotheses, in your own words.")


class _Settings(_Config):
    """Settings that all experiments of a study share."""

    name: str = Field(
        pattern=r"^\w[\w .=+-]*$",
        description="Name of the study; results go to results/NAME unless --out is given.",
    )
    probes: ProbeConfig = Field(default_factory=ProbeConfig)
    ceiling: str = Field(
        FINETUNED,
        description="Learner that, fitted on true labels, is the ceiling in PGR: finetuned (the "
        "strong model), or a probe. For students that are probes, PGR with their own ceiling (the "
        "same probe on true labels) is also reported.",
        json_schema_extra={"enum": [name for name in LEARNERS if name != HEAD]},
    )
    sweep: SweepConfig | None = Field(
        None,
        description="Sweep of probes over layers and hyperparameters; `{}` for its defaults. "
        "Default: no sweep.",
    )
    strong_to_strong: StrongToStrongConfig = Field(default_factory=StrongToStrongConfig)
    zero_shot: ZeroShotConfig = Field(default_factory=ZeroShotConfig)
    min_gap: float = Field(MIN_GAP, ge=0, description=help_texts.MIN_GAP)
    min_gap_se: float = Field(MIN_GAP_SE, ge=0, description=help_texts.MIN_GAP_SE)
    define: dict[str, Method] = Field(
        default_factory=dict, description="Methods of your own, each under a new name."
    )
    methods: tuple[str, ...] = Field(
        tuple(DEFAULT_METHODS),
        description="Methods to run; weak and ceiling are always run. Default: those that "
        "EleutherAI compares, a random filter, and all methods under `define`.",
        # for editors; the names are checked below, with those that are defined
        json_schema_extra={"items": {"anyOf": [{"enum": list(METHODS)}, {"type": "string"}]}},
    )
    test_on: TestTasks = Field(
        (),
        description="Other tasks whose test rows every method also predicts, to compare gains out "
        "of distribution: `tasks`, which is every other task of the study; names; or sections with "
        "settings of their own. Labels must mean the same in all of them. Default: none.",
    )
    analysis: AnalysisConfig = Field(default_factory=AnalysisConfig)

    @property
    def entries(self) -> dict[str, Method]:
        """All methods that `methods` may name."""
        return {**METHODS, **self.define}

    @field_validator("ceiling")
    @classmethod
    def _a_learner(cls, ceiling: str) -> str:
        known = [name for name in LEARNERS if name != HEAD]
        if ceiling not in known:
            raise ValueError(unknown("learner", ceiling, known))
        return ceiling

    @model_validator(mode="before")
    @classmethod
    def _run_what_is_defined(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("define"), dict):
            return {"methods": [*DEFAULT_METHODS, *values["define"]], **values}
        return values

    @field_validator("define")
    @classmethod
    def _new_names(cls, define: dict[str, Method]) -> dict[str, Method]:
        filters = [name for name, method in {**METHODS, **define}.items() if method.filters]
        for name, method in define.items():
            if name in METHODS or name in TRANSFER_COLUMNS:
                raise ValueError(f"{name!r} is taken already; allowed: a new name")
            like = method.same_size_as
            if like is not None and like not in filters:
                raise ValueError(f"{name}.same_size_as: {unknown('filter', like, filters)}")
        return define

    @field_validator("methods")
    @classmethod
    def _known(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if "define" in info.data:  # else it has mistakes of its own, and is not there
            known = {**METHODS, **info.data["define"]}
            for name in names:
                if name not in known:
                    raise ValueError(unknown("method", name, known))
        ends = ("weak", "ceiling")
        return (*ends, *(name for name in dict.fromkeys(names) if name not in ends))

    @field_validator("analysis")
    @classmethod
    def _can_be_compared(cls, analysis: AnalysisConfig, info: ValidationInfo) -> AnalysisConfig:
        if not {"define", "methods"} <= info.data.keys():  # they have mistakes of their own
            return analysis
        known = {**METHODS, **info.data["define"]}
        if analysis.against not in known:
            raise ValueError(f"against: {unknown('method', analysis.against, known)}")
        others = [
            name
            for name in info.data["methods"]
            if name != analysis.against and known[name].predicts not in ("weak", "ceiling")
        ]
        for name, count in Counter(analysis.family or ()).items():
            if name not in known:
                raise ValueError(f"family: {unknown('method', name, known)}")
            if name not in others:
                raise ValueError(
                    f"family: {name!r} is not among the methods that are compared with "
                    f"{analysis.against!r}; allowed: {', '.join(others) or 'none'}"
                )
            if count > 1:
                raise ValueError(f"family: {name!r} occurs {count} times; allowed: once")
        return analysis


class ExperimentConfig(_Settings):
    """One run: a task, a weak and a strong model, seeds, and several methods."""

    task: TaskConfig
    weak: AnySupervisor
    strong: ModelConfig
    seed: str = Field("", description="Name of the run among those of other seeds.")

    @property
    def key(self) -> RunKey:
        """Key of this experiment in results."""
        return RunKey(self.task.label, self.weak.label, self.strong.model, self.seed)


Section = TypeVar("Section", bound=BaseModel)


def _how_many(value: Any) -> str:
    return SEVERAL if isinstance(value, (list, tuple)) else ONE


# tagged, so that an error in one form is not reported as one in the other
OneOrMore = Annotated[
    Annotated[Section, Tag(ONE)]
    | Annotated[tuple[Section, ...], Tag(SEVERAL), Field(min_length=1)],
    Discriminator(_how_many),
]


Varied = Literal["weak", "strong", "split"]
PARTS: tuple[Varied, ...] = ("split", "weak", "strong")  # from the outside in
NAMED = {"split": "cut", "weak": "weak", "strong": "strong"}  # in the names of runs


def _counted(value: Any) -> Any:
    """Seeds 0 to n - 1 for a number n."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return tuple(range(value)) if is_count else value


Seeds = Annotated[
    tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_counted), _AlsoOfType("integer")
]


def _written(task: TaskConfig) -> dict[str, Any]:
    """JSON of a task; without stress as in versions that had none, so that hashes are the same."""
    fields = task.model_dump(mode="json")
    return {
        name: value for name, value in fields.items() if name not in STRESS or value is not None
    }


class StudyConfig(_Settings):
    """Tasks x weak models x strong models x seeds, and the methods to compare on each."""

    task: SharedTask = Field(
        default_factory=SharedTask, description="The task, or the settings that all `tasks` share."
    )
    tasks: tuple[NamedTask, ...] = Field(
        (),
        description="Several tasks: names, or sections with their own settings.",
    )
    weak: OneOrMore[AnySupervisor] = Field(
        description="Supervisor, or a list of several. kind: finetuned (default), probe, ngrams, "
        "zero_shot or labels (a file of labels)."
    )
    strong: OneOrMore[ModelConfig] = Field(description="Strong model, or a list of several.")
    seeds: Seeds = Field(
        (),
        description="List of seeds, or a number n for 0 ... n-1. One run per seed, which is used "
        "for all parts listed in `vary`. Not together with splits, supervisor_seeds and "
        "learner_seeds.",
    )
    vary: tuple[Varied, ...] = Field(
        ("weak", "strong"),
        description="What `seeds` change: weak (training of supervisors), strong (training of "
        "students and ceilings), split (the random split).",
    )
    splits: Seeds = Field(
        (),
        description="Split seeds: a list, or a number n for 0 ... n-1. Runs: splits x "
        "supervisor_seeds x learner_seeds.",
    )
    supervisor_seeds: Seeds = Field(
        (), description="Seeds of the supervisors in each split (list or number)."
    )
    learner_seeds: Seeds = Field(
        (), description="Seeds of students and ceilings for each supervisor (list or number)."
    )

    @property
    def levels(self) -> dict[str, int]:
        """Numbers of cuts, of supervisor seeds per cut, and of learner seeds per supervisor."""
        if self.seeds:
            return {part: len(self.seeds) if part in self.vary else 1 for part in PARTS}
        own = (self.splits, self.supervisor_seeds, self.learner_seeds)
        return {part: len(seeds) or 1 for part, seeds in zip(PARTS, own, strict=True)}

    @property
    def n_runs(self) -> int:
        """Number of runs per task and pair of models."""
        return len(self._runs)

    @property
    def _runs(self) -> list[tuple[str, dict[Varied, int]]]:
        """Name and seeds of each run."""
        if self.seeds:
            return [(str(seed), dict.fromkeys(self.vary, seed)) for seed in self.seeds]
        given = dict(
            zip(PARTS, (self.splits, self.supervisor_seeds, self.learner_seeds), strict=True)
        )
        varied = {part: seeds for part, seeds in given.items() if seeds}
        runs = [dict(zip(varied, seeds, strict=True)) for seeds in product(*varied.values())]
        return [(_run_name(run), run) for run in runs]

    def _runs_with(self, weak: Supervisor) -> list[tuple[str, dict[Varied, int]]]:
        """Runs that differ: where no seed changes the supervisor, one run for all of its seeds."""
        if weak.varies:
            return self._runs
        found: dict[tuple[tuple[Varied, int], ...], tuple[str, dict[Varied, int]]] = {}
        for name, seeds in self._runs:
            own: dict[Varied, int] = {p: seed for p, seed in seeds.items() if p != "weak"}
            short = name if self.seeds else _run_name(own)
            found.setdefault(tuple(own.items()), (short, own))
        return list(found.values())

    def experiments(self) -> list[ExperimentConfig]:
        """One config per task, weak model, strong model and run, in this order."""
        return [
            self._experiment(task, weak, strong, *run)
            for task, weak, strong in product(self._tasks, _listed(self.weak), _listed(self.strong))
            for run in self._runs_with(weak)
        ]

    def with_task(self, fields: dict[str, Any]) -> "StudyConfig":
        """Return the config with another task, or with other settings of all tasks.

        Parameters
        ----------
        fields : dict
            Fields of TaskConfig. With a name they replace all tasks and their settings.
        """
        if "name" in fields:
            return self.model_copy(update={"task": SharedTask(**fields), "tasks": ()})
        tasks = tuple(task.model_copy(update=fields) for task in self.tasks)
        return self.model_copy(update={"task": self.task.model_copy(update=fields), "tasks": tasks})

    def with_models(self, *, weak: str | None, strong: str | None, truncate: bool) -> "StudyConfig":
        """Return the config with other models, or with texts truncated to their contexts.

        Parameters
        ----------
        weak, strong : str, optional
            Name or folder.

        Raises
        ------
        InputError
            There are several weak, or strong, models.
        """
        update: dict[str, Any] = {}
        for role, name in (("weak", weak), ("strong", strong)):
            given = getattr(self, role)
            sections = _listed(given)
            if name is not None and len(sections) > 1:
                raise InputError(
                    f"--{role}-model beside {len(sections)} {role} models in the config",
                    advice=f"Name them: --set {role}='[{{model: {name}}}]'.",
                )
            if name is not None and "model" not in type(sections[0]).model_fields:
                raise InputError(
                    f"--{role}-model for a supervisor without a model: {sections[0].label}",
                    advice=f"Replace it: --set {role}='{{model: {name}}}'.",
                )
            changes: dict[str, Any] = {} if name is None else {"model": name}
            changes |= {"truncate": True} if truncate else {}
            changed = tuple(_with(section, changes) for section in sections)
            update[role] = changed if isinstance(given, tuple) else changed[0]
        return self.model_copy(update=update)

    def _experiment(
        self,
        task: TaskConfig,
        weak: Supervisor,
        strong: ModelConfig,
        name: str,
        seeds: dict[Varied, int],
    ) -> ExperimentConfig:
        own: dict[str, Any] = {"split": task, "weak": weak, "strong": strong}
        own |= {str(part): _with(own[part], {"seed": seed}) for part, seed in seeds.items()}
        own |= {name: getattr(self, name) for name in _Settings.model_fields}
        cut = {"seed": seeds["split"]} if "split" in seeds else {}
        own["test_on"] = tuple(_with(other, cut) for other in self._test_on)
        return ExperimentConfig(task=own.pop("split"), seed=name, **own)

    def resolved(self) -> dict[str, Any]:
        """JSON that gives the same experiments, with all defaults written out."""
        values = self.model_dump(mode="json", exclude={"task", "tasks", "test_on"})
        values["tasks"] = [_written(task) for task in self._tasks]
        if self.test_on:  # left out if empty: declarations of earlier versions have no such key
            values["test_on"] = [_written(task) for task in self._test_on]
        return values

    @property
    def _tasks(self) -> list[TaskConfig]:
        if not self.tasks:
            return [TaskConfig(**self._shared)]
        return [_with_missing(task, self._shared) for task in self.tasks]

    @property
    def _shared(self) -> dict[str, Any]:
        """Settings in the section `task`."""
        return {name: getattr(self.task, name) for name in self.task.model_fields_set}

    @property
    def _test_on(self) -> tuple[TaskConfig, ...]:
        """Tasks of `test_on`, each once; a task of the study is meant with its settings there."""
        own = {task.label: task for task in self._tasks}
        found: dict[str, TaskConfig] = {}
        for entry in self.test_on:
            full = _with_missing(entry, self._shared if self.tasks else {})
            same = [
                task
                for label, task in own.items()
                if entry.name == OTHER_TASKS
                or label == full.label
                or (task.name == entry.name and entry.model_fields_set == {"name"})
            ]
            found |= {task.label: task for task in same or [full]}
        return tuple(found.values())

    def _check_test_on(self) -> None:
        if not self.test_on:
            return
        tasks = {task.label for task in self._tasks}
        if len(tasks) == 1 and {task.label for task in self._test_on} == tasks:
            raise ValueError(
                "test_on: no task but that of the study; allowed: names of other tasks"
            )
        for weak in _listed(self.weak):
            if weak.kind == "labels":
                raise ValueError(
                    f"test_on with the labels of a file, {weak.label!r}, as supervisor, which "
                    "cannot predict other texts; allowed: all other supervisors"
                )

    @model_validator(mode="after")
    def _several_differ(self) -> "StudyConfig":
        if (self.task.name is None) == (not self.tasks):
            raise ValueError(
                "task.name beside tasks; allowed: one of the two"
                if self.tasks
                else "no task; allowed: task with a name, or tasks"
            )
        lists: dict[str, list[Any]] = {
            "tasks": [task.label for task in self._tasks],
            "weak": [weak.label for weak in _listed(self.weak)],
            "strong": [strong.model for strong in _listed(self.strong)],
            "seeds": list(self.seeds),
            "vary": list(self.vary),
            "splits": list(self.splits),
            "supervisor_seeds": list(self.supervisor_seeds),
            "learner_seeds": list(self.learner_seeds),
        }
        for name, values in lists.items():
            for value, count in Counter(values).items():
                if count > 1:
                    raise ValueError(f"{name}: {value!r} occurs {count} times; allowed: once")
        self._check_test_on()
        if self.seeds and not self.vary:
            raise ValueError("vary is empty; allowed beside seeds: weak, strong, split")
        if self.seeds and (self.splits or self.supervisor_seeds or self.learner_seeds):
            raise ValueError(
                "seeds beside splits, supervisor_seeds or learner_seeds; allowed: either seeds, "
                "or the three"
            )
        return self


def _with_missing(task: TaskConfig, shared: dict[str, Any]) -> TaskConfig:
    """Copy of a task with shared settings, where it has none of its own."""
    return task.model_copy(
        update={name: value for name, value in shared.items() if name not in task.model_fields_set}
    )


def study_schema() -> dict[str, Any]:
    """JSON schema of a study's config; sections are described by their docstrings' summaries."""
    schema = StudyConfig.model_json_schema()
    for section in (schema, *schema["$defs"].values()):
        if "description" in section:
            summary = section["description"].partition("\n\n")[0]
            section["description"] = " ".join(summary.split())
    return schema


def _with(section: Section, changes: dict[str, Any]) -> Section:
    """Copy of a section with other values, for those fields that it has."""
    known = type(section).model_fields
    return section.model_copy(update={k: v for k, v in changes.items() if k in known})


def _run_name(seeds: Mapping[Varied, int]) -> str:
    return "-".join(f"{NAMED[part]}{seed}" for part, seed in seeds.items())


def _listed(sections: Section | tuple[Section, ...]) -> tuple[Section, ...]:
    return sections if isinstance(sections, tuple) else (sections,)


# a slice of layers or rows, such as 3:19:3, which YAML 1.1 takes for hours, minutes and seconds
_SLICE = re.compile(r"[-+]?\d+(?::\d+)+$")


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML loader that reads numbers with colons as text."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {
        first: [("tag:yaml.org,2002:str", _SLICE), *resolvers]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def load_config(preset_or_file: str, settings: Iterable[str] = ()) -> StudyConfig:
    """Read a preset or a YAML file.

    Parameters
    ----------
    preset_or_file : str
        Name of a preset, or path of a `.yaml` file.
    settings : iterable of str
        Each `path=value`, as in `strong.epochs=2`, the value in YAML; replaces what the file says.

    Raises
    ------
    InputError
        No such preset or file, not YAML, an unknown key, a wrong value, or several that do not go
        together; the message holds the path inside the file.
    """
    text = _read(preset_or_file)
    try:
        values = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise InputError(f"not YAML: {error}", where=preset_or_file) from error
    if not isinstance(values, dict):
        raise InputError(f"not a mapping: {values!r}", where=preset_or_file)
    where = [preset_or_file]
    for setting in settings:
        _set(values, setting)
        where.append(f"--set {setting}")
    try:
        return StudyConfig.model_validate(values)
    except ValidationError as error:
        what = describe(error, StudyConfig)
        raise InputError(what, where=" ".join(where)) from error


def _set(values: dict[str, Any], setting: str) -> None:
    path, equals, text = setting.partition("=")
    if not equals:
        raise InputError(f"--set {setting}", allowed="KEY=VALUE, as in strong.epochs=2")
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise InputError(f"--set {setting}: not YAML: {error}") from error
    *sections, name = path.split(".")
    for section in sections:
        inside = values.get(section)
        if inside is None:  # an empty section is None in YAML
            inside = {}
        if not isinstance(inside, dict):
            raise InputError(f"--set {setting}: {section} is {inside!r}, which has no keys")
        values[section] = {**inside}  # YAML's anchors and merges share sections
        values = values[section]
    values[name] = value


def _read(preset_or_file: str) -> str:
    if preset_or_file in PRESETS:
        resource = files("w2sprobe.experiments").joinpath(f"presets/{preset_or_file}.yaml")
        return resource.read_text(encoding="utf-8")
    if not preset_or_file.endswith((".yaml", ".yml")):
        raise UnknownName("preset", preset_or_file, PRESETS, advice="A file ends in .yaml.")
    try:
        return Path(preset_or_file).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {preset_or_file!r}: {error.strerror}") from error
