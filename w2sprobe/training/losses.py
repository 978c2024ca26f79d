"""Binary classification losses on soft labels: the published study's, and others.

Every loss takes `logits` (b, 2), any float type, and `soft` (b,), P(label = 1) in [0, 1], and
returns the mean over the b rows, computed in float32 or better. Means of micro-batches, weighted by
their rows, add up to the mean of the batch; only `LogConfidence` depends on how a batch is cut.
`docs/losses.md` plots the losses and their gradients.
"""

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from w2sprobe.errors import InputError, UnknownName
from w2sprobe.training.settings import (
    DEFAULT_ALPHA,
    DEFAULT_LOG_ZERO,
    DEFAULT_Q,
    LOSSES,
    TrainSettings,
)

DEFAULT_WINDOW = 32  # last predictions that LogConfidence takes its threshold from, as published
DEFAULT_RADIUS = 0.15  # of `confidence_window`, as in the published code; its runs: `auto_radius`

# The weight of an auxiliary loss grows over 100 steps as published, at most over a fifth of the
# run: Burns et al., arXiv 2312.09390, warm it up over the first 20 % of training.
RAMP_STEPS, RAMP_SHARE = 100, 0.2

Threshold = Literal["median", "balanced", "batch_mean"]

Loss = Callable[[Tensor, Tensor, float], Tensor]  # (logits, soft, ramp) -> scalar


def cross_entropy(logits: Tensor, soft: Tensor) -> Tensor:
    """Compute the cross-entropy to the soft labels.

    Parameters
    ----------
    logits : Tensor, shape (b, 2)
    soft : Tensor, shape (b,)
        P(label = 1), in [0, 1].

    Returns
    -------
    Tensor, scalar
        Mean of -(1 - q) log p0 - q log p1, with p = softmax(logits) and q = soft.

    Raises
    ------
    InputError
        Another shape, or no rows.
    """
    log_p, soft = _check_batch(logits, soft)
    return _cross_entropy(log_p, soft).mean()


def confidence_window(logits: Tensor, soft: Tensor, radius: float = DEFAULT_RADIUS) -> Tensor:
    """Compute the cross-entropy of the rows that the student is not yet confident about.

    Parameters
    ----------
    logits, soft
        As in `cross_entropy`.
    radius : float, in [0, 0.5]
        A row counts as long as max(p) < 0.5 + radius.

    Returns
    -------
    Tensor, scalar
        Sum of the counted rows' cross-entropy, divided by b: rows outside count as 0.

    Raises
    ------
    InputError
        Another shape, no rows, or `radius` out of range.

    Notes
    -----
    Source: EleutherAI, "Experiments in Weak-to-Strong Generalization" (2024), confidence window.
    Its code has radius 0.15; its runs took the median confidence of the weak labels, `auto_radius`.
    """
    if not 0 <= radius <= 0.5:
        raise InputError(f"radius out of range: {radius!r}", allowed="0 to 0.5")
    log_p, soft = _check_batch(logits, soft)
    counted = log_p.detach().exp().amax(dim=1) < 0.5 + radius
    return (counted * _cross_entropy(log_p, soft)).mean()


def auto_radius(soft_labels: ArrayLike) -> float:
    """Compute the radius of the confidence window from the training labels.

    Parameters
    ----------
    soft_labels : array of float, shape (n,)
        P(label = 1), in [0, 1], of the rows that are kept.

    Returns
    -------
    float, in [0, 0.5]
        Median of |q - 0.5|. For hard labels it is 0.5: every row counts, as in cross-entropy,
        except rows whose largest probability rounds to 1.

    Raises
    ------
    InputError
        No labels, or one out of range.

    Notes
    -----
    Source: the runs of EleutherAI, "Experiments in Weak-to-Strong Generalization" (2024).
    """
    confidence = np.abs(np.asarray(soft_labels, dtype=np.float64) - 0.5)
    if confidence.ndim != 1 or not len(confidence):
        raise InputError(f"labels of shape {confidence.shape}", allowed="(n,), n at least 1")
    if not (confidence <= 0.5).all():
        row = int(np.argmin(confidence <= 0.5))
        value = float(np.asarray(soft_labels)[row])
        raise InputError(f"soft label out of range: {value!r}, row {row}", allowed="0 to 1")
    return float(np.median(confidence))


