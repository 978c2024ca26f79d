"""Renders conversations by a model's own chat template, and finds whose words a token holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from w2sprobe.errors import InputError
from w2sprobe.fingerprint import fingerprint
from w2sprobe.messages import ROLES, messages_of

# Roles of tokens, as stores hold them. Role 0: written by the template, or special.
ROLE_NUMBERS = {role: number for number, role in enumerate(ROLES, start=1)}
# Some templates write today's date, by a function that transformers gives them. This macro replaces
# it by the day that Llama's templates fall back to, so that a store does not depend on the day of
# its extraction.
DATED = "strftime_now"
TODAY = {"%Y": "2024", "%m": "07", "%d": "26", "%B": "July", "%b": "Jul"}
FIXED_DATE = (
    "{% macro strftime_now(format) %}{{ format"
    + "".join(f" | replace('{code}', '{value}')" for code, value in TODAY.items())
    + " }}{% endmacro %}"
)


@dataclass(frozen=True)
class Rendered:
    """A conversation as the model reads it.

    Parameters
    ----------
    text : str
        Special tokens included: the tokenizer must add no others.
    contents : list of (int, int, int)
        Of each message: number of its role, first character of its content in `text`, and the one
        after the last.
    """

    text: str
    contents: list[tuple[int, int, int]]

    def roles(self, offsets: Sequence[tuple[int, int]]) -> np.ndarray:
        """Role of each token, int8; a token that also holds characters of a content counts as its.

        Parameters
        ----------
        offsets : sequence of (int, int)
            First character of each token in `text`, and the one after the last.
        """
        firsts, ends = np.array(offsets, dtype=np.int64).reshape(-1, 2).T
        roles = np.zeros(len(firsts), dtype=np.int8)
        for role, start, end in self.contents:
            roles[(firsts < end) & (ends > start)] = role
        return roles


def template_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """Hash of the chat template.

    Raises
    ------
    InputError
        The model has none, or its tokenizer does not say where in a text its tokens lie.
    """
    name = tokenizer.name_or_path
    if not tokenizer.is_fast:
        raise InputError(
            f"{type(tokenizer).__name__} of {name!r} does not say where in a text its tokens lie",
            allowed="models with a fast tokenizer, for conversations",
        )
    if not tokenizer.chat_template:
        raise InputError(
            f"model {name!r} has no chat template, and the rows are conversations",
            advice="Use a model that was trained on conversations, or save a template with its "
            "tokenizer (chat_template.jinja).",
        )
    return fingerprint(tokenizer.get_chat_template())


def render(
    tokenizer: PreTrainedTokenizerBase,
    ids: Sequence[str],
    texts: Sequence[str],
    *,
    reply: bool = False,
) -> list[Rendered]:
    """Render conversations and locate the content of every message.

    Parameters
    ----------
    ids, texts : sequence of str, length n
        Texts are conversations of `w2sprobe.messages`; ids are used in messages.
    reply : bool, default False
        End with the beginning of the assistant's next message.

    Raises
    ------
    InputError
        No template; or it refuses a conversation, leaves a message out or rewrites a content, other
        than by stripping it.
    """
    template_hash(tokenizer)  # refuses a model without a template
    between: dict[tuple[str, ...], list[str]] = {}  # what the template writes around contents
    rendered = []
    for name, conversation in zip(ids, texts, strict=True):
        messages = messages_of(conversation)
        roles = tuple(message["role"] for message in messages)
        try:
            if roles not in between:
                between[roles] = _around_contents(tokenizer, roles, reply=reply)
            text = _apply(tokenizer, messages, reply=reply)
            contents = [message["content"] for message in messages]
            spans = _locate(text, contents, between[roles])
        except (InputError, TemplateError) as error:
            what = error.what if isinstance(error, InputError) else f"refuses it: {error}"
            raise InputError(
                f"the chat template of {tokenizer.name_or_path!r} {what}",
                where=f"conversation of id {name!r}",
            ) from error
        numbers = (ROLE_NUMBERS[role] for role in roles)
        found = [(number, *span) for number, span in zip(numbers, spans, strict=True)]
        rendered.append(Rendered(text, found))
    return rendered


def _apply(
    tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]], *, reply: bool
) -> str:
    template = tokenizer.get_chat_template()
    if DATED in template:
        template = FIXED_DATE + template
    text = tokenizer.apply_chat_template(
        messages, chat_template=template, tokenize=False, add_generation_prompt=reply
    )
    return cast(str, text)


def _around_contents(
    tokenizer: PreTrainedTokenizerBase, roles: Sequence[str], *, reply: bool
) -> list[str]:
    """Text before the first content, between contents, and after the last: (messages + 1,)."""
    # contents that occur nowhere else show where the template puts them
    marks = [f"\ue000{number}\ue001" for number in range(len(roles))]
    messages = [{"role": role, "content": mark} for role, mark in zip(roles, marks, strict=True)]
    rest = _apply(tokenizer, messages, reply=reply)
    parts = []
    for number, (mark, role) in enumerate(zip(marks, roles, strict=True), start=1):
        if rest.count(mark) != 1:
            raise InputError(f"does not write message {number} ({role}) once, in its turn")
        before, _, rest = rest.partition(mark)
        parts.append(before)
    return [*parts, rest]


def _locate(text: str, contents: Sequence[str], around: Sequence[str]) -> list[tuple[int, int]]:
    """Span of each content in the text, which must be these parts one after the other."""
    spans = []
    at = len(around[0]) if text.startswith(around[0]) else -1
    for number, (content, after) in enumerate(zip(contents, around[1:], strict=True), start=1):
        is_last = number == len(contents)
        for shown in (content, content.strip()):
            end = at + len(shown) + len(after)
            fits = at >= 0 and text.startswith(shown + after, at)
            if fits and (not is_last or end == len(text)):
                spans.append((at, at + len(shown)))
                at = end
                break
        else:
            raise InputError(f"rewrites the content of message {number}")
    return spans
