"""Rules that select a layer and a hyperparameter without the truth of the rows that are scored."""

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
# By rule: the rows it reads, the column it compares, and 1 if more is better. AUCs are means inside
# the folds: ranking rows of several fits together puts strong regularisation at a disadvantage.
RULES = {
    "weak_auc": (CROSS_FIT, "auc_weak", 1),
    "weak_log_loss": (CROSS_FIT, "log_loss_weak", -1),
    "true_labels": (BUDGET, "auc_truth", 1),
}
ANY = "any"
POINT = ("layer", "probe", "setting", "value")  # columns that identify a candidate
# Probes that are not swept take the choice of another one. mass-mean has no penalty and its
# probabilities are not calibrated, so a log-loss says little; like the heads it is linear.
CHOSEN_AS = {"topofilter": "knn", "mass-mean": "logistic"}
HEAD = "head-"  # prefix of linear heads, before the name of the loss
SWEEP, SWEEP_NOTE = "sweep.parquet", "sweep.json"

ScoreRow = dict[str, Any]  # one row of the table of `score_votes`


@dataclass(frozen=True)
class Selection:
    """Layer, probe and value that a rule selects, and its regret.

    Parameters
    ----------
    rule : {"weak_auc", "weak_log_loss", "true_labels"}
        Largest AUC, or least log-loss, of cross-fitted predictions against the weak labels; or
        largest AUC against truth on the budget. AUCs are means inside the folds.
    among : str
        Probe whose values were compared, or "any".
    criterion : float
        AUC or log-loss that the rule compared.
    n_true_labels : int
        Number of true labels that the rule read.
    layer, probe, setting, value
        The selected point.
    scored_on : str
        Rows of the AUCs below, whose truth the rule has not read: "test" if their truth is known,
        else "cross_fit".
    auc, delta_auc : float, optional
        AUC against truth, and the same minus that of the weak labels; None without truth.
    best_layer, best_probe, best_setting, best_value
        Point with the largest AUC on those rows, selected with their truth.
    best_auc : float, optional
        Its AUC. As the largest of many it is optimistic.
    regret : float, optional
        best_auc - auc, at least 0.
    n_folds : int, optional
        Number of folds that the criterion is the mean of, if it is an AUC; folds with rows of one
        class do not count.
    at_edge, best_at_edge : bool, default False
        The value is the smallest or largest that was tried (`is_at_edge`).
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
    """A layer and a hyperparameter, selected by weak labels alone.

    Parameters
    ----------
    setting : str, optional
        Such as "k" or "l2".
    criterion : float
        Cross-fitted AUC or log-loss against the weak labels.
    at_edge : bool
        As in `Selection`.
    weight : float, optional
        Of its layer in a stack.
    """

    layer: int
    setting: str | None
    value: float | None
    criterion: float
    at_edge: bool
    weight: float | None = None


def is_at_edge(setting: str | None, value: float | None, tried: Collection[float | None]) -> bool:
    """Whether a value is the smallest or largest that was tried: a better one may lie beyond.

    k = 1 is no edge, as no smaller k exists; seeds have none.

    Parameters
    ----------
    setting : str, optional
        Such as "k" or "l2".
    tried : collection of float
        Values of the same probe.

    Examples
    --------
    >>> is_at_edge("k", 400, [1, 50, 400]), is_at_edge("k", 1, [1, 50, 400])
    (True, False)
    """
    values = {number for number in tried if number is not None}
    if len(values) < 2 or setting == "seed":
        return False
    smallest_possible = setting == "k" and value == 1
    return value == max(values) or (value == min(values) and not smallest_possible)


def select(table: pa.Table) -> list[Selection]:
    """Apply every rule to a sweep, among the values of each probe and of all.

    Parameters
    ----------
    table : pyarrow.Table
        Result of `score_votes`.

    Returns
    -------
    list of Selection
        Without rules that have no criterion for any point (weak labels of one class, no budget).
        Ties go to the first point of the table.
    """
    rows = _fitted_on(table, "weak")
    has_test = any(row["evaluation"] == "test" and row["auc_truth"] is not None for row in rows)
    scored_on = "test" if has_test else CROSS_FIT
    probes = list(dict.fromkeys(row["probe"] for row in rows))
    selections = [
        _select(rule, among, rows, scored_on)
        for rule in RULES
        for among in (*probes, *([ANY] if len(probes) > 1 else []))
    ]
    return [selection for selection in selections if selection is not None]


def chosen_as(probe: str) -> str:
    """Probe whose choice of layer and value another one takes; most take their own."""
    return "logistic" if probe.startswith(HEAD) else CHOSEN_AS.get(probe, probe)


def choose(table: pa.Table, probe: str, rule: WeakRule = "weak_log_loss") -> Choice:
    """Select a layer and a hyperparameter for a probe, by weak labels alone.

    Parameters
    ----------
    table : pyarrow.Table
        Result of `score_votes`.
    probe : str
        topofilter takes the choice of kNN; mass-mean and heads take that of logistic regression.
    rule : {"weak_auc", "weak_log_loss"}, default "weak_log_loss"
        Largest AUC against the hard weak labels, or least log-loss against the soft ones, of
        cross-fitted predictions. docs/probes.md has their regret.

    Returns
    -------
    Choice
        Ties go to the first point of the table.

    Raises
    ------
    UnknownName
        No such rule, or one that needs truth.
    InputError
        No points to choose from, or none for which the rule has a number.
    """
    if rule not in get_args(WeakRule):
        raise UnknownName("rule", rule, get_args(WeakRule))
    swept = chosen_as(probe)
    rows = _fitted_on(table, "weak")
    candidates = [row for row in rows if row["probe"] == swept]
    if not candidates:
        raise InputError(
            f"nothing to choose from for {probe}",
            allowed=f"probes that take settings of {sorted({row['probe'] for row in rows})}",
        )
    chosen = _preferred(rule, candidates)
    if chosen is None:
        raise InputError(
            f"{rule} has no number for any setting of {swept}",
            allowed="weak labels of both classes in a fold; soft ones, or larger k, for a log-loss",
        )
    return Choice(
        chosen["layer"],
        chosen["setting"],
        chosen["value"],
        criterion=chosen[RULES[rule][1]],
        at_edge=_is_at_edge(chosen, candidates),
    )


def ceilings(table: pa.Table) -> list[ScoreRow]:
    """Largest AUC of each probe fitted on truth, on cross-fitted training rows and on test rows.

    Parameters
    ----------
    table : pyarrow.Table
        Result of `score_votes`.

    Returns
    -------
    list of dict
        evaluation, probe, layer, setting, value, auc_truth and at_edge.
    """
    rows = _fitted_on(table, "truth")
    best: dict[tuple[str, str], ScoreRow] = {}
    for row in rows:
        if row["evaluation"] in (CROSS_FIT, "test") and row["auc_truth"] is not None:
            key = row["probe"], row["evaluation"]
            best[key] = max(best.get(key, row), row, key=lambda candidate: candidate["auc_truth"])
    names = ("evaluation", "probe", "layer", "setting", "value", "auc_truth")
    return [
        {**{name: row[name] for name in names}, "at_edge": _is_at_edge(row, rows)}
        for row in best.values()
    ]


def fewest_folds(table: pa.Table) -> dict[str, int]:
    """Smallest number of folds that an AUC is the mean of, by evaluation.

    Parameters
    ----------
    table : pyarrow.Table
        Result of `score_votes`.
    """
    fewest: dict[str, int] = {}
    for row in table.to_pylist():
        for labels in ("truth", "weak"):
            n_folds, evaluation = row[f"n_folds_{labels}"], row["evaluation"]
            if n_folds is not None:
                fewest[evaluation] = min(fewest.get(evaluation, n_folds), n_folds)
    return fewest


def write_sweep(
    folder: Path, table: pa.Table, *, layers: Sequence[int], n_rows: Mapping[str, int]
) -> list[Selection]:
    """Write the scores to sweep.parquet and what each rule selects to sweep.json.

    Parameters
    ----------
    table : pyarrow.Table
        Result of `score_votes`.
    n_rows : mapping of str to int
        Number of rows fitted on, and scored in each split.
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


