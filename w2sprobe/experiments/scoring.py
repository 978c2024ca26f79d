"""Results of an experiment, from the stages that are done."""

import importlib.metadata
import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from w2sprobe import __version__
from w2sprobe.audit import Audit
from w2sprobe.data import Rows
from w2sprobe.devices import describe_machine
from w2sprobe.errors import InputError
from w2sprobe.experiments.elsewhere import Elsewhere
from w2sprobe.experiments.engines import Outcomes
from w2sprobe.experiments.experiment import Experiment, PlannedMethod
from w2sprobe.experiments.result_tables import training_warnings
from w2sprobe.experiments.shared_runs import same_run_as
from w2sprobe.experiments.stage_kinds import AUDIT, CURATION, INDICATORS, labels_of, stopped
from w2sprobe.experiments.stages import RECORD, Outcome, Stage
from w2sprobe.experiments.summary import ENDS, Predictions, Recovered, recovered, scores_of
from w2sprobe.experiments.votes_plan import Reading
from w2sprobe.labels import THRESHOLD
from w2sprobe.metrics import ScoredRun, capa, rows_to_resolve
from w2sprobe.results import ResultRow, Results
from w2sprobe.votes.selection import Choice
from w2sprobe.votes.table import Votes

CAPA_OF = ("student", "ceiling")  # strong models whose errors are compared with the supervisor's
PACKAGES = ("torch", "transformers", "peft", "numpy", "scikit-learn", "h5py")


def predictions_of(
    experiment: Experiment, outcomes: Outcomes
) -> tuple[Predictions, dict[str, str]]:
    """Predictions of each method for the test rows, and why other methods have none.

    Returns
    -------
    predictions : dict of str to ndarray of float64, shape (n,)
    missing : dict of str to str
        By method: title of the stage that failed, or a sentence.
    """
    predictions, missing = _predicted(experiment.methods, experiment.splits.test, outcomes)
    return predictions, {**experiment.left_out, **missing}


def predictions_elsewhere(experiment: Experiment, outcomes: Outcomes) -> tuple[Elsewhere, ...]:
    """Predictions of each method for the test rows of other tasks.

    A method without predictions is left out, and so is a task without those of weak model and
    ceiling; failed stages are listed with the study's.
    """
    found = []
    for transfer in experiment.transfers:
        predictions, _ = _predicted(transfer.methods, transfer.test, outcomes)
        if {*ENDS} <= {*predictions}:
            test, n_left_out = transfer.test, transfer.n_left_out
            rows = (test.ids, test.labels, test.groups)
            found.append(Elsewhere(transfer.task, *rows, predictions, n_left_out))
    return tuple(found)


def _predicted(
    methods: Mapping[str, PlannedMethod], test: Rows, outcomes: Outcomes
) -> tuple[Predictions, dict[str, str]]:
    predictions: Predictions = {}
    missing: dict[str, str] = {}
    for name, planned in methods.items():
        failed = _failed(planned, outcomes)
        if not failed:
            try:
                predictions[name] = _predictions(planned, test.ids)
            except InputError as error:  # labels of one class, or no setting can be chosen
                failed = str(error)
        if failed:
            missing[name] = failed
    return predictions, missing


def _predictions(planned: PlannedMethod, test: np.ndarray) -> np.ndarray:
    last, reading = planned.stages[-1], planned.reading
    if reading is None:
        p = labels_of(last).align(test).soft_label
    else:
        points = reading.pick.points(choices_of(reading))
        votes = Votes.open(last.folder)
        p = reading.pick.predict(votes, points, planned.split).align(test).soft_label
    if planned.weak is not None:
        p = (p + labels_of(planned.weak).align(test).soft_label) / 2
    return p


def choices_of(reading: Reading) -> list[Choice]:
    """Layers and settings that labels choose, from finished votes; empty if all are given."""
    if not reading.pick.chooses or reading.chooser is None:
        return []
    if reading.choices is None:  # needed for predictions and again for results
        votes = Votes.open(reading.stage.folder)
        reading.choices = reading.pick.choices(votes, labels_of(reading.chooser))
    return reading.choices


def score(
    experiment: Experiment,
    outcomes: Outcomes,
    predictions: Predictions,
    missing: dict[str, str],
) -> Results | None:
    """Score the methods of an experiment.

    Parameters
    ----------
    missing : dict of str to str
        From `predictions_of`.

    Returns
    -------
    Results or None
        None without predictions of weak model and ceiling, as PGR then has no denominator.
    """
    if not {*ENDS} <= {*predictions}:
        return None
    config, splits = experiment.config, experiment.splits
    test, thresholds = splits.test, config.model_dump(include={"min_gap", "min_gap_se"})
    run = ScoredRun(test.labels, predictions, test.groups, test.ids)
    found = recovered([run], thresholds, experiment.ceilings)
    ceiling = found["ceiling"].auc
    audit = audit_of(experiment, outcomes)
    return Results(
        name=config.name,
        **config.key._asdict(),
        gap=ceiling.gap,
        gap_se=ceiling.gap_se,
        rows_needed=rows_to_resolve(ceiling.gap, ceiling.gap_se, len(test), **thresholds),
        layer=experiment.layer,
        chosen=_chosen(experiment, predictions),
        splits={name: len(rows) for name, rows in splits.items()},
        dropped=splits.dropped,
        truncated=experiment.truncated,
        fingerprint=splits.about.get("fingerprint", ""),
        audit=audit.findings if audit else (),
        warnings=(*training_warnings(experiment, outcomes), *_untested(experiment)),
        rows=tuple(_row(experiment, name, result) for name, result in found.items()),
        missing=missing,
        ceilings=experiment.ceilings,
        indicators=_indicators(experiment, outcomes, predictions),
        stages=_stages(experiment, outcomes),
        config=config.model_dump(mode="json", exclude={"seed"}),
        versions=versions(),
        machine=describe_machine(),
        store=_store(experiment, outcomes),
    )


