"""Training of token-level probes: all folds, label vectors and penalties at once, by Adam."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from w2sprobe.devices import to_tensor
from w2sprobe.errors import InputError
from w2sprobe.probes.pooling import POOLINGS, Pooling
from w2sprobe.probes.token_rows import TokenRows
from w2sprobe.token_settings import TokenSettings

INITIAL_SPREAD = 0.3  # standard deviation of a standardised token's scores before training
BIAS_RATE = 0.1  # learning rate of the intercept, beside `learning_rate`
MAX_SCORES = 2**24  # padded scores that are in memory at a time, 64 MB


@dataclass(frozen=True)
class TokenModels:
    """Trained probes: scores coef·x + offset of each token, pooled, plus the intercept.

    Parameters
    ----------
    coef : ndarray of float32, shape (m, K, d)
        For tokens as given, not standardised.
    offset : ndarray of float32, shape (m, K)
    intercept : ndarray of float32, shape (m,)
    pooling : str
        Name in `POOLINGS`.
    """

    coef: np.ndarray
    offset: np.ndarray
    intercept: np.ndarray
    pooling: str

    def __getitem__(self, models: slice) -> "TokenModels":
        return TokenModels(
            self.coef[models], self.offset[models], self.intercept[models], self.pooling
        )

    @classmethod
    def concatenate(cls, parts: Sequence["TokenModels"]) -> "TokenModels":
        """Join models of one pooling."""
        return cls(
            np.concatenate([part.coef for part in parts]),
            np.concatenate([part.offset for part in parts]),
            np.concatenate([part.intercept for part in parts]),
            parts[0].pooling,
        )

    def logits(self, rows: TokenRows, device: torch.device) -> np.ndarray:
        """Logits of every row by every model, float64, shape (m, n)."""
        pooling = POOLINGS[self.pooling]
        coef, offset = to_tensor(self.coef, device), to_tensor(self.offset, device)
        logits = np.empty((len(self.coef), len(rows)))
        for members, block in rows.blocks():
            batch = _Batch.of(block, device)
            n_models = _models_at_a_time(coef.shape[1], batch.index.numel())
            for start in range(0, len(coef), n_models):
                part = slice(start, start + n_models)
                scores = batch.scores(coef[part], offset[part])[..., batch.index]
                logits[part, members] = pooling.function(scores, batch.mask).cpu().numpy()
        logits += self.intercept[:, None]
        return logits


@dataclass(frozen=True)
class Fits:
    """Labels and rows of the models to train: every fold by every label vector by every penalty.

    Parameters
    ----------
    soft : ndarray of float64, shape (v, n)
    fold : ndarray of int64, shape (n,)
        Model f of `n_folds` is not trained on the rows of fold f; a fold without rows gives a
        model of all rows.
    l2s : ndarray of float64, shape (s,)
        Weights of the squared norm of a model's `coef` for standardised tokens.
    centre, scale : ndarray of float64, shape (n_folds, d)
        Of the tokens that each fold's models standardise with.
    """

    soft: np.ndarray
    fold: np.ndarray
    l2s: np.ndarray
    centre: np.ndarray
    scale: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """Folds, label vectors, penalties."""
        return len(self.centre), len(self.soft), len(self.l2s)


def train(
    rows: TokenRows, fits: Fits, pooling: str, settings: TokenSettings, device: torch.device
) -> TokenModels:
    """Minimise mean BCE(logit, soft label) + l2 |w|² for every model of `fits`, in float32.

    All models see the same batches, so that a batch is read once and a model does not depend on
    the others, up to rounding.

    Returns
    -------
    TokenModels
        m = folds x label vectors x penalties, the last varying fastest.

    Raises
    ------
    InputError
        Weights that diverge.
    """
    n_scores = settings.n_heads * POOLINGS[pooling].scores_per_head
    fold, vector, penalty = (axis.ravel() for axis in np.indices(fits.shape))
    longest = int(rows.lengths.max()) * settings.batch_size
    n_models = _models_at_a_time(n_scores, longest)
    parts = [
        _train_models(
            rows,
            _Models.of(fits, fold[part], vector[part], penalty[part], device),
            POOLINGS[pooling],
            settings,
        )
        for start in range(0, len(fold), n_models)
        for part in [slice(start, start + n_models)]
    ]
    models = TokenModels.concatenate([TokenModels(*part, pooling) for part in parts])
    if not (np.isfinite(models.coef).all() and np.isfinite(models.intercept).all()):
        raise InputError(
            f"weights are not finite: learning_rate {settings.learning_rate:g}",
            advice="Lower the learning rate.",
        )
    return models


def standardisation(rows: TokenRows, fold: np.ndarray, n_folds: int) -> tuple[np.ndarray, ...]:
    """Mean and standard deviation of the tokens outside each fold, float64, (n_folds, d) each."""
    # shifted by the mean of all tokens, so that the variance is not a difference of large numbers
    shift = rows.values.mean(axis=0, dtype=np.float64).astype(np.float32)
    outside = (fold != np.arange(n_folds)[:, None]).astype(np.float32)
    n_tokens = (outside @ rows.lengths.astype(np.float64))[:, None]
    mean, square = (sums / n_tokens for sums in rows.sums(outside, shift))
    scale = np.sqrt(np.maximum(square - mean**2, 0))
    constant = scale <= 1e-7 * np.abs(mean + shift)
    return mean + shift, np.where(constant | (scale == 0), 1.0, scale)


@dataclass(frozen=True)
class _Models:
    """What each of m models is trained on, on the device."""

    soft: Tensor  # (m, n)
    counted: Tensor  # (m, n): 1 for rows that a model is trained on
    l2: Tensor  # (m, 1, 1)
    centre: Tensor  # (m, d, 1)
    scale: Tensor  # (m, 1, d)

    @classmethod
    def of(
        cls,
        fits: Fits,
        fold: np.ndarray,
        vector: np.ndarray,
        penalty: np.ndarray,
        device: torch.device,
    ) -> "_Models":
        def tensor(array: np.ndarray) -> Tensor:
            return to_tensor(np.ascontiguousarray(array, dtype=np.float32), device)

        return cls(
            tensor(fits.soft[vector]),
            tensor(fits.fold != fold[:, None]),
            tensor(fits.l2s[penalty])[:, None, None],
            tensor(fits.centre[fold])[:, :, None],
            tensor(fits.scale[fold])[:, None],
        )

    def select(self, rows: np.ndarray) -> "_Models":
        """The same models for some rows."""
        index = to_tensor(rows, self.soft.device)
        return replace(self, soft=self.soft[:, index], counted=self.counted[:, index])


@dataclass(frozen=True)
class _Batch:
    """Tokens of some rows on the device, and their places in a padded array."""

    tokens: Tensor  # (t, d)
    index: Tensor  # (b, longest): number of the token; 0 where there is none
    mask: Tensor  # (b, longest): whether there is one

    @classmethod
    def of(cls, rows: TokenRows, device: torch.device) -> "_Batch":
        position = np.arange(rows.lengths.max())
        mask = position < rows.lengths[:, None]
        index = np.where(mask, rows.offsets[:-1, None] + position, 0)
        return cls(
            to_tensor(rows.values, device), to_tensor(index, device), to_tensor(mask, device)
        )

    def scores(self, coef: Tensor, offset: Tensor) -> Tensor:
        """Scores of the tokens, (m, K, t)."""
        # X @ W.T and a transposition: CPUs share out the rows of the first factor among threads
        product = (self.tokens @ coef.reshape(-1, coef.shape[-1]).T).T.contiguous()
        return product.view(*coef.shape[:2], -1) + offset[..., None]


def _train_models(
    rows: TokenRows, models: _Models, pooling: Pooling, settings: TokenSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`coef`, `offset` and `intercept` of m models."""
    device, width = models.soft.device, rows.values.shape[1]
    weights = _initial_weights(pooling, settings, width).to(device).repeat(len(models.soft), 1, 1)
    share = (models.soft * models.counted).sum(1) / models.counted.sum(1)
    bias = torch.logit(share, eps=1e-3).requires_grad_()
    # a step of Adam moves every weight by the learning rate, so a score by up to width times that
    groups = [
        {"params": [weights], "lr": settings.learning_rate / width},
        {"params": [bias], "lr": settings.learning_rate * BIAS_RATE},
    ]
    adam = torch.optim.Adam(groups)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, settings.steps)
    for members in _batches(len(rows), settings):
        batch = _Batch.of(rows.select(members), device)
        by_weights, bias.grad = _gradients(weights, bias, batch, models.select(members), pooling)
        weights.grad = by_weights + 2 * models.l2 * weights
        adam.step()
        schedule.step()
    coef = weights / models.scale
    offset = -(coef @ models.centre)[..., 0]
    return coef.cpu().numpy(), offset.cpu().numpy(), bias.detach().cpu().numpy()


