"""Made-up splits, in which only what a test plants predicts the labels, and a made-up audit."""

from collections.abc import Callable
from typing import Any

import numpy as np

from w2sprobe.audit import (
    Audit,
    Balance,
    Baseline,
    CrossDuplicates,
    Cue,
    Duplicates,
    Finding,
    Overflow,
    Pair,
    Suffix,
    TextLengths,
)
from w2sprobe.data import SPLIT_NAMES, Rows, Splits

SIZES = {"weak_train": 300, "strong_train": 100, "val": 60, "test": 200}
SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
Plant = Callable[[list[str], int], str]


def random_words(generator: np.random.Generator, n: int) -> list[str]:
    return ["".join(generator.choice(SYLLABLES, size=3)) for _ in range(n)]


def make_splits(
    plant: Plant = lambda words, label: " ".join(words),
    n_words: int = 25,
    sizes: dict[str, int] = SIZES,
) -> Splits:
    """Rows of `n_words` random words; `plant` writes the text of a row of a label."""
    generator = np.random.default_rng(0)
    vocabulary = np.array(random_words(generator, 300))
    parts = {}
    for name in SPLIT_NAMES:
        labels = np.arange(sizes[name]) % 2
        texts = [
            plant(generator.choice(vocabulary, size=n_words).tolist(), int(label))
            for label in labels
        ]
        ids = np.array([f"{name}-{row}" for row in range(len(labels))])
        parts[name] = Rows(ids, texts, labels, None, "made up")
    return Splits(**parts)


def leaking(words: list[str], label: int) -> str:
    return " ".join([*words, "surely" if label else "hardly", "so."])


def with_texts(splits: Splits, split: str, texts: dict[int, str]) -> Splits:
    """The same splits with other texts at some rows of one split."""
    parts = dict(splits.items())
    old = parts[split]
    new = [texts.get(row, text) for row, text in enumerate(old.texts)]
    parts[split] = Rows(old.ids, new, old.labels, old.groups, old.name)
    return Splits(**parts)


def with_labels(splits: Splits, split: str, labels: np.ndarray) -> Splits:
    """The same splits with other labels of one split."""
    parts = dict(splits.items())
    old = parts[split]
    parts[split] = Rows(old.ids, old.texts, labels, old.groups, old.name)
    return Splits(**parts)


def shuffled(splits: Splits) -> Splits:
    """The same splits, their rows in another order."""
    generator = np.random.default_rng(1)
    return Splits(
        **{name: rows.select(generator.permutation(len(rows))) for name, rows in splits.items()}
    )


YES = Cue(text="yes\x03", label=1, rows_0=3, rows_1=1_250)
NO = Cue(text="no", label=0, rows_0=900, rows_1=0)


def make_baseline(**changes: Any) -> Baseline:
    fields = {"name": "words", "auc": 0.99, "interval": (0.98, 1.0), "flagged": True}
    return Baseline(**{**fields, "cues": (NO, YES), **changes})


def make_duplicates(test_rows: int = 0, **pairs: int) -> Duplicates:
    """Near-duplicates between splits, by names such as weak_train__test; one row per pair."""
    between = tuple(
        CrossDuplicates(splits=(first, second), pairs=n, conflicting=n // 2, rows=(n, n))
        for (first, second), n in ((names.split("__"), n) for names, n in pairs.items())
    )
    example = Pair(
        splits=("weak_train", "test"), ids=("a", "b"), labels=(0, 1), jaccard=0.875,
        texts=("some text", "some other text"),
    )  # fmt: skip
    return Duplicates(
        threshold=0.8,
        template_shingles=0,
        test_rows=test_rows,
        between=between,
        examples=(example,) if pairs else (),
    )


def make_audit(**changes: Any) -> Audit:
    length = make_baseline(name="length", auc=None, interval=None, flagged=False, cues=())
    return Audit(
        **{
            "task": "made up",
            "auc_threshold": 0.95,
            "baselines": (length, make_baseline(max_characters=1_000)),
            "duplicates": make_duplicates(test_rows=2, weak_train__test=2, val__test=0),
            "lengths": (TextLengths(split="test", characters=(9, 10, 1_100), words=(1, 2, 3)),),
            "overflows": (Overflow(model="m", context=512, longest=1_024, rows={"test": 3}),),
            "balance": (Balance(split="test", rows_0=1_000, rows_1=3_000),),
            "suffix": Suffix(text=" A:", share=1.0),
            "findings": (
                Finding(kind="baseline", level="flag", message="Something is wrong. " * 20),
                Finding(kind="suffix", level="warning", message="An ending."),
            ),
            **changes,
        }
    )
