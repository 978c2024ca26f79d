"""How often 95 % intervals hold the truth, and how often "resolved" and verdicts are false alarms.

    python -m benchmarks.coverage rows COVERAGE.csv [--repetitions 1000] [--processes 2]
    python -m benchmarks.coverage table COVERAGE.csv
    python -m benchmarks.coverage tasks [--repetitions 1000]

Scores of a weak model, a student and a ceiling are drawn with known AUCs: normal scores whose noise
the three models share in part, as they find the same rows hard. Every seed moves the AUCs (by the
standard deviations of weak model, gain and ceiling); in half of the cells rows come in groups of
five that share noise; seeds train on one cut of the rows, or each on a cut of its own, half of
whose test rows the next one has as well. The interval is right where it holds the mean over all
seeds and rows. Cells that are in COVERAGE.csv are not run again.

`tasks` is about intervals and tests over tasks: gains that rise with the gap and scatter about it,
measured with noise that gain and gap share; and a family of eight methods that do nothing.
"""

import argparse
import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from itertools import product
from pathlib import Path

import numpy as np
from scipy import stats

from w2sprobe.comparison.analysis import Analysis
from w2sprobe.comparison.differences import difference, judgement
from w2sprobe.metrics import (
    BootstrapPGR,
    Estimate,
    ScoredRun,
    holm,
    pool_tasks,
    pooled_pgr,
    recover,
    task_mean,
)

WEAK_AUC, PGR = 0.70, 0.5
SHARED_BY_MODELS, SHARED_BY_GROUP = 0.5, 0.3  # of the variance of a row's noise
GROUP_SIZE = 5
NUMBERS = ("weak", "gap", "delta", "pgr")
RESULTS = (
    *(f"{name}_{rule}" for name in NUMBERS for rule in ("coverage", "width")),
    *(f"{name}_satterthwaite" for name in ("gap", "delta")),
    *("above", "below", "resolved"),
)
# number in the file, and whether its cells have a gap
COLUMNS: dict[str, tuple[str, bool | None]] = {
    "AUC": ("weak_coverage", None),
    "ΔAUC": ("delta_coverage", None),
    "gap": ("gap_coverage", None),
    "PGR": ("pgr_coverage", True),
    "ΔAUC, Satterthwaite": ("delta_satterthwaite", None),
    "gap, Satterthwaite": ("gap_satterthwaite", None),
    'false "resolved"': ("resolved", False),
    'false "above"': ("above", False),
    'false "below"': ("below", False),
}


@dataclass(frozen=True)
class Cell:
    """What is simulated: test rows, gap in AUC, SDs of seeds (weak, gain, ceiling), runs."""

    n_rows: int
    gap: float
    groups: bool
    seed_sd: tuple[float, float, float]
    n_seeds: int
    cuts: str  # one or many

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(str(value) for value in asdict(self).values())


def cells() -> Iterator[Cell]:
    """Those of the table; without a gap, "resolved" and every verdict are false alarms."""
    sds = ((0.01, 0.01, 0.01), (0.03, 0.02, 0.01), (0.09, 0.03, 0.02))
    for seeds, sd, cuts, rows, gap, groups in product(
        (2, 3, 5, 10), sds, ("one", "many"), (300, 1000), (0.0, 0.05, 0.1, 0.2), (False, True)
    ):
        yield Cell(rows, gap, groups, sd, seeds, cuts)
    for rows, gap, groups in product((300, 1000), (0.0, 0.05, 0.1, 0.2), (False, True)):
        yield Cell(rows, gap, groups, (0.0, 0.0, 0.0), 1, "one")


def simulate(cell: Cell, random: np.random.Generator) -> list[ScoredRun]:
    """Runs of one study on one task."""
    pool = 2 * cell.n_rows if cell.cuts == "many" else cell.n_rows
    truth = np.arange(pool) % 2
    passage = random.permutation(pool) // GROUP_SIZE
    shared = _noise(cell, random, passage)
    runs = []
    for seed in range(cell.n_seeds):
        rows = random.choice(pool, cell.n_rows, replace=False) if pool > cell.n_rows else None
        rows = np.arange(pool) if rows is None else rows
        weak, gain, ceiling = random.normal(size=3) * cell.seed_sd
        aucs = WEAK_AUC + np.array([weak, weak + gain + PGR * cell.gap, ceiling + cell.gap])
        # AUC of normal scores of unit variance: Phi(shift / sqrt 2)
        shifts = math.sqrt(2) * stats.norm.ppf(np.clip(aucs, 0.01, 0.99))
        scores = {}
        for name, shift in zip(("weak", "student", "ceiling"), shifts, strict=True):
            own = _noise(cell, random, passage)
            noise = math.sqrt(SHARED_BY_MODELS) * shared + math.sqrt(1 - SHARED_BY_MODELS) * own
            scores[name] = (shift * truth + noise)[rows]
        runs.append(
            ScoredRun(
                truth[rows],
                scores,
                groups=passage[rows] if cell.groups else None,
                rows=rows,
                cut=seed if cell.cuts == "many" else 0,
                supervisor=seed,
            )
        )
    return runs


