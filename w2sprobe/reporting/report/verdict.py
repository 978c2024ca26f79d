"""What results say, in sentences: first the answer, then how sure it is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from w2sprobe.comparison import Comparison, MethodRow
from w2sprobe.reporting.table import with_interval
from w2sprobe.results import Interval, SummaryRow

STUDENT = "student"
ON_TRUTH = "on_truth"  # at the end of names of methods that saw the truth
SURE = 0.05  # of a p value after Holm


@dataclass(frozen=True)
class Verdict:
    """Sentences of a report's head.

    Parameters
    ----------
    answer : str
        Is there weak-to-strong generalisation?
    grounds : tuple of str
        Which methods help, how sure we are.
    figures : tuple of (str, str)
        The numbers that the answer stands on, with their names.
    """

    answer: str
    grounds: tuple[str, ...]
    figures: tuple[tuple[str, str], ...] = ()


def plain(method: str) -> str:
    """A method's name as words.

    Examples
    --------
    >>> plain("strong_to_strong_1")
    'strong to strong 1'
    """
    return method.replace("_", " ")


def verdict_on_task(rows: Sequence[SummaryRow]) -> Verdict:
    """Of one task and pair of models.

    Parameters
    ----------
    rows : sequence of SummaryRow
        Of its methods, weak model and ceiling among them.

    Returns
    -------
    Verdict
    """
    by_method = {row.method: row for row in rows}
    ceiling = by_method["ceiling"]
    names = {"weak": "weak model", STUDENT: "student", "ceiling": "ceiling"}
    figures = [
        (f"test AUC, {words}", f"{by_method[name].auc:.3f}")
        for name, words in names.items()
        if name in by_method
    ]
    student = by_method.get(STUDENT)
    if student and student.pgr is not None and student.resolved:
        figures.append(("PGR of the student: 0 weak, 1 ceiling", f"{student.pgr:+.2f}"))
    return Verdict(_answer(by_method), tuple(_grounds(by_method, ceiling)), tuple(figures))


def _answer(by_method: dict[str, SummaryRow]) -> str:
    weak, ceiling = by_method["weak"], by_method["ceiling"]
    ends = f"from {weak.auc:.3f} (weak) to {ceiling.auc:.3f} (ceiling)"
    if not ceiling.resolved:
        return f"This task cannot answer: {gap_in_words(ceiling)}, {ends}."
    student = by_method.get(STUDENT)
    if student is None:
        return f"No plain student was trained; the gap to recover goes {ends}."
    change = _change(student)
    share = "" if student.pgr is None else f" PGR {_pgr(student)}."
    side = side_of(student.delta_auc_interval)
    if side > 0:
        return (
            "Yes, the student generalises beyond its weak supervisor: its test AUC is "
            f"{change} above, where the gap goes {ends}.{share}"
        )
    if side < 0:
        return (
            "No: the student ends below the weak model that labelled its rows, by "
            f"{change} in test AUC, where the gap goes {ends}.{share}"
        )
    return (
        "Undecided: the student is not clearly above or below its weak supervisor; the difference "
        f"is {change} in test AUC, where the gap goes {ends}.{share}"
    )


def _grounds(by_method: dict[str, SummaryRow], ceiling: SummaryRow) -> Iterator[str]:
    methods = [row for name, row in by_method.items() if name not in ("weak", "ceiling", STUDENT)]
    methods = [row for row in methods if not row.method.endswith(ON_TRUTH)]
    above = [row for row in methods if side_of(row.delta_auc_interval) > 0]
    below = [row for row in methods if side_of(row.delta_auc_interval) < 0]
    if methods:
        best = max(methods, key=lambda row: row.auc)
        yield (
            f"Of {len(methods)} other methods that see no true labels, {len(above)} "
            f"{'is' if len(above) == 1 else 'are'} above the weak model beyond the noise of test "
            f"rows{_named(above)}, {len(below)} below{_named(below)}, "
            f"{len(methods) - len(above) - len(below)} undecided. "
            f"Highest: {plain(best.method)}, {best.auc:.3f} ({_change(best)}"
            + (f", PGR {_pgr(best)}" if best.pgr is not None and best.resolved else "")
            + "); the more are looked at, the more are above by luck."
        )
    control = [row for row in methods if row.method.startswith("random")]
    if control:
        base = fmean(row.auc for row in control)
        filters = [row for row in methods if "filter" in row.method and row not in control]
        yield (
            f"A student on rows left by chance, the filters' control, has a test AUC of {base:.3f}"
            + "".join(f"; {plain(row.method)} is {row.auc - base:+.3f} from it" for row in filters)
            + "."
        )
    seeds = f"{ceiling.n_seeds} seeds" if ceiling.n_seeds > 1 else "one seed"
    left_out = "" if ceiling.n_seeds > 1 else ", and leave out the noise of training"
    yield (
        f"One task, {seeds}, {ceiling.n_test_rows:,} test rows: intervals are 95 % over test rows"
        f"{left_out}. What holds here need not hold on another task."
    )


def verdict_on_study(rows: Sequence[SummaryRow], comparison: Comparison | None) -> Verdict:
    """Of several tasks and one pair of models.

    Parameters
    ----------
    rows : sequence of SummaryRow
    comparison : Comparison or None
        Of the methods with the student; None where nothing can be compared.

    Returns
    -------
    Verdict
    """
    ceilings = [row for row in rows if row.method == "ceiling"]
    students = [row for row in rows if row.method == STUDENT]
    n = len(ceilings)
    if not any(row.resolved for row in ceilings):
        return Verdict(
            f"None of the {n} tasks has a gap between weak model and ceiling that is large and "
            "sure enough to say what part of it was recovered.",
            tuple(_study_grounds(rows, comparison)),
        )
    if not students:
        return Verdict("No plain student was trained.", tuple(_study_grounds(rows, comparison)))
    up = [row for row in students if side_of(row.delta_auc_interval) > 0]
    down = [row for row in students if side_of(row.delta_auc_interval) < 0]
    values = [row.pgr for row in students if row.resolved and row.pgr is not None]
    head = "Yes, in part" if len(up) > len(down) else "No" if len(down) > len(up) else "Undecided"
    if len(up) == len(students):
        head = "Yes"
    answer = (
        f"{head}: of {len(students)} tasks the student is above its weak supervisor beyond noise "
        f"on {len(up)}, below on {len(down)}, undecided on {len(students) - len(up) - len(down)}. "
    )
    figures = [
        ("tasks with a resolved gap", f"{sum(row.resolved for row in ceilings)} of {n}"),
        ("tasks with the student above / below", f"{len(up)} / {len(down)}"),
    ]
    if values:
        mean, middle = f"{fmean(values):+.2f}", f"{median(values):+.2f}"
        answer += (
            f"On the {len(values)} with a resolved gap its PGR has mean {mean} and median {middle}."
        )
        figures += [
            ("mean PGR of the student", mean),
            ("median PGR of the student", middle),
        ]
    else:
        answer += "None of these has a resolved gap, so there is no PGR to average."
    return Verdict(answer, tuple(_study_grounds(rows, comparison)), tuple(figures))


def _study_grounds(rows: Sequence[SummaryRow], comparison: Comparison | None) -> Iterator[str]:
    if comparison is not None:
        of_auc = [row for row in comparison.methods if row.unit == "auc" and row.n > 1]
        fair = [row for row in of_auc if not row.method.endswith(ON_TRUTH)]
        better = [row for row in fair if row.t_holm < SURE]
        worse = [row for row in fair if row.mean_interval[1] < 0]
        if fair:
            best = max(fair, key=lambda row: row.mean)
            yield (
                (
                    f"Better than the {plain(comparison.against)} after correction for "
                    f"{len(of_auc)} methods: {_listed(better)}."
                    if better
                    else f"No method is better than the {plain(comparison.against)} after "
                    f"correction for {len(of_auc)} methods."
                )
                + f" Highest mean difference: {plain(best.method)}, "
                f"{with_interval(best.mean, best.mean_interval, 3)} AUC over {best.n} tasks "
                f"({best.wins} of them above)."
                + (f" Worse, by an interval over tasks below 0: {_listed(worse)}." if worse else "")
            )
        if len(fair) < len(of_auc):
            yield (
                "For scale, probes that saw the true labels: "
                + _listed([row for row in of_auc if row not in fair])
                + "."
            )
    ceilings = [row for row in rows if row.method == "ceiling"]
    unresolved = [row for row in ceilings if not row.resolved]
    if unresolved:
        yield (
            f"{len(unresolved)} of {len(ceilings)} tasks have no resolved gap and are left out of "
            f"every mean PGR, not out of AUC: {', '.join(row.task for row in unresolved)}."
        )
    seeds = sorted({row.n_seeds for row in ceilings})
    fewer = with_fewer_seeds(rows)
    have = "method has" if len(fewer) == 1 else "methods have"
    yield (
        f"{len(ceilings)} tasks, {' or '.join(map(str, seeds))} "
        f"{'seed' if seeds == [1] else 'seeds'} each"
        + (f" ({len(fewer)} {have} fewer)" if fewer else "")
        + ". Intervals of a task are over test rows"
        + (" and seeds" if seeds[-1] > 1 else ", and leave out the noise of training")
        + "; those of a mean are over tasks."
    )


def with_fewer_seeds(rows: Sequence[SummaryRow]) -> list[str]:
    """Methods that were not run with every seed of a ceiling.

    Parameters
    ----------
    rows : sequence of SummaryRow
        Of one pair of models.

    Returns
    -------
    list of str
    """
    whole = {row.task: row.n_seeds for row in rows if row.method == "ceiling"}
    return list(dict.fromkeys(row.method for row in rows if row.n_seeds < whole.get(row.task, 0)))


def gap_in_words(ceiling: SummaryRow) -> str:
    """Why a gap is not resolved, and what it would take.

    Parameters
    ----------
    ceiling : SummaryRow
        Of a ceiling.

    Returns
    -------
    str
    """
    size = f"its gap is {ceiling.gap:+.3f}"
    if ceiling.gap_se is not None:
        size += f" (SE {ceiling.gap_se:.3f})"
    if ceiling.gap <= 0:
        return f"{size}: the ceiling is not above the weak model"
    if ceiling.rows_needed is None:
        return f"{size}, too small whatever the number of test rows"
    if ceiling.rows_needed <= ceiling.n_test_rows:
        return f"{size}: seeds differ too much"
    return f"{size}; about {ceiling.rows_needed:,} test rows would resolve it"


def side_of(interval: Interval | None) -> int:
    """1 where an interval is above 0, -1 where below, 0 where it holds 0 or is not known.

    Examples
    --------
    >>> side_of((0.01, 0.05)), side_of((-0.2, -0.1)), side_of((-0.1, 0.1)), side_of(None)
    (1, -1, 0, 0)
    """
    if interval is None:
        return 0
    return int(interval[0] > 0) - int(interval[1] < 0)


def _change(row: SummaryRow) -> str:
    if row.delta_auc_interval is None:
        return f"{row.delta_auc:+.3f}"
    return with_interval(row.delta_auc, row.delta_auc_interval, 3)


def _pgr(row: SummaryRow) -> str:
    return with_interval(row.pgr or 0.0, row.pgr_interval, 2)


def _named(rows: Sequence[SummaryRow]) -> str:
    return f" ({', '.join(plain(row.method) for row in rows)})" if rows else ""


def _listed(rows: Sequence[MethodRow]) -> str:
    return ", ".join(
        f"{plain(row.method)} {with_interval(row.mean, row.mean_interval, 3)}" for row in rows
    )
