"""Callbacks that log a run's curves to TensorBoard, Weights & Biases and the like."""

from pathlib import Path

from transformers import TrainerCallback
from transformers.integrations.integration_utils import (
    TensorBoardCallback,
    get_reporting_integration_callbacks,
)

from w2sprobe.training.settings import TrainSettings

LOGS = "logs"


def report_callbacks(settings: TrainSettings, out: Path) -> list[TrainerCallback]:
    """Make the callbacks that `report_to` names; TensorBoard's files go to `logs/` in `out`."""
    callbacks: list[TrainerCallback] = []
    for name in settings.reporters:
        if name == "tensorboard":
            from torch.utils.tensorboard import SummaryWriter

            writer = SummaryWriter(str(out / LOGS))
            callbacks.append(TensorBoardCallback(writer))  # type: ignore[no-untyped-call]
        else:
            (callback,) = get_reporting_integration_callbacks([name])  # type: ignore[no-untyped-call]
            callbacks.append(callback())
    return callbacks
