import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2sprobe.errors import InputError
from w2sprobe.messages import ROLES, conversation, messages_of

MESSAGES = [{"role": "user", "content": "Is it?"}, {"role": "assistant", "content": "Ça va."}]
CONTENTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
CONVERSATIONS = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(ROLES), "content": CONTENTS}), min_size=1
)


@given(CONVERSATIONS)
def test_a_conversation_survives(messages: list[dict[str, str]]) -> None:
    text = conversation(messages)
    assert messages_of(text) == messages
    assert conversation(text) == text


@pytest.mark.parametrize(
    "spelled",
    [
        json.dumps(MESSAGES),
        json.dumps(MESSAGES, indent=2),
        tuple(MESSAGES),
        np.array(MESSAGES, dtype=object),
        [{"content": item["content"], "role": item["role"], "name": None} for item in MESSAGES],
    ],
    ids=["json", "indented json", "tuple", "numpy", "keys in another order, and an empty one"],
)
def test_spellings_are_the_same(spelled: object) -> None:
    assert conversation(spelled) == conversation(MESSAGES)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ("plain text", "messages is 'plain text', which is not JSON"),
        ('{"role": "user", "content": "a"}', "Allowed: a list of messages"),
        ([], "messages is []"),
        (None, "Fill the cell"),
        (["a"], "message 1 is 'a'"),
        ([{"content": "a"}], "message 1 has role None. Allowed: 'system', 'user', 'assistant'"),
        ([*MESSAGES, {"role": "tool", "content": "a"}], "message 3 has role 'tool'"),
        ([{"role": ["user"], "content": "a"}], "message 1 has role ['user']"),
        ([{"role": "user", "content": " "}], "empty content of message 1"),
        ([{"role": "user", "content": [{"type": "text"}]}], "content of message 1 is"),
        ([{**MESSAGES[0], "tool_calls": [1]}], "message 1 has 'tool_calls'"),
    ],
)
def test_other_cells_are_refused(given_: object, message: str) -> None:
    with pytest.raises(InputError) as error:
        conversation(given_)
    assert message in str(error.value)
