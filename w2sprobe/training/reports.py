"""Curves of a run, for people who watch it: TensorBoard, Weights & Biases and their like."""

from pathlib import Path

from transformers import TrainerCallback
from transformers.integrations.integration_utils import (
    TensorBoardCallback,
    get_reporting_integration_callbacks,
)

from w2sprobe.errors import InputError, MissingDependency

LOGS = "logs"  # TensorBoard's files, in the folder of the run


def report_callbacks(report_to: str, out: Path) -> list[TrainerCallback]:
    """Make what `report_to` names.

    Parameters
    ----------
    report_to : str
        Names with commas between them, as transformers' `report_to` takes them; none.
    out : Path
        Folder of the run.

    Returns
    -------
    list of TrainerCallback

    Raises
    ------
    InputError
        transformers knows no such integration.
    MissingDependency
        Its package is not installed.
    """
    callbacks: list[TrainerCallback] = []
    for name in (part.strip() for part in report_to.split(",")):
        if name == "none":
            continue
        try:
            (callback,) = get_reporting_integration_callbacks([name])  # type: ignore[no-untyped-call]
            if name == "tensorboard":
                from torch.utils.tensorboard import SummaryWriter

                made = TensorBoardCallback(SummaryWriter(str(out / LOGS)))  # type: ignore[no-untyped-call]
            else:
                made = callback()
        except ValueError as error:
            raise InputError(f"--report-to is {report_to!r}: {error}") from error
        except (ImportError, RuntimeError) as error:
            raise MissingDependency(
                f"--report-to {name}: {error}", advice=f"Run: pip install {name}"
            ) from error
        callbacks.append(made)
    return callbacks
