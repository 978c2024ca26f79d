"""Which votes a method reads: a point that is given, one that labels choose, or an average."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from w2sprobe.labels import LabelTable
from w2sprobe.votes.scores import score_votes
from w2sprobe.votes.selection import Choice, WeakRule, choose, chosen_as
from w2sprobe.votes.table import TRAIN, FittedProbe, LayerVotes, Votes


class Point(NamedTuple):
    """Where one vote of a probe is: on which layer, with which value of its setting."""

    layer: int
    setting: str | None
    value: float | None


@dataclass(frozen=True)
class Pick:
    """Votes of one probe.

    Parameters
    ----------
    probe : str
    setting : str, optional
        Name of its hyperparameter.
    values : tuple of float or None
        Of the setting; of several, the labels choose.
    layers : tuple of int
        Of several, the labels choose, or they are averaged.
    labels : str
        Name of the label vector that the probe was fitted on.
    chosen_by : str
        Name of the label vector that chooses: never truth.
    rule : str
        How it chooses, as in `w2sprobe.votes.selection.choose`.
    average : bool, default False
        Average the layers.
    """

    probe: str
    setting: str | None
    values: tuple[float | None, ...]
    layers: tuple[int, ...]
    labels: str
    chosen_by: str
    rule: WeakRule
    average: bool = False

    @property
    def chooses(self) -> bool:
        """Whether there is anything to choose."""
        return len(self.values) > 1 or (len(self.layers) > 1 and not self.average)

    def choices(self, votes: Votes, given: LabelTable) -> list[Choice]:
        """What the labels choose, by layer where these are averaged; none if nothing is to choose.

        Parameters
        ----------
        votes : Votes
        given : LabelTable
            The labels of `chosen_by`.

        Raises
        ------
        InputError
            The rule has no number for any point.
        """
        if not self.chooses:
            return []
        layers = [self._candidates(votes.layer(layer)) for layer in self.layers]
        parts: list[Iterable[LayerVotes]] = [[one] for one in layers] if self.average else [layers]
        fitted_on = {self.chosen_by: "weak"}
        return [
            choose(score_votes(part, given, None, fitted_on=fitted_on), self.probe, self.rule)
            for part in parts
        ]

    def points(self, choices: Sequence[Choice] = ()) -> list[Point]:
        """Points to read, given what was chosen; of a probe with another setting, its layer."""
        if not self.chooses:
            return [Point(layer, self.setting, self.values[0]) for layer in self.layers]
        same = [one.setting == self.setting for one in choices]
        return [
            Point(one.layer, self.setting, one.value if own else self.values[0])
            for one, own in zip(choices, same, strict=True)
        ]

    def predict(self, votes: Votes, points: Sequence[Point], split: str) -> LabelTable:
        """Mean prediction of the points for the rows of a split.

        Parameters
        ----------
        votes : Votes
        points : sequence of Point
        split : str

        Returns
        -------
        LabelTable
            P(label = 1) by id.
        """
        parts = []
        for point in points:
            layer = votes.layer(point.layer)
            vote = FittedProbe(self.probe, point.setting, point.value, self.labels)
            parts.append(layer.of(vote, split))
        return LabelTable(layer.rows[split], np.mean(parts, axis=0) if len(parts) > 1 else parts[0])

    def _candidates(self, layer: LayerVotes) -> LayerVotes:
        """Held-out votes that the choice is among."""
        probe = chosen_as(self.probe)
        wanted = {
            key: p
            for key, p in layer.p.items()
            if key[1] == TRAIN and key[0].probe == probe and key[0].labels == self.chosen_by
        }
        return replace(layer, p=wanted, rows={TRAIN: layer.rows[TRAIN]})
