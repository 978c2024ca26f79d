"""Rules that choose a layer and a setting without the truth of what is scored, and their regret."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from w2sprobe.sweeps.layer import BUDGET, CROSS_FIT

# name of a rule: rows it looks at, column, 1 where more is better; AUCs are means inside folds, as
# to rank rows of several fits together puts strong regularisation at a disadvantage
RULES = {
    "weak_auc": (CROSS_FIT, "auc_weak", 1),
    "weak_log_loss": (CROSS_FIT, "log_loss_weak", -1),
    "true_labels": (BUDGET, "auc_truth", 1),
}
ANY = "any"
PLACE = ("layer", "probe", "setting", "value")

Point = tuple[int, str, float]  # layer, probe, value


@dataclass(frozen=True)
class Selection:
    """The point that a rule chooses, and how far it is from the best one.

    Parameters
    ----------
    rule : {"weak_auc", "weak_log_loss", "true_labels"}
        Largest AUC, or least log-loss, of the cross-fitted predictions against the weak labels;
        or largest AUC against the truth of the budget. AUCs are means of those inside the folds.
    among : {"knn", "logistic", "any"}
        Probes that it chooses among.
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
    """

    rule: str
    among: str
    criterion: float
    n_true_labels: int
    layer: int
    probe: str
    setting: str
    value: float
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


def select(table: pa.Table) -> list[Selection]:
    """Apply every rule to a sweep, among each probe's points and among all.

    Parameters
    ----------
    table : pyarrow.Table
        Of a sweep.

    Returns
    -------
    list of Selection
        A rule whose criterion is unknown at every point (weak labels of one class, no budget) is
        not there. Of equal points, the first in the table's order is taken.
    """
    rows = [row for row in table.to_pylist() if row["fitted_on"] == "weak"]
    has_test = any(r["evaluation"] == "test" and r["auc_truth"] is not None for r in rows)
    scored_on = "test" if has_test else CROSS_FIT
    probes = list(dict.fromkeys(row["probe"] for row in rows))
    found = [
        _select(rule, among, [r for r in rows if among in (ANY, r["probe"])], scored_on)
        for rule in RULES
        for among in (*probes, *([ANY] if len(probes) > 1 else []))
    ]
    return [selection for selection in found if selection is not None]


def _select(rule: str, among: str, rows: list[dict[str, Any]], scored_on: str) -> Selection | None:
    evaluation, column, sign = RULES[rule]
    candidates = [
        row for row in rows if row["evaluation"] == evaluation and _is_number(row[column])
    ]
    if not candidates:
        return None
    chosen = max(candidates, key=lambda row: sign * row[column])
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
        regret=best["auc_truth"] - here["auc_truth"] if best else None,
        n_folds=chosen.get(column.replace("auc_", "n_folds_")) if "auc" in column else None,
        **places,
    )


def _is_number(value: float | None) -> bool:
    """Known and finite: a log-loss may be infinite."""
    return value is not None and abs(value) < float("inf")


def _point(row: dict[str, Any]) -> Point:
    return row["layer"], row["probe"], row["value"]
