"""Conversations as lists of messages, and the canonical JSON text by which rows hold them."""

import json
from collections.abc import Mapping
from typing import Any

from w2sprobe.cells import filled, is_gap, shown
from w2sprobe.errors import InputError

ROLES = ("system", "user", "assistant")
EXAMPLE = '[{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]'


def conversation(value: object) -> str:
    """Canonical JSON text of a list of messages, or of JSON text that spells one.

    Raises
    ------
    InputError
        No list of messages; a role other than `ROLES`; a content that is empty or no text; another
        key that is not empty.

    Examples
    --------
    >>> conversation([{"content": "Hi", "role": "user"}])
    '[{"role": "user", "content": "Hi"}]'
    """
    items = _parsed(value) if isinstance(value, str) else value
    if hasattr(items, "tolist"):  # numpy's array of dicts, as pandas reads Parquet
        items = items.tolist()
    if not isinstance(items, list | tuple) or not items:
        raise InputError(
            f"messages is {shown(value)}",
            allowed=f"a list of messages, or its JSON: {EXAMPLE}",
            advice="Fill the cell or remove the row." if is_gap(value) else "",
        )
    messages = [_message(number, item) for number, item in enumerate(items, start=1)]
    return json.dumps(messages, ensure_ascii=False)


def messages_of(text: str) -> list[dict[str, str]]:
    """Messages of a conversation that `conversation` wrote."""
    messages: list[dict[str, str]] = json.loads(text)
    return messages


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"messages is {shown(text)}, which is not JSON: {error}", allowed=EXAMPLE
        ) from error


def _message(number: int, item: object) -> dict[str, str]:
    if not isinstance(item, Mapping):
        raise InputError(f"message {number} is {shown(item)}", allowed=EXAMPLE)
    role = item.get("role")
    if role not in ROLES:
        raise InputError(
            f"message {number} has role {shown(role)}", allowed=", ".join(map(repr, ROLES))
        )
    # Parquet fills the keys that only other messages have with None
    others = [key for key, cell in item.items() if key not in {"role", "content"} and cell]
    if others:
        raise InputError(
            f"message {number} has {shown(others[0])}",
            allowed="role and content",
            advice="Write what the model shall read into content, and remove the key.",
        )
    return {"role": role, "content": filled(f"content of message {number}", item.get("content"))}