def _untested(experiment: Experiment) -> Iterator[str]:
    """Warnings about tasks that have too few unseen test rows."""
    for transfer in experiment.transfers:
        if not transfer.methods:
            n = transfer.n_left_out + len(transfer.test)
            yield (
                f"not tested on {transfer.task}: {transfer.n_left_out} of its {n} test rows share "
                "a text or group with rows that are learned from"
            )


def _stages(experiment: Experiment, outcomes: Outcomes) -> dict[str, dict[str, Any]]:
    """Address and seconds of the stages that are done, by title."""
    # its own methods last, to win: curations of other supervisors may have the same title
    own = [stage for planned in experiment.methods.values() for stage in planned.stages]
    return {
        stage.title: {"address": stage.address, "seconds": seconds_of(stage)}
        for stage in [*experiment.stages, *own]
        if outcomes[stage.address].status == "done"
    }


def audit_of(experiment: Experiment, outcomes: Outcomes) -> Audit | None:
    """Audit of the experiment's task; None if that stage is not done."""
    (stage,) = (stage for stage in experiment.stages if stage.kind == "audit")
    if outcomes[stage.address].status != "done":
        return None
    # tasks with equal rows share the stage, whatever their names
    found = Audit.read(stage.folder / AUDIT)
    return found.model_copy(update={"task": experiment.config.task.label})


def seconds_of(stage: Stage) -> float:
    """Duration of a finished stage in seconds."""
    return float(json.loads((stage.folder / RECORD).read_text(encoding="utf-8"))["seconds"])


def versions() -> dict[str, str]:
    """Versions of the packages that results may depend on."""
    return {
        "w2sprobe": __version__,
        "python": sys.version.split()[0],
        **{package: importlib.metadata.version(package) for package in PACKAGES},
    }


def _failed(planned: PlannedMethod, outcomes: Outcomes) -> str:
    """Title of the failed stage that a method needs; empty if all are done."""
    for stage in [*planned.stages, *([planned.weak] if planned.weak else [])]:
        outcome: Outcome = outcomes[stage.address]
        if outcome.status != "done":
            return outcome.error if outcome.status == "blocked" else stage.title
    return ""


def _row(experiment: Experiment, name: str, result: Recovered) -> ResultRow:
    planned, splits = experiment.methods[name], experiment.splits
    stages = planned.stages
    learns_from = {"weak": experiment.config.weak.n_rows(splits.weak_train), "zero_shot": 0}
    offered = learns_from.get(planned.method.predicts, len(splits.strong_train))
    kept = offered
    if stages[0].kind == "curate":
        kept = json.loads((stages[0].folder / CURATION).read_text(encoding="utf-8"))["kept"]
    elif planned.method.predicts == "student" and planned.method.labels == "weak":
        labels = labels_of(experiment.methods["weak"].stages[0])
        kept = int(labels.align(splits.strong_train.ids).keep.sum())
    return ResultRow(
        method=name,
        **scores_of(result),
        rows_offered=offered,
        rows_kept=kept,
        iterations=sum(s.kind == "relabel" and not stopped(s.folder) for s in stages),
        seconds=round(sum(map(seconds_of, stages)), 1),
        same_run_as=same_run_as(stages[-1].folder),
    )


def _chosen(experiment: Experiment, predictions: Predictions) -> dict[str, dict[str, Any]]:
    """Layers and settings that labels chose, by method, and by layer if it averages several."""
    chosen: dict[str, dict[str, Any]] = {}
    for name, planned in experiment.methods.items():
        reading = planned.reading or planned.curator
        if reading is None or name not in predictions:
            continue
        choices = choices_of(reading)
        for choice in choices:
            key = name if len(choices) == 1 else f"{name}, layer {choice.layer}"
            fields = asdict(choice)
            chosen[key] = {k: v for k, v in fields.items() if k != "weight" or v is not None}
    return chosen


def _store(experiment: Experiment, outcomes: Outcomes) -> str:
    """Name of the strong model's activation store."""
    for stage in experiment.stages:
        if stage.own_folder and outcomes[stage.address].status == "done":
            return stage.own_folder.name
    return ""


def _indicators(
    experiment: Experiment, outcomes: Outcomes, predictions: Predictions
) -> dict[str, float | None]:
    """Label-free indicators, if that stage is done, and error similarities."""
    label_free: dict[str, float | None] = {}
    for stage in experiment.stages:
        if stage.kind == "indicators" and outcomes[stage.address].status == "done":
            label_free = json.loads((stage.folder / INDICATORS).read_text(encoding="utf-8"))
    return label_free | _error_similarities(experiment.splits.test.labels, predictions)


def _error_similarities(truth: np.ndarray, predictions: Predictions) -> dict[str, float | None]:
    """CAPA of supervisor and strong models on the test rows, by soft and by hard predictions."""
    weak, similarities = predictions["weak"], {}
    for name in CAPA_OF:
        if name in predictions:
            p = predictions[name]
            similarities[f"capa_{name}"] = capa(truth, weak, p)
            similarities[f"capa_hard_{name}"] = capa(truth, weak > THRESHOLD, p > THRESHOLD)
    return {name: None if math.isnan(value) else value for name, value in similarities.items()}
