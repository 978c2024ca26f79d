"""From stages that are done to results: of one experiment, and of several over their seeds."""

import importlib.metadata
import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from w2sprobe import __version__
from w2sprobe.audit import Audit
from w2sprobe.devices import describe_machine
from w2sprobe.experiments.builder import Experiment
from w2sprobe.experiments.engines import Outcomes
from w2sprobe.experiments.stages import RECORD, Outcome, Stage
from w2sprobe.experiments.steps import AUDIT, CURATION, INDICATORS, label_file, stopped
from w2sprobe.labels import LabelTable
from w2sprobe.metrics import (
    BootstrapPGR,
    bootstrap_pgrs,
    gap_objection,
    pgr,
    roc_auc,
    rows_to_resolve,
)
from w2sprobe.results import ResultRow, Results, SummaryRow
from w2sprobe.sweeps.choose import CHOICES, Choices

PACKAGES = ("torch", "transformers", "peft", "numpy", "scikit-learn", "h5py")
ENDS = ("weak", "ceiling")

Predictions = dict[str, np.ndarray]  # by method, of the test rows in their order


def predictions_of(experiment: Experiment, outcomes: Outcomes) -> Predictions:
    """What each method whose stages are done says of the test rows.

    Parameters
    ----------
    experiment : Experiment
    outcomes : dict of str to Outcome

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
    """
    return {
        name: LabelTable.read(label_file(stages[-1].folder))
        .align(experiment.splits.test.ids)
        .soft_label
        for name, stages in experiment.methods.items()
        if not _failed(stages, outcomes)
    }


def score(experiment: Experiment, outcomes: Outcomes, predictions: Predictions) -> Results | None:
    """Score the methods of an experiment.

    Parameters
    ----------
    experiment : Experiment
    outcomes : dict of str to Outcome
    predictions : dict of str to ndarray
        As `predictions_of` gives them.

    Returns
    -------
    Results or None
        None without weak model or ceiling: no method can be scored.
    """
    if not {*ENDS} <= {*predictions}:
        return None
    config, splits = experiment.config, experiment.splits
    bootstraps = _bootstrap(experiment, [predictions], predictions)
    ceiling = bootstraps["ceiling"]
    audit = audit_of(experiment, outcomes)
    return Results(
        name=config.name,
        task=config.task.label,
        weak_model=config.weak.model,
        strong_model=config.strong.model,
        seed=config.seed,
        gap=ceiling.gap,
        gap_se=ceiling.gap_se,
        rows_needed=_rows_needed(experiment, ceiling.gap, ceiling.gap_se),
        layer=experiment.layer,
        chosen=_chosen(experiment, outcomes),
        splits={name: len(rows) for name, rows in splits.items()},
        dropped=splits.dropped,
        truncated=experiment.truncated,
        fingerprint=splits.about.get("fingerprint", ""),
        audit=audit.findings if audit else (),
        rows=tuple(_row(experiment, name, result) for name, result in bootstraps.items()),
        missing={
            name: str(failed)
            for name, stages in experiment.methods.items()
            if (failed := _failed(stages, outcomes))
        },
        indicators=_indicators(experiment, outcomes),
        stages={
            stage.title: {"address": stage.address, "seconds": seconds_of(stage)}
            for stage in experiment.stages
            if outcomes[stage.address].status == "done"
        },
        config=config.model_dump(mode="json", exclude={"seed"}),
        versions=versions(),
        machine=describe_machine(),
        store=_store(experiment, outcomes),
    )


def summarise(
    experiments: Sequence[Experiment],
    predictions: Sequence[Predictions],
    results: Sequence[Results | None],
) -> list[SummaryRow]:
    """Each method of one task and pair of models over its seeds.

    Parameters
    ----------
    experiments : sequence of Experiment
        One a seed.
    predictions : sequence of dict of str to ndarray
        Of each.
    results : sequence of Results or None
        As `score` gives them; those that are None are left out.

    Returns
    -------
    list of SummaryRow
    """
    pairs = zip(experiments, predictions, strict=True)
    scored = [pair for pair, one in zip(pairs, results, strict=True) if one]
    row_se = float(np.mean([one.gap_se for one in results if one] or [math.nan]))
    together: dict[tuple[int, ...], list[str]] = {}  # methods by the seeds that have them
    for name in dict.fromkeys(name for _, found in scored for name in found):
        seeds = tuple(number for number, (_, found) in enumerate(scored) if name in found)
        together.setdefault(seeds, []).append(name)
    return [
        row
        for seeds, names in together.items()
        for row in _summary_rows(names, [scored[number] for number in seeds], row_se)
    ]


def _summary_rows(
    names: list[str], scored: list[tuple[Experiment, Predictions]], row_se: float
) -> Iterable[SummaryRow]:
    first = scored[0][0]
    config = first.config
    who: dict[str, Any] = {
        "task": config.task.label,
        "weak_model": config.weak.model,
        "strong_model": config.strong.model,
        "n_seeds": len(scored),
        "n_test_rows": len(first.splits.test),
    }
    if any(each.splits.test.content != first.splits.test.content for each, _ in scored[1:]):
        for name, means in _without_intervals(names, scored).items():
            yield SummaryRow(**who, method=name, **means)
        return
    for name, result in _bootstrap(first, [found for _, found in scored], names).items():
        yield SummaryRow(
            **who,
            method=name,
            **_scores(result),
            gap=result.gap,
            gap_se=result.gap_se,
            rows_needed=_rows_needed(first, result.gap, row_se),
        )


