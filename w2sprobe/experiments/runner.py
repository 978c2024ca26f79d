"""Runs a study: stages through an engine, then results, tables and their data."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import yaml

from w2sprobe.atomic import atomic_path, write_json
from w2sprobe.experiments.builder import Experiment
from w2sprobe.experiments.engines import Outcomes, Report, run_local
from w2sprobe.experiments.places import result_folders
from w2sprobe.experiments.plan import Plan
from w2sprobe.experiments.records import CURVES, LABELS, SWEEP, SWEEP_NOTE, write_records
from w2sprobe.experiments.scoring import (
    Predictions,
    audit_of,
    predictions_of,
    score,
    summarise,
    versions,
)
from w2sprobe.experiments.stages import Stage
from w2sprobe.experiments.steps import AUDIT
from w2sprobe.results import Failure, Results, StudyResults, SummaryRow

RESULTS = "results.json"
CONFIG = "config.yaml"
SPLITS = "splits.parquet"
PREDICTIONS = "predictions.parquet"
STUDY = "study.json"
SCORES = "scores.csv"
INDICATORS = "indicators.csv"

Engine = Callable[[Sequence[Stage], Report], Outcomes]


def run_study(
    plan: Plan, out: Path, *, engine: Engine = run_local, report: Report = lambda *_: None
) -> StudyResults:
    """Execute what is missing, score every method, write results.

    A stage that fails keeps only those from running that need it; `failures` has them.

    Parameters
    ----------
    plan : Plan
    out : Path
        Gets config.yaml and, of one experiment, results.json, predictions.parquet, splits.parquet,
        audit.json and what `write_records` writes; of several study.json, scores.csv,
        indicators.csv, and a folder each.
    engine : callable, default run_local
    report : callable, optional
        As the engine calls it.

    Returns
    -------
    StudyResults
    """
    outcomes = engine(plan.stages, report)
    folders = result_folders(plan.experiments, out)
    predictions = [predictions_of(each, outcomes) for each in plan.experiments]
    scored = [
        score(experiment, outcomes, found)
        for experiment, found in zip(plan.experiments, predictions, strict=True)
    ]
    results: dict[str, Results] = {}
    for place, (experiment, one) in enumerate(zip(plan.experiments, scored, strict=True)):
        folder, audit = folders[place], audit_of(experiment, outcomes)
        if one:
            one.write(folder / RESULTS)
            _write_predictions(experiment, predictions[place], folder / PREDICTIONS)
            results[str(folder.relative_to(out))] = one
        else:  # what an earlier run has left is not of this config
            (folder / RESULTS).unlink(missing_ok=True)
            (folder / PREDICTIONS).unlink(missing_ok=True)
        if audit:
            audit.write(folder / AUDIT)
        write_records(experiment, outcomes, folder)
    _write_splits(plan, folders)
    study = StudyResults(
        name=plan.config.name,
        experiments=tuple(results),
        summary=tuple(_summary(plan.experiments, predictions, scored)),
        failures=tuple(_failures(plan, outcomes)),
        config=plan.config.resolved(),
        versions=versions(),
    )
    of_one = (RESULTS, PREDICTIONS, AUDIT, LABELS, CURVES, SWEEP, SWEEP_NOTE)
    for name in (*of_one, STUDY, SCORES, INDICATORS):
        if (len(plan.experiments) == 1) == (name not in of_one):
            (out / name).unlink(missing_ok=True)  # of an earlier run of the other kind
    if len(plan.experiments) == 1:
        config = plan.experiments[0].config.model_dump(mode="json", exclude={"seed"})
    else:
        config = study.config
        _write_csv((row for one in results.values() for row in _score_rows(one)), out / SCORES)
        if any(one.indicators for one in results.values()):
            _write_csv(map(_indicator_row, results.values()), out / INDICATORS)
        else:
            (out / INDICATORS).unlink(missing_ok=True)
        write_json(out / STUDY, study.model_dump(mode="json"))
    with atomic_path(out / CONFIG) as temporary:
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        temporary.write_text(text, encoding="utf-8")
    return study


def _write_predictions(experiment: Experiment, found: Predictions, path: Path) -> None:
    """A row a test row: id, label, group where there are such, and each method's P(label = 1)."""
    test = experiment.splits.test
    columns: dict[str, Any] = {"id": test.ids.tolist(), "label": test.labels}
    if test.groups is not None:
        columns["group"] = test.groups.tolist()
    with atomic_path(path) as temporary:
        pq.write_table(pa.table({**columns, **found}), temporary)


def _write_splits(plan: Plan, folders: list[Path]) -> None:
    """Rows of each task; pairs and seeds share them, unless seeds cut the rows anew."""
    alone = len(folders) == 1 or (plan.config.seeds and "split" in plan.config.vary)
    places = {
        folder if alone else folder.parent: experiment
        for experiment, folder in zip(plan.experiments, folders, strict=True)
    }
    for place, experiment in places.items():
        experiment.splits.write(place / SPLITS)


def _summary(
    experiments: Sequence[Experiment],
    predictions: Sequence[Predictions],
    results: Sequence[Results | None],
) -> Iterable[SummaryRow]:
    """Rows of each task and pair, whose seeds stand side by side."""
    cells: dict[tuple[str, str, str], list[int]] = {}
    for number, experiment in enumerate(experiments):
        config = experiment.config
        key = (config.task.label, config.weak.model, config.strong.model)
        cells.setdefault(key, []).append(number)
    for numbers in cells.values():
        yield from summarise(
            [experiments[number] for number in numbers],
            [predictions[number] for number in numbers],
            [results[number] for number in numbers],
        )


def _failures(plan: Plan, outcomes: Outcomes) -> Iterable[Failure]:
    waiting = Counter(one.log for one in outcomes.values() if one.status == "blocked")
    for stage in plan.stages:
        outcome = outcomes[stage.address]
        if outcome.status == "failed":
            yield Failure(
                stage=stage.title,
                experiment=plan.place(stage),
                error=outcome.error,
                log=outcome.log,
                n_waiting=waiting[outcome.log],
            )


def _score_rows(results: Results) -> Iterable[dict[str, Any]]:
    auc = {row.method: row.auc for row in results.rows}
    for row in results.rows:
        yield {
            **_which(results),
            "method": row.method,
            "auc": row.auc,
            "weak_auc": auc["weak"],
            "ceiling_auc": auc["ceiling"],
            "pgr": row.pgr,
            "gap_se": results.gap_se,
            "delta_auc": row.delta_auc,
            "resolved": row.resolved,
            "rows_offered": row.rows_offered,
            "rows_kept": row.rows_kept,
            "seconds": row.seconds,
        }


def _indicator_row(results: Results) -> dict[str, Any]:
    return {**_which(results), **results.indicators}


def _which(results: Results) -> dict[str, str]:
    names = ("task", "weak_model", "strong_model", "seed")
    return {name: getattr(results, name) for name in names}


def _write_csv(rows: Iterable[dict[str, Any]], path: Path) -> None:
    listed = list(rows)
    names = dict.fromkeys(name for row in listed for name in row)
    table = pa.table({name: [row.get(name) for row in listed] for name in names})
    with atomic_path(path) as temporary:
        pyarrow.csv.write_csv(table, temporary)
