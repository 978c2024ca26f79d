"""Positions: which tokens of a row are kept, and whether they are averaged."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from w2sprobe.chat import ROLE_NUMBERS
from w2sprobe.errors import InputError, first_few
from w2sprobe.tokens import TOKENIZER_OPTIONS, Tokens

PLAIN = ("last", "first", "mean", "all", "assistant", "user", "last-assistant")
POSITIONS = (*PLAIN, "marker:TEXT", "after:TEXT")


@dataclass(frozen=True)
class Position:
    """Tokens of a row that are kept.

    Parameters
    ----------
    kind : str
        `last` or `first` token; `mean` over all tokens; `all` tokens, with one vector each; last
        token of the `marker`; mean over the tokens that follow it (`after`). Special tokens count.
        In conversations also the tokens of what `assistant` or `user` say, with one vector each,
        and the last one of what the assistant says (`last-assistant`).
    text : str
        The marker; its last occurrence in a row is used.
    """

    kind: str
    text: str = ""

    @property
    def spec(self) -> str:
        """The text that `parse_position` reads."""
        return f"{self.kind}:{self.text}" if self.text else self.kind

    @property
    def ragged(self) -> bool:
        """Whether a row has one vector per token."""
        return self.kind in ("all", "assistant", "user")

    @property
    def role(self) -> str:
        """Whose tokens are kept; empty where roles do not matter."""
        return self.kind.removeprefix("last-") if self.kind in PLAIN[4:] else ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.text!r}" if self.text else self.kind

    @property
    def averaged(self) -> bool:
        """Whether the tokens of a row become one vector."""
        return self.kind in ("mean", "after")


def parse_position(spec: str) -> Position:
    """Turn one of `POSITIONS` into a Position.

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
    if spec in PLAIN:
        return Position(kind)
    if kind in ("marker", "after") and colon and text:
        return Position(kind, text)
    raise InputError(f"unknown position {spec!r}", allowed=", ".join(POSITIONS))


def kept_tokens(
    position: Position,
    tokenizer: PreTrainedTokenizerBase,
    ids: Sequence[str],
    tokens: Tokens,
) -> list[np.ndarray]:
    """Numbers of the tokens of each row that are kept.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
        The tokenizer that made the tokens; markers need a fast one.
    ids : sequence of str, length n
        Used in messages.
    tokens : Tokens
        In a text that was cut, the marker must be before the cut.

    Returns
    -------
    list of ndarray of int64, length n
        Ascending, at least one for each row.

    Raises
    ------
    InputError
        A row lacks the marker, or nothing follows it; a conversation lacks the role; or the
        tokenizer is slow.
    """
    lengths = tokens.lengths.tolist()
    if position.kind == "last":
        return [np.array([length - 1]) for length in lengths]
    if position.kind == "first":
        return [np.array([0])] * len(lengths)
    if position.role:
        kept = _of_role(position, tokens.roles or [])
        allowed = f"conversations with a message of the {position.role} before they are cut"
    elif position.text:
        kept = _marked(position, tokenizer, tokens)
        allowed = (
            "texts that hold the marker, and for `after` go on behind it, before they are cut to "
            "the context"
        )
    else:
        numbers = np.arange(max(lengths, default=0))
        return [numbers[:length] for length in lengths]  # views: no memory for each row
    lacking = [name for name, row in zip(ids, kept, strict=True) if not len(row)]
    if lacking:
        raise InputError(
            f"no tokens at position {position} in ids {first_few(lacking)}", allowed=allowed
        )
    return kept


def _of_role(position: Position, roles: list[np.ndarray]) -> list[np.ndarray]:
    kept = [np.flatnonzero(row == ROLE_NUMBERS[position.role]) for row in roles]
    return [row[-1:] for row in kept] if position.kind == "last-assistant" else kept


def _marked(
    position: Position, tokenizer: PreTrainedTokenizerBase, tokens: Tokens
) -> list[np.ndarray]:
    if not tokenizer.is_fast:
        raise InputError(
            f"{type(tokenizer).__name__} does not report the position of a token in the text",
            allowed="position last, first, mean or all",
        )
    is_chat = tokens.roles is not None
    kept = []
    for text, n_read in zip(tokens.texts, tokens.n_read.tolist(), strict=True):
        read = tokenizer(
            text,
            return_offsets_mapping=True,
            add_special_tokens=not is_chat,
            **TOKENIZER_OPTIONS,
        )
        kept.append(np.arange(*_marked_span(position, text, read["offset_mapping"], n_read)))
    return kept


def _marked_span(
    position: Position, text: str, offsets: Sequence[tuple[int, int]], n_read: int
) -> tuple[int, int]:
    """First token among the first `n_read` of a row, and the one after the last; or (0, 0)."""
    cut = n_read < len(offsets)
    # special tokens have the offsets (0, 0)
    inside = [token for token, (first, last) in enumerate(offsets[:n_read]) if last > first]
    # characters that the model reads: a marker behind the cut does not count
    n_visible = max((offsets[token][1] for token in inside), default=0) if cut else len(text)
    start = text.rfind(position.text, 0, n_visible)
    if start < 0:
        return 0, 0
    end = start + len(position.text)
    before = [token for token in inside if offsets[token][0] < end]
    after = [token for token in inside if offsets[token][0] >= end]
    if position.kind == "marker":
        return (before[-1], before[-1] + 1) if before else (0, 0)
    return (after[0], after[-1] + 1) if after else (0, 0)


def token_index(kept: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Row and token number of every kept token, one row after the other: int64, (vectors,)."""
    lengths = torch.tensor([len(row) for row in kept])
    rows = torch.repeat_interleave(torch.arange(len(kept)), lengths)
    return rows, torch.as_tensor(np.concatenate(kept), dtype=torch.int64)


def keep_tokens(
    hidden: torch.Tensor, index: tuple[torch.Tensor, torch.Tensor], *, average: bool
) -> torch.Tensor:
    """Select the vectors of the kept tokens, one row after the other.

    Parameters
    ----------
    hidden : Tensor, shape (rows, tokens, width)
    index : tuple of Tensor
        From `token_index`, on any device.
    average : bool
        Return the mean over each row's tokens instead, computed in float32.

    Returns
    -------
    Tensor, shape (vectors, width)
        In the type of `hidden`.
    """
    rows, tokens = (part.to(hidden.device) for part in index)
    vectors = hidden[rows, tokens]
    if not average:
        return vectors
    total = torch.zeros(len(hidden), hidden.shape[2], dtype=torch.float32, device=hidden.device)
    total.index_add_(0, rows, vectors.float())
    counts = torch.bincount(rows, minlength=len(hidden))
    return (total / counts[:, None]).to(hidden.dtype)
