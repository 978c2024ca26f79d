"""Made-up splits: random words, in which only what a test plants can tell the labels apart."""

from collections.abc import Callable

import numpy as np

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
