"""Conversations: positions by role, roles in the store, and what is refused."""

import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tests.chats import CHATML, CHATS, GEMMA
from tests.tiny import save_tiny_model
from w2sprobe import extract
from w2sprobe.cache import ActivationStore, copy_store
from w2sprobe.chat import ROLE_NUMBERS
from w2sprobe.cli import root
from w2sprobe.data import Rows
from w2sprobe.errors import InputError, StoreMismatch
from w2sprobe.extraction import repair
from w2sprobe.models import describe_model, forget_models, load_base, load_tokenizer

ROWS = [
    {"id": f"c{number}", "messages": messages}
    for number, messages in enumerate(CHATS)
    if messages[-1]["role"] == "assistant"
]


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny model with a chat template that marks what the assistant says."""
    return with_template(tmp_path_factory.mktemp("chatty") / "model", CHATML)


def with_template(folder: Path, template: str) -> str:
    model = save_tiny_model("llama", folder, max_position_embeddings=256)
    tokenizer = load_tokenizer(model)
    tokenizer.chat_template = template
    tokenizer.model_max_length = 256
    tokenizer.save_pretrained(model)
    forget_models()
    return model


def alone(model: str, messages: list[dict[str, str]], layer: int) -> tuple[np.ndarray, np.ndarray]:
    """States of a conversation, and the mask of the assistant, as transformers computes them."""
    read = load_tokenizer(model).apply_chat_template(
        messages, return_dict=True, return_assistant_tokens_mask=True
    )
    network = load_base(describe_model(model), "float32", torch.device("cpu"))
    with torch.inference_mode():
        tokens = torch.tensor([read["input_ids"]])
        states = network(input_ids=tokens, output_hidden_states=True).hidden_states[layer][0]
    return states.numpy(), np.array(read["assistant_masks"], dtype=bool)


def test_positions_by_role(chatty: str, tmp_path: Path) -> None:
    options = {"layers": "2", "rows_per_shard": 2}
    stores = {
        position: extract(chatty, ROWS, tmp_path / position, position=position, **options)
        for position in ("all", "assistant", "user", "last-assistant", "mean", "last")
    }
    ragged = {position for position, store in stores.items() if store.ragged}
    assert ragged == {"all", "assistant", "user"}
    for number, row in enumerate(ROWS):
        states, says = alone(chatty, row["messages"], 2)
        expected = {
            "all": states,
            "assistant": states[says],
            "last-assistant": states[says][-1:],
            "mean": states.mean(0, keepdims=True),
            "last": states[-1:],
        }
        for position, vectors in expected.items():
            found = stores[position].read(2, [number])
            np.testing.assert_allclose(found, vectors, rtol=1e-3, atol=1e-5)
    roles = stores["all"].roles
    assert roles is not None
    assert (stores["assistant"].roles == ROLE_NUMBERS["assistant"]).all()
    for position in ("user", "assistant"):
        chosen = stores["all"].read(2)[roles == ROLE_NUMBERS[position]]
        np.testing.assert_allclose(chosen, stores[position].read(2), rtol=1e-3, atol=1e-5)
    with h5py.File(tmp_path / "all" / "activations.h5") as file:
        np.testing.assert_array_equal(file["roles"][()], roles)
    assert stores["mean"].roles is None
    for store in stores.values():
        assert store.verify() == []


def test_markers_are_found_in_the_rendered_conversation(chatty: str, tmp_path: Path) -> None:
    options = {"layers": "2", "position": "marker:<|im_start|>assistant\n"}
    store = extract(chatty, ROWS, tmp_path / "store", **options)
    for number, row in enumerate(ROWS):
        states, says = alone(chatty, row["messages"], 2)
        before = np.flatnonzero(says).tolist()
        # the marker ends with the header of the assistant's last message
        last = max(at for at in before if at - 1 not in before) - 1
        np.testing.assert_allclose(store.read(2, [number])[0], states[last], rtol=1e-3, atol=1e-5)


def test_roles_are_kept_when_layers_are_added_and_copied_and_repaired(
    chatty: str, tmp_path: Path
) -> None:
    folder, options = tmp_path / "store", {"position": "all", "rows_per_shard": 2}
    before = extract(chatty, ROWS, folder, layers="1", **options).roles
    store = extract(chatty, ROWS, folder, layers="1,2", **options)
    assert before is not None
    np.testing.assert_array_equal(store.roles, before)
    copied = copy_store(folder, tmp_path / "copy", [2])
    np.testing.assert_array_equal(copied.roles, before)
    assert copied.verify() == []
    shard = folder / "shards" / "00002.h5"
    shard.write_bytes(shard.read_bytes().replace(before.tobytes()[-9:], b"\x07" * 9))
    assert any("roles" in line for line in ActivationStore.open(folder).verify())
    assert repair(folder, ROWS, model=chatty)
    assert ActivationStore.open(folder).verify() == []
    np.testing.assert_array_equal(ActivationStore.open(folder).roles, before)


def test_the_template_is_part_of_the_address(chatty: str, tmp_path: Path) -> None:
    extract(chatty, ROWS, tmp_path / "store", layers="1")
    text = [{"id": row["id"], "text": json.dumps(row["messages"])} for row in ROWS]
    with pytest.raises(StoreMismatch, match="chat_template"):
        extract(chatty, text, tmp_path / "store", layers="1")
    other = with_template(tmp_path / "other", CHATML + " ")
    with pytest.raises(StoreMismatch, match="chat_template"):
        extract(other, ROWS, tmp_path / "store", layers="1")


@pytest.mark.parametrize(
    ("rows", "position", "message"),
    [
        ([{"id": "a", "text": "the film"}], "assistant", "position 'assistant' of texts"),
        ([{"id": "a", "messages": CHATS[-1]}], "last-assistant", "no tokens at position last-assi"),
        ([{"id": "a", "messages": [{"role": "tool"}]}], "all", "message 1 has role 'tool'"),
        ([{"id": "a", "text": "b", "messages": CHATS[0]}], "all", "columns text and messages"),
    ],
)
def test_bad_rows(
    chatty: str, rows: list[dict[str, object]], position: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as error:
        extract(chatty, rows, tmp_path / "store", position=position)
    assert re.search(message, str(error.value))
    assert not (tmp_path / "store").exists()


def test_a_model_without_template_is_refused(llama: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model '.*model' has no chat template"):
        extract(llama, ROWS, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_command_reads_a_file_of_conversations(tmp_path: Path) -> None:
    model = with_template(tmp_path / "model", GEMMA)
    contents = [
        f"the film was {word}" for word in ("good", "bad", "great", "awful", "warm", "cold")
    ]
    records = [
        {
            "id": f"{number}-{label}",
            "messages": [
                {"role": "user", "content": f"{content} is it very" + " very" * number},
                {"role": "assistant", "content": "the film" if label else "the hotel"},
            ],
            "label": label,
        }
        for number, content in enumerate(contents * 4)
        for label in (0, 1)
    ]
    file = tmp_path / "chats.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    arguments = ["extract", "--model", model, "--task", str(file), "--layers", "1,2"]
    arguments += ["--sizes", "12,12,4,12", "--store", str(tmp_path / "store"), "--json"]
    done = CliRunner().invoke(root, [*arguments, "--position", "last-assistant"])
    assert done.exit_code == 0, done.output
    store = ActivationStore.open(tmp_path / "store")
    assert store.manifest["identity"]["position"] == "last-assistant"
    assert len(store) == 28
    file.write_text(file.read_text().replace('"role": "user"', '"role": "you"', 1))
    refused = CliRunner().invoke(root, arguments).exception
    assert isinstance(refused, InputError)
    assert (refused.exit_code, refused.where) == (2, f"{file}, line 1")


def test_rows_give_records_with_messages(chatty: str, tmp_path: Path) -> None:
    texts = [row["messages"] for row in ROWS]
    rows = Rows([row["id"] for row in ROWS], texts, [0] * len(ROWS), chats=True)
    assert extract(chatty, rows, tmp_path / "store", layers="1")
    assert extract(chatty, rows.records(), tmp_path / "store", layers="1")
