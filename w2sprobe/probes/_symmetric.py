"""Search of a set in itself with half of the products: x·y serves both rows.

The products of two blocks of rows come from BLAS. Compiled scans compare them with a limit per
row, and put the few that are below it into that row's reservoir of candidates.
"""

import numpy as np
from threadpoolctl import threadpool_limits

from w2sprobe.probes._exact import UNIT_FLOAT32, product_error, squared_norms
from w2sprobe.probes._kernels import (
    STRIP,
    Block,
    NeighborCandidates,
    Reservoirs,
    scan_columns,
    scan_rows,
)
from w2sprobe.probes._threads import in_parts

BLOCK = 1024  # rows and columns of one product: 4 MB; a multiple of STRIP
CAPACITY = 2  # of a reservoir, in multiples of the candidates wanted


def symmetric_candidates(points: np.ndarray, n_candidates: int) -> NeighborCandidates:
    """At least `n_candidates` nearest rows of each row, itself included.

    Parameters
    ----------
    points : ndarray of float32, shape (n, d)
        Centred.
    n_candidates : int, in [1, n]

    Returns
    -------
    NeighborCandidates
        Unused columns of a reservoir hold row -1.

    Notes
    -----
    O(n² d / 2) for the products, O(BLOCK² + n n_candidates) memory beside the points. When a
    reservoir is full, its farthest rows go and the farthest that stays becomes the limit that later
    products must undercut, as in FAISS's reservoirs.
    """
    n = len(points)
    width = min(BLOCK, -(-n // STRIP) * STRIP)
    products = np.zeros((min(BLOCK, n), width), dtype=np.float32)
    norms = squared_norms(points)
    # scans read whole strips: beyond the last row, no value is below any limit
    padded_norms = np.append(norms, np.full(STRIP, np.inf)).astype(np.float32)
    reservoirs = _empty_reservoirs(n, n_candidates)

    def multiply_and_scan(block: Block, low: int, high: int) -> None:
        columns = points[block.left : block.left + block.width]
        np.matmul(
            points[block.top + low : block.top + high],
            columns.T,
            out=products[low:high, : block.width],
        )
        scan_rows(block, padded_norms, reservoirs, low, high)

    # our own threads multiply, each some rows: BLAS threads would spin after each product, on the
    # cores that the scans need
    with threadpool_limits(limits=1, user_api="blas"):
        for top in range(0, n, BLOCK):
            for left in range(top, n, BLOCK):
                block = Block(products, top, left, min(BLOCK, n - top), min(BLOCK, n - left))
                in_parts(multiply_and_scan, block.height, block)
                if left > top:  # in a block on the diagonal, rows have seen all pairs
                    in_parts(
                        scan_columns, -(-block.width // STRIP), block, padded_norms, reservoirs
                    )
    near, rows, counts, limit, _ = reservoirs
    rows[np.arange(rows.shape[1]) >= counts[:, None]] = -1
    error = product_error(points.shape[1], UNIT_FLOAT32, rounded_norms=False)
    return NeighborCandidates(near, rows, limit[:n], norms, *error)


def _empty_reservoirs(n: int, n_wanted: int) -> Reservoirs:
    capacity = CAPACITY * n_wanted + STRIP
    return Reservoirs(
        np.empty((n, capacity), dtype=np.float32),
        np.empty((n, capacity), dtype=np.int32),
        np.zeros(n, dtype=np.int64),
        np.append(np.full(n, np.inf), np.full(STRIP, -np.inf)).astype(np.float32),
        n_wanted,
    )
