"""`w2sprobe sweep`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from w2sprobe.cli import _options

if TYPE_CHECKING:
    from w2sprobe.experiments.config import TaskConfig


@click.command("sweep")
@click.argument("store", type=click.Path(path_type=Path))
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    required=True,
    help="LabelTable (Parquet or CSV: id, soft_label, keep), as train writes it; without --task, a "
    "column truth (0 or 1), where there is one, is used for scoring.",
)
@_options.task(required=False)
@click.option("--layers", default="all", show_default=True, help="all, mid, 15, 8,15 or 8:24:2.")
@click.option(
    "--ks",
    help="Neighbours: 1,10,50, or a range with both of its ends, 10:50:10, 1:9:lin5 or "
    "1:200:log10; none: no kNN. Default: 5 to 400, as far as there are rows.",
)
@click.option(
    "--l2s",
    help="Penalties of logistic regression, as --ks; none: no logistic regression. Default: 1e-4 "
    "to 1e3.",
)
@click.option(
    "--cv",
    type=click.IntRange(min=2),
    default=5,
    show_default=True,
    help="Folds of cross-fitting, of kNN too. An AUC of held-out predictions is the mean of those "
    "inside the folds.",
)
@click.option(
    "--leave-one-out",
    is_flag=True,
    help="kNN leaves out single rows instead of folds, and ranks all rows together: biased against "
    "large k. Where labels are noise, 400 rows of 50 % have an AUC of .47 at k=200, not .50.",
)
@_options.preprocess
@click.option(
    "--in-sample",
    is_flag=True,
    help="Score the fits on their own rows too, as published; marked in_sample, never chosen by.",
)
@click.option(
    "--ceiling", is_flag=True, help="Fit on the truth of the training rows too, as a control."
)
@click.option(
    "--true-labels",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Training rows whose truth may choose a setting; they are scored apart from the others.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder.")
@click.option(
    "--figure", type=click.Path(path_type=Path), help="PNG: layers and settings as heat maps."
)
@_options.device
@_options.common
def command(
    store: Path,
    labels: Path,
    task: "TaskConfig | None",
    layers: str,
    ks: str | None,
    l2s: str | None,
    cv: int,
    leave_one_out: bool,
    preprocess: Any,
    in_sample: bool,
    ceiling: bool,
    true_labels: int,
    out: Path,
    figure: Path | None,
    device: str,
    as_json: bool,
) -> None:
    """Score every layer and setting of kNN and logistic probes, held out, and choose among them.

    Probes are fitted on the weak labels of the strong-train rows (without --task: on the rows of
    --labels). Each is scored on those rows, by fits on the other folds (cross_fit), and on the
    validation and test rows: AUC against truth and against the weak labels, and both less the AUC
    of the weak labels themselves. AUCs on cross_fit rows are means of those inside the folds: rows
    of different fits are not ranked together.

    OUT gets the votes of every layer, from which sweep.parquet, one row a layer, setting and set
    of rows, and sweep.json follow. A sweep that was stopped goes on at the first missing layer.

    \b
    What is chosen, and by what:
      weak_auc        largest cross-fitted AUC against the weak labels
      weak_log_loss   least cross-fitted log-loss against the weak labels
      true_labels     largest AUC on the --true-labels rows
    None has seen the truth of the rows that it is scored on; regret is the AUC lost to the best.
    A point at the edge of what was tried is marked: a better one may lie beyond.

    \b
    Examples:
      w2sprobe sweep cache/stores/4f... --labels runs/weak/labels.parquet --task reviews.csv \\
        --layers all --ks 1:200:log10 --out runs/sweep --figure sweep.png
      w2sprobe sweep cache/stores/4f... --labels runs/weak/labels.parquet --task reviews.csv \\
        --in-sample --ceiling --true-labels 50 --out runs/published
    """
    from w2sprobe.atomic import check_writable_file
    from w2sprobe.cache import ActivationStore
    from w2sprobe.cli._tables import print_table
    from w2sprobe.labels import LabelTable
    from w2sprobe.numbers import parse_numbers
    from w2sprobe.probing.rows import ProbedRows
    from w2sprobe.probing.spec import VoteSpec
    from w2sprobe.probing.sweep import sweep
    from w2sprobe.reporting.heatmaps import sweep_figure
    from w2sprobe.reporting.sweeps import selection_table, sweep_notes
    from w2sprobe.votes.selection import ceilings, fewest_folds
    from w2sprobe.votes.table import IN_SAMPLE, LEAVE_ONE_OUT, TRAIN

    probes: dict[str, tuple[float, ...]] = {}
    if ks != "none":
        probes["knn"] = parse_numbers(ks, int, "--ks") if ks else ()
    if l2s != "none":
        probes["logistic"] = parse_numbers(l2s, float, "--l2s") if l2s else ()
    held_out = LEAVE_ONE_OUT if leave_one_out else TRAIN
    spec = VoteSpec(
        layers=layers,
        probes=probes,
        preprocess=preprocess,
        cv=cv,
        held_out=(held_out, IN_SAMPLE) if in_sample else (held_out,),
    )
    if figure:
        check_writable_file(figure)
    activations = ActivationStore.open(store)
    table = LabelTable.read(labels)
    rows = ProbedRows.of_splits(task.load()) if task else ProbedRows.of_labels(labels, activations)
    done = sweep(
        activations,
        spec,
        rows,
        table,
        out,
        ceiling=ceiling,
        n_true_labels=true_labels,
        device=device,
    )
    selections = [asdict(selection) for selection in done.selections]
    if figure:
        sweep_figure(done.table, selections, figure)
    if as_json:
        summary = {
            "out": str(out),
            "figure": str(figure) if figure else None,
            "layers": list(done.layers),
            "layers_computed": done.layers_computed,
            "n_rows": done.n_rows,
            "n_folds": fewest_folds(done.table),
            "selections": selections,
            "ceiling": ceilings(done.table),
        }
        click.echo(json.dumps(summary, indent=2))
        return
    print_table(selection_table(done.selections, done.n_rows))
    for line in sweep_notes(done.table, cv):
        click.echo(line)
    click.echo(f"written: {out}/sweep.parquet ({done.layers_computed} layers computed)")
