"""Tables of sweeps and of probes on a store: selected points, scores of layers and settings."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from w2sprobe.reporting.table import Cell, Column, Table, numeric
from w2sprobe.votes.selection import Selection, ceilings, fewest_folds

APART = ("overlap", "monitoring", "flops")  # of a result: not in its row of scores
EDGE = "Edge: the smallest or largest value that was tried; a better one may lie beyond."


def selection_table(selections: Sequence[Selection], n_rows: Mapping[str, int]) -> Table:
    """Table of the point that each rule chooses, and of the best point by truth.

    Parameters
    ----------
    n_rows : mapping of str to int
        Number of rows that the probes were fitted on, and of each split.
    """
    counts = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in n_rows.items())
    note = (
        f"Rows: {counts}. @: rows that the AUC is computed on; regret: AUC lost to the best point."
    )
    if any(choice.at_edge or choice.best_at_edge for choice in selections):
        note += f" {EDGE}"
    return Table.of(
        "What each rule chooses, and the best point by truth",
        (
            Column("rule", lambda choice: choice.rule.replace("_", " ")),
            Column("among"),
            Column("chosen", _chosen, pinned=True),
            numeric("criterion"),
            numeric(
                "AUC",
                lambda choice: Cell.number(
                    choice.auc, f"{choice.auc or 0:.3f} @{choice.scored_on}"
                ),
            ),
            numeric("ΔAUC to weak", lambda choice: Cell.number(choice.delta_auc, signed=True)),
            Column("best", _best),
            numeric("its AUC", "best_auc"),
            numeric("regret"),
        ),
        selections,
        note,
    )


def _chosen(choice: Selection) -> str:
    point = choice.probe, choice.layer, choice.setting, choice.value
    return point_text(*point, at_edge=choice.at_edge)


def _best(choice: Selection) -> str:
    if choice.best_probe is None:
        return "-"
    point = choice.best_probe, choice.best_layer, choice.best_setting, choice.best_value
    return point_text(*point, at_edge=choice.best_at_edge)


def sweep_notes(table: pa.Table, cv: int) -> Iterator[str]:
    """Remarks on a sweep, one line each: ceilings, folds of one class, saturation."""
    for row in ceilings(table):
        point = point_text(
            row["probe"], row["layer"], row["setting"], row["value"], at_edge=row["at_edge"]
        )
        yield f"fitted on truth, best on {row['evaluation']}: {row['auc_truth']:.3f}, {point}"
    for evaluation, n_folds in fewest_folds(table).items():
        if n_folds < cv:
            yield (
                f"{evaluation}: AUCs are means over {n_folds} of {cv} folds; in the others all "
                "rows are of one class"
            )
    n_saturated = sum(
        row["saturated"] for row in table.to_pylist() if row["evaluation"] != "in_sample"
    )
    if n_saturated:
        yield f"{n_saturated} held-out AUCs are .999 or more: is the label in the text?"


def account_table(title: str, results: Sequence[Mapping[str, Any]]) -> Table:
    """Scores of a probe, one row per layer and setting.

    Nested results become columns such as `auc test truth`; overlaps and what `monitoring_table`
    shows are left out.
    """
    rows = [_flat(result) for result in results]
    names = dict.fromkeys(name for row in rows for name in row)
    return Table.of(title, (numeric(name, partial(_cell, name=name)) for name in names), rows)


def monitoring_table(results: Sequence[Mapping[str, Any]]) -> Table | None:
    """Recall on test rows at false-positive rates, and operations of a row; None without recalls.

    Rates that need more rows of class 0 have no column, and the note says how many they need.
    """
    scored = [result for result in results if result.get("monitoring")]
    if not scored:
        return None
    rates = scored[0]["monitoring"]
    columns = [Column("probe", lambda result: result["probe"])] if "probe" in scored[0] else []
    columns += [
        numeric(name, partial(_cell, name=name))
        for name in ("layer", "k", "l2")
        if any(name in result for result in scored)
    ]
    columns += [
        numeric(f"recall at FPR {rate['fpr']:g}", partial(_recall, number=number))
        for number, rate in enumerate(rates)
        if rate["recall"] is not None
    ]
    columns += [
        numeric(f"FLOPs, {name}", partial(_flops, name=name)) for name in ("probe", "forward")
    ]
    needs = [
        f", {rate['fpr']:g} needs {rate['n_needed']:,}" for rate in rates if rate["recall"] is None
    ]
    note = (
        f"Test rows of class 0: {rates[0]['n_zeros']:,}{''.join(needs)}. Brackets: 95 % intervals "
        "over rows. FLOPs of a row of mean length: the probe, and the model up to the layer."
    )
    title = "As a monitor: recall at a fixed rate of false positives"
    return Table.of(title, columns, scored, note)


def _recall(result: Mapping[str, Any], number: int) -> Cell:
    rate = result["monitoring"][number]
    return Cell.estimate(rate["recall"], rate["interval"], signed=False)


def _flops(result: Mapping[str, Any], name: str) -> Cell:
    value = result["flops"].get(name)
    return Cell.number(value, "" if value is None else f"{value:.2g}")


def point_text(
    probe: str, layer: int | None, setting: str | None, value: float | None, *, at_edge: bool
) -> str:
    """Name a point of a sweep.

    Examples
    --------
    >>> point_text("knn", 15, "k", 200.0, at_edge=True)
    'knn, layer 15, k=200 (edge)'
    """
    tried = "" if setting is None else f", {setting}={value:g}"
    return f"{probe}, layer {layer}{tried}{' (edge)' * at_edge}"


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        title = f"{prefix} {name}".strip().replace("_", " ")
        if isinstance(value, Mapping):
            flat |= {} if name in APART else _flat(value, title)
        elif name not in APART:
            flat[title] = value
    return flat


def _cell(row: Mapping[str, Any], name: str) -> Cell:
    value = row.get(name)
    if value is None:
        return Cell.number(None)
    if isinstance(value, bool):
        return Cell.of("yes" if value else "no")
    if name in ("k", "l2") or isinstance(value, int):
        return Cell.number(value, f"{value:g}")
    return Cell.number(value)
