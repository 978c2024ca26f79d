"""Baselines on surface features, such as length: what they predict needs no understanding.

Such baselines uncovered annotation artefacts of whole benchmarks:
Gururangan et al. 2018 (arXiv 1803.02324), Poliak et al. 2018 (arXiv 1805.01042).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from w2sprobe.audit.result import Baseline, BaselineName, Cue
from w2sprobe.data.rows import Rows
from w2sprobe.metrics import auc_intervals, roc_auc

AUC_THRESHOLD = 0.95
MAX_FEATURES = 30_000  # the most frequent ones
# Characters that the character baseline reads in all, train and test together: 5,000 + 5,000 long
# texts are cut to 1,000 characters each, half from each end. Words are cheap, so texts are not cut.
CHARACTER_BUDGET = 10_000_000
CHARACTER_NGRAMS = (2, 4)
WORD = r"\w+|[^\w\s]"  # also single letters and punctuation: an answer may be "B" or end in "?"
START, END = "\x02", "\x03"  # marks that turn "ends in B" into a character n-gram
N_CUES = 4  # reported per label
LENGTH_FEATURES = ("characters", "words", "lines", "characters of the last line")


def score_baselines(train: Rows, test: Rows) -> tuple[Baseline, ...]:
    """Train the baselines length, characters and words on one split and score them on another.

    Parameters
    ----------
    train, test : Rows
        Weak-train and test, always in the same order: it affects rounding.

    Notes
    -----
    Length: a random forest on `LENGTH_FEATURES`, which also finds a class of medium length.
    Characters and words: an L2 logistic regression on the presence of each feature, scaled by its
    naive Bayes log-count ratio (Wang & Manning 2012, "Baselines and Bigrams"). Plain TF-IDF would
    bury a perfect cue: with "B" for right answers after 300 random words, 500 rows per split, its
    test AUC was .59 from characters and .76 from words; with the ratio, 1.00 for both.
    """
    if any(len(np.unique(rows.labels)) < 2 for rows in (train, test)):
        return tuple(
            Baseline(name=name, auc=None, interval=None, flagged=False)
            for name in ("length", "characters", "words")
        )
    limit = max(2, CHARACTER_BUDGET // (len(train) + len(test)))
    length_scores, about = _score_length(train, test)
    character_scores, character_cues = _score_characters(train, test, limit)
    word_scores, word_cues = _score_words(train, test)
    scores = [length_scores, character_scores, word_scores]
    intervals = auc_intervals(test.labels, scores, groups=test.groups) or (None, None, None)
    is_cut = any(len(text) > limit for rows in (train, test) for text in rows.plain_texts)

    def baseline(name: BaselineName, number: int, **details: Any) -> Baseline:
        auc = roc_auc(test.labels, scores[number])
        flagged = auc > AUC_THRESHOLD
        return Baseline(name=name, auc=auc, interval=intervals[number], flagged=flagged, **details)

    return (
        baseline("length", 0, about=about),
        baseline("characters", 1, cues=character_cues, max_characters=limit if is_cut else None),
        baseline("words", 2, cues=word_cues),
    )


def _score_length(train: Rows, test: Rows) -> tuple[np.ndarray, str]:
    """Test scores, and per-label quartiles of the feature that the forest uses most."""
    X, labels = length_features(train.plain_texts), train.labels
    forest = RandomForestClassifier(min_samples_leaf=max(2, len(X) // 100), random_state=0)
    forest.fit(X, labels)
    best = int(forest.feature_importances_.argmax())
    low, high = (
        " / ".join(f"{value:.0f}" for value in np.quantile(X[labels == label, best], [0.25, 0.75]))
        for label in (0, 1)
    )
    about = f"{LENGTH_FEATURES[best]}, quartiles: label 0 {low}, label 1 {high}"
    return np.asarray(forest.predict_proba(length_features(test.plain_texts))[:, 1]), about


def length_features(texts: Sequence[str]) -> np.ndarray:
    """`LENGTH_FEATURES` of each text, float64, (n, 4)."""
    return np.array(
        [
            (len(text), len(text.split()), text.count("\n") + 1, len(text.rpartition("\n")[2]))
            for text in texts
        ],
        dtype=np.float64,
    )


def _score_characters(train: Rows, test: Rows, limit: int) -> tuple[np.ndarray, tuple[Cue, ...]]:
    vectorizer = CountVectorizer(
        analyzer="char",
        lowercase=False,
        ngram_range=CHARACTER_NGRAMS,
        max_features=MAX_FEATURES,
        binary=True,
        dtype=np.float32,
    )
    train_texts = [_marked(text, limit) for text in train.plain_texts]
    test_texts = [_marked(text, limit) for text in test.plain_texts]
    return _score_presence(train_texts, train.labels, test_texts, vectorizer)


def _score_words(train: Rows, test: Rows) -> tuple[np.ndarray, tuple[Cue, ...]]:
    vectorizer = CountVectorizer(
        token_pattern=WORD,
        lowercase=False,
        max_features=MAX_FEATURES,
        binary=True,
        dtype=np.float32,
    )
    return _score_presence(train.plain_texts, train.labels, test.plain_texts, vectorizer)


def _score_presence(
    train: list[str], labels: np.ndarray, test: list[str], vectorizer: CountVectorizer
) -> tuple[np.ndarray, tuple[Cue, ...]]:
    """Test scores of a logistic regression weighted by naive Bayes, and its strongest features."""
    X = vectorizer.fit_transform(train)
    counts = np.stack([np.asarray(X[labels == label].sum(axis=0)).ravel() for label in (0, 1)])
    # Wang & Manning 2012, section 2.1, with smoothing 1. Features are present or not, so rates are
    # per row, and the smoothing adds two rows per label: one with the feature, one without.
    rates = (counts + 1) / (np.bincount(labels, minlength=2)[:, np.newaxis] + 2)
    log_ratio = np.log(rates[1]) - np.log(rates[0])
    model = LogisticRegression(max_iter=1000).fit(_weighted(X, log_ratio), labels)
    scores = model.decision_function(_weighted(vectorizer.transform(test), log_ratio))
    names, weights = vectorizer.get_feature_names_out(), model.coef_[0] * log_ratio
    return np.asarray(scores), _cues(names, weights, counts, len(labels))


def _weighted(X: Any, log_ratio: np.ndarray) -> Any:
    """Scale columns by the log-ratio, then rows to unit length: long texts weigh no more."""
    return normalize(X @ sparse.diags_array(log_ratio).astype(np.float32))


def _cues(
    names: np.ndarray, weights: np.ndarray, counts: np.ndarray, n_rows: int
) -> tuple[Cue, ...]:
    """Features with the largest effect on the scores, those for label 0 first."""
    share = counts.sum(axis=0) / n_rows
    # weight times the standard deviation of the feature's presence
    effects = weights * np.sqrt(share * (1 - share))
    cues: list[Cue] = []
    for label, effect in ((0, -effects), (1, effects)):
        of_label: list[Cue] = []
        for column in np.argsort(-effect, kind="stable"):
            if len(of_label) == N_CUES or effect[column] <= 0:
                break
            text = str(names[column])
            # one of "nic", "nice" and " nic" is enough
            if not any(text in cue.text or cue.text in text for cue in of_label):
                rows_0, rows_1 = counts[:, column].astype(int).tolist()
                of_label.append(Cue(text=text, label=label, rows_0=rows_0, rows_1=rows_1))
        cues += of_label
    return tuple(cues)


def _marked(text: str, limit: int) -> str:
    """Add marks at both ends of a text, after cutting its middle if it is longer than `limit`."""
    if len(text) > limit:
        text = text[: limit // 2] + text[-(limit // 2) :]
    return START + text + END
