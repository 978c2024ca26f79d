"""Scores of an experiment's methods, and their summary over runs."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from w2sprobe.atomic import atomic_path
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import PREDICTION_COLUMNS
from w2sprobe.experiments.elsewhere import Elsewhere, read_elsewhere, write_elsewhere
from w2sprobe.metrics import (
    BootstrapPGR,
    Estimate,
    ScoredRun,
    accuracy_influence,
    gap_recovered,
    mean_performance,
    mean_scores,
    performance,
    recover,
    rows_to_resolve,
)
from w2sprobe.results import RESULTS, Interval, Performance, Results, SummaryRow

PREDICTIONS = "predictions.parquet"
ENDS = ("weak", "ceiling")
LIMITS = ("min_gap", "min_gap_se")  # keys of a config that decide which gaps are resolved

Predictions = dict[str, np.ndarray]  # by method, of the test rows in their order


@dataclass(frozen=True)
class Scored:
    """Results of an experiment, with each method's predictions for the test rows.

    Parameters
    ----------
    ids : ndarray of str, shape (n,)
        Ids of the test rows.
    labels : ndarray of int64, shape (n,)
        True labels.
    predictions : dict of str to ndarray of float64, shape (n,)
        By method.
    elsewhere : tuple of Elsewhere
        The same for the test rows of other tasks.
    """

    results: Results
    ids: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None
    predictions: Predictions
    elsewhere: tuple[Elsewhere, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> "Scored":
        """Read results.json, predictions.parquet and transfer.parquet.

        Raises
        ------
        InputError
            A file is missing or damaged.
        """
        results = Results.read(folder / RESULTS)
        file = folder / PREDICTIONS
        try:
            table = pq.read_table(file)
            columns = {name: table[name].to_numpy() for name in table.column_names}
            ids, labels = columns["id"].astype(str), columns["label"]
        except (OSError, pa.ArrowException, KeyError) as error:
            raise InputError(f"cannot read {str(file)!r}: {error}") from error
        predictions = {
            name: values for name, values in columns.items() if name not in PREDICTION_COLUMNS
        }
        absent = {*ENDS, *(row.method for row in results.rows)} - {*predictions}
        if absent:
            raise InputError(
                f"no column {', '.join(sorted(absent))}",
                where=str(file),
                allowed=f"every method of {RESULTS}",
            )
        elsewhere = read_elsewhere(
            folder, {row.test_task: row.n_left_out for row in results.transfer}
        )
        return cls(results, ids, labels, columns.get("group"), predictions, elsewhere)

    def write(self, folder: Path) -> None:
        """Write results.json, and predictions.parquet: id, label, group, P(label = 1) by method.

        Predictions for other tasks go to transfer.parquet.
        """
        self.results.write(folder / RESULTS)
        columns: dict[str, Any] = {"id": self.ids.tolist(), "label": self.labels}
        if self.groups is not None:
            columns["group"] = self.groups.tolist()
        with atomic_path(folder / PREDICTIONS) as temporary:
            pq.write_table(pa.table({**columns, **self.predictions}), temporary)
        write_elsewhere(self.elsewhere, folder)


@dataclass(frozen=True)
class Recovered:
    """Share of the gap between weak model and ceiling that a method recovers.

    Parameters
    ----------
    auc, accuracy : BootstrapPGR
        In AUC, and in accuracy at threshold 0.5.
    performance : Performance
        Mean over the runs.
    own_ceiling : str, default ""
        Name of the same learner fitted on true labels; empty for the finetuned ceiling.
    own : BootstrapPGR, optional
        In AUC, of the gap to its own ceiling.
    """

    auc: BootstrapPGR
    accuracy: BootstrapPGR
    performance: Performance
    own_ceiling: str = ""
    own: BootstrapPGR | None = None


def recovered(
    runs: Sequence[ScoredRun], thresholds: Mapping[str, Any], ceilings: Mapping[str, str]
) -> dict[str, Recovered]:
    """Share of the gap that every method recovers over the runs of a task and pair of models.

    Parameters
    ----------
    runs : sequence of ScoredRun
        Runs with the same methods, weak model and ceiling among them.
    thresholds : mapping
        With min_gap and min_gap_se.
    ceilings : mapping of str to str
        Own ceilings, as in `Results`; those without predictions are ignored.
    """
    limits = {name: thresholds[name] for name in LIMITS}
    means = mean_scores(runs)
    of_accuracy = recover(runs, metric=accuracy_influence, **limits)
    found: dict[str, Recovered] = {}
    for name in means.names:
        own = ceilings.get(name, "")
        own = own if own in means.names else ""
        found[name] = Recovered(
            gap_recovered(means, name, **limits),
            of_accuracy[name],
            mean_performance(
                [
                    performance(run.truth, run.scores[name], run.scores["weak"], run.groups)
                    for run in runs
                ]
            ),
            own,
            gap_recovered(means, name, own, **limits) if own else None,
        )
    return found


def _run(one: Scored, names: Iterable[str]) -> ScoredRun:
    """Predictions of some methods, identified by the seeds of cut, supervisor and learner."""
    scores = {name: one.predictions[name] for name in dict.fromkeys((*ENDS, *names))}
    return ScoredRun(one.labels, scores, one.groups, one.ids, *one.results.seeds)


def scores_of(result: Recovered) -> dict[str, Any]:
    """Fields of `MethodScores` except the method's name."""
    auc, accuracy, own = result.auc, result.accuracy, result.own
    return {
        "auc": auc.student_auc,
        "auc_interval": auc.student_auc_interval,
        "delta_auc": auc.delta_auc,
        "delta_auc_interval": auc.delta_auc_interval,
        "delta_auc_se": auc.delta_estimate.se,
        "delta_auc_df": known(auc.delta_estimate.df),
        "delta_auc_pvalue": known(auc.delta_estimate.pvalue),
        "pgr": known(auc.pgr),
        "pgr_interval": bounded(auc.pgr_interval),
        "resolved": auc.resolved,
        "performance": result.performance,
        "delta_accuracy": accuracy.delta_auc,
        "delta_accuracy_interval": accuracy.delta_auc_interval,
        "accuracy_pgr": known(accuracy.pgr),
        "accuracy_pgr_interval": bounded(accuracy.pgr_interval),
        "accuracy_resolved": accuracy.resolved,
        "own_ceiling": result.own_ceiling,
        "own_gap": own and own.gap,
        "own_gap_se": own and own.gap_se,
        "own_gap_interval": own and own.gap_interval,
        "own_pgr": own and known(own.pgr),
        "own_pgr_interval": own and bounded(own.pgr_interval),
        "own_resolved": own and own.resolved,
    }


