"""Turns texts into padded batches of tokens, for extraction, training and prediction alike."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from w2sprobe.chat import render
from w2sprobe.errors import InputError

# Fixed cost of a batch, in tokens. A training step of smollm2-135m on 2 cores takes .2 s + 1.35 ms
# per token in bfloat16, .25 s + 3.9 ms per token in float32 (without AVX-512): 150 and 64 tokens.
BATCH_OVERHEAD = 64
MAX_PADDING = 0.1  # share of all tokens, padding included
CHUNK_ROWS = 1000
# give all tokens of a text, and no others, whatever options the tokenizer was saved with
TOKENIZER_OPTIONS = {"truncation": False, "padding": False, "verbose": False}


@dataclass(frozen=True)
class Tokens:
    """Tokenised rows.

    Parameters
    ----------
    input_ids : list of ndarray of int32
        Includes the special tokens that the tokenizer adds.
    n_read : ndarray of int64, shape (n,)
        Tokens of each row before the cut; all of them where nothing was cut. In a row that was
        cut, the special tokens that close a text follow.
    n_truncated : int
        Rows that were cut to the model's context.
    n_doubled_bos : int
        Rows that begin with two beginning-of-text tokens, one of them from the text itself.
    texts : list of str
        What the tokenizer read: the texts, or conversations as the chat template writes them.
    roles : list of ndarray of int8, optional
        Conversations only: role of each token, numbered as in `w2sprobe.chat.ROLE_NUMBERS`.
    """

    input_ids: list[np.ndarray]
    n_read: np.ndarray
    n_truncated: int
    n_doubled_bos: int
    texts: list[str]
    roles: list[np.ndarray] | None = None

    @property
    def lengths(self) -> np.ndarray:
        """Number of tokens of each row, int64, shape (n,)."""
        return np.array([len(row) for row in self.input_ids], dtype=np.int64)


def tokenize(
    tokenizer: PreTrainedTokenizerBase,
    ids: Sequence[str],
    texts: Sequence[str],
    *,
    max_tokens: int | None,
    vocab_size: int | None = None,
    truncate: bool = False,
    chats: bool = False,
    reply: bool = False,
) -> Tokens:
    """Tokenise texts; refuses texts that do not fit into the model's context.

    Settings that the tokenizer was saved with (limit, side of truncation or padding) are ignored.

    Parameters
    ----------
    ids, texts : sequence of str, length n
        Ids are used in messages.
    max_tokens : int, optional
        Context of the model; None where it has no limit.
    vocab_size : int, optional
        Rows of the model's embedding; None where unknown.
    truncate : bool, default False
        Cut longer texts at their end instead of refusing them; the special tokens that close a
        text are kept.
    chats : bool, default False
        The texts are conversations, which the model reads through its chat template.
    reply : bool, default False
        Conversations end with the beginning of the assistant's next message.

    Raises
    ------
    InputError
        A text has more than `max_tokens` tokens and `truncate` is False, has no tokens, or has a
        token that the model's embedding lacks; or conversations that the model cannot read, as
        in `w2sprobe.chat.render`.
    """
    rendered = render(tokenizer, ids, texts, reply=reply) if chats else []
    read = [chat.text for chat in rendered] if chats else list(texts)
    rows: list[np.ndarray] = []
    roles: list[np.ndarray] = []
    # in chunks, as lists of Python integers take much more memory than arrays
    for start in range(0, len(read), CHUNK_ROWS):
        part = tokenizer(
            read[start : start + CHUNK_ROWS],
            add_special_tokens=not chats,  # a chat template writes them itself
            return_offsets_mapping=chats,
            **TOKENIZER_OPTIONS,
        )
        rows += [np.array(tokens, dtype=np.int32) for tokens in part["input_ids"]]
        if chats:
            pairs = zip(rendered[start : start + CHUNK_ROWS], part["offset_mapping"], strict=True)
            roles += [chat.roles(offsets) for chat, offsets in pairs]
    empty = [row for row, tokens in enumerate(rows) if not len(tokens)]
    if empty:
        raise InputError(f"text without tokens, id {ids[empty[0]]!r} (and {len(empty) - 1} more)")
    check_vocabulary(tokenizer, ids, rows, vocab_size)
    long = [row for row, tokens in enumerate(rows) if max_tokens and len(tokens) > max_tokens]
    if long and not truncate:
        raise InputError(
            f"text longer than the model's context: {len(rows[long[0]])} tokens, "
            f"id {ids[long[0]]!r} (and {len(long) - 1} more)",
            allowed=f"up to {max_tokens} tokens",
            advice="Shorten the texts, or pass --truncate to cut them at their end.",
        )
    n_read = np.array([len(tokens) for tokens in rows], dtype=np.int64)
    for row in long:
        n_closing = 0 if chats else _n_closing(tokenizer, texts[row])
        if n_closing >= int(max_tokens or 0):
            raise InputError(f"a context of {max_tokens} tokens has no room for a text")
        n_read[row] = int(max_tokens or 0) - n_closing
        kept = np.r_[: n_read[row], len(rows[row]) - n_closing : len(rows[row])]
        rows[row] = rows[row][kept]
        if chats:
            roles[row] = roles[row][kept]
    n_doubled = count_doubled_bos(tokenizer, rows)
    return Tokens(rows, n_read, len(long), n_doubled, read, roles if chats else None)


def check_vocabulary(
    tokenizer: PreTrainedTokenizerBase,
    ids: Sequence[str] | np.ndarray,
    rows: Sequence[np.ndarray],
    vocab_size: int | None,
) -> None:
    """Refuse tokens that the model's embedding lacks; arguments as in `tokenize`.

    Raises
    ------
    InputError
        A token is not below `vocab_size`; names it and its row.
    """
    beyond = [row for row, tokens in enumerate(rows) if vocab_size and tokens.max() >= vocab_size]
    if beyond:
        token = int(rows[beyond[0]].max())
        raise InputError(
            f"token {token} ({tokenizer.convert_ids_to_tokens(token)!r}) is not in the model's "
            f"embedding, id {str(ids[beyond[0]])!r} (and {len(beyond) - 1} more)",
            allowed=f"tokens below {vocab_size}",
            advice="Was a token added to the tokenizer but not to the model?",
        )


def count_doubled_bos(tokenizer: PreTrainedTokenizerBase, rows: Sequence[np.ndarray]) -> int:
    """Number of rows that begin with two beginning-of-text tokens."""
    first = {tokenizer.bos_token_id, tokenizer.cls_token_id}
    return sum(
        len(tokens) > 1 and bool(tokens[0] == tokens[1]) and int(tokens[0]) in first
        for tokens in rows
    )


def warn_of_changes(tokens: Tokens, model: str, max_tokens: int | None) -> None:
    """Warn if texts were cut to the model's context or begin with two beginning-of-text tokens."""
    n_rows = len(tokens.input_ids)
    if tokens.n_truncated:
        warnings.warn(
            f"{tokens.n_truncated} of {n_rows} texts were cut to {max_tokens} tokens, the context "
            f"of {model}",
            stacklevel=3,
        )
    warn_of_doubled_bos(tokens.n_doubled_bos, n_rows, model)


