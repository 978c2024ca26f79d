from random import Random

import numpy as np
import pytest

from tests.audit.cases import SIZES, Plant, make_splits, with_labels
from w2sprobe.audit import Baseline
from w2sprobe.audit.baselines import AUC_THRESHOLD, CHARACTER_BUDGET, score_baselines
from w2sprobe.data import Rows, Splits

RANDOM = Random(0)


def letter(words: list[str], label: int) -> str:
    """The bug of the OpenBookQA formatter: a letter for right answers, a text for wrong ones."""
    return " ".join(words) + "\nAnswer: " + (RANDOM.choice("ABCD") if label else words[0])


def letter_after_letter(words: list[str], label: int) -> str:
    """An "A" is in every row: only its place tells."""
    return letter(words, label).replace("Answer", "A")


def word(words: list[str], label: int) -> str:
    middle = len(words) // 2
    return " ".join([*words[:middle], "surely" if label else "hardly", *words[middle:]])


def inside_words(words: list[str], label: int) -> str:
    """No word tells anything, as each is there once; a run of characters does."""
    return " ".join(words) + f" {RANDOM.randrange(10**6)}{'xq' if label else 'qx'}"


def longer(words: list[str], label: int) -> str:
    return " ".join(words[: RANDOM.randint(5, 15) + 10 * label])


def middle(words: list[str], label: int) -> str:
    """Label 1 is neither the shortest nor the longest."""
    n = RANDOM.randint(9, 15) if label else RANDOM.choice([RANDOM.randint(4, 7), 18])
    return " ".join(words[:n])


def scored(splits: Splits) -> dict[str, Baseline]:
    return {part.name: part for part in score_baselines(splits.weak_train, splits.test)}


def flagged(splits: Splits) -> set[str]:
    return {name for name, part in scored(splits).items() if part.flagged}


@pytest.mark.parametrize(
    ("plant", "names"),
    [
        (letter, {"characters", "words"}),
        (letter_after_letter, {"characters"}),
        (word, {"characters", "words"}),
        (inside_words, {"characters"}),
        (longer, {"length"}),
        (middle, {"length"}),
    ],
)
def test_a_planted_leak_is_flagged(plant: Plant, names: set[str]) -> None:
    assert names <= flagged(make_splits(plant))


def test_nothing_planted_nothing_flagged() -> None:
    found = scored(make_splits())
    for part in found.values():
        # a standard error of an AUC is .041 at 200 rows
        assert part.auc is not None
        assert abs(part.auc - 0.5) < 0.12
        assert part.interval is not None
        assert part.interval[0] <= part.auc <= part.interval[1]
    assert not flagged(make_splits())


@pytest.mark.parametrize("n_words", [25, 120])
def test_a_cue_does_not_drown_in_long_texts(n_words: int) -> None:
    found = scored(make_splits(word, n_words))
    for name in ("characters", "words"):
        assert (found[name].auc or 0) > AUC_THRESHOLD


def test_cues_name_the_leak_and_count_its_rows() -> None:
    found = scored(make_splits(word))["words"]
    best = {label: next(cue for cue in found.cues if cue.label == label) for label in (0, 1)}
    half = SIZES["weak_train"] // 2
    assert (best[0].text, best[0].rows_0, best[0].rows_1) == ("hardly", half, 0)
    assert (best[1].text, best[1].rows_0, best[1].rows_1) == ("surely", 0, half)


def test_letters_stay_words_and_ends_are_marked() -> None:
    found = scored(make_splits(letter))
    assert {cue.text for cue in found["words"].cues if cue.label == 1} == set("ABCD")
    assert any(cue.text.endswith("\x03") for cue in found["characters"].cues)


def test_what_the_lengths_are_is_told() -> None:
    about = scored(make_splits(longer))["length"].about
    assert "quartiles: label 0 " in about
    assert ", label 1 " in about


def test_swapped_labels_swap_the_cues() -> None:
    splits = make_splits(word)
    for name in ("weak_train", "test"):
        splits = with_labels(splits, name, 1 - splits[name].labels)
    cues = scored(splits)["words"].cues
    assert next(cue.text for cue in cues if cue.label == 1) == "hardly"


def test_one_label_has_no_auc() -> None:
    splits = make_splits(sizes=dict.fromkeys(SIZES, 20))
    for name in ("weak_train", "test"):
        found = scored(with_labels(splits, name, np.ones(20, dtype=np.int64)))
        assert [part.auc for part in found.values()] == [None] * 3
        assert not any(part.flagged for part in found.values())


def test_few_rows_are_enough() -> None:
    found = scored(make_splits(sizes=dict.fromkeys(SIZES, 20)))
    assert all(part.auc is not None and not part.flagged for part in found.values())


def grouped(rows: Rows, groups: np.ndarray) -> Rows:
    return Rows(rows.ids, rows.texts, rows.labels, groups, rows.name)


def test_intervals_draw_groups_whole() -> None:
    splits = make_splits()
    alone = scored(splits)["words"].interval
    tens = np.array([str(row // 20) for row in range(200)])
    apart = score_baselines(splits.weak_train, grouped(splits.test, tens))[2].interval
    assert alone is not None
    assert apart is not None
    assert apart != alone
    one = grouped(splits.test, np.array(["g"] * 200))
    assert [part.interval for part in score_baselines(splits.weak_train, one)] == [None] * 3


def test_both_ends_of_long_texts_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("w2sprobe.audit.baselines.CHARACTER_BUDGET", 100 * 500)
    found = scored(make_splits(letter, 60))["characters"]
    assert found.max_characters == 100
    assert found.flagged
    assert scored(make_splits(letter, 10))["characters"].max_characters is None
    assert CHARACTER_BUDGET // 10_000 == 1_000