def _without_intervals(
    names: list[str], scored: list[tuple[Experiment, Predictions]]
) -> dict[str, dict[str, Any]]:
    """Means over seeds that have test rows of their own."""
    aucs = {
        name: float(
            np.mean([roc_auc(each.splits.test.labels, found[name]) for each, found in scored])
        )
        for name in {*names, *ENDS}
    }
    weak, gap = aucs["weak"], aucs["ceiling"] - aucs["weak"]
    means = {}
    for name in names:
        value = pgr(weak, aucs[name], aucs["ceiling"])
        means[name] = {
            "auc": aucs[name],
            "auc_interval": None,
            "delta_auc": aucs[name] - weak,
            "delta_auc_interval": None,
            "gap": gap,
            "gap_se": None,
            "pgr": None if math.isnan(value) else value,
            "pgr_interval": None,
            "resolved": not gap_objection(gap, math.nan, min_gap=scored[0][0].config.min_gap),
            "rows_needed": None,
        }
    return means


def audit_of(experiment: Experiment, outcomes: Outcomes) -> Audit | None:
    """Audit of the experiment's task, where that stage is done.

    Parameters
    ----------
    experiment : Experiment
    outcomes : dict of str to Outcome

    Returns
    -------
    Audit or None
    """
    (stage,) = (stage for stage in experiment.stages if stage.kind == "audit")
    if outcomes[stage.address].status != "done":
        return None
    # the stage is shared by tasks of equal rows, whatever their names
    found = Audit.read(stage.folder / AUDIT)
    return found.model_copy(update={"task": experiment.config.task.label})


def seconds_of(stage: Stage) -> float:
    """What a stage that is done took when it was run."""
    return float(json.loads((stage.folder / RECORD).read_text(encoding="utf-8"))["seconds"])


def versions() -> dict[str, str]:
    """Versions of what results may depend on."""
    return {
        "w2sprobe": __version__,
        "python": sys.version.split()[0],
        **{package: importlib.metadata.version(package) for package in PACKAGES},
    }


def _failed(stages: list[Stage], outcomes: Outcomes) -> str:
    """Title of the stage that keeps a method from having results; empty where all are done."""
    for stage in stages:
        outcome: Outcome = outcomes[stage.address]
        if outcome.status != "done":
            return outcome.error if outcome.status == "blocked" else stage.title
    return ""


def _bootstrap(
    experiment: Experiment, seeds: list[Predictions], names: Iterable[str]
) -> dict[str, BootstrapPGR]:
    test, config = experiment.splits.test, experiment.config
    runs = {name: np.array([found[name] for found in seeds]) for name in {*names, *ENDS}}
    return bootstrap_pgrs(
        test.labels,
        runs["weak"],
        {name: runs[name] for name in names},
        runs["ceiling"],
        groups=test.groups,
        min_gap=config.min_gap,
        min_gap_se=config.min_gap_se,
    )


def _scores(result: BootstrapPGR) -> dict[str, Any]:
    bounded = all(map(math.isfinite, result.pgr_interval))
    return {
        "auc": result.student_auc,
        "auc_interval": result.student_auc_interval,
        "delta_auc": result.delta_auc,
        "delta_auc_interval": result.delta_auc_interval,
        "pgr": None if math.isnan(result.pgr) else result.pgr,
        "pgr_interval": result.pgr_interval if bounded else None,
        "resolved": result.resolved,
    }


def _rows_needed(experiment: Experiment, gap: float, gap_se: float) -> int | None:
    config = experiment.config
    return rows_to_resolve(
        gap,
        gap_se,
        len(experiment.splits.test),
        min_gap=config.min_gap,
        min_gap_se=config.min_gap_se,
    )


def _row(experiment: Experiment, name: str, result: BootstrapPGR) -> ResultRow:
    stages, splits = experiment.methods[name], experiment.splits
    learns_from = {"weak": len(splits.weak_train), "zero_shot": 0}
    offered = learns_from.get(experiment.config.entries[name].predicts, len(splits.strong_train))
    kept = offered
    if stages[0].kind == "curate":
        kept = json.loads((stages[0].folder / CURATION).read_text(encoding="utf-8"))["kept"]
    return ResultRow(
        method=name,
        **_scores(result),
        rows_offered=offered,
        rows_kept=kept,
        iterations=sum(s.kind == "relabel" and not stopped(s.folder) for s in stages),
        seconds=round(sum(map(seconds_of, stages)), 1),
    )


def _chosen(experiment: Experiment, outcomes: Outcomes) -> dict[str, dict[str, float | str]]:
    """Points that were chosen by weak labels, by the title of the stage."""
    found: dict[str, dict[str, float | str]] = {}
    for stage in experiment.stages:
        if stage.kind == "choose" and outcomes[stage.address].status == "done":
            (point,) = Choices.read(stage.folder / CHOICES).points.values()
            found[stage.title] = vars(point)
    return found


def _store(experiment: Experiment, outcomes: Outcomes) -> str:
    """Name of the strong model's activation store."""
    for stage in experiment.stages:
        if stage.place and outcomes[stage.address].status == "done":
            return stage.place.name
    return ""


def _indicators(experiment: Experiment, outcomes: Outcomes) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for stage in experiment.stages:
        if stage.kind == "indicators" and outcomes[stage.address].status == "done":
            found = json.loads((stage.folder / INDICATORS).read_text(encoding="utf-8"))
    return found
