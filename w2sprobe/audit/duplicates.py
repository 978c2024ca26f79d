"""Near-duplicates across splits: MinHash proposes pairs, the exact Jaccard similarity decides.

Source: Broder, "On the resemblance and containment of documents" (1997); the sketches and their
index are datasketch's.
"""

import re
from itertools import combinations
from typing import Any

import numpy as np
from datasketch import MinHash, MinHashLSH

from w2sprobe.audit.result import CrossDuplicates, Duplicates, Pair
from w2sprobe.audit.texts import shared_start
from w2sprobe.data.rows import Rows
from w2sprobe.data.splits import SPLIT_NAMES, Splits

NEAR = 0.8  # Jaccard similarity from which two rows are near-duplicates
SHINGLE_WORDS = 3
# A shingle in half of all rows belongs to the task's template and tells no two rows apart;
# counted in, "Is the answer ...?" would make short texts alike.
TEMPLATE_SHARE = 0.5
TEMPLATE_ROWS = 10  # and in no fewer than these, or two like rows of four would be a template
# Bands and rows a band: a pair at `NEAR` is proposed with probability 1 - (1 - .8^5)^25 = .99995,
# one at .5 with .55, one at .3 with .06.
BANDS, BAND_ROWS = 25, 5
# Case, spaces and common punctuation make no other text; signs such as "+" and brackets do.
# Scripts written without spaces count by character.
WORD = re.compile(r"\w+|[^\w\s.,;:!?'\"“”‘’…，。、；：！？]")
UNSPACED = re.compile(r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff])")
N_EXAMPLES = 5
SHOWN_CHARACTERS = 80
SHOWN_BEFORE = 20  # of them, before the first difference

Shingles = list[np.ndarray]  # a row's shingles, as numbers, each once


def find_duplicates(splits: Splits) -> Duplicates:
    """Find rows of different splits whose texts are nearly the same.

    Parameters
    ----------
    splits : Splits

    Returns
    -------
    Duplicates
        `examples` are the most similar pairs, those with a test row first.

    Notes
    -----
    Jaccard similarity of the bags of `SHINGLE_WORDS` consecutive words, without case and common
    punctuation, and without the shingles that `TEMPLATE_SHARE` of all rows have; a row without
    other shingles is nobody's duplicate. Every reported pair is exact; one at the threshold is
    missed once in 20,000. The order of whole passages plays no role.
    """
    shingles = _row_shingles([text for _, rows in splits.items() for text in rows.texts])
    n_shingles = 1 + max(int(row.max()) for row in shingles)
    rows_with = np.bincount(np.concatenate(shingles), minlength=n_shingles)
    is_template = rows_with >= max(TEMPLATE_SHARE * len(shingles), TEMPLATE_ROWS)
    shingles = [row[~is_template[row]] for row in shingles]
    sketches = MinHash.bulk(
        (row.tolist() for row in shingles), num_perm=BANDS * BAND_ROWS, seed=1, hashfunc=int
    )
    start, parts = 0, {}
    for name, rows in splits.items():
        end = start + len(rows)
        parts[name] = _Sketched(rows, shingles[start:end], sketches[start:end], n_shingles)
        start = end

    test_rows: set[int] = set()
    between, examples = [], []
    for first, second in combinations(SPLIT_NAMES, 2):
        left, right = parts[first], parts[second]
        one, other, jaccard = left.near(right)
        differ = left.rows.labels[one] != right.rows.labels[other]
        between.append(
            CrossDuplicates(
                splits=(first, second),
                pairs=len(jaccard),
                conflicting=int(differ.sum()),
                rows=(len(np.unique(one)), len(np.unique(other))),
            )
        )
        if between[-1].reaches_test:
            test_rows.update(np.unique(other).tolist())
        for best in np.argsort(-jaccard, kind="stable")[:N_EXAMPLES]:
            pair = _example(left.rows, one[best], right.rows, other[best])
            examples.append(Pair(splits=(first, second), jaccard=float(jaccard[best]), **pair))
    examples.sort(key=lambda pair: ("test" not in pair.splits, -pair.jaccard))
    return Duplicates(
        threshold=NEAR,
        template_shingles=int(is_template.sum()),
        test_rows=len(test_rows),
        between=tuple(between),
        examples=tuple(examples[:N_EXAMPLES]),
    )