def _noise(cell: Cell, random: np.random.Generator, passage: np.ndarray) -> np.ndarray:
    """Of variance 1, a row each."""
    own = random.normal(size=len(passage))
    if not cell.groups:
        return own
    of_group = random.normal(size=passage.max() + 1)[passage]
    mixed = math.sqrt(SHARED_BY_GROUP) * of_group + math.sqrt(1 - SHARED_BY_GROUP) * own
    return np.asarray(mixed)


def satterthwaite(estimate: Estimate) -> float:
    """Half-width by Student's t at Welch and Satterthwaite's degrees of freedom, to compare."""
    below = sum(variance**2 / df for variance, df in estimate.parts)
    if not below:
        return 0.0
    return float(stats.t.ppf(0.975, estimate.variance**2 / below)) * estimate.se


def measure(cell: Cell, found: BootstrapPGR) -> dict[str, float]:
    """Whether each interval holds the truth, its width, and what is said of the study."""
    truth = {"weak": WEAK_AUC, "gap": cell.gap, "delta": PGR * cell.gap, "pgr": PGR}
    intervals = {
        "weak": found.weak_auc_interval,
        "gap": found.gap_interval,
        "delta": found.delta_auc_interval,
        "pgr": found.pgr_interval,
    }
    row = {}
    for name, (low, high) in intervals.items():
        row[f"{name}_coverage"] = (
            float(low <= truth[name] <= high) if cell.gap or name != "pgr" else 1
        )
        row[f"{name}_width"] = high - low
    for name, estimate in (("gap", found.gap_estimate), ("delta", found.delta_estimate)):
        error = abs(estimate.value - truth[name])
        row[f"{name}_satterthwaite"] = float(error <= satterthwaite(estimate))
    row["above"] = float(found.delta_auc_interval[0] > 0)
    row["below"] = float(found.delta_auc_interval[1] < 0)
    row["resolved"] = float(found.resolved)
    return row


def run_cell(cell: Cell, repetitions: int) -> dict[str, float]:
    """Shares over the repetitions; of widths, the median."""
    found: dict[str, list[float]] = defaultdict(list)
    for repetition in range(repetitions):
        random = np.random.default_rng([repetition, *map(ord, repr(cell.key))])
        result = recover(simulate(cell, random))["student"]
        for name, value in measure(cell, result).items():
            found[name].append(value)
    return {
        name: float(np.median(values) if name.endswith("width") else np.mean(values))
        for name, values in found.items()
    }


def read(path: Path) -> dict[tuple[str, ...], dict[str, str]]:
    if not path.exists():
        return {}
    names = [field.name for field in fields(Cell)]
    with path.open(newline="", encoding="utf-8") as file:
        return {tuple(row[name] for name in names): row for row in csv.DictReader(file)}


def run_rows(path: Path, repetitions: int, processes: int) -> None:
    """Append every cell that is not there yet."""
    done = read(path)
    missing = [cell for cell in cells() if cell.key not in done]
    new = not path.exists()
    with (
        path.open("a", newline="", encoding="utf-8") as file,
        ProcessPoolExecutor(processes) as pool,
    ):
        names = [*(field.name for field in fields(Cell)), "repetitions", *RESULTS]
        writer = csv.DictWriter(file, names)
        if new:
            writer.writeheader()
        for cell, result in zip(
            missing, pool.map(run_cell, missing, [repetitions] * len(missing)), strict=True
        ):
            shares = {name: f"{value:.4f}" for name, value in result.items()}
            writer.writerow({**asdict(cell), "repetitions": repetitions, **shares})
            file.flush()


def table_rows(path: Path) -> Iterator[str]:
    """Markdown: over rows, gaps, groups and cuts, the least and the largest coverage."""
    by: dict[tuple[int, str], list[dict[str, str]]] = defaultdict(list)
    for row in read(path).values():
        by[int(row["n_seeds"]), row["seed_sd"]].append(row)
    yield "| seeds | SD of seeds | " + " | ".join(COLUMNS) + " |"
    yield "| --- " * (2 + len(COLUMNS)) + "|"
    for (n_seeds, sd), rows in sorted(by.items()):
        shares = [_range(rows, name, with_gap=with_gap) for name, with_gap in COLUMNS.values()]
        yield f"| {n_seeds} | {sd.strip('()')} | {' | '.join(shares)} |"


def _range(rows: Sequence[dict[str, str]], name: str, *, with_gap: bool | None) -> str:
    """Least and largest percentage, of cells with a gap, without one, or of all."""
    values = [
        100 * float(row[name])
        for row in rows
        if with_gap is None or with_gap == (float(row["gap"]) > 0)
    ]
    return f"{min(values):.1f} to {max(values):.1f}" if values else "-"


