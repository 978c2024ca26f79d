"""`w2sprobe probe`."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from w2sprobe import help_texts
from w2sprobe.cli import _options, _probe_check, _probing
from w2sprobe.errors import InputError, OutputError
from w2sprobe.probing.probe_types import PROBE_TYPES, PROBES
from w2sprobe.votes.rules import FILTER_RULES, RANDOM
from w2sprobe.votes.table import IN_SAMPLE, LEAVE_ONE_OUT, TRAIN

if TYPE_CHECKING:
    from w2sprobe.experiments.config import TaskConfig
    from w2sprobe.probing.cards import KeptProbe
    from w2sprobe.probing.curate import Curation
    from w2sprobe.probing.probe import ProbeOutput
    from w2sprobe.probing.spec import HeldOut, VoteSpec

ACTIONS = ("predict", "relabel", "filter")
# how to read the AUC of training rows, by how these were predicted
AUCS = {
    "folds": "AUC of training rows: mean of the AUCs within folds; n folds: number of folds that "
    "have both classes",
    "leave-one-out": "AUC of training rows: leave-one-out, all rows ranked together, which biases "
    "it downwards (below .5 for a probe that knows nothing); --cv 5 averages AUCs within folds",
    "in-sample": "AUC of training rows: in-sample, their own labels included",
}


@dataclass(frozen=True)
class _ProbeOptions:
    """Arguments and options of the command."""

    probe: str
    action: Any
    store: Path
    labels: Path
    task: "TaskConfig | None"
    layers: str
    ks: str
    l2s: str
    preprocess: Any
    whiten: bool
    rule: str
    contamination: str
    per_class: bool
    cv: str | None
    backend: str
    out: Path
    save: Path | None
    fpr: float | None
    device: str

    @property
    def does(self) -> Any:
        """The action, or the probe's default one."""
        return self.action or ("filter" if self.probe == "topofilter" else "predict")

    def check(self) -> None:
        """Refuse what needs no file to be read.

        Raises
        ------
        UsageError
            Options that do not go together.
        InputError
            An action that the probe does not have; an unknown backend; a probe that cannot be
            saved.
        OutputError
            A folder to save to that exists, or cannot be written.
        """
        from w2sprobe.atomic import check_writable
        from w2sprobe.probes.neighbors import BACKENDS
        from w2sprobe.probing.saved import check_saved

        if self.probe == "topofilter" and self.does != "filter":
            raise InputError(
                f"topofilter cannot {self.does}", allowed="w2sprobe probe topofilter filter"
            )
        if self.backend not in BACKENDS:
            raise InputError(f"--backend is {self.backend!r}", allowed=", ".join(BACKENDS))
        if self.fpr is not None and self.save is None:
            raise click.UsageError("--fpr chooses the threshold of a saved probe: name --save, too")
        if self.save is not None:
            if self.does != "predict":
                raise click.UsageError(f"--save goes with predict, not with {self.does}")
            check_saved(self.probe)
            if self.save.exists():
                raise OutputError(f"{str(self.save)!r} exists already")
            check_writable(self.save.parent)

    def spec(self) -> "VoteSpec":
        """Probe, layers, hyperparameters and folds."""
        from w2sprobe.numbers import parse_numbers
        from w2sprobe.probing.spec import VoteSpec

        values: dict[str, tuple[float, ...]] = {
            "k": parse_numbers(self.ks, int, "--ks"),
            "l2": () if self.l2s == "auto" else parse_numbers(self.l2s, float, "--l2s"),
        }
        held_out, folds = _held_out(self.cv)
        return VoteSpec(
            layers=self.layers,
            probes={self.probe: values.get(str(PROBE_TYPES[self.probe].hyperparameter), ())},
            preprocess=self.preprocess,
            whiten=self.whiten,
            cv=folds,
            held_out=(held_out,),
        )

    def curation(self) -> "Curation | None":
        """What happens to the labels; None if they are only predicted."""
        from w2sprobe.probing.curate import Curation

        share = None if self.contamination == "auto" else _share(self.contamination)
        if self.does == "predict":
            return None
        return Curation(self.does, self.rule, share, self.per_class)


class _Probe(click.Command):
    """`probe` with a command of its own, `probe check`."""

    commands: ClassVar = {"check": _probe_check.command}

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        inner = self.commands.get(args[0]) if args else None
        if inner is None:
            return super().make_context(info_name, args, parent, **extra)
        return inner.make_context(f"{info_name} {inner.name}", args[1:], parent, **extra)


