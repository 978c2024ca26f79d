"""Kinds of stages that predict the test rows of tasks that a model was not trained on."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from w2sprobe.cache import ActivationStore
from w2sprobe.data import Rows
from w2sprobe.experiments.stage_kinds import CastVotes
from w2sprobe.experiments.stages import ASIDE, LABELS, Stage, Work
from w2sprobe.experiments.supervisors import FitProbe
from w2sprobe.training.saved import SavedModel


@dataclass(frozen=True)
class CastVotesElsewhere(CastVotes):
    """Fit the probes of another stage again, on all training rows, and predict other tasks.

    Parameters
    ----------
    elsewhere : dict of str to Stage
        Activations of the rows in `others`, by the same key.
    """

    KIND: ClassVar[str] = "votes_elsewhere"

    elsewhere: dict[str, Stage] = field(kw_only=True)

    @property
    def other_stores(self) -> dict[str, ActivationStore]:
        """Stores of the other tasks."""
        return {name: ActivationStore.open(one.folder) for name, one in self.elsewhere.items()}


@dataclass(frozen=True)
class FitProbeElsewhere(FitProbe):
    """Fit a logistic probe on rows of a store and predict rows of another store."""

    KIND: ClassVar[str] = "supervisor_elsewhere"

    elsewhere: Stage

    @property
    def predicted_store(self) -> Stage:
        """Activations of the rows to predict."""
        return self.elsewhere


@dataclass(frozen=True)
class Predict(Work):
    """Predict labels by a finetuned model."""

    KIND: ClassVar[str] = "predict"

    trained: Stage
    rows: Rows
    device: str = field(metadata=ASIDE, kw_only=True)
    prefixes: Path = field(metadata=ASIDE, kw_only=True)

    def run(self, folder: Path) -> None:
        """Write its predictions as labels."""
        model = SavedModel.open(self.trained.folder, self.device)
        model.predict(self.rows, prefixes=self.prefixes).write(folder / LABELS)
