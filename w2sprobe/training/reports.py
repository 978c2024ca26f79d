"""Callbacks that log a run's curves to TensorBoard, Weights & Biases, trackio and the like."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.integrations.integration_utils import (
    TensorBoardCallback,
    TrackioCallback,
    get_reporting_integration_callbacks,
)

from w2sprobe.training.settings import TrainSettings

LOGS = "logs"


class QuietTrackio(TrackioCallback):
    """transformers' callback; what trackio prints goes to stderr, as stdout may be JSON."""

    def setup(self, *arguments: Any, **more: Any) -> None:
        """Begin a run."""
        with redirect_stdout(sys.stderr):
            super().setup(*arguments, **more)  # type: ignore[no-untyped-call]

    def on_train_end(self, *arguments: Any, **more: Any) -> None:
        """End it."""
        with redirect_stdout(sys.stderr):
            super().on_train_end(*arguments, **more)


def report_callbacks(settings: TrainSettings, out: Path) -> list[TrainerCallback]:
    """Make the callbacks that `report_to` names; TensorBoard's files go to `logs/` in `out`."""
    callbacks: list[TrainerCallback] = []
    for name in settings.reporters:
        if name == "tensorboard":
            from torch.utils.tensorboard import SummaryWriter

            writer = SummaryWriter(str(out / LOGS))
            callbacks.append(TensorBoardCallback(writer))  # type: ignore[no-untyped-call]
        elif name == "trackio":
            callbacks.append(QuietTrackio())  # type: ignore[no-untyped-call]
        else:
            (callback,) = get_reporting_integration_callbacks([name])  # type: ignore[no-untyped-call]
            callbacks.append(callback())
    return callbacks