def warn_of_doubled_bos(n_doubled: int, n_rows: int, model: str) -> None:
    """Warn if texts already begin with the token that the tokenizer adds before every text."""
    if n_doubled:
        warnings.warn(
            f"{n_doubled} of {n_rows} texts already begin with the token for the beginning of a "
            f"text, and the tokenizer of {model} adds another: the model reads two",
            stacklevel=3,
        )


def _n_closing(tokenizer: PreTrainedTokenizerBase, text: str) -> int:
    """Number of special tokens that the tokenizer adds after a text."""
    tokens = tokenizer(text, return_special_tokens_mask=True, **TOKENIZER_OPTIONS)
    mask = reversed(tokens["special_tokens_mask"])
    return next((number for number, special in enumerate(mask) if not special), 0)


def length_sorted_batches(lengths: np.ndarray, max_tokens: int) -> list[np.ndarray]:
    """Cut rows, sorted by length, into the batches with the lowest total cost.

    A batch costs its tokens, padding included, plus `BATCH_OVERHEAD`. At most `MAX_PADDING` of all
    tokens are padding.

    Parameters
    ----------
    lengths : ndarray of int, shape (n,)
        Tokens of each row.
    max_tokens : int
        Most tokens in a batch, padding included; a longer row is a batch by itself.

    Returns
    -------
    list of ndarray of int64
        Row numbers, each once; longest rows first, so that memory peaks in the first batch.
    """
    order = np.argsort(-lengths, kind="stable")
    longest_first = lengths[order].astype(np.int64)
    overhead = float(BATCH_OVERHEAD)
    while True:
        ends = _cheapest_ends(longest_first, max_tokens, overhead)
        starts = [0, *ends[:-1]] if ends else []
        padded = sum(
            int(longest_first[start]) * (end - start)
            for start, end in zip(starts, ends, strict=True)
        )
        if (1 - MAX_PADDING) * padded <= longest_first.sum():
            return [order[start:end] for start, end in zip(starts, ends, strict=True)]
        overhead /= 2  # cheaper batches are smaller ones, with less padding


def _cheapest_ends(longest_first: np.ndarray, max_tokens: int, overhead: float) -> list[int]:
    """Ends of the cheapest batches, by dynamic programming from the last row backwards."""
    n = len(longest_first)
    # cost of the rows i, ..., n - 1: cost[i] = min over j of (j - i) length[i] + overhead + cost[j]
    cost = np.zeros(n + 1)
    end = np.zeros(n, dtype=np.int64)  # the j that attains the minimum
    for i in range(n - 1, -1, -1):
        longest = int(longest_first[i])
        sizes = np.arange(1, min(n - i, max(1, max_tokens // longest)) + 1)
        costs = sizes * longest + overhead + cost[i + 1 : i + len(sizes) + 1]
        best = int(costs.argmin())
        cost[i], end[i] = costs[best], i + best + 1
    ends = [0]
    while ends[-1] < n:
        ends.append(int(end[ends[-1]]))
    return ends[1:]


def pad(rows: Sequence[np.ndarray], pad_id: int) -> dict[str, torch.Tensor]:
    """Pad rows of tokens into `input_ids` and `attention_mask`, int64, (rows, longest)."""
    # Always on the right, whatever the tokenizer's own side: causal models then see exactly the
    # positions and context of a single row, and encoders mask the padding.
    width = max(len(row) for row in rows)
    input_ids = torch.full((len(rows), width), pad_id, dtype=torch.int64)
    attention_mask = torch.zeros((len(rows), width), dtype=torch.int64)
    for index, row in enumerate(rows):
        input_ids[index, : len(row)] = torch.as_tensor(row)
        attention_mask[index, : len(row)] = 1
    return {"input_ids": input_ids, "attention_mask": attention_mask}