@click.command("probe", cls=_Probe)
@click.argument("probe", type=click.Choice(PROBES))
@click.argument("action", type=click.Choice(ACTIONS), required=False)
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FOLDER",
    help="Folder of activations, from `w2sprobe extract`.",
)
@_probing.labels
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="Output file (Parquet).",
)
@_options.task_name(required=False)
@_options.layers("mid")
@click.option(
    "--ks",
    "--k",
    default="50",
    show_default=True,
    metavar="NUMBERS",
    help=f"Numbers of neighbours of knn and topofilter: {_probing.NUMBERS}.",
)
@click.option(
    "--l2s",
    "--l2",
    default="0.01",
    show_default=True,
    metavar="NUMBERS|auto",
    help="L2 regularisation strengths of logistic, written as for --ks. auto: for each layer, the "
    "value from 1e-4 to 1e3 with the lowest cross-fitted log-loss against the labels.",
)
@_options.preprocess
@click.option("--whiten", is_flag=True, help=help_texts.WHITEN)
@click.option(
    "--cv",
    metavar="N|in-sample",
    help="Number of cross-fitting folds, or in-sample. Default: leave-one-out for kNN, 5 folds for "
    "other probes. With folds, the AUC of training rows is the mean of the within-fold AUCs. "
    "in-sample (relabel and filter only): fit on all rows, including the row being judged.",
)
@click.option(
    "--rule",
    default="disagreement",
    show_default=True,
    type=click.Choice([*FILTER_RULES, RANDOM]),
    metavar="RULE",
    help=f"Which rows `filter` removes: {help_texts.FILTER_RULES}, random (control). Not for "
    "topofilter.",
)
@click.option(
    "--contamination",
    default="0.1",
    show_default=True,
    metavar="FRACTION|auto",
    help="Fraction of training rows that `filter` removes; auto: estimated (only "
    "confident-learning and deep-knn).",
)
@click.option(
    "--per-class",
    is_flag=True,
    help="Remove the fraction --contamination of each class (soft label above 0.5, or not) instead "
    "of that fraction of all rows together.",
)
@click.option(
    "--backend",
    default="auto",
    show_default=True,
    metavar="BACKEND",
    help="Neighbour search: auto; exact: symmetric, faiss-cpu, faiss-gpu, torch; approximate: "
    "faiss-ivf, faiss-hnsw, faiss-gpu-float16. Independent of --device.",
)
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Also keep the probe, in a new folder, with a card: origin of the activations, training "
    "rows, held-out scores. Needs one layer and hyperparameter value.",
)
@click.option(
    "--fpr",
    type=_options.FiniteRange(0, 1, min_open=True, max_open=True),
    metavar="RATE",
    help="With --save: choose a threshold whose false-positive rate is at most this on the card's "
    "rows of evaluation, and keep it in the card.",
)
@_options.task_settings
@_options.device
@_options.common
def command(*, as_json: bool, **given: Any) -> None:
    """Fit a probe on stored activations: predict, relabel or filter.

    \b
    predict   predict P(label = 1) of every row; training rows by cross-fitting
    relabel   replace the labels of the training rows by the probe's predictions
    filter    mark training rows to be removed

    topofilter can only filter, and does so by default; the other probes predict by default.
    Every combination of the given layers and hyperparameter values is fitted separately, in one
    call.

    Training rows: strong_train with --task, otherwise all rows of --labels. With --task, rows with
    the same text or group are held out together. OUT has one row for each example, layer and
    hyperparameter value. If only one layer and value were used, OUT is a valid
    `w2sprobe train --labels` file.

    `w2sprobe probe check` tells whether a saved probe holds on other states of its model: see
    `w2sprobe probe check --help`.

    \b
    Examples, after `w2sprobe extract --store runs/acts`:
      w2sprobe probe knn --store runs/acts --labels runs/weak/labels.parquet \\
        --layers 8,15 --ks 1,10,50 --out runs/knn.parquet
      w2sprobe probe logistic relabel --store runs/acts --labels runs/weak/labels.parquet \\
        --task reviews.csv --l2s auto --out runs/new.parquet
      w2sprobe probe knn filter --rule deep-knn --contamination auto --store runs/acts \\
        --labels runs/weak/labels.parquet --task reviews.csv --out runs/filtered.parquet
      w2sprobe probe logistic --store runs/acts --labels runs/weak/labels.parquet --layers 15 \\
        --task reviews.csv --out runs/p.parquet --fpr 0.05 --save runs/probe
    """
    import pyarrow.parquet as pq

    from w2sprobe.atomic import atomic_path, check_writable
    from w2sprobe.devices import resolve_device

    options = _ProbeOptions(**given)
    options.check()
    spec, curation = options.spec(), options.curation()
    resolve_device(options.device)
    check_writable(options.out.parent)
    output, kept = _run(options, spec, curation)
    with atomic_path(options.out) as temporary:
        pq.write_table(output.table, temporary)
    if kept is not None and options.save is not None:
        kept.save(options.save)
    summary = _summary(options, spec, output, kept)
    if as_json:
        click.echo(json.dumps(summary, indent=2))
    else:
        _show(summary)


