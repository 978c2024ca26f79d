"""Forecast of a plan: stages, which are done, and disk and time for the others."""

from collections.abc import Iterable

from w2sprobe.experiments.costs import estimate_seconds
from w2sprobe.experiments.plan import StudyPlan
from w2sprobe.experiments.scoring import seconds_of
from w2sprobe.experiments.shared_runs import same_run_as
from w2sprobe.metrics import MIN_GAP, rows_for_gap
from w2sprobe.results import Forecast, PlannedStage

MEASURED = "stages of these kinds that are done"
PRODUCT = "a matrix product on this machine"
WEAK_AUC = 0.8  # assumed AUC of the weak model, the default of `rows_for_gap`


def forecast(plan: StudyPlan) -> Forecast:
    """List the stages of a plan, and estimate the missing ones if run here one at a time."""
    spent = {stage.address: seconds_of(stage) for stage in plan.stages if stage.done}
    # copying a finished training run takes no time and would make this machine look fast
    timed = [stage for stage in plan.stages if not same_run_as(stage.folder)]
    expected = estimate_seconds(timed, spent)
    numbers = {stage.address: number for number, stage in enumerate(plan.stages, start=1)}
    stages = tuple(
        PlannedStage(
            number=numbers[stage.address],
            stage=stage.title,
            kind=stage.kind,
            experiment=plan.experiment_name(stage),
            inputs={name: numbers[source.address] for name, source in stage.inputs.items()},
            done=stage.address in spent,
            folder=str(stage.folder),
            disk_bytes=stage.cost.disk_bytes,
            seconds=round(spent.get(stage.address) or expected.get(stage.address, 0.0), 1),
        )
        for stage in plan.stages
    )
    missing = [stage for stage in stages if not stage.done]
    done_kinds = {stage.kind for stage in stages if stage.done}
    return Forecast(
        stages=stages,
        n_experiments=len(plan.experiments),
        store_bytes=sum(stage.cost.disk_bytes for stage in plan.stages if stage.own_folder),
        disk_bytes=sum(stage.disk_bytes for stage in missing),
        seconds=round(sum(stage.seconds for stage in missing), 1),
        speed_from=MEASURED if {stage.kind for stage in missing} <= done_kinds else PRODUCT,
        splits={
            one.config.task.label: {name: len(rows) for name, rows in one.splits.items()}
            for one in plan.experiments
        },
        notes=tuple(few_rows(plan)),
    )


def few_rows(plan: StudyPlan) -> Iterable[str]:
    """Warn of tasks with too few test rows to resolve a gap of `min_gap`."""
    config = plan.config
    gap = min(config.min_gap or MIN_GAP, 1.0)
    # both AUCs are at most 1
    needed = rows_for_gap(gap, auc=min(WEAK_AUC, 1 - gap), min_gap_se=config.min_gap_se)
    tests = {one.config.task.label: len(one.splits.test) for one in plan.experiments}
    few = {name: size for name, size in tests.items() if size < needed}
    if few:
        name = min(few, key=few.__getitem__)
        yield (
            f"{len(few)} of {len(tests)} tasks have fewer than {needed} test rows, the approximate "
            f"number that resolves a gap of {gap:g} in AUC. Only larger gaps "
            f"can be resolved there. The fewest: {few[name]}, {name}."
        )
