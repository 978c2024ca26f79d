"""From approximate distances to the exact nearest rows, with a proof for each query.

Whatever finds candidates, their distances are computed again in float64 from differences of the
original rows. A bound on the error of the candidates' own distances shows whether a row that is no
candidate could be nearer. Where it could, the query is searched again in float64.
"""

from dataclasses import dataclass

import numpy as np

from w2sprobe.probes._kernels import Nearest, NeighborCandidates, refine
from w2sprobe.probes._threads import in_parts

UNIT_FLOAT32, UNIT_FLOAT64 = 2.0**-24, 2.0**-53  # unit roundoff
BLOCK_ROWS = 4096  # rows of X in one float64 product
FRAME_ROWS = 128  # rows in float64 at once: they stay in the processor's cache
BLOCK_VALUES = 1 << 23  # float64 distances held at once by the second search: 64 MB


def product_error(width: int, unit: float, *, rounded_norms: bool) -> tuple[float, float]:
    """`relative` and `absolute` error of |x|² + |q|² - 2 x·q, as in `NeighborCandidates`.

    Parameters
    ----------
    width : int
        d, the terms of the product.
    unit : float
        Unit roundoff of the products.
    rounded_norms : bool
        Whether the squared norms are sums in that precision too, rather than rounded once.

    Notes
    -----
    A sum of d products in any order errs by at most g |x|·|q|, g = d u / (1 - d u) (Higham,
    "Accuracy and Stability of Numerical Algorithms", 2nd ed., section 3.1), and
    2 |x| |q| <= (|x| + |q|)² / 2. The 8 u are for centring, for rounding the norms and for the two
    sums, each at most 2 u. Underflow adds at most 2**-80 a term: coordinates are below 2**41, and
    what is lost of one is below 2**-126, denormal numbers being flushed to zero.
    """
    g = width * unit / (1 - width * unit)
    return g / 2 + (g if rounded_norms else 0.0) + 8 * unit, width * 2.0**-80


@dataclass(frozen=True)
class Frame:
    """Coordinates in which float32 products are precise: (x - centre) * scale.

    Parameters
    ----------
    centre : ndarray of float64, shape (d,)
    scale : float
        A power of two, so that it rounds nothing. The largest coordinates become about 2**40: their
        squares are far from both ends of float32.
    """

    centre: np.ndarray
    scale: float

    @classmethod
    def of(cls, points: np.ndarray, queries: np.ndarray) -> "Frame":
        """Frame around the mean of the points."""
        # unlike abs(X).max(), this makes no copy of X
        largest = max(max(X.max(), -X.min()) for X in (points, queries))
        exponent = int(np.frexp(largest)[1]) if largest else 0
        return cls(points.mean(axis=0, dtype=np.float64), 2.0 ** (39 - exponent))

    def apply(self, X: np.ndarray) -> np.ndarray:
        """Rows in the frame, rounded once to float32."""
        framed = np.empty_like(X)
        for start in range(0, len(X), FRAME_ROWS):
            block = slice(start, start + FRAME_ROWS)
            framed[block] = (X[block] - self.centre) * self.scale
        return framed


def nearest_of(
    points: np.ndarray, queries: np.ndarray, frame: Frame, candidates: NeighborCandidates, k: int
) -> Nearest:
    """The k nearest candidates of each query by exact distances; reorders `candidates`."""
    m = len(queries)
    nearest = Nearest(np.empty((m, k)), np.empty((m, k), dtype=np.int64), np.zeros(m, dtype=bool))
    in_parts(refine, m, points, queries, frame.centre, frame.scale, candidates, nearest)
    return nearest


def search_again(
    points: np.ndarray, queries: np.ndarray, frame: Frame, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances and rows (m, k) by float64 products, with every row a candidate."""
    n = len(points)
    squared, rows = np.empty((len(queries), k)), np.empty((len(queries), k), dtype=np.int64)
    step = max(1, BLOCK_VALUES // n)
    error = product_error(points.shape[1], UNIT_FLOAT64, rounded_norms=True)
    for start in range(0, len(queries), step):
        block = slice(start, start + step)
        framed_queries = (queries[block] - frame.centre) * frame.scale
        near = np.empty((len(framed_queries), n))
        for low in range(0, n, BLOCK_ROWS):
            framed_points = (points[low : low + BLOCK_ROWS] - frame.centre) * frame.scale
            near[:, low : low + BLOCK_ROWS] = (
                squared_norms(framed_points) - 2 * framed_queries @ framed_points.T
            )
        candidates = NeighborCandidates(
            near,
            np.tile(np.arange(n, dtype=np.int32), (len(framed_queries), 1)),
            np.full(len(framed_queries), np.inf),
            squared_norms(framed_queries),
            *error,
        )
        squared[block], rows[block], _ = nearest_of(points, queries[block], frame, candidates, k)
    return squared, rows


def squared_norms(X: np.ndarray) -> np.ndarray:
    """|x|² of each row in float64, shape (n,)."""
    norms: np.ndarray = np.einsum("nd,nd->n", X, X, dtype=np.float64)
    return norms
