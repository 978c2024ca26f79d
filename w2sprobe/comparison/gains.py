"""Correlation of indicators with the gains that were measured."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from w2sprobe.comparison._base import UNKNOWN, FrozenModel
from w2sprobe.comparison.indicator_rows import IndicatorRow
from w2sprobe.comparison.scores import Pair
from w2sprobe.comparison.tasks import TaskRow, Unit
from w2sprobe.metrics import holm, rank_correlation
from w2sprobe.results import Interval

Point = tuple[Pair, str]  # a pair of models on a task


class GainRow(FrozenModel):
    """Spearman's correlation of an indicator with the gain of a method.

    `unit` is that of the gain: "auc" is the AUC less the weak model's over all tasks, "pgr" the PGR
    of the tasks that count. Of the `n` points, each a pair of models on a task, several may be of
    one of the `n_tasks` tasks. `holm` is the p value adjusted for the number of indicators of the
    method and unit. nan where unknown, as in `rank_correlation`.
    """

    indicator: str
    method: str
    unit: Unit
    n: int
    n_tasks: int
    correlation: float
    interval: Interval
    pvalue: float
    holm: float


def gains(
    tasks: Mapping[Pair, Sequence[TaskRow]], indicators: Iterable[IndicatorRow], method: str
) -> tuple[GainRow, ...]:
    """Correlate every indicator with a method's gain, over tasks and pairs of models.

    Parameters
    ----------
    indicators : iterable of IndicatorRow
        Averaged over seeds; those of other tasks and pairs are ignored.

    Returns
    -------
    tuple of GainRow
        AUC gain first. PGR shares the weak AUC and the ceiling with many indicators, so a
        correlation with it may be that of a number with itself.

    Notes
    -----
    Points count as independent. Those of several pairs on one task are not: their interval is too
    narrow and their p value too small.
    """
    predicted = _means(indicators)
    names = list(dict.fromkeys(name for values in predicted.values() for name in values))
    rows: list[GainRow] = []
    for unit in ("auc", "pgr"):
        measured = _measured(tasks, method, unit)
        unadjusted = [_row(name, predicted, measured, method, unit) for name in names]
        adjusted = holm([row.pvalue for row in unadjusted])
        rows += [
            row.model_copy(update={"holm": float(value)})
            for row, value in zip(unadjusted, adjusted, strict=True)
        ]
    return tuple(rows)


def _means(indicators: Iterable[IndicatorRow]) -> dict[Point, dict[str, float]]:
    """Mean of each indicator over the seeds on which it is known."""
    seeds: dict[Point, dict[str, list[float]]] = {}
    for row in indicators:
        by_name = seeds.setdefault((row.pair, row.task), {})
        for name, value in row.values.items():
            by_name.setdefault(name, [])
            if not np.isnan(value):
                by_name[name].append(value)
    return {
        point: {
            name: float(np.mean(known)) if known else UNKNOWN for name, known in by_name.items()
        }
        for point, by_name in seeds.items()
    }


def _measured(
    tasks: Mapping[Pair, Sequence[TaskRow]], method: str, unit: Unit
) -> dict[Point, float]:
    return {
        (pair, row.task): (row.pgr if unit == "pgr" else row.delta_auc).get(method, UNKNOWN)
        for pair, rows in tasks.items()
        for row in rows
        if not (row.excluded if unit == "pgr" else row.saturated)
    }


def _row(
    name: str,
    predicted: Mapping[Point, Mapping[str, float]],
    measured: Mapping[Point, float],
    method: str,
    unit: Unit,
) -> GainRow:
    both = {
        point: (predicted[point].get(name, UNKNOWN), gain)
        for point, gain in measured.items()
        if point in predicted
    }
    known = {point: values for point, values in both.items() if not np.isnan(values).any()}
    x, y = np.array(list(known.values())).reshape(-1, 2).T
    spearman = rank_correlation(x, y)
    return GainRow(
        indicator=name,
        method=method,
        unit=unit,
        n=spearman.n,
        n_tasks=len({task for _, task in known}),
        correlation=spearman.correlation,
        interval=spearman.interval,
        pvalue=spearman.pvalue,
        holm=UNKNOWN,
    )
