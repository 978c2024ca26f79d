"""Comparison of two results: differences of their scores and of their configs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from w2sprobe.metrics import Estimate
from w2sprobe.reporting.report.drawing import (
    BLUE,
    GREY,
    INK,
    Drawing,
    mark,
    named_lines,
    new_figure,
)
from w2sprobe.reporting.report.pairing import auc_difference, predicted
from w2sprobe.reporting.report.sections import Section
from w2sprobe.reporting.report.sources import ResultsFolder
from w2sprobe.reporting.table import Cell, Column, Table, numeric, tone_of
from w2sprobe.reporting.wording import plain
from w2sprobe.results import Interval, SummaryRow

Key = tuple[str, str, str, str]  # task, weak and strong model, method


def versus(
    first: ResultsFolder, other: ResultsFolder, prefix: str, names: tuple[str, str]
) -> Section:
    """Report section that compares a results folder with the first one.

    Parameters
    ----------
    prefix : str
        Prefix of the names of section, drawings and tables.
    names : tuple of str
        Names of the two, for titles and columns.
    """
    ours, theirs = (_by_key(source) for source in (first, other))
    both = [key for key in ours if key in theirs]
    blocks: list[Drawing | Table] = [_config_table(first, other, names)]
    pairs = {key: _Scored(ours[key], theirs[key], _estimate(first, other, key)) for key in both}
    if pairs:
        blocks = [
            _drawing(pairs, f"{prefix}versus", names),
            _scores_table(pairs, names),
            *blocks,
        ]
    alone = len(ours) + len(theirs) - 2 * len(both)
    return Section(
        f"{prefix}versus",
        f"{names[1]} against {names[0]}",
        f"Both have {len(both)} scores of the same task, models and method; {alone} more are only "
        "in one of them. Intervals are paired by test rows, cuts and seeds, if both have the same, "
        "and not corrected for their number.",
        tuple(blocks),
    )


def _by_key(source: ResultsFolder) -> dict[Key, SummaryRow]:
    return {(r.task, r.weak_model, r.strong_model, r.method): r for r in source.summary}


def _estimate(first: ResultsFolder, other: ResultsFolder, key: Key) -> Estimate | None:
    """AUC of the other less that of the first, paired by test rows, cuts and seeds."""
    ours, theirs = (
        predicted([run for run in source.runs if run.results.key[:3] == key[:3]], key[3])
        for source in (first, other)
    )
    return auc_difference(ours, theirs)


@dataclass(frozen=True)
class _Scored:
    """A score that both results have, and its paired difference; None if it cannot be paired."""

    ours: SummaryRow
    theirs: SummaryRow
    paired: Estimate | None

    @property
    def difference(self) -> float:
        """The second less the first, in AUC."""
        return self.theirs.auc - self.ours.auc if self.paired is None else self.paired.value

    @property
    def interval(self) -> Interval | None:
        """95 % interval of the difference; None if it is unknown."""
        return None if self.paired is None else self.paired.interval


Pairs = Mapping[Key, _Scored]


def _drawing(pairs: Pairs, name: str, names: tuple[str, str]) -> Drawing:
    figure, axes = new_figure(8.2, 1.1 + 0.26 * len(pairs))
    axis = axes[0, 0]
    several = len({key[0] for key in pairs}) > 1
    lines = list(pairs.items())[::-1]
    for y, (_, pair) in enumerate(lines):
        colour = BLUE if pair.interval else GREY
        mark(axis, pair.difference, pair.interval, y, colour=colour)
    axis.axvline(0, color=INK, linewidth=1)
    named_lines(
        axis,
        [f"{key[0]}, {plain(key[3])}" if several else plain(key[3]) for key, _ in lines],
        f"test AUC of {names[1]} less that of {names[0]}",
    )
    return Drawing(
        name,
        f"{names[1]} less {names[0]}",
        f"Right of the vertical line, {names[1]} is better; left of it, worse. Bars: paired 95 % "
        "intervals over test rows, cuts and seeds. Grey: no interval, as these differ.",
        ", ".join(
            f"{key[0]} {plain(key[3])} {pair.difference:+.3f}" for key, pair in pairs.items()
        ),
        figure,
        [_data(key, pair) for key, pair in pairs.items()],
    )


def _data(key: Key, pair: _Scored) -> dict[str, Any]:
    low, high = pair.interval or (None, None)
    return {
        **dict(zip(("task", "weak_model", "strong_model", "method"), key, strict=True)),
        "first_auc": pair.ours.auc,
        "second_auc": pair.theirs.auc,
        "difference": pair.difference,
        "low": low,
        "high": high,
    }


def _scores_table(pairs: Pairs, names: tuple[str, str]) -> Table:
    def auc(title: str, of: str) -> Column:
        return numeric(title, lambda key: getattr(pairs[key], of).auc)

    def difference(key: Key) -> Cell:
        pair = pairs[key]
        return Cell.estimate(pair.difference, pair.interval, tone=tone_of(pair.interval))

    return Table.of(
        f"AUC of {names[0]} and {names[1]}",
        (
            Column("task", itemgetter(0)),
            Column("models", lambda key: f"{key[1]} → {key[2]}"),
            Column("method", itemgetter(3)),
            auc(names[0], "ours"),
            auc(names[1], "theirs"),
            numeric("difference", difference),
        ),
        pairs,
        "Brackets: paired 95 % intervals. Coloured: the interval excludes 0.",
    )


def _config_table(first: ResultsFolder, other: ResultsFolder, names: tuple[str, str]) -> Table:
    ours, theirs = (dict(_flat(source.runs[0].results.config)) for source in (first, other))
    keys = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    return Table.of_texts(
        "Settings that differ",
        ("setting", *names),
        [(key, _shown(ours.get(key)), _shown(theirs.get(key))) for key in keys],
        "Only the first experiments of both are compared."
        + ("" if keys else " None of their settings differ."),
    )


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _shown(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)
