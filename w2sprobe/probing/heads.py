"""Linear heads with any finetuning loss, trained by Adam on activations."""

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

# A loss that is called once per step, and the seeds and label vectors whose logits it gets.
LossCall = tuple[Loss, slice, slice]


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

    Computed in float64; heads that are trained jointly equal heads that are trained separately.

    Parameters
    ----------
    X : array_like of float, shape (n, d)
        Activations, finite.
    y : array_like of float, shape (n,) or (v, n)
        Soft labels, P(label = 1), in [0, 1].
    loss : str or TrainSettings
        A name in `LOSSES`, with the defaults of `TrainSettings`; or settings, of which only those
        of the loss are used.
    seeds : sequence of int, each at least 0
        Seeds of the order of the rows; one head for each.
    preprocess : {"none", "center", "standardize"}, default "standardize"
        Fitted on all rows, ignoring `keep`.
    keep : array_like of bool, shape (n,) or (v, n), optional
        Rows that each label vector is trained on.

    Returns
    -------
    coef, intercept : ndarray of float64, shapes (s, d) and (s,), or (v, s, d) and (v, s)
        For X as given, not preprocessed.

    Raises
    ------
    InputError
        Shape, range or a value that is not finite; rows of one class; weights that diverge.
    UnknownName
        No such loss or preprocessing.
    """
    loss_settings = loss if isinstance(loss, TrainSettings) else _default_settings(loss)
    torch_device = resolve_device(device)
    points = check_activations(X)
    soft, several = check_label_vectors(y, len(points))
    kept = np.ones_like(soft, dtype=bool) if keep is None else check_keep(keep, soft.shape)
    scaling = Preprocessing.fit(points, preprocess)
    rows = scaling.apply(points)
    coef = np.empty((len(soft), len(seeds), points.shape[1]))
    intercept = np.empty(coef.shape[:2])
    # label vectors that keep the same rows are trained together: they share each batch
    masks, mask_of = np.unique(kept, axis=0, return_inverse=True)
    for number, mask in enumerate(masks):
        vectors = np.flatnonzero(mask_of.ravel() == number)
        if not mask.any():
            raise InputError("keep leaves no rows to train on", allowed="rows of both classes")
        X_kept, labels = to_tensor(rows[mask], torch_device), soft[vectors][:, mask]
        trained = _train(X_kept, labels, loss_settings, settings, seeds)
        coef[vectors], intercept[vectors] = trained[..., :-1], trained[..., -1]
    if not np.isfinite(coef).all():
        raise InputError(
            f"weights are not finite: learning_rate {settings.learning_rate:g}, l2 {settings.l2:g}",
            advice="Lower the learning rate, or standardise.",
        )
    # undo the preprocessing: w·(x - centre) / scale + b = (w / scale)·x + b - (w / scale)·centre
    coef /= scaling.scale
    intercept -= coef @ scaling.centre
    return (coef, intercept) if several else (coef[0], intercept[0])


def _default_settings(loss: str) -> TrainSettings:
    if loss not in LOSSES:
        raise UnknownName("loss", loss, LOSSES)
    return TrainSettings.model_validate({"loss": loss})


def _train(
    X: Tensor,
    labels: np.ndarray,
    loss_settings: TrainSettings,
    settings: HeadSettings,
    seeds: Sequence[int],
) -> np.ndarray:
    """Weights of all heads, with the intercept last, (v, s, d + 1)."""
    for vector in labels:
        check_both_classes(vector)
    n_rows, width = X.shape
    soft = to_tensor(labels, X.device).T.contiguous()
    calls = [*_loss_calls(loss_settings, labels, len(seeds))]
    # heads start at 0, so that flipping the labels flips a head if the loss treats classes alike
    weights = torch.zeros(
        (len(seeds), width + 1, len(labels)), dtype=torch.float64, device=X.device
    )
    adam = torch.optim.Adam([weights], lr=settings.learning_rate)
    n_steps = settings.epochs * -(-n_rows // settings.batch_size)
    for step, rows in enumerate(_batches(n_rows, settings, seeds, X.device)):
        weights.grad = _gradient(
            weights, X[rows].double(), soft[rows], calls, ramp_at(step, n_steps), settings.l2
        )
        adam.param_groups[0]["lr"] = settings.learning_rate * (1 - step / n_steps)
        adam.step()
    trained: np.ndarray = weights.permute(2, 0, 1).cpu().numpy()
    return trained


def _batches(
    n_rows: int, settings: HeadSettings, seeds: Sequence[int], device: torch.device
) -> Iterator[Tensor]:
    """Row numbers of each step, (s, b): every seed has its own order in every epoch."""
    generators = [np.random.default_rng(seed) for seed in seeds]
    for _ in range(settings.epochs):
        orders = np.stack([generator.permutation(n_rows) for generator in generators])
        on_device = to_tensor(orders, device)
        for start in range(0, n_rows, settings.batch_size):
            yield on_device[:, start : start + settings.batch_size]


def _gradient(
    weights: Tensor,
    X: Tensor,
    targets: Tensor,
    calls: Sequence[LossCall],
    ramp: float,
    l2: float,
) -> Tensor:
    """Gradient of mean loss + l2 |w|², for every head; the intercept is not penalised.

    weights (s, d + 1, v), X (s, b, d), targets (s, b, v). `ramp` weights the auxiliary term of a
    loss, as in finetuning.
    """
    # m = Xw + b, and logits -m/2 and m/2. Autograd sees only what follows m; the chain rule from m
    # to the weights is two products, written out below.
    margins = torch.baddbmm(weights[:, -1:], X, weights[:, :-1]).requires_grad_()
    half = margins / 2
    logits = torch.stack([-half, half], dim=-1)
    total = torch.zeros((), dtype=torch.float64, device=X.device)
    for loss, seeds, vectors in calls:
        of_heads = logits[seeds, :, vectors]
        mean = loss(of_heads.reshape(-1, 2), targets[seeds, :, vectors].reshape(-1), ramp)
        # times the number of heads: the loss is a mean over heads too, each needs its own gradient
        total += mean * (of_heads.shape[0] * of_heads.shape[2])
    (slope,) = torch.autograd.grad(total, margins)
    gradient = 2 * l2 * weights
    gradient[:, -1] = slope.sum(dim=1)
    gradient[:, :-1].baddbmm_(X.transpose(1, 2), slope)
    return gradient


def _loss_calls(
    loss_settings: TrainSettings, labels: np.ndarray, n_seeds: int
) -> Iterator[LossCall]:
    """Loss calls per step: one for all heads, or several if the loss has state or needs labels."""
    every = slice(None)
    has_state = hasattr(make_loss(loss_settings, labels[0]), "state_dict")
    if not has_state and loss_settings.loss != "window":
        yield make_loss(loss_settings), every, every
        return
    by_seed = [slice(seed, seed + 1) for seed in range(n_seeds)] if has_state else [every]
    for number, vector in enumerate(labels):
        for seeds in by_seed:
            yield make_loss(loss_settings, vector), seeds, slice(number, number + 1)