def _gradients(
    weights: Tensor, bias: Tensor, batch: _Batch, models: _Models, pooling: Pooling
) -> tuple[Tensor, Tensor]:
    """Gradients of a batch's mean loss by `weights`, (m, K, d), and by `bias`, (m,)."""
    coef = weights / models.scale
    scores = batch.scores(coef, -(coef @ models.centre)[..., 0])
    # Autograd sees the padded scores only: every token has one place there, so its gradient is
    # read from that place, where autograd would add up over an index.
    padded = scores[..., batch.index].requires_grad_()
    logits = pooling.function(padded, batch.mask) + bias[:, None]
    n_counted = models.counted.sum(1, keepdim=True).clamp(min=1)  # a batch may lie in one fold
    loss = binary_cross_entropy_with_logits(
        logits, models.soft, weight=models.counted / n_counted, reduction="sum"
    )
    by_score, by_bias = torch.autograd.grad(loss, (padded, bias))
    by_token = by_score[..., batch.mask]
    by_coef = (by_token.reshape(-1, by_token.shape[-1]) @ batch.tokens).view(weights.shape)
    # scores are coef·(x - centre), coef = weights / scale
    by_coef -= by_token.sum(-1, keepdim=True) * models.centre.transpose(1, 2)
    return by_coef / models.scale, by_bias


def _initial_weights(pooling: Pooling, settings: TokenSettings, width: int) -> Tensor:
    """Start of every model, (K, d); random where heads would otherwise stay equal."""
    weights = np.zeros((settings.n_heads * pooling.scores_per_head, width), dtype=np.float32)
    generator = np.random.default_rng(settings.seed)
    # values of attention start at 0, so that flipping all labels flips the probe
    weights[: settings.n_heads] = generator.normal(
        scale=INITIAL_SPREAD / math.sqrt(width), size=(settings.n_heads, width)
    )
    return torch.from_numpy(weights)


def _batches(n_rows: int, settings: TokenSettings) -> Iterator[np.ndarray]:
    """Row numbers of each step: permutation after permutation of all rows."""
    generator = np.random.default_rng([settings.seed, 1])
    order = np.empty(0, dtype=np.int64)
    for _ in range(settings.steps):
        while len(order) < settings.batch_size:
            order = np.concatenate([order, generator.permutation(n_rows)])
        yield order[: settings.batch_size]
        order = order[settings.batch_size :]


def _models_at_a_time(n_scores: int, n_padded: int) -> int:
    return max(1, MAX_SCORES // (n_scores * n_padded))
