"""Plans the predictions of other tasks' test rows by what experiments have trained.

Nothing is trained again, except probes, whose coefficients are not stored: they are fitted to the
same labels on the same rows as at home; one fit serves all supervisors and targets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from w2sprobe.data import Rows, Splits
from w2sprobe.experiments.builder import Builder
from w2sprobe.experiments.config import ExperimentConfig
from w2sprobe.experiments.costs import forward_cost
from w2sprobe.experiments.experiment import Experiment, PlannedMethod, Transfer
from w2sprobe.experiments.stage_kinds import TRUTH, CastVotes, Train, ZeroShot
from w2sprobe.experiments.stages import Cost, Stage, Work
from w2sprobe.experiments.supervisors import FitNgrams, FitProbe
from w2sprobe.experiments.transfer_stages import CastVotesElsewhere, FitProbeElsewhere, Predict
from w2sprobe.votes.picking import Pick

LEARNS_FROM = ("weak_train", "strong_train", "val")  # splits that an experiment learns from
LEAST = 2  # rows or groups of each label, for standard errors


@dataclass(frozen=True)
class Target:
    """Another task, for the experiments on one cut of a task.

    Parameters
    ----------
    builder : Builder
        Makes the stores of its activations, by the same models.
    test : Rows
        Its test rows that the experiments have not seen.
    n_left_out : int
        Number of its test rows that are left out.
    """

    task: str
    builder: Builder
    test: Rows
    n_left_out: int

    @classmethod
    def of(cls, task: str, builder: Builder, seen: Splits) -> "Target":
        """Leave out the test rows that share a text or group with training rows."""
        every = builder.splits.test
        test = unseen(every, seen)
        return cls(task, builder, test, len(every) - len(test))

    @property
    def split(self) -> str:
        """Name of its test rows in votes."""
        return f"test of {self.task}"

    @property
    def usable(self) -> bool:
        """Whether enough rows are left to be scored."""
        units = self.test.ids if self.test.groups is None else self.test.groups
        return all(len(set(units[self.test.labels == label])) >= LEAST for label in (0, 1))


def unseen(test: Rows, splits: Splits) -> Rows:
    """Select the rows that share no text or group with rows that an experiment learns from."""
    parts = [splits[name] for name in LEARNS_FROM]
    texts = {_plain(text) for part in parts for text in part.texts}
    groups = {name for part in parts if part.groups is not None for name in part.groups.tolist()}
    own = [None] * len(test) if test.groups is None else test.groups.tolist()
    rows = zip(test.texts, own, strict=True)
    return test.select(
        np.flatnonzero([_plain(text) not in texts and name not in groups for text, name in rows])
    )


def _plain(text: str) -> str:
    return " ".join(text.split())


def plan_transfers(
    experiments: Sequence[Experiment], builder: Builder, targets: Sequence[Target]
) -> list[Experiment]:
    """Add tests on other tasks to the experiments on one cut of a task."""
    usable = [target for target in targets if target.usable]
    votes = _votes_elsewhere(experiments, builder, usable)
    return [
        replace(
            experiment,
            transfers=[
                Transfer(
                    target.task,
                    target.test,
                    target.n_left_out,
                    _methods(experiment, builder, target, votes) if target.usable else {},
                )
                for target in targets
            ],
        )
        for experiment in experiments
    ]


def _methods(
    experiment: Experiment, builder: Builder, target: Target, votes: dict[str, Stage]
) -> dict[str, PlannedMethod]:
    """Sources of the predictions of every method for the rows of a target."""

    def elsewhere(stage: Stage) -> Stage:
        """Stage that predicts those rows with what a stage has trained."""
        if isinstance(stage.work, CastVotes):
            return votes[stage.address]
        work, cost = _prediction(stage, experiment.config, target)
        return builder.stage(work, f"{stage.title}, on {target.task}", cost)

    return {
        name: replace(
            planned,
            stages=[*planned.stages, elsewhere(planned.stages[-1])],
            weak=planned.weak and elsewhere(planned.weak),
            split=target.split,
        )
        for name, planned in experiment.methods.items()
    }


def _prediction(stage: Stage, config: ExperimentConfig, target: Target) -> tuple[Work, Cost]:
    """Work that predicts the rows of a target as a stage predicts the rows at home, and its cost.

    Raises
    ------
    TypeError
        A kind of stage that cannot predict other rows.
    """
    work, rows = stage.work, target.test.blind()
    if isinstance(work, FitProbe) and config.weak.states is not None:
        store = target.builder.weak_store(config.weak.states)
        fields = (work.store, work.layer, work.l2, work.preprocess, work.rows, rows)
        return FitProbeElsewhere(*fields, elsewhere=store), Cost()
    if isinstance(work, FitNgrams):
        return replace(work, predicted=rows), Cost()
    if isinstance(work, (Train, ZeroShot)):
        n_tokens = target.builder.lengths[work.model.name].tokens["test"]
        cost = forward_cost(work.model, n_tokens, len(rows))
        if isinstance(work, ZeroShot):
            return replace(work, rows=rows), cost
        return Predict(stage, rows, device=work.device, prefixes=work.prefixes), cost
    raise TypeError(f"{stage.kind} cannot predict other rows")


def _votes_elsewhere(
    experiments: Sequence[Experiment], builder: Builder, targets: Sequence[Target]
) -> dict[str, Stage]:
    """Stages that fit the learners of all experiments for the rows of all targets.

    Returns
    -------
    dict of str to Stage
        By the address of the stage with the same learners' votes at home.
    """
    if not targets:
        return {}
    readers: dict[str, list[tuple[ExperimentConfig, PlannedMethod]]] = {}
    for experiment in experiments:
        for planned in experiment.methods.values():
            if planned.reading is not None:
                address = planned.stages[-1].address
                readers.setdefault(address, []).append((experiment.config, planned))
    found: dict[str, Stage] = {}
    for address, users in readers.items():
        config, planned = users[0]
        home = planned.stages[-1]
        stores = {
            target.split: _store(target.builder, config, planned, home.work) for target in targets
        }
        picks = [user.reading.pick for _, user in users if user.reading is not None]
        rows = {target.split: target.test.blind() for target in targets}
        work = _refitted(home.work, picks, rows, stores)
        found[address] = builder.stage(work, f"{home.title}, on other tasks", home.cost)
    return found


def _store(builder: Builder, config: ExperimentConfig, planned: PlannedMethod, home: Work) -> Stage:
    """Activations of another task such as the votes at home read."""
    if isinstance(home, CastVotes) and home.spec.reads_tokens:
        return builder.token_store(tuple(map(int, home.spec.layers.split(","))))
    if planned.method.states == "weak" and config.weak.states is not None:
        return builder.weak_store(config.weak.states)
    return builder.store


def _refitted(
    home: Work, picks: Sequence[Pick], rows: dict[str, Rows], stores: dict[str, Stage]
) -> CastVotesElsewhere:
    """Work that fits what some learners read, out of all that a stage of votes fits at home."""
    if not isinstance(home, CastVotes):
        raise TypeError(f"{home.KIND} has no votes")
    probes: dict[str, set[float]] = {}
    for pick in picks:
        values = {value for value in pick.values if value is not None}
        probes.setdefault(pick.probe, set()).update(values)
    layers = {layer for pick in picks for layer in pick.layers}
    vectors = {pick.labels for pick in picks}
    spec = home.spec.model_copy(
        update={
            "layers": ",".join(map(str, sorted(layers))),
            "probes": {name: tuple(sorted(values)) for name, values in sorted(probes.items())},
            "held_out": (),
        }
    )
    return CastVotesElsewhere(
        home.store,
        spec,
        home.train,
        rows,
        {name: stage for name, stage in home.labels.items() if name in vectors},
        (),
        TRUTH in vectors,
        device=home.device,
        elsewhere=stores,
    )
