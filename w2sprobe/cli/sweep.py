"""`w2sprobe sweep`."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from w2sprobe import help_texts
from w2sprobe.cli import _options, _probing
from w2sprobe.errors import InputError
from w2sprobe.votes.table import IN_SAMPLE, LEAVE_ONE_OUT, TRAIN

if TYPE_CHECKING:
    from w2sprobe.experiments.config import TaskConfig
    from w2sprobe.probing.spec import HeldOut, VoteSpec
    from w2sprobe.probing.sweep import Sweep


@dataclass(frozen=True)
class _SweepOptions:
    """Arguments and options of the command."""

    store: Path
    labels: Path
    task: "TaskConfig | None"
    layers: str
    ks: str | None
    l2s: str | None
    cv: int
    leave_one_out: bool
    preprocess: Any
    in_sample: bool
    ceiling: bool
    true_labels: int
    out: Path
    figure: Path | None
    device: str

    def values(self) -> dict[str, tuple[float, ...]]:
        """Values of k and l2 to try; () is the default grid, and "none" is left out."""
        from w2sprobe.numbers import parse_numbers

        given = {
            name: text for name, text in (("ks", self.ks), ("l2s", self.l2s)) if text != "none"
        }
        kinds = {"ks": int, "l2s": float}
        return {
            name: parse_numbers(text, kinds[name], f"--{name}") if text else ()
            for name, text in given.items()
        }

    def spec(self, values: dict[str, tuple[float, ...]], *, tokens: bool) -> "VoteSpec":
        """Probes, layers, hyperparameters and folds; `tokens`: for one vector per token."""
        from w2sprobe.probing.probe_types import TOKEN_PROBES
        from w2sprobe.probing.spec import VoteSpec

        if tokens and values.get("ks"):
            raise InputError(
                f"--ks {self.ks} for a store with one vector per token",
                allowed="--l2s, as no kNN probe reads tokens",
            )
        probes: dict[str, tuple[float, ...]] = {}
        if "ks" in values and not tokens:
            probes["knn"] = values["ks"]
        if "l2s" in values:
            probes |= dict.fromkeys(TOKEN_PROBES if tokens else ("logistic",), values["l2s"])
        held_out: HeldOut = LEAVE_ONE_OUT if self.leave_one_out else TRAIN
        return VoteSpec(
            layers=self.layers,
            probes=probes,
            preprocess=self.preprocess,
            cv=self.cv,
            held_out=(held_out, IN_SAMPLE) if self.in_sample else (held_out,),
        )


@click.command("sweep")
@click.argument("store", type=click.Path(path_type=Path))
@_probing.labels
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FOLDER",
    help="Output folder.",
)
@click.option(
    "--figure",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Output file (PNG): heat maps of layers and hyperparameters; default: none.",
)
@_options.task_name(required=False)
@_options.layers("all")
@click.option(
    "--ks",
    metavar="NUMBERS|none",
    help=f"Numbers of neighbours: {_probing.NUMBERS}; none: no kNN. Default: 5 to 400, up to the "
    "number of rows.",
)
@click.option(
    "--l2s",
    metavar="NUMBERS|none",
    help="L2 regularisation strengths of logistic regression, written as for --ks; none: no "
    "logistic regression. Default: 1e-4 to 1e3.",
)
@click.option(
    "--cv",
    type=click.IntRange(min=2),
    default=5,
    show_default=True,
    metavar="N",
    help="Number of cross-fitting folds, also for kNN (`w2sprobe probe` leaves single rows out for "
    "kNN by default).",
)
@click.option(
    "--leave-one-out",
    is_flag=True,
    help=help_texts.LEAVE_ONE_OUT,
)
@_options.preprocess
@click.option(
    "--in-sample",
    is_flag=True,
    help=f"{help_texts.IN_SAMPLE} These scores are marked in_sample and never used to select.",
)
@click.option("--ceiling", is_flag=True, help=help_texts.CEILING)
@click.option(
    "--true-labels",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Number of training rows for the rule true_labels, which reads their true labels; these "
    "rows are excluded from cross_fit scores.",
)
@_options.task_settings
@_options.device
@_options.common
def command(*, as_json: bool, **given: Any) -> None:
    """Compare probes over layers and hyperparameters.

    Scores kNN and logistic probes on held-out rows, and selects the best; with the vectors of all
    tokens (extract --position all), token-level probes. STORE is a folder of activations, from
    `w2sprobe extract`. Probes are fitted on the weak labels of strong_train
    (without --task: of the rows of --labels).

    Each probe has three scores: on the training rows, predicted by cross-fitting (cross_fit), on
    val and on test. A score is an AUC, against true and against weak labels; delta columns subtract
    the AUC of the weak labels themselves. The cross_fit AUC is the mean of within-fold AUCs.

    OUT gets the predictions of every layer, sweep.parquet (one row for each layer, hyperparameter
    value and set of rows) and sweep.json. An interrupted sweep resumes at the first missing layer.

    \b
    Rules that select a layer and a hyperparameter value:
      weak_auc        highest cross_fit AUC against the weak labels
      weak_log_loss   lowest cross_fit log-loss against the weak labels
      true_labels     highest AUC on the --true-labels rows

    The selected probe is judged on test, or on cross_fit if test has no true labels; no rule has
    read the true labels of these rows. Regret: highest AUC of any candidate on these rows minus the
    AUC of the selected one. A selection at the edge of the grid is marked, because a better
    value may lie outside it.

    \b
    Examples, after `w2sprobe extract --store runs/acts`:
      w2sprobe sweep runs/acts --labels runs/weak/labels.parquet --task reviews.csv \\
        --layers all --ks 1:200:log10 --out runs/sweep --figure sweep.png
      w2sprobe sweep runs/acts --labels runs/weak/labels.parquet --task reviews.csv \\
        --in-sample --ceiling --true-labels 50 --out runs/bounds
    """
    from w2sprobe.atomic import check_writable_file
    from w2sprobe.probing.sweep import sweep
    from w2sprobe.reporting.heatmaps import sweep_figure

    options = _SweepOptions(**given)
    values = options.values()
    if options.figure:
        check_writable_file(options.figure)
    store, labels, rows = _probing.StoreInputs(options.store, options.labels, options.task).load()
    spec = options.spec(values, tokens=store.ragged)
    done = sweep(
        store,
        spec,
        rows,
        labels,
        options.out,
        ceiling=options.ceiling,
        n_true_labels=options.true_labels,
        device=options.device,
    )
    if options.figure:
        sweep_figure(done.table, _selections(done), options.figure)
    if as_json:
        click.echo(json.dumps(_summary(options, done), indent=2))
    else:
        _show(options, done)


def _selections(done: "Sweep") -> list[dict[str, Any]]:
    return [asdict(selection) for selection in done.selections]


def _summary(options: _SweepOptions, done: "Sweep") -> dict[str, Any]:
    from w2sprobe.votes.selection import ceilings, fewest_folds

    return {
        "out": str(options.out),
        "figure": str(options.figure) if options.figure else None,
        "layers": list(done.layers),
        "layers_computed": done.layers_computed,
        "n_rows": done.n_rows,
        "n_folds": fewest_folds(done.table),
        "selections": _selections(done),
        "ceiling": ceilings(done.table),
        "monitors": done.monitors,
    }


def _show(options: _SweepOptions, done: "Sweep") -> None:
    from w2sprobe.cli._tables import print_table
    from w2sprobe.reporting.sweeps import monitoring_table, selection_table, sweep_notes

    print_table(selection_table(done.selections, done.n_rows))
    monitors = monitoring_table(done.monitors)
    if monitors is not None:
        print_table(monitors)
    for line in sweep_notes(done.table, options.cv):
        click.echo(line)
    click.echo(f"written: {options.out}/sweep.parquet ({done.layers_computed} layers computed)")
