"""`w2sprobe probe`."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from w2sprobe.cli import _options
from w2sprobe.errors import InputError

if TYPE_CHECKING:
    from w2sprobe.curation import CrossFit
    from w2sprobe.experiments.config import TaskConfig
    from w2sprobe.probing import ProbeName

PROBES = ("knn", "logistic", "mass-mean", "topofilter")
ACTIONS = ("predict", "relabel", "filter")
RULES = ("disagreement", "confident-learning", "deep-knn", "random")
# how the AUC of training rows is to be read, by what their predictions leave out
AUCS = {
    "folds": "AUC of training rows: mean of those inside the folds; n folds have both classes",
    "leave-one-out": "AUC of training rows: each is left out alone and all are ranked together, "
    "which is somewhat too low: below .5 where nothing is known. --cv 5 ranks inside folds",
    "in-sample": "AUC of training rows: in-sample, their own labels included",
}


@click.command("probe")
@click.argument("probe", type=click.Choice(PROBES))
@click.argument("action", type=click.Choice(ACTIONS), required=False)
@click.option("--store", type=click.Path(path_type=Path), required=True, help="Of extract.")
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    required=True,
    help="LabelTable (Parquet or CSV: id, soft_label, keep), as train writes it; a column truth "
    "(0 or 1), where there is one, is used for scoring only.",
)
@_options.task(required=False)
@click.option("--layers", default="mid", show_default=True, help="mid, all, 15, 8,15 or 8:24:2.")
@click.option(
    "--ks",
    "--k",
    default="50",
    show_default=True,
    help="Neighbours: 50, or 1,10,50, or 1:200:log10.",
)
@click.option(
    "--l2s",
    "--l2",
    default="0.01",
    show_default=True,
    help="Penalties: 1e-2, or 1e-3,1e-2, or 1e-4:1:log9, or auto.",
)
@_options.preprocess
@click.option("--whiten", is_flag=True, help="mass-mean: divide by the within-class covariance.")
@click.option(
    "--rule",
    default="disagreement",
    show_default=True,
    type=click.Choice(RULES),
    help="How filter chooses; topofilter has its own.",
)
@click.option(
    "--contamination",
    default="0.1",
    show_default=True,
    help="Share of rows that filter removes; auto: as many as confident-learning or deep-knn find.",
)
@click.option("--per-class", is_flag=True, help="Remove the share of each class.")
@click.option(
    "--cv",
    help="Folds of cross-fitting; default: kNN leaves each row out of its own vote, the others "
    "take 5. The AUC of rows predicted by folds is the mean of those inside the folds. in-sample: "
    "relabel or filter by a fit on all rows, their own labels included, as published.",
)
@click.option(
    "--backend",
    default="auto",
    show_default=True,
    help="Of the neighbour search, which --device does not move.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Parquet file.")
@_options.device
@_options.common
def command(
    probe: "ProbeName",
    action: Any,
    store: Path,
    labels: Path,
    task: "TaskConfig | None",
    layers: str,
    ks: str,
    l2s: str,
    preprocess: Any,
    whiten: bool,
    rule: Any,
    contamination: str,
    per_class: bool,
    cv: str | None,
    backend: str,
    out: Path,
    device: str,
    as_json: bool,
) -> None:
    """Fit a probe on cached activations and labels: a grid of layers and settings in one go.

    \b
    predict   P(label = 1) of every row; that of a training row without its own label
    relabel   the labels with those of the training rows replaced by the probe's
    filter    the labels with the training rows marked that should go
    topofilter only filters, and does so by default; the others predict.

    With --task, the strong-train rows are the training rows, and rows of equal text have no say in
    one another's labels; without, the rows of --labels are. OUT has one row for each row and
    setting: id, soft_label, keep, and where they come from. With one layer and one setting it is a
    LabelTable that train takes.

    \b
    Examples:
      w2sprobe probe knn --store cache/stores/4f... --labels runs/weak/labels.parquet \\
        --layers 8,15 --ks 1,10,50 --out runs/knn.parquet
      w2sprobe probe logistic relabel --store cache/stores/4f... \\
        --labels runs/weak/labels.parquet --task reviews.csv --l2s auto --out runs/new.parquet
      w2sprobe probe knn filter --rule deep-knn --contamination auto --store cache/stores/4f... \\
        --labels runs/weak/labels.parquet --task reviews.csv --out runs/filtered.parquet
    """
    import pyarrow.parquet as pq

    from w2sprobe.atomic import atomic_path, check_writable
    from w2sprobe.cache import ActivationStore
    from w2sprobe.devices import resolve_device
    from w2sprobe.labels import LabelTable
    from w2sprobe.layers import parse_layers
    from w2sprobe.numbers import parse_numbers
    from w2sprobe.probes.neighbors import BACKENDS
    from w2sprobe.probing import Grid, ProbedRows, curate_store, predict_store
    from w2sprobe.searches import StoredSearch

    does: Any = action or ("filter" if probe == "topofilter" else "predict")
    if probe == "topofilter" and does != "filter":
        raise InputError(f"topofilter cannot {does}", allowed="w2sprobe probe topofilter filter")
    if backend not in BACKENDS:
        raise InputError(f"--backend is {backend!r}", allowed=", ".join(BACKENDS))
    grid = Grid(
        probe,
        ks=parse_numbers(ks, int, "--ks"),
        l2s=() if l2s == "auto" else parse_numbers(l2s, float, "--l2s"),
        preprocess=preprocess,
        whiten=whiten,
        cv=None if cv is None else _folds(cv),
        rule=rule,
        contamination=None if contamination == "auto" else _share(contamination),
        per_class=per_class,
        device=device,
    )
    resolve_device(device)
    check_writable(out.parent)
    activations = ActivationStore.open(store)
    notes: set[tuple[str, float]] = set()
    grid = replace(
        grid,
        search=_noting(partial(StoredSearch(activations), backend=backend), notes),
    )
    wanted = parse_layers(layers, activations.layers)
    table = LabelTable.read(labels)
    if task:
        splits = task.load()
        rows = ProbedRows.of_splits(splits)
    else:
        rows = ProbedRows.of_labels(labels, activations)
    if does == "predict":
        outcome = predict_store(grid, activations, wanted, table, rows)
    else:
        outcome = curate_store(grid, does, activations, wanted, table, rows)
    with atomic_path(out) as temporary:
        pq.write_table(outcome.table, temporary)

    summary = {"out": str(out), "probe": probe, "action": does, "results": outcome.results}
    if does != "filter":
        alone = probe == "knn" and grid.cv is None
        summary["held_out"] = (
            grid.cv if grid.cv == "in-sample" else "leave-one-out" if alone else "folds"
        )
    if notes:
        summary["search"] = [{"backend": name, "recall": share} for name, share in sorted(notes)]
    if as_json:
        click.echo(json.dumps(summary, indent=2))
    else:
        _show(summary)


def _show(summary: dict[str, Any]) -> None:
    """A line a layer and setting; numbers that are parts of one another side by side."""
    from rich.table import Table

    from w2sprobe.cli._tables import print_table

    rows = [_flat(result) for result in summary["results"]]
    table = Table(box=None, title=f"{summary['probe']} {summary['action']}", title_justify="left")
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(_cell(name, row.get(name)) for name in rows[0]))
    print_table(table)
    if any("auc" in result for result in summary["results"]) and "held_out" in summary:
        click.echo(AUCS[summary["held_out"]])
    for search in summary.get("search", []):
        click.echo(f"neighbours: {search['backend']}, recall {search['recall']:g}")
    click.echo(f"written: {summary['out']}")


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested results as columns: `auc test truth`; overlaps stay in the JSON."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        title = f"{prefix} {name}".strip().replace("_", " ")
        if isinstance(value, dict):
            flat |= {} if name == "overlap" else _flat(value, title)
        else:
            flat[title] = value
    return flat


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name in ("k", "l2"):
        return f"{value:g}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _share(text: str) -> float:
    from w2sprobe.numbers import parse_numbers

    share, *more = parse_numbers(text, float, "--contamination")
    if share >= 1 or more:
        raise InputError(f"--contamination is {text!r}", allowed="above 0, below 1, or auto")
    return float(share)


def _folds(text: str) -> "CrossFit":
    if text == "in-sample":
        return "in-sample"
    if not text.isdecimal() or int(text) < 2:
        raise InputError(f"--cv is {text!r}", allowed="2 or more folds, or in-sample")
    return int(text)


def _noting(search: Callable[..., Any], notes: set[tuple[str, float]]) -> Callable[..., Any]:
    def noted(*arguments: Any, **options: Any) -> Any:
        found = search(*arguments, **options)
        notes.add((found.backend, round(found.recall, 4)))
        return found

    return noted
