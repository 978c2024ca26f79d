"""Linear heads with any loss of finetuning, trained by Adam on activations."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from w2sprobe.checks import (
    Preprocess,
    check_activations,
    check_both_classes,
    check_keep,
    check_label_vectors,
)
from w2sprobe.devices import resolve_device, to_tensor
from w2sprobe.errors import InputError, UnknownName
from w2sprobe.probes.preprocess import Preprocessing
from w2sprobe.probing.spec import HeadSettings
from w2sprobe.training.losses import Loss, make_loss, ramp_at
from w2sprobe.training.settings import LOSSES, TrainSettings

# A call of a loss in each step, and the seeds and label vectors whose logits it is given.
Part = tuple[Loss, slice, slice]


def fit_heads(
    X: ArrayLike,
    y: ArrayLike,
    *,
    loss: str | TrainSettings,
    settings: HeadSettings,
    seeds: Sequence[int] = (0,),
    preprocess: Preprocess = "standardize",
    keep: ArrayLike | None = None,
    device: str = "auto",
) -> tuple[np.ndarray, np.ndarray]:
    """Train a linear head for every label vector and seed.

    Parameters
    ----------
    X : array_like of float, shape (n, d)
        Activations, finite.
    y : array_like of float, shape (n,) or (v, n)
        Soft labels, P(label = 1), in [0, 1].
    loss : str or TrainSettings
        One of `LOSSES` with the defaults of `TrainSettings`; or settings, of which those of the
        loss are read.
    settings : HeadSettings
    seeds : sequence of int, each from 0 on
        Of the order of the rows; a head for each.
    preprocess : {"none", "center", "standardize"}, default "standardize"
        Learnt from all rows, whatever is kept. Coefficients are those of X as given.
    keep : array_like of bool, shape (n,) or (v, n), optional
        Rows that each label vector is trained on.
    device : str, default "auto"
        "cpu", "cuda", "cuda:1"; "auto" takes a GPU where there is one.

    Returns
    -------
    coef : ndarray of float64, shape (s, d), or (v, s, d)
        For each seed.
    intercept : ndarray of float64, shape (s,), or (v, s)

    Raises
    ------
    InputError
        Shape, range or a value that is not finite; rows of one class; weights that grow beyond
        all numbers.
    UnknownName
        No such loss or preprocessing.

    Notes
    -----
    Heads start at 0, so that turning the labels around turns a head around wherever the loss knows
    no difference between the classes. Logits are (-m / 2, m / 2), m = x·w + b. Vectors that keep
    the same rows share each batch; all is computed in float64, so that a head is what it would be
    alone. The weight of an auxiliary term grows as in finetuning (`ramp_at`).
    """
    options = loss if isinstance(loss, TrainSettings) else _with_defaults(loss)
    place = resolve_device(device)
    points = check_activations(X)
    soft, several = check_label_vectors(y, len(points))
    kept = np.ones_like(soft, dtype=bool) if keep is None else check_keep(keep, soft.shape)
    moved = Preprocessing.fit(points, preprocess)
    rows = moved.apply(points)
    coef = np.empty((len(soft), len(seeds), points.shape[1]))
    intercept = np.empty(coef.shape[:2])
    masks, mask_of = np.unique(kept, axis=0, return_inverse=True)
    for number, mask in enumerate(masks):
        vectors = np.flatnonzero(mask_of.ravel() == number)
        labels = soft[vectors][:, mask]
        if not mask.any():
            raise InputError("keep leaves no rows to train on", allowed="rows of both classes")
        for vector in labels:
            check_both_classes(vector)
        trained = _train(to_tensor(rows[mask], place), labels, options, settings, seeds)
        coef[vectors], intercept[vectors] = trained[..., :-1], trained[..., -1]
    if not np.isfinite(coef).all():
        raise InputError(
            f"weights are not finite: learning_rate {settings.learning_rate:g}, l2 {settings.l2:g}",
            advice="Lower the learning rate, or standardise.",
        )
    coef /= moved.scale
    intercept -= coef @ moved.centre
    return (coef, intercept) if several else (coef[0], intercept[0])


def _with_defaults(loss: str) -> TrainSettings:
    if loss not in LOSSES:
        raise UnknownName("loss", loss, LOSSES)
    return TrainSettings.model_validate({"loss": loss})


def _train(
    rows: Tensor,
    labels: np.ndarray,
    options: TrainSettings,
    settings: HeadSettings,
    seeds: Sequence[int],
) -> np.ndarray:
    """Weights and, last, intercepts: (v, s, d + 1)."""
    n_rows, width = rows.shape
    soft = to_tensor(labels, rows.device).T.contiguous()
    n_seeds, n_vectors = len(seeds), len(labels)
    parts = [*_parts(options, labels, n_seeds)]
    weights = torch.zeros((n_seeds, width + 1, n_vectors), dtype=torch.float64, device=rows.device)
    adam = torch.optim.Adam([weights], lr=settings.learning_rate)
    shuffles = [np.random.default_rng(seed) for seed in seeds]
    starts = range(0, n_rows, settings.batch_size)
    n_steps = settings.epochs * len(starts)
    step = 0
    for _ in range(settings.epochs):
        order = to_tensor(
            np.stack([shuffle.permutation(n_rows) for shuffle in shuffles]), rows.device
        )
        for start in starts:
            batch = order[:, start : start + settings.batch_size]
            block, targets = rows[batch].double(), soft[batch]
            margins = torch.baddbmm(weights[:, -1:], block, weights[:, :-1]).requires_grad_()
            half = margins / 2
            logits = torch.stack([-half, half], dim=-1)
            ramp = ramp_at(step, n_steps)
            total = torch.zeros((), dtype=torch.float64, device=rows.device)
            for loss, some, vectors in parts:
                called = logits[some, :, vectors]
                mean = loss(called.reshape(-1, 2), targets[some, :, vectors].reshape(-1), ramp)
                total += mean * (called.shape[0] * called.shape[2])  # a mean for each head
            (slope,) = torch.autograd.grad(total, margins)
            gradient = 2 * settings.l2 * weights
            gradient[:, -1] = slope.sum(dim=1)
            gradient[:, :-1].baddbmm_(block.transpose(1, 2), slope)
            weights.grad = gradient
            adam.param_groups[0]["lr"] = settings.learning_rate * (1 - step / n_steps)
            adam.step()
            step += 1
    trained: np.ndarray = weights.permute(2, 0, 1).cpu().numpy()
    return trained


def _parts(options: TrainSettings, labels: np.ndarray, n_seeds: int) -> Iterator[Part]:
    """Calls of a step: one, unless a loss remembers its own head or depends on its labels."""
    every = slice(None)
    remembers = hasattr(make_loss(options, labels[0]), "state_dict")
    if not remembers and options.loss != "window":
        yield make_loss(options), every, every
        return
    heads = [slice(seed, seed + 1) for seed in range(n_seeds)] if remembers else [every]
    for number, vector in enumerate(labels):
        for seeds in heads:
            yield make_loss(options, vector), seeds, slice(number, number + 1)
