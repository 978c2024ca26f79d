"""From approximate distances to the exact nearest rows, with a proof for each.

Whatever finds candidates, their distances are computed anew in float64 from differences of the
original rows, and a bound on the error of the candidates' own distances shows whether a row that
is no candidate could be nearer. Where it could, the row is searched again in float64.
"""

from dataclasses import dataclass

import numpy as np

from w2sprobe.probes._kernels import count_out, refine
from w2sprobe.probes._threads import in_parts

BLOCK_ROWS = 4096  # of one float64 product
MOVED_ROWS = 128  # that are in float64 at once, in the processor's cache
BLOCK_VALUES = 1 << 23  # float64 distances held at once by the second search: 64 MB


@dataclass(frozen=True)
class Candidates:
    """What a backend found for m queries.

    Parameters
    ----------
    near : ndarray of float, shape (m, c)
        Squared distances up to `offset` and rounding, in any order.
    rows : ndarray of int, shape (m, c)
        Their rows; -1 for none.
    limit : ndarray of float, shape (m,)
        No row that is left out has a smaller `near`; inf where none is left out.
    offset : ndarray of float64, shape (m,)
        What `near` lacks of a squared distance.
    error : float
        |near + offset - squared distance| <= error * (|x| + |q|)² + `tiny`, x and q centred.
    tiny : float
        What numbers too small for the precision may add.
    """

    near: np.ndarray
    rows: np.ndarray
    limit: np.ndarray
    offset: np.ndarray
    error: float
    tiny: float


def product_error(width: int, unit: float, *, rounded_norms: bool) -> tuple[float, float]:
    """`Candidates.error` and `Candidates.tiny` of |x|² + |q|² - 2 x·q.

    Parameters
    ----------
    width : int
        d, the terms of the product.
    unit : float
        Unit roundoff: 2**-24 for float32, 2**-53 for float64.
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
    """Where float32 products are exact enough: (x - centre) * scale.

    Parameters
    ----------
    centre : ndarray of float64, shape (d,)
    scale : float
        A power of two, so that it rounds nothing; largest coordinates become about 2**40, whose
        squares are far from both ends of float32.
    """

    centre: np.ndarray
    scale: float

    @classmethod
    def of(cls, points: np.ndarray, queries: np.ndarray) -> "Frame":
        """Around the mean of the points."""
        largest = max(max(X.max(), -X.min()) for X in (points, queries))  # no copy, as of abs(X)
        exponent = int(np.frexp(largest)[1]) if largest else 0
        return cls(points.mean(axis=0, dtype=np.float64), 2.0 ** (39 - exponent))

    def apply(self, X: np.ndarray) -> np.ndarray:
        """Rows in the frame, rounded once to float32."""
        moved = np.empty_like(X)
        for start in range(0, len(X), MOVED_ROWS):
            part = slice(start, start + MOVED_ROWS)
            moved[part] = (X[part] - self.centre) * self.scale
        return moved


def nearest_of(
    points: np.ndarray, queries: np.ndarray, frame: Frame, found: Candidates, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The k nearest candidates of each query by (distance, row); `found` is reordered.

    Returns
    -------
    squared : ndarray of float64, shape (m, k)
    rows : ndarray of int64, shape (m, k)
    proven : ndarray of bool, shape (m,)
        False: a row that is no candidate may be nearer, or there are fewer than k candidates.
    """
    m = len(queries)
    squared, rows = np.empty((m, k)), np.empty((m, k), dtype=np.int64)
    proven = np.zeros(m, dtype=bool)
    in_parts(
        refine, m, points, queries, frame.centre, frame.scale, found.near, found.rows, found.limit,
        found.offset, found.error, found.tiny, squared, rows, proven,
    )  # fmt: skip
    return squared, rows, proven


def search_again(
    points: np.ndarray, queries: np.ndarray, frame: Frame, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest rows through float64 products, every row a candidate: (m, k) each."""
    n = len(points)
    squared, rows = np.empty((len(queries), k)), np.empty((len(queries), k), dtype=np.int64)
    step = max(1, BLOCK_VALUES // n)
    error, tiny = product_error(points.shape[1], 2.0**-53, rounded_norms=True)
    for start in range(0, len(queries), step):
        some = queries[start : start + step]
        moved = (some - frame.centre) * frame.scale
        near = np.empty((len(some), n))
        for low in range(0, n, BLOCK_ROWS):
            block = (points[low : low + BLOCK_ROWS] - frame.centre) * frame.scale
            near[:, low : low + BLOCK_ROWS] = squared_norms(block) - 2 * moved @ block.T
        everything = Candidates(
            near,
            np.tile(np.arange(n, dtype=np.int32), (len(some), 1)),
            np.full(len(some), np.inf),
            squared_norms(moved),
            error,
            tiny,
        )
        part = slice(start, start + len(some))
        squared[part], rows[part], _ = nearest_of(points, some, frame, everything, k)
    return squared, rows


def squared_norms(X: np.ndarray) -> np.ndarray:
    """|x|² of each row in float64, shape (n,)."""
    norms: np.ndarray = np.einsum("nd,nd->n", X, X, dtype=np.float64)
    return norms


def expand(
    squared: np.ndarray,
    rows: np.ndarray,
    query: np.ndarray,
    members: np.ndarray,
    starts: np.ndarray,
    group: np.ndarray,
    k: int,
) -> tuple[np.ndarray, np.ndarray]:
    """From nearest distinct rows to nearest rows, leaving out those of a query's own group.

    Parameters
    ----------
    squared, rows : ndarray, shape (u, c)
        Nearest distinct rows of each distinct query, ascending.
    query : ndarray of int, shape (m,)
        The distinct query that each query is.
    members, starts : ndarray of int, shape (n,) and (distinct rows + 1,)
        Rows of distinct row r: members[starts[r]:starts[r + 1]], ascending.
    group : ndarray of int, shape (max(m, n),)
        Row and query of one number are not neighbours; empty: nothing is left out.
    k : int
        Neighbours a query; `c` is large enough for them.

    Returns
    -------
    squared : ndarray of float64, shape (m, k)
    rows : ndarray of int64, shape (m, k)
    """
    m = len(query)
    all_squared, all_rows = np.empty((m, k)), np.empty((m, k), dtype=np.int64)
    in_parts(count_out, m, squared, rows, query, members, starts, group, all_squared, all_rows)
    return all_squared, all_rows
