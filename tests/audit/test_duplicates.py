import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audit.cases import make_splits, with_labels, with_texts
from w2sprobe.audit import Duplicates
from w2sprobe.audit.duplicates import NEAR, find_duplicates
from w2sprobe.data import Splits

NAMES = ("weak_train", "strong_train", "val", "test")
PROPERTY = settings(deadline=None, max_examples=25, derandomize=True)


def rows_of(found: Duplicates, first: str, second: str) -> tuple[int, int]:
    return next(part.rows for part in found.between if part.splits == (first, second))


def total(found: Duplicates) -> int:
    return sum(part.pairs for part in found.between)


def changed(text: str, word: int, new: str = "changed") -> str:
    words = text.split()
    words[word] = new
    return " ".join(words)


def similarity(one: str, other: str) -> float:
    """The naive version: shingles of three words, the k-th of a kind its own."""
    bags = []
    for text in (one, other):
        words = text.split()
        runs = [tuple(words[at : at + 3]) for at in range(len(words) - 2)]
        bags.append({(run, runs[:at].count(run)) for at, run in enumerate(runs)})
    return len(bags[0] & bags[1]) / len(bags[0] | bags[1])


def test_random_texts_have_none() -> None:
    found = find_duplicates(make_splits())
    assert total(found) == found.test_rows == len(found.examples) == 0
    assert len(found.between) == 6


def test_planted_pairs_are_counted_where_they_are() -> None:
    splits = make_splits(n_words=40)
    texts = {name: rows.texts for name, rows in splits.items()}
    splits = with_texts(
        splits,
        "test",
        {
            0: changed(texts["weak_train"][0], 0),
            2: changed(texts["weak_train"][0], 39),  # the same row of weak-train
            4: changed(texts["strong_train"][6], 0),
            6: changed(texts["val"][8], 39),  # not a training split
        },
    )
    splits = with_texts(splits, "val", {1: changed(texts["weak_train"][1], 20)})
    found = find_duplicates(splits)
    assert rows_of(found, "weak_train", "test") == (1, 2)
    assert rows_of(found, "strong_train", "test") == (1, 1)
    assert rows_of(found, "val", "test") == (1, 1)
    assert rows_of(found, "weak_train", "val") == (1, 1)
    assert total(found) == 5
    assert found.test_rows == 3


def test_different_labels_are_counted() -> None:
    splits = make_splits(n_words=40)
    texts = splits.weak_train.texts
    splits = with_texts(splits, "test", {0: changed(texts[0], 0), 1: changed(texts[2], 0)})
    found = find_duplicates(splits)
    pair = found.between[NAMES.index("test") - 1]
    assert (pair.splits, pair.pairs, pair.conflicting) == (("weak_train", "test"), 2, 1)
    flipped = with_labels(splits, "test", 1 - splits.test.labels)
    assert find_duplicates(flipped).between[2].conflicting == 1


@PROPERTY
@given(
    st.lists(st.integers(0, 39), min_size=1, max_size=6, unique=True),
)
def test_the_similarity_is_exact(places: list[int]) -> None:
    splits = make_splits(n_words=40, sizes=dict.fromkeys(NAMES, 20))
    original = splits.strong_train.texts[4]
    copy = original
    for place in places:
        copy = changed(copy, place, f"new{place}")
    expected = similarity(original, copy)
    found = find_duplicates(with_texts(splits, "test", {3: copy}))
    assert [pair.jaccard for pair in found.examples] == ([expected] if expected >= NEAR else [])
    if expected >= NEAR:
        pair = found.examples[0]
        assert pair.splits == ("strong_train", "test")
        assert pair.ids == ("strong_train-4", "test-3")
        assert pair.labels == (0, 1)
        assert pair.texts[0] != pair.texts[1]


@pytest.mark.parametrize(
    "same",
    [
        ("Ruda Mosi kela, tofi", "ruda  mosi\nKELA; tofi"),
        ("ruda mosi", "Ruda, mosi!"),
        ("很好 服务", "很好，服务。"),
    ],
)
def test_case_spaces_and_punctuation_make_no_other_text(same: tuple[str, str]) -> None:
    splits = with_texts(make_splits(), "weak_train", {0: same[0]})
    assert total(find_duplicates(with_texts(splits, "test", {0: same[1]}))) == 1


@pytest.mark.parametrize(
    "other",
    [
        ("2 + 3 = 5", "2 - 3 = 5"),
        ("( ( ) ) ( )", "( ) ( ( ) )"),
        ("take four steps turn right take four steps", "take four steps turn right"),
    ],
)
def test_signs_and_repetitions_do(other: tuple[str, str]) -> None:
    splits = with_texts(make_splits(), "weak_train", {0: other[0]})
    assert total(find_duplicates(with_texts(splits, "test", {0: other[1]}))) == 0


def in_template(words: list[str], label: int) -> str:
    question = "Read what stands above and say with care: is the answer given there right or wrong?"
    return f"Here is a question of some kind, and after it an answer. {' '.join(words)}. {question}"


def test_a_template_makes_no_duplicates() -> None:
    splits = make_splits(in_template, n_words=4)
    assert similarity(splits.weak_train.texts[0], splits.test.texts[0]) > 0.6
    found = find_duplicates(splits)
    assert total(found) == 0
    assert found.template_shingles > 15


def test_duplicates_inside_a_template_are_found() -> None:
    splits = make_splits(in_template, n_words=40)
    copy = changed(splits.weak_train.texts[0], 30)
    found = find_duplicates(with_texts(splits, "test", {0: copy}))
    assert (total(found), found.test_rows) == (1, 1)


def test_rows_of_template_alone_are_nobodys_duplicates() -> None:
    splits = make_splits(lambda words, label: "the same text in all rows", n_words=1)
    assert total(find_duplicates(splits)) == 0


def test_examples_show_the_place_that_differs() -> None:
    splits = make_splits(n_words=80)
    copy = changed(splits.weak_train.texts[0], 60, "HERE")
    found = find_duplicates(with_texts(splits, "test", {0: copy}))
    one, other = found.examples[0].texts
    assert "HERE" in other
    assert "HERE" not in one
    assert one.startswith("…")
    assert max(len(one), len(other)) <= 82


def test_a_swap_of_splits_mirrors_the_counts() -> None:
    splits = make_splits(n_words=40)
    splits = with_texts(splits, "strong_train", {0: changed(splits.weak_train.texts[0], 0)})
    swapped = Splits(splits.strong_train, splits.weak_train, splits.val, splits.test)
    for found in (find_duplicates(splits), find_duplicates(swapped)):
        assert rows_of(found, "weak_train", "strong_train") == (1, 1)
        assert total(found) == 1
    assert np.all(splits.test.labels == swapped.test.labels)
