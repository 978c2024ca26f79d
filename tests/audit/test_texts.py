import numpy as np
import pytest

from tests.audit.cases import SIZES, make_splits, with_labels, with_texts
from w2sprobe.audit import ModelLengths, Suffix
from w2sprobe.audit.texts import (
    SUFFIX_SHARE,
    count_labels,
    count_overflows,
    find_suffix,
    measure_lengths,
)
from w2sprobe.errors import InputError, UnknownName

SMALL = dict.fromkeys(SIZES, 20)


def test_lengths_of_each_split() -> None:
    splits = with_texts(make_splits(n_words=10, sizes=SMALL), "val", {0: "word " * 1000 + "end"})
    found = {part.split: part for part in measure_lengths(splits)}
    assert list(found) == list(SIZES)
    assert found["test"].words == (10, 10, 10)
    assert found["test"].characters == (69, 69, 69)
    assert found["val"].words[0] == 10
    assert found["val"].words[2] == 1001


def test_rows_beyond_a_context_are_counted() -> None:
    splits = make_splits(sizes=SMALL)
    tokens = {"test": np.array([99] * 17 + [100, 101, 250]), "val": np.full(20, 7)}
    (found,) = count_overflows(splits, {"tiny": ModelLengths(100, tokens)})
    assert (found.model, found.context, found.longest) == ("tiny", 100, 250)
    assert found.rows == {"test": 2, "val": 0}
    assert count_overflows(splits, {}) == ()


def test_token_counts_must_fit_the_splits() -> None:
    splits = make_splits(sizes=SMALL)
    with pytest.raises(InputError, match="19 token counts for 20 rows in test of tiny"):
        count_overflows(splits, {"tiny": ModelLengths(100, {"test": np.ones(19)})})
    with pytest.raises(UnknownName, match="unknown split 'tests'"):
        count_overflows(splits, {"tiny": ModelLengths(100, {"tests": np.ones(20)})})


def test_labels_are_counted() -> None:
    splits = with_labels(make_splits(sizes=SMALL), "test", np.array([1] * 15 + [0] * 5))
    found = {part.split: (part.rows_0, part.rows_1) for part in count_labels(splits)}
    assert found == {
        "weak_train": (10, 10),
        "strong_train": (10, 10),
        "val": (10, 10),
        "test": (5, 15),
    }


def test_a_common_ending_is_found_whole() -> None:
    ending = "!\n\nQ: Is that right? A:"
    splits = make_splits(lambda words, label: " ".join(words) + ending, sizes=SMALL)
    assert find_suffix(splits) == Suffix(text=ending, share=1.0)


@pytest.mark.parametrize("without", [4, 5])
def test_a_few_rows_may_end_otherwise(without: int) -> None:
    splits = make_splits(lambda words, label: " ".join(words) + " ?", sizes=SMALL)
    splits = with_texts(splits, "val", {row: f"other {row}" for row in range(without)})
    found = find_suffix(splits)
    share = 1 - without / 80
    assert (found is not None) == (share >= SUFFIX_SHARE)
    if found is not None:
        assert found.text == " ?"
        assert found.share == share


def test_spaces_and_small_or_capital_letters() -> None:
    assert find_suffix(make_splits(sizes=SMALL)) is None
    assert find_suffix(make_splits(lambda words, label: words[0] + "\n ", sizes=SMALL)) is None
    mixed = make_splits(lambda words, label: words[0] + ("YES" if label else "yes"), sizes=SMALL)
    assert find_suffix(mixed) is None
