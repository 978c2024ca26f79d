"""Variances of results over tasks, seeds and test rows, measured in pilot runs."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from w2sprobe.declaration import Spread
from w2sprobe.errors import InputError
from w2sprobe.metrics.estimates import CONFIDENCE, t_quantile
from w2sprobe.results import RESULTS, Results, study_in

# measured by `w2sprobe plan docs/reproduction/configs/version0.yaml --pilot
# docs/reproduction/version0/results`: minilm-l6 supervises smollm2-135m on eight tasks of BIG-bench
# with three seeds, 580 or 1,000 test rows each; a test measures them again
DEFAULTS = Spread(
    source="defaults: this project's first reproduction, 8 tasks with 3 seeds",
    gain_task_sd=0.027,
    gain_seed_sd=0.031,
    gain_row_sd=0.44,
    gap=0.097,
    gap_seed_sd=0.115,
    gap_row_sd=0.59,
    method_sds=(0.014, 0.028, 0.130),
)

TaskAndModels = tuple[str, str, str]  # names of task, weak and strong model


@dataclass(frozen=True)
class _RunScores:
    """Scores of all runs of one task and pair of models, with their variances per test row."""

    values: np.ndarray
    row_variances: np.ndarray
    n_rows: np.ndarray


def measure(folders: Iterable[Path], family: Collection[str], against: str) -> Spread:
    """Measure how much results of pilot studies vary.

    Parameters
    ----------
    folders : iterable of Path
        Result folders of `w2sprobe run`.
    family : collection of str
        Methods whose differences from the baseline are measured, if the pilot has them.
    against : str
        Baseline.

    Returns
    -------
    Spread
        With values of `DEFAULTS`, named in `assumed`, if the pilot has one task, or one run per
        task.

    Raises
    ------
    InputError
        A folder without results, or results without the baseline.

    Notes
    -----
    The variance over tasks is that of the task means less the variance that rows and seeds add.
    """
    cells = _cells(folders, against)
    gains = {cell: _runs(cell_runs, against) for cell, cell_runs in cells.items()}
    gaps = {cell: _runs(cell_runs, "ceiling") for cell, cell_runs in cells.items()}
    gain_seed, gap_seed = _seed_sd(gains.values()), _seed_sd(gaps.values())
    measured = {
        "gain_task_sd": _task_sd(gains, DEFAULTS.gain_seed_sd if gain_seed is None else gain_seed),
        "gain_seed_sd": gain_seed,
        "gain_row_sd": _row_sd(gains.values()),
        "gap": float(np.mean([one.values.mean() for one in gaps.values()])),
        "gap_seed_sd": gap_seed,
        "gap_row_sd": _row_sd(gaps.values()),
        "method_sds": _method_sds(cells, family, against),
    }
    assumed = tuple(name for name, value in measured.items() if value is None)
    n_runs = sum(map(len, cells.values()))
    return Spread.model_validate(
        {
            **measured,
            **{name: getattr(DEFAULTS, name) for name in assumed},
            "assumed": assumed,
            "source": f"pilot {', '.join(map(str, folders))}: "
            f"{len({cell[0] for cell in cells})} tasks, {n_runs} runs",
        }
    )


def _cells(folders: Iterable[Path], against: str) -> dict[TaskAndModels, list[Results]]:
    found: dict[TaskAndModels, list[Results]] = {}
    for folder in folders:
        study = study_in(folder)
        names = ("",) if study is None else study.experiments
        for name in names:
            one = Results.read(folder / name / RESULTS)
            if against in {row.method for row in one.rows}:
                found.setdefault(one.key[:3], []).append(one)
    if not found:
        raise InputError(
            f"no results of {against!r}",
            where=f"--pilot {', '.join(map(str, folders))}",
            allowed="results with the baseline",
        )
    return found


def _runs(results: Sequence[Results], method: str) -> _RunScores:
    rows = [next(row for row in one.rows if row.method == method) for one in results]
    n_rows = np.array([one.splits["test"] for one in results])
    reach = t_quantile((1 - CONFIDENCE) / 2, math.inf)  # of an interval, in standard errors
    ses = np.array([np.ptp(row.delta_auc_interval) / (2 * reach) for row in rows])
    return _RunScores(np.array([row.delta_auc for row in rows]), ses**2 * n_rows, n_rows)


def _seed_sd(cells: Iterable[_RunScores]) -> float | None:
    """Standard deviation of single runs within a task; None if no task has two runs."""
    variance = _pooled_variance([one.values for one in cells])
    return None if variance is None else math.sqrt(variance)


def _row_sd(cells: Iterable[_RunScores]) -> float:
    return math.sqrt(np.concatenate([one.row_variances for one in cells]).mean())


def _task_sd(cells: dict[TaskAndModels, _RunScores], seed_sd: float) -> float | None:
    """Standard deviation over tasks, without the noise of rows and seeds; None for one task."""
    variance = _over_tasks({cell: float(one.values.mean()) for cell, one in cells.items()})
    if variance is None:
        return None
    noise = [
        seed_sd**2 / len(one.values) + float((one.row_variances / one.n_rows).mean())
        for one in cells.values()
    ]
    return math.sqrt(max(0.0, variance - float(np.mean(noise))))


def _method_sds(
    cells: dict[TaskAndModels, list[Results]], family: Collection[str], against: str
) -> tuple[float, float, float] | None:
    """Smallest, median and largest standard deviation; None if no method has two tasks."""
    differences: dict[str, dict[TaskAndModels, list[float]]] = {}
    for cell, results in cells.items():
        for one in results:
            auc = {row.method: row.auc for row in one.rows}
            for method in family:
                if method in auc:
                    own = differences.setdefault(method, {})
                    own.setdefault(cell, []).append(auc[method] - auc[against])
    variances = [
        _over_tasks({cell: float(np.mean(values)) for cell, values in own.items()})
        for own in differences.values()
    ]
    sds = [math.sqrt(variance) for variance in variances if variance is not None]
    return (min(sds), median(sds), max(sds)) if sds else None


def _over_tasks(means: dict[TaskAndModels, float]) -> float | None:
    """Variance over the tasks of a pair of models, pooled over pairs."""
    pairs: dict[tuple[str, ...], list[float]] = {}
    for cell, mean in means.items():
        pairs.setdefault(cell[1:], []).append(mean)
    return _pooled_variance([np.array(values) for values in pairs.values()])


def _pooled_variance(groups: Iterable[np.ndarray]) -> float | None:
    """Variance within groups; None if no group has two values."""
    several = [values for values in groups if len(values) > 1]
    if not several:
        return None
    squares = sum(float(np.sum((values - values.mean()) ** 2)) for values in several)
    return squares / sum(len(values) - 1 for values in several)
