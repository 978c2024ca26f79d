"""`w2sprobe train`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from w2sprobe.cli import _options
from w2sprobe.training.settings import TrainSettings

if TYPE_CHECKING:
    from w2sprobe.experiments.config import TaskConfig


@click.command("train")
@click.option(
    "--model", required=True, metavar="NAME|FOLDER", help="Asset, local folder or hub name."
)
@_options.task()
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    help="LabelTable (Parquet: id, soft_label, keep) for training and validation rows; default: "
    "truth.",
)
@click.option(
    "--split",
    type=click.Choice(["weak_train", "strong_train"]),
    default="strong_train",
    show_default=True,
    help="Rows to train on.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New folder.")
@_options.from_model(TrainSettings)
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
    """Finetune a classifier on truth or on a table of labels, and predict all other rows.

    OUT gets adapter/ (an ordinary PEFT folder), training.json and labels.parquet: P(label = 1) of
    every row it was not trained on, which is what a student takes as --labels. A run that was
    killed goes on when it is started again.

    \b
    Example: a weak model, and a student of it
      w2sprobe train --model minilm-l6 --task reviews.csv --split weak_train \\
        --learning-rate 5e-4 --out runs/weak
      w2sprobe train --model smollm2-135m --task reviews.csv \\
        --labels runs/weak/labels.parquet --loss logconf --out runs/student
    """
    from w2sprobe.atomic import check_writable
    from w2sprobe.data import truth_table
    from w2sprobe.errors import OutputError
    from w2sprobe.labels import LabelTable
    from w2sprobe.metrics import roc_auc
    from w2sprobe.training.checkpoints import FOLDER as CHECKPOINTS
    from w2sprobe.training.trainer import finetune

    check_writable(out)
    settings = _options.checked(TrainSettings, fields)
    unfinished = (out / CHECKPOINTS).is_dir()
    if out.exists() and any(out.iterdir()) and not unfinished:
        raise OutputError(f"folder {str(out)!r} is not empty", advice="Choose another --out.")
    splits = task.load()
    rows = splits[split]
    table = LabelTable.read(labels) if labels else truth_table(rows, splits.val)
    trained = finetune(model, rows, table, splits.val, out, settings, device=device)
    others = [part for name, part in splits.items() if name != split]
    predicted = [trained.predict(part) for part in others]
    LabelTable.concatenate(predicted).write(out / "labels.parquet")
    auc = {
        name: roc_auc(splits[name].labels, part.soft_label)
        for name, part in zip((n for n, _ in splits.items() if n != split), predicted, strict=True)
    }
    result = {
        "out": str(out),
        "model": model,
        "trained_on": split,
        "rows_kept": trained.record["n_rows"],
        "chosen_epoch": trained.record["chosen_epoch"],
        "auc": auc,
    }
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        click.echo(
            f"{out}: trained on {result['rows_kept']} of {len(rows)} rows of {split}, "
            f"epoch {result['chosen_epoch']} chosen\n"
            + "\n".join(f"AUC against truth, {name}: {value:.3f}" for name, value in auc.items())
        )
