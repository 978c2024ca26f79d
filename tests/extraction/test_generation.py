"""Continuations: those of transformers, and the states of their tokens."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from transformers import AutoModelForCausalLM

from tests.chats import CHATML, chat
from tests.extraction.test_chats import with_template
from w2sprobe import extract
from w2sprobe.cache import GENERATED, copy_store
from w2sprobe.chat import ROLE_NUMBERS
from w2sprobe.cli import root
from w2sprobe.errors import InputError, StoreDamaged, StoreMismatch
from w2sprobe.extraction import ExtractionRequest, plan_extraction, repair
from w2sprobe.models import load_tokenizer

QUESTIONS = ["the film", "was it good", "was it bad", "the hotel was cold and we hated it", "go"]
ROWS = [
    {"id": f"q{number}", "messages": chat(question)} for number, question in enumerate(QUESTIONS)
]
N = 12


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny causal model with a chat template."""
    return with_template(tmp_path_factory.mktemp("chatty") / "model", CHATML)


def continued(model: str, prompt: list[int]) -> list[int]:
    """Most probable tokens one after the other, each from a whole pass, until a stop token."""
    network = AutoModelForCausalLM.from_pretrained(model)
    tokens = list(prompt)
    with torch.inference_mode():
        while len(tokens) < len(prompt) + N and (len(tokens) == len(prompt) or tokens[-1] != 3):
            tokens.append(int(network(torch.tensor([tokens])).logits[0, -1].argmax()))
    return tokens


def test_generated_tokens_and_their_states(chatty: str, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(chatty)
    network = AutoModelForCausalLM.from_pretrained(chatty)
    store = extract(chatty, ROWS, tmp_path / "all", layers="1,2", position="all", generate=N)
    last = extract(chatty, ROWS, tmp_path / "last", layers="2", generate=N)
    written = pq.read_table(store.path / GENERATED).to_pylist()
    assert store.roles is not None
    assert set(store.roles.tolist()) == {ROLE_NUMBERS["assistant"]}
    for number, (row, found) in enumerate(zip(ROWS, written, strict=True)):
        prompt = tokenizer.apply_chat_template(
            row["messages"], add_generation_prompt=True, return_dict=False
        )
        whole = continued(chatty, prompt)
        assert found["id"] == row["id"]
        assert found["tokens"] == whole[len(prompt) :]
        assert found["text"] == tokenizer.decode(found["tokens"], skip_special_tokens=True)
        with torch.inference_mode():
            states = network(torch.tensor([whole]), output_hidden_states=True).hidden_states[2][0]
        expected = states[len(prompt) :].numpy()
        np.testing.assert_allclose(store.read(2, [number]), expected, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(last.read(2, [number]), expected[-1:], rtol=1e-3, atol=1e-5)
    assert store.verify() == []


def test_other_batches_write_the_same(chatty: str, tmp_path: Path) -> None:
    texts = []
    for number, batch_tokens in enumerate((1, 4096)):
        folder = tmp_path / str(number)
        extract(chatty, ROWS, folder, layers="1", generate=N, batch_tokens=batch_tokens)
        texts.append(pq.read_table(folder / GENERATED))
    assert texts[0].equals(texts[1])


def test_layers_are_added_to_what_was_written(
    chatty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"position": "all", "generate": N}
    extract(chatty, ROWS, tmp_path / "store", layers="1", **options)
    before = (tmp_path / "store" / GENERATED).read_bytes()
    with monkeypatch.context() as patch:
        patch.delattr("w2sprobe.extraction.job.greedy")  # not called again
        store = extract(chatty, ROWS, tmp_path / "store", layers="1,2", **options)
    assert (store.path / GENERATED).read_bytes() == before
    assert (copy_store(store.path, tmp_path / "copy").path / GENERATED).read_bytes() == before
    with pytest.raises(StoreMismatch, match="generate"):
        extract(chatty, ROWS, store.path, layers="1", position="all", generate=N - 1)
    (store.path / GENERATED).write_bytes(before[:-50])
    with pytest.raises(StoreDamaged, match="cannot be read"):
        extract(chatty, ROWS, store.path, layers="3", **options)


def test_texts_are_continued_too(llama: str, tmp_path: Path) -> None:
    rows = [{"id": "a", "text": "the film was very"}]
    store = extract(llama, rows, tmp_path / "store", layers="1", generate=3, position="all")
    (written,) = pq.read_table(store.path / GENERATED)["tokens"].to_pylist()
    assert len(store.read(1)) == len(written) <= 3
    assert store.roles is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"position": "assistant"}, "position assistant of generated tokens. Allowed: last, first"),
        ({"generate": 256}, "256 tokens to generate. Allowed: 1 to 255"),
        ({"generate": -1}, "-1 tokens to generate"),
        ({"truncate": True}, "truncation of conversations that the model shall answer"),
        ({"generate": 250}, "longer than the model's context"),
        (
            {"dataset": [{"id": "a", "messages": chat("was it", "it was")}]},
            "end with the assistant's message: ids 'a'",
        ),
    ],
)
def test_what_cannot_be_continued(
    chatty: str, change: dict[str, object], message: str, tmp_path: Path
) -> None:
    options = {"dataset": ROWS, "generate": N, "layers": "1", **change}
    with pytest.raises(InputError) as error:
        extract(chatty, path=tmp_path / "store", **options)
    assert message in str(error.value)
    assert not (tmp_path / "store").exists()


def test_encoders_and_dry_runs_are_refused(bert: str, llama: str, tmp_path: Path) -> None:
    rows = [{"id": "a", "text": "the film"}]
    with pytest.raises(InputError, match="no language-model head"):
        extract(bert, rows, tmp_path / "store", generate=3)
    with pytest.raises(InputError, match="dry run"):
        plan_extraction(ExtractionRequest(llama, rows, "1", generate=3), tmp_path / "store")


def test_command_generates(llama: str, tmp_path: Path) -> None:
    file, store = tmp_path / "task.csv", tmp_path / "store"
    lines = [f"the film was {'very ' * number}good,{number % 2}" for number in range(24)]
    file.write_text("\n".join(["text,label", *lines]))
    arguments = ["extract", "--model", llama, "--task", str(file), "--layers", "1"]
    arguments += ["--sizes", "4,4,4,4", "--store", str(store), "--generate", "5"]
    done = CliRunner().invoke(root, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert len(pq.read_table(store / GENERATED)) == 12


def test_a_repair_reads_the_same_tokens(chatty: str, tmp_path: Path) -> None:
    options = {"layers": "1", "position": "all", "generate": N, "rows_per_shard": 2}
    store = extract(chatty, ROWS, tmp_path / "store", **options)
    shard = store.path / "shards" / "00001.h5"
    before = shard.read_bytes()
    shard.write_bytes(before[:-64])
    assert repair(store.path, ROWS, model=chatty)
    assert shard.read_bytes() == before
