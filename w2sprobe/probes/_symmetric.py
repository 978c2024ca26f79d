"""Searching a set in itself with half of the products: x·y serves both rows.

The products of two blocks come from BLAS; compiled scans compare them with the current k-th
distance of the block's rows and of its columns, and put the few that pass into reservoirs.
"""

import numpy as np

from w2sprobe.probes._exact import Candidates, product_error, squared_norms
from w2sprobe.probes._select import select
from w2sprobe.probes._threads import compiled, in_parts

BLOCK = 2048  # rows and columns of one product: 16 MB
STRIP = 16  # products that are tested at once, two or four vector registers of them


def symmetric_candidates(points: np.ndarray, n_candidates: int) -> Candidates:
    """At least `n_candidates` nearest rows of each row, itself included.

    Parameters
    ----------
    points : ndarray of float32, shape (n, d)
        Centred.
    n_candidates : int, in [1, n]

    Returns
    -------
    Candidates
        Half of the columns are room to spare: -1 where it is not used.

    Notes
    -----
    O(n² d / 2) for the products, O(BLOCK² + n n_candidates) memory beside the points. A reservoir
    holds twice what is wanted; when it is full, the farther half goes and the farthest that stays
    becomes the limit, as in FAISS's reservoirs (Johnson, Douze & Jégou, arXiv 1702.08734, for the
    idea of a k-selection behind a threshold).
    """
    n = len(points)
    norms = squared_norms(points)
    rounded = norms.astype(np.float32)
    near = np.full((n, 2 * n_candidates), np.inf, dtype=np.float32)
    rows = np.full((n, 2 * n_candidates), -1, dtype=np.int32)
    counts = np.zeros(n, dtype=np.int64)
    limit = np.full(n, np.inf, dtype=np.float32)
    products = np.empty((min(BLOCK, n), min(BLOCK, n)), dtype=np.float32)
    for top in range(0, n, BLOCK):
        upper = points[top : top + BLOCK]
        for left in range(top, n, BLOCK):
            other = points[left : left + BLOCK]
            block = products[: len(upper), : len(other)]
            np.matmul(upper, other.T, out=block)
            state = (near, rows, counts, limit)
            in_parts(_scan_rows, len(upper), block, rounded, top, left, *state)
            if left > top:
                in_parts(_scan_columns, len(other), block, rounded, top, left, *state)
    error, tiny = product_error(points.shape[1], 2.0**-24, rounded_norms=False)
    return Candidates(near, rows, limit, norms, error, tiny)


@compiled
def _scan_rows(
    block: np.ndarray,
    norms: np.ndarray,
    top: int,
    left: int,
    near: np.ndarray,
    rows: np.ndarray,
    counts: np.ndarray,
    limit: np.ndarray,
    low: int,
    high: int,
) -> None:
    width, room = block.shape[1], near.shape[1]
    for r in range(low, high):
        i = top + r
        count, bound = counts[i], limit[i]
        for start in range(0, width, STRIP):
            stop = min(start + STRIP, width)
            some = 0
            for c in range(start, stop):
                some |= (norms[left + c] - np.float32(2) * block[r, c]) < bound
            if some:
                for c in range(start, stop):
                    value = norms[left + c] - np.float32(2) * block[r, c]
                    if value < bound:
                        near[i, count] = value
                        rows[i, count] = left + c
                        count += 1
                        if count == room:
                            bound = limit[i] = _halve(near, rows, i)
                            count = room // 2
        counts[i] = count


@compiled
def _scan_columns(
    block: np.ndarray,
    norms: np.ndarray,
    top: int,
    left: int,
    near: np.ndarray,
    rows: np.ndarray,
    counts: np.ndarray,
    limit: np.ndarray,
    low: int,
    high: int,
) -> None:
    room = near.shape[1]
    for start in range(low, high, STRIP):
        stop = min(start + STRIP, high)
        for r in range(block.shape[0]):
            norm = norms[top + r]
            some = 0
            for c in range(start, stop):
                some |= (norm - np.float32(2) * block[r, c]) < limit[left + c]
            if some:
                for c in range(start, stop):
                    value = norm - np.float32(2) * block[r, c]
                    j = left + c
                    if value < limit[j]:
                        near[j, counts[j]] = value
                        rows[j, counts[j]] = top + r
                        counts[j] += 1
                        if counts[j] == room:
                            limit[j] = _halve(near, rows, j)
                            counts[j] = room // 2


@compiled
def _halve(near: np.ndarray, rows: np.ndarray, i: int) -> float:
    """Empty the farther half of a full reservoir; return the largest that stays."""
    room = near.shape[1]
    largest = select(near, rows, i, room, room // 2)
    for t in range(room // 2, room):
        near[i, t] = np.inf
        rows[i, t] = -1
    return largest