def reverse_cross_entropy(
    logits: Tensor, soft: Tensor, log_zero: float = DEFAULT_LOG_ZERO
) -> Tensor:
    """Compute the reverse cross-entropy: cross-entropy with prediction and label swapped.

    Parameters
    ----------
    logits, soft
        As in `cross_entropy`.
    log_zero : float, below 0
        Lower bound of the logarithm of a label, which is infinite at 0.

    Returns
    -------
    Tensor, scalar
        Mean of -p0 max(log(1 - q), A) - p1 max(log q, A), with q = soft and A = `log_zero`.

    Raises
    ------
    InputError
        Another shape, no rows, or `log_zero` not below 0.

    Notes
    -----
    Linear in p, without gradient at q = 0.5. Source: Wang et al., arXiv 1908.06112, where A
    replaces log 0 of hard labels and the term is added to cross-entropy; bounding soft labels by A
    is our extension. With weak labels: Yao et al., arXiv 2502.11107; Xu et al., arXiv 2505.24313.
    """
    if not log_zero < 0:
        raise InputError(f"log_zero out of range: {log_zero!r}", allowed="below 0")
    log_p, soft = _check_batch(logits, soft)
    p = log_p.exp()
    log_0, log_1 = (label.log().clamp(min=log_zero) for label in (1 - soft, soft))
    return -(p[:, 0] * log_0 + p[:, 1] * log_1).mean()


def generalised_cross_entropy(logits: Tensor, soft: Tensor, q: float = DEFAULT_Q) -> Tensor:
    """Compute a loss between cross-entropy and mean absolute error.

    Parameters
    ----------
    logits, soft
        As in `cross_entropy`.
    q : float, in (0, 1]
        Larger values down-weight rows whose label disagrees with the prediction. Near 0 the loss is
        cross-entropy; at 1 it is E|p1 - y| for a hard label y drawn with P(y = 1) = `soft`.

    Returns
    -------
    Tensor, scalar
        Mean of (1 - s) (1 - p0^q) / q + s (1 - p1^q) / q, with s = soft.

    Raises
    ------
    InputError
        Another shape, no rows, or `q` out of range.

    Notes
    -----
    Source: L_q of Zhang & Sabuncu, arXiv 1805.07836, without truncation. Theirs takes a hard label;
    ours is its expectation over the soft one.
    """
    if not 0 < q <= 1:
        raise InputError(f"q out of range: {q!r}", allowed="above 0, up to 1")
    log_p, soft = _check_batch(logits, soft)
    # (1 - p^q) / q; expm1 keeps its digits where q log p is near 0
    by_class = -torch.expm1(q * log_p) / q
    return ((1 - soft) * by_class[:, 0] + soft * by_class[:, 1]).mean()


