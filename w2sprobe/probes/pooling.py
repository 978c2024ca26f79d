"""Poolings: how scores of tokens become one logit per row.

Every pooling maps scores (..., K, b, t) of b padded rows and the mask (b, t) of tokens that exist
to logits (..., b). A token's scores are linear in its vector x.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


def attention(scores: Tensor, mask: Tensor) -> Tensor:
    """Sum over heads of sum_t softmax_t(q·x_t) (v·x_t); the first half of K are the q scores.

    EleutherAI, "Attention probes" (2025), without its position bias: the hidden states of a
    causal model depend on the position.
    """
    query, value = scores.chunk(2, dim=-3)
    weights = torch.softmax(query.masked_fill(~mask, -torch.inf), dim=-1)
    return (weights * value).sum(dim=(-3, -1))


def softmax_mean(scores: Tensor, mask: Tensor) -> Tensor:
    """Sum over heads of sum_t softmax_t(w·x_t) (w·x_t), with temperature 1: arXiv 2506.10805."""
    weights = torch.softmax(scores.masked_fill(~mask, -torch.inf), dim=-1)
    return (weights * scores).sum(dim=(-3, -1))


def multimax(scores: Tensor, mask: Tensor) -> Tensor:
    """Sum over heads of max_t(w·x_t): arXiv 2601.11516, section 3.2.1, without its MLP."""
    return scores.masked_fill(~mask, -torch.inf).amax(dim=-1).sum(dim=-2)


@dataclass(frozen=True)
class Pooling:
    """A pooling, and what it needs."""

    function: Callable[[Tensor, Tensor], Tensor]
    scores_per_head: int = 1


POOLINGS = {
    "attention": Pooling(attention, scores_per_head=2),
    "softmax-mean": Pooling(softmax_mean),
    "multimax": Pooling(multimax),
}
