"""Tables of docs/reproduction that no command prints, as Markdown.

    python -m benchmarks.reproduction [RESULTS]

RESULTS is the folder of a study; default: docs/reproduction/results.
"""

import argparse
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.stats import spearmanr

from w2sprobe.comparison import GainRow, compare, overview, published
from w2sprobe.reporting.numbers import with_interval
from w2sprobe.reporting.report.label_drawings import cards_of
from w2sprobe.reporting.report.sources import Run, Source
from w2sprobe.results import Interval

RESULTS = Path(__file__).parents[1] / "docs/reproduction/results"
K, L2 = 20, 1e-2  # of the study's probes
# methods that the source plotted beside the log-confidence student, not beside cross-entropy
BESIDE_LOGCONF = (
    *("strong_to_strong", "knn_relabel", "logistic_relabel"),
    *("knn_filter", "logistic_filter", "topofilter"),
)
OF_REMOVED = ("precision", "surest", "noise_before", "noise_after")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", nargs="?", type=Path, default=RESULTS)
    source = Source.read(parser.parse_args().results)
    for title, header, rows in (
        tasks(source),
        seeds(source),
        imitation(source),
        gains(source),
        methods(source),
        layers(source),
        labels(source),
        indicators(source),
    ):
        print(f"\n{title}\n")
        print(table(header, rows))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tasks(source: Source) -> tuple[str, list[str], Iterator[list[str]]]:
    """AUC of the ends and of the plain student, PGR where the gap is resolved."""

    def rows() -> Iterator[list[str]]:
        for task in source.tasks:
            by = {row.method: row for row in source.summary if row.task == task}
            student, ceiling = by["student"], by["ceiling"]
            assert student.performance is not None
            yield [
                short(task),
                *(f"{by[name].auc:.3f}" for name in ("weak", "student", "ceiling")),
                with_interval(ceiling.gap, ceiling.gap_interval, 3),
                with_interval(student.delta_auc, student.delta_auc_interval, 3),
                pgr(student.pgr, student.pgr_interval, resolved=student.resolved),
                f"{student.performance.accuracy:.3f}",
                pgr(
                    student.accuracy_pgr,
                    student.accuracy_pgr_interval,
                    resolved=bool(student.accuracy_resolved),
                ),
            ]

    header = ["task", "weak", "student", "ceiling", "gap", "student less weak", "PGR"]
    header += ["accuracy of the student", "PGR in accuracy"]
    return "Ends of the gap and the plain student, in AUC and in accuracy:", header, rows()


def pgr(value: float | None, interval: Interval | None, *, resolved: bool) -> str:
    if not resolved or value is None:
        return "gap not resolved"
    return with_interval(value, interval, 2)


def seeds(source: Source) -> tuple[str, list[str], Iterator[list[str]]]:
    """AUC of weak model, plain student and ceiling, a column a seed."""
    found = {
        (run.results.task, run.results.seed): {row.method: row.auc for row in run.results.rows}
        for run in source.runs
    }
    names = sorted({seed for _, seed in found})

    def rows() -> Iterator[list[str]]:
        for task in source.tasks:
            aucs = [found.get((task, seed), {}) for seed in names]
            ends = [[one.get(name) for name in ("weak", "student", "ceiling")] for one in aucs]
            yield [
                short(task),
                *(" / ".join("–" if x is None else f"{x:.3f}" for x in three) for three in ends),
            ]

    header = ["task", *(f"seed {name}" for name in names)]
    return "Weak model / plain student / ceiling, seed by seed:", header, rows()


def imitation(source: Source) -> tuple[str, list[str], Iterator[list[str]]]:
    """Whom the plain student ranks test rows like."""
    pairs = (("student", "weak"), ("student", "ceiling"), ("weak", "ceiling"))

    def rows() -> Iterator[list[str]]:
        for task in source.tasks:
            tables = [run.predictions for run in source.runs if run.results.task == task]
            found = [[_alike(scores, *pair) for pair in pairs] for scores in tables if scores]
            yield [short(task), *(f"{value:+.2f}" for value in np.mean(found, axis=0))]

    header = ["task", *(f"{one} and {other}" for one, other in pairs)]
    return "Rank correlation of scores on test rows:", header, rows()


def _alike(scores: pa.Table, one: str, other: str) -> float:
    return float(spearmanr(scores[one].to_numpy(), scores[other].to_numpy()).statistic)


def gains(source: Source) -> tuple[str, list[str], Iterator[list[str]]]:
    """Test AUC less that of the weak model, over all tasks, whatever their gap."""
    here = compare(source.scores, against="student", units=["auc"]).supervisor_gains

    def rows() -> Iterator[list[str]]:
        for row in here:
            yield [
                row.method,
                f"{row.wins} of {row.n}",
                with_interval(row.mean, row.mean_interval, 3),
                f"{row.t_pvalue:.3f}" + (f" ({row.t_holm:.2f})" if row.primary else ""),
                with_interval(row.pooled_mean, row.pooled_interval, 3),
                with_interval(row.pgr, row.pgr_interval, 2),
                row.verdict,
            ]

    header = ["method", "above", "mean", "p (Holm)", "partial pooling", "pooled PGR", "verdict"]
    return "Test AUC less that of the weak model:", header, rows()


