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

NEAR = 0.8  # smallest Jaccard similarity of near-duplicates
SHINGLE_WORDS = 3
# A shingle in half of all rows belongs to the task's template and is ignored; otherwise "Is the
# answer ...?" would make short texts near-duplicates.
TEMPLATE_SHARE = 0.5
TEMPLATE_ROWS = 10  # at least; otherwise two similar rows of four would be a template
# Bands and hashes per band: a pair of similarity .8 is proposed with probability
# 1 - (1 - .8^5)^25 = .99995, one of .5 with .55, one of .3 with .06.
BANDS, BAND_HASHES = 25, 5
# Texts that differ in case, spaces or common punctuation only are the same; signs such as "+" and
# brackets matter. In scripts without spaces, each character counts as a word.
WORD = re.compile(r"\w+|[^\w\s.,;:!?'\"“”‘’…，。、；：！？]")
UNSPACED = re.compile(r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff])")
N_EXAMPLES = 5
SHOWN_CHARACTERS = 80
SHOWN_BEFORE = 20  # of these, before the first difference

Shingles = list[np.ndarray]  # for each row, the numbers of its shingles, without repeats


def find_duplicates(splits: Splits) -> Duplicates:
    """Find rows of different splits with nearly the same text.

    Returns
    -------
    Duplicates
        `examples` are the most similar pairs, those with a test row first.

    Notes
    -----
    Jaccard similarity of the bags of `SHINGLE_WORDS` consecutive words, without case, common
    punctuation and the shingles that `TEMPLATE_SHARE` of all rows have; a row without other
    shingles has no near-duplicates. Reported similarities are exact; one pair in 20,000 at the
    threshold is missed. The order of passages within a text plays no role.
    """
    parts, template_shingles = _sketch(splits)
    test_rows: set[int] = set()
    between, examples = [], []
    for first, second in combinations(SPLIT_NAMES, 2):
        left, right = parts[first], parts[second]
        left_rows, right_rows, jaccard = left.near(right)
        differ = left.rows.labels[left_rows] != right.rows.labels[right_rows]
        cross = CrossDuplicates(
            splits=(first, second),
            pairs=len(jaccard),
            conflicting=int(differ.sum()),
            rows=(len(np.unique(left_rows)), len(np.unique(right_rows))),
        )
        between.append(cross)
        if cross.reaches_test:
            test_rows.update(np.unique(right_rows).tolist())
        for best in np.argsort(-jaccard, kind="stable")[:N_EXAMPLES]:
            pair = _example(left.rows, left_rows[best], right.rows, right_rows[best])
            examples.append(Pair(splits=(first, second), jaccard=float(jaccard[best]), **pair))
    examples.sort(key=lambda pair: ("test" not in pair.splits, -pair.jaccard))
    return Duplicates(
        threshold=NEAR,
        template_shingles=template_shingles,
        test_rows=len(test_rows),
        between=tuple(between),
        examples=tuple(examples[:N_EXAMPLES]),
    )


def _sketch(splits: Splits) -> tuple[dict[str, "_Sketched"], int]:
    """Sketches of each split, and how many shingles were ignored as part of a template."""
    shingles = _row_shingles([text for _, rows in splits.items() for text in rows.plain_texts])
    n_shingles = 1 + max(int(row.max()) for row in shingles)
    rows_with = np.bincount(np.concatenate(shingles), minlength=n_shingles)
    is_template = rows_with >= max(TEMPLATE_SHARE * len(shingles), TEMPLATE_ROWS)
    shingles = [row[~is_template[row]] for row in shingles]
    sketches = MinHash.bulk(
        (row.tolist() for row in shingles), num_perm=BANDS * BAND_HASHES, seed=1, hashfunc=int
    )
    parts, start = {}, 0
    for name, rows in splits.items():
        end = start + len(rows)
        parts[name] = _Sketched(rows, shingles[start:end], sketches[start:end], n_shingles)
        start = end
    return parts, int(is_template.sum())


