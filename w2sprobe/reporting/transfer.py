"""Tables of methods on tasks that they were not trained on, beside their scores at home."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile

import numpy as np

from w2sprobe.reporting.table import Cell, Column, Table, numeric, tone_of
from w2sprobe.reporting.wording import ENDS, plain
from w2sprobe.results import SummaryRow, TransferRow

NO_TEST = (
    "Pairs of tasks have tasks in common and so are not independent: differences between home and "
    "away are not tested."
)


@dataclass(frozen=True)
class TaskPair:
    """Scores of a method that was trained on one task and tested on one task, maybe the same."""

    task: str
    test_task: str
    scores: SummaryRow | TransferRow

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.scores.method

    @property
    def at_home(self) -> bool:
        """Whether it was tested on the task that it was trained on."""
        return self.task == self.test_task

    @property
    def weak_auc(self) -> float:
        """AUC of its supervisor on the same rows."""
        return self.scores.auc - self.scores.delta_auc


def task_pairs(rows: Iterable[SummaryRow], transfer: Sequence[TransferRow]) -> list[TaskPair]:
    """Scores of every method on every pair of tasks, for one pair of models.

    Parameters
    ----------
    rows : iterable of SummaryRow
        Scores at home; those of tasks without scores elsewhere are left out.
    """
    tasks = {row.task for row in transfer}
    home = [TaskPair(row.task, row.task, row) for row in rows if row.task in tasks]
    return home + [TaskPair(row.task, row.test_task, row) for row in transfer]


def transfer_table(pairs: Sequence[TaskPair]) -> Table:
    """Means of each method over tasks at home, and over pairs of different tasks."""
    methods = dict.fromkeys(pair.method for pair in pairs if pair.method not in ENDS)

    def mean(method: str, name: str, *, home: bool) -> float:
        of_method = [one for one in pairs if one.method == method and one.at_home == home]
        if not of_method:
            return float("nan")
        if name == "weak":
            return float(np.mean([one.weak_auc for one in of_method]))
        gain = float(np.mean([one.scores.delta_auc for one in of_method]))
        gap = float(np.mean([one.scores.gap for one in of_method]))
        return gain if name == "gain" else gain / gap if gap > 0 else float("nan")

    def column(name: str, title: str, digits: int, *, home: bool) -> Column:
        def shown(method: str) -> Cell:
            value = mean(method, name, home=home)
            return Cell.number(value, digits=digits, signed=name != "weak")

        return numeric(f"{title} {'home' if home else 'away'}", shown)

    def n_pairs(method: str) -> int:
        return sum(one.method == method and not one.at_home for one in pairs)

    columns = [("weak", "weak AUC", 3), ("gain", "gain", 3), ("pgr", "PGR", 2)]
    return Table.of(
        "At home and on other tasks",
        (
            Column("method", lambda method: method),
            numeric("pairs", n_pairs),
            *(column(*each, home=home) for each in columns for home in (True, False)),
        ),
        methods,
        "At home: tested on the task that supervisor, ceiling and method were trained on, mean "
        "over tasks. Away: tested on another task, mean over pairs of tasks. PGR: mean gain over "
        f"mean gap. {NO_TEST}",
    )


def matrix_of_tasks(pairs: Sequence[TaskPair], method: str) -> Table:
    """Gains of a method: tasks of training as rows, tasks of testing as columns."""
    of_method = {(one.task, one.test_task): one for one in pairs if one.method == method}
    trained, tested = axes_of(of_method.values())
    short = short_names([*trained, *tested])

    def gain(task: str, test_task: str) -> Cell:
        pair = of_method.get((task, test_task))
        if pair is None:
            return Cell.of("")
        interval = pair.scores.delta_auc_interval
        return Cell.estimate(pair.scores.delta_auc, interval, tone=tone_of(interval))

    return Table.of(
        f"Gain of the {plain(method)} by task",
        (
            Column("trained on \\ tested on", lambda task: short[task]),
            *(numeric(short[one], partial(gain, test_task=one)) for one in tested),
        ),
        trained,
        "AUC less that of the weak model on the same rows; brackets: 95 % intervals. Coloured: the "
        "interval excludes 0, not corrected for the number of cells.",
    )


def pairs_table(pairs: Sequence[TaskPair]) -> Table:
    """Every method on every pair of different tasks."""
    rows = [one.scores for one in pairs if isinstance(one.scores, TransferRow)]
    short = short_names([name for row in rows for name in (row.task, row.test_task)])
    return Table.of(
        "Every pair of tasks",
        (
            Column("trained on", lambda row: short[row.task]),
            Column("tested on", lambda row: short[row.test_task]),
            Column("method", pinned=True),
            numeric("weak AUC", "weak_auc"),
            numeric("ceiling AUC", "ceiling_auc"),
            numeric("ΔAUC to weak", _gain),
            numeric("PGR", lambda row: Cell.estimate(row.pgr, row.pgr_interval, 2)),
            numeric("test rows", "n_test_rows"),
            numeric("left out", "n_left_out"),
        ),
        [row for row in rows if row.method not in ENDS],
        "Weak model and ceiling were trained on the same task as the method. Left out: test rows "
        "that share a text or group with rows that were learned from. In italics: the gap between "
        "weak model and ceiling is not resolved.",
        unresolved=lambda row: not row.resolved,
    )


def transfer_tables(rows: Sequence[SummaryRow], transfer: Sequence[TransferRow]) -> Iterator[Table]:
    """Table of means for each pair of models, for the terminal."""
    models = list(dict.fromkeys((row.weak_model, row.strong_model) for row in transfer))
    for weak, strong in models:
        of_pair = [row for row in rows if (row.weak_model, row.strong_model) == (weak, strong)]
        away = [row for row in transfer if (row.weak_model, row.strong_model) == (weak, strong)]
        table = transfer_table(task_pairs(of_pair, away))
        title = f"{table.title}: {weak} supervises {strong}"
        yield Table(title, table.columns, table.rows, table.note)


def axes_of(pairs: Iterable[TaskPair]) -> tuple[list[str], list[str]]:
    """Tasks of training, and tasks of testing: first those of training, in the same order."""
    several = list(pairs)
    trained = list(dict.fromkeys(one.task for one in several))
    return trained, list(dict.fromkeys([*trained, *(one.test_task for one in several)]))


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Names without the words that all of them begin or end with.

    Examples
    --------
    >>> list(short_names(["big:a/hotels_en [pos]", "big:a/films_en [pos]"]).values())
    ['hotels', 'films']
    """
    words = {name: re.findall(r"[^\W_]+|[\W_]", name) for name in names}
    shortest = min((len(parts) for parts in words.values()), default=0)
    first = _n_common(words.values())
    last = _n_common(parts[::-1] for parts in words.values())
    if len(words) < 2 or first + last >= shortest:
        return {name: name for name in words}
    return {name: "".join(parts[first : len(parts) - last]) for name, parts in words.items()}


def _n_common(words: Iterable[Sequence[str]]) -> int:
    """Number of words that all lists begin with."""
    return sum(1 for _ in takewhile(lambda same: len(set(same)) == 1, zip(*words, strict=False)))


def _gain(row: TransferRow) -> Cell:
    interval = row.delta_auc_interval
    return Cell.estimate(row.delta_auc, interval, tone=tone_of(interval))