def bounded(interval: Interval) -> Interval | None:
    """The interval; None if it is infinite, which JSON cannot hold."""
    return interval if all(map(math.isfinite, interval)) else None


def known(value: float) -> float | None:
    """The number; None for nan, which JSON cannot hold."""
    return None if math.isnan(value) else value


def summarise(scored: Iterable[Scored]) -> list[SummaryRow]:
    """Summarise each method over the runs of each task and pair of models.

    Returns
    -------
    list of SummaryRow
        Tasks and pairs in order of appearance.
    """
    cells: dict[tuple[str, str, str], list[Scored]] = {}
    for one in scored:
        cells.setdefault(one.results.key[:3], []).append(one)
    return [row for runs in cells.values() for row in _of_runs(runs)]


def _of_runs(scored: Sequence[Scored]) -> Iterable[SummaryRow]:
    row_se = float(np.mean([one.results.gap_se for one in scored]))
    for runs, names in methods_by_runs([one.predictions for one in scored]).items():
        yield from _rows(names, [scored[number] for number in runs], row_se)


def methods_by_runs(predictions: Sequence[Predictions]) -> dict[tuple[int, ...], list[str]]:
    """Methods by the numbers of the runs that have their predictions."""
    together: dict[tuple[int, ...], list[str]] = {}
    for name in dict.fromkeys(name for one in predictions for name in one):
        runs = tuple(number for number, one in enumerate(predictions) if name in one)
        together.setdefault(runs, []).append(name)
    return together


def _rows(names: list[str], scored: list[Scored], row_se: float) -> Iterable[SummaryRow]:
    first = scored[0].results
    n_rows = round(float(np.mean([len(one.ids) for one in scored])))
    thresholds = {name: first.config[name] for name in LIMITS}
    together, apart = _own_ceilings(names, scored)
    runs = [_run(one, (*names, *together.values())) for one in scored]
    found = recovered(runs, thresholds, together)
    for name, own in apart.items():  # over the runs that have this ceiling
        some = [_run(one, (name, own)) for one in scored if own in one.predictions]
        by_own = recovered(some, thresholds, apart)[name]
        found[name] = replace(found[name], own_ceiling=own, own=by_own.own)
    for name in names:
        result = found[name].auc
        yield SummaryRow(
            task=first.task,
            weak_model=first.weak_model,
            strong_model=first.strong_model,
            method=name,
            n_seeds=len(scored),
            n_test_rows=n_rows,
            n_cuts=result.n_cuts,
            n_supervisor_seeds=result.n_supervisors,
            n_learner_seeds=result.n_learners,
            **scores_of(found[name]),
            delta_auc_row_se=row_part(result.delta_estimate),
            gap=result.gap,
            gap_se=result.gap_se,
            gap_interval=result.gap_interval,
            gap_row_se=row_part(result.gap_estimate),
            rows_needed=rows_to_resolve(result.gap, row_se, n_rows, **thresholds),
        )


def _own_ceilings(
    names: Iterable[str], scored: Sequence[Scored]
) -> tuple[dict[str, str], dict[str, str]]:
    """Own ceilings by method: those that all runs have, and those that only some have."""
    everywhere: dict[str, str] = {}
    somewhere: dict[str, str] = {}
    of_all = {name: own for one in scored for name, own in one.results.ceilings.items()}
    for name in names:
        own = of_all.get(name)
        has = [own in one.predictions for one in scored]
        if own and any(has):
            (everywhere if all(has) else somewhere)[name] = own
    return everywhere, somewhere


def row_part(estimate: Estimate) -> float:
    """Standard error over the test rows that all runs share, the first part of an estimate."""
    return math.sqrt(estimate.parts[0][0])
