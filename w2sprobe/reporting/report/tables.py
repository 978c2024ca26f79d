"""Tables of a report."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from w2sprobe.comparison import Comparison, GainRow, Judgement, SeedRow
from w2sprobe.reporting._cells import interval_text, pvalue
from w2sprobe.reporting.comparison import judgement_text
from w2sprobe.reporting.pages.blocks import Cell, Column, Row, Table, Tone
from w2sprobe.reporting.report.sources import Source
from w2sprobe.reporting.table import with_interval
from w2sprobe.reporting.wording import (
    gap_in_words,
    plain,
    runs_text,
    side_of,
    sources_of_noise,
    with_fewer_seeds,
)
from w2sprobe.results import Interval, SummaryRow

TONES: dict[int, Tone] = {-1: "bad", 0: "", 1: "good"}
OF_JUDGEMENT: dict[Judgement, Tone] = {
    "better": "good",
    "worse": "bad",
    "no difference": "",
    "undecided": "",
}
# factors of `SeedRow.components`: titles of their columns, and words where they stand together
COMPONENTS = {"split": "SD of cuts", "weak": "SD of the supervisor", "strong": "SD of the student"}
WITH = {"weak": "the supervisor", "strong": "the student"}
RUNS = "Runs: cuts of the rows x seeds of the supervisor x seeds of the student."


def scores_table(rows: Sequence[SummaryRow], name: str) -> Table:
    """Every method of every task: AUC, gain, PGR, with intervals."""
    several = len({row.task for row in rows}) > 1
    uneven = bool(with_fewer_seeds(rows))
    runs = uneven or any(row.n_seeds > 1 for row in rows)
    return Table(
        name,
        "Scores of every task and method",
        (
            *((Column("task"),) if several else ()),
            Column("method"),
            *((Column("runs"),) if runs else ()),
            Column("AUC", number=True),
            Column("ΔAUC to weak", number=True),
            Column("PGR", number=True),
            Column("gap", wrap=True),
        ),
        [_score_row(row, several=several, runs=runs) for row in rows],
        f"Brackets: 95 % intervals {sources_of_noise(rows)}. In italics: the gap between weak "
        "model and ceiling is not resolved, too small or too uncertain to be divided by; read "
        "ΔAUC, not PGR. Coloured: the interval of ΔAUC excludes 0, each by itself; the verdict "
        "corrects for the number of methods."
        + (
            " Methods have different runs: do not compare their AUC here, but their differences "
            "to the plain student, which are of the same runs."
            if uneven
            else ""
        )
        + (f" {RUNS}" if runs else ""),
        searchable=len(rows) > 12,
    )


def _score_row(row: SummaryRow, *, several: bool, runs: bool) -> Row:
    ends = row.method in ("weak", "ceiling")
    tone: Tone = "" if ends else TONES[side_of(row.delta_auc_interval)]
    is_ceiling = row.method == "ceiling"
    gap = (f"{row.gap:+.3f}, resolved" if row.resolved else gap_in_words(row)) if is_ceiling else ""
    return Row(
        (
            *((Cell.of(row.task),) if several else ()),
            Cell.of(plain(row.method)),
            *((Cell(runs_text(row), repr(row.n_seeds)),) if runs else ()),
            _with(row.auc, row.auc_interval, 3, signed=False),
            Cell.of("")
            if row.method == "weak"
            else _with(row.delta_auc, row.delta_auc_interval, 3, tone),
            Cell.of("") if ends else _pgr(row),
            Cell(gap, repr(row.gap) if gap else ""),
        ),
        unresolved=not row.resolved,
    )


def _pgr(row: SummaryRow) -> Cell:
    if row.pgr is None:
        return Cell.number(None, "")
    single = row.auc_interval is None  # no interval, rather than one without bounds
    text = f"{row.pgr:+.2f}" if single else with_interval(row.pgr, row.pgr_interval, 2)
    return Cell.number(row.pgr, text)


def _with(
    value: float, interval: Interval | None, digits: int, tone: Tone = "", *, signed: bool = True
) -> Cell:
    if interval is None:
        return Cell.number(value, f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}", tone)
    if signed:
        return Cell.number(value, with_interval(value, interval, digits), tone)
    return Cell.number(value, f"{value:.{digits}f} {interval_text(interval, digits)}", tone)


def comparison_table(comparison: Comparison, unit: str, name: str) -> Table:
    """Every method less the one it is compared with, over tasks."""
    word, digits = {"pgr": ("PGR", 2), "auc": ("AUC", 3)}[unit]
    rows = [row for row in comparison.methods if row.unit == unit]
    return Table(
        name,
        f"{word}: difference to {plain(comparison.against)}, over tasks",
        (
            Column("method"),
            Column("tasks", number=True),
            Column("runs", number=True),
            Column("wins", number=True),
            Column("losses", number=True),
            Column("mean", number=True),
            Column("t p (Holm)", number=True),
            Column("verdict"),
            Column("MDE", number=True),
            Column("median", number=True),
            Column("Wilcoxon p (Holm)", number=True),
            Column("sign p (Holm)", number=True),
            *((Column("TOST p (Holm)", number=True),) if unit == "auc" else ()),
        ),
        [
            Row(
                (
                    Cell.of(plain(row.method) + ("" if row.primary else " (outside the family)")),
                    Cell.number(row.n, f"{row.n} of {row.n_shown}"),
                    Cell.number(row.n_runs, str(row.n_runs)),
                    Cell.number(row.wins, str(row.wins)),
                    Cell.number(row.losses, str(row.losses)),
                    _over_tasks(row.mean, row.mean_interval, digits),
                    Cell.number(row.t_pvalue, pvalue(row.t_pvalue, row.t_holm)),
                    _verdict(row.verdict, comparison),
                    Cell.number(row.detectable, f"{row.detectable:.{digits}f}"),
                    Cell.number(row.median, f"{row.median:+.{digits}f}"),
                    Cell.number(
                        row.wilcoxon_pvalue, pvalue(row.wilcoxon_pvalue, row.wilcoxon_holm)
                    ),
                    Cell.number(row.sign_pvalue, pvalue(row.sign_pvalue, row.sign_holm)),
                    *(
                        (
                            Cell.number(
                                row.equivalence_pvalue,
                                pvalue(row.equivalence_pvalue, row.equivalence_holm),
                            ),
                        )
                        if unit == "auc"
                        else ()
                    ),
                )
            )
            for row in rows
        ],
        f"p: {comparison.analysis.alternative}; in parentheses adjusted by Holm for the "
        f"{sum(row.primary for row in rows)} methods of the primary family. Brackets: Student's t "
        "intervals over tasks, 95 %. Runs: over all tasks, those that both methods have. MDE: "
        "smallest true mean difference that the t test finds with a power of 80 %"
        + (" at the first level of Holm" if any(row.primary for row in rows) else "")
        + ". Verdict: by the t test; outside the family not corrected."
        + (
            f" TOST p: small where the mean surely lies within ±{comparison.analysis.margin:g}."
            if unit == "auc"
            else " Only tasks with a resolved gap count."
        ),
    )


def _verdict(said: Judgement, comparison: Comparison) -> Cell:
    text = judgement_text(said, comparison.analysis)
    return Cell(text, text, OF_JUDGEMENT[said])


def _over_tasks(value: float, interval: Interval, digits: int) -> Cell:
    if math.isnan(value) or math.isnan(interval[0]):
        return Cell.number(value, f"{value:+.{digits}f}")
    return _with(value, interval, digits)


def gains_table(comparison: Comparison, name: str) -> Table:
    """Gain of every method over the weak model, over tasks."""
    rows = comparison.supervisor_gains
    n_primary = sum(row.primary for row in rows)
    return Table(
        name,
        "AUC gain over the weak model, over tasks",
        (
            Column("method"),
            *(Column(title, number=True) for title in ("tasks", "wins", "losses", "mean")),
            Column("t p (Holm)", number=True),
            Column("verdict"),
            *(Column(title, number=True) for title in ("pooled mean", "tau", "slope", "PGR")),
        ),
        [
            Row(
                (
                    Cell.of(plain(row.method)),
                    *(Cell.number(n, str(n)) for n in (row.n, row.wins, row.losses)),
                    _over_tasks(row.mean, row.mean_interval, 3),
                    Cell.number(row.t_pvalue, pvalue(row.t_pvalue, row.t_holm)),
                    _verdict(row.verdict, comparison),
                    _over_tasks(row.pooled_mean, row.pooled_interval, 3),
                    Cell.number(row.tau, f"{row.tau:.3f}"),
                    _over_tasks(row.slope, row.slope_interval, 2),
                    Cell.number(row.pgr, with_interval(row.pgr, row.pgr_interval, 2))
                    if row.n_pgr > 1
                    else Cell.number(row.pgr, f"{row.pgr:+.2f}"),
                )
            )
            for row in rows
        ],
        "Brackets: 95 %, Student's t over tasks. p: two-sided"
        + (f"; in parentheses adjusted by Holm for {n_primary} competitors" if n_primary else "")
        + f". The {plain(comparison.against)} is one question, asked before all others; p values "
        "of controls are not corrected. Pooled mean: of a task with the mean gap, in a model where "
        "noisy tasks weigh less; tau: standard deviation of true gains over tasks, around it; "
        "slope: gain for each unit of gap, biased by the noise of the gap. PGR: sum of gains over "
        "sum of gaps, Fieller's interval.",
    )


def task_gains_table(
    comparison: Comparison, rows: Sequence[SummaryRow], name: str
) -> Iterator[Table]:
    """Gain of the baseline on every task, as measured and as pooled."""
    measured = {row.task: row for row in rows if row.method == comparison.against}
    gaps = {row.task: row for row in comparison.tasks}
    for gain in comparison.supervisor_gains:
        if gain.method != comparison.against:
            continue
        shrunken = any(not math.isnan(task.shrunken_interval[0]) for task in gain.tasks)
        yield Table(
            name,
            f"AUC gain of the {plain(gain.method)} over the weak model, task by task",
            (
                Column("task"),
                *(Column(title, number=True) for title in ("gap", "gain", "p")),
                *((Column("shrunken", number=True),) if shrunken else ()),
            ),
            [
                Row(
                    (
                        Cell.of(task.task),
                        Cell.number(gaps[task.task].gap, f"{gaps[task.task].gap:+.3f}"),
                        _with(
                            task.gain,
                            measured[task.task].delta_auc_interval
                            if task.task in measured
                            else None,
                            3,
                        ),
                        _task_pvalue(measured.get(task.task)),
                        *(
                            (_over_tasks(task.shrunken, task.shrunken_interval, 3),)
                            if shrunken
                            else ()
                        ),
                    )
                )
                for task in gain.tasks
            ],
            f"Gain: measured, with its 95 % interval {sources_of_noise(list(measured.values()))}; "
            "p: two-sided, each by itself."
            + (
                " Shrunken: drawn towards the model of all tasks, the more the noisier the task "
                "is; its interval uses what other tasks say."
                if shrunken
                else ""
            ),
        )


def _task_pvalue(row: SummaryRow | None) -> Cell:
    value = None if row is None else row.delta_auc_pvalue
    return Cell.number(value, "" if value is None else pvalue(value))


def seeds_table(comparison: Comparison, name: str) -> Table:
    """How much one run differs from the next, and what part cuts and seeds have in it."""
    parted = any(row.components for row in comparison.seeds)
    return Table(
        name,
        "Noise of seeds",
        (
            Column("method"),
            Column("unit"),
            Column("tasks", number=True),
            Column("runs", number=True),
            Column("SD of a run", number=True),
            *(Column(title, number=True) for title in COMPONENTS.values() if parted),
            Column("SD of tasks", number=True),
            Column("noise of a mean difference", number=True),
            Column("A/A difference", number=True),
            Column("A/A t p", number=True),
        ),
        [
            Row(
                (
                    Cell.of(plain(row.method)),
                    Cell.of(row.unit.upper()),
                    Cell.number(row.n_tasks, str(row.n_tasks)),
                    Cell.number(row.n_scores, str(row.n_scores)),
                    _with(row.seed_sd, row.seed_sd_interval, 3, signed=False),
                    *(_component(row, name) for name in COMPONENTS if parted),
                    Cell.number(row.task_sd, f"{row.task_sd:.3f}"),
                    Cell.number(row.noise_of_mean, f"{row.noise_of_mean:.3f}"),
                    _over_tasks(row.aa.mean, row.aa.mean_interval, 3),
                    Cell.number(row.aa.t_pvalue, pvalue(row.aa.t_pvalue)),
                )
            )
            for row in comparison.seeds
        ],
        "SD of a run: standard deviation of one run within a task."
        + (
            " SD of cuts, of the supervisor and of the student: the parts of it that cuts of the "
            "rows and seeds of the two models add; what never varied apart stands together."
            if parted
            else ""
        )
        + " A/A: one seed of a method less another seed of the same method: a difference between "
        "methods that is no larger says nothing.",
    )


def _component(row: SeedRow, factor: str) -> Cell:
    """Standard deviation of a factor; of several that never vary apart, beside the first."""
    for part in row.components:
        names = part.name.split(", ")
        if names[0] == factor:
            rest = [WITH[name] for name in names[1:]]
            text = f"{part.sd:.3f}" + (f" (with {' and '.join(rest)})" if rest else "")
            return Cell.number(part.sd, text)
    return Cell.number(None, "")


def indicators_table(rows: Sequence[GainRow], name: str) -> Table:
    """Rank correlation of what is said to predict the gain with the gain."""
    words = {"auc": "ΔAUC", "pgr": "PGR"}
    return Table(
        name,
        "Indicators and the measured gain: Spearman's correlation over tasks",
        (
            Column("indicator"),
            Column("method"),
            Column("gain in"),
            Column("points", number=True),
            Column("correlation", number=True),
            Column("p (Holm)", number=True),
        ),
        [
            Row(
                (
                    Cell.of(plain(row.indicator)),
                    Cell.of(plain(row.method)),
                    Cell.of(words[row.unit]),
                    Cell.number(row.n, str(row.n)),
                    _correlation(row),
                    Cell.number(row.pvalue, pvalue(row.pvalue, row.holm)),
                )
            )
            for row in rows
        ],
        "p: two-sided, by permutation; in parentheses adjusted by Holm. PGR shares the weak AUC "
        "and the ceiling with many indicators: prefer ΔAUC.",
    )


def _correlation(row: GainRow) -> Cell:
    if math.isnan(row.interval[0]):
        return Cell.number(row.correlation, f"{row.correlation:+.2f}")
    return _with(row.correlation, row.interval, 2, TONES[side_of(row.interval)])


def audit_table(source: Source, name: str) -> Table:
    """What the audits of the tasks found."""
    found = dict.fromkeys(
        (run.results.task, finding.level, finding.kind, finding.message)
        for run in source.runs
        for finding in run.results.audit
    )
    tones: dict[str, Tone] = {"flag": "bad"}
    return Table(
        name,
        "Findings of the audits",
        (Column("task"), Column("level"), Column("kind"), Column("finding", wrap=True)),
        [
            Row(
                (
                    Cell.of(task),
                    Cell(level, level, tones.get(level, "")),
                    Cell.of(kind),
                    Cell.of(message),
                )
            )
            for task, level, kind, message in found
        ],
        "A flag makes results doubtful, a warning may, a note informs.",
    )


def times_table(source: Source, name: str) -> Table:
    """What each method's stages took."""
    return Table(
        name,
        "Rows and times",
        (
            Column("task"),
            Column("method"),
            Column("rows kept", number=True),
            Column("of", number=True),
            Column("seconds", number=True),
        ),
        [
            Row(
                (
                    Cell.of(run.name),
                    Cell.of(
                        plain(row.method)
                        + (
                            f" (same labels and run as {row.same_run_as})"
                            if row.same_run_as
                            else ""
                        )
                    ),
                    Cell.number(row.rows_kept, f"{row.rows_kept:,}"),
                    Cell.number(row.rows_offered, f"{row.rows_offered:,}"),
                    Cell.number(row.seconds, f"{row.seconds:,.1f}"),
                )
            )
            for run in source.runs
            for row in run.results.rows
        ],
        "Seconds by the clock of a method's own stages, whatever else the machine did just then; "
        "activations and weak labels are shared by all.",
        searchable=True,
    )


