"""A requested extraction: validated and tokenised before any weights are loaded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from w2sprobe.cache import ActivationWriter, store_size_bytes
from w2sprobe.chat import ROLE_NUMBERS
from w2sprobe.errors import InputError, first_few
from w2sprobe.extraction.forward import Extractor
from w2sprobe.extraction.generation import stop_tokens
from w2sprobe.extraction.identity import store_identity
from w2sprobe.extraction.positions import kept_tokens, parse_position
from w2sprobe.extraction.rows import read_rows
from w2sprobe.layers import Layers
from w2sprobe.messages import messages_of
from w2sprobe.models import check_head, describe_model, load_base, load_causal, load_tokenizer
from w2sprobe.tokens import tokenize, warn_of_changes

ROWS_PER_SHARD = 1024
GENERATED_POSITIONS = ("last", "first", "mean", "all")


@dataclass(frozen=True)
class TokenizedRows:
    """Rows as the model reads them.

    Parameters
    ----------
    input_ids : list of ndarray of int, length n
        Tokens of each row, without padding.
    kept : list of ndarray of int64, length n
        Numbers of the tokens of each row that are kept, at least one.
    roles : list of ndarray of int8, optional
        Role of each kept token, where the rows are conversations with one vector per token.
    n_truncated, n_doubled_bos : int
        As in `w2sprobe.tokens.Tokens`.
    """

    input_ids: list[np.ndarray]
    kept: list[np.ndarray]
    n_truncated: int
    n_doubled_bos: int
    roles: list[np.ndarray] | None = None


class ExtractionRequest:
    """What a store shall hold: rows, model, layers, token position and types; see `extract`.

    Raises
    ------
    InputError
        Unknown model, layer, position or dtype; rows without id or text; a continuation that the
        model cannot write.
    """

    def __init__(
        self,
        model: str | Path,
        dataset: object,
        layers: Layers = "all",
        *,
        position: str = "last",
        dtype: str = "auto",
        store_dtype: str = "auto",
        truncate: bool = False,
        generate: int = 0,
    ) -> None:
        self.ids, self.texts, self.chats = read_rows(dataset)
        self.info = describe_model(model)
        self.layers = self.info.parse_layers(layers)
        self.identity = store_identity(
            self.info,
            self.ids,
            self.texts,
            position=position,
            dtype=dtype,
            store_dtype=store_dtype,
            truncate=truncate,
            chats=self.chats,
        )
        self.position = parse_position(position)
        self.generate = generate
        if generate:
            self._check_generation()
            # what a text ends with is in a file that the hashes of the model do not cover
            self.identity["generate"] = {"tokens": generate, "stop": stop_tokens(self.info)}

    def writer(
        self,
        path: str | Path,
        compression: str | None = None,
        rows_per_shard: int = ROWS_PER_SHARD,
    ) -> ActivationWriter:
        """Start the store, or open it to add what it lacks."""
        return ActivationWriter.create(
            path,
            identity=self.identity,
            ids=self.ids,
            layers=self.layers,
            hidden_size=self.info.hidden_size,
            dtype=self.identity["dtype"],
            model=self.info.name,
            ragged=self.position.ragged,
            compression=compression,
            rows_per_shard=rows_per_shard,
        )

    def tokenize(self) -> TokenizedRows:
        """Tokenise the texts and find the tokens to keep; refuses texts that do not fit."""
        tokenizer = load_tokenizer(self.info.source)
        context = self.info.max_tokens
        limit = context and context - self.generate
        tokens = tokenize(
            tokenizer,
            self.ids,
            self.texts,
            max_tokens=limit,
            vocab_size=self.info.vocab_size,
            truncate=self.identity["truncate"],
            chats=self.chats,
            reply=bool(self.generate),
        )
        warn_of_changes(tokens, self.info.name, limit)
        kept = kept_tokens(self.position, tokenizer, self.ids, tokens)
        roles = None
        if self.position.ragged and tokens.roles is not None:
            roles = [row[index] for row, index in zip(tokens.roles, kept, strict=True)]
        return TokenizedRows(
            tokens.input_ids, kept, tokens.n_truncated, tokens.n_doubled_bos, roles
        )

    def continued(self, rows: TokenizedRows, written: Sequence[np.ndarray]) -> TokenizedRows:
        """Rows with the continuations that the model wrote, whose tokens alone are kept."""
        pairs = list(zip(rows.input_ids, written, strict=True))
        kept = [np.arange(len(row), len(row) + len(tokens)) for row, tokens in pairs]
        if self.position.kind in ("last", "first"):
            kept = [row[-1:] if self.position.kind == "last" else row[:1] for row in kept]
        roles = [np.full(len(row), ROLE_NUMBERS["assistant"], dtype=np.int8) for row in kept]
        return replace(
            rows,
            input_ids=[np.concatenate(pair) for pair in pairs],
            kept=kept,
            roles=roles if self.position.ragged and self.chats else None,
        )

    def _check_generation(self) -> None:
        check_head(self.info)
        if self.generate < 0 or self.generate >= (self.info.max_tokens or np.inf):
            raise InputError(
                f"{self.generate} tokens to generate",
                allowed=f"1 to {(self.info.max_tokens or 0) - 1 or 'any number'}",
            )
        if self.position.kind not in GENERATED_POSITIONS:
            raise InputError(
                f"position {self.position} of generated tokens",
                allowed=", ".join(GENERATED_POSITIONS),
            )
        if self.chats and self.identity["truncate"]:
            raise InputError(
                "truncation of conversations that the model shall answer",
                advice="Leave truncation out: a conversation that is cut does not end with the "
                "beginning of an answer.",
            )
        answered = [
            name
            for name, text in zip(self.ids, self.texts, strict=True)
            if self.chats and messages_of(text)[-1]["role"] == "assistant"
        ]
        if answered:
            raise InputError(
                f"conversations that end with the assistant's message: ids {first_few(answered)}",
                allowed="conversations that the assistant can answer",
                advice="Remove the last message, or extract without generating.",
            )

    def load_model(self, device: torch.device, device_map: str | None) -> PreTrainedModel:
        """Load the base model in the type in which it computes."""
        return load_base(self.info, self.identity["computed_in"], device, device_map)

    def load_causal(self, device: torch.device, device_map: str | None) -> PreTrainedModel:
        """Load the model with its head, to write continuations."""
        return load_causal(self.info, self.identity["computed_in"], device, device_map)

    def extractor(
        self, network: PreTrainedModel, batch_tokens: int | None, *, whole_pass: bool = False
    ) -> Extractor:
        """Extractor of what the store will hold; arguments as in `Extractor`."""
        return Extractor(
            network,
            whole_pass=whole_pass,
            average=self.position.averaged,
            dtype=self.identity["dtype"],
            batch_tokens=batch_tokens,
        )

    def layer_bytes(self, rows: TokenizedRows) -> int:
        """Disk space of one layer."""
        n_vectors = len(rows.kept) if self.position.averaged else sum(map(len, rows.kept))
        return store_size_bytes(n_vectors, 1, self.info.hidden_size, self.identity["dtype"])
