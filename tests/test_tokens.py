import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models import sentences, tiny_tokenizer
from w2sprobe.errors import InputError
from w2sprobe.tokens import BATCH_OVERHEAD, MAX_PADDING, length_sorted_batches, pad, tokenize

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
def test_a_tenth_is_padding_at_most(lengths: np.ndarray, budget: int) -> None:
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