def methods(source: Source) -> tuple[str, list[str], Iterator[list[str]]]:
    """Test AUC less that of the plain student over tasks, here and as published."""
    here = compare(source.scores, against="student", units=["auc"]).methods
    beside_xent, beside_logconf = (
        compare(published().scores, against=name, units=["auc"]).methods
        for name in ("xent", "logconf")
    )
    theirs = {row.method: row for row in beside_xent}
    theirs |= {r.method: r for r in beside_logconf if r.method.startswith(BESIDE_LOGCONF)}

    def rows() -> Iterator[list[str]]:
        for row in here:
            known = theirs.get(row.method.removeprefix("student_"))
            yield [
                row.method,
                str(row.n_runs),
                f"{row.wins} / {row.losses}",
                with_interval(row.mean, row.mean_interval, 3),
                f"{row.t_pvalue:.3f}" + (f" ({row.t_holm:.2f})" if row.primary else ""),
                f"{row.detectable:.3f}",
                row.verdict,
                "" if known is None else f"{known.wins} of {known.n}",
                "" if known is None else f"{known.mean:+.3f}",
            ]

    header = [
        "method",
        "runs",
        "above / below",
        "mean",
        "p (Holm)",
        "MDE",
        "verdict",
        "published wins",
        "published mean",
    ]
    return "Test AUC less that of the plain student:", header, rows()


def layers(source: Source) -> tuple[str, list[str], Iterator[list[str]]]:
    """Test AUC of probes at the study's settings, by depth, means over tasks and seeds."""
    kinds = [("knn", "weak", K), ("logistic", "weak", L2), ("logistic", "truth", L2)]
    found: dict[tuple[str, str], list[dict[int, float]]] = {}
    for run in source.runs:
        points = [] if run.sweep is None else run.sweep.to_pylist()
        for probe, fitted_on, value in kinds:
            found.setdefault((probe, fitted_on), []).append(
                {
                    row["layer"]: row["auc_truth"]
                    for row in points
                    if (row["probe"], row["fitted_on"], row["evaluation"], row["value"])
                    == (probe, fitted_on, "test", value)
                }
            )
    depths = sorted({layer for runs in found.values() for one in runs for layer in one})
    shown = depths[::5]

    def rows() -> Iterator[list[str]]:
        for (probe, fitted_on), runs in found.items():
            mean = {layer: float(np.mean([one[layer] for one in runs])) for layer in depths}
            best = [max(one, key=lambda layer: one[layer]) for one in runs]
            yield [
                f"{probe}, fitted on {fitted_on}",
                *(f"{mean[layer]:.3f}" for layer in shown),
                str(max(mean, key=lambda layer: mean[layer])),
                f"{int(np.median(best))} ({min(best)} to {max(best)})",
            ]

    header = ["probe", *(f"layer {layer}" for layer in shown), "best mean", "best of each, median"]
    return "Probes over layers, test AUC:", header, rows()


def labels(source: Source) -> tuple[str, list[str], Iterator[list[str]]]:
    """What filters and relabelling did to the labels, means over tasks and seeds."""
    cards = [card for run in source.runs for card in _cards(run) if not card["step"]]

    def rows() -> Iterator[list[str]]:
        for method in dict.fromkeys(card["method"] for card in cards):
            own = [card for card in cards if card["method"] == method]
            yield [
                method,
                share(own, "removed", "offered"),
                *(mean(own, name) for name in OF_REMOVED),
                share(own, "flipped", "offered"),
                mean(own, "flips_right"),
            ]

    header = [
        "method",
        "rows removed",
        "of these wrong",
        "of the surest quarter",
        "wrong before",
        "wrong after",
        "labels flipped",
        "of these right now",
    ]
    return "Filters and relabelling, against the truth that no method saw:", header, rows()


def indicators(source: Source) -> tuple[str, list[str], Iterator[list[str]]]:
    """Rank correlation of indicators with what the plain student gains over the weak model."""
    found = overview(source.scores, source.indicators, against="student").gains

    def rows() -> Iterator[list[str]]:
        for row in found:
            if row.unit == "auc":
                yield [
                    row.indicator,
                    str(row.n),
                    correlation(row),
                    f"{row.pvalue:.3f} ({row.holm:.2f})",
                ]

    header = ["indicator", "tasks", "rank correlation", "p (Holm)"]
    return "Indicators against the AUC gain of the plain student:", header, rows()


def correlation(row: GainRow) -> str:
    bounded = not math.isnan(row.interval[0])
    return with_interval(row.correlation, row.interval, 2) if bounded else f"{row.correlation:+.2f}"


def _cards(run: Run) -> list[dict[str, Any]]:
    given = run.strong_train_labels
    if given is None:
        return []
    sureness = np.abs(given["weak"]["soft_label"] - 0.5)
    surest = sureness >= np.quantile(sureness, 0.75)
    shares = {
        method: None if (kept := columns["keep"]).all() else float(surest[~kept].mean())
        for method, columns in given.items()
    }
    return [{**card, "surest": shares[card["method"]]} for card in cards_of(given, run.name)]


def mean(cards: Sequence[Mapping[str, Any]], name: str) -> str:
    values = [card[name] for card in cards if card[name] is not None]
    return percent(float(np.mean(values)) if values else math.nan)


def share(cards: Sequence[Mapping[str, Any]], part: str, whole: str) -> str:
    return percent(float(np.mean([card[part] / card[whole] for card in cards])))


def percent(value: float) -> str:
    return "" if math.isnan(value) else f"{100 * value:.0f} %"


def short(task: str) -> str:
    return task.removeprefix("bigbench:")


if __name__ == "__main__":
    main()