def _run(
    options: _ProbeOptions, spec: "VoteSpec", curation: "Curation | None"
) -> "tuple[ProbeOutput, KeptProbe | None]":
    from w2sprobe.probing.cards import keep_probe
    from w2sprobe.probing.curate import curate_store
    from w2sprobe.probing.probe import predict_store
    from w2sprobe.searches import StoredSearch

    inputs = _probing.StoreInputs(options.store, options.labels, options.task)
    store, labels, rows = inputs.load()
    settings: dict[str, Any] = {
        "best": options.probe == "logistic" and options.l2s == "auto",
        "search": partial(StoredSearch(store), backend=options.backend),
        "device": options.device,
    }
    if curation is not None:
        return curate_store(store, spec, rows, labels, curation, **settings), None
    output = predict_store(store, spec, rows, labels, **settings)
    if options.save is None:
        return output, None
    name = options.labels.name if options.task is None else str(options.task.name)
    kept = keep_probe(
        store, spec, rows, labels, output, name=name, fpr=options.fpr, device=options.device
    )
    return output, kept


def _summary(
    options: _ProbeOptions, spec: "VoteSpec", output: "ProbeOutput", kept: "KeptProbe | None"
) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "out": str(options.out),
        "probe": options.probe,
        "action": options.does,
        "results": output.results,
    }
    if options.does != "filter":
        (held_out,) = spec.held_out
        leaves_one_out = options.probe == "knn" and held_out == LEAVE_ONE_OUT
        summary["held_out"] = (
            "in-sample" if held_out == IN_SAMPLE else "leave-one-out" if leaves_one_out else "folds"
        )
    if kept is not None:
        summary["saved"] = {"folder": str(options.save), "card": kept.card.model_dump(mode="json")}
    if output.searches:
        summary["search"] = [{"backend": name, "recall": part} for name, part in output.searches]
    return summary


def _show(summary: dict[str, Any]) -> None:
    from w2sprobe.cli._tables import print_table
    from w2sprobe.reporting.sweeps import account_table, monitoring_table

    print_table(account_table(f"{summary['probe']} {summary['action']}", summary["results"]))
    monitor = monitoring_table(summary["results"])
    if monitor is not None:
        print_table(monitor)
    if any("auc" in result for result in summary["results"]) and "held_out" in summary:
        click.echo(AUCS[summary["held_out"]])
    for search in summary.get("search", []):
        click.echo(f"neighbours: {search['backend']}, recall {search['recall']:g}")
    click.echo(f"written: {summary['out']}")
    if "saved" in summary:
        click.echo(_saved_text(summary["saved"]))


def _saved_text(saved: dict[str, Any]) -> str:
    from w2sprobe.reporting.numbers import interval_text

    evaluation = saved["card"]["evaluation"]
    text = f"saved: {saved['folder']}, {evaluation['on']} AUC {evaluation['auc']:.3f}"
    if evaluation["auc_interval"]:
        text += f" {interval_text(evaluation['auc_interval'], 3)}"
    threshold = evaluation["threshold"]
    if threshold:
        text += (
            f", threshold {threshold['p']:.4g} (false-positive rate {threshold['fpr']:.3f}, recall "
            f"{threshold['recall']:.3f})"
        )
    return text


def _share(text: str) -> float:
    from w2sprobe.numbers import parse_numbers

    share, *more = parse_numbers(text, float, "--contamination")
    if share >= 1 or more:
        raise InputError(f"--contamination is {text!r}", allowed="above 0, below 1, or auto")
    return float(share)


def _held_out(cv: str | None) -> "tuple[HeldOut, int]":
    """How training rows are predicted, and the number of folds."""
    from w2sprobe.folds import FOLDS

    if cv is None:
        return LEAVE_ONE_OUT, FOLDS
    if cv == "in-sample":
        return IN_SAMPLE, FOLDS
    if not cv.isdecimal() or int(cv) < 2:
        raise InputError(f"--cv is {cv!r}", allowed="2 or more folds, or in-sample")
    return TRAIN, int(cv)
