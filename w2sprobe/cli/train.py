"""`w2sprobe train`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from w2sprobe import help_texts
from w2sprobe.cli import _options, _scores
from w2sprobe.training.settings import STRONG_RATE, WEAK_RATE, TrainSettings

if TYPE_CHECKING:
    from w2sprobe.data import Splits
    from w2sprobe.experiments.config import TaskConfig
    from w2sprobe.labels import LabelTable

PREDICTIONS = "labels.parquet"


@click.command("train")
@_options.model
@_options.task_name()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FOLDER",
    help="Output folder: new, or of an interrupted run.",
)
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"Labels of training and validation rows; default: true labels. {help_texts.LABEL_TABLE}",
)
@click.option(
    "--split",
    type=click.Choice(["weak_train", "strong_train"]),
    default="strong_train",
    show_default=True,
    help="Split to train on.",
)
@click.option(
    "--learning-rate",
    type=float,
    help=f"Peak learning rate. Default, as in EleutherAI/w2s: {WEAK_RATE} with --split weak_train, "
    f"{STRONG_RATE} with strong_train.",
)
@_options.from_model(TrainSettings, leave_out=["learning_rate"])
@_options.task_settings
@_options.device
@_options.common
def command(
    model: str,
    task: "TaskConfig",
    labels: Path | None,
    split: str,
    out: Path,
    device: str,
    as_json: bool,
    **fields: Any,
) -> None:
    """Finetune a classifier on true or weak labels; predict other rows.

    Trains on true labels or on a label table, and predicts the rows of all other splits. An
    interrupted run resumes if you repeat the command.

    OUT gets adapter/ (PEFT; with --full: model/, transformers), training.json, and labels.parquet
    with P(label = 1) of the other splits: pass it as --labels to train a student.

    \b
    Examples: weak model, student, ceiling
      w2sprobe train --model minilm-l6 --task reviews.csv --split weak_train --out runs/weak
      w2sprobe train --model smollm2-135m --task reviews.csv \\
        --labels runs/weak/labels.parquet --loss logconf --out runs/student
      w2sprobe train --model smollm2-135m --task reviews.csv --out runs/ceiling
    """
    from w2sprobe.atomic import check_writable
    from w2sprobe.data import truth_table
    from w2sprobe.devices import rank_and_world
    from w2sprobe.labels import LabelTable
    from w2sprobe.training.trainer import finetune

    check_writable(out)
    if fields["learning_rate"] is None:
        fields["learning_rate"] = WEAK_RATE if split == "weak_train" else STRONG_RATE
    settings = _options.checked(TrainSettings, fields)
    _check_new_or_unfinished(out)
    splits = task.load()
    rows = splits[split]
    table = LabelTable.read(labels) if labels else truth_table(rows, splits.val)
    trained = finetune(model, rows, table, splits.val, out, settings, device=device)
    if rank_and_world()[0] != 0:
        return  # torchrun: only the first process writes and prints
    predicted = {name: trained.predict(part) for name, part in splits.items() if name != split}
    LabelTable.concatenate([*predicted.values()]).write(out / PREDICTIONS)
    result = {
        "out": str(out),
        "model": model,
        "trained_on": split,
        "rows_kept": trained.record["n_rows"],
        "chosen_epoch": trained.record["chosen_epoch"],
        "early_stopping": settings.early_stopping,
        **_performance(splits, predicted),
        "warnings": trained.record["warnings"],
    }
    click.echo(json.dumps(result, indent=2) if as_json else _shown(result, len(rows)))


def _check_new_or_unfinished(out: Path) -> None:
    from w2sprobe.errors import OutputError
    from w2sprobe.training.checkpoints import FOLDER as CHECKPOINTS
    from w2sprobe.training.saved import RECORD

    trained_only = (out / RECORD).is_file() and not (out / PREDICTIONS).is_file()
    unfinished = (out / CHECKPOINTS).is_dir() or trained_only
    if out.exists() and any(out.iterdir()) and not unfinished:
        raise OutputError(f"folder {str(out)!r} is not empty", advice="Choose another --out.")


def _performance(splits: "Splits", predicted: "dict[str, LabelTable]") -> dict[str, Any]:
    """Scores of the predictions against truth, by split."""
    from w2sprobe.metrics import roc_auc

    return {
        "auc": {n: roc_auc(splits[n].labels, part.soft_label) for n, part in predicted.items()},
        "performance": {n: _scores.scores(splits[n], part) for n, part in predicted.items()},
    }


def _shown(result: dict[str, Any], n_rows: int) -> str:
    return "\n".join(
        [
            f"{result['out']}: trained on {result['rows_kept']} of {n_rows} rows of "
            f"{result['trained_on']}, epoch {result['chosen_epoch']} kept by "
            f"{result['early_stopping']}",
            *(
                f"AUC against truth, {name}: {auc:.3f}{_scores.shown(result['performance'][name])}"
                for name, auc in result["auc"].items()
            ),
            *(f"Warning: {message}" for message in result["warnings"]),
        ]
    )
