"""Training runs by what they learn from, so that labels that are equal are trained on once.

A stage's address says who made its labels. Whether two curations made the same ones is known when
they are there: a run then has a second address, of its labels' content, under which later stages
find it.
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

RUNS = "runs"  # folder in the cache: a small JSON file a run
SAME_RUN_AS = "same_run_as"  # key of training.json: title of the stage that trained


def content_address(made_of: dict[str, Any], table: LabelTable, rows: Rows, val: Rows) -> str:
    """Fingerprint of everything that a run depends on, its labels by their values.

    Parameters
    ----------
    made_of : dict
        All but the labels, whatever it is made of; JSON.
    table : LabelTable
    rows, val : Rows
        Of training and validation; their texts are in `made_of`. A row that `table` leaves out
        enters by its place alone: its label is not read.

    Returns
    -------
    str
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
    """Train, or take over the run of another stage that has learned from the same labels.

    Of several processes that want the same run one trains; the others wait and copy.

    Parameters
    ----------
    folder : Path
        Of the stage; runs of other stages lie beside it.
    runs : Path
        Folder of the addresses.
    address : str
        Of `content_address`.
    title : str
        Of the stage.
    outputs : str
        File that `train` leaves beside the run, when that is finished.
    train : callable
        Leaves a finished run in `folder`.
    """
    make_folder(runs)
    entry = runs / f"{address}.json"
    locks = Locks()
    try:
        locks.wait(runs / f"{LOCK_PREFIX}{address}", math.inf)
        known = json.loads(entry.read_text(encoding="utf-8")) if entry.is_file() else {}
        source = folder.parent / known.get("stage", folder.name)
        # whose stage was removed since, or is this one, is trained
        there = all((source / name).is_file() for name in (RECORD, outputs))
        if source == folder or not there:
            train()
            write_json(entry, {"stage": folder.name, "title": title})
            return
        shutil.copyfile(source / outputs, folder / outputs)
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)  # of a try that was stopped
        copy_run(source, folder, {SAME_RUN_AS: known["title"]})
    finally:
        locks.close()


def same_run_as(folder: Path) -> str:
    """Title of the stage whose run this one took over; empty where it was trained, or is none."""
    file = folder / RECORD
    found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return str(found.get(SAME_RUN_AS, ""))
