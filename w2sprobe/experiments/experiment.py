"""An experiment as planned: its stages, and where each method's predictions come from."""

from dataclasses import dataclass, field

from w2sprobe.data import Rows, Splits
from w2sprobe.experiments.config import ExperimentConfig
from w2sprobe.experiments.methods import Method
from w2sprobe.experiments.stages import Stage
from w2sprobe.experiments.votes_plan import Reading


@dataclass(frozen=True)
class PlannedMethod:
    """A method of an experiment, and where its test predictions come from.

    Parameters
    ----------
    stages : list of Stage
        Its stages in order; the last one holds the predictions.
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
    layer : int or None
        The probes' layer, unless a method sets its own; None where the weak labels choose it.
    truncated : dict of str to int
        Rows cut to the context, by model.
    stages : list of Stage
        Each follows its inputs; other experiments may share some.
    ceilings : dict of str to str
        Maps each method whose learner is a probe to the same learner, fitted on truth.
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
    methods: dict[str, PlannedMethod] = field(default_factory=dict)
    ceilings: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    sweep: Reading | None = None


@dataclass(frozen=True)
class Cut:
    """Rows of a task, cut once, and what is known of the models that read them.

    Parameters
    ----------
    everywhere : Rows
        Rows whose activations are stored: those of all cuts of the task.
    weak_everywhere : Rows
        The same for weak models, whose own training rows are among them.
    """

    splits: Splits
    everywhere: Rows
    weak_everywhere: Rows
