"""Fit one probe on a store for later use, and describe it: data, evaluation, threshold."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

import w2sprobe
from w2sprobe.cache import ActivationStore
from w2sprobe.errors import InputError
from w2sprobe.fingerprint import fingerprint, fingerprint_strings
from w2sprobe.labels import THRESHOLD, LabelTable
from w2sprobe.metrics import auc_estimate, rates_at, recalls_at_fpr, share_interval
from w2sprobe.probes import CardRows, ProbeCard, save_probe
from w2sprobe.probes.card import TEST, TRAIN, Evaluation, Recall, Threshold, TrainingRows
from w2sprobe.probing.fitting import read_rows
from w2sprobe.probing.probe import ProbeOutput
from w2sprobe.probing.probe_types import PROBE_TYPES
from w2sprobe.probing.rows import ProbedRows
from w2sprobe.probing.saved import check_saved, estimator, fit_rows, predict_rows, states_of
from w2sprobe.probing.spec import VoteSpec

NOT_SETTINGS = ("device", "search")  # parameters of a probe that change no prediction


@dataclass(frozen=True)
class KeptProbe:
    """A fitted probe with everything that is saved beside it."""

    probe: Any
    origin: dict[str, Any]
    card: ProbeCard
    rows: CardRows

    def save(self, folder: str | Path) -> None:
        """Write it as `save_probe` does.

        Raises
        ------
        OutputError
            The folder exists, or cannot be written.
        """
        save_probe(self.probe, folder, origin=self.origin, card=self.card, rows=self.rows)


def keep_probe(
    store: ActivationStore,
    spec: VoteSpec,
    rows: ProbedRows,
    labels: LabelTable,
    output: ProbeOutput,
    *,
    name: str,
    fpr: float | None = None,
    device: str = "auto",
) -> KeptProbe:
    """Fit the probe of `predict_store` once more, to keep it, and describe it.

    Parameters
    ----------
    store, spec, rows, labels
        As in `predict_store`.
    output : ProbeOutput
        What `predict_store` returned for them: of one layer and hyperparameter value.
    name : str
        Name of the training data, for the card.
    fpr : float, in (0, 1), optional
        Choose a threshold with at most this false-positive rate on the evaluated rows.

    Returns
    -------
    KeptProbe
        Fitted on all training rows that `labels` keeps. Evaluated on the test rows, by itself;
        without test rows of both classes, by the held-out predictions of its training rows.

    Raises
    ------
    InputError
        Several layers or values; a probe that cannot be saved; rows of one class; too few rows of
        class 0 for `fpr`.
    """
    (kind,) = spec.probes
    check_saved(kind)
    if len(output.results) != 1:
        raise InputError(
            f"{len(output.results)} layers and hyperparameter values",
            allowed="one of each, where the probe is saved",
        )
    (result,) = output.results
    given = labels.align(rows.train)
    train = LabelTable(given.ids[given.keep], given.soft_label[given.keep])
    groups = None if rows.groups is None else rows.groups[given.keep]
    probe = estimator(kind, result.get(str(PROBE_TYPES[kind].hyperparameter)), spec, device)
    fit_rows(probe, read_rows(store, result["layer"], train.ids), train.soft_label, groups)
    evaluated, evaluation = _evaluate_test(probe, store, result["layer"], rows, train.ids, fpr) or (
        _evaluate_train(output, train.ids, groups, rows.truth, labels, fpr)
    )
    settings = {n: value for n, value in probe.get_params().items() if n not in NOT_SETTINGS}
    card = ProbeCard(
        w2sprobe=w2sprobe.__version__,
        parameters=settings,
        states=states_of(store),
        training=_training(train, name),
        evaluation=evaluation,
    )
    return KeptProbe(probe, store.origin(result["layer"]), card, evaluated)


def _training(train: LabelTable, name: str) -> TrainingRows:
    ids, soft = train.ids.tolist(), train.soft_label
    return TrainingRows(
        name=name,
        rows=fingerprint_strings(ids),
        labels=fingerprint([ids, soft.tolist()]),
        n_rows=len(ids),
        n_ones=int((soft > THRESHOLD).sum()),
    )


def _evaluate_test(
    probe: Any,
    store: ActivationStore,
    layer: int,
    rows: ProbedRows,
    train: np.ndarray,
    fpr: float | None,
) -> tuple[CardRows, Evaluation] | None:
    """Evaluate the saved probe on test rows; None if these are not of both classes."""
    if TEST not in rows.other or rows.truth is None:
        return None
    ids = rows.other[TEST]
    truth = _hard(rows.truth, ids)
    if len(np.unique(truth)) < 2:
        return None
    p = predict_rows(probe, read_rows(store, layer, ids))
    groups = several(rows.test_groups)
    evaluation = _evaluation("test", "truth", truth, p, groups, None, fpr)
    n_train = len(train)
    unknown = np.full(n_train, np.nan)
    kept = CardRows(
        np.concatenate([train, ids]),
        np.repeat([TRAIN, TEST], [n_train, len(ids)]),
        np.concatenate([unknown, p]),
        np.concatenate([unknown, truth]),
        None if groups is None else np.concatenate([np.full(n_train, ""), groups.astype(np.str_)]),
    )
    return kept, evaluation


def _evaluate_train(
    output: ProbeOutput,
    train: np.ndarray,
    groups: np.ndarray | None,
    truth: LabelTable | None,
    labels: LabelTable,
    fpr: float | None,
) -> tuple[CardRows, Evaluation]:
    """Evaluate the held-out predictions of the training rows."""
    columns = [output.table[name].to_pylist() for name in ("id", "p", "fold")]
    by_id = {name: (p, fold) for name, p, fold in zip(*columns, strict=True)}
    p = np.array([by_id[name][0] for name in train.tolist()], dtype=np.float64)
    folds = [by_id[name][1] for name in train.tolist()]
    leave_one_out = None in folds
    hard = _hard(truth or labels, train)
    units = several(groups)
    evaluation = _evaluation(
        "leave-one-out" if leave_one_out else "cross-fit",
        "labels" if truth is None else "truth",
        hard,
        p,
        units,
        None if leave_one_out else np.array(folds),
        fpr,
    )
    return CardRows(train, np.full(len(train), TRAIN), p, hard, units), evaluation


def _evaluation(
    on: Literal["test", "cross-fit", "leave-one-out"],
    against: Literal["truth", "labels"],
    truth: np.ndarray,
    p: np.ndarray,
    groups: np.ndarray | None,
    folds: np.ndarray | None,
    fpr: float | None,
) -> Evaluation:
    auc = auc_estimate(truth, p, groups, folds)
    found = recalls_at_fpr(truth, p, groups=groups)
    return Evaluation(
        on=on,
        against=against,
        n_rows=len(truth),
        n_ones=int(truth.sum()),
        auc=auc.value,
        auc_interval=share_interval(auc) if auc.parts else None,
        auc_se=auc.se if auc.parts else None,
        recalls=tuple(
            Recall(fpr=at.fpr, recall=at.recall, interval=at.interval, threshold=at.threshold)
            for at in found
            if not np.isnan(at.recall)
        ),
        threshold=None if fpr is None else _threshold(truth, p, groups, fpr),
    )


def _threshold(
    truth: np.ndarray, p: np.ndarray, groups: np.ndarray | None, fpr: float
) -> Threshold:
    (found,) = recalls_at_fpr(truth, p, [fpr], groups)
    if np.isnan(found.recall):
        raise InputError(
            f"no threshold at a false-positive rate of {fpr:g}: {found.n_zeros} rows of class 0",
            allowed=f"at least {found.n_needed} of them, or a higher rate",
        )
    recall, false_positives = rates_at(truth, p, found.threshold, groups)
    return Threshold(
        p=found.threshold,
        chosen_at=fpr,
        fpr=false_positives.value,
        fpr_interval=false_positives.interval,
        recall=recall.value,
        recall_interval=recall.interval,
    )


def several(groups: np.ndarray | None) -> np.ndarray | None:
    """Groups, or None if there is only one: then rows count as independent."""
    return groups if groups is not None and len(np.unique(groups)) > 1 else None


def _hard(labels: LabelTable, ids: np.ndarray) -> np.ndarray:
    hard: np.ndarray = (labels.align(ids).soft_label > THRESHOLD).astype(np.float64)
    return hard
