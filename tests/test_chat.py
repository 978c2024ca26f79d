import json
from datetime import datetime

import numpy as np
import pytest
from transformers import PreTrainedTokenizerBase
from transformers.utils import chat_template_utils

from tests.chats import CHATML, CHATS, SPECIAL, TEMPLATES, chat
from tests.tiny import tiny_tokenizer
from w2sprobe.chat import ROLE_NUMBERS, template_hash
from w2sprobe.errors import InputError
from w2sprobe.messages import conversation
from w2sprobe.tokens import Tokens, tokenize


def tokenizer_with(template: str, architecture: str = "qwen2") -> PreTrainedTokenizerBase:
    tokenizer = tiny_tokenizer(architecture, "right")
    tokenizer.add_special_tokens({"additional_special_tokens": SPECIAL})
    tokenizer.chat_template = template
    return tokenizer


def read(tokenizer: PreTrainedTokenizerBase, *chats: list[dict[str, str]], **options) -> Tokens:
    texts = [conversation(messages) for messages in chats]
    ids = [f"c{number}" for number in range(len(texts))]
    return tokenize(tokenizer, ids, texts, max_tokens=None, chats=True, **options)


class Datetime:
    @staticmethod
    def now() -> datetime:
        """The day on which conversations are rendered."""
        return datetime(2024, 7, 26)


# qwen2 has bytes, llama words; bert's tokenizer adds special tokens, which a template must not get
@pytest.mark.parametrize("architecture", ["qwen2", "llama", "bert"])
@pytest.mark.parametrize("template", TEMPLATES)
def test_tokens_and_roles_are_those_of_transformers(
    template: str, architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_template_utils, "datetime", Datetime)
    tokenizer = tokenizer_with(TEMPLATES[template], architecture)
    tokens = read(tokenizer, *CHATS)
    assert tokens.roles is not None
    assert tokens.n_doubled_bos == 0
    for messages, found, roles in zip(CHATS, tokens.input_ids, tokens.roles, strict=True):
        expected = tokenizer.apply_chat_template(
            messages,
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
        assert found.tolist() == expected["input_ids"]
        # the templates mark what the assistant says; transformers has no mask of other roles
        says = np.flatnonzero(roles == ROLE_NUMBERS["assistant"]).tolist()
        assert says == np.flatnonzero(expected["assistant_masks"]).tolist()


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_each_role_says_is_read_back(template: str) -> None:
    tokenizer = tokenizer_with(TEMPLATES[template])
    tokens = read(tokenizer, *CHATS)
    for messages, ids, roles in zip(CHATS, tokens.input_ids, tokens.roles or [], strict=True):
        for role, number in ROLE_NUMBERS.items():
            said = "".join(item["content"] for item in messages if item["role"] == role)
            decoded = tokenizer.decode(ids[roles == number])
            # white space at the ends of a message is the template's affair
            assert "".join(decoded.split()) == "".join(said.split())
        assert {0} < set(roles.tolist())


def test_a_reply_begins_with_the_generation_prompt() -> None:
    tokenizer = tokenizer_with(CHATML)
    tokens = read(tokenizer, chat("the hotel"), reply=True)
    assert tokens.texts[0].endswith("the hotel<|im_end|>\n<|im_start|>assistant\n")
    expected = tokenizer.apply_chat_template(
        chat("the hotel"), tokenize=True, add_generation_prompt=True, return_dict=False
    )
    assert tokens.input_ids[0].tolist() == expected


def test_a_conversation_is_cut_at_its_end() -> None:
    tokenizer = tokenizer_with(CHATML)
    (whole,) = read(tokenizer, CHATS[0]).input_ids
    texts = [conversation(CHATS[0])]
    cut = tokenize(tokenizer, ["a"], texts, max_tokens=12, truncate=True, chats=True)
    assert cut.input_ids[0].tolist() == whole[:12].tolist()
    assert cut.roles is not None
    assert len(cut.roles[0]) == 12


@pytest.mark.parametrize(
    ("template", "messages", "parts"),
    [
        (None, CHATS[0], ["has no chat template", "chat_template.jinja"]),
        (
            TEMPLATES["gemma"],
            [*chat("a", "b"), *chat("c", "d")[1:]],
            ["refuses it: roles must alternate", "id 'c0'"],
        ),
        ("{{ messages[0]['content'] }}", chat("a", "b"), ["message 2 (assistant) once"]),
        ("{{ messages[0]['content'] | upper }}", chat("a"), ["rewrites the content of message 1"]),
        (
            "{{ messages[0]['content'] + 'z' * (messages[0]['content'] | length) }}",
            chat("a"),
            ["rewrites the content of message 1"],
        ),
    ],
    ids=["none", "refused", "left out", "rewritten", "followed by other text"],
)
def test_what_cannot_be_located_is_refused(
    template: str | None, messages: list[dict[str, str]], parts: list[str]
) -> None:
    tokenizer = tokenizer_with(template or "")
    with pytest.raises(InputError) as error:
        read(tokenizer, messages)
    for part in parts:
        assert part in str(error.value)


def test_the_hash_is_that_of_the_template() -> None:
    hashes = {template_hash(tokenizer_with(template)) for template in TEMPLATES.values()}
    assert len(hashes) == 3
    same = {template_hash(tokenizer_with(CHATML, name)) for name in ("qwen2", "bert")}
    assert len(same) == 1


def test_text_that_spells_a_conversation_is_read_as_text() -> None:
    text = json.dumps(CHATS[0])
    tokens = tokenize(tokenizer_with(CHATML), ["a"], [text], max_tokens=None)
    assert tokens.texts == [text]
    assert tokens.roles is None
