"""Early stopping: scores of validation predictions, and which checkpoint is the best."""

from collections.abc import Mapping

import numpy as np
from scipy.special import xlog1py, xlogy

from w2sprobe.labels import LabelTable
from w2sprobe.metrics import roc_auc, soft_auc
from w2sprobe.training.ensembles import CLIP
from w2sprobe.training.settings import StoppingRule

ValidationScores = Mapping[str, float | None]  # by rule


def validation_scores(labels: LabelTable, predictions: np.ndarray) -> ValidationScores:
    """Score predictions of the validation rows by every rule, against the given labels.

    Parameters
    ----------
    labels : LabelTable
        Soft labels of the validation rows; at least one.
    predictions : ndarray of float64, shape (n,)
        P(label = 1) of the same rows, in their order.

    Returns
    -------
    dict of str to float or None
        `auc`, against labels hardened at one half; None if these are of one class.
        `soft_auc`, expected AUC over labels drawn from the soft ones; None for a single row, or if
        all soft labels are 0 or all are 1.
        `log_loss`, the mean cross-entropy of the soft labels; lower is better. Predictions are
        clipped to [2^-53, 1 - 2^-53], so that it is finite. Never None.
        Whether a score is None depends on the labels alone: it is None at every evaluation of a
        run, or at none.
    """
    q, hard = labels.soft_label, labels.hard_label
    p = np.clip(predictions, CLIP, 1 - CLIP)
    one_class = hard.min() == hard.max()
    no_pair = len(q) < 2 or (q == 0).all() or (q == 1).all()
    return {
        "auc": None if one_class else roc_auc(hard, predictions),
        "soft_auc": None if no_pair else soft_auc(q, predictions),
        "log_loss": float(-(xlogy(q, p) + xlog1py(1 - q, -p)).mean()),
    }


def selection_score(rule: StoppingRule, scores: ValidationScores, step: int) -> float:
    """Score for choosing the best checkpoint: higher is better; the earliest wins ties.

    Parameters
    ----------
    rule : {"auc", "soft_auc", "log_loss"}
    scores : dict of str to float or None
        As `validation_scores` returns them.
    step : int
        Optimiser steps before the evaluation.

    Returns
    -------
    float
        The rule's score, negated if lower is better. A rule that is undefined on the validation
        labels is so at every evaluation; then the step, so that the last evaluated checkpoint
        is the best.
    """
    score = scores[rule]
    if score is None:
        return float(step)
    return -score if rule == "log_loss" else score


def undefined(rule: StoppingRule, scores: ValidationScores) -> str | None:
    """Warning that a rule could not choose, as a sentence; None if it could."""
    if scores[rule] is not None:
        return None
    why = {
        "auc": "all given labels of the validation rows lie on one side of one half",
        "soft_auc": "there is only one validation row, or the given labels are all 0 or all 1",
    }
    advice = {"auc": " Use early_stopping soft_auc or log_loss.", "soft_auc": ""}
    return (
        f"early stopping by {rule} is undefined: {why[rule]}. "
        f"The last evaluation was kept.{advice[rule]}"
    )