class LogConfidence:
    """Cross-entropy to a mixture of the labels and the student's own hardened predictions.

    Parameters
    ----------
    alpha : float, in [0, 1]
        Weight of the student's own predictions.
    window : int, at least 1
        Number of most recent predictions, the current batch included, that set the threshold.
    threshold : {"median", "balanced", "batch_mean"}
        Which quantile of p0, that is, which share of the last rows is hardened to class 1.
        "median": one half, whatever the labels say. "balanced": the mean of their soft labels, so
        that class 1 is as frequent in the hardened labels as in the given ones. "batch_mean", as in
        the published code: the mean soft label of this call's rows, the median for a single row;
        the result then depends on the size of the micro-batches.

    Raises
    ------
    InputError
        A parameter out of range.
    UnknownName
        No such threshold.

    Notes
    -----
    L = (1 - a) CE(p, q) + a CE(p, h), with a = alpha * ramp and h the hardened prediction: class 0
    where p0 >= t, class 1 elsewhere. t is the quantile (linear between values) of the last `window`
    values of p0, the rows of this call included; no gradient flows through h or t. Where a call has
    more rows than `window`, its last ones set t.

    Source: Burns et al., arXiv 2312.09390, whose threshold is that of a batch; the running median
    is EleutherAI's, "Experiments in Weak-to-Strong Generalization" (2024). "balanced" is the rule
    of OpenAI's released code, with the last rows in place of a batch. Every call changes the state:
    call it on training rows only.
    """

    def __init__(
        self,
        alpha: float = DEFAULT_ALPHA,
        window: int = DEFAULT_WINDOW,
        threshold: Threshold = "median",
    ) -> None:
        _check_share("alpha", alpha)
        if window < 1:
            raise InputError(f"window too small: {window!r}", allowed="at least 1")
        if threshold not in get_args(Threshold):
            raise UnknownName("threshold", threshold, get_args(Threshold))
        self.alpha, self.window, self.threshold = alpha, window, threshold
        self._recent = torch.empty(0)  # p0 of the last rows, oldest first
        self._recent_soft = torch.empty(0)  # and their labels

    def __call__(self, logits: Tensor, soft: Tensor, ramp: float = 1.0) -> Tensor:
        """Compute the loss and remember the predictions.

        Parameters
        ----------
        logits : Tensor, shape (b, 2)
        soft : Tensor, shape (b,)
            P(label = 1), in [0, 1].
        ramp : float, in [0, 1]
            Scales alpha: the caller's warm-up.

        Raises
        ------
        InputError
            Another shape, no rows, or `ramp` out of range.
        """
        _check_share("ramp", ramp)
        log_p, soft = _check_batch(logits, soft)
        p0 = log_p[:, 0].detach().exp()
        self._recent = torch.cat([self._recent.to(p0), p0])[-self.window :]
        self._recent_soft = torch.cat([self._recent_soft.to(soft), soft])[-self.window :]
        hardened = (p0 < self._recent.quantile(self._share(soft))).to(soft)
        weight = self.alpha * ramp
        return _cross_entropy(log_p, (1 - weight) * soft + weight * hardened).mean()

    def _share(self, soft: Tensor) -> float:
        """Share of the last rows that are hardened to class 1."""
        if self.threshold == "balanced":
            return self._recent_soft.mean().item()
        if self.threshold == "batch_mean" and len(soft) > 1:
            return soft.mean().item()
        return 0.5

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed run needs, as JSON values."""
        return {"recent": self._recent.tolist(), "recent_soft": self._recent_soft.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state that `state_dict` returned.

        Parameters
        ----------
        state : dict
            `recent`, `recent_soft`: lists of float, p0 and soft labels of the last rows, oldest
            first.

        Raises
        ------
        InputError
            More predictions than `window`, or another number of labels: state of another run.
        """
        recent, recent_soft = (
            torch.tensor(state[name], dtype=torch.float64) for name in ("recent", "recent_soft")
        )
        if len(recent) > self.window or len(recent) != len(recent_soft):
            raise InputError(
                f"{len(recent)} remembered predictions, {len(recent_soft)} labels",
                allowed=f"a label each, at most window = {self.window}",
            )
        self._recent, self._recent_soft = recent, recent_soft


class Entropy:
    """Cross-entropy plus the entropy of the student's own prediction.

    Parameters
    ----------
    alpha : float, in [0, 1]
        Weight of the entropy.
    detached : bool
        True, as in the published code: no gradient flows through the p that weighs log p. The value
        is the same, but the term's gradient is softmax(z) - p = 0, so that only the cross-entropy
        trains, its gradient scaled by (1 - a).

    Raises
    ------
    InputError
        A parameter out of range.

    Notes
    -----
    L = (1 - a) CE(p, q) + a H(p), with a = alpha * ramp and H(p) = -sum p log p. Minimising H makes
    the student more confident. Source: entropy loss of EleutherAI, "Experiments in Weak-to-Strong
    Generalization" (2024), which describes H(p) with its full gradient.
    """

    def __init__(self, alpha: float = DEFAULT_ALPHA, *, detached: bool = False) -> None:
        _check_share("alpha", alpha)
        self.alpha, self.detached = alpha, detached

    def __call__(self, logits: Tensor, soft: Tensor, ramp: float = 1.0) -> Tensor:
        """Compute the loss.

        Parameters
        ----------
        logits : Tensor, shape (b, 2)
        soft : Tensor, shape (b,)
            P(label = 1), in [0, 1].
        ramp : float, in [0, 1]
            Scales alpha: the caller's warm-up.

        Raises
        ------
        InputError
            Another shape, no rows, or `ramp` out of range.
        """
        _check_share("ramp", ramp)
        log_p, soft = _check_batch(logits, soft)
        p = log_p.detach().exp() if self.detached else log_p.exp()
        entropy = -(p * log_p).sum(dim=1)
        weight = self.alpha * ramp
        return ((1 - weight) * _cross_entropy(log_p, soft) + weight * entropy).mean()


