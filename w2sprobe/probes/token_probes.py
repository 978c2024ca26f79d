"""Token-level probes: scikit-learn-like classifiers of rows that have one vector per token."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from pydantic import ValidationError
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin

from w2sprobe.checks import (
    check_both_classes,
    check_keep,
    check_l2,
    check_label_vectors,
    check_target,
    optional_groups,
)
from w2sprobe.devices import resolve_device
from w2sprobe.errors import InputError
from w2sprobe.folds import FOLDS, folds_of
from w2sprobe.labels import THRESHOLD
from w2sprobe.probes.estimator import check_fitted, forget, two_columns
from w2sprobe.probes.token_rows import TokenRows
from w2sprobe.probes.token_training import (
    Fits,
    TokenModels,
    standardisation,
    train,
)
from w2sprobe.token_settings import TokenSettings

TOKEN_L2S = (1e-4, 1e-3, 1e-2, 1e-1)


def token_cross_fit_path(
    rows: TokenRows,
    y: ArrayLike,
    *,
    pooling: str,
    l2s: Sequence[float],
    settings: TokenSettings,
    cv: int = FOLDS,
    groups: ArrayLike | None = None,
    keep: ArrayLike | None = None,
    device: str = "auto",
) -> tuple[np.ndarray, TokenModels]:
    """Out-of-fold predictions, and models of all rows, for every label vector and penalty.

    All folds, label vectors and penalties are trained together, as long as the vectors keep the
    same rows.

    Parameters
    ----------
    rows : TokenRows, n rows
    y : array_like of float, shape (n,) or (v, n)
        Soft labels, P(label = 1), in [0, 1].
    pooling : {"attention", "softmax-mean", "multimax"}
    l2s : sequence of float, length s
        Weights of the squared norm of all weights beside the mean loss, on standardised tokens.
    cv : int, default 5; 0 to fit on all rows only
    groups : array_like, shape (n,), optional
        Rows of the same value are in the same fold.
    keep : array_like of bool, shape (n,) or (v, n), optional
        Rows that each label vector is fitted on. All rows give the scale of the tokens.

    Returns
    -------
    held_out : ndarray of float64, shape (v, s, n)
        P(label = 1) by models of the other folds; with `cv=0` empty, (v, s, 0).
    models : TokenModels
        Fitted on all rows that are kept, m = v x s.

    Raises
    ------
    InputError
        Shape, range or a value that is not finite; rows of one class; weights that diverge.
    """
    torch_device = resolve_device(device)
    soft, _ = check_label_vectors(y, len(rows))
    penalties = check_l2(l2s)
    kept = np.ones_like(soft, dtype=bool) if keep is None else check_keep(keep, soft.shape)
    n = len(rows)
    folds = folds_of(n, cv, optional_groups(groups, n)) if cv else np.full(n, -1)
    # no row is in fold number `cv`: the models without that fold are those of all rows
    centre, scale = standardisation(rows, folds, cv + 1)
    n_fits = len(penalties)
    held_out = np.empty((len(soft), n_fits, len(rows) if cv else 0))
    final: dict[int, TokenModels] = {}
    # label vectors that keep the same rows are trained together: they share each batch
    masks, mask_of = np.unique(kept, axis=0, return_inverse=True)
    for number, mask in enumerate(masks):
        vectors = np.flatnonzero(mask_of.ravel() == number)
        _check_folds(soft[vectors][:, mask], folds[mask], cv)
        fits = Fits(soft[vectors][:, mask], folds[mask], penalties, centre, scale)
        models = train(_selected(rows, mask), fits, pooling, settings, torch_device)
        n_models = len(vectors) * n_fits  # of each fold
        for fold in range(cv):
            out = np.flatnonzero(folds == fold)
            part = models[fold * n_models : (fold + 1) * n_models]
            p = expit(part.logits(rows.select(out), torch_device))
            held_out[np.ix_(vectors, np.arange(n_fits), out)] = p.reshape(len(vectors), n_fits, -1)
        for position, vector in enumerate(vectors):
            start = cv * n_models + position * n_fits
            final[int(vector)] = models[start : start + n_fits]
    return held_out, TokenModels.concatenate([final[vector] for vector in range(len(soft))])


def _selected(rows: TokenRows, mask: np.ndarray) -> TokenRows:
    """Rows of a mask; the rows themselves where it has all of them, without a copy."""
    return rows if mask.all() else rows.select(np.flatnonzero(mask))


def _check_folds(soft: np.ndarray, folds: np.ndarray, cv: int) -> None:
    """Refuse models (fold by label vector) without rows, or with one class."""
    for fold in range(cv + 1):
        used = folds != fold
        if not used.any():
            raise InputError("keep leaves no rows to train on", allowed="rows of both classes")
        for vector in soft:
            check_both_classes(vector[used])


class TokenProbe(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Binary classifier of rows of tokens; subclasses name the pooling.

    Parameters
    ----------
    n_heads : int, default 4
        Each head has scores of its own; their results are added.
    l2 : float, default 1e-3
        Weight of the squared norm of all weights beside the mean loss, on standardised tokens.
    seed : int, default 0
        Of the initial weights and of the row order.
    steps, batch_size, learning_rate
        As in `TokenSettings`.
    device : str, default "auto"
        "cpu", "cuda", "cuda:1"; "auto" takes a GPU where there is one.

    Attributes
    ----------
    coef_ : ndarray of float32, shape (K, d)
        For tokens as given: K = n_heads, for attention 2 n_heads, queries first.
    offset_ : ndarray of float32, shape (K,)
        Token scores are coef_ x + offset_.
    intercept_ : float
    """

    pooling: str
    coef_: np.ndarray
    offset_: np.ndarray
    intercept_: float

    def __init__(
        self,
        n_heads: int = 4,
        l2: float = 1e-3,
        seed: int = 0,
        *,
        steps: int = 500,
        batch_size: int = 64,
        learning_rate: float = 0.5,
        device: str = "auto",
    ) -> None:
        self.n_heads = n_heads
        self.l2 = l2
        self.seed = seed
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.device = device

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coef_")

    def fit(self, values: ArrayLike, y: ArrayLike, *, offsets: ArrayLike) -> "TokenProbe":
        """Train on all rows.

        Parameters
        ----------
        values : array_like of float, shape (t, d)
            Vectors of all tokens, one row after the other; finite.
        y : array_like of float, shape (n,)
            Hard or soft labels in [0, 1].
        offsets : array_like of int, shape (n + 1,)
            Row r has the vectors offsets[r] to offsets[r + 1], as in a ragged store.

        Raises
        ------
        InputError
            Shape, range or a value that is not finite; all labels 0 or all 1; weights that diverge.
        """
        forget(self)
        rows, settings = TokenRows.checked(values, offsets), self._settings()
        soft = check_target(y, len(rows))
        _, models = token_cross_fit_path(
            rows,
            soft,
            pooling=self.pooling,
            l2s=[self.l2],
            settings=settings,
            cv=0,
            device=self.device,
        )
        self.classes_ = np.array([0, 1])
        self.n_features_in_ = rows.values.shape[1]
        (self.coef_,), (self.offset_,) = models.coef, models.offset
        self.intercept_ = float(models.intercept[0])
        return self

    def cross_fit(
        self,
        values: ArrayLike,
        y: ArrayLike,
        *,
        offsets: ArrayLike,
        cv: int = FOLDS,
        groups: ArrayLike | None = None,
    ) -> np.ndarray:
        """Out-of-fold P(label = 1), float64, shape (n,).

        Parameters
        ----------
        values, y, offsets
            As in `fit`.
        cv : int, default 5
            Folds.
        groups : array_like, shape (n,), optional
            Rows of the same value are in the same fold.

        Raises
        ------
        InputError
            As in `fit`, or `cv` is out of range.
        """
        rows, settings = TokenRows.checked(values, offsets), self._settings()
        held_out, _ = token_cross_fit_path(
            rows,
            check_target(y, len(rows)),
            pooling=self.pooling,
            l2s=[self.l2],
            settings=settings,
            cv=cv,
            groups=groups,
            device=self.device,
        )
        p: np.ndarray = held_out[0, 0]
        return p

    def decision_function(self, values: ArrayLike, *, offsets: ArrayLike) -> np.ndarray:
        """Logits, float64, shape (n,); above 0 for label 1.

        Raises
        ------
        InputError
            Not fitted, another width, not finite, or offsets that do not fit.
        """
        check_fitted(self)
        rows = TokenRows.checked(values, offsets, self.n_features_in_)
        models = TokenModels(
            self.coef_[None], self.offset_[None], np.array([self.intercept_]), self.pooling
        )
        logits: np.ndarray = models.logits(rows, resolve_device(self.device))[0]
        return logits

    def predict_proba(self, values: ArrayLike, *, offsets: ArrayLike) -> np.ndarray:
        """P(label = 0) and P(label = 1), float64, shape (n, 2); errors as `decision_function`."""
        return two_columns(expit(self.decision_function(values, offsets=offsets)))

    def predict(self, values: ArrayLike, *, offsets: ArrayLike) -> np.ndarray:
        """1 where P(label = 1) > 0.5, else 0; int64, shape (n,)."""
        hard: np.ndarray = self.predict_proba(values, offsets=offsets)[:, 1] > THRESHOLD
        return hard.astype(np.int64)

    def _settings(self) -> TokenSettings:
        try:
            return TokenSettings(
                **{name: getattr(self, name) for name in TokenSettings.model_fields}
            )
        except ValidationError as error:
            first = error.errors()[0]
            raise InputError(
                f"{first['loc'][0]} is {first['input']!r}", allowed=first["msg"]
            ) from error


class AttentionProbe(TokenProbe):
    """Probe with logit sum_h sum_t softmax_t(q_h·x_t) v_h·x_t + b.

    Notes
    -----
    EleutherAI, "Attention probes" (2025), without the position bias.
    """

    pooling = "attention"


class MultiMaxProbe(TokenProbe):
    """Probe with logit sum_h max_t w_h·x_t + b.

    Notes
    -----
    Kramar et al., arXiv 2601.11516, section 3.2.1, without the MLP before it; with the
    maximum in training, too.
    """

    pooling = "multimax"


class SoftmaxMeanProbe(TokenProbe):
    """Probe with logit sum_h sum_t softmax_t(w_h·x_t) w_h·x_t + b.

    Notes
    -----
    McKenzie et al., arXiv 2506.10805, "softmax" aggregation; temperature 1 and several heads are
    choices of this package.
    """

    pooling = "softmax-mean"
