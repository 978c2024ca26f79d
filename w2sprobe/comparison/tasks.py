"""Tasks of one pair of models: gaps, every method's mean over seeds, and which tasks count."""

import math
from collections.abc import Callable, Collection, Iterable
from operator import attrgetter
from typing import Literal, get_args

import numpy as np

from w2sprobe.comparison._base import UNKNOWN, FrozenModel
from w2sprobe.comparison.analysis import Analysis
from w2sprobe.comparison.scores import Score
from w2sprobe.metrics import Estimate, gap_objection, mean_of_runs, pgr

Unit = Literal["pgr", "auc"]
UNITS: tuple[Unit, ...] = get_args(Unit)
SATURATED = 0.999  # AUC of weak model, ceiling and all methods, for Analysis.saturated_only

Seeds = dict[str, Score]  # a method's scores on one task


class TaskRow(FrozenModel):
    """One task: its gap, and every method's mean over seeds; nan where a number is not known.

    `resolved` tasks have a gap that is large and certain enough to divide by. `excluded` says why
    the task's PGR is not averaged; empty where it is. `saturated` tasks are left out in AUC too.
    `delta_auc` is a method's gain over the weak models of its own seeds, `own_gap` what the same
    learner fitted on the truth gains over them, `own_pgr` the ratio of the two. Standard errors are
    over test rows and seeds; that of a gain is nan where the noise of test rows is not known.
    """

    task: str
    n_seeds: int
    weak_auc: float
    ceiling_auc: float
    gap: float
    gap_se: float
    resolved: bool
    excluded: str
    saturated: bool
    auc: dict[str, float]
    delta_auc: dict[str, float]
    delta_auc_se: dict[str, float]
    pgr: dict[str, float]
    own_gap: dict[str, float]
    own_pgr: dict[str, float]


def by_method(scores: Iterable[Score]) -> dict[str, dict[str, Seeds]]:
    """Scores of one pair of models by method, task and seed."""
    table: dict[str, dict[str, Seeds]] = {}
    for score in scores:
        table.setdefault(score.method, {}).setdefault(score.task, {})[score.seed] = score
    return table


def task_rows(
    named: dict[str, dict[str, Seeds]], analysis: Analysis | None = None
) -> tuple[TaskRow, ...]:
    """Every task that any of the methods has, and whether it counts.

    Parameters
    ----------
    named : dict
        Scores of one pair of models, from `by_method`.
    analysis : Analysis, optional
        Which gaps are resolved, and whether only saturated tasks are left out.
    """
    tasks = dict.fromkeys(task for by_task in named.values() for task in by_task)
    return tuple(
        _task_row(
            task,
            {name: by_task[task] for name, by_task in named.items() if task in by_task},
            analysis or Analysis(),
        )
        for task in tasks
    )


def _task_row(task: str, methods: dict[str, Seeds], analysis: Analysis) -> TaskRow:
    # weak model and ceiling are the same for all methods of a seed, so each seed is taken once
    by_seed = {seed: score for seeds in methods.values() for seed, score in seeds.items()}
    runs = list(by_seed.values())
    weak, ceiling = (mean_of(runs, name) for name in ("weak_auc", "ceiling_auc"))
    gap = mean_of_runs(levels_of(runs, _gap), mean_of(runs, "gap_se") ** 2)
    scores = {name: list(seeds.values()) for name, seeds in methods.items()}
    auc = {name: value_of(runs_of, "auc") for name, runs_of in scores.items()}
    weak_of, ceiling_of = (
        {name: mean_of(runs_of, end) for name, runs_of in scores.items()}
        for end in ("weak_auc", "own_ceiling_auc")
    )
    saturated = analysis.saturated_only and all(
        value >= SATURATED for value in (weak, ceiling, *auc.values())
    )
    unresolved = gap_objection(gap, min_gap=analysis.min_gap, min_gap_se=analysis.min_gap_se)
    excluded = unresolved
    if analysis.saturated_only:
        no_gap = gap_objection(Estimate(gap.value, ()), min_gap=-math.inf)
        excluded = "saturated" if saturated else no_gap
    return TaskRow(
        task=task,
        n_seeds=len(runs),
        weak_auc=weak,
        ceiling_auc=ceiling,
        gap=gap.value,
        gap_se=gap.se if gap.parts else UNKNOWN,
        resolved=not unresolved,
        excluded=excluded,
        saturated=saturated,
        auc=auc,
        delta_auc={name: auc[name] - weak_of[name] for name in scores},
        delta_auc_se={name: _gain_se(runs_of) for name, runs_of in scores.items()},
        pgr={name: value_of(runs_of, "pgr") for name, runs_of in scores.items()},
        own_gap={name: ceiling_of[name] - weak_of[name] for name in scores},
        own_pgr={name: pgr(weak_of[name], auc[name], ceiling_of[name]) for name in scores},
    )


def levels_of(scores: Iterable[Score], value: Callable[[Score], float]) -> list[float]:
    """Independent values of one task: runs within a level share its noise, so they are averaged.

    One value per cut of the rows where there are several, otherwise one per seed of the weak model
    where there are several, otherwise one per run.
    """
    cuts: dict[str, dict[str, list[float]]] = {}
    for score in scores:
        cut = cuts.setdefault(score.split_seed, {})
        cut.setdefault(score.weak_seed, []).append(value(score))
    supervisors = [[float(np.mean(runs)) for runs in cut.values()] for cut in cuts.values()]
    if len(supervisors) > 1:
        return [float(np.mean(cut)) for cut in supervisors]
    if len(supervisors[0]) > 1:
        return supervisors[0]
    ((runs,),) = (cut.values() for cut in cuts.values())
    return runs


def mean_of(scores: Iterable[Score], name: str) -> float:
    """Mean of a field of all scores, over cuts of means over seeds; nan where one is not known."""
    return float(np.mean(levels_of(scores, attrgetter(name))))


def value_of(scores: Collection[Score], unit: Unit) -> float:
    """Mean AUC of one method on one task; or the PGR of the mean AUCs.

    That ratio is steadier than the mean of the runs' PGRs, which stands in for unknown AUCs.
    """
    if unit == "auc":
        return mean_of(scores, "auc")
    ends = [mean_of(scores, name) for name in ("weak_auc", "auc", "ceiling_auc")]
    return mean_of(scores, "pgr") if np.isnan(ends).any() else pgr(*ends)


def _gap(score: Score) -> float:
    return score.ceiling_auc - score.weak_auc


def _gain(score: Score) -> float:
    return score.auc - score.weak_auc


def _gain_se(scores: Collection[Score]) -> float:
    """Standard error of the mean gain: test rows, which runs share, and seeds."""
    row_se = mean_of(scores, "delta_auc_se")
    return UNKNOWN if math.isnan(row_se) else mean_of_runs(levels_of(scores, _gain), row_se**2).se
