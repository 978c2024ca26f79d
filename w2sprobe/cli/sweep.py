"""`w2sprobe sweep`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from w2sprobe.cli import _options

if TYPE_CHECKING:
    from w2sprobe.experiments.config import TaskConfig
    from w2sprobe.sweeps import Sweep


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
    default="1:200:log10",
    show_default=True,
    help="Neighbours: 1,10,50, or a range with both of its ends, 10:50:10, 1:9:lin5 or "
    "1:200:log10; none: no kNN.",
)
@click.option(
    "--l2s",
    default="1e-4:1:log9",
    show_default=True,
    help="Penalties of logistic regression, as --ks; none: no logistic regression.",
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
    ks: str,
    l2s: str,
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

    OUT gets sweep.parquet, one row a layer, setting and set of rows, and sweep.json. A sweep that
    was stopped goes on at the first missing layer.

    \b
    What is chosen, and by what:
      weak_auc        largest cross-fitted AUC against the weak labels
      weak_log_loss   least cross-fitted log-loss against the weak labels
      true_labels     largest AUC on the --true-labels rows
    None has seen the truth of the rows that it is scored on; regret is the AUC lost to the best.

    \b
    Examples:
      w2sprobe sweep cache/stores/4f... --labels runs/weak/labels.parquet --task reviews.csv \\
        --layers all --ks 1:200:log10 --l2s 1e-4:1:log9 --out runs/sweep --figure sweep.png
      w2sprobe sweep cache/stores/4f... --labels runs/weak/labels.parquet --task reviews.csv \\
        --in-sample --ceiling --true-labels 50 --out runs/published
    """
    from w2sprobe.atomic import check_writable_file
    from w2sprobe.cache import ActivationStore
    from w2sprobe.labels import LabelTable
    from w2sprobe.layers import parse_layers
    from w2sprobe.numbers import parse_numbers
    from w2sprobe.probing import ProbedRows
    from w2sprobe.reporting.heatmaps import sweep_figure
    from w2sprobe.sweeps import SweepSettings, sweep

    settings = SweepSettings(
        ks=() if ks == "none" else parse_numbers(ks, int, "--ks"),
        l2s=() if l2s == "none" else parse_numbers(l2s, float, "--l2s"),
        cv=cv,
        preprocess=preprocess,
        in_sample=in_sample,
        ceiling=ceiling,
        n_true_labels=true_labels,
        leave_one_out=leave_one_out,
    )
    if figure:
        check_writable_file(figure)
    activations = ActivationStore.open(store)
    wanted = parse_layers(layers, activations.layers)
    table = LabelTable.read(labels)
    rows = ProbedRows.of_splits(task.load()) if task else ProbedRows.of_labels(labels, activations)
    done = sweep(activations, table, rows, out, layers=wanted, settings=settings, device=device)
    selections = [asdict(selection) for selection in done.selections]
    if figure:
        sweep_figure(done.table, selections, figure)
    if as_json:
        summary = {
            "out": str(out),
            "figure": str(figure) if figure else None,
            "layers": list(wanted),
            "layers_computed": done.layers_computed,
            "n_rows": done.n_rows,
            "n_folds": _folds_scored(done),
            "selections": selections,
            "ceiling": _ceiling(done),
        }
        click.echo(json.dumps(summary, indent=2))
    else:
        _show(done, out, cv)


def _ceiling(done: "Sweep") -> list[dict[str, Any]]:
    """The largest AUC of each probe fitted on truth, on training rows (held out) and test rows."""
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for row in done.table.to_pylist():
        held_out = row["evaluation"] in ("cross_fit", "test") and row["auc_truth"] is not None
        if held_out and row["fitted_on"] == "truth":
            place = row["probe"], row["evaluation"]
            best[place] = max(best.get(place, row), row, key=lambda one: one["auc_truth"])
    names = ("evaluation", "probe", "layer", "setting", "value", "auc_truth")
    return [{name: row[name] for name in names} for row in best.values()]


def _folds_scored(done: "Sweep") -> dict[str, int]:
    """The fewest folds that an AUC is the mean of, by the rows that are scored."""
    fewest: dict[str, int] = {}
    for row in done.table.to_pylist():
        for known in ("truth", "weak"):
            n_folds, evaluation = row[f"n_folds_{known}"], row["evaluation"]
            if n_folds is not None:
                fewest[evaluation] = min(fewest.get(evaluation, n_folds), n_folds)
    return fewest


def _show(done: "Sweep", out: Path, cv: int) -> None:
    from rich import box
    from rich.table import Table

    from w2sprobe.cli._tables import print_table

    counts = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in done.n_rows.items())
    table = Table(
        box=box.SIMPLE_HEAD,
        title="What each rule chooses, and the best point by truth",
        title_justify="left",
        caption=f"Rows: {counts}. AUC on the rows named after @; regret: AUC lost to the best.",
        caption_justify="left",
    )
    for name in ("rule", "among", "chosen"):
        table.add_column(name)
    for name in ("criterion", "AUC", "ΔAUC to weak"):
        table.add_column(name, justify="right")
    table.add_column("best")
    for name in ("its AUC", "regret"):
        table.add_column(name, justify="right")
    for one in done.selections:
        table.add_row(
            one.rule.replace("_", " "),
            one.among,
            _point(one.probe, one.layer, one.setting, one.value),
            f"{one.criterion:.3f}",
            "-" if one.auc is None else f"{one.auc:.3f} @{one.scored_on}",
            "-" if one.delta_auc is None else f"{one.delta_auc:+.3f}",
            _point(one.best_probe, one.best_layer, one.best_setting, one.best_value),
            "-" if one.best_auc is None else f"{one.best_auc:.3f}",
            "-" if one.regret is None else f"{one.regret:.3f}",
        )
    print_table(table)
    for row in _ceiling(done):
        point = _point(row["probe"], row["layer"], row["setting"], row["value"])
        click.echo(f"fitted on truth, best on {row['evaluation']}: {row['auc_truth']:.3f}, {point}")
    for evaluation, n_folds in _folds_scored(done).items():
        if n_folds < cv:
            click.echo(
                f"{evaluation}: AUCs are means inside {n_folds} of {cv} folds; the others have one "
                "class"
            )
    n_saturated = sum(
        row["saturated"] for row in done.table.to_pylist() if row["evaluation"] != "in_sample"
    )
    if n_saturated:
        click.echo(f"{n_saturated} held-out AUCs are .999 or more: is the label in the text?")
    click.echo(f"written: {out}/sweep.parquet ({done.layers_computed} layers computed)")


def _point(probe: str | None, layer: int | None, setting: str | None, value: float | None) -> str:
    return "-" if probe is None else f"{probe}, layer {layer}, {setting}={value:g}"