def _fitted_on(table: pa.Table, labels: str) -> list[ScoreRow]:
    return [row for row in table.to_pylist() if row["fitted_on"] == labels]


def _preferred(rule: str, rows: list[ScoreRow]) -> ScoreRow | None:
    """The row that a rule prefers, the first of equal ones; None if it has no number."""
    evaluation, column, sign = RULES[rule]
    candidates = [
        row for row in rows if row["evaluation"] == evaluation and _is_finite(row[column])
    ]
    return max(candidates, key=lambda row: sign * row[column], default=None)


def _select(rule: str, among: str, every_row: list[ScoreRow], scored_on: str) -> Selection | None:
    rows = [row for row in every_row if among in (ANY, row["probe"])]
    evaluation, column, _ = RULES[rule]
    chosen = _preferred(rule, rows)
    if chosen is None:
        return None
    scored = {
        _point(row): row
        for row in rows
        if row["evaluation"] == scored_on and row["auc_truth"] is not None
    }
    score = scored.get(_point(chosen), {})
    best: ScoreRow = max(scored.values(), key=lambda row: row["auc_truth"], default={})
    points: dict[str, Any] = {name: chosen[name] for name in POINT}
    points |= {f"best_{name}": best.get(name) for name in POINT}
    return Selection(
        rule=rule,
        among=among,
        criterion=chosen[column],
        n_true_labels=chosen["n_rows"] if evaluation == BUDGET else 0,
        scored_on=scored_on,
        auc=score.get("auc_truth"),
        delta_auc=score.get("delta_auc_truth"),
        best_auc=best.get("auc_truth"),
        regret=best["auc_truth"] - score["auc_truth"] if best and score else None,
        n_folds=chosen.get(column.replace("auc_", "n_folds_")) if "auc" in column else None,
        at_edge=_is_at_edge(chosen, rows),
        best_at_edge=bool(best) and _is_at_edge(best, rows),
        **points,
    )


def _is_at_edge(row: ScoreRow, rows: list[ScoreRow]) -> bool:
    tried = {other["value"] for other in rows if other["probe"] == row["probe"]}
    return is_at_edge(row["setting"], row["value"], tried)


def _is_finite(value: float | None) -> bool:
    """Whether a criterion is known and finite; a log-loss may be infinite."""
    return value is not None and abs(value) < float("inf")


def _point(row: ScoreRow) -> tuple[Any, ...]:
    return tuple(row[name] for name in POINT)
