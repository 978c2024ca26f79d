"""Checkpoints of a run: their state beyond transformers' files, and when they are complete.

transformers writes a checkpoint file by file, so a killed run may leave an incomplete one.
`whole.json` is written last and holds what transformers does not save: the state of the loss and
the validation predictions. It is kept when the other files of an older checkpoint are deleted.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from w2sprobe.atomic import make_folder, write_json
from w2sprobe.errors import InputError

FOLDER = "checkpoints"
RUN_FILE = "run.json"  # fingerprint of the run that the checkpoints belong to
IDENTITY = "rows, labels, model, settings, precision or number of processes"  # in messages
STATE_FILE = "whole.json"  # written last: a checkpoint without it is incomplete


def claim(out: Path, fingerprint: str) -> Path:
    """Make the folder for a run's checkpoints, or return the one a killed attempt has left.

    Parameters
    ----------
    out : Path
        Folder of the run.
    fingerprint : str
        Hash of everything that determines the run's weights.

    Raises
    ------
    InputError
        The folder holds checkpoints of another run.
    """
    folder = out / FOLDER
    run_file = folder / RUN_FILE
    if not run_file.is_file():
        make_folder(folder)
        write_json(run_file, {"fingerprint": fingerprint})
    elif json.loads(run_file.read_text(encoding="utf-8"))["fingerprint"] != fingerprint:
        raise InputError(
            f"the folder holds an unfinished run with other {IDENTITY}",
            where=str(out),
            advice="Use those again, choose another folder, or remove this one.",
        )
    return folder


def newest(folder: Path) -> Path | None:
    """Return the newest complete checkpoint, and remove incomplete ones."""
    complete = []
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=_step):
        if (checkpoint / STATE_FILE).is_file():
            complete.append(checkpoint)
        else:
            shutil.rmtree(checkpoint)
    return complete[-1] if complete else None


def mark_complete(checkpoint: Path, state: dict[str, Any]) -> None:
    """Mark a checkpoint as complete and store the state that belongs to it, JSON values."""
    write_json(checkpoint / STATE_FILE, state)


def prune(folder: Path, keep: set[str]) -> None:
    """Delete all checkpoints not in `keep`, except their `whole.json`."""
    for checkpoint in folder.glob("checkpoint-*"):
        if checkpoint.name in keep:
            continue
        for path in checkpoint.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != STATE_FILE:
                path.unlink()


def state_of(checkpoint: Path) -> dict[str, Any]:
    """Read the state that `mark_complete` has stored."""
    state: dict[str, Any] = json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
    return state


def predictions(folder: Path, steps: Sequence[int]) -> dict[int, np.ndarray]:
    """Read the validation predictions of the evaluations after these steps.

    Returns
    -------
    dict of int to ndarray of float64, shape (n,)
        Empty if any are missing (runs started with an earlier version, which deleted `whole.json`).
    """
    by_step = {step: folder / f"checkpoint-{step}" for step in steps}
    if not all((checkpoint / STATE_FILE).is_file() for checkpoint in by_step.values()):
        return {}
    return {
        step: np.array(state_of(checkpoint)["val_scores"]) for step, checkpoint in by_step.items()
    }


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])
