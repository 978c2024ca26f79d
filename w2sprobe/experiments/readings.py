"""Which votes the methods of a study read, and the fewest stages that cast them all.

Methods that read the same activations with the same preprocessing and folds share one stage: it
fits all probes, settings and layers that any of them reads to all of their label vectors.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from w2sprobe.data import Splits
from w2sprobe.experiments.stages import Stage
from w2sprobe.experiments.steps import TRUTH, CastVotes
from w2sprobe.probing.spec import VoteSpec
from w2sprobe.votes.picking import Pick
from w2sprobe.votes.selection import Choice
from w2sprobe.votes.table import LEAVE_ONE_OUT, TRAIN

BY_FOLDS = "by_folds"  # what probes other than kNN are asked for: folds, whatever kNN does


@dataclass(frozen=True)
class Need:
    """What one method reads.

    Parameters
    ----------
    pick : Pick
    store : Stage
        Activations.
    settings : dict
        Fields of `VoteSpec` beside probes, layers and held_out.
    probes : dict of str to tuple of float
        Values of every probe that is read, also of one that only chooses.
    labels : dict of str to Stage or None
        Label vectors that are read, by name; None is truth.
    held_out : frozenset of str
        How training rows are predicted, where that is read.
    hard : frozenset of str
        Label vectors that are also read hardened.
    together : str
        Needs of another word here are cast apart.
    """

    pick: Pick
    store: Stage
    settings: Mapping[str, Any]
    probes: Mapping[str, tuple[float, ...]]
    labels: Mapping[str, Stage | None]
    held_out: frozenset[str]
    hard: frozenset[str] = frozenset()
    together: str = ""

    @property
    def key(self) -> tuple[Any, ...]:
        """What needs must agree in to be cast together."""
        return self.store.address, self.together, *sorted(map(str, self.settings.items()))


@dataclass
class Reading:
    """Votes that a method reads; `votes` is there once all needs are known.

    Parameters
    ----------
    pick : Pick
    chooser : Stage or None
        Labels that choose among points; None is truth, which never has a choice to make.
    votes : Stage, optional
    choices : list of Choice, optional
        What the labels chose, once that was asked.
    """

    pick: Pick
    chooser: Stage | None
    votes: Stage | None = None
    choices: list[Choice] | None = None

    @property
    def stage(self) -> Stage:
        """The stage that casts the votes."""
        if self.votes is None:
            raise RuntimeError("votes are read before they are planned")
        return self.votes


@dataclass
class VotesPlan:
    """Needs of the methods on one cut of the rows.

    Parameters
    ----------
    splits : Splits
    device : str
    make : callable
        `make(work, title)` adds a stage.
    """

    splits: Splits
    device: str
    make: Callable[[CastVotes, str], Stage]
    _needs: dict[tuple[Any, ...], list[tuple[Need, Reading]]] = field(default_factory=dict)

    def read(self, need: Need) -> Reading:
        """Note what a method reads."""
        reading = Reading(need.pick, need.labels[need.pick.chosen_by])
        self._needs.setdefault(need.key, []).append((need, reading))
        return reading

    def cast(self, title: str) -> None:
        """Make the stages of all needs so far."""
        for together in self._needs.values():
            for part in _by_layers(together):
                stage = self.make(self._work([need for need, _ in part]), title)
                for _, reading in part:
                    reading.votes = stage
        self._needs.clear()

    def _work(self, needs: list[Need]) -> CastVotes:
        probes: dict[str, set[float]] = {}
        labels: dict[str, Stage | None] = {}
        layers: set[int] = set()
        for need in needs:
            for name, values in need.probes.items():
                probes.setdefault(name, set()).update(values)
            layers.update(need.pick.layers)
            for name, stage in need.labels.items():
                if labels.setdefault(name, stage) is not stage:
                    raise RuntimeError(f"two sets of labels are called {name!r}")
        held_out = set().union(*(need.held_out for need in needs))
        if BY_FOLDS in held_out:
            held_out -= {BY_FOLDS}
            # kNN that leaves out single rows need not be fitted by folds for the others' sake
            held_out |= set() if held_out & {TRAIN, LEAVE_ONE_OUT} else {TRAIN}
        spec = VoteSpec(
            layers=",".join(map(str, sorted(layers))),
            probes={name: tuple(sorted(values)) for name, values in sorted(probes.items())},
            held_out=tuple(sorted(held_out)),
            **needs[0].settings,
        )
        return CastVotes(
            needs[0].store,
            spec,
            self.splits.strong_train if TRUTH in labels else self.splits.blind.strong_train,
            {"val": self.splits.blind.val, "test": self.splits.blind.test},
            {name: stage for name, stage in sorted(labels.items()) if stage is not None},
            tuple(sorted(set().union(*(need.hard for need in needs)))),
            TRUTH in labels,
            device=self.device,
        )


def _by_layers(needs: list[tuple[Need, Reading]]) -> list[list[tuple[Need, Reading]]]:
    """Needs whose probes are read on the same layers: no probe is fitted where no one reads it."""
    linked: dict[str, set[str]] = {}  # probes that one need reads side by side, and theirs
    for need, _ in needs:
        group = set(need.probes).union(*(linked.get(probe, ()) for probe in need.probes))
        linked |= dict.fromkeys(group, group)
    layers: dict[str, set[int]] = {}
    for need, _ in needs:
        for probe in linked[need.pick.probe]:
            layers.setdefault(probe, set()).update(need.pick.layers)
    parts: dict[tuple[int, ...], list[tuple[Need, Reading]]] = {}
    for need, reading in needs:
        parts.setdefault(tuple(sorted(layers[need.pick.probe])), []).append((need, reading))
    return list(parts.values())
