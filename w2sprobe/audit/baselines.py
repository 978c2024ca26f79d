"""Classifiers too shallow to understand a text: what they get right, a probe may get for free.

Such partial-input and surface baselines uncovered annotation artefacts of whole benchmarks:
Gururangan et al. 2018 (arXiv 1803.02324), Poliak et al. 2018 (arXiv 1805.01042).
"""

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from w2sprobe.audit.result import Baseline, Cue
from w2sprobe.data.rows import Rows
from w2sprobe.metrics import auc_intervals, roc_auc

AUC_THRESHOLD = 0.95
MAX_FEATURES = 30_000  # the most frequent
# Read by the character baseline in all, train and test; 5,000 + 5,000 long texts are then cut to
# 1,000 characters each, half from each end. Words are cheap and read whole.
CHARACTER_BUDGET = 10_000_000
CHARACTER_NGRAMS = (2, 4)
WORD = r"\w+|[^\w\s]"  # single letters and punctuation count: an answer may be "B", or end in "?"
START, END = "\x02", "\x03"  # marks that make "ends in B" a run of characters
N_CUES = 4  # shown a label
LENGTH_FEATURES = ("characters", "words", "lines", "characters of the last line")


def score_baselines(train: Rows, test: Rows) -> tuple[Baseline, ...]:
    """Train each baseline on one split, score it on another.

    Parameters
    ----------
    train, test : Rows
        Weak-train and test, in an order of their own: it decides nothing but rounding.

    Returns
    -------
    tuple of Baseline
        length, characters, words.

    Notes
    -----
    Length: a random forest on `LENGTH_FEATURES`, so that a class in the middle is found too.
    Characters and words: the presence of each feature, scaled by its naive Bayes log-count ratio,
    in an L2 logistic regression (Wang & Manning 2012, "Baselines and Bigrams"). Under plain TF-IDF
    a perfect cue drowns: "B" for right answers after 300 random words gave a test AUC of .59 from
    characters and .76 from words, 500 rows each; with the ratio, 1.00 both.
    """
    if any(len(np.unique(rows.labels)) < 2 for rows in (train, test)):
        return tuple(
            Baseline(name=name, auc=None, interval=None, flagged=False)
            for name in ("length", "characters", "words")
        )
    length, about = _score_length(train, test)
    limit = max(2, CHARACTER_BUDGET // (len(train) + len(test)))
    characters, character_cues = _score_presence(
        [_marked(text, limit) for text in train.texts],
        train.labels,
        [_marked(text, limit) for text in test.texts],
        CountVectorizer(
            analyzer="char",
            lowercase=False,
            ngram_range=CHARACTER_NGRAMS,
            max_features=MAX_FEATURES,
            binary=True,
            dtype=np.float32,
        ),
    )
    words, word_cues = _score_presence(
        train.texts,
        train.labels,
        test.texts,
        CountVectorizer(
            token_pattern=WORD,
            lowercase=False,
            max_features=MAX_FEATURES,
            binary=True,
            dtype=np.float32,
        ),
    )
    is_cut = any(len(text) > limit for rows in (train, test) for text in rows.texts)
    aucs = [roc_auc(test.labels, scores) for scores in (length, characters, words)]
    drawn = auc_intervals(test.labels, [length, characters, words], groups=test.groups)
    intervals = drawn or (None, None, None)
    flagged = [auc > AUC_THRESHOLD for auc in aucs]
    return (
        Baseline(
            name="length", auc=aucs[0], interval=intervals[0], flagged=flagged[0], about=about
        ),
        Baseline(
            name="characters",
            auc=aucs[1],
            interval=intervals[1],
            flagged=flagged[1],
            max_characters=limit if is_cut else None,
            cues=character_cues,
        ),
        Baseline(
            name="words", auc=aucs[2], interval=intervals[2], flagged=flagged[2], cues=word_cues
        ),
    )


def _score_length(train: Rows, test: Rows) -> tuple[np.ndarray, str]:
    """Test scores, and the quartiles a label of the feature that the forest used most."""
    X, labels = _length_features(train.texts), train.labels
    forest = RandomForestClassifier(min_samples_leaf=max(2, len(X) // 100), random_state=0)
    forest.fit(X, labels)
    best = int(forest.feature_importances_.argmax())
    low, high = (
        " / ".join(f"{value:.0f}" for value in np.quantile(X[labels == label, best], [0.25, 0.75]))
        for label in (0, 1)
    )
    about = f"{LENGTH_FEATURES[best]}, quartiles: label 0 {low}, label 1 {high}"
    return np.asarray(forest.predict_proba(_length_features(test.texts))[:, 1]), about


def _length_features(texts: list[str]) -> np.ndarray:
    return np.array(
        [
            (len(text), len(text.split()), text.count("\n") + 1, len(text.rpartition("\n")[2]))
            for text in texts
        ],
        dtype=np.float64,
    )


def _score_presence(
    train: list[str], labels: np.ndarray, test: list[str], vectorizer: CountVectorizer
) -> tuple[np.ndarray, tuple[Cue, ...]]:
    """Test scores of an NB-weighted logistic regression, and the features that matter most."""
    X = vectorizer.fit_transform(train)
    counts = np.stack([np.asarray(X[labels == label].sum(axis=0)).ravel() for label in (0, 1)])
    # Wang & Manning 2012, section 2.1, with smoothing 1; of rows, as features are present or not
    rates = (counts + 1) / (np.bincount(labels, minlength=2)[:, np.newaxis] + 2)
    ratio = np.log(rates[1]) - np.log(rates[0])
    model = LogisticRegression(max_iter=1000).fit(_weighted(X, ratio), labels)
    weights = model.coef_[0] * ratio
    scores = model.decision_function(_weighted(vectorizer.transform(test), ratio))
    return np.asarray(scores), _cues(
        vectorizer.get_feature_names_out(), weights, counts, len(labels)
    )


def _weighted(X: Any, ratio: np.ndarray) -> Any:
    """Scale columns, then rows to length 1: the penalty must not depend on the texts' lengths."""
    return normalize(X @ sparse.diags_array(ratio).astype(np.float32))


def _cues(
    names: np.ndarray, weights: np.ndarray, counts: np.ndarray, n_rows: int
) -> tuple[Cue, ...]:
    """The features that move the scores of most rows, those for label 0 first."""
    share = counts.sum(axis=0) / n_rows
    effects = weights * np.sqrt(share * (1 - share))  # weight times deviation of its presence
    cues: list[Cue] = []
    for label, pull in ((0, -effects), (1, effects)):
        found: list[Cue] = []
        for column in np.argsort(-pull, kind="stable"):
            if len(found) == N_CUES or pull[column] <= 0:
                break
            text = str(names[column])
            # runs of characters come in families: "nic", "nice", " nic"
            if not any(text in cue.text or cue.text in text for cue in found):
                rows_0, rows_1 = counts[:, column].astype(int).tolist()
                found.append(Cue(text=text, label=label, rows_0=rows_0, rows_1=rows_1))
        cues += found
    return tuple(cues)


def _marked(text: str, limit: int) -> str:
    """The text between marks, at most `limit` characters of it, half from each end."""
    if len(text) > limit:
        text = text[: limit // 2] + text[-(limit // 2) :]
    return START + text + END
