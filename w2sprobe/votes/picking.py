"""Which predictions a method uses: of one layer and setting, an average, or a stack."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from w2sprobe.labels import LabelTable
from w2sprobe.votes.scores import score_votes
from w2sprobe.votes.selection import Choice, WeakRule, choose, chosen_as
from w2sprobe.votes.stacking import stack_weights
from w2sprobe.votes.table import TRAIN, FittedProbe, LayerVotes, Votes


class Point(NamedTuple):
    """A layer and a value of a probe's hyperparameter."""

    layer: int
    setting: str | None
    value: float | None
    weight: float = 1.0


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
    stack : bool, default False
        With `average`: weight the layers by `stack_weights`, from the labels that select.
    chooser_values : tuple of float or None, optional
        Values to select among, for a probe that takes the choice of another (`chosen_as`).
    """

    probe: str
    setting: str | None
    values: tuple[float | None, ...]
    layers: tuple[int, ...]
    labels: str
    chosen_by: str
    rule: WeakRule
    average: bool = False
    stack: bool = False
    chooser_values: tuple[float | None, ...] = ()

    @property
    def identity(self) -> dict[str, Any]:
        """All fields that matter, as JSON: addresses are those of versions that had fewer."""
        fields = asdict(self)
        return {k: v for k, v in fields.items() if v or k not in ("stack", "chooser_values")}

    @property
    def chooses(self) -> bool:
        """Whether anything is left to select."""
        several = len(self.layers) > 1 and not self.average
        return len(self.values) > 1 or several or self.stack

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
        chosen = [
            choose(score_votes(group, labels, None, fitted_on=fitted_on), self.probe, self.rule)
            for group in candidates
        ]
        if not self.stack:
            return chosen
        weights = self._weights(votes, labels, chosen)
        return [replace(one, weight=weight) for one, weight in zip(chosen, weights, strict=True)]

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
                1.0 if choice.weight is None else choice.weight,
            )
            for choice in choices
        ]

    def predict(self, votes: Votes, points: Sequence[Point], split: str) -> LabelTable:
        """P(label = 1) of the rows of a split: the mean over the points, by their weights."""
        parts = []
        for point in points:
            layer = votes.layer(point.layer)
            probe = FittedProbe(self.probe, point.setting, point.value, self.labels)
            parts.append(layer.of(probe, split))
        if self.stack:
            p = np.average(parts, axis=0, weights=[point.weight for point in points])
        else:
            p = np.mean(parts, axis=0) if len(parts) > 1 else parts[0]
        return LabelTable(layer.rows[split], p)

    def _weights(self, votes: Votes, labels: LabelTable, chosen: Sequence[Choice]) -> list[float]:
        """Weights of the layers, by held-out predictions of the labels that select."""
        parts = []
        for point in self.points(chosen):
            layer = votes.layer(point.layer)
            probe = FittedProbe(self.probe, point.setting, point.value, self.chosen_by)
            parts.append(layer.of(probe, TRAIN))
        given = labels.align(layer.rows[TRAIN])
        weights = stack_weights(np.stack(parts)[:, given.keep], given.soft_label[given.keep])
        return [float(weight) for weight in weights]

    def _candidates(self, layer: LayerVotes) -> LayerVotes:
        """Cross-fitted predictions to select among; the votes may have other methods' values."""
        values = self.chooser_values or self.values
        candidates = {
            (probe, split): p
            for (probe, split), p in layer.p.items()
            if split == TRAIN
            and probe.probe == chosen_as(self.probe)
            and probe.labels == self.chosen_by
            and probe.value in values
        }
        return replace(layer, p=candidates, rows={TRAIN: layer.rows[TRAIN]})