class _Sketched:
    """A split's rows with their shingles and sketches, and an index of the sketches."""

    def __init__(
        self, rows: Rows, shingles: Shingles, sketches: list[MinHash], n_shingles: int
    ) -> None:
        self.rows, self.shingles, self.sketches = rows, shingles, sketches
        self.sizes = np.array([len(row) for row in shingles])
        self.n_shingles = n_shingles
        self.index = MinHashLSH(num_perm=BANDS * BAND_ROWS, params=(BANDS, BAND_ROWS))
        for number in np.flatnonzero(self.sizes).tolist():
            self.index.insert(number, sketches[number])

    def near(self, other: "_Sketched") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Near-duplicates: rows of this split, rows of the other, their Jaccard similarities."""
        ours, theirs, values = [], [], []
        in_query = np.zeros(self.n_shingles, dtype=bool)
        for query in np.flatnonzero(other.sizes).tolist():
            found = np.sort(np.array(self.index.query(other.sketches[query]), dtype=np.int64))
            if not len(found):
                continue
            in_query[other.shingles[query]] = True
            sizes = self.sizes[found]
            hits = in_query[np.concatenate([self.shingles[row] for row in found])]
            shared = np.add.reduceat(hits, np.cumsum(sizes) - sizes, dtype=np.int64)
            in_query[other.shingles[query]] = False
            jaccard = shared / (sizes + other.sizes[query] - shared)
            near = jaccard >= NEAR
            ours.append(found[near])
            theirs.append(np.full(near.sum(), query))
            values.append(jaccard[near])
        none = np.empty(0, dtype=np.int64)  # np.concatenate needs at least one
        return (
            np.concatenate([none, *ours]),
            np.concatenate([none, *theirs]),
            np.concatenate([none, *values]),
        )


def _row_shingles(texts: list[str]) -> Shingles:
    """Numbers for the runs of `SHINGLE_WORDS` words; shorter rows are filled up to one run."""
    numbers: dict[str, int] = {}
    words = []
    for text in texts:
        row = WORD.findall(UNSPACED.sub(r" \1 ", text).lower())
        filled = [numbers.setdefault(word, len(numbers) + 1) for word in row]
        filled += [0] * (SHINGLE_WORDS - len(filled))
        words.append(np.array(filled, dtype=np.int64))
    sizes = [len(row) - SHINGLE_WORDS + 1 for row in words]
    runs = np.concatenate([row[: 1 - SHINGLE_WORDS] for row in words])
    for offset in range(1, SHINGLE_WORDS):
        tail = [row[offset : len(row) - SHINGLE_WORDS + 1 + offset] for row in words]
        # numbered anew at each step, so that the next product cannot overflow
        runs = runs * (len(numbers) + 1) + np.concatenate(tail)
        runs = np.unique(runs, return_inverse=True)[1]
    bounds = np.cumsum(sizes)[:-1]
    # the k-th time that a row says it makes another shingle (Broder 1997)
    runs = np.concatenate([np.sort(row) for row in np.split(runs, bounds)])
    place = np.arange(len(runs))
    is_first = np.diff(runs, prepend=-1) != 0
    is_first[bounds] = True
    times = place - np.maximum.accumulate(np.where(is_first, place, 0))
    again = np.flatnonzero(times)
    labels = runs[again] * (times.max() + 1) + times[again]
    runs[again] = runs.max() + 1 + np.unique(labels, return_inverse=True)[1]
    return np.split(runs, bounds)


def _example(left: Rows, row: int, right: Rows, other: int) -> dict[str, Any]:
    """The fields of a `Pair` that two rows fill."""
    one, two = (" ".join(text.split()) for text in (left.texts[row], right.texts[other]))
    start = max(0, shared_start(one, two) - SHOWN_BEFORE)
    # not further than the last window of the longer text
    start = min(start, max(0, max(len(one), len(two)) - SHOWN_CHARACTERS))
    return {
        "ids": (str(left.ids[row]), str(right.ids[other])),
        "labels": (int(left.labels[row]), int(right.labels[other])),
        "texts": (_window(one, start), _window(two, start)),
    }


def _window(text: str, start: int) -> str:
    end = start + SHOWN_CHARACTERS
    return "…" * (start > 0) + text[start:end] + "…" * (end < len(text))
