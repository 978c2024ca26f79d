"""Runs a study: stages through an engine, then results, tables and their data."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from w2sprobe.comparison import INDICATORS, SCORES
from w2sprobe.experiments.builder import Experiment
from w2sprobe.experiments.engines import Outcomes, Report, run_local
from w2sprobe.experiments.places import result_folders
from w2sprobe.experiments.plan import Plan
from w2sprobe.experiments.preregistration import preregistered
from w2sprobe.experiments.records import (
    CURVES,
    LABELS,
    write_records,
)
from w2sprobe.experiments.scoring import audit_of, predictions_of, score, versions
from w2sprobe.experiments.stages import Stage
from w2sprobe.experiments.steps import AUDIT
from w2sprobe.experiments.study_files import (
    FIGURE,
    SPLITS,
    warnings_of,
    write_config,
    write_study,
)
from w2sprobe.experiments.summary import PREDICTIONS, Scored, summarise
from w2sprobe.results import RESULTS, STUDY, Failure, Preregistration, StudyResults
from w2sprobe.votes.selection import SWEEP, SWEEP_NOTE

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

    Raises
    ------
    InputError
        `out` holds a pre-registration that was changed after it was written.
    """
    declared = preregistered(plan, out)
    outcomes = engine(plan.stages, report)
    folders = result_folders([each.config.key for each in plan.experiments], out)
    scored: dict[str, Scored] = {}
    lacking: list[str] = []
    for experiment, folder in zip(plan.experiments, folders, strict=True):
        one = _scored(experiment, outcomes, declared)
        if one:
            one.write(folder)
            scored[str(folder.relative_to(out))] = one
        else:  # what an earlier run has left is not of this config
            for name in (RESULTS, PREDICTIONS, FIGURE):
                (folder / name).unlink(missing_ok=True)
            lacking.append(str(folder.relative_to(out)))
        audit = audit_of(experiment, outcomes)
        if audit:
            audit.write(folder / AUDIT)
        write_records(experiment, outcomes, folder)
    _write_splits(plan, folders)
    study = StudyResults(
        name=plan.config.name,
        experiments=tuple(scored),
        without_results=tuple(lacking),
        summary=tuple(summarise(scored.values())),
        failures=tuple(_failures(plan, outcomes)),
        warnings=warnings_of({place: one.results for place, one in scored.items()}),
        config=plan.config.resolved(),
        versions=versions(),
        preregistration=declared,
    )
    of_one = (RESULTS, PREDICTIONS, FIGURE, AUDIT, LABELS, CURVES, SWEEP, SWEEP_NOTE)
    for name in (*of_one, STUDY, SCORES, INDICATORS):
        if (len(plan.experiments) == 1) == (name not in of_one):
            (out / name).unlink(missing_ok=True)  # of an earlier run of the other kind
    if len(plan.experiments) == 1:
        write_config(plan.experiments[0].config.model_dump(mode="json", exclude={"seed"}), out)
    else:
        write_study(study, [one.results for one in scored.values()], out)
    return study


def _scored(
    experiment: Experiment, outcomes: Outcomes, declared: Preregistration | None
) -> Scored | None:
    predictions, missing = predictions_of(experiment, outcomes)
    results = score(experiment, outcomes, predictions, missing)
    if results is None:
        return None
    results = results.model_copy(update={"preregistration": declared})
    return Scored.on(experiment.splits.test, results, predictions)


def _write_splits(plan: Plan, folders: list[Path]) -> None:
    """Rows of each task; pairs and seeds share them, unless seeds cut the rows anew."""
    alone = len(folders) == 1 or plan.config.levels["split"] > 1
    places = {
        folder if alone else folder.parent: experiment
        for experiment, folder in zip(plan.experiments, folders, strict=True)
    }
    for place, experiment in places.items():
        experiment.splits.write(place / SPLITS)


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
