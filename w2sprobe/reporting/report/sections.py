"""Sections of a report: their order, texts, drawings and tables."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import yaml

from w2sprobe.comparison import (
    Analysis,
    Comparison,
    Overview,
    TaskRow,
    by_method,
    by_pair,
    overview,
    published,
    task_rows,
)
from w2sprobe.errors import InputError
from w2sprobe.reporting.comparison import (
    method_tables,
    seeds_table,
    supervisor_gain_tables,
    task_table,
    units_of,
)
from w2sprobe.reporting.gains import gain_tables
from w2sprobe.reporting.matrix import matrix_tables
from w2sprobe.reporting.report.declared import declared_in_report
from w2sprobe.reporting.report.drawing import Drawing
from w2sprobe.reporting.report.gain_drawings import gains_drawing
from w2sprobe.reporting.report.key_numbers import KeyNumbers, study_numbers, task_numbers
from w2sprobe.reporting.report.label_drawings import (
    WEAK,
    cards_of,
    filters_drawing,
    overlap_drawing,
    splits_drawing,
)
from w2sprobe.reporting.report.pairing import filter_differences
from w2sprobe.reporting.report.performance import performance_tables
from w2sprobe.reporting.report.probe_drawings import (
    Used,
    curves_drawing,
    grid_drawing,
    indicators_drawing,
    layers_drawing,
    surface_of,
)
from w2sprobe.reporting.report.score_drawings import (
    differences_drawing,
    method_drawing,
    pgr_drawing,
    tasks_drawing,
)
from w2sprobe.reporting.report.sources import ResultsFolder
from w2sprobe.reporting.report.tables import (
    audit_table,
    labels_table,
    method_tests_table,
    times_table,
)
from w2sprobe.reporting.report.transfer_drawing import MOST_METHODS, transfer_drawing
from w2sprobe.reporting.scores import gaps_table, scores_table
from w2sprobe.reporting.table import Column, Table, numeric
from w2sprobe.reporting.transfer import (
    matrix_of_tasks,
    pairs_table,
    task_pairs,
    transfer_table,
)
from w2sprobe.reporting.wording import ENDS, ON_TRUTH, STUDENT, plain
from w2sprobe.results import Results, SummaryRow

MOST_TASK_DRAWINGS = 12  # drawings with one task each; tables have all tasks
EVALUATIONS = {"test": "test rows", "cross_fit": "held-out training rows"}


@dataclass(frozen=True)
class Code:
    """Text in fixed width, hidden until a reader unfolds it."""

    title: str
    text: str
    kind: ClassVar = "code"  # templates cannot test for a class


Block = Drawing | Table | Code
Describe = Callable[[Results], Mapping[str, str]]  # descriptions of the methods of a run


@dataclass(frozen=True)
class Section:
    """A heading, an introduction, and drawings, tables and code.

    Parameters
    ----------
    name : str
        Unique in its page; letters, digits and hyphens.
    """

    name: str
    title: str
    intro: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class SourceReport:
    """Report on one results folder: key numbers of each pair of models, and sections."""

    source: ResultsFolder
    key_numbers: tuple[KeyNumbers, ...]
    sections: tuple[Section, ...]


def report_of(
    source: ResultsFolder, prefix: str = "", describe: Describe | None = None
) -> SourceReport:
    """Lay out the report on a results folder.

    Parameters
    ----------
    prefix : str, optional
        Prefix of all names, if a page reports on several folders.
    describe : callable, optional
        Describes the methods of a run in words.
    """
    config = source.runs[0].results.config
    against = config.get("analysis", {}).get("against", STUDENT)
    analysis = Analysis.of_config(config)
    over = _overview(source, against, analysis)
    comparisons = () if over is None else over.comparisons
    by_models = {(each.weak_model, each.strong_model): each for each in comparisons}
    sections = [*_warnings(source, prefix), _declared(source, prefix)]
    key_numbers = []
    for number, pair in enumerate(source.pairs, start=1):
        several = len(source.pairs) > 1
        of_pair = OfPair(
            source.of_pair(pair),
            by_models.get(pair),
            against,
            f"{prefix}pair{number}-" if several else prefix,
            f": {' supervises '.join(pair)}" if several else "",
        )
        key_numbers.append(_key_numbers(of_pair, analysis))
        sections += _scores(of_pair, analysis)
        sections += _gains(of_pair)
        sections += _transfer(of_pair)
        sections += _more_than_auc(of_pair)
    if over is not None:
        sections += _pairs(over, prefix)
    if describe is not None:
        sections += _methods(source, prefix, describe)
    sections += _splits(source, prefix)
    sections += _sweeps(source, prefix)
    sections += _filters(source, prefix)
    if over is not None:
        sections += _indicators(source, prefix, over)
    sections += _curves(source, prefix)
    sections += _audit(source, prefix)
    sections += _seeds(comparisons, prefix)
    sections += _run(source, prefix)
    return SourceReport(source, tuple(key_numbers), tuple(sections))


@dataclass(frozen=True)
class OfPair:
    """Results of one pair of models, and how their sections are named."""

    source: ResultsFolder
    comparison: Comparison | None
    against: str
    prefix: str
    heading: str

    @property
    def rows(self) -> tuple[SummaryRow, ...]:
        """Every method of every task."""
        return self.source.summary

    @property
    def one_task(self) -> bool:
        """Whether there is one task: tests are then over rows and runs, else over tasks."""
        return len(self.source.tasks) == 1


def _key_numbers(pair: OfPair, analysis: Analysis) -> KeyNumbers:
    declared = pair.source.preregistration is not None
    if pair.one_task:
        by_run = (run.strong_train_labels for run in pair.source.runs)
        return task_numbers(
            pair.rows,
            analysis,
            against=pair.against,
            declared=declared,
            labels=next((labels for labels in by_run if labels and WEAK in labels), None),
        )
    return study_numbers(pair.rows, pair.comparison, declared=declared)


def _declared(source: ResultsFolder, prefix: str) -> Section:
    return Section(
        f"{prefix}declared",
        "Declared before the run",
        *declared_in_report(source),
    )


def _warnings(source: ResultsFolder, prefix: str) -> Iterator[Section]:
    rows = [(run.name, message) for run in source.runs for message in run.results.warnings]
    if rows:
        yield Section(
            f"{prefix}warnings",
            "Warnings",
            "Warnings of training runs, which may change what the results mean.",
            (Table.of_texts("Warnings of training runs", ("run", "warning"), rows),),
        )


def _overview(source: ResultsFolder, against: str, analysis: Analysis) -> Overview | None:
    if len(source.tasks) < 2 or against not in source.methods:
        return None
    try:
        return overview(source.scores, source.indicators, against=against, analysis=analysis)
    except InputError:
        return None  # there is no method beside the baseline


def _scores(pair: OfPair, analysis: Analysis) -> Iterator[Section]:
    rows, name = pair.rows, pair.prefix
    blocks: list[Block] = []
    if pair.one_task:
        runs = pair.source.runs
        scores = scores_table(rows, runs[0].results if len(runs) == 1 else None)
        tests = method_tests_table(
            rows,
            analysis,
            against=pair.against,
            defined=runs[0].results.config.get("define", {}),
            filters=filter_differences(runs),
        )
        blocks += [method_drawing(rows, f"{name}methods"), scores, *([tests] if tests.rows else [])]
    else:
        reference = [score for score in published().scores if score.task in pair.source.tasks]
        blocks += [tasks_drawing(rows, f"{name}auc", reference)]
        if any(row.pgr is not None for row in rows if row.method not in ENDS):
            blocks += [pgr_drawing(rows, f"{name}pgr", reference)]
        blocks += [gaps_table(rows, pair.against), scores_table(rows)]
    yield Section(
        f"{name}scores",
        f"Who recovers the gap{pair.heading}",
        "Test AUC of every method between weak model and ceiling, and the share of that gap it "
        "recovers (PGR). The section What each method does explains the names.",
        tuple(blocks),
    )


def _gains(pair: OfPair) -> Iterator[Section]:
    """Sections of tests over tasks: against the supervisor, and against the baseline."""
    comparison, name = pair.comparison, pair.prefix
    if comparison is not None and comparison.supervisor_gains:
        drawing = gains_drawing(comparison, pair.rows, f"{name}gains")
        yield Section(
            f"{name}gains",
            f"Gains over the supervisor{pair.heading}",
            "Test AUC of each method less that of the weak model that labelled its rows, over all "
            "tasks, whatever their gap. A gain is weak-to-strong generalisation.",
            (*([drawing] if drawing else []), *supervisor_gain_tables(comparison)),
        )
    if comparison is not None and comparison.methods:
        units = units_of(comparison)[::-1]
        baseline = plain(comparison.against)
        yield Section(
            f"{name}against",
            f"Methods against the {baseline}{pair.heading}",
            f"Test AUC of each method less that of the {baseline}, on the same tasks and runs.",
            (
                differences_drawing(comparison, f"{name}differences"),
                *(table for unit in units for table in method_tables(comparison, unit)),
                *(task_table(comparison, unit) for unit in units),
            ),
        )


def _transfer(pair: OfPair) -> Iterator[Section]:
    """Section of the tests on other tasks, if there are any."""
    if not pair.source.transfer:
        return
    pairs, methods = task_pairs(pair.rows, pair.source.transfer), _drawn_methods(pair)
    yield Section(
        f"{pair.prefix}transfer",
        f"On other tasks{pair.heading}",
        "Supervisor, methods and ceiling of one task also predicted the test rows of other tasks. "
        "A positive gain there says that a method is better than its supervisor out of "
        "distribution, too.",
        (
            transfer_drawing(pairs, methods, f"{pair.prefix}transfer-matrix"),
            transfer_table(pairs),
            *(matrix_of_tasks(pairs, method) for method in methods),
            pairs_table(pairs),
        ),
    )


def _drawn_methods(pair: OfPair) -> list[str]:
    """The baseline, and the first of the other methods that were not fitted on true labels."""
    elsewhere = {row.method for row in pair.source.transfer}
    others = [
        method
        for method in pair.source.methods
        if method in elsewhere and not method.endswith(ON_TRUTH)
    ]
    return sorted(others, key=lambda method: method != pair.against)[:MOST_METHODS]


def _pairs(over: Overview, prefix: str) -> Iterator[Section]:
    several = [matrix for matrix in over.matrices if len(matrix.cells) > 1]
    if several:
        yield Section(
            f"{prefix}pairs",
            "All pairs of models",
            "Means over tasks with a resolved gap. Do not compare cells over different tasks.",
            tuple(table for matrix in several for table in matrix_tables(matrix)),
        )


def _more_than_auc(pair: OfPair) -> Iterator[Section]:
    blocks = performance_tables(pair.rows)
    if blocks:
        yield Section(
            f"{pair.prefix}more",
            f"More than AUC{pair.heading}",
            "AUC depends only on the order of the rows. These scores show whether classifications "
            "at a threshold are right, whether probabilities are calibrated, and on which groups "
            "of rows a method fails.",
            blocks,
        )


def _methods(source: ResultsFolder, prefix: str, describe: Describe) -> Iterator[Section]:
    words: dict[str, str] = {}
    for run in source.runs:
        words = {**describe(run.results), **words}
    table = Table.of_texts(
        "Methods in words",
        ("method", "what predicts the test rows"),
        [
            (name, words.get(name, "Not known to this version of w2sprobe."))
            for name in dict.fromkeys(row.method for row in source.summary)
        ],
    )
    yield Section(
        f"{prefix}what",
        "What each method does",
        "Finetuned students are all the same strong model, trained in the same way: they differ "
        "in their labels or in the loss. Probes and heads learn from its activations.",
        (table,),
    )


def _splits(source: ResultsFolder, prefix: str) -> Iterator[Section]:
    first = source.runs[0].results
    tasks = {run.results.task: run.results for run in source.runs}

    def left_out(results: Results) -> str:
        reasons = (f"{n:,} {plain(why)}" for why, n in results.dropped.items() if n)
        return ", ".join(reasons) or "nothing"

    table = Table.of(
        "Rows of every task",
        (
            Column("task"),
            *(numeric(plain(name), partial(_n_rows, split=name)) for name in first.splits),
            Column("left out", left_out, wrap=True),
        ),
        tasks.values(),
    )
    drawing = splits_drawing(first.splits, first.weak_model, first.strong_model, f"{prefix}rows")
    yield Section(
        f"{prefix}data",
        "Which rows trained which model",
        f"The drawing has the counts of {first.task}." if len(tasks) > 1 else "",
        (drawing, table),
    )


def _n_rows(results: Results, *, split: str) -> int:
    return results.splits[split]


def _sweeps(source: ResultsFolder, prefix: str) -> Iterator[Section]:
    sweeps = {run.name: run.sweep.to_pylist() for run in source.runs if run.sweep is not None}
    used = _used(source)
    blocks: list[Block] = []
    for evaluation, words in EVALUATIONS.items():
        surface = surface_of(sweeps, evaluation)
        if surface:
            if not blocks:
                blocks.append(layers_drawing(surface, f"{prefix}layers", used))
            blocks.append(
                grid_drawing(surface, f"{prefix}sweep-{evaluation.replace('_', '-')}", words, used)
            )
    yield Section(
        f"{prefix}probes",
        "Probes over layers and settings",
        "Probes on the strong model's activations, fitted on the weak labels."
        if blocks
        else "This run had no sweep. Add `sweep: {}` to its config and run it again: only the "
        "sweep is computed.",
        tuple(blocks),
    )


def _used(source: ResultsFolder) -> Used:
    """Layer and setting of the probe methods, if all runs have the same."""
    names = {"knn": "n_neighbors", "logistic": "l2"}
    points = {
        (run.results.layer, *(run.results.config["probes"].get(name) for name in names.values()))
        for run in source.runs
        if run.results.layer is not None and "probes" in run.results.config
    }
    if len(points) != 1:
        return {}
    ((layer, *values),) = points
    by_probe = zip(names, values, strict=True)
    return {probe: (layer, value) for probe, value in by_probe if value is not None}


def _filters(source: ResultsFolder, prefix: str) -> Iterator[Section]:
    by_run = [
        (run.name, labels) for run in source.runs if (labels := run.strong_train_labels) is not None
    ]
    cards = [card for name, labels in by_run for card in cards_of(labels, name)]
    if not cards:
        return
    blocks: list[Block] = []
    if any(card["removed"] for card in cards):
        blocks.append(filters_drawing(cards, f"{prefix}filters"))
        overlaps = overlap_drawing([labels for _, labels in by_run], f"{prefix}overlap")
        blocks += [overlaps] if overlaps else []
    yield Section(
        f"{prefix}labels",
        "What methods did to the labels",
        "Before a student is trained, a filter removes rows, or relabelling changes labels. Here "
        "the results are compared with the true labels, which filters and relabelling do not see.",
        (*blocks, labels_table(cards)),
    )


def _indicators(source: ResultsFolder, prefix: str, over: Overview) -> Iterator[Section]:
    if not over.gains:
        return
    method = over.gains[0].method
    of_auc = [row for row in over.gains if row.unit == "auc" and row.method == method]
    blocks: list[Block] = []
    if len(source.pairs) == 1 and not all(math.isnan(row.correlation) for row in of_auc):
        tasks: tuple[TaskRow, ...] = task_rows(by_method(by_pair(source.scores)[source.pairs[0]]))
        blocks.append(
            indicators_drawing(of_auc, source.indicators, tasks, method, f"{prefix}indicators")
        )
    yield Section(
        f"{prefix}indicators",
        "What would have predicted the gain",
        "Misfit, subspace overlap and representation gap are computed from activations and weak "
        "labels alone, before any student is trained; CAPA compares the errors of two models on "
        "the test rows. With few tasks, correlations are very uncertain: look at the intervals.",
        (*blocks, *gain_tables(over.gains)),
    )


def _curves(source: ResultsFolder, prefix: str) -> Iterator[Section]:
    by_task: dict[str, pa.Table] = {}
    for run in source.runs:
        if run.curves is not None:
            by_task.setdefault(run.results.task, run.curves)
    if not by_task:
        return
    shown = list(by_task.items())[:MOST_TASK_DRAWINGS]
    which = f"the first {len(shown)} of {len(by_task)} tasks"
    yield Section(
        f"{prefix}training",
        "Training curves",
        f"First run of {which if len(shown) < len(by_task) else 'each task'}.",
        tuple(
            curves_drawing(curves.to_pylist(), f"{prefix}curves-{number}", task)
            for number, (task, curves) in enumerate(shown, start=1)
        ),
    )


def _audit(source: ResultsFolder, prefix: str) -> Iterator[Section]:
    table = audit_table(source)
    flags = sum(row.cells[1].text == "flag" for row in table.rows)
    count = {0: "No flags", 1: "One flag"}.get(flags, f"{flags} flags")
    yield Section(
        f"{prefix}audit",
        "Audit of the tasks",
        "Problems of the data that could change what the results mean: tasks that text length or "
        "single words solve, near-duplicates across splits, texts longer than a model's context, a "
        "common ending of all texts, unbalanced labels. "
        f"{count if table.rows else 'Nothing was found'}.",
        (table,) if table.rows else (),
    )


def _seeds(comparisons: Sequence[Comparison], prefix: str) -> Iterator[Section]:
    with_seeds = [comparison for comparison in comparisons if comparison.seeds]
    if with_seeds:
        yield Section(
            f"{prefix}seeds",
            "Seeds",
            "Differences between runs of the same method, on other cuts of the rows or with other "
            "seeds. A difference between methods that is no larger may be chance.",
            tuple(map(seeds_table, with_seeds)),
        )


def _run(source: ResultsFolder, prefix: str) -> Iterator[Section]:
    first = source.runs[0].results
    facts = {**first.versions, **first.machine}
    failed = [(stage.experiment, stage.stage, stage.error) for stage in source.failures]
    missing = [
        (run.name, method, reason)  # a sentence, or the title of the stage that failed
        for run in source.runs
        for method, reason in run.results.missing.items()
    ]
    blocks: list[Block] = []
    if failed:
        columns = ("run", "stage", "error")
        blocks.append(Table.of_texts("Stages that failed", columns, failed))
    if missing:
        columns = ("run", "method", "reason, or stage that failed")
        blocks.append(Table.of_texts("Methods without results", columns, missing))
    if len(source.runs) > 1:  # for a single run, the table of scores has them
        blocks.append(times_table(source))
    blocks.append(Table.of_texts("Versions and machine", ("name", "value"), facts.items()))
    config = source.folder / "config.yaml"
    blocks.append(Code("Config with all defaults", _config(config, first.config)))
    yield Section(
        f"{prefix}run",
        "How it was run",
        f"To run it again: w2sprobe run {config.name}",
        tuple(blocks),
    )


def _config(path: Path, fallback: object) -> str:
    if path.is_file():
        return path.read_text(encoding="utf-8")
    return str(yaml.safe_dump(fallback, sort_keys=False, allow_unicode=True))
