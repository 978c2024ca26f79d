"""Tasks of one pair of models: gaps, every method's mean over seeds, and which tasks count."""

import math
from collections.abc import Callable, Collection, Iterable
from operator import attrgetter
from typing import Literal, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict

from w2sprobe.comparison.scores import UNKNOWN, Score
from w2sprobe.metrics import (
    MIN_GAP,
    MIN_GAP_SE,
    Estimate,
    gap_objection,
    mean_of_runs,
    pgr,
)

Unit = Literal["pgr", "auc"]
UNITS: tuple[Unit, ...] = get_args(Unit)
SATURATED = 0.999
UNKNOWN_INTERVAL = (UNKNOWN, UNKNOWN)

Seeds = dict[str, Score]  # a method's scores on one task


class Row(BaseModel):
    """Base of all rows: no field too many, none changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskRow(Row):
    """One task: its gap, and every method's mean over seeds.

    `resolved` tasks have a gap that is large and sure enough for a PGR. `excluded` says why the
    task's PGR is not averaged; empty where it is. `saturated` tasks are left out in AUC as well.
    `delta_auc` is a method's gain over the weak models of its own seeds, `own_gap` what the same
    learner fitted on the truth gains over them, `own_pgr` the ratio of the two. Standard errors are
    over test rows and seeds; that of a gain is nan where the noise of test rows is not known. nan:
    not known.
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
    """Scores of one pair of models by method, task and seed.

    Parameters
    ----------
    scores : iterable of Score

    Returns
    -------
    dict of method to dict of task to dict of seed to Score
    """
    table: dict[str, dict[str, Seeds]] = {}
    for score in scores:
        table.setdefault(score.method, {}).setdefault(score.task, {})[score.seed] = score
    return table


def task_rows(
    named: dict[str, dict[str, Seeds]],
    *,
    min_gap: float = MIN_GAP,
    min_gap_se: float = MIN_GAP_SE,
    saturated_only: bool = False,
) -> tuple[TaskRow, ...]:
    """Every task that any of the methods has, and whether it counts.

    Parameters
    ----------
    named : dict
        Of one pair of models, as `by_method` returns it.
    min_gap, min_gap_se, saturated_only
        As in `Analysis`.

    Returns
    -------
    tuple of TaskRow
    """
    rows = []
    for task in dict.fromkeys(task for by_task in named.values() for task in by_task):
        here = {name: by_task[task] for name, by_task in named.items() if task in by_task}
        # ends are the same for all methods of a seed, so each seed is taken once
        ends = list({seed: one for seeds in here.values() for seed, one in seeds.items()}.values())
        weak, ceiling = (mean_of(ends, name) for name in ("weak_auc", "ceiling_auc"))
        gap = mean_of_runs(levels_of(ends, _gap), mean_of(ends, "gap_se") ** 2)
        auc = {name: value_of(seeds.values(), "auc") for name, seeds in here.items()}
        of_weak, of_own = (
            {name: mean_of(seeds.values(), end) for name, seeds in here.items()}
            for end in ("weak_auc", "own_ceiling_auc")
        )
        saturated = saturated_only and all(
            value >= SATURATED for value in (weak, ceiling, *auc.values())
        )
        unresolved = gap_objection(gap, min_gap=min_gap, min_gap_se=min_gap_se)
        excluded = unresolved
        if saturated_only:
            no_gap = gap_objection(Estimate(gap.value, ()), min_gap=-math.inf)
            excluded = "saturated" if saturated else no_gap
        rows.append(
            TaskRow(
                task=task,
                n_seeds=len(ends),
                weak_auc=weak,
                ceiling_auc=ceiling,
                gap=gap.value,
                gap_se=gap.se if gap.parts else UNKNOWN,
                resolved=not unresolved,
                excluded=excluded,
                saturated=saturated,
                auc=auc,
                delta_auc={name: auc[name] - of_weak[name] for name in here},
                delta_auc_se={name: _gain_se(seeds.values()) for name, seeds in here.items()},
                pgr={name: value_of(seeds.values(), "pgr") for name, seeds in here.items()},
                own_gap={name: of_own[name] - of_weak[name] for name in here},
                own_pgr={name: pgr(of_weak[name], auc[name], of_own[name]) for name in here},
            )
        )
    return tuple(rows)


def levels_of(scores: Iterable[Score], value: Callable[[Score], float]) -> list[float]:
    """Independent values that several runs of one task give, with as few runs as there are.

    Parameters
    ----------
    scores : iterable of Score
        At least one.
    value : callable
        Of a score.

    Returns
    -------
    list of float
        One per cut of the rows where there are several, otherwise one per seed of the weak model
        where there are several, otherwise one per run: runs within such a level share its noise, so
        their mean is taken.
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
    """Mean of a number that every score has, over cuts of means over seeds.

    Parameters
    ----------
    scores : iterable of Score
        At least one.
    name : str
        A field of Score.

    Returns
    -------
    float
        nan where one of them is not known.
    """
    return float(np.mean(levels_of(scores, attrgetter(name))))


def value_of(scores: Collection[Score], unit: Unit) -> float:
    """Mean AUC; the PGR of mean AUCs, a steadier ratio than the mean of ratios.

    Parameters
    ----------
    scores : collection of Score
        One method on one task, at least one seed.
    unit : {"pgr", "auc"}

    Returns
    -------
    float
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
