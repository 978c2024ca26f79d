"""`w2sprobe probe`."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from w2sprobe.cli import _options
from w2sprobe.errors import InputError
from w2sprobe.probing.probers import PROBERS, PROBES
from w2sprobe.votes.curated import RANDOM
from w2sprobe.votes.rules import FILTER_RULES

if TYPE_CHECKING:
    from w2sprobe.experiments.config import TaskConfig
    from w2sprobe.probing.spec import HeldOut

ACTIONS = ("predict", "relabel", "filter")
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
    help="Penalties: 1e-2, or 1e-3,1e-2, or 1e-4:1:log9; auto: of 1e-4 to 1e3 the one of least "
    "held-out log-loss against the labels, on each layer.",
)
@_options.preprocess
@click.option("--whiten", is_flag=True, help="mass-mean: divide by the within-class covariance.")
@click.option(
    "--rule",
    default="disagreement",
    show_default=True,
    type=click.Choice([*FILTER_RULES, RANDOM]),
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
    probe: str,
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

    With --task, the strong-train rows are the training rows, and rows of equal text are held out
    together; without, the rows of --labels are. OUT has one row for each row and
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
    from w2sprobe.folds import FOLDS
    from w2sprobe.labels import LabelTable
    from w2sprobe.numbers import parse_numbers
    from w2sprobe.probes.neighbors import BACKENDS
    from w2sprobe.probing.probe import curate_store, predict_store
    from w2sprobe.probing.rows import ProbedRows
    from w2sprobe.probing.spec import VoteSpec
    from w2sprobe.searches import StoredSearch
    from w2sprobe.votes.table import IN_SAMPLE, LEAVE_ONE_OUT

    does: Any = action or ("filter" if probe == "topofilter" else "predict")
    if probe == "topofilter" and does != "filter":
        raise InputError(f"topofilter cannot {does}", allowed="w2sprobe probe topofilter filter")
    if backend not in BACKENDS:
        raise InputError(f"--backend is {backend!r}", allowed=", ".join(BACKENDS))
    values: dict[str, tuple[float, ...]] = {
        "k": parse_numbers(ks, int, "--ks"),
        "l2": () if l2s == "auto" else parse_numbers(l2s, float, "--l2s"),
    }
    how, folds = (LEAVE_ONE_OUT, FOLDS) if cv is None else _folds(cv)
    spec = VoteSpec(
        layers=layers,
        probes={probe: values.get(str(PROBERS[probe].setting), ())},
        preprocess=preprocess,
        whiten=whiten,
        cv=folds,
        held_out=(how,),
    )
    share = None if contamination == "auto" else _share(contamination)
    resolve_device(device)
    check_writable(out.parent)
    activations = ActivationStore.open(store)
    table = LabelTable.read(labels)
    rows = ProbedRows.of_splits(task.load()) if task else ProbedRows.of_labels(labels, activations)
    options: dict[str, Any] = {
        "best": probe == "logistic" and l2s == "auto",
        "search": partial(StoredSearch(activations), backend=backend),
        "device": device,
    }
    if does == "predict":
        account = predict_store(activations, spec, rows, table, **options)
    else:
        options |= {"rule": rule, "contamination": share, "per_class": per_class}
        account = curate_store(activations, spec, rows, table, does, **options)
    with atomic_path(out) as temporary:
        pq.write_table(account.table, temporary)

    summary = {"out": str(out), "probe": probe, "action": does, "results": account.results}
    if does != "filter":
        alone = probe == "knn" and how == LEAVE_ONE_OUT
        summary["held_out"] = (
            "in-sample" if how == IN_SAMPLE else "leave-one-out" if alone else "folds"
        )
    if account.searches:
        summary["search"] = [{"backend": name, "recall": part} for name, part in account.searches]
    if as_json:
        click.echo(json.dumps(summary, indent=2))
    else:
        _show(summary)


def _show(summary: dict[str, Any]) -> None:
    from w2sprobe.cli._tables import print_table
    from w2sprobe.reporting.sweeps import account_table

    print_table(account_table(f"{summary['probe']} {summary['action']}", summary["results"]))
    if any("auc" in result for result in summary["results"]) and "held_out" in summary:
        click.echo(AUCS[summary["held_out"]])
    for search in summary.get("search", []):
        click.echo(f"neighbours: {search['backend']}, recall {search['recall']:g}")
    click.echo(f"written: {summary['out']}")


def _share(text: str) -> float:
    from w2sprobe.numbers import parse_numbers

    share, *more = parse_numbers(text, float, "--contamination")
    if share >= 1 or more:
        raise InputError(f"--contamination is {text!r}", allowed="above 0, below 1, or auto")
    return float(share)


def _folds(text: str) -> tuple["HeldOut", int]:
    from w2sprobe.folds import FOLDS

    if text == "in-sample":
        return "in_sample", FOLDS
    if not text.isdecimal() or int(text) < 2:
        raise InputError(f"--cv is {text!r}", allowed="2 or more folds, or in-sample")
    return "train", int(text)
