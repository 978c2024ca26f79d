"""Indicators of many runs, read from CSV."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2sprobe.comparison._base import UNKNOWN
from w2sprobe.comparison._tables import csv_rows, names_of, text
from w2sprobe.comparison.scores import Pair
from w2sprobe.errors import InputError

INDICATORS = "indicators.csv"  # of a study, beside its scores
REQUIRED = ("task",)
OPTIONAL = ("weak_model", "strong_model", "seed")


@dataclass(frozen=True)
class IndicatorRow:
    """Indicators of one run.

    Parameters
    ----------
    task, weak_model, strong_model, seed : str
        As in Score.
    values : dict of str to float
        By name of the indicator; nan where undefined.
    """

    task: str
    values: dict[str, float]
    weak_model: str = ""
    strong_model: str = ""
    seed: str = ""

    @property
    def pair(self) -> Pair:
        """The weak and the strong model."""
        return self.weak_model, self.strong_model


def read_indicators(path: Path) -> list[IndicatorRow]:
    """Read the indicators of a study.

    Parameters
    ----------
    path : Path
        A CSV file with the columns task, optionally weak_model, strong_model and seed, and one
        column per indicator. An empty cell is a number that is not known.

    Raises
    ------
    InputError
        No such file, a column or a cell that cannot be used, a run that occurs twice: names file,
        row and column.
    """
    seen: dict[tuple[str, ...], str] = {}
    rows = []
    try:
        for row, where in csv_rows(path, _check_columns):
            names = names_of(row, REQUIRED, OPTIONAL, where)
            key = tuple(names.values())
            if key in seen:
                raise InputError(
                    f"indicators of task {names['task']!r}, seed {names['seed']!r} occur twice",
                    where=f"{seen[key]} and {where}",
                    allowed="one row per task, pair of models and seed",
                )
            seen[key] = where
            values = {
                name: _number(cell, f"{where}, column {name}")
                for name, cell in row.items()
                if name not in names
            }
            rows.append(IndicatorRow(values=values, **names))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read indicators: {error}", where=str(path)) from error
    return rows


def _check_columns(names: Sequence[str], path: Path) -> None:
    if "task" not in names or not {*names} - {*REQUIRED, *OPTIONAL}:
        raise InputError(
            f"columns are {', '.join(names) or 'none'}",
            where=str(path),
            allowed=f"task, optionally {', '.join(OPTIONAL)}, and one per indicator",
        )


def _number(cell: Any, where: str) -> float:
    number = text(cell)
    try:
        return float(number) if number else UNKNOWN
    except ValueError:
        raise InputError(f"indicator is {number!r}", where=where, allowed="a number") from None
