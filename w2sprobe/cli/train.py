"""`w2sprobe train`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from w2sprobe.cli import _completion, _options, _scores
from w2sprobe.training.settings import (
    STOPPING_RULES,
    STRONG_RATE,
    VAL_SCORES,
    WEAK_RATE,
    TrainSettings,
)

if TYPE_CHECKING:
    from w2sprobe.experiments.config import TaskConfig

PREDICTIONS = "labels.parquet"


@click.command("train")
@click.option(
    "--model",
    required=True,
    metavar="NAME|FOLDER",
    shell_complete=_completion.models,
    help="Asset, local folder or hub name.",
)
@_options.task()
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    help="LabelTable (Parquet or CSV: id, soft_label, keep) for training and validation rows; "
    "default: truth.",
)
@click.option(
    "--split",
    type=click.Choice(["weak_train", "strong_train"]),
    default="strong_train",
    show_default=True,
    help="Rows to train on.",
)
@click.option(
    "--iterations",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Strong-to-strong: so many further students, each trained afresh on the labels that the "
    "one before gives the rows.",
)
@click.option(
    "--cv",
    type=click.IntRange(min=2),
    help="With --iterations: a row's label comes from a student that was not trained on it, one a "
    "fold; default: in-sample, as published.",
)
@click.option(
    "--stop-at",
    type=float,
    metavar="SHARE",
    help="With --iterations: train no further student once at most this share of the kept rows "
    "changes its hard label.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New folder.")
@_options.from_model(TrainSettings, learning_rate=None)
@_options.device
@_options.common
def command(
    model: str,
    task: "TaskConfig",
    labels: Path | None,
    split: str,
    iterations: int,
    cv: int | None,
    stop_at: float | None,
    out: Path,
    device: str,
    as_json: bool,
    **fields: Any,
) -> None:
    """Finetune a classifier on truth or on a table of labels, and predict all other rows.

    OUT gets adapter/ (an ordinary PEFT folder; with --full model/, a transformers folder),
    training.json and labels.parquet: P(label = 1) of every row it was not trained on, which is what
    a student takes as --labels. A run that was killed goes on when it is started again. With
    --iterations the last student is in OUT, and every student in OUT/iteration-N/student;
    OUT/iterations.json compares them.

    \b
    Example: a weak model, a student of it, and a student's student
      w2sprobe train --model minilm-l6 --task reviews.csv --split weak_train --out runs/weak
      w2sprobe train --model smollm2-135m --task reviews.csv \\
        --labels runs/weak/labels.parquet --loss logconf --out runs/student
      w2sprobe train --model smollm2-135m --task reviews.csv \\
        --labels runs/weak/labels.parquet --loss logconf --iterations 1 --out runs/s2s
    """
    from w2sprobe.atomic import check_writable
    from w2sprobe.data import truth_table
    from w2sprobe.devices import rank_and_world
    from w2sprobe.errors import OutputError
    from w2sprobe.labels import LabelTable
    from w2sprobe.metrics import roc_auc
    from w2sprobe.training.checkpoints import FOLDER as CHECKPOINTS
    from w2sprobe.training.iterations import ITERATIONS, check_iterations, strong_to_strong
    from w2sprobe.training.saved import RECORD
    from w2sprobe.training.trainer import finetune

    check_iterations(iterations, cv, stop_at)
    check_writable(out)
    if fields["learning_rate"] is None:
        fields["learning_rate"] = WEAK_RATE if split == "weak_train" else STRONG_RATE
    settings = _options.checked(TrainSettings, fields)
    if iterations:
        unfinished = (out / ITERATIONS).is_file() and not (out / PREDICTIONS).is_file()
    else:
        trained_only = (out / RECORD).is_file() and not (out / PREDICTIONS).is_file()
        unfinished = (out / CHECKPOINTS).is_dir() or trained_only
    if out.exists() and any(out.iterdir()) and not unfinished:
        raise OutputError(f"folder {str(out)!r} is not empty", advice="Choose another --out.")
    splits = task.load()
    rows = splits[split]
    table = LabelTable.read(labels) if labels else truth_table(rows, splits.val)
    if iterations:
        trained = strong_to_strong(
            model,
            rows,
            table,
            splits.val,
            out,
            settings,
            iterations=iterations,
            cv=cv,
            stop_at=stop_at,
            device=device,
        )
    else:
        trained = finetune(model, rows, table, splits.val, out, settings, device=device)
    if rank_and_world()[0] != 0:  # of torchrun: one voice is enough
        return
    others = [part for name, part in splits.items() if name != split]
    predicted = [trained.predict(part) for part in others]
    LabelTable.concatenate(predicted).write(out / PREDICTIONS)
    names = [name for name, _ in splits.items() if name != split]
    by_split = dict(zip(names, predicted, strict=True))
    auc = {name: roc_auc(splits[name].labels, part.soft_label) for name, part in by_split.items()}
    found = {name: _scores.scores(splits[name], part) for name, part in by_split.items()}
    result = {
        "out": str(out),
        "model": model,
        "trained_on": split,
        "rows_kept": trained.record["n_rows"],
        "chosen_epoch": trained.record["chosen_epoch"],
        "early_stopping": settings.early_stopping,
        "auc": auc,
        "performance": found,
        "warnings": trained.record["warnings"],
    }
    if iterations:
        done = json.loads((out / ITERATIONS).read_text(encoding="utf-8"))
        result |= {key: done[key] for key in ("last", "stopped", "iterations")}
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        click.echo(
            f"{out}: trained on {result['rows_kept']} of {len(rows)} rows of {split}, "
            f"epoch {result['chosen_epoch']} kept by {settings.early_stopping}\n"
            + "\n".join(
                f"AUC against truth, {name}: {value:.3f}{_scores.shown(found[name])}"
                for name, value in auc.items()
            )
        )
        for step in result.get("iterations", []):
            click.echo(_shown(step))
        if result.get("stopped"):
            click.echo(f"stopped after iteration {result['last']}: {result['stopped']}")
        for message in trained.record["warnings"]:
            click.echo(f"Warning: {message}")


def _shown(step: dict[str, Any]) -> str:
    """One student, and how the labels that it was given differ from those of the one before."""
    parts = [f"iteration {step['iteration']}:"]
    if step["iteration"]:
        parts.append(
            f"{step['n_flipped']} of {step['n_rows']} hard labels flipped, mean change "
            f"{step['mean_change']:.3f},"
        )
    scores = [
        f"{rule} {step[name]:.3f}"
        for rule, name in zip(STOPPING_RULES, VAL_SCORES, strict=True)
        if step[name] is not None
    ]
    parts.append(f"against the given labels, val: {', '.join(scores)}" if scores else "no student")
    return " ".join(parts)
