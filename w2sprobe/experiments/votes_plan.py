"""Merges the votes that methods request into as few stages as possible.

Requests for the same activations, preprocessing and folds share one stage: it fits all probes,
settings and layers that any of them reads to all of their label vectors.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from w2sprobe.data import Splits
from w2sprobe.experiments.stage_kinds import TRUTH, CastVotes
from w2sprobe.experiments.stages import Stage
from w2sprobe.probing.spec import VoteSpec
from w2sprobe.votes.picking import Pick
from w2sprobe.votes.selection import Choice
from w2sprobe.votes.table import LEAVE_ONE_OUT, TRAIN

BY_FOLDS = "by_folds"  # held out as probes other than kNN are: over folds in any case


@dataclass(frozen=True)
class VoteRequest:
    """Votes that one method reads.

    Parameters
    ----------
    store : Stage
        Activations.
    settings : dict
        Fields of `VoteSpec` except probes, layers and held_out.
    probes : dict of str to tuple of float
        Values of the setting of each probe to fit, including one that only chooses.
    labels : dict of str to Stage or None
        Label vectors to fit to, by name; None is truth.
    held_out : frozenset of str
        How training rows are predicted; empty if those are not read.
    hard : frozenset of str
        Label vectors to be fitted hardened as well.
    together : str
        Only requests with the same text here may share a stage.
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
        """Equal for requests that one stage can serve."""
        return self.store.address, self.together, *sorted(map(str, self.settings.items()))


@dataclass
class Reading:
    """Votes that a method reads; `votes` is set once all requests are known.

    Parameters
    ----------
    chooser : Stage or None
        Labels that choose among points; None is truth, which never chooses.
    choices : list of Choice, optional
        What the labels chose; None until it is computed.
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


Registered = tuple[VoteRequest, Reading]


@dataclass
class VotesPlan:
    """Collects the requests of all methods on one cut of the rows.

    Parameters
    ----------
    make : callable
        `make(work, title)` adds a stage.
    """

    splits: Splits
    device: str
    make: Callable[[CastVotes, str], Stage]
    _requests: dict[tuple[Any, ...], list[Registered]] = field(default_factory=dict)

    def read(self, request: VoteRequest) -> Reading:
        """Register a request; its votes have a stage after `cast`."""
        reading = Reading(request.pick, request.labels[request.pick.chosen_by])
        self._requests.setdefault(request.key, []).append((request, reading))
        return reading

    def cast(self, title: str) -> None:
        """Make the stages of all requests so far."""
        for together in self._requests.values():
            for part in _by_layers(together):
                stage = self.make(self._work([request for request, _ in part]), title)
                for _, reading in part:
                    reading.votes = stage
        self._requests.clear()

    def _work(self, requests: list[VoteRequest]) -> CastVotes:
        probes: dict[str, set[float]] = {}
        labels: dict[str, Stage | None] = {}
        layers: set[int] = set()
        for request in requests:
            for name, values in request.probes.items():
                probes.setdefault(name, set()).update(values)
            layers.update(request.pick.layers)
            for name, stage in request.labels.items():
                if labels.setdefault(name, stage) is not stage:
                    raise RuntimeError(f"two sets of labels are called {name!r}")
        held_out = set().union(*(request.held_out for request in requests))
        if BY_FOLDS in held_out:
            held_out -= {BY_FOLDS}
            # any held-out split is cast over folds for these probes: ask kNN for no second one
            held_out |= set() if held_out & {TRAIN, LEAVE_ONE_OUT} else {TRAIN}
        spec = VoteSpec(
            layers=",".join(map(str, sorted(layers))),
            probes={name: tuple(sorted(values)) for name, values in sorted(probes.items())},
            held_out=tuple(sorted(held_out)),
            **requests[0].settings,
        )
        return CastVotes(
            requests[0].store,
            spec,
            self.splits.strong_train if TRUTH in labels else self.splits.blind.strong_train,
            {"val": self.splits.blind.val, "test": self.splits.blind.test},
            {name: stage for name, stage in sorted(labels.items()) if stage is not None},
            tuple(sorted(set().union(*(request.hard for request in requests)))),
            TRUTH in labels,
            device=self.device,
        )


def _by_layers(requests: list[Registered]) -> list[list[Registered]]:
    """Split requests so that no probe is fitted on a layer where nobody reads it."""
    linked: dict[str, set[str]] = {}  # by probe: those that some request reads together with it
    for request, _ in requests:
        group = set(request.probes).union(*(linked.get(probe, ()) for probe in request.probes))
        linked |= dict.fromkeys(group, group)
    layers: dict[str, set[int]] = {}
    for request, _ in requests:
        for probe in linked[request.pick.probe]:
            layers.setdefault(probe, set()).update(request.pick.layers)
    parts: dict[tuple[int, ...], list[Registered]] = {}
    for request, reading in requests:
        parts.setdefault(tuple(sorted(layers[request.pick.probe])), []).append((request, reading))
    return list(parts.values())
