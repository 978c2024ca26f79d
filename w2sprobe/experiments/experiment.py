"""A planned experiment: its stages, and the source of each method's predictions."""

from dataclasses import dataclass, field

from w2sprobe.data import Rows, Splits
from w2sprobe.experiments.config import ExperimentConfig
from w2sprobe.experiments.methods import Method
from w2sprobe.experiments.stages import Stage
from w2sprobe.experiments.votes_plan import Reading


@dataclass(frozen=True)
class PlannedMethod:
    """A method of an experiment, and the source of its test predictions.

    Parameters
    ----------
    stages : list of Stage
        Stages in order; the last one writes the predictions.
    reading : Reading, optional
        Votes that are the predictions, if the learner is a probe.
    weak : Stage, optional
        Supervisor whose predictions are averaged in.
    curator : Reading, optional
        Votes that its labels are curated by.
    split : str, default "test"
        Split of the votes that is read.
    """

    method: Method
    stages: list[Stage]
    reading: Reading | None = None
    weak: Stage | None = None
    curator: Reading | None = None
    split: str = "test"


@dataclass(frozen=True)
class Transfer:
    """Test of an experiment's methods on another task.

    Parameters
    ----------
    task : str
        Name of the other task.
    test : Rows
        Its test rows, without those that share a text or group with a row that this experiment
        learns from or stops by.
    n_left_out : int
        Number of those.
    methods : dict of str to PlannedMethod
        Sources of the predictions for these rows.
    """

    task: str
    test: Rows
    n_left_out: int
    methods: dict[str, PlannedMethod]


@dataclass(frozen=True)
class Experiment:
    """Task, supervisor, strong model and run, and the stages that its results need.

    Parameters
    ----------
    layer : int or None
        Layer of the probes, unless a method sets its own; None if weak labels choose it.
    truncated : dict of str to int
        Number of rows cut to the context, by model.
    stages : list of Stage
        Each follows its inputs; other experiments may share some.
    ceilings : dict of str to str
        Maps each method whose learner is a probe to the same learner fitted on true labels.
    left_out : dict of str to str
        Methods that cannot be run here, and why.
    sweep : Reading, optional
        Votes of the sweep for the report.
    transfers : list of Transfer
        Tests on other tasks; their stages are not among `stages`.
    """

    config: ExperimentConfig
    splits: Splits
    layer: int | None
    truncated: dict[str, int]
    stages: list[Stage] = field(default_factory=list)
    methods: dict[str, PlannedMethod] = field(default_factory=dict)
    ceilings: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    sweep: Reading | None = None
    transfers: list[Transfer] = field(default_factory=list)


@dataclass(frozen=True)
class Cut:
    """Splits of a task by one seed, and the rows whose activations are stored.

    Parameters
    ----------
    everywhere : Rows
        Rows in the store of the strong model, for all cuts of the task.
    weak_everywhere : Rows
        Rows in the stores of weak models, which include weak-train rows.
    """

    splits: Splits
    everywhere: Rows
    weak_everywhere: Rows