def make_loss(settings: TrainSettings, soft_labels: ArrayLike | None = None) -> Loss:
    """Make a new loss for a run.

    Parameters
    ----------
    settings : TrainSettings
        Name and parameters of the loss; other settings are not read.
    soft_labels : array of float, shape (n,), optional
        Training labels; needed if the window's radius is "auto".

    Returns
    -------
    callable
        (logits (b, 2), soft (b,), ramp in [0, 1]) -> scalar. A `LogConfidence` has a state that
        exact resumption needs; the others have none.

    Raises
    ------
    UnknownName
        No such loss.
    InputError
        `soft_labels` is needed and not given, or `auto_radius` refuses it.
    """
    alpha, q = settings.loss_alpha, settings.generalised_q
    makers: dict[str, Callable[[], Loss]] = {
        "xent": lambda: _unramped(cross_entropy),
        "logconf": lambda: LogConfidence(alpha),
        "logconf_balanced": lambda: LogConfidence(alpha, threshold="balanced"),
        "logconf_published": lambda: LogConfidence(alpha, threshold="batch_mean"),
        "entropy": lambda: Entropy(alpha),
        "entropy_published": lambda: Entropy(alpha, detached=True),
        "window": lambda: _unramped(confidence_window, radius=window_radius(settings, soft_labels)),
        "reverse": lambda: _unramped(reverse_cross_entropy, log_zero=settings.reverse_log_zero),
        "generalised": lambda: _unramped(generalised_cross_entropy, q=q),
    }
    if settings.loss not in makers:  # `model_copy` does not validate
        raise UnknownName("loss", settings.loss, LOSSES)
    return makers[settings.loss]()


def ramp_at(step: int, n_steps: int) -> float:
    """Warm-up factor of an auxiliary term's weight at a step of a run, in [0, 1]."""
    return min(1.0, step / min(RAMP_STEPS, int(np.ceil(RAMP_SHARE * n_steps))))


def _unramped(loss: Callable[..., Tensor], **options: float) -> Loss:
    """Give a loss without auxiliary term the signature of `Loss`; the ramp is ignored."""
    return lambda logits, soft, _: loss(logits, soft, **options)


def window_radius(settings: TrainSettings, soft_labels: ArrayLike | None) -> float:
    """Radius of a run's confidence window: as set, or `auto_radius` of its training labels.

    Raises
    ------
    InputError
        `auto` without labels, or `auto_radius` refuses them.
    """
    if settings.window_radius != "auto":
        return float(settings.window_radius)
    if soft_labels is None:
        raise InputError("window_radius 'auto' without training labels")
    return auto_radius(soft_labels)


def _cross_entropy(log_p: Tensor, soft: Tensor) -> Tensor:
    return -((1 - soft) * log_p[:, 0] + soft * log_p[:, 1])


def _check_batch(logits: Tensor, soft: Tensor) -> tuple[Tensor, Tensor]:
    if logits.ndim != 2 or logits.shape[1] != 2 or soft.shape != logits.shape[:1] or not len(soft):
        raise InputError(
            f"logits of shape {tuple(logits.shape)} and soft labels of shape {tuple(soft.shape)}",
            allowed="(b, 2) and (b,), b at least 1",
        )
    precise = torch.promote_types(logits.dtype, torch.float32)
    log_p = logits.to(precise).log_softmax(dim=1)
    return log_p, soft.to(log_p)


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise InputError(f"{name} out of range: {value!r}", allowed="0 to 1")
