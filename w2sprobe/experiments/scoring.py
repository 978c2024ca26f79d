"""From stages that are done to the results of an experiment."""

import importlib.metadata
import json
import sys

from w2sprobe import __version__
from w2sprobe.audit import Audit
from w2sprobe.devices import describe_machine
from w2sprobe.experiments.builder import Experiment
from w2sprobe.experiments.engines import Outcomes
from w2sprobe.experiments.records import training_warnings
from w2sprobe.experiments.shared_runs import same_run_as
from w2sprobe.experiments.stages import RECORD, Outcome, Stage
from w2sprobe.experiments.steps import AUDIT, CURATION, INDICATORS, label_file, stopped
from w2sprobe.experiments.summary import ENDS, Predictions, Recovered, recovered, scores_of
from w2sprobe.labels import LabelTable
from w2sprobe.metrics import Run, rows_to_resolve
from w2sprobe.results import ResultRow, Results
from w2sprobe.sweeps.choose import CHOICES, Choices

PACKAGES = ("torch", "transformers", "peft", "numpy", "scikit-learn", "h5py")


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
    test, thresholds = splits.test, config.model_dump(include={"min_gap", "min_gap_se"})
    run = Run(test.labels, predictions, test.groups, test.ids)
    ceilings: dict[str, str] = getattr(experiment, "ceilings", {})
    found = recovered([run], thresholds, ceilings)
    ceiling = found["ceiling"].auc
    audit = audit_of(experiment, outcomes)
    return Results(
        name=config.name,
        **config.key._asdict(),
        gap=ceiling.gap,
        gap_se=ceiling.gap_se,
        rows_needed=rows_to_resolve(ceiling.gap, ceiling.gap_se, len(test), **thresholds),
        layer=experiment.layer,
        chosen=_chosen(experiment, outcomes),
        splits={name: len(rows) for name, rows in splits.items()},
        dropped=splits.dropped,
        truncated=experiment.truncated,
        fingerprint=splits.about.get("fingerprint", ""),
        audit=audit.findings if audit else (),
        warnings=training_warnings(experiment, outcomes),
        rows=tuple(_row(experiment, name, result) for name, result in found.items()),
        missing={
            name: str(failed)
            for name, stages in experiment.methods.items()
            if (failed := _failed(stages, outcomes))
        },
        ceilings=ceilings,
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


def _row(experiment: Experiment, name: str, result: Recovered) -> ResultRow:
    stages, splits = experiment.methods[name], experiment.splits
    learns_from = {"weak": len(splits.weak_train), "zero_shot": 0}
    offered = learns_from.get(experiment.config.entries[name].predicts, len(splits.strong_train))
    kept = offered
    if stages[0].kind == "curate":
        kept = json.loads((stages[0].folder / CURATION).read_text(encoding="utf-8"))["kept"]
    return ResultRow(
        method=name,
        **scores_of(result),
        rows_offered=offered,
        rows_kept=kept,
        iterations=sum(s.kind == "relabel" and not stopped(s.folder) for s in stages),
        seconds=round(sum(map(seconds_of, stages)), 1),
        same_run_as=same_run_as(stages[-1].folder),
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
