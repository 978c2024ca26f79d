"""The sections of a report: which drawings and tables, in which order, with what words."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

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
from w2sprobe.reporting.report import tables
from w2sprobe.reporting.report.declared import declared_in_report
from w2sprobe.reporting.report.drawing import Drawing
from w2sprobe.reporting.report.gain_drawings import gains_drawing
from w2sprobe.reporting.report.label_drawings import (
    cards_of,
    filters_drawing,
    filters_in_words,
    overlap_drawing,
    splits_drawing,
    weak_labels_in_words,
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
from w2sprobe.reporting.report.sources import Source
from w2sprobe.reporting.report.study_verdict import verdict_on_study
from w2sprobe.reporting.report.verdict import Verdict, verdict_on_task
from w2sprobe.reporting.scores import gaps_table, scores_table
from w2sprobe.reporting.table import Column, Table, numeric
from w2sprobe.reporting.wording import ENDS, STUDENT, plain
from w2sprobe.results import Results, SummaryRow

MOST_TASK_DRAWINGS = 12  # one a task; beyond, tables and CSV have the rest
EVALUATIONS = {"test": "test rows", "cross_fit": "training rows, held out"}


@dataclass(frozen=True)
class Code:
    """Text in fixed width, folded away."""

    title: str
    text: str


Block = Drawing | Table | Code
Describe = Callable[[Results], Mapping[str, str]]  # the methods of a run, in words


@dataclass(frozen=True)
class Section:
    """A heading, a sentence, and what follows.

    Parameters
    ----------
    name : str
        Unique in its page; letters, digits and hyphens.
    title, intro : str
    blocks : tuple of Drawing, Table or Code
    """

    name: str
    title: str
    intro: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Part:
    """The report of one source.

    Parameters
    ----------
    source : Source
    verdicts : tuple of (str, Verdict)
        With the pair of models that each is about.
    sections : tuple of Section
    """

    source: Source
    verdicts: tuple[tuple[str, Verdict], ...]
    sections: tuple[Section, ...]


def part_of(source: Source, prefix: str = "", describe: Describe | None = None) -> Part:
    """Lay out the report of a source.

    Parameters
    ----------
    source : Source
    prefix : str, optional
        Of all names, where a page has several parts.
    describe : callable, optional
        Says what the methods of a run are.

    Returns
    -------
    Part
    """
    config = source.runs[0].results.config
    against, analysis = (
        config.get("analysis", {}).get("against", STUDENT),
        Analysis.of_config(config),
    )
    over = _overview(source, against, analysis)
    comparisons = (
        {} if over is None else {(c.weak_model, c.strong_model): c for c in over.comparisons}
    )
    sections = [*_warnings(source, prefix), _declared(source, prefix)]
    verdicts = []
    for number, pair in enumerate(source.pairs):
        name = prefix + (f"pair{number + 1}-" if len(source.pairs) > 1 else "")
        rows = [row for row in source.summary if (row.weak_model, row.strong_model) == pair]
        several = len({row.task for row in rows}) > 1
        comparison = comparisons.get(pair)
        words = " supervises ".join(pair)
        if several:
            verdict = verdict_on_study(rows, comparison)
        else:
            verdict = _on_task(rows, source, pair, against, analysis)
        said = _declared_words(source, several=several)
        verdict = replace(verdict, grounds=(*verdict.grounds, said))
        verdicts.append((words, verdict))
        heading = f": {words}" if len(source.pairs) > 1 else ""
        runs = [run.results for run in source.runs if run.results.key[1:3] == pair]
        alone = runs[0] if len(runs) == 1 else None
        sections += _scores(rows, comparison, against, name, heading, alone)
        sections += _more_than_auc(rows, name, heading)
    if over is not None:
        sections += _pairs(over, prefix)
    if describe is not None:
        sections += _methods(source, prefix, describe)
    builders = (_splits, _sweeps, _filters, _indicators, _curves, _audit)
    for builder in builders:
        sections += builder(source, prefix, over)
    sections += _seeds(list(comparisons.values()), prefix)
    sections += _run(source, prefix)
    return Part(source, tuple(verdicts), tuple(sections))


def _declared(source: Source, prefix: str) -> Section:
    return Section(
        f"{prefix}declared",
        "Declared before the run",
        *declared_in_report(source),
    )


def _warnings(source: Source, prefix: str) -> Iterator[Section]:
    rows = [(run.name, message) for run in source.runs for message in run.results.warnings]
    if rows:
        yield Section(
            f"{prefix}warnings",
            "Warnings",
            "What was said while models were trained, and may make results mean something else.",
            (Table.of_texts("Warnings of trainings", ("run", "warning"), rows),),
        )


def _declared_words(source: Source, *, several: bool) -> str:
    """Which sentences of a verdict were declared before the run."""
    record = source.preregistration
    if record is None:
        return "None of these questions was declared before the run: read p values as exploration."
    differs = ""
    if record.deviations:
        differs = " But the run differs from what was declared: see Declared before the run."
    if several:
        return (
            "Declared before the run: the tests of the baseline's gain, on average and task by "
            "task, and those of the family. Every PGR and the hierarchical model are exploration."
            f"{differs}"
        )
    return (
        "Declared before the run: the test of the baseline's gain. Tests of other methods and of "
        f"filters, and every PGR, are exploration.{differs}"
    )


def _on_task(
    rows: Sequence[SummaryRow],
    source: Source,
    pair: tuple[str, str],
    against: str,
    analysis: Analysis,
) -> Verdict:
    """A verdict on one task, and how good the weak labels are that all hangs on."""
    runs = [run for run in source.runs if run.results.key[1:3] == pair]
    verdict = verdict_on_task(
        rows,
        analysis,
        against=against,
        defined=runs[0].results.config.get("define", {}),
        filters=filter_differences(runs),
    )
    for run in runs:
        labels = run.strong_train_labels
        if labels is not None:
            words = weak_labels_in_words(labels), filters_in_words(cards_of(labels, run.name))
            *others, last = verdict.grounds
            return replace(verdict, grounds=tuple(filter(None, (*others, *words, last))))
    return verdict


def _overview(source: Source, against: str, analysis: Analysis) -> Overview | None:
    if len(source.tasks) < 2 or against not in source.methods:
        return None
    try:
        return overview(source.scores, source.indicators, against=against, analysis=analysis)
    except InputError:
        return None  # nothing beside the student to compare


def _scores(
    rows: Sequence[SummaryRow],
    comparison: Comparison | None,
    against: str,
    name: str,
    heading: str,
    results: Results | None,
) -> Iterator[Section]:
    several = len({row.task for row in rows}) > 1
    blocks: list[Block] = []
    if several:
        reference = [s for s in published().scores if s.task in {row.task for row in rows}]
        blocks += [tasks_drawing(rows, f"{name}auc", reference)]
        if any(row.pgr is not None for row in rows if row.method not in ENDS):
            blocks += [pgr_drawing(rows, f"{name}pgr", reference)]
        blocks.append(gaps_table(rows, against))
    else:
        blocks += [method_drawing(rows, f"{name}methods")]
    yield Section(
        f"{name}scores",
        f"Who recovers the gap{heading}",
        "Test AUC of every method between weak model and ceiling, and the share of that gap it "
        "recovers (PGR). What the names mean: see below, What each method does.",
        (*blocks, scores_table(rows, results)),
    )
    if comparison is not None and comparison.supervisor_gains:
        yield Section(
            f"{name}gains",
            f"Gains over the supervisor{heading}",
            "Test AUC of a method less that of the weak model that labelled its rows, over all "
            "tasks, whatever their gap: what generalises from weak to strong.",
            (
                *gains_drawing(comparison, rows, f"{name}gains"),
                *supervisor_gain_tables(comparison),
            ),
        )
    if comparison is not None and comparison.methods:
        units = units_of(comparison)[::-1]
        baseline = plain(comparison.against)
        yield Section(
            f"{name}against",
            f"Methods against the {baseline}{heading}",
            f"Test AUC of each method less that of the {baseline}, task by task: what the method "
            "adds.",
            (
                differences_drawing(comparison, f"{name}differences"),
                *(one for unit in units for one in method_tables(comparison, unit)),
                *(task_table(comparison, unit) for unit in units),
            ),
        )


def _pairs(over: Overview, prefix: str) -> Iterator[Section]:
    several = [matrix for matrix in over.matrices if len(matrix.cells) > 1]
    if several:
        yield Section(
            f"{prefix}pairs",
            "All pairs of models",
            "Means over the tasks that count; cells over different tasks do not compare.",
            tuple(table for matrix in several for table in matrix_tables(matrix)),
        )


def _more_than_auc(rows: Sequence[SummaryRow], name: str, heading: str) -> Iterator[Section]:
    blocks = performance_tables(rows)
    if blocks:
        yield Section(
            f"{name}more",
            f"More than AUC{heading}",
            "AUC depends only on the order of the rows. These scores say whether decisions at a "
            "threshold are right, whether probabilities are calibrated, and which groups of rows a "
            "method fails on.",
            blocks,
        )


def _methods(source: Source, prefix: str, describe: Describe) -> Iterator[Section]:
    words: dict[str, str] = {}
    for run in source.runs:
        words = {**describe(run.results), **words}
    table = Table.of_texts(
        "Methods in words",
        ("method", "what predicts the test rows"),
        [
            (name, words.get(name, "A method of this run's own."))
            for name in dict.fromkeys(row.method for row in source.summary)
        ],
    )
    yield Section(
        f"{prefix}what",
        "What each method does",
        "All students are the same strong model, trained in the same way; they differ in the "
        "labels they learn from, or in the loss.",
        (table,),
    )


def _splits(source: Source, prefix: str, _: Overview | None) -> Iterator[Section]:
    first = source.runs[0].results
    tasks = {run.results.task: run.results for run in source.runs}

    def left_out(one: Results) -> str:
        return ", ".join(f"{n:,} {plain(why)}" for why, n in one.dropped.items() if n) or "nothing"

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


def _n_rows(one: Results, *, split: str) -> int:
    return one.splits[split]


def _sweeps(source: Source, prefix: str, _: Overview | None) -> Iterator[Section]:
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
        else "No sweep was part of this run. Add `sweep: {}` to its config and run it again: only "
        "the sweep is computed.",
        tuple(blocks),
    )


def _used(source: Source) -> Used:
    """Layer and setting of the probe methods, where all runs have the same."""
    names = {"knn": "n_neighbors", "logistic": "l2"}
    points = {
        (run.results.layer, *(run.results.config["probes"].get(name) for name in names.values()))
        for run in source.runs
        if run.results.layer is not None and "probes" in run.results.config
    }
    if len(points) != 1:
        return {}
    ((layer, *values),) = points
    found = zip(names, values, strict=True)
    return {probe: (layer, value) for probe, value in found if value is not None}


def _filters(source: Source, prefix: str, _: Overview | None) -> Iterator[Section]:
    found = [
        (run.name, labels) for run in source.runs if (labels := run.strong_train_labels) is not None
    ]
    cards = [card for name, labels in found for card in cards_of(labels, name)]
    if not cards:
        return
    blocks: list[Block] = []
    if any(card["removed"] for card in cards):
        blocks.append(filters_drawing(cards, f"{prefix}filters"))
        overlaps = overlap_drawing([labels for _, labels in found], f"{prefix}overlap")
        blocks += [overlaps] if overlaps else []
    yield Section(
        f"{prefix}labels",
        "What methods did to the labels",
        "Before a student is trained, a filter removes rows and relabelling changes them. Here "
        "both are held against the truth, which no method has seen.",
        (*blocks, tables.labels_table(cards)),
    )


def _indicators(source: Source, prefix: str, over: Overview | None) -> Iterator[Section]:
    if over is None or not over.gains:
        return
    method = over.gains[0].method
    of_auc = [row for row in over.gains if row.unit == "auc" and row.method == method]
    blocks: list[Block] = []
    if len(source.pairs) == 1 and any(row.correlation == row.correlation for row in of_auc):
        tasks: tuple[TaskRow, ...] = task_rows(by_method(by_pair(source.scores)[source.pairs[0]]))
        blocks.append(
            indicators_drawing(of_auc, source.indicators, tasks, method, f"{prefix}indicators")
        )
    yield Section(
        f"{prefix}indicators",
        "What would have predicted the gain",
        "Misfit, subspace overlap and representation gap are computed from activations and weak "
        "labels alone, before any student is trained; CAPA compares the errors of two models on "
        "the test rows. With few tasks, correlations are wide open: look at the intervals.",
        (*blocks, *gain_tables(over.gains)),
    )


def _curves(source: Source, prefix: str, _: Overview | None) -> Iterator[Section]:
    seen: dict[str, pa.Table] = {}
    for run in source.runs:
        if run.curves is not None:
            seen.setdefault(run.results.task, run.curves)
    if not seen:
        return
    shown = list(seen.items())[:MOST_TASK_DRAWINGS]
    more = f" The first {len(shown)} of {len(seen)} tasks." if len(shown) < len(seen) else ""
    yield Section(
        f"{prefix}training",
        "Training curves",
        f"Of the first seed of each task.{more}",
        tuple(
            curves_drawing(curves.to_pylist(), f"{prefix}curves-{number}", task)
            for number, (task, curves) in enumerate(shown, start=1)
        ),
    )


def _audit(source: Source, prefix: str, _: Overview | None) -> Iterator[Section]:
    table = tables.audit_table(source)
    flags = sum(row.cells[1].text == "flag" for row in table.rows)
    count = {0: "No flags", 1: "One flag"}.get(flags, f"{flags} flags")
    yield Section(
        f"{prefix}audit",
        "Audit of the tasks",
        "What could make these results mean something else: baselines of lengths or words that "
        "solve a task, near-duplicates across splits, texts longer than a model reads, a common "
        f"ending of all texts, unbalanced labels. {count if table.rows else 'Nothing was found'}.",
        (table,) if table.rows else (),
    )


def _seeds(comparisons: Sequence[Comparison], prefix: str) -> Iterator[Section]:
    with_seeds = [one for one in comparisons if one.seeds]
    if with_seeds:
        yield Section(
            f"{prefix}seeds",
            "Seeds",
            "The same method, run again on other cuts of the rows or with other seeds: how much "
            "of a difference is luck.",
            tuple(map(seeds_table, with_seeds)),
        )


def _run(source: Source, prefix: str) -> Iterator[Section]:
    first = source.runs[0].results
    facts = {**first.versions, **first.machine}
    failed = [(one.experiment, one.stage, one.error) for one in source.failures] + [
        (run.name, stage, f"no result for {method}")
        for run in source.runs
        for method, stage in run.results.missing.items()
    ]
    blocks: list[Block] = []
    if failed:
        columns = ("where", "stage", "what")
        blocks.append(Table.of_texts("Stages that failed", columns, failed))
    if len(source.runs) > 1:  # of one, the scores have them
        blocks.append(tables.times_table(source))
    blocks.append(Table.of_texts("Versions and machine", ("what", "value"), facts.items()))
    config = source.folder / "config.yaml"
    blocks.append(Code("Config, with every default", _config(config, first.config)))
    yield Section(
        f"{prefix}run",
        "How it was run",
        f"Run it again: w2sprobe run {config.name}",
        tuple(blocks),
    )


def _config(path: Path, fallback: object) -> str:
    if path.is_file():
        return path.read_text(encoding="utf-8")
    return str(yaml.safe_dump(fallback, sort_keys=False, allow_unicode=True))
