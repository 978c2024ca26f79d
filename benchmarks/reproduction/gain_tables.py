"""Tables of gains over the supervisor, and of differences to the baseline."""

import math
from collections.abc import Iterator, Mapping

from benchmarks.reproduction.markdown import NOT_RUN, TESTS, Table, short, tests
from benchmarks.reproduction.study import WEAK_TO_WEAK, Row, Study
from w2sprobe.comparison import Comparison, Difference, Pair, SupervisorGain
from w2sprobe.metrics import detectable_effect, holm
from w2sprobe.reporting.numbers import number, pvalue, with_interval


def overall(study: Study, compared: Mapping[Pair, Comparison]) -> Table:
    """A row a supervisor: the baseline's gain over tasks, beside its two controls."""
    found = {
        pair: {row.method: row for row in comparison.supervisor_gains}
        for pair, comparison in compared.items()
    }
    found = {pair: rows for pair, rows in found.items() if study.against in rows}
    adjusted = holm([rows[study.against].t_pvalue for rows in found.values()])
    header = ["supervisor", "tasks above", "gain", "p", "MDE", "pooled PGR"]
    header += ["gain of noise control", "its pooled PGR", "student less weak-to-weak"]
    return Table(
        f"Test AUC of {study.against} less its supervisor's, means over tasks [Student's t, 95 %], "
        f"and its controls; in parentheses p by Holm over {len(found)} supervisors:",
        header,
        [
            _overall_row(study, pair, rows, float(p))
            for (pair, rows), p in zip(found.items(), adjusted, strict=True)
        ],
    )


def _overall_row(
    study: Study, pair: Pair, rows: Mapping[str, SupervisorGain], adjusted: float
) -> list[str]:
    own = rows[study.against]
    capacity = NOT_RUN
    if study.has(pair, WEAK_TO_WEAK):
        (row,) = study.compared(pair, WEAK_TO_WEAK, [study.against]).methods
        difference = with_interval(row.mean, row.mean_interval, 3)
        capacity = f"{difference}, p = {pvalue(row.t_pvalue)}"
    return [
        study.supervisor(pair),
        f"{own.wins} of {own.n}",
        with_interval(own.mean, own.mean_interval, 3),
        pvalue(own.t_pvalue, adjusted),
        number(_detectable(own, study.analysis.alpha)),
        _pooled_pgr(own),
        *_of_control(rows.get(study.noise)),
        capacity,
    ]


def _of_control(row: SupervisorGain | None) -> list[str]:
    if row is None:
        return [NOT_RUN, NOT_RUN]
    return [with_interval(row.mean, row.mean_interval, 3), _pooled_pgr(row)]


def _pooled_pgr(row: SupervisorGain) -> str:
    """Sum of gains by sum of gaps to the learner's own ceiling."""
    if row.n_own_pgr:
        return with_interval(row.own_pgr, row.own_pgr_interval, 2)
    return with_interval(row.pgr, row.pgr_interval, 2)


def _detectable(row: Difference, level: float) -> float:
    """Smallest true mean that the t test finds in 80 % of such studies."""
    return detectable_effect(row.sd, row.n, alpha=level) if row.sd > 0 else math.nan


def ends(study: Study, pair: Pair) -> Table:
    """A row a task: supervisor, student, ceiling, gain and PGR, and the controls."""
    rows = []
    for task, by in study.means(pair).items():
        student = by.get(study.against)
        own = by.get(student["own_ceiling"] or "ceiling") if student else None
        rows.append(
            [
                short(task),
                number(by["weak"]["auc"]),
                *(NOT_RUN if row is None else number(row["auc"]) for row in (student, own)),
                *(
                    cell
                    for name in (study.against, study.noise)
                    for cell in _gain_and_pgr(by.get(name))
                ),
                _gain_and_pgr(by.get(WEAK_TO_WEAK))[0],
            ]
        )
    header = [
        "task",
        "supervisor",
        "student",
        "own ceiling",
        "gain",
        "PGR",
        "gain of noise control",
    ]
    header += ["its PGR", "weak-to-weak gain"]
    return Table(
        f"{study.supervisor(pair)}: test AUC of each task, means over cuts [95 %, over cuts and "
        f"test rows]; student: {study.against}; PGR by its own ceiling:",
        header,
        rows,
    )


def _gain_and_pgr(row: Row | None) -> tuple[str, str]:
    if row is None:
        return NOT_RUN, NOT_RUN
    of = "own_" if row["own_ceiling"] else ""  # otherwise the study's ceiling is its own
    gain = with_interval(row["delta_auc"], _interval(row, "delta_auc"), 3)
    if not row[f"{of}resolved"] or row[f"{of}pgr"] is None:
        return gain, "gap not resolved"
    return gain, with_interval(row[f"{of}pgr"], _interval(row, f"{of}pgr"), 2)


def _interval(row: Row, name: str) -> tuple[float, float] | None:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return None if low is None or high is None else (low, high)


def differences(study: Study, pair: Pair, comparison: Comparison) -> Iterator[Table]:
    """Every method less the baseline, over tasks: the family, then the others."""
    n_family = sum(row.primary for row in comparison.methods)
    for family in (True, False):
        yield Table(
            f"{study.supervisor(pair)}: test AUC less that of {comparison.against}, over tasks, "
            f"{_of_family(n_family, family=family)}:",
            ["method", *TESTS],
            [
                [row.method, *tests(row, row.t_holm, row.equivalence_holm, row.detectable)]
                for row in comparison.methods
                if row.primary == family
            ],
        )


def _of_family(n: int, *, family: bool) -> str:
    if family:
        return f"family of {n}; in parentheses p by Holm"
    return "baseline, controls and others outside the family; p not corrected"
