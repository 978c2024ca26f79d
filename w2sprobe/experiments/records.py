"""What results keep of the stages beside scores: labels of the training rows, curves, sweeps."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from w2sprobe.atomic import atomic_path
from w2sprobe.experiments.builder import Experiment
from w2sprobe.experiments.engines import Outcomes
from w2sprobe.experiments.stages import Stage
from w2sprobe.experiments.steps import CURATION, label_file, stopped
from w2sprobe.labels import LabelTable
from w2sprobe.sweeps.run import NOTE, TABLE
from w2sprobe.training.saved import RECORD as TRAINING
from w2sprobe.training.settings import VAL_SCORES

LABELS = "training_labels.parquet"
CURVES = "training.parquet"
SWEEP, SWEEP_NOTE = TABLE, NOTE

LABEL_COLUMNS = pa.schema(
    [
        ("method", pa.dictionary(pa.int32(), pa.string())),
        ("id", pa.string()),
        ("split", pa.dictionary(pa.int32(), pa.string())),
        ("label", pa.int64()),
        ("soft_label", pa.float64()),
        ("keep", pa.bool_()),
        ("step", pa.dictionary(pa.int32(), pa.string())),
    ]
)
CURVE_COLUMNS = pa.schema(
    [
        ("method", pa.string()),
        ("stage", pa.string()),
        ("epoch", pa.float64()),
        ("train_loss", pa.float64()),
        *((name, pa.float64()) for name in VAL_SCORES),
        ("early_stopping", pa.string()),
        ("chosen", pa.bool_()),
    ]
)


def write_records(experiment: Experiment, outcomes: Outcomes, folder: Path) -> None:
    """Write what there is: training_labels.parquet, training.parquet, sweep.parquet, sweep.json.

    A file of an earlier run that this one has nothing for is removed.

    Parameters
    ----------
    experiment : Experiment
    outcomes : dict of str to Outcome
    folder : Path
    """
    _write(list(_labels(experiment, outcomes)), folder / LABELS)
    curves = list(_curves(experiment, outcomes))
    made = [pa.Table.from_pylist(curves, schema=CURVE_COLUMNS)] if curves else []
    _write(made, folder / CURVES)
    done = [one for one in experiment.stages if one.kind == "sweep" and _done(one, outcomes)]
    for name in (SWEEP, SWEEP_NOTE):
        if done:
            with atomic_path(folder / name) as temporary:
                temporary.write_bytes((done[0].folder / name).read_bytes())
        else:
            (folder / name).unlink(missing_ok=True)


def training_warnings(experiment: Experiment, outcomes: Outcomes) -> tuple[str, ...]:
    """What the trainings of an experiment warn of, with the title of each.

    Parameters
    ----------
    experiment : Experiment
    outcomes : dict of str to Outcome

    Returns
    -------
    tuple of str
    """
    return tuple(
        f"{stage.title}: {message}"
        for stage in experiment.stages
        if stage.kind == "train" and _done(stage, outcomes)
        for message in _record(stage.folder)["warnings"]
    )


def _write(parts: list[pa.Table], path: Path) -> None:
    if not parts:
        path.unlink(missing_ok=True)
        return
    with atomic_path(path) as temporary:
        pq.write_table(pa.concat_tables(parts).unify_dictionaries(), temporary)


def _labels(experiment: Experiment, outcomes: Outcomes) -> Iterable[pa.Table]:
    """The weak labels of the strong-train and validation rows, and those of each method."""
    splits = experiment.splits
    rows = {"strong_train": splits.strong_train, "val": splits.val}
    for method, stages in experiment.methods.items():
        stage = stages[0] if method == "weak" else _last_labels(stages)
        if stage is None or not _done(stage, outcomes):
            continue
        table, steps = LabelTable.read(label_file(stage.folder)), _steps(stage)
        for split, part in rows.items():
            own = table.align(part.ids)
            ids = own.ids.tolist()
            columns = {
                "method": [method] * len(ids),
                "id": ids,
                "split": [split] * len(ids),
                "label": part.labels,
                "soft_label": own.soft_label,
                "keep": own.keep,
                "step": [steps.get(name) for name in ids],
            }
            yield pa.table(columns, schema=LABEL_COLUMNS)


def _last_labels(stages: list[Stage]) -> Stage | None:
    """The stage whose labels a method's last student was trained on, where they are its own."""
    own = [stage for stage in stages if stage.kind in ("curate", "relabel")]
    return own[-1] if own else None


def _steps(stage: Stage) -> dict[str, str]:
    file = stage.folder / CURATION
    steps: dict[str, str] = {}
    if file.is_file():
        steps = json.loads(file.read_text(encoding="utf-8"))["steps"]
    return steps


def _curves(experiment: Experiment, outcomes: Outcomes) -> Iterable[dict[str, Any]]:
    """Each evaluation on the validation rows, of every finetuning of a method's own."""
    for method, stages in experiment.methods.items():
        for stage in stages:
            if stage.kind == "train" and _done(stage, outcomes):
                for evaluation in _evaluations(stage.folder):
                    yield {"method": method, "stage": stage.title, **evaluation}


def _record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / TRAINING).read_text(encoding="utf-8"))
    return found


def _evaluations(folder: Path) -> Iterable[dict[str, Any]]:
    record = _record(folder)
    epochs, n_steps = record["settings"]["epochs"], record["n_steps"]
    for number, step in enumerate(record["val_step"]):
        epoch = epochs * step / n_steps
        yield {
            "epoch": epoch,
            # of the epoch that the evaluation lies in or ends
            "train_loss": record["train_loss"][min(int(np.ceil(epoch)), epochs) - 1],
            **{name: record[name][number] for name in VAL_SCORES},
            "early_stopping": record["settings"]["early_stopping"],
            "chosen": step == record["chosen_step"],
        }


def _done(stage: Stage, outcomes: Outcomes) -> bool:
    return outcomes[stage.address].status == "done" and not (
        stage.kind == "relabel" and stopped(stage.folder)
    )
