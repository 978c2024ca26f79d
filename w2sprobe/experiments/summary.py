"""Scores of an experiment's methods, and of several experiments over their seeds."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from w2sprobe.atomic import atomic_path
from w2sprobe.data import Rows
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import PREDICTION_COLUMNS
from w2sprobe.metrics import (
    BootstrapPGR,
    bootstrap_pgrs,
    gap_objection,
    pgr,
    roc_auc,
    rows_to_resolve,
)
from w2sprobe.results import RESULTS, Results, SummaryRow

PREDICTIONS = "predictions.parquet"
ENDS = ("weak", "ceiling")

Predictions = dict[str, np.ndarray]  # by method, of the test rows in their order


@dataclass(frozen=True)
class Scored:
    """Results of an experiment, with what each method says of the test rows.

    Parameters
    ----------
    results : Results
    ids : ndarray of str, shape (n,)
        Of the test rows.
    labels : ndarray of int64, shape (n,)
        Truth.
    groups : ndarray of str, shape (n,), optional
    predictions : dict of str to ndarray of float64, shape (n,)
        By method.
    """

    results: Results
    ids: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None
    predictions: Predictions

    @classmethod
    def on(cls, test: Rows, results: Results, predictions: Predictions) -> "Scored":
        """Of these test rows."""
        return cls(results, test.ids, test.labels, test.groups, predictions)

    @classmethod
    def read(cls, folder: Path) -> "Scored":
        """Read what `write` wrote.

        Raises
        ------
        InputError
            A file that is not there, or is not what it should be.
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
        return cls(results, ids, labels, columns.get("group"), predictions)

    def write(self, folder: Path) -> None:
        """Write results.json and predictions.parquet: id, label, group, P(label = 1) by method."""
        self.results.write(folder / RESULTS)
        columns: dict[str, Any] = {"id": self.ids.tolist(), "label": self.labels}
        if self.groups is not None:
            columns["group"] = self.groups.tolist()
        with atomic_path(folder / PREDICTIONS) as temporary:
            pq.write_table(pa.table({**columns, **self.predictions}), temporary)


def bootstrap(
    labels: np.ndarray,
    groups: np.ndarray | None,
    seeds: Sequence[Predictions],
    names: Iterable[str],
    thresholds: Mapping[str, Any],
) -> dict[str, BootstrapPGR]:
    """Bootstrap methods together, all from the same resamples.

    Parameters
    ----------
    labels : ndarray of int, shape (n,)
        Truth of the test rows.
    groups : ndarray of str, shape (n,), optional
    seeds : sequence of dict of str to ndarray
        Predictions of each; weak model and ceiling are among them.
    names : iterable of str
        Methods.
    thresholds : mapping
        With min_gap and min_gap_se, as a config has them.

    Returns
    -------
    dict of str to BootstrapPGR
    """
    runs = {name: np.array([found[name] for found in seeds]) for name in {*names, *ENDS}}
    return bootstrap_pgrs(
        labels,
        runs["weak"],
        {name: runs[name] for name in names},
        runs["ceiling"],
        groups=groups,
        min_gap=thresholds["min_gap"],
        min_gap_se=thresholds["min_gap_se"],
    )


def scores_of(result: BootstrapPGR) -> dict[str, Any]:
    """Fields that a row of results and one of a summary have in common."""
    bounded = all(map(math.isfinite, result.pgr_interval))
    return {
        "auc": result.student_auc,
        "auc_interval": result.student_auc_interval,
        "delta_auc": result.delta_auc,
        "delta_auc_interval": result.delta_auc_interval,
        "pgr": None if math.isnan(result.pgr) else result.pgr,
        "pgr_interval": result.pgr_interval if bounded else None,
        "resolved": result.resolved,
    }


def summarise(scored: Iterable[Scored]) -> list[SummaryRow]:
    """Each method of each task and pair of models, over the seeds.

    Parameters
    ----------
    scored : iterable of Scored

    Returns
    -------
    list of SummaryRow
        Tasks and pairs in order of appearance.
    """
    cells: dict[tuple[str, str, str], list[Scored]] = {}
    for one in scored:
        cells.setdefault(one.results.key[:3], []).append(one)
    return [row for seeds in cells.values() for row in _of_seeds(seeds)]


def _of_seeds(scored: Sequence[Scored]) -> Iterable[SummaryRow]:
    row_se = float(np.mean([one.results.gap_se for one in scored]))
    together: dict[tuple[int, ...], list[str]] = {}  # methods by the seeds that have them
    for name in dict.fromkeys(name for one in scored for name in one.predictions):
        seeds = tuple(number for number, one in enumerate(scored) if name in one.predictions)
        together.setdefault(seeds, []).append(name)
    for seeds, names in together.items():
        yield from _rows(names, [scored[number] for number in seeds], row_se)


def _rows(names: list[str], scored: list[Scored], row_se: float) -> Iterable[SummaryRow]:
    first = scored[0]
    n_rows = len(first.ids)
    who: dict[str, Any] = {
        "task": first.results.task,
        "weak_model": first.results.weak_model,
        "strong_model": first.results.strong_model,
        "n_seeds": len(scored),
        "n_test_rows": n_rows,
    }
    if any(not np.array_equal(one.ids, first.ids) for one in scored[1:]):
        for name, means in _without_intervals(names, scored).items():
            yield SummaryRow(**who, method=name, **means)
        return
    thresholds = {name: first.results.config[name] for name in ("min_gap", "min_gap_se")}
    seeds = [one.predictions for one in scored]
    found = bootstrap(first.labels, first.groups, seeds, names, thresholds)
    for name, result in found.items():
        yield SummaryRow(
            **who,
            method=name,
            **scores_of(result),
            gap=result.gap,
            gap_se=result.gap_se,
            rows_needed=rows_to_resolve(result.gap, row_se, n_rows, **thresholds),
        )


def _without_intervals(names: list[str], scored: list[Scored]) -> dict[str, dict[str, Any]]:
    """Means over seeds that have test rows of their own."""
    aucs = {
        name: float(np.mean([roc_auc(one.labels, one.predictions[name]) for one in scored]))
        for name in {*names, *ENDS}
    }
    weak, gap = aucs["weak"], aucs["ceiling"] - aucs["weak"]
    min_gap = scored[0].results.config["min_gap"]
    means = {}
    for name in names:
        value = pgr(weak, aucs[name], aucs["ceiling"])
        means[name] = {
            "auc": aucs[name],
            "auc_interval": None,
            "delta_auc": aucs[name] - weak,
            "delta_auc_interval": None,
            "gap": gap,
            "gap_se": None,
            "pgr": None if math.isnan(value) else value,
            "pgr_interval": None,
            "resolved": not gap_objection(gap, math.nan, min_gap=min_gap),
            "rows_needed": None,
        }
    return means
