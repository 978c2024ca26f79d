"""Training runs by the values of their labels, so that equal labels are trained on once.

The address of a stage depends on how its labels are made. Whether two curations give equal labels
is known only when both are done. So each run is also registered under a second address, a hash of
the labels' values, where later stages look for it.
"""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from w2sprobe.atomic import make_folder, write_json
from w2sprobe.cache.locks import LOCK_PREFIX, Locks
from w2sprobe.data import Rows
from w2sprobe.fingerprint import fingerprint
from w2sprobe.labels import LabelTable
from w2sprobe.training.checkpoints import FOLDER as CHECKPOINTS
from w2sprobe.training.saved import RECORD, copy_run

RUNS = "runs"  # folder in the cache, with one small JSON file per run
SAME_RUN_AS = "same_run_as"  # key of training.json: title of the stage that trained


def content_address(made_of: dict[str, Any], table: LabelTable, rows: Rows, val: Rows) -> str:
    """Hash of all that a training run depends on, with its labels by value.

    Parameters
    ----------
    made_of : dict
        Everything except the labels; JSON.
    rows, val : Rows
        Training and validation rows, whose texts are in `made_of`. Labels of rows that `table`
        leaves out do not enter.
    """
    given, judged = table.align(rows.ids), table.align(val.ids)
    return fingerprint(
        {
            **made_of,
            "keep": given.keep.tolist(),
            "soft_label": given.soft_label[given.keep].tolist(),
            "val": judged.soft_label.tolist(),
        }
    )


def train_once(
    folder: Path, runs: Path, address: str, title: str, outputs: str, train: Callable[[], None]
) -> None:
    """Train, or copy the run of another stage that was trained on the same labels.

    If several processes need the same run, one trains; the others wait and copy.

    Parameters
    ----------
    folder : Path
        Folder of the stage, beside the folders of other stages.
    runs : Path
        Folder of the registered runs.
    address : str
        From `content_address`.
    title : str
        Title of the stage.
    outputs : str
        Name of a file that `train` writes when the run is finished.
    train : callable
        Writes a finished run into `folder`.
    """
    make_folder(runs)
    entry = runs / f"{address}.json"
    locks = Locks()
    try:
        locks.wait(runs / f"{LOCK_PREFIX}{address}", math.inf)
        known = json.loads(entry.read_text(encoding="utf-8")) if entry.is_file() else {}
        source = folder.parent / known.get("stage", folder.name)
        is_complete = all((source / name).is_file() for name in (RECORD, outputs))
        if source == folder or not is_complete:  # the registered stage may have been deleted
            train()
            write_json(entry, {"stage": folder.name, "title": title})
            return
        shutil.copyfile(source / outputs, folder / outputs)
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)  # left by an interrupted training
        copy_run(source, folder, {SAME_RUN_AS: known["title"]})
    finally:
        locks.close()


def same_run_as(folder: Path) -> str:
    """Title of the stage whose run this one has copied; empty for other stages."""
    file = folder / RECORD
    found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return str(found.get(SAME_RUN_AS, ""))
