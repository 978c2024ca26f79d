"""Which predictions a method uses: a given layer and setting, a selected one, or an average."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from w2sprobe.labels import LabelTable
from w2sprobe.votes.scores import score_votes
from w2sprobe.votes.selection import Choice, WeakRule, choose, chosen_as
from w2sprobe.votes.table import TRAIN, FittedProbe, LayerVotes, Votes


class Point(NamedTuple):
    """A layer and a value of a probe's hyperparameter."""

    layer: int
    setting: str | None
    value: float | None


@dataclass(frozen=True)
class Pick:
    """Which predictions of one probe to use.

    Parameters
    ----------
    setting : str, optional
        Name of its hyperparameter.
    values : tuple of float or None
        Values of the hyperparameter; one of several is selected by `rule`.
    layers : tuple of int
        One of several is selected by `rule`, or all are averaged.
    labels : str
        Name of the label vector that the probe was fitted on.
    chosen_by : str
        Name of the label vector that the selection reads: never truth.
    rule : str
        Selection rule, as in `w2sprobe.votes.selection.choose`.
    average : bool, default False
        Average the layers; a value is then selected for each.
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
        """Whether anything is left to select."""
        return len(self.values) > 1 or (len(self.layers) > 1 and not self.average)

    def choices(self, votes: Votes, labels: LabelTable) -> list[Choice]:
        """Select by labels: one choice, or one per layer if layers are averaged.

        Parameters
        ----------
        labels : LabelTable
            The labels of `chosen_by`.

        Returns
        -------
        list of Choice
            Empty if nothing is left to select.

        Raises
        ------
        InputError
            The rule has no number for any layer and value.
        """
        if not self.chooses:
            return []
        layers = [self._candidates(votes.layer(layer)) for layer in self.layers]
        candidates = [[layer] for layer in layers] if self.average else [layers]
        fitted_on = {self.chosen_by: "weak"}
        return [
            choose(score_votes(group, labels, None, fitted_on=fitted_on), self.probe, self.rule)
            for group in candidates
        ]

    def points(self, choices: Sequence[Choice] = ()) -> list[Point]:
        """Layers and values to use, given the choices."""
        if not self.chooses:
            return [Point(layer, self.setting, self.values[0]) for layer in self.layers]
        # a probe that takes another probe's choice takes its layer, and its value if it has one
        return [
            Point(
                choice.layer,
                self.setting,
                choice.value if choice.setting == self.setting else self.values[0],
            )
            for choice in choices
        ]

    def predict(self, votes: Votes, points: Sequence[Point], split: str) -> LabelTable:
        """P(label = 1) of the rows of a split: the mean over the points."""
        parts = []
        for point in points:
            layer = votes.layer(point.layer)
            probe = FittedProbe(self.probe, point.setting, point.value, self.labels)
            parts.append(layer.of(probe, split))
        return LabelTable(layer.rows[split], np.mean(parts, axis=0) if len(parts) > 1 else parts[0])

    def _candidates(self, layer: LayerVotes) -> LayerVotes:
        """Cross-fitted predictions to select among."""
        candidates = {
            (probe, split): p
            for (probe, split), p in layer.p.items()
            if split == TRAIN
            and probe.probe == chosen_as(self.probe)
            and probe.labels == self.chosen_by
        }
        return replace(layer, p=candidates, rows={TRAIN: layer.rows[TRAIN]})
