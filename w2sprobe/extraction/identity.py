"""What determines the values in a store; its fingerprint is the store's address."""

from collections.abc import Mapping, Sequence
from typing import Any

from w2sprobe.cache import FORMAT_VERSION
from w2sprobe.chat import template_hash
from w2sprobe.errors import InputError
from w2sprobe.extraction.positions import parse_position
from w2sprobe.fingerprint import fingerprint_strings
from w2sprobe.models import DTYPES, ModelInfo, computing_type, load_tokenizer

CUT = "token ids, at the end"  # version 0 cut where the tokenizer was saved to cut


def store_identity(
    info: ModelInfo,
    ids: Sequence[str],
    texts: Sequence[str],
    *,
    position: str = "last",
    dtype: str = "auto",
    store_dtype: str = "auto",
    truncate: bool = False,
    chats: bool = False,
) -> dict[str, Any]:
    """Everything that determines a store's values; the settings are those of `extract`.

    `chats` says that the texts are conversations, as in `w2sprobe.data.Rows`.

    Raises
    ------
    InputError
        Unknown position or dtype, a position of a role in texts that are no conversations, a model
        without a chat template, or a checkpoint in a type that nothing is computed in.
    """
    if parse_position(position).role and not chats:
        raise InputError(
            f"position {position!r} of texts",
            allowed="conversations: rows with a column messages instead of text",
        )
    for name in (dtype, store_dtype):
        if name != "auto" and name not in DTYPES:
            raise InputError(f"unknown dtype {name!r}", allowed=f"auto, {', '.join(DTYPES)}")
    computed_in = computing_type(info) if dtype == "auto" else dtype
    return {
        "format": FORMAT_VERSION,
        "model": info.identity,
        "rows": fingerprint_strings(ids, texts),
        "position": position,
        "computed_in": computed_in,
        "dtype": computed_in if store_dtype == "auto" else store_dtype,
        "max_tokens": info.max_tokens,
        "truncate": truncate,
        # absent where nothing is cut, so that stores from before the key keep their address
        **({"cut": CUT} if truncate else {}),
        **({"chat_template": template_hash(load_tokenizer(info.source))} if chats else {}),
    }


def extraction_settings(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `extract` that a store was made with, but for model, rows and layers."""
    return {
        "position": identity["position"],
        "dtype": identity["computed_in"],
        "store_dtype": identity["dtype"],
        "truncate": identity["truncate"],
        "generate": identity.get("generate", {"tokens": 0})["tokens"],
    }
