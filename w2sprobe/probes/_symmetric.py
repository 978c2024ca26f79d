"""Searching a set in itself with half of the products: x·y serves both rows.

The products of two blocks come from BLAS; compiled scans compare them with the current k-th
distance of the block's rows and of its columns, and put the few that pass into reservoirs.
"""

import numpy as np
from threadpoolctl import threadpool_limits

from w2sprobe.probes._exact import Candidates, product_error, squared_norms
from w2sprobe.probes._kernels import STRIP, scan_columns, scan_rows
from w2sprobe.probes._threads import in_parts

BLOCK = 1024  # rows and columns of one product: 4 MB; a multiple of STRIP
ROOM = 2  # of a reservoir, for each candidate that is wanted


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
        Some columns are room to spare: -1 where it is not used.

    Notes
    -----
    O(n² d / 2) for the products, O(BLOCK² + n n_candidates) memory beside the points. A reservoir
    has room for more than is wanted; when it is full, most of the surplus goes and the cut becomes
    the limit that later products must undercut, as in FAISS's reservoirs.
    """
    n = len(points)
    width = min(BLOCK, -(-n // STRIP) * STRIP)
    products = np.zeros((min(BLOCK, n), width), dtype=np.float32)
    norms = squared_norms(points)
    # beyond the last row no product is small enough for anyone
    rounded = np.append(norms, np.full(STRIP, np.inf)).astype(np.float32)
    limit = np.append(np.full(n, np.inf), np.full(STRIP, -np.inf)).astype(np.float32)
    room = ROOM * n_candidates + STRIP
    near = np.empty((n, room), dtype=np.float32)
    rows = np.empty((n, room), dtype=np.int32)
    counts = np.zeros(n, dtype=np.int64)
    state = (products, rounded, near, rows, counts, limit, n_candidates)

    def multiply_and_scan(top: int, left: int, low: int, high: int) -> None:
        other = points[left : left + BLOCK]
        part = products[low:high, : len(other)]
        np.matmul(points[top + low : top + high], other.T, out=part)
        scan_rows(*state, top, left, len(other), low, high)

    # threads of ours multiply, each its rows: those of BLAS would go on waiting, at full speed, on
    # the cores that the scans need
    with threadpool_limits(limits=1, user_api="blas"):
        for top in range(0, n, BLOCK):
            height = min(BLOCK, n - top)
            for left in range(top, n, BLOCK):
                in_parts(multiply_and_scan, height, top, left)
                if left > top:
                    strips = -(-min(BLOCK, n - left) // STRIP)
                    in_parts(scan_columns, strips, *state, top, left, height)
    rows[np.arange(room) >= counts[:, None]] = -1
    error, tiny = product_error(points.shape[1], 2.0**-24, rounded_norms=False)
    return Candidates(near, rows, limit[:n], norms, error, tiny)
