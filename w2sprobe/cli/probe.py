"""`w2sprobe probe`."""

import json
from pathlib import Path
from typing import Literal, get_args

import click

from w2sprobe.cli import _options
from w2sprobe.experiments.methods import Probe

PROBES = get_args(Probe)
ACTIONS = ("predict", "relabel", "filter")


@click.command("probe")
@click.argument("probe", type=click.Choice(PROBES))
@click.argument("action", type=click.Choice(ACTIONS), default="predict")
@click.option("--store", type=click.Path(path_type=Path), required=True, help="Of extract.")
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    required=True,
    help="LabelTable (Parquet: id, soft_label, keep), as train writes it.",
)
@_options.task
@click.option("--layers", default="mid", show_default=True, help="One layer number, or mid.")
@click.option("--k", default=50, show_default=True, type=click.IntRange(min=1), help="Neighbours.")
@click.option(
    "--l2",
    default=1e-2,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Penalty of the logistic probe.",
)
@click.option(
    "--contamination",
    default=0.1,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of rows that filter removes.",
)
@click.option(
    "--cv",
    type=click.IntRange(min=2),
    help="Cross-fit relabel and filter over so many folds; default: 5 for logistic "
    "relabel, none elsewhere (kNN leaves each row out of its own vote).",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Parquet file.")
@_options.common
def command(
    probe: Probe,
    action: Literal["predict", "relabel", "filter"],
    store: Path,
    labels: Path,
    task_name: str,
    positive: str | None,
    negative: str | None,
    sizes: str | None,
    split_seed: int,
    layers: str,
    k: int,
    l2: float,
    contamination: float,
    cv: int | None,
    out: Path,
    as_json: bool,
) -> None:
    """Fit a probe on cached activations of the strong-train rows and their labels.

    \b
    predict   P(label = 1) of the validation and test rows
    relabel   the labels with those of strong-train replaced by the probe's
    filter    the labels with the strong-train rows marked that the probe disagrees with most
    TopoFilter only filters.

    \b
    Examples:
      w2sprobe probe logistic --store cache/stores/4f... --labels runs/weak/labels.parquet \\
        --task reviews.csv --layers 15 --out runs/logistic.parquet
      w2sprobe probe topofilter filter --store cache/stores/4f... \\
        --labels runs/weak/labels.parquet --task reviews.csv --out runs/filtered.parquet
    """
    from w2sprobe.atomic import check_writable
    from w2sprobe.cache import ActivationStore
    from w2sprobe.cli._splits import load_splits
    from w2sprobe.curation import curate
    from w2sprobe.errors import InputError
    from w2sprobe.labels import LabelTable
    from w2sprobe.layers import parse_layers
    from w2sprobe.metrics import roc_auc
    from w2sprobe.probes import make_probe
    from w2sprobe.searches import StoredSearch

    if probe == "topofilter" and action != "filter":
        raise InputError(f"topofilter cannot {action}", allowed="w2sprobe probe topofilter filter")
    check_writable(out.parent)
    activations = ActivationStore.open(store)
    (layer, *more) = parse_layers(layers, activations.layers)
    if more:
        raise InputError(f"--layers is {layers!r}", allowed="one layer number, or mid")
    table = LabelTable.read(labels)
    splits = load_splits(task_name, positive, negative, sizes, split_seed)
    rows = splits.strong_train
    given = table.align(rows.ids)
    X = activations.read(layer, activations.rows_of(rows.ids))
    search = StoredSearch(activations)
    estimator = make_probe(probe, n_neighbors=k, l2=l2, contamination=contamination, search=search)
    result: dict[str, object] = {"out": str(out), "probe": probe, "action": action, "layer": layer}

    if action == "predict":
        estimator.fit(X[given.keep], given.soft_label[given.keep])
        parts = []
        for name in ("val", "test"):
            part = splits[name]
            Q = activations.read(layer, activations.rows_of(part.ids))
            scores = estimator.predict_proba(Q)[:, 1]
            parts.append(LabelTable(part.ids, scores))
            result[f"auc_{name}"] = roc_auc(part.labels, scores)
        LabelTable.concatenate(parts).write(out)
    else:
        curated = curate(estimator, action, X, given, contamination=contamination, cv=cv)
        if action == "relabel":
            result["flipped"] = int((curated.hard_label != given.hard_label).sum())
            result["auc_before"] = roc_auc(rows.labels, given.soft_label)
            result["auc_after"] = roc_auc(rows.labels, curated.soft_label)
        result["kept"], result["offered"] = int(curated.keep.sum()), len(rows)
        table.replace(curated).write(out)

    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        click.echo("\n".join(f"{name}: {_show(value)}" for name, value in result.items()))


def _show(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
