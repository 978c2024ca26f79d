"""Running a study: its stages are executed, every method is scored, results are written."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from w2sprobe.comparison import INDICATORS, SCORES
from w2sprobe.experiments.elsewhere import TRANSFER
from w2sprobe.experiments.engines import Outcomes, Report, run_local
from w2sprobe.experiments.experiment import Experiment
from w2sprobe.experiments.plan import StudyPlan
from w2sprobe.experiments.preregistration import preregistered
from w2sprobe.experiments.result_files import (
    FIGURE,
    SPLITS,
    TRANSFER_SCORES,
    result_folders,
    warnings_of,
    write_config,
    write_study,
)
from w2sprobe.experiments.result_tables import (
    CURVES,
    LABELS,
    write_records,
)
from w2sprobe.experiments.scoring import (
    audit_of,
    predictions_elsewhere,
    predictions_of,
    score,
    versions,
)
from w2sprobe.experiments.stage_kinds import AUDIT
from w2sprobe.experiments.stages import Stage
from w2sprobe.experiments.summary import PREDICTIONS, Scored, summarise
from w2sprobe.experiments.transfer_scores import transfer_rows
from w2sprobe.results import RESULTS, STUDY, Failure, Preregistration, StudyResults
from w2sprobe.votes.selection import SWEEP, SWEEP_NOTE

Engine = Callable[[Sequence[Stage], Report], Outcomes]


def run_study(
    plan: StudyPlan, out: Path, *, engine: Engine = run_local, report: Report = lambda *_: None
) -> StudyResults:
    """Execute the missing stages, score every method, and write results.

    A failed stage blocks only stages that need it; `failures` lists it.

    Parameters
    ----------
    out : Path
        Gets config.yaml. For a single experiment, also results.json, predictions.parquet,
        splits.parquet, audit.json and the files of `write_records`; for several, study.json,
        scores.csv, indicators.csv and a folder with these files for each. With `test_on`, also
        transfer.parquet for each experiment and transfer.csv for several.
    report : callable, optional
        Passed to the engine.

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
        name = str(folder.relative_to(out))
        one = _write_experiment(experiment, outcomes, declared, folder)
        if one is None:
            lacking.append(name)
        else:
            scored[name] = one
    _write_splits(plan, folders)
    study = StudyResults(
        name=plan.config.name,
        experiments=tuple(scored),
        without_results=tuple(lacking),
        summary=tuple(summarise(scored.values())),
        failures=tuple(_failures(plan, outcomes)),
        warnings=warnings_of({name: one.results for name, one in scored.items()}),
        config=plan.config.resolved(),
        versions=versions(),
        preregistration=declared,
        transfer=tuple(transfer_rows(scored.values())),
    )
    _remove_files_of_another_kind(len(plan.experiments), out)
    if len(plan.experiments) == 1:
        write_config(plan.experiments[0].config.model_dump(mode="json", exclude={"seed"}), out)
    else:
        write_study(study, [one.results for one in scored.values()], out)
    return study


def _write_experiment(
    experiment: Experiment, outcomes: Outcomes, declared: Preregistration | None, folder: Path
) -> Scored | None:
    """Score an experiment and write its files; None if weak model or ceiling is missing."""
    scored = _scored(experiment, outcomes, declared)
    if scored is not None:
        scored.write(folder)
    else:  # remove results of an earlier run, maybe of another config
        for name in (RESULTS, PREDICTIONS, TRANSFER, FIGURE):
            (folder / name).unlink(missing_ok=True)
    audit = audit_of(experiment, outcomes)
    if audit:
        audit.write(folder / AUDIT)
    write_records(experiment, outcomes, folder)
    return scored


def _remove_files_of_another_kind(n_experiments: int, out: Path) -> None:
    """Remove files of a study if a single experiment was run now, and the reverse."""
    of_experiment = (
        RESULTS,
        PREDICTIONS,
        TRANSFER,
        FIGURE,
        AUDIT,
        LABELS,
        CURVES,
        SWEEP,
        SWEEP_NOTE,
    )
    of_study = (STUDY, SCORES, INDICATORS, TRANSFER_SCORES)
    for name in of_study if n_experiments == 1 else of_experiment:
        (out / name).unlink(missing_ok=True)


def _scored(
    experiment: Experiment, outcomes: Outcomes, declared: Preregistration | None
) -> Scored | None:
    predictions, missing = predictions_of(experiment, outcomes)
    results = score(experiment, outcomes, predictions, missing)
    if results is None:
        return None
    results = results.model_copy(update={"preregistration": declared})
    test, elsewhere = experiment.splits.test, predictions_elsewhere(experiment, outcomes)
    scored = Scored(results, test.ids, test.labels, test.groups, predictions, elsewhere)
    transfer = tuple(transfer_rows([scored]))
    return replace(scored, results=results.model_copy(update={"transfer": transfer}))


def _write_splits(plan: StudyPlan, folders: list[Path]) -> None:
    """Write the splits once per task, or once per experiment if they depend on the seed."""
    alone = len(folders) == 1 or plan.config.levels["split"] > 1
    by_folder = {
        folder if alone else folder.parent: experiment
        for experiment, folder in zip(plan.experiments, folders, strict=True)
    }
    for folder, experiment in by_folder.items():
        experiment.splits.write(folder / SPLITS)


def _failures(plan: StudyPlan, outcomes: Outcomes) -> Iterable[Failure]:
    waiting = Counter(one.log for one in outcomes.values() if one.status == "blocked")
    for stage in plan.stages:
        outcome = outcomes[stage.address]
        if outcome.status == "failed":
            yield Failure(
                stage=stage.title,
                experiment=plan.experiment_name(stage),
                error=outcome.error,
                log=outcome.log,
                n_waiting=waiting[outcome.log],
            )