class _Sketched:
    """Rows of a split with their shingles, their sketches, and an index of the sketches."""

    def __init__(
        self, rows: Rows, shingles: Shingles, sketches: list[MinHash], n_shingles: int
    ) -> None:
        self.rows, self.shingles, self.sketches = rows, shingles, sketches
        self.sizes = np.array([len(row) for row in shingles])
        self.n_shingles = n_shingles
        self.index = MinHashLSH(num_perm=BANDS * BAND_HASHES, params=(BANDS, BAND_HASHES))
        for row in np.flatnonzero(self.sizes).tolist():
            self.index.insert(row, sketches[row])

    def near(self, other: "_Sketched") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Near-duplicates: rows of this split, rows of the other, and their similarities."""
        ours, theirs, values = [], [], []
        in_query = np.zeros(self.n_shingles, dtype=bool)
        for query in np.flatnonzero(other.sizes).tolist():
            candidates = np.sort(np.array(self.index.query(other.sketches[query]), dtype=np.int64))
            if not len(candidates):
                continue
            # |A and B| of all candidates at once: mark the shingles of the query, then count the
            # marks in each candidate's stretch of the concatenated shingles
            in_query[other.shingles[query]] = True
            sizes = self.sizes[candidates]
            is_shared = in_query[np.concatenate([self.shingles[row] for row in candidates])]
            shared = np.add.reduceat(is_shared, np.cumsum(sizes) - sizes, dtype=np.int64)
            in_query[other.shingles[query]] = False
            jaccard = shared / (sizes + other.sizes[query] - shared)
            is_near = jaccard >= NEAR
            ours.append(candidates[is_near])
            theirs.append(np.full(is_near.sum(), query))
            values.append(jaccard[is_near])
        none = np.empty(0, dtype=np.int64)  # np.concatenate needs at least one array
        return (
            np.concatenate([none, *ours]),
            np.concatenate([none, *theirs]),
            np.concatenate([none, *values]),
        )


def _row_shingles(texts: list[str]) -> Shingles:
    """Number the runs of `SHINGLE_WORDS` words of each row; shorter rows are padded to one run."""
    numbers: dict[str, int] = {}
    words = []
    for text in texts:
        tokens = WORD.findall(UNSPACED.sub(r" \1 ", text).lower())
        row = [numbers.setdefault(token, len(numbers) + 1) for token in tokens]
        row += [0] * (SHINGLE_WORDS - len(row))
        words.append(np.array(row, dtype=np.int64))
    sizes = [len(row) - SHINGLE_WORDS + 1 for row in words]
    runs = np.concatenate([row[: 1 - SHINGLE_WORDS] for row in words])
    for offset in range(1, SHINGLE_WORDS):
        next_words = [row[offset : len(row) - SHINGLE_WORDS + 1 + offset] for row in words]
        # a unique number for (run so far, next word)
        runs = runs * (len(numbers) + 1) + np.concatenate(next_words)
        # renumbered from 0 at each step, so that the next product cannot overflow
        runs = np.unique(runs, return_inverse=True)[1]
    return _distinguish_repeats(runs, np.cumsum(sizes)[:-1])


def _distinguish_repeats(runs: np.ndarray, bounds: np.ndarray) -> Shingles:
    """Give the k-th occurrence of a run in a row a number of its own.

    Sets of these numbers compare like bags of runs (Broder 1997). `bounds` are the starts of all
    rows but the first.
    """
    runs = np.concatenate([np.sort(row) for row in np.split(runs, bounds)])
    position = np.arange(len(runs))
    is_first = np.diff(runs, prepend=-1) != 0
    is_first[bounds] = True
    # 0 for the first occurrence in a row, 1 for the second, ...
    occurrence = position - np.maximum.accumulate(np.where(is_first, position, 0))
    repeats = np.flatnonzero(occurrence)
    pairs = runs[repeats] * (occurrence.max() + 1) + occurrence[repeats]
    runs[repeats] = runs.max() + 1 + np.unique(pairs, return_inverse=True)[1]
    return np.split(runs, bounds)


def _example(left: Rows, left_row: int, right: Rows, right_row: int) -> dict[str, Any]:
    """Ids, labels and texts of a `Pair`."""
    texts = (left.plain_texts[left_row], right.plain_texts[right_row])
    first, second = (" ".join(text.split()) for text in texts)
    start = max(0, shared_start(first, second) - SHOWN_BEFORE)
    # not beyond the last window of the longer text
    start = min(start, max(0, max(len(first), len(second)) - SHOWN_CHARACTERS))
    return {
        "ids": (str(left.ids[left_row]), str(right.ids[right_row])),
        "labels": (int(left.labels[left_row]), int(right.labels[right_row])),
        "texts": (_window(first, start), _window(second, start)),
    }


def _window(text: str, start: int) -> str:
    end = start + SHOWN_CHARACTERS
    return "…" * (start > 0) + text[start:end] + "…" * (end < len(text))
