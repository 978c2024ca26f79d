"""Rules that choose a layer and a setting without the truth of what is scored, and their regret."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from w2sprobe.atomic import atomic_path, write_json
from w2sprobe.errors import InputError, UnknownName
from w2sprobe.votes.scores import BUDGET, CROSS_FIT

WeakRule = Literal["weak_auc", "weak_log_loss"]
# name of a rule: rows it looks at, column, 1 where more is better; AUCs are means inside folds, as
# to rank rows of several fits together puts strong regularisation at a disadvantage
RULES = {
    "weak_auc": (CROSS_FIT, "auc_weak", 1),
    "weak_log_loss": (CROSS_FIT, "log_loss_weak", -1),
    "true_labels": (BUDGET, "auc_truth", 1),
}
ANY = "any"
PLACE = ("layer", "probe", "setting", "value")
# whose choice a probe takes where it is not swept: mass-mean has no penalty, and its probabilities,
# which are not calibrated, no log-loss; it takes the layer of the other linear probe, as heads do
CHOSEN_AS = {"topofilter": "knn", "mass-mean": "logistic"}
HEAD = "head-"
SWEEP, SWEEP_NOTE = "sweep.parquet", "sweep.json"

Point = tuple[int, str, float | None]  # layer, probe, value
Tried = dict[str, set[float | None]]  # values by probe


@dataclass(frozen=True)
class Selection:
    """The point that a rule chooses, and how far it is from the best one.

    Parameters
    ----------
    rule : {"weak_auc", "weak_log_loss", "true_labels"}
        Largest AUC, or least log-loss, of the cross-fitted predictions against the weak labels;
        or largest AUC against the truth of the budget. AUCs are means of those inside the folds.
    among : str
        Probe among whose points it chooses, or "any".
    criterion : float
        What the rule looked at.
    n_true_labels : int
        True labels that the rule has seen.
    layer, probe, setting, value
        The point.
    scored_on : str
        Rows of the AUCs below, none of which the rule has seen the truth of: "test" where it is
        known, else "cross_fit".
    auc, delta_auc : float, optional
        Against truth, and less that of the weak labels; None where there is no truth.
    best_layer, best_probe, best_setting, best_value
        The point of the largest AUC on those rows, found by looking.
    best_auc : float, optional
        Its AUC; the largest of many, so on other rows it would be less.
    regret : float, optional
        best_auc - auc, at least 0.
    n_folds : int, optional
        Folds that a criterion is the mean of, where it is an AUC inside folds; the others have
        rows of one class.
    at_edge, best_at_edge : bool, default False
        The value is the least or the largest that was tried: a better one may lie beyond
        (`is_at_edge`).
    """

    rule: str
    among: str
    criterion: float
    n_true_labels: int
    layer: int
    probe: str
    setting: str | None
    value: float | None
    scored_on: str
    auc: float | None
    delta_auc: float | None
    best_layer: int | None
    best_probe: str | None
    best_setting: str | None
    best_value: float | None
    best_auc: float | None
    regret: float | None
    n_folds: int | None = None
    at_edge: bool = False
    best_at_edge: bool = False


@dataclass(frozen=True)
class Choice:
    """A layer and a setting, chosen by weak labels alone.

    Parameters
    ----------
    layer : int
    setting : str, optional
        Such as "k" or "l2".
    value : float, optional
    criterion : float
        What the rule looked at: cross-fitted AUC or log-loss against the weak labels.
    at_edge : bool
        As in `Selection`.
    """

    layer: int
    setting: str | None
    value: float | None
    criterion: float
    at_edge: bool


def is_at_edge(setting: str | None, value: float | None, tried: Collection[float | None]) -> bool:
    """Whether a value is the least or the largest of several that were tried.

    One neighbour is no edge: there is no smaller number. Seeds have none.

    Parameters
    ----------
    setting : str, optional
        Such as "k" or "l2".
    value : float, optional
    tried : collection of float
        Values of the same probe.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_at_edge("k", 400, [1, 50, 400]), is_at_edge("k", 1, [1, 50, 400])
    (True, False)
    """
    values = {one for one in tried if one is not None}
    if len(values) < 2 or setting == "seed":
        return False
    least = setting == "k" and value == 1
    return value == max(values) or (value == min(values) and not least)


def select(table: pa.Table) -> list[Selection]:
    """Apply every rule to a sweep, among each probe's points and among all.

    Parameters
    ----------
    table : pyarrow.Table
        Of `score_votes`.

    Returns
    -------
    list of Selection
        A rule whose criterion is unknown at every point (weak labels of one class, no budget) is
        not there. Of equal points, the first in the table's order is taken.
    """
    rows = _on_weak(table)
    has_test = any(r["evaluation"] == "test" and r["auc_truth"] is not None for r in rows)
    scored_on = "test" if has_test else CROSS_FIT
    probes = list(dict.fromkeys(row["probe"] for row in rows))
    tried = _tried(rows)
    found = [
        _select(rule, among, [r for r in rows if among in (ANY, r["probe"])], scored_on, tried)
        for rule in RULES
        for among in (*probes, *([ANY] if len(probes) > 1 else []))
    ]
    return [selection for selection in found if selection is not None]


def chosen_as(probe: str) -> str:
    """Probe whose choice of a point another one takes: its own, where it has one."""
    return "logistic" if probe.startswith(HEAD) else CHOSEN_AS.get(probe, probe)


def choose(table: pa.Table, probe: str, rule: WeakRule = "weak_log_loss") -> Choice:
    """Choose a layer and a setting for a probe, by weak labels alone.

    Parameters
    ----------
    table : pyarrow.Table
        Of `score_votes`.
    probe : str
        topofilter takes the choice of kNN; mass-mean and heads take that of logistic regression.
    rule : {"weak_auc", "weak_log_loss"}, default "weak_log_loss"
        Largest AUC against the hard weak labels, or least log-loss against the soft ones, of
        held-out predictions. docs/probes.md has their regret.

    Returns
    -------
    Choice
        Of equal points the first, in the table's order.

    Raises
    ------
    UnknownName
        No such rule, or one that needs truth.
    InputError
        There are no points to choose from, or the rule has no number for any of them.
    """
    if rule not in get_args(WeakRule):
        raise UnknownName("rule", rule, get_args(WeakRule))
    swept = chosen_as(probe)
    every = _on_weak(table)
    rows = [row for row in every if row["probe"] == swept]
    if not rows:
        raise InputError(
            f"nothing to choose from for {probe}",
            allowed=f"probes that take settings of {sorted({row['probe'] for row in every})}",
        )
    chosen = _chosen(rule, rows)
    if chosen is None:
        raise InputError(
            f"{rule} has no number for any setting of {swept}",
            allowed="weak labels of both classes in a fold; soft ones, or larger k, for a log-loss",
        )
    edge = _is_at_edge(chosen, _tried(rows))
    criterion = chosen[RULES[rule][1]]
    return Choice(chosen["layer"], chosen["setting"], chosen["value"], criterion, edge)


def ceilings(table: pa.Table) -> list[dict[str, Any]]:
    """Largest AUC of each probe fitted on truth, on held-out training rows and on test rows.

    Parameters
    ----------
    table : pyarrow.Table
        Of `score_votes`.

    Returns
    -------
    list of dict
        evaluation, probe, layer, setting, value, auc_truth and at_edge.
    """
    rows = [row for row in table.to_pylist() if row["fitted_on"] == "truth"]
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        if row["evaluation"] in (CROSS_FIT, "test") and row["auc_truth"] is not None:
            place = row["probe"], row["evaluation"]
            best[place] = max(best.get(place, row), row, key=lambda one: one["auc_truth"])
    names = ("evaluation", "probe", "layer", "setting", "value", "auc_truth")
    tried = _tried(rows)
    return [
        {**{name: row[name] for name in names}, "at_edge": _is_at_edge(row, tried)}
        for row in best.values()
    ]


def fewest_folds(table: pa.Table) -> dict[str, int]:
    """The fewest folds that an AUC is the mean of, by the rows that are scored.

    Parameters
    ----------
    table : pyarrow.Table
        Of `score_votes`.

    Returns
    -------
    dict of str to int
    """
    fewest: dict[str, int] = {}
    for row in table.to_pylist():
        for known in ("truth", "weak"):
            n_folds, evaluation = row[f"n_folds_{known}"], row["evaluation"]
            if n_folds is not None:
                fewest[evaluation] = min(fewest.get(evaluation, n_folds), n_folds)
    return fewest


def write_sweep(
    folder: Path, table: pa.Table, *, layers: Sequence[int], n_rows: Mapping[str, int]
) -> list[Selection]:
    """Write sweep.parquet and sweep.json: scores, and what each rule chooses.

    Parameters
    ----------
    folder : Path
    table : pyarrow.Table
        Of `score_votes`.
    layers : sequence of int
    n_rows : mapping of str to int
        Rows fitted on, and of each split.

    Returns
    -------
    list of Selection
    """
    selections = select(table)
    with atomic_path(folder / SWEEP) as temporary:
        pq.write_table(table, temporary)
    write_json(
        folder / SWEEP_NOTE,
        {
            "layers": list(layers),
            "n_rows": dict(n_rows),
            "selections": [asdict(selection) for selection in selections],
        },
    )
    return selections


def _on_weak(table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    return [row for row in rows if row["fitted_on"] == "weak"]


def _chosen(rule: str, rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The row that a rule prefers, the first of equal ones."""
    evaluation, column, sign = RULES[rule]
    candidates = [
        row for row in rows if row["evaluation"] == evaluation and _is_number(row[column])
    ]
    return max(candidates, key=lambda row: sign * row[column], default=None)


