"""What a probe loses if cues of the format are erased from the activations that it reads."""

from collections.abc import Iterator

import numpy as np

from w2sprobe.audit.cues import CueColumns, fit_cues
from w2sprobe.audit.result import ErasedCue
from w2sprobe.cache import ActivationStore
from w2sprobe.data.rows import Rows
from w2sprobe.data.splits import Splits
from w2sprobe.errors import InputError
from w2sprobe.layers import Layers, parse_layers
from w2sprobe.metrics import ScoredRun, mean_scores, roc_auc
from w2sprobe.probes import Erasure, LogisticProbe

L2 = 1.0
ALL = "all"
Cues = dict[str, tuple[CueColumns, CueColumns | None]]  # of training and test rows
SEED, N_SHUFFLES = 0, 5  # one shuffle of a cue costs .00 to .03 AUC, at random


def erase_cues(
    store: ActivationStore, splits: Splits, layers: Layers = "all"
) -> tuple[ErasedCue, ...]:
    """Probe AUC before and after each cue is erased, by layer.

    Parameters
    ----------
    store : ActivationStore
        Has the strong-train and test rows.
    layers : str or int or sequence of int
        As in `w2sprobe.layers.parse_layers`.

    Returns
    -------
    tuple of ErasedCue
        By layer and cue, `ALL` cues together last. Erasers and probes are fitted on strong-train
        rows and scored on test rows. Empty if no cue varies.

    Raises
    ------
    InputError
        Strong-train or test rows of one class; no such layer.
    IdMismatch
        A row that is not in the store.
    """
    train, test = splits.strong_train, splits.test
    for name, rows in (("strong_train", train), ("test", test)):
        if len(np.unique(rows.labels)) < 2:
            raise InputError(f"{name} has rows of one class", allowed="rows of both classes")
    cues: Cues = {
        name: (encode(train.plain_texts), encode(test.plain_texts))
        for name, encode in fit_cues(train.plain_texts).items()
    }
    if len(cues) > 1:  # no single fact is asked for all of them
        cues[ALL] = _joined([of_train for of_train, _ in cues.values()]), None
    found: list[ErasedCue] = []
    for layer in parse_layers(layers, store.layers):
        states = [store.read(layer, store.rows_of(rows.ids)) for rows in (train, test)]
        found += _erase_from(layer, states[0], states[1], train, test, cues)
    return tuple(found)


def _erase_from(
    layer: int, X: np.ndarray, Q: np.ndarray, train: Rows, test: Rows, cues: Cues
) -> Iterator[ErasedCue]:
    before = _scores(X, train.labels, Q)
    random = np.random.default_rng(SEED)
    for name, (of_train, of_test) in cues.items():
        erasure = Erasure.fit(X, of_train.values)
        scores = {"before": before, "after": _scores(erasure(X), train.labels, erasure(Q))}
        for number in range(N_SHUFFLES):
            shuffled = Erasure.fit(X, random.permutation(of_train.values))
            scores[f"shuffled {number}"] = _scores(shuffled(X), train.labels, shuffled(Q))
        means = mean_scores([ScoredRun(test.labels == 1, scores, groups=_groups(test))])
        change = means.contrast({"after": 1, "before": -1})
        cue_aucs: list[float | None] = [None, None]
        if of_test is not None and len({*of_test.target}) == 2:
            cue_aucs = [
                roc_auc(of_test.target, _scores(A, of_train.target, B))
                for A, B in ((X, Q), (erasure(X), erasure(Q)))
            ]
        yield ErasedCue(
            layer=layer,
            cue=name,
            about=of_train.about,
            rank=erasure.rank,
            auc=means.contrast({"before": 1}).value,
            auc_after=means.contrast({"after": 1}).value,
            change_interval=change.interval,
            auc_control=float(np.mean(means.values[2:])),
            cue_auc=cue_aucs[0],
            cue_auc_after=cue_aucs[1],
        )


def _scores(X: np.ndarray, target: np.ndarray, Q: np.ndarray) -> np.ndarray:
    probe = LogisticProbe(l2=L2, preprocess="standardize").fit(X, target.astype(np.float64))
    scores: np.ndarray = probe.predict_proba(Q)[:, 1]
    return scores


def _groups(test: Rows) -> np.ndarray | None:
    """Groups of test rows, if each class has at least two of them."""
    if test.groups is None:
        return None
    several = all(len(np.unique(test.groups[test.labels == label])) > 1 for label in (0, 1))
    return test.groups if several else None


def _joined(cues: list[CueColumns]) -> CueColumns:
    return CueColumns("", np.hstack([cue.values for cue in cues]), cues[0].target)