def labels_table(cards: Sequence[Mapping[str, Any]], name: str) -> Table:
    """What each method did to the weak labels, against truth."""
    several = len({card["run"] for card in cards}) > 1
    steps = any(card["step"] for card in cards)
    return Table(
        name,
        "Labels before and after each method",
        (
            *((Column("run"),) if several else ()),
            Column("method"),
            *((Column("step"),) if steps else ()),
            Column("rows", number=True),
            Column("wrong before", number=True),
            Column("wrong after", number=True),
            Column("removed", number=True),
            Column("of these wrong", number=True),
            Column("of the wrong removed", number=True),
            Column("flipped", number=True),
            Column("flips that are right", number=True),
            Column("ones before", number=True),
            Column("ones after", number=True),
        ),
        [
            Row(
                (
                    *((Cell.of(card["run"]),) if several else ()),
                    Cell.of(plain(card["method"])),
                    *((Cell.of(plain(card["step"])),) if steps else ()),
                    _count(card["offered"]),
                    _share(card["noise_before"]),
                    _share(card["noise_after"]),
                    _count(card["removed"]),
                    _share(card["precision"]),
                    _share(card["recall"]),
                    _count(card["flipped"]),
                    _share(card["flips_right"]),
                    _share(card["ones_before"]),
                    _share(card["ones_after"]),
                )
            )
            for card in cards
        ],
        "Rows of strong-train; hard labels, soft label above .5. A random filter's precision is "
        "the share that is wrong before, on average.",
        searchable=len(cards) > 12,
    )


def _count(value: int | None) -> Cell:
    return Cell.number(value, f"{value:,}" if value is not None else "")


def _share(value: float | None) -> Cell:
    return Cell.number(value, f"{value:.3f}" if value is not None else "")
