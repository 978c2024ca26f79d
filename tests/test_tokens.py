import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from tests.tiny import sentences, tiny_tokenizer
from w2sprobe.errors import InputError
from w2sprobe.tokens import (
    BATCH_OVERHEAD,
    MAX_PADDING,
    length_sorted_batches,
    pad,
    tokenize,
    warn_of_changes,
)

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=60).map(np.array)


def padded(lengths: np.ndarray, batches: list[np.ndarray]) -> int:
    return sum(int(lengths[rows].max()) * len(rows) for rows in batches)


def cost(lengths: np.ndarray, batches: list[np.ndarray]) -> int:
    return BATCH_OVERHEAD * len(batches) + padded(lengths, batches)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(LENGTHS, st.integers(1, 1000))
def test_every_row_is_in_one_batch_within_the_budget(lengths: np.ndarray, budget: int) -> None:
    batches = length_sorted_batches(lengths, budget)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    for rows in batches:
        assert len(rows) == 1 or lengths[rows].max() * len(rows) <= budget


@settings(deadline=None, max_examples=60, derandomize=True)
@given(LENGTHS, st.integers(300, 1000))
def test_a_uniform_cut_that_is_cheaper_pads_more(lengths: np.ndarray, budget: int) -> None:
    batches = length_sorted_batches(lengths, budget)
    best, least = cost(lengths, batches), padded(lengths, batches)
    order = np.argsort(-lengths)
    for size in range(1, len(lengths) + 1):
        cut = [order[start : start + size] for start in range(0, len(order), size)]
        if all(lengths[rows].max() * len(rows) <= budget for rows in cut):
            assert best <= cost(lengths, cut) or least < padded(lengths, cut)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(LENGTHS, st.integers(1, 10_000))
def test_at_most_a_tenth_is_padding(lengths: np.ndarray, budget: int) -> None:
    tokens = padded(lengths, length_sorted_batches(lengths, budget))
    assert tokens * (1 - MAX_PADDING) <= lengths.sum()


def test_batches_are_as_few_as_padding_allows() -> None:
    assert len(length_sorted_batches(np.array([10] * 20), 1000)) == 1
    assert len(length_sorted_batches(np.array([10] * 10 + [100]), 2000)) == 2


def test_no_rows_make_no_batches() -> None:
    assert length_sorted_batches(np.array([], dtype=np.int64), 10) == []


def test_padding_is_on_the_right_and_masked() -> None:
    batch = pad([[5, 6, 7], [8]], pad_id=9)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_long_texts_are_refused_or_cut_and_counted() -> None:
    tokenizer = tiny_tokenizer("bert", "left")
    texts = ["good film", "bad " * 20, "awful " * 30]
    with pytest.raises(InputError) as caught:
        tokenize(tokenizer, ["a", "b", "c"], texts, max_tokens=10)
    for part in ("22 tokens", "'b'", "1 more", "up to 10", "--truncate"):
        assert part in str(caught.value)
    cut = tokenize(tokenizer, ["a", "b", "c"], texts, max_tokens=10, truncate=True)
    assert cut.n_truncated == 2
    assert cut.lengths.tolist() == [4, 10, 10]
    assert cut.input_ids[1][-1] == tokenizer.convert_tokens_to_ids("[SEP]")


def test_a_text_without_tokens_is_refused() -> None:
    with pytest.raises(InputError, match="without tokens, id 'b'"):
        tokenize(tiny_tokenizer("llama", "right"), ["a", "b"], ["good", " "], max_tokens=10)


def test_no_texts_make_no_tokens() -> None:
    assert tokenize(tiny_tokenizer("llama", "right"), [], [], max_tokens=10).input_ids == []


def test_tokens_do_not_depend_on_neighbours() -> None:
    tokenizer, texts = tiny_tokenizer("llama", "left"), sentences(9)
    together = tokenize(tokenizer, texts, texts, max_tokens=None).input_ids
    alone = [tokenize(tokenizer, [text], [text], max_tokens=None).input_ids[0] for text in texts]
    assert [row.tolist() for row in together] == [row.tolist() for row in alone]


def saved_to_cut(folder, **settings) -> PreTrainedTokenizerBase:
    """A tokenizer that was saved with truncation and padding switched on."""
    tiny_tokenizer("bert", "left").save_pretrained(folder)
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    content["truncation"] = {
        "direction": "Left", "max_length": 6, "strategy": "LongestFirst", "stride": 0,
    }  # fmt: skip
    content["padding"] = {
        "strategy": {"Fixed": 9}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 0,
        "pad_type_id": 0, "pad_token": "[PAD]",
    }  # fmt: skip
    file.write_text(json.dumps(content))
    return AutoTokenizer.from_pretrained(folder, **settings)


@pytest.mark.parametrize("side", ["left", "right"])
def test_settings_that_a_tokenizer_was_saved_with_have_no_effect(side: str, tmp_path: Path) -> None:
    plain = tiny_tokenizer("bert", "right")
    strange = saved_to_cut(tmp_path, truncation_side=side, padding_side=side, model_max_length=5)
    texts = ["good", "good bad " * 6, "bad good " * 20]
    for options in ({"max_tokens": None}, {"max_tokens": 11, "truncate": True}):
        found = tokenize(strange, ["a", "b", "c"], texts, **options)
        expected = tokenize(plain, ["a", "b", "c"], texts, **options)
        for one, other in zip(found.input_ids, expected.input_ids, strict=True):
            assert one.tolist() == other.tolist()


@pytest.mark.parametrize("kind", ["llama", "bert"])
def test_a_long_text_keeps_its_start_and_the_closing_token(kind: str) -> None:
    tokenizer = tiny_tokenizer(kind, "right")
    tokenizer.truncation_side = "left"
    text = "good " * 8 + "bad " * 8
    whole = tokenizer(text)["input_ids"]
    cut = tokenize(tokenizer, ["a"], [text], max_tokens=10, truncate=True)
    closing = whole[-1:] if kind == "bert" else []
    assert cut.input_ids[0].tolist() == whole[: 10 - len(closing)] + closing
    assert cut.n_read.tolist() == [10 - len(closing)]


def test_a_token_beyond_the_embedding_is_named() -> None:
    tokenizer = tiny_tokenizer("llama", "right")
    tokenizer.add_tokens(["<new>"])
    with pytest.raises(InputError, match=r"token 33 \('<new>'\) is not in the .* id 'b'") as caught:
        tokenize(tokenizer, ["a", "b"], ["good", "bad <new>"], max_tokens=9, vocab_size=33)
    assert "tokens below 33" in str(caught.value)
    tokenize(tokenizer, ["a", "b"], ["good", "bad <new>"], max_tokens=9, vocab_size=34)


def test_a_doubled_beginning_is_counted_and_warned_of() -> None:
    tokenizer = tiny_tokenizer("bert", "right")
    tokenizer.add_special_tokens({"bos_token": "[CLS]"})
    found = tokenize(tokenizer, ["a", "b"], ["good", "[CLS] good"], max_tokens=9)
    assert found.n_doubled_bos == 1
    with pytest.warns(UserWarning, match="1 of 2 texts already begin with .* reads two"):
        warn_of_changes(found, "tiny", 9)
