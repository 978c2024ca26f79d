"""Texts that tables and drawings of a report share."""

from collections.abc import Sequence

from w2sprobe.reporting.numbers import pvalue
from w2sprobe.results import Interval, SummaryRow

STUDENT = "student"
ENDS = ("weak", "ceiling")
ON_TRUTH = "on_truth"  # ending of the names of methods that are fitted on true labels


def plain(method: str) -> str:
    """A method's name as words.

    Examples
    --------
    >>> plain("strong_to_strong_1")
    'strong to strong 1'
    """
    return method.replace("_", " ")


def p_text(value: float) -> str:
    """A p value in a sentence.

    Examples
    --------
    >>> p_text(0.0421), p_text(0.0002)
    ('p = 0.042', 'p < 0.001')
    """
    text = pvalue(value)
    return f"p < {text[1:]}" if text.startswith("<") else f"p = {text}"


def counted(n: int, noun: str) -> str:
    """A number and what it counts.

    Examples
    --------
    >>> counted(1, "task"), counted(8, "task")
    ('1 task', '8 tasks')
    """
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def side_of(interval: Interval | None) -> int:
    """1 if an interval is above 0, -1 if below, 0 if it contains 0 or is unknown.

    Examples
    --------
    >>> side_of((0.01, 0.05)), side_of((-0.2, -0.1)), side_of((-0.1, 0.1)), side_of(None)
    (1, -1, 0, 0)
    """
    if interval is None:
        return 0
    return int(interval[0] > 0) - int(interval[1] < 0)


def gap_text(ceiling: SummaryRow) -> str:
    """Gap between weak model and ceiling, with its standard error if it is known."""
    se = "" if ceiling.gap_se is None else f" (SE {ceiling.gap_se:.3f})"
    return f"{ceiling.gap:+.3f}{se}"


def why_unresolved(ceiling: SummaryRow) -> str:
    """Why the gap of a ceiling is not resolved, and what would resolve it.

    Empty for results of earlier versions, which have no standard errors.
    """
    if ceiling.gap <= 0:
        return "the ceiling is not above the weak model"
    if ceiling.gap_se is None:
        return ""
    if ceiling.rows_needed is None:
        return "too small, whatever the number of test rows"
    if ceiling.rows_needed <= ceiling.n_test_rows:
        return "seeds differ too much; more of them may resolve it"
    return f"about {ceiling.rows_needed:,} test rows would resolve it"


def runs_text(row: SummaryRow) -> str:
    """Number of runs, as cuts of the rows x supervisor seeds x learner seeds.

    A single number for 1 run, and for results of earlier versions, which have no more.
    """
    levels = _levels(row)
    if levels is None or row.n_seeds == 1:
        return str(row.n_seeds)
    return f"{counted(levels[0], 'cut')} x {levels[1]} x {levels[2]}"


def noise_in_words(row: SummaryRow, subject: str = "Intervals", n_rows: str = "") -> str:
    """One or two sentences on the noise that the intervals of a row cover and do not cover.

    Parameters
    ----------
    subject : str
        Name of these intervals, to begin the sentence.
    n_rows : str, optional
        Text for the number of test rows; default: that of the row.
    """
    rows = f"{n_rows or f'{row.n_test_rows:,}'} test rows"
    levels = _levels(row)
    if levels is None:
        return f"{subject} are 95 % over {rows}" + (
            f" and {row.n_seeds} runs." if row.n_seeds > 1 else "."
        )
    factors = ("cut of the rows", "seed of the supervisor", "seed of the student")
    plurals = ("cuts of the rows", "seeds of the supervisor", "seeds of the student")
    # the outermost factor with several values is covered, with all inside it
    first = next((level for level, n in enumerate(levels) if n > 1), len(levels))
    known, retrained = rows, ("models", "student", "")
    if first < len(levels):
        known += f" and {levels[first]} {plurals[first]}"
        inner = [
            f"{levels[level]} {plurals[level]}"
            for level in range(first + 1, len(levels))
            if levels[level] > 1
        ]
        if inner:
            known += f", with {' and '.join(inner)} in each"
        elif retrained[first]:
            known += f", each with its own {retrained[first]}"
    if first == 0:
        return f"{subject} are 95 % over {known}."
    unknown = factors[:first]
    listed = " or ".join(filter(None, (", ".join(unknown[:-1]), unknown[-1])))
    return (
        f"{subject} are 95 % over {known}. They do not cover how much another {listed} would "
        f"change the results: only {'one was' if first == 1 else 'one of each was'} run."
    )


def _levels(row: SummaryRow) -> tuple[int, int, int] | None:
    """Cuts, seeds of the supervisor, seeds of the learner; None in files of earlier versions."""
    if row.n_cuts is None or row.n_supervisor_seeds is None or row.n_learner_seeds is None:
        return None
    return row.n_cuts, row.n_supervisor_seeds, row.n_learner_seeds


def sources_of_noise(rows: Sequence[SummaryRow]) -> str:
    """Sources of noise that the intervals of some rows cover, for captions."""
    several = [_levels(row) for row in rows if row.n_seeds > 1]
    if not several:
        return "over test rows"
    if None in several:
        return "over test rows and runs"
    cuts = any(levels is not None and levels[0] > 1 for levels in several)
    return "over test rows, cuts and seeds" if cuts else "over test rows and seeds"


def with_fewer_seeds(rows: Sequence[SummaryRow]) -> list[str]:
    """Methods with fewer runs than the ceiling of the same task.

    Parameters
    ----------
    rows : sequence of SummaryRow
        Scores of one pair of models.
    """
    whole = {row.task: row.n_seeds for row in rows if row.method == "ceiling"}
    return list(dict.fromkeys(row.method for row in rows if row.n_seeds < whole.get(row.task, 0)))
