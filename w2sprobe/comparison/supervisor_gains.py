"""Gains of methods over the weak model that supervises them."""

import math
from collections.abc import Collection, Sequence

from w2sprobe.comparison._base import UNKNOWN, UNKNOWN_INTERVAL, FrozenModel
from w2sprobe.comparison.analysis import Analysis
from w2sprobe.comparison.differences import Difference, Judgement, difference, judgement
from w2sprobe.comparison.tasks import TaskRow
from w2sprobe.metrics import PooledTasks, RatioOfMeans, holm, pool_tasks, pooled_pgr
from w2sprobe.results import Interval


class TaskGain(FrozenModel):
    """A method's gain on one task, as measured and shrunken; nan where not known."""

    task: str
    gain: float
    gain_se: float
    shrunken: float
    shrunken_interval: Interval


class SupervisorGain(Difference):
    """AUC of a method less that of its weak model, over all tasks, whatever their gap.

    Tests are two-sided. `t_holm` is adjusted for the methods of the `primary` family, nan for
    others. `pooled_mean` to `slope_pvalue` come from `pool_tasks`: mean at the mean gap, standard
    deviation `tau` of the true gains over tasks, slope on the gap. `pgr` comes from `pooled_pgr`
    over the `n_pgr` tasks whose gap is known; `pgr_interval` is None where it has no bounds.
    `own_pgr` is the same by the method's own ceiling, the same learner fitted on the truth; nan,
    over 0 tasks, without one.
    """

    method: str
    primary: bool
    t_holm: float = UNKNOWN
    verdict: Judgement = "undecided"
    pooled_mean: float = UNKNOWN
    pooled_interval: Interval = UNKNOWN_INTERVAL
    pooled_pvalue: float = UNKNOWN
    tau: float = UNKNOWN
    slope: float = UNKNOWN
    slope_interval: Interval = UNKNOWN_INTERVAL
    slope_pvalue: float = UNKNOWN
    n_pgr: int
    pgr: float
    pgr_interval: Interval | None
    n_own_pgr: int
    own_pgr: float
    own_pgr_interval: Interval | None
    tasks: tuple[TaskGain, ...]


def supervisor_gains(
    tasks: Sequence[TaskRow],
    methods: Sequence[str],
    primary: Collection[str],
    analysis: Analysis,
) -> tuple[SupervisorGain, ...]:
    """Test every method's gain over its weak model; methods without a known gain are left out.

    Parameters
    ----------
    tasks : sequence of TaskRow
        Of one pair of models.
    primary : collection of str
        The primary family: methods whose p values are adjusted together.
    analysis : Analysis
        Margin and level; tests are two-sided whatever it says.
    """
    rows = [row for row in (_gain(tasks, name, primary, analysis) for name in methods) if row.n]
    different, same = (
        holm([getattr(row, name) if row.primary else UNKNOWN for row in rows])
        for name in ("t_pvalue", "equivalence_pvalue")
    )
    return tuple(
        row.model_copy(
            update={
                "t_holm": float(t),
                "verdict": judgement(row.mean, float(t), float(tost), analysis)
                if row.primary
                else judgement(row.mean, row.t_pvalue, row.equivalence_pvalue, analysis),
            }
        )
        for row, t, tost in zip(rows, different, same, strict=True)
    )


def _gain(
    tasks: Sequence[TaskRow],
    method: str,
    primary: Collection[str],
    analysis: Analysis,
) -> SupervisorGain:
    rows = [
        row
        for row in tasks
        if not row.saturated and not math.isnan(row.delta_auc.get(method, UNKNOWN))
    ]
    gains = [row.delta_auc[method] for row in rows]
    pooled = _pooled(rows, method)
    ratio = _ratio(gains, [row.gap for row in rows])
    own_ratio = _ratio(gains, [row.own_gap[method] for row in rows])
    return SupervisorGain(
        method=method,
        primary=method in primary,
        **difference(gains, "two-sided", analysis.margin).model_dump(),
        pooled_mean=pooled.mean,
        pooled_interval=pooled.mean_interval,
        pooled_pvalue=pooled.pvalue,
        tau=pooled.tau,
        slope=pooled.slope,
        slope_interval=pooled.slope_interval,
        slope_pvalue=pooled.slope_pvalue,
        n_pgr=ratio.n,
        pgr=ratio.value,
        pgr_interval=_bounded(ratio),
        n_own_pgr=own_ratio.n,
        own_pgr=own_ratio.value,
        own_pgr_interval=_bounded(own_ratio),
        tasks=_task_gains(rows, method, pooled),
    )


def _pooled(rows: Sequence[TaskRow], method: str) -> PooledTasks:
    errors = [row.delta_auc_se[method] for row in rows]
    gaps = [row.gap for row in rows]
    return pool_tasks(
        [row.delta_auc[method] for row in rows],
        # all or none: known and unknown errors, or gaps, do not go into one model
        None if any(map(math.isnan, errors)) else errors,
        None if any(map(math.isnan, gaps)) else gaps,
    )


def _task_gains(rows: Sequence[TaskRow], method: str, pooled: PooledTasks) -> tuple[TaskGain, ...]:
    return tuple(
        TaskGain(
            task=row.task,
            gain=row.delta_auc[method],
            gain_se=row.delta_auc_se[method],
            shrunken=shrunken,
            shrunken_interval=interval,
        )
        for row, shrunken, interval in zip(
            rows, pooled.shrunken, pooled.shrunken_intervals, strict=True
        )
    )


def _ratio(gains: Sequence[float], gaps: Sequence[float]) -> RatioOfMeans:
    """Pooled PGR of the tasks whose gap is known."""
    known = [pair for pair in zip(gains, gaps, strict=True) if not math.isnan(pair[1])]
    return pooled_pgr([gain for gain, _ in known], [gap for _, gap in known])


def _bounded(ratio: RatioOfMeans) -> Interval | None:
    return None if math.isinf(ratio.interval[0]) else ratio.interval