@dataclass(frozen=True)
class TaskCell:
    """What is simulated over tasks: their number, and how their gains are distributed."""

    n_tasks: int
    shape: str


# skewness 0, 1 (median of the published differences in PGR) and 2
SHAPES = {"normal": 0.0, "skewed": 1.0, "strongly skewed": 2.0}
TASK_COLUMNS = {
    "mean, Student's t": "mean",
    "mean, percentiles": "percentiles",
    "partial pooling: mean": "pooled",
    "partial pooling: a task": "shrunken",
    "pooled PGR": "pgr",
    'false "better" or "worse" in a family': "family",
    'false "yes" or "no" of the student': "student",
    'false "no difference"': "equivalent",
}
GAIN_SD, TASK_PGR, N_METHODS = 0.03, 0.3, 8


def deviations(shape: str, random: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    """Numbers of mean 0 and variance 1: normal, or gamma with this skewness."""
    skewness = SHAPES[shape]
    if not skewness:
        return random.normal(size=size)
    k = 4 / skewness**2
    return (random.gamma(k, size=size) - k) / math.sqrt(k)


def measure_tasks(cell: TaskCell, random: np.random.Generator) -> dict[str, float]:
    """One study: tasks with true gains and gaps, measured with noise of their own."""
    n = cell.n_tasks
    gap = random.uniform(0.02, 0.25, n)
    gain = TASK_PGR * gap + GAIN_SD * deviations(cell.shape, random, (n,))
    # noise of weak, student and ceiling; seeds and rows make some tasks surer than others
    se = random.uniform(0.004, 0.02, n)
    weak, student, ceiling = se * random.normal(size=(3, n))
    measured, measured_gap = gain + student - weak, gap + ceiling - weak
    pooled = pool_tasks(measured, math.sqrt(2) * se, measured_gap)
    expected = TASK_PGR * 0.135
    percentiles = np.quantile(
        measured[random.integers(n, size=(1000, n))].mean(axis=1), [0.025, 0.975]
    )
    analysis = Analysis()
    null = GAIN_SD * deviations(cell.shape, random, (N_METHODS + 1, n))
    rows = [difference((method - null[0]).tolist(), "two-sided", 0.01) for method in null[1:]]
    adjusted = holm([row.t_pvalue for row in rows])
    same = holm([row.equivalence_pvalue for row in rows])
    words = [
        judgement(row.mean, of_difference, of_equivalence, analysis)
        for row, of_difference, of_equivalence in zip(rows, adjusted, same, strict=True)
    ]
    own = difference(null[0].tolist(), "two-sided", analysis.margin)
    # as close to the margin as may be, with little noise: the worst case of an equivalence test
    at_margin = analysis.margin + 0.005 * deviations(cell.shape, random, (n,))
    near = difference(at_margin.tolist(), "two-sided", analysis.margin)
    return {
        "mean": _holds(task_mean(measured).mean_interval, expected),
        "percentiles": _holds((percentiles[0], percentiles[1]), expected),
        "pooled": _holds(pooled.mean_interval, TASK_PGR * float(gap.mean())),
        "shrunken": float(np.mean(list(map(_holds, pooled.shrunken_intervals, gain)))),
        "pgr": _holds(pooled_pgr(measured, measured_gap).interval, TASK_PGR),
        "family": float(bool({"better", "worse"} & {*words})),
        "student": float(own.t_pvalue < analysis.alpha),
        "equivalent": float(near.equivalence_pvalue < analysis.alpha),
    }


def _holds(interval: tuple[float, float], truth: float) -> float:
    return float(interval[0] <= truth <= interval[1])


def task_table(repetitions: int) -> Iterator[str]:
    """Markdown: percentages of repetitions."""
    yield "| tasks | gains | " + " | ".join(TASK_COLUMNS) + " |"
    yield "| --- " * (2 + len(TASK_COLUMNS)) + "|"
    for n_tasks, shape in product((3, 5, 8, 21), SHAPES):
        cell = TaskCell(n_tasks, shape)
        found: dict[str, list[float]] = defaultdict(list)
        for repetition in range(repetitions):
            random = np.random.default_rng([repetition, n_tasks, *map(ord, shape)])
            for name, value in measure_tasks(cell, random).items():
                found[name].append(value)
        shares = [f"{100 * np.mean(found[name]):.1f}" for name in TASK_COLUMNS.values()]
        yield f"| {n_tasks} | {shape} | {' | '.join(shares)} |"


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("rows", "table", "tasks"))
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args(None if arguments is None else list(arguments))
    if given.what == "tasks":
        print("\n".join(task_table(given.repetitions)))
    elif given.file is None:
        parser.error(f"{given.what} needs a file: COVERAGE.csv")
    elif given.what == "rows":
        run_rows(given.file, given.repetitions, given.processes)
    else:
        print("\n".join(table_rows(given.file)))


if __name__ == "__main__":
    main()
