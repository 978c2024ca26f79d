"""Results side by side: what differs between their configs, and between their scores."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from w2sprobe.metrics import bootstrap_pgr
from w2sprobe.reporting.pages.blocks import Cell, Column, Row, Table
from w2sprobe.reporting.report.drawing import BLUE, GREY, INK, Drawing, mark, new_figure
from w2sprobe.reporting.report.sections import Section
from w2sprobe.reporting.report.sources import Run, Source
from w2sprobe.reporting.report.tables import TONES
from w2sprobe.reporting.report.verdict import plain, side_of
from w2sprobe.reporting.table import with_interval
from w2sprobe.results import Interval, SummaryRow

Key = tuple[str, str, str, str]  # task, weak and strong model, method


def versus(first: Source, other: Source, prefix: str, names: tuple[str, str]) -> Iterator[Section]:
    """Sections that set one source beside another.

    Parameters
    ----------
    first, other : Source
    prefix : str
        Of the names of sections, drawings and tables.
    names : tuple of str
        What the two are called.

    Yields
    ------
    Section
    """
    ours, theirs = (_by_key(source) for source in (first, other))
    both = [key for key in ours if key in theirs]
    blocks: list[Drawing | Table] = [_config_table(first, other, f"{prefix}configs", names)]
    intervals = {key: _interval(first, other, key) for key in both}
    if both:
        pairs = {key: (ours[key], theirs[key], intervals[key]) for key in both}
        blocks = [
            _drawing(pairs, f"{prefix}versus", names),
            _scores_table(pairs, f"{prefix}versus", names),
            *blocks,
        ]
    alone = len(ours) + len(theirs) - 2 * len(both)
    yield Section(
        f"{prefix}versus",
        f"{names[1]} against {names[0]}",
        f"{len(both)} scores of the same task, models and method stand in both; {alone} in one "
        "alone. Intervals are paired, and are given where both were scored on the same test rows "
        "with the same seeds.",
        tuple(blocks),
    )


def _by_key(source: Source) -> dict[Key, SummaryRow]:
    return {(r.task, r.weak_model, r.strong_model, r.method): r for r in source.summary}


def _interval(first: Source, other: Source, key: Key) -> Interval | None:
    """Of the other's AUC less the first's: the same rows are drawn for both."""
    a, b = (_scored(source, key) for source in (first, other))
    if not a or a.keys() != b.keys():
        return None
    truth, groups, _ = next(iter(a.values()))
    if any(
        not (np.array_equal(truth, one[0]) and _equal(groups, one[1]))
        for one in (*a.values(), *b.values())
    ):
        return None
    ours, theirs = (np.array([found[run][2] for run in a]) for found in (a, b))
    found = bootstrap_pgr(truth, ours, theirs, theirs, groups=groups)
    return found.delta_auc_interval


def _equal(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return one is other or (one is not None and other is not None and np.array_equal(one, other))


def _scored(source: Source, key: Key) -> dict[tuple[str, str], Any]:
    """Truth, groups and scores of the test rows in the order of their ids, by seed and ids."""
    task, weak, strong, method = key
    found = {}
    for run in source.runs:
        results = run.results
        if (results.task, results.weak_model, results.strong_model) == (task, weak, strong):
            columns = _columns(run, method)
            if columns is None:
                return {}
            ids, *rest = columns
            found[results.seed, "\n".join(ids.tolist())] = tuple(rest)
    return found


def _columns(run: Run, method: str) -> tuple[Any, ...] | None:
    table = run.predictions
    if table is None or method not in table.column_names:
        return None
    ids = np.array(table["id"].to_pylist(), dtype=np.str_)
    order = np.argsort(ids)
    groups = None
    if "group" in table.column_names:
        groups = np.array(table["group"].to_pylist(), dtype=np.str_)[order]
    return ids[order], table["label"].to_numpy()[order], groups, table[method].to_numpy()[order]


Pairs = Mapping[Key, tuple[SummaryRow, SummaryRow, Interval | None]]


def _drawing(pairs: Pairs, name: str, names: tuple[str, str]) -> Drawing:
    figure, axes = new_figure(8.2, 1.1 + 0.26 * len(pairs))
    axis = axes[0, 0]
    places = list(range(len(pairs)))[::-1]
    several = len({key[0] for key in pairs}) > 1
    for place, (ours, theirs, interval) in zip(places, pairs.values(), strict=True):
        colour = BLUE if interval else GREY
        mark(axis, theirs.auc - ours.auc, interval, place, colour=colour)
    axis.axvline(0, color=INK, linewidth=1)
    axis.set_yticks(
        places, [f"{key[0]}, {plain(key[3])}" if several else plain(key[3]) for key in pairs]
    )
    axis.set_ylim(-0.7, len(pairs) - 0.3)
    axis.grid(axis="x")
    axis.tick_params(length=0)
    axis.set_xlabel(f"test AUC of {names[1]} less that of {names[0]}")
    return Drawing(
        name,
        f"{names[1]} less {names[0]}",
        "Right of the line, the second is better. Bars: paired 95 % intervals; grey: not known, "
        "as rows or seeds differ.",
        ", ".join(
            f"{key[0]} {plain(key[3])} {theirs.auc - ours.auc:+.3f}"
            for key, (ours, theirs, _) in pairs.items()
        ),
        figure,
        [
            {
                "task": key[0],
                "weak_model": key[1],
                "strong_model": key[2],
                "method": key[3],
                "first_auc": ours.auc,
                "second_auc": theirs.auc,
                "difference": theirs.auc - ours.auc,
                "low": interval[0] if interval else None,
                "high": interval[1] if interval else None,
            }
            for key, (ours, theirs, interval) in pairs.items()
        ],
    )


def _scores_table(pairs: Pairs, name: str, names: tuple[str, str]) -> Table:
    return Table(
        name,
        f"AUC of {names[0]} and {names[1]}",
        (
            Column("task"),
            Column("models"),
            Column("method"),
            *(Column(name, number=True) for name in names),
            Column("difference", number=True),
        ),
        [
            Row(
                (
                    Cell.of(task),
                    Cell.of(f"{weak} → {strong}"),
                    Cell.of(plain(method)),
                    *(Cell.number(row.auc, f"{row.auc:.3f}") for row in (ours, theirs)),
                    _difference(theirs.auc - ours.auc, interval),
                )
            )
            for (task, weak, strong, method), (ours, theirs, interval) in pairs.items()
        ],
        "Coloured: the interval excludes 0.",
        searchable=len(pairs) > 12,
    )


def _difference(value: float, interval: Interval | None) -> Cell:
    if interval is None:
        return Cell.number(value, f"{value:+.3f}")
    return Cell.number(value, with_interval(value, interval, 3), TONES[side_of(interval)])


def _config_table(first: Source, other: Source, name: str, names: tuple[str, str]) -> Table:
    ours, theirs = (dict(_flat(source.runs[0].results.config)) for source in (first, other))
    keys = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    return Table(
        name,
        "Settings that differ",
        (Column("setting"), *(Column(one, wrap=True) for one in names)),
        [
            Row((Cell.of(key), *(Cell.of(_shown(one.get(key))) for one in (ours, theirs))))
            for key in keys
        ],
        "Of the first experiment of each." if keys else "None, in the first experiment of each.",
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
