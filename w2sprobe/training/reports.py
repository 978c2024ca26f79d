"""Curves of a run, for people who watch it: TensorBoard, Weights & Biases and their like."""

from pathlib import Path

from transformers import TrainerCallback
from transformers.integrations.integration_utils import (
    TensorBoardCallback,
    get_reporting_integration_callbacks,
)

from w2sprobe.training.settings import TrainSettings

LOGS = "logs"  # TensorBoard's files, in the folder of the run


def report_callbacks(settings: TrainSettings, out: Path) -> list[TrainerCallback]:
    """Make what `report_to` names.

    Parameters
    ----------
    settings : TrainSettings
        As `check_requirements` has passed them.
    out : Path
        Folder of the run; TensorBoard's files go to `logs/` in it.

    Returns
    -------
    list of TrainerCallback
    """
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