def _select(
    rule: str,
    among: str,
    rows: list[dict[str, Any]],
    scored_on: str,
    tried: Tried,
) -> Selection | None:
    evaluation, column, _ = RULES[rule]
    chosen = _chosen(rule, rows)
    if chosen is None:
        return None
    scored = {
        _point(row): row
        for row in rows
        if row["evaluation"] == scored_on and row["auc_truth"] is not None
    }
    here = scored.get(_point(chosen), {})
    best: dict[str, Any] = max(scored.values(), key=lambda row: row["auc_truth"], default={})
    places: dict[str, Any] = {name: chosen[name] for name in PLACE}
    places |= {f"best_{name}": best.get(name) for name in PLACE}
    return Selection(
        rule=rule,
        among=among,
        criterion=chosen[column],
        n_true_labels=chosen["n_rows"] if evaluation == BUDGET else 0,
        scored_on=scored_on,
        auc=here.get("auc_truth"),
        delta_auc=here.get("delta_auc_truth"),
        best_auc=best.get("auc_truth"),
        regret=best["auc_truth"] - here["auc_truth"] if best and here else None,
        n_folds=chosen.get(column.replace("auc_", "n_folds_")) if "auc" in column else None,
        at_edge=_is_at_edge(chosen, tried),
        best_at_edge=bool(best) and _is_at_edge(best, tried),
        **places,
    )


def _tried(rows: list[dict[str, Any]]) -> Tried:
    found: Tried = {}
    for row in rows:
        found.setdefault(row["probe"], set()).add(row["value"])
    return found


def _is_at_edge(row: dict[str, Any], tried: Tried) -> bool:
    return is_at_edge(row["setting"], row["value"], tried[row["probe"]])


def _is_number(value: float | None) -> bool:
    """Known and finite: a log-loss may be infinite."""
    return value is not None and abs(value) < float("inf")


def _point(row: dict[str, Any]) -> Point:
    return row["layer"], row["probe"], row["value"]
