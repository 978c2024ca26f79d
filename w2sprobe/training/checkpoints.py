"""Checkpoints of an unfinished run: whose they are, and which of them are whole.

transformers writes a checkpoint file by file, so a killed run may leave half of one. `whole.json`
is written last and holds what transformers does not know: the loss's memory and the validation
predictions. It stays when the rest of an older checkpoint goes.
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
OWNER = "run.json"
WHOLE = "whole.json"


def claim(out: Path, fingerprint: str) -> Path:
    """Folder for the checkpoints of a run, as an earlier, killed try of the same run left it.

    Parameters
    ----------
    out : Path
        Folder of the run.
    fingerprint : str
        Of all that determines its weights.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        Checkpoints of another run lie there.
    """
    folder = out / FOLDER
    owner = folder / OWNER
    if not owner.is_file():
        make_folder(folder)
        write_json(owner, {"fingerprint": fingerprint})
    elif json.loads(owner.read_text(encoding="utf-8"))["fingerprint"] != fingerprint:
        raise InputError(
            "an unfinished run with other rows, labels, model or settings",
            where=str(out),
            advice="Go on with those, choose another folder, or remove this one.",
        )
    return folder


def newest(folder: Path) -> Path | None:
    """The newest whole checkpoint; halves of others are removed."""
    found = sorted(folder.glob("checkpoint-*"), key=_step)
    for checkpoint in found:
        if not (checkpoint / WHOLE).is_file():
            shutil.rmtree(checkpoint)
    whole = [checkpoint for checkpoint in found if checkpoint.exists()]
    return whole[-1] if whole else None


def seal(checkpoint: Path, state: dict[str, Any]) -> None:
    """Declare a checkpoint whole, with what belongs to it; JSON."""
    write_json(checkpoint / WHOLE, state)


def prune(folder: Path, keep: set[str]) -> None:
    """Empty all checkpoints but those of these names, the newest among them, down to the seal."""
    for checkpoint in folder.glob("checkpoint-*"):
        if checkpoint.name in keep:
            continue
        for path in checkpoint.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != WHOLE:
                path.unlink()


def state_of(checkpoint: Path) -> dict[str, Any]:
    """What `seal` kept."""
    state: dict[str, Any] = json.loads((checkpoint / WHOLE).read_text(encoding="utf-8"))
    return state


def predictions(folder: Path, steps: Sequence[int]) -> dict[int, np.ndarray]:
    """Validation predictions of the evaluations after these steps.

    Parameters
    ----------
    folder : Path
        Of the checkpoints.
    steps : sequence of int

    Returns
    -------
    dict of int to ndarray of float64, shape (n,)
        Empty where some are gone: an earlier version, which removed seals, began this run.
    """
    found = {step: folder / f"checkpoint-{step}" for step in steps}
    if not all((checkpoint / WHOLE).is_file() for checkpoint in found.values()):
        return {}
    return {
        step: np.array(state_of(checkpoint)["val_scores"]) for step, checkpoint in found.items()
    }


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])
