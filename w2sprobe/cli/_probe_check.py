"""`w2sprobe probe check`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from w2sprobe import help_texts
from w2sprobe.cli import _options

if TYPE_CHECKING:
    from w2sprobe.experiments.config import TaskConfig
    from w2sprobe.probing.check import LabelledRows

PATH = click.Path(path_type=Path)


@click.command("check")
@click.argument("probe", type=PATH, metavar="FOLDER")
@click.option(
    "--store",
    type=PATH,
    required=True,
    metavar="FOLDER",
    help="Folder of the new activations: of the same model in another type or quantisation, or "
    "from another server.",
)
@click.option(
    "--labels",
    type=PATH,
    metavar="FILE",
    help=f"Rows to score, with their labels. {help_texts.LABEL_TABLE} Its column `truth` (0 or 1) "
    "is used if there is one. Default: rows of --task, else the test rows of the probe's card.",
)
@_options.task_name(required=False)
@click.option(
    "--tolerance",
    type=_options.FiniteRange(min=0, max=0.5),
    default=0.02,
    show_default=True,
    metavar="AUC",
    help="Loss of AUC that is tolerated.",
)
@_options.task_settings
@_options.common
def command(
    probe: Path,
    store: Path,
    labels: Path | None,
    task: "TaskConfig | None",
    tolerance: float,
    as_json: bool,
) -> None:
    """Check whether a saved probe still holds on new states of its model.

    FOLDER is a probe that `w2sprobe probe ... --save` wrote. Its rows of evaluation are scored on
    the new states and compared with the saved predictions, row by row; with other rows, the AUC is
    compared with the one in the card. Layer, token position, chat template and width must be those
    of the probe; weights, their type and quantisation may differ, and what differs is listed.

    \b
    Verdicts; an interval is a 95 % interval over rows:
      holds             no loss of AUC above the tolerance; the threshold is as good as it was
      threshold stale   the AUC holds, but recall or false-positive rate at the saved threshold left
                        the interval it had when saved, and not by chance
      degraded          the interval of the AUC loss lies above the tolerance
      unsure            neither can be said: more rows are needed

    Exits with status 0 if the probe holds, with 1 for the other verdicts, and with 2 for invalid
    input.

    \b
    Example, after `w2sprobe probe logistic ... --fpr 0.05 --save runs/probe`:
      w2sprobe extract --model runs/int8 --task reviews.csv --layers 15 --store runs/acts-int8
      w2sprobe probe check runs/probe --store runs/acts-int8
    """
    from w2sprobe.cache import ActivationStore
    from w2sprobe.probing.check import check_probe

    if task is not None and labels is not None:
        raise click.UsageError("--labels and --task both name rows: leave one out")
    rows = _rows(labels, task)
    found = check_probe(probe, ActivationStore.open(store), rows, tolerance=tolerance)
    record = {"probe": str(probe), "store": str(store), **found.to_dict()}
    if as_json:
        click.echo(json.dumps(record, indent=2))
    else:
        from w2sprobe.cli._tables import print_table
        from w2sprobe.reporting.checks import check_lines, check_table

        print_table(check_table(record))
        for line in check_lines(record):
            click.echo(line)
    if found.verdict != "holds":
        raise SystemExit(1)


def _rows(labels: Path | None, task: "TaskConfig | None") -> "LabelledRows | None":
    """Rows that the options name; None for those of the probe's card."""
    import numpy as np

    from w2sprobe.labels import THRESHOLD, LabelTable, read_truth
    from w2sprobe.probing.check import LabelledRows

    if labels is not None:
        table = LabelTable.read(labels)
        truth = read_truth(labels) or table
        return LabelledRows(table.ids, (truth.soft_label > THRESHOLD).astype(np.float64))
    if task is None:
        return None
    splits = task.load()
    parts = (splits.strong_train, splits.val, splits.test)  # what a store has
    groups = [rows.groups for rows in parts if rows.groups is not None]
    return LabelledRows(
        np.concatenate([rows.ids for rows in parts]),
        np.concatenate([rows.labels for rows in parts]).astype(np.float64),
        np.concatenate(groups) if groups else None,  # in all splits, or in none
    )
