"""Files of training labels, training curves and sweeps, beside the scores."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from w2sprobe.atomic import atomic_path
from w2sprobe.data import Rows, truth_table
from w2sprobe.experiments.engines import Outcomes
from w2sprobe.experiments.experiment import Experiment
from w2sprobe.experiments.stage_kinds import CURATION, TRUTH, labels_of, stopped
from w2sprobe.experiments.stages import Stage
from w2sprobe.experiments.votes_plan import Reading
from w2sprobe.metrics import roc_auc
from w2sprobe.training.saved import RECORD as TRAINING
from w2sprobe.training.saved import read_validation
from w2sprobe.training.settings import VAL_SCORES
from w2sprobe.votes.scores import score_votes
from w2sprobe.votes.selection import SWEEP, SWEEP_NOTE, write_sweep
from w2sprobe.votes.table import Votes

LABELS = "training_labels.parquet"
CURVES = "training.parquet"

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
        ("val_true_auc", pa.float64()),  # for display only: computed after training
        ("early_stopping", pa.string()),
        ("chosen", pa.bool_()),
    ]
)


def write_records(experiment: Experiment, outcomes: Outcomes, folder: Path) -> None:
    """Write training_labels.parquet, training.parquet, sweep.parquet and sweep.json.

    Without rows, no file is written, and that of an earlier run is removed.
    """
    _write(list(_labels(experiment, outcomes)), folder / LABELS)
    curves = list(_curves(experiment, outcomes))
    made = [pa.Table.from_pylist(curves, schema=CURVE_COLUMNS)] if curves else []
    _write(made, folder / CURVES)
    if experiment.sweep is not None and _done(experiment.sweep.stage, outcomes):
        _write_sweep(experiment, experiment.sweep, folder)
    else:
        for name in (SWEEP, SWEEP_NOTE):
            (folder / name).unlink(missing_ok=True)


def _write_sweep(experiment: Experiment, sweep: Reading, folder: Path) -> None:
    """Score the votes of the sweep against true labels and against the supervisor's."""
    votes, pick, splits = Votes.open(sweep.stage.folder), sweep.pick, experiment.splits
    config = experiment.config.sweep
    if config is None or sweep.chooser is None:
        return
    values = {"knn": config.ks, "logistic": config.l2s}
    layers = (
        votes.layer(layer).only(
            lambda vote: (
                vote.value in values.get(vote.probe, ()) and vote.labels in (pick.labels, TRUTH)
            )
        )
        for layer in pick.layers
    )
    weak = labels_of(sweep.chooser)
    truth = truth_table(splits.strong_train, splits.val, splits.test)
    fitted_on = {pick.labels: "weak", **({TRUTH: "truth"} if config.ceiling else {})}
    table = score_votes(layers, weak, truth, fitted_on=fitted_on)
    n_rows = {"fitted": len(splits.strong_train), "val": len(splits.val), "test": len(splits.test)}
    write_sweep(folder, table, layers=pick.layers, n_rows=n_rows)


def training_warnings(experiment: Experiment, outcomes: Outcomes) -> tuple[str, ...]:
    """Warnings of the training runs of an experiment, each after the title of its stage."""
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
    """Labels of the strong-train and validation rows: the weak labels, and those of each method."""
    splits = experiment.splits
    rows = {"strong_train": splits.strong_train, "val": splits.val}
    for method, planned in experiment.methods.items():
        stages = planned.stages
        stage = stages[0] if method == "weak" else _last_labels(stages)
        if stage is None or not _done(stage, outcomes):
            continue
        table, steps = labels_of(stage), _steps(stage)
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
    """Stage of the labels that a method's last learner was trained on; None for weak labels."""
    own = [stage for stage in stages if stage.kind in ("curate", "relabel")]
    return own[-1] if own else None


def _steps(stage: Stage) -> dict[str, str]:
    file = stage.folder / CURATION
    steps: dict[str, str] = {}
    if file.is_file():
        steps = json.loads(file.read_text(encoding="utf-8"))["steps"]
    return steps


def _curves(experiment: Experiment, outcomes: Outcomes) -> Iterable[dict[str, Any]]:
    """Evaluations on the validation rows, of every training run of each method."""
    for method, planned in experiment.methods.items():
        for stage in planned.stages:
            if stage.kind == "train" and _done(stage, outcomes):
                for evaluation in _evaluations(stage.folder, experiment.splits.val):
                    yield {"method": method, "stage": stage.title, **evaluation}


def _record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / TRAINING).read_text(encoding="utf-8"))
    return found


def _evaluations(folder: Path, val: Rows) -> Iterable[dict[str, Any]]:
    record, predicted = _record(folder), read_validation(folder)
    of_both_classes = bool(val.labels.any() and not val.labels.all())
    epochs, n_steps = record["settings"]["epochs"], record["n_steps"]
    for number, step in enumerate(record["val_step"]):
        epoch = epochs * step / n_steps
        known = of_both_classes and step in predicted
        yield {
            "epoch": epoch,
            # mean over the epoch that contains or ends with this evaluation
            "train_loss": record["train_loss"][min(int(np.ceil(epoch)), epochs) - 1],
            **{name: record[name][number] for name in VAL_SCORES},
            "val_true_auc": roc_auc(val.labels, predicted[step].align(val.ids).soft_label)
            if known
            else None,
            "early_stopping": record["settings"]["early_stopping"],
            "chosen": step == record["chosen_step"],
        }


def _done(stage: Stage, outcomes: Outcomes) -> bool:
    return outcomes[stage.address].status == "done" and not (
        stage.kind == "relabel" and stopped(stage.folder)
    )
