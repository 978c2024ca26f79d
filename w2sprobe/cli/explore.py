"""`w2sprobe explore`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from w2sprobe import help_texts
from w2sprobe.cli import _options, _probing

if TYPE_CHECKING:
    from w2sprobe.experiments.config import TaskConfig
    from w2sprobe.explorer import ExplorerData


@dataclass(frozen=True)
class _ExploreOptions:
    """Argument and options of the command."""

    store: Path
    labels: Path
    task: "TaskConfig | None"
    splits: tuple[str, ...]
    layers: str | None
    ks: str | None
    l2: float
    projection: str
    out: Path | None
    device: str

    @property
    def target(self) -> Path:
        """The page to write."""
        return self.out or Path(f"{self.store.name}-explorer.html")

    def explore(self) -> "tuple[ExplorerData, str]":
        """Read the inputs and compute the page's data and title."""
        from w2sprobe.cache import ActivationStore
        from w2sprobe.explorer import explore
        from w2sprobe.labels import LabelTable
        from w2sprobe.layers import parse_layers
        from w2sprobe.numbers import parse_numbers
        from w2sprobe.probing.rows import ProbedRows

        store, labels = ActivationStore.open(self.store), LabelTable.read(self.labels)
        if self.task:
            splits = self.task.load()
            rows, name = ProbedRows.of_splits(splits), splits.test.name
            texts = splits.stored.text_of()
        else:
            rows, name, texts = ProbedRows.of_labels(self.labels, store), self.labels.name, None
        data = explore(
            store,
            labels,
            rows,
            texts,
            layers=parse_layers(self.layers, store.layers) if self.layers else None,
            ks=parse_numbers(self.ks, int, "--ks") if self.ks else None,
            l2=self.l2,
            projection=self.projection,
            splits=self.splits,
            device=self.device,
        )
        return data, f"{store.manifest['model'] or self.store.name} on {name}"


@click.command("explore")
@click.argument("store", type=click.Path(path_type=Path))
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help=f"{help_texts.LABEL_TABLE} Without --task, its column `truth` (0 or 1) is also shown, if "
    "it has one.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Output file (HTML); default: STORE-explorer.html in the current folder.",
)
@_options.task_name(required=False)
@click.option(
    "--split",
    "splits",
    multiple=True,
    type=click.Choice(["val", "test"]),
    help="Also show these splits of the task; may be repeated.",
)
@_options.layers(None, "Default: about 7, evenly spaced.")
@click.option(
    "--ks",
    metavar="NUMBERS",
    help=f"Numbers of neighbours: {_probing.NUMBERS}. Default: of 1,5,10,20,50 those below the "
    "number of rows.",
)
@click.option(
    "--l2",
    type=_options.FiniteRange(min=0, min_open=True),
    default=1e-2,
    show_default=True,
    metavar="L2",
    help="L2 regularisation strength of logistic regression.",
)
@click.option(
    "--projection",
    type=click.Choice(["pca", "umap"]),
    default="pca",
    show_default=True,
    help="Projection to two dimensions; umap needs pip install 'w2sprobe[umap]'.",
)
@_options.task_settings
@_options.device
@_options.common
def command(*, as_json: bool, **given: Any) -> None:
    """Write an HTML page that shows a store's layers in two dimensions.

    STORE is a folder of activations, from `w2sprobe extract`. The page also shows weak labels,
    probes, neighbours and, with --task, texts; it works offline. It lists the rows on which probe
    and weak label differ most. You can mark rows to be dropped or relabelled by the probe, and
    export the marks as a CSV file for --labels.

    Rows shown: strong_train with --task, otherwise all rows of --labels.

    \b
    Example, after `w2sprobe extract --store runs/acts`:
      w2sprobe explore runs/acts --labels runs/weak/labels.parquet --task reviews.csv
    """
    from w2sprobe.atomic import check_writable_file
    from w2sprobe.errors import InputError
    from w2sprobe.explorer import explorer_page
    from w2sprobe.reporting.pages import write_page

    options = _ExploreOptions(**given)
    if options.splits and not options.task:
        raise InputError("--split without --task", advice="Name the task that has the rows.")
    check_writable_file(options.target)
    data, title = options.explore()
    write_page(explorer_page(data, title), options.target)
    summary = _summary(data, options.target)
    if as_json:
        click.echo(json.dumps(summary, indent=2))
    else:
        _show(summary)


def _summary(data: "ExplorerData", target: Path) -> dict[str, Any]:
    return {
        "out": str(target),
        "bytes": target.stat().st_size,
        "rows": {split: int((data.splits == split).sum()) for split in data.split_names},
        "layers": [view.layer for view in data.layers],
        "ks": list(data.ks),
        "l2": data.l2,
        "projection": data.projection,
        "auc": data.aucs(),
    }


def _show(summary: dict[str, Any]) -> None:
    """Print AUC against truth, if it is known, and the file written."""
    from rich.table import Table

    from w2sprobe.cli._tables import print_table

    for split, aucs in summary["auc"].items():
        title = f"AUC against truth, {split.replace('_', ' ')}; weak labels {aucs['weak']:.3f}"
        table = Table(box=None, title=title, title_justify="left")
        for name in ("layer", *(f"k = {k}" for k in summary["ks"]), "logistic"):
            table.add_column(name, justify="right")
        for layer, knn, logistic in zip(
            summary["layers"], aucs["knn"], aucs["logistic"], strict=True
        ):
            table.add_row(str(layer), *(f"{auc:.3f}" for auc in (*knn, logistic)))
        print_table(table)
    rows = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in summary["rows"].items())
    click.echo(f"rows: {rows}")
    click.echo(f"written: {summary['out']} ({summary['bytes'] / 1e6:.1f} MB); open it in a browser")
