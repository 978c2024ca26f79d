"""Differences of two methods, from predictions paired by test rows, cuts and seeds."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from w2sprobe.errors import InputError
from w2sprobe.metrics import Estimate, ScoredRun, recover
from w2sprobe.reporting.report.sources import RunFolder

Seeds = tuple[Hashable, Hashable, Hashable]  # seeds of cut, supervisor and learner


@dataclass(frozen=True)
class Predicted:
    """Predictions of a method in one run, in the order of the rows' ids.

    Parameters
    ----------
    ids : ndarray of str, shape (n,)
    truth : ndarray of 0 and 1, shape (n,)
    groups : ndarray of str, shape (n,), optional
    scores : ndarray of float, shape (n,)
    """

    ids: np.ndarray
    truth: np.ndarray
    groups: np.ndarray | None
    scores: np.ndarray

    def same_rows(self, other: "Predicted") -> bool:
        """Whether both have the same rows, with the same labels and groups."""
        pairs = ((self.ids, other.ids), (self.truth, other.truth), (self.groups, other.groups))
        return all(
            one is two or (one is not None and two is not None and np.array_equal(one, two))
            for one, two in pairs
        )


def predicted(runs: Iterable[RunFolder], method: str) -> dict[Seeds, Predicted]:
    """Predictions of a method in every run of one task and pair of models.

    Returns
    -------
    dict of seeds to Predicted
        Runs without predictions of the method are left out.
    """
    by_seeds: dict[Seeds, Predicted] = {}
    for run in runs:
        table = run.predictions
        if table is None or method not in table.column_names:
            continue
        ids = np.array(table["id"].to_pylist(), dtype=np.str_)
        order = np.argsort(ids)
        groups = None
        if "group" in table.column_names:
            groups = np.array(table["group"].to_pylist(), dtype=np.str_)[order]
        cut, supervisor, learner = (
            run.results.seed if seed is None else seed for seed in run.results.seeds
        )
        by_seeds[cut, supervisor, learner] = Predicted(
            ids[order], table["label"].to_numpy()[order], groups, table[method].to_numpy()[order]
        )
    return by_seeds


def auc_difference(
    ours: Mapping[Seeds, Predicted], theirs: Mapping[Seeds, Predicted]
) -> Estimate | None:
    """AUC of `theirs` less that of `ours`, mean over runs, with its standard error.

    Returns
    -------
    Estimate or None
        Over test rows, cuts and seeds. None if they cannot be paired: other seeds, other rows, or
        too few rows of a class.
    """
    if not ours or ours.keys() != theirs.keys():
        return None
    if not all(one.same_rows(theirs[seeds]) for seeds, one in ours.items()):
        return None
    runs = [
        ScoredRun(
            one.truth,
            # `recover` gives differences to the weak model; the ceiling is not used
            {"weak": one.scores, "ceiling": one.scores, "second": theirs[seeds].scores},
            groups=one.groups,
            rows=one.ids,
            cut=seeds[0],
            supervisor=seeds[1],
            learner=seeds[2],
        )
        for seeds, one in ours.items()
    ]
    try:
        return recover(runs)["second"].delta_estimate
    except InputError:
        return None


def filter_differences(runs: Iterable[RunFolder]) -> dict[str, Estimate | None]:
    """AUC of each filter's student less that of a random filter that keeps as many rows.

    Parameters
    ----------
    runs : iterable of RunFolder
        Runs of one task and pair of models.

    Returns
    -------
    dict of filter to Estimate or None
        None if no random filter keeps as many rows in every run, or if there are no predictions.
    """
    kept: dict[str, list[tuple[str, int]]] = {}  # by method, in each run
    several = list(runs)
    for run in several:
        for row in run.results.rows:
            if "filter" in row.method:
                kept.setdefault(row.method, []).append((run.name, row.rows_kept))
    controls = [method for method in kept if method.startswith("random")]
    differences: dict[str, Estimate | None] = {}
    for method, sizes in kept.items():
        if method not in controls:
            same = [control for control in controls if kept[control] == sizes]
            differences[method] = (
                auc_difference(predicted(several, same[0]), predicted(several, method))
                if same
                else None
            )
    return differences if controls else {}
