"""Losses of a two-class student on soft labels: what the published study compared, repaired.

Every loss is called with `logits` (b, 2), any float type, and `soft` (b,), P(label = 1) in [0, 1],
and gives the mean over the b rows, computed in float32 or better. Means of micro-batches, weighted
by their rows, add up to the mean of the batch; only `LogConfidence` depends on how a batch is cut.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from w2sprobe.errors import InputError, UnknownName

DEFAULT_ALPHA = 0.5  # weight of the auxiliary term, as published
DEFAULT_WINDOW = 32  # predictions that the threshold of LogConfidence is taken from, as published
DEFAULT_RADIUS = 0.15  # of the published code

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
    """Compute the cross-entropy of the rows that the student is not yet sure of.

    Parameters
    ----------
    logits : Tensor, shape (b, 2)
    soft : Tensor, shape (b,)
        P(label = 1), in [0, 1].
    radius : float, in [0, 0.5]
        A row counts while max(p) < 0.5 + radius.

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
    Its code has radius 0.15; its runs took the median of |q - 0.5| over the weak labels.
    """
    if not 0 <= radius <= 0.5:
        raise InputError(f"radius out of range: {radius!r}", allowed="0 to 0.5")
    log_p, soft = _check_batch(logits, soft)
    counted = log_p.detach().exp().amax(dim=1) < 0.5 + radius
    return (counted * _cross_entropy(log_p, soft)).mean()


class LogConfidence:
    """Cross-entropy to labels that lean towards the student's own hardened predictions.

    Parameters
    ----------
    alpha : float, in [0, 1]
        Weight of the student's own predictions.
    window : int, at least 1
        The threshold is the median of so many predictions, the newest included.

    Raises
    ------
    InputError
        A parameter out of range.

    Notes
    -----
    L = (1 - a) CE(p, q) + a CE(p, h), with a = alpha * ramp and h the hardened prediction: class 0
    where p0 >= t, class 1 elsewhere. t is the median of the last `window` values of p0 (mean of
    the two middle ones), the rows of this call included; no gradient flows through h or t. Where a
    call has more rows than `window`, its last ones set t.

    Source: Burns et al., arXiv 2312.09390, whose threshold is taken from a batch; the running
    median is EleutherAI's, "Experiments in Weak-to-Strong Generalization" (2024). Every call is
    remembered: call it on training rows only.
    """

    def __init__(self, alpha: float = DEFAULT_ALPHA, window: int = DEFAULT_WINDOW) -> None:
        _check_share("alpha", alpha)
        if window < 1:
            raise InputError(f"window too small: {window!r}", allowed="at least 1")
        self.alpha, self.window = alpha, window
        self._recent = torch.empty(0)  # p0 of the last rows, oldest first

    def __call__(self, logits: Tensor, soft: Tensor, ramp: float = 1.0) -> Tensor:
        """Compute the loss and remember the predictions.

        Parameters
        ----------
        logits : Tensor, shape (b, 2)
        soft : Tensor, shape (b,)
            P(label = 1), in [0, 1].
        ramp : float, in [0, 1]
            Scales alpha: the caller's warm-up.

        Returns
        -------
        Tensor, scalar

        Raises
        ------
        InputError
            Another shape, no rows, or `ramp` out of range.
        """
        _check_share("ramp", ramp)
        log_p, soft = _check_batch(logits, soft)
        p0 = log_p[:, 0].detach().exp()
        self._recent = torch.cat([self._recent.to(p0), p0])[-self.window :]
        hardened = (p0 < self._recent.quantile(0.5)).to(soft)
        weight = self.alpha * ramp
        return _cross_entropy(log_p, (1 - weight) * soft + weight * hardened).mean()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs, as plain JSON values."""
        return {"recent": self._recent.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned.

        Parameters
        ----------
        state : dict
            `recent`: list of float, p0 of the last rows, oldest first.

        Raises
        ------
        InputError
            More predictions than `window`: the state is of a run with other settings.
        """
        recent = torch.tensor(state["recent"], dtype=torch.float64)
        if len(recent) > self.window:
            raise InputError(
                f"{len(recent)} remembered predictions", allowed=f"at most window = {self.window}"
            )
        self._recent = recent


class Entropy:
    """Cross-entropy plus the entropy of the student's own prediction.

    Parameters
    ----------
    alpha : float, in [0, 1]
        Weight of the entropy.
    detached : bool
        True: the published code, in which no gradient flows through the p that weighs log p. The
        value is the same, but the term's gradient is softmax(z) - p = 0: what remains is
        cross-entropy with its gradient times (1 - a).

    Raises
    ------
    InputError
        A parameter out of range.

    Notes
    -----
    L = (1 - a) CE(p, q) + a H(p), with a = alpha * ramp and H(p) = -sum p log p. Minimised, so it
    makes the student surer. Source: EleutherAI, "Experiments in Weak-to-Strong Generalization"
    (2024), entropy loss, which means H(p) with its gradient.
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

        Returns
        -------
        Tensor, scalar

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


# Losses without an auxiliary term have nothing to ramp.
_MAKERS: dict[str, Callable[[], Loss]] = {
    "xent": lambda: lambda logits, soft, _: cross_entropy(logits, soft),
    "logconf": LogConfidence,
    "entropy": Entropy,
    "window": lambda: lambda logits, soft, _: confidence_window(logits, soft),
}
LOSSES = tuple(_MAKERS)


def make_loss(name: str) -> Loss:
    """Make a loss by its name, with its defaults and no memory of other runs.

    Parameters
    ----------
    name : str
        One of `LOSSES`.

    Returns
    -------
    callable
        (logits (b, 2), soft (b,), ramp in [0, 1]) -> scalar.

    Raises
    ------
    UnknownName
        No such loss.
    """
    if name not in _MAKERS:
        raise UnknownName("loss", name, LOSSES)
    return _MAKERS[name]()


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
