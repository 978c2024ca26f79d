"""Cues of a row's format as numbers: its length, the options it offers, its template."""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from w2sprobe.audit.baselines import WORD, length_features

CUES = ("length", "options", "template")
# "(A) ...", "B) ...", "3. ...", "- ..." or "• ..." at the start of a line
OPTION = re.compile(r"^[ \t]*(?:\(?[A-Za-z0-9]{1,2}[).:]|[-*•])[ \t]+\S", re.MULTILINE)
COMMON = 0.02  # share of rows from which an opening, an ending or a number of options has a column
MAX_COLUMNS = 10  # of each, the most common first
QUARTERS = (0.25, 0.5, 0.75)
VARIES = 0.05  # share of rows on either side of `target` from which a cue varies


@dataclass(frozen=True)
class CueColumns:
    """A cue of some rows as numbers.

    Parameters
    ----------
    about : str
        What `target` says of a row.
    values : ndarray of float64, shape (n, k)
        What is erased: numbers, and indicators, so that neither a regression nor a classifier of
        them is left.
    target : ndarray of bool, shape (n,)
        One fact of the cue that splits the training rows most evenly: what a probe is asked for.
    """

    about: str
    values: np.ndarray
    target: np.ndarray


T = TypeVar("T", bound=Hashable)
Encoder = Callable[[Sequence[str]], CueColumns]


def fit_cues(texts: Sequence[str]) -> dict[str, Encoder]:
    """Learn from training texts how to write each cue as numbers; cues that hardly vary are absent.

    Returns
    -------
    dict of str to function
        From texts to `CueColumns`, by name, in the order of `CUES`.
    """
    encoders = {"length": _length(texts), "options": _options(texts), "template": _template(texts)}
    return {
        name: encoder
        for name, encoder in encoders.items()
        if VARIES <= encoder(texts).target.mean() <= 1 - VARIES
    }


def _length(texts: Sequence[str]) -> Encoder:
    """Logarithms of the audit's length features, and in which quarter of the rows each lies."""
    limits = np.quantile(_logarithms(texts), QUARTERS, axis=0)

    def encode(new: Sequence[str]) -> CueColumns:
        numbers = _logarithms(new)
        above = [numbers > limit for limit in limits]
        median = int(np.expm1(limits[1, 0]).round())
        return CueColumns(
            f"more than {median:,} characters", np.hstack([numbers, *above]), above[1][:, 0]
        )

    return encode


def _options(texts: Sequence[str]) -> Encoder:
    counts = [len(OPTION.findall(text)) for text in texts]
    common = _common(counts)
    # the number above which there are nearest to half of the rows
    limit = min({*counts}, key=lambda count: abs(np.mean(np.array(counts) > count) - 0.5))

    def encode(new: Sequence[str]) -> CueColumns:
        numbers = np.array([len(OPTION.findall(text)) for text in new])
        values = np.column_stack([numbers, *(numbers == count for count in common)])
        return CueColumns(f"more than {limit} options", values.astype(float), numbers > limit)

    return encode


def _template(texts: Sequence[str]) -> Encoder:
    """Openings and endings, the first and last word or sign, that many rows share."""
    ends = [_ends(text) for text in texts]
    common = [(side, word) for side in (0, 1) for word in _common([both[side] for both in ends])]
    shares = {key: np.mean([both[key[0]] == key[1] for both in ends]) for key in common}
    side, word = min(shares, key=lambda key: abs(shares[key] - 0.5), default=(1, ""))

    def encode(new: Sequence[str]) -> CueColumns:
        of_new = [_ends(text) for text in new]
        columns = [[both[side] == word for both in of_new] for side, word in common]
        values = np.array(columns, dtype=float).reshape(len(common), len(of_new)).T
        about = f"{'ends in' if side else 'begins with'} {word!r}"
        return CueColumns(about, values, np.array([both[side] == word for both in of_new]))

    return encode


def _logarithms(texts: Sequence[str]) -> np.ndarray:
    logarithms: np.ndarray = np.log1p(length_features(texts))
    return logarithms


def _ends(text: str) -> tuple[str, str]:
    words = re.findall(WORD, text)
    return (words[0], words[-1]) if words else ("", "")


def _common(values: Sequence[T]) -> list[T]:
    """Values that many rows have, the most common first."""
    return [
        value
        for value, count in Counter(values).most_common(MAX_COLUMNS)
        if count >= COMMON * len(values)
    ]
