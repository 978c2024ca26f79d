"""Check a saved probe on other states of its model: another type, quantisation or server."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from w2sprobe.cache import ActivationStore
from w2sprobe.errors import IdMismatch, InputError, first_few
from w2sprobe.metrics import (
    TOLERANCE,
    Estimate,
    Rate,
    RateChange,
    Verdict,
    auc_change,
    auc_estimate,
    judge,
    rate_change,
    rates_at,
    share_interval,
)
from w2sprobe.probes import CardRows, ProbeCard, load_card, load_origin, load_probe
from w2sprobe.probes.card import TEST, TRAIN, Evaluation
from w2sprobe.probing.cards import several
from w2sprobe.probing.fitting import read_rows
from w2sprobe.probing.saved import TRAINED, predict_rows, states_of

SAME = ("position", "chat_template")  # of origins: another one is another input, not a drift
RECALL, FPR = "recall", "false-positive rate"
Interval = tuple[float, float]


class LabelledRows(NamedTuple):
    """Rows to check a probe on.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
    truth : ndarray of float64, shape (n,)
        0 or 1.
    groups : ndarray of str, shape (n,), optional
        Rows that share a value depend on one another.
    """

    ids: np.ndarray
    truth: np.ndarray
    groups: np.ndarray | None = None

    def select(self, mask: np.ndarray) -> "LabelledRows":
        """Rows that a mask marks."""
        groups = None if self.groups is None else several(self.groups[mask])
        return LabelledRows(self.ids[mask], self.truth[mask], groups)


@dataclass(frozen=True)
class RowChanges:
    """Predictions for the same rows, saved and new.

    Parameters
    ----------
    mean, largest : float
        Absolute difference of P(label = 1).
    largest_id : str
        Row with the largest difference.
    crossed : int, optional
        Rows that are now on the other side of the threshold; None without a threshold.
    """

    mean: float
    largest: float
    largest_id: str
    crossed: int | None


@dataclass(frozen=True)
class ProbeCheck:
    """Whether a saved probe holds on a store, and the numbers behind it.

    Parameters
    ----------
    differences : dict of str to (value, value)
        How the new states differ from those that the probe was fitted on: saved, new.
    n_rows, n_ones : int
        Rows that were scored, and those of class 1.
    left_out : dict of str to int
        Rows that were not scored, by reason.
    auc_saved, auc_new, auc_change : float
        The change is that of the same rows if `rows` is not None.
    recall, fpr : RateChange, optional
        At the saved threshold; None if the probe was saved without one.
    rows : RowChanges, optional
        None if the rows are not those of the card.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    tolerance: float
    differences: dict[str, tuple[Any, Any]]
    n_rows: int
    n_ones: int
    left_out: dict[str, int]
    auc_saved: float
    auc_saved_interval: Interval | None
    auc_new: float
    auc_new_interval: Interval | None
    auc_change: float
    auc_change_interval: Interval | None
    threshold: float | None
    recall: RateChange | None
    fpr: RateChange | None
    rows: RowChanges | None

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers, ready for JSON."""
        return asdict(self)


def check_probe(
    folder: str | Path,
    store: ActivationStore,
    rows: LabelledRows | None = None,
    *,
    tolerance: float = TOLERANCE,
) -> ProbeCheck:
    """Score a saved probe on a store and compare with its card.

    Parameters
    ----------
    folder : str or Path
        Folder of a probe that was saved with a card.
    store : ActivationStore
        States of the same model in another type, quantisation or from another server: same width,
        layer, position and chat template. Weights may differ.
    rows : LabelledRows, optional
        Rows of the store. Training rows of the probe are left out; if there are test rows of its
        card among the others, only these are scored. None: the test rows of the card that the store
        has.
    tolerance : float, default TOLERANCE
        Loss of AUC that is tolerated, at least 0.

    Raises
    ------
    InputError
        No probe with a card; states of another layer, position, template or width; no rows of both
        classes to score; a truth that differs from the card's.
    IdMismatch
        A row that the store lacks.
    """
    card, known = load_card(folder)
    probe, origin = load_probe(folder), load_origin(folder) or {}
    layer = _check_same(origin, probe, store, folder)
    chosen, saved, left_out = _choose(rows, known, store)
    p = predict_rows(probe, read_rows(store, layer, chosen.ids))
    aucs = _compare(card.evaluation, chosen, p, saved)
    rates = _rates(card.evaluation, chosen, p, saved)
    n_ones = int(chosen.truth.sum())
    n_of_class = n_ones, len(p) - n_ones
    verdict, reasons = judge(aucs.change, rates, n_of_class, tolerance=tolerance)
    return ProbeCheck(
        verdict=verdict,
        reasons=reasons,
        tolerance=tolerance,
        differences=_differences(card, origin, store, layer),
        n_rows=len(p),
        n_ones=n_ones,
        left_out={reason: count for reason, count in left_out.items() if count},
        auc_saved=aucs.saved.value,
        auc_saved_interval=_share(aucs.saved),
        auc_new=aucs.new.value,
        auc_new_interval=_share(aucs.new),
        auc_change=aucs.change.value,
        auc_change_interval=aucs.change.interval if aucs.change.parts else None,
        threshold=_threshold(card.evaluation),
        recall=rates.get(RECALL),
        fpr=rates.get(FPR),
        rows=None if saved is None else _row_changes(chosen.ids, p, saved, card.evaluation),
    )


class _AUCs(NamedTuple):
    """AUC when saved and now, and the change."""

    saved: Estimate
    new: Estimate
    change: Estimate


def _compare(
    evaluation: Evaluation, rows: LabelledRows, p: np.ndarray, saved: np.ndarray | None
) -> _AUCs:
    """Compare AUCs, on the same rows where there are saved predictions."""
    new = auc_estimate(rows.truth, p, rows.groups)
    if saved is None:
        se = evaluation.auc_se
        of_card = () if se is None else ((se**2, evaluation.n_rows - 1.0),)
        old = Estimate(evaluation.auc, of_card)
        both = (*new.parts, *old.parts) if new.parts and old.parts else ()
        return _AUCs(old, new, Estimate(new.value - old.value, both))
    old = auc_estimate(rows.truth, saved, rows.groups)
    if not new.parts:
        return _AUCs(old, new, Estimate(new.value - old.value, ()))
    return _AUCs(old, new, auc_change(rows.truth, p, saved, rows.groups))


def _check_same(
    origin: dict[str, Any], probe: Any, store: ActivationStore, folder: str | Path
) -> int:
    """Refuse a store whose states are another input for the probe; return the layer."""
    if "layer" not in origin:
        raise InputError("the probe was saved without its origin", where=str(folder))
    layer = int(origin["layer"])
    if layer not in store.layers:
        raise InputError(
            f"no layer {layer}, which the probe reads",
            where=str(store.path),
            allowed=", ".join(map(str, store.layers)),
        )
    new = store.origin(layer)
    for name in SAME:
        both_say = name in origin and name in new
        # a store that knows its texts has a template if and only if they are conversations; one
        # that was imported without them may not say
        if (both_say or _knows_texts(store)) and origin.get(name) != new.get(name):
            raise InputError(
                f"states with {name} {new.get(name)!r}",
                where=str(store.path),
                allowed=f"{origin.get(name)!r}, as fitted",
            )
    reads_tokens = isinstance(probe, tuple(TRAINED.values()))
    if reads_tokens != store.ragged:
        raise InputError(
            f"states with one vector per {'token' if store.ragged else 'row'}",
            where=str(store.path),
            allowed=f"one per {'token' if reads_tokens else 'row'}, as fitted",
        )
    if probe.n_features_in_ != store.hidden_size:
        raise InputError(
            f"states of width {store.hidden_size}",
            where=str(store.path),
            allowed=f"{probe.n_features_in_}, as fitted",
        )
    return layer


def _knows_texts(store: ActivationStore) -> bool:
    return "rows" in store.manifest["identity"]


def _choose(
    rows: LabelledRows | None, known: CardRows, store: ActivationStore
) -> tuple[LabelledRows, np.ndarray | None, dict[str, int]]:
    """Rows to score, the saved predictions of the same rows, and how many are left out why."""
    test = known.of(TEST)
    if rows is None:
        if not len(test.ids):
            raise InputError(
                "the card knows no rows but those that the probe was fitted on",
                advice="Name other rows with --task or --labels.",
            )
        there = np.isin(test.ids, store.ids)
        chosen = LabelledRows(test.ids, test.truth, test.groups).select(there)
        left_out = {"not in the store": int((~there).sum())}
        return _both_classes(chosen, store), test.p[there], left_out
    trained = np.isin(rows.ids, known.of(TRAIN).ids)
    chosen = rows.select(~trained)
    left_out = {"the probe was fitted on": int(trained.sum())}
    same = np.isin(chosen.ids, test.ids)
    if not same.any():
        return _both_classes(chosen, store), None, left_out
    left_out["not in the card's evaluation"] = int((~same).sum())
    chosen = chosen.select(same)
    position = {name: row for row, name in enumerate(test.ids.tolist())}
    of_card = [position[name] for name in chosen.ids.tolist()]
    other = chosen.ids[chosen.truth != test.truth[of_card]].tolist()
    if other:
        raise IdMismatch(
            f"labels of ids {first_few(other)} differ from those that the probe was evaluated with",
            advice="Are they rows of another task?",
        )
    return _both_classes(chosen, store), test.p[of_card], left_out


def _both_classes(rows: LabelledRows, store: ActivationStore) -> LabelledRows:
    if len(np.unique(rows.truth)) < 2:
        raise InputError(
            f"{len(rows.ids)} rows to score, not of both classes",
            where=str(store.path),
            allowed="rows of both classes that the probe was not fitted on",
            advice="Extract the rows that the card was evaluated on, or name others with --task or "
            "--labels.",
        )
    return rows


def _rates(
    evaluation: Evaluation, rows: LabelledRows, p: np.ndarray, saved: np.ndarray | None
) -> dict[str, RateChange]:
    """Recall and false-positive rate at the saved threshold; empty without one."""
    threshold = evaluation.threshold
    if threshold is None:
        return {}
    new = rates_at(rows.truth, p, threshold.p, rows.groups)
    if saved is None:
        n_ones = evaluation.n_ones
        recall = Rate(threshold.recall, threshold.recall_interval, n_ones)
        fpr = Rate(threshold.fpr, threshold.fpr_interval, evaluation.n_rows - n_ones)
        changes = [rate_change(old, now) for old, now in zip((recall, fpr), new, strict=True)]
    else:
        old_rates = rates_at(rows.truth, saved, threshold.p, rows.groups)
        above = saved > threshold.p, p > threshold.p
        changes = [
            rate_change(old, now, (above[0][of_class], above[1][of_class]))
            for old, now, of_class in zip(
                old_rates, new, (rows.truth == 1, rows.truth == 0), strict=True
            )
        ]
    return dict(zip((RECALL, FPR), changes, strict=True))


def _row_changes(
    ids: np.ndarray, p: np.ndarray, saved: np.ndarray, evaluation: Evaluation
) -> RowChanges:
    moved = np.abs(p - saved)
    threshold = _threshold(evaluation)
    crossed = None if threshold is None else int(((p > threshold) != (saved > threshold)).sum())
    row = int(moved.argmax())
    return RowChanges(float(moved.mean()), float(moved[row]), str(ids[row]), crossed)


def _differences(
    card: ProbeCard, origin: dict[str, Any], store: ActivationStore, layer: int
) -> dict[str, tuple[Any, Any]]:
    """What differs between the states that the probe was fitted on and those of the store."""

    def flat(of: dict[str, Any], states: dict[str, Any]) -> dict[str, Any]:
        model = of.get("model") or {}
        rest = {name: value for name, value in {**of, **states}.items() if name != "model"}
        return {**{f"model {name}": value for name, value in model.items()}, **rest}

    old = flat(origin, card.states)
    new = flat(store.origin(layer), states_of(store))
    names = [name for name in {**old, **new} if name != "store" and old.get(name) != new.get(name)]
    return {name: (old.get(name), new.get(name)) for name in names}


def _threshold(evaluation: Evaluation) -> float | None:
    return None if evaluation.threshold is None else evaluation.threshold.p


def _share(estimate: Estimate) -> Interval | None:
    return share_interval(estimate) if estimate.parts else None
