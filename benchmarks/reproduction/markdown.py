"""What all tables share: their form, and the cells of a test over tasks."""

from collections.abc import Sequence
from dataclasses import dataclass

from w2sprobe.comparison import MethodRow
from w2sprobe.metrics import TaskMean
from w2sprobe.reporting.numbers import number, pvalue, with_interval

NOT_RUN = "not run"
TESTS = ("above / below", "mean", "p", "MDE", "TOST p", "verdict")
PROBES = {"logistic": "logistic", "knn": "kNN"}


@dataclass(frozen=True)
class Table:
    """A title and rows of cells; none where the study has nothing for it. `str` writes Markdown."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        return f"{self.title}\n\n{lines_of(self.header, self.rows)}"


def lines_of(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tests(row: MethodRow, t_holm: float, tost_holm: float, detectable: float) -> list[str]:
    """Cells of `TESTS`, p values also as Holm adjusts them, where they are not nan."""
    return [
        f"{row.wins} / {row.losses}",
        with_interval(row.mean, row.mean_interval, 3),
        pvalue(row.t_pvalue, t_holm),
        number(detectable),
        pvalue(row.equivalence_pvalue, tost_holm),
        row.verdict,
    ]


def mean_over_tasks(found: TaskMean) -> str:
    """Mean with Student's t interval; a dash of no task."""
    return with_interval(found.mean, found.mean_interval, 3) if found.n else "–"


def short(task: str) -> str:
    """A task's name without its source."""
    return task.removeprefix("bigbench:")
