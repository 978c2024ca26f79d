"""Positions: which tokens of a row are kept, and whether they are averaged."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from w2sprobe.errors import InputError, first_few
from w2sprobe.tokens import TOKENIZER_OPTIONS, Tokens

POSITIONS = ("last", "first", "mean", "all", "marker:TEXT", "after:TEXT")


@dataclass(frozen=True)
class Position:
    """Tokens of a row that are kept.

    Parameters
    ----------
    kind : {"last", "first", "mean", "all", "marker", "after"}
        Last or first token; mean over all tokens; all tokens, with one vector each; last token of
        the marker; mean over the tokens that follow the marker. Special tokens count.
    text : str
        The marker; its last occurrence in a row is used.
    """

    kind: str
    text: str = ""

    @property
    def ragged(self) -> bool:
        """Whether a row has one vector per token."""
        return self.kind == "all"

    @property
    def averaged(self) -> bool:
        """Whether the tokens of a row become one vector."""
        return self.kind in ("mean", "after")


def parse_position(spec: str) -> Position:
    """Turn `last`, `first`, `mean`, `all`, `marker:TEXT` or `after:TEXT` into a Position.

    Raises
    ------
    InputError
        Another text.

    Examples
    --------
    >>> parse_position("marker:Answer:")
    Position(kind='marker', text='Answer:')
    """
    kind, colon, text = spec.partition(":")
    if spec in POSITIONS[:4]:
        return Position(kind)
    if kind in ("marker", "after") and colon and text:
        return Position(kind, text)
    raise InputError(f"unknown position {spec!r}", allowed=", ".join(POSITIONS))


def token_spans(
    position: Position,
    tokenizer: PreTrainedTokenizerBase,
    ids: Sequence[str],
    texts: Sequence[str],
    tokens: Tokens,
) -> np.ndarray:
    """Find the first token of each row that is kept, and the one after the last.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
        The tokenizer that made the tokens; markers need a fast one.
    ids, texts : sequence of str, length n
        Ids are used in messages.
    tokens : Tokens
        Tokens of these texts. In a text that was cut, the marker must be before the cut.

    Returns
    -------
    ndarray of int64, shape (n, 2)

    Raises
    ------
    InputError
        A row lacks the marker, or nothing follows it; or the tokenizer is slow.
    """
    lengths = tokens.lengths
    starts, ends = np.zeros_like(lengths), lengths
    if position.kind == "last":
        starts = lengths - 1
    elif position.kind == "first":
        ends = np.ones_like(lengths)
    elif position.text:
        if not tokenizer.is_fast:
            raise InputError(
                f"{type(tokenizer).__name__} does not report the position of a token in the text",
                allowed="position last, first, mean or all",
            )
        spans = [
            _marked_span(position, tokenizer, text, n_read)
            for text, n_read in zip(texts, tokens.n_read.tolist(), strict=True)
        ]
        starts, ends = np.array(spans, dtype=np.int64).reshape(-1, 2).T
        bad = np.flatnonzero(starts < 0)
        if bad.size:
            raise InputError(
                f"no tokens at position {position.kind}:{position.text!r} in ids "
                f"{first_few([ids[int(row)] for row in bad])}",
                allowed="texts that hold the marker, and for `after` go on behind it, before they "
                "are cut to the context",
            )
    return np.stack([starts, ends], axis=1).astype(np.int64)


def _marked_span(
    position: Position, tokenizer: PreTrainedTokenizerBase, text: str, n_read: int
) -> tuple[int, int]:
    """Span among the first `n_read` tokens of a row, or (-1, -1)."""
    offsets = tokenizer(text, return_offsets_mapping=True, **TOKENIZER_OPTIONS)["offset_mapping"]
    cut = n_read < len(offsets)
    # special tokens have the offsets (0, 0)
    inside = [token for token, (first, last) in enumerate(offsets[:n_read]) if last > first]
    # characters that the model reads: a marker behind the cut does not count
    n_visible = max((offsets[token][1] for token in inside), default=0) if cut else len(text)
    start = text.rfind(position.text, 0, n_visible)
    if start < 0:
        return -1, -1
    end = start + len(position.text)
    before = [token for token in inside if offsets[token][0] < end]
    after = [token for token in inside if offsets[token][0] >= end]
    if position.kind == "marker":
        return (before[-1], before[-1] + 1) if before else (-1, -1)
    return (after[0], after[-1] + 1) if after else (-1, -1)


def keep_tokens(hidden: torch.Tensor, spans: torch.Tensor, *, average: bool) -> torch.Tensor:
    """Select the vectors of the spans, one row after the other.

    Parameters
    ----------
    hidden : Tensor, shape (rows, tokens, width)
    spans : Tensor of int64, shape (rows, 2)
        On any device.
    average : bool
        Return the mean of each span instead, computed in float32.

    Returns
    -------
    Tensor, shape (vectors, width)
        In the type of `hidden`.
    """
    spans = spans.to(hidden.device)
    lengths = spans[:, 1] - spans[:, 0]
    rows = torch.repeat_interleave(torch.arange(len(spans), device=hidden.device), lengths)
    # output vector i of a row is token i - shift, without a loop over rows
    shift = torch.repeat_interleave(lengths.cumsum(0) - lengths - spans[:, 0], lengths)
    vectors = hidden[rows, torch.arange(len(rows), device=hidden.device) - shift]
    if not average:
        return vectors
    total = torch.zeros(len(spans), hidden.shape[2], dtype=torch.float32, device=hidden.device)
    total.index_add_(0, rows, vectors.float())
    return (total / lengths[:, None]).to(hidden.dtype)
