"""From approximate distances to the exact nearest rows, with a proof for each.

Whatever finds candidates, their distances are computed anew in float64 from differences of the
original rows, and a bound on the error of the candidates' own distances shows whether a row that
is no candidate could be nearer. Where it could, the row is searched again in float64.
"""

from dataclasses import dataclass

import numba
import numpy as np

from w2sprobe.probes._threads import compiled, in_parts

BLOCK_ROWS = 4096  # of one float64 product
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
        |near + offset - squared distance| <= error * (|x| + |q|)², x and q centred.
    """

    near: np.ndarray
    rows: np.ndarray
    limit: np.ndarray
    offset: np.ndarray
    error: float


def product_error(width: int, unit: float, *, rounded_norms: bool) -> float:
    """`Candidates.error` of |x|² + |q|² - 2 x·q.

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
    sums, each at most 2 u.
    """
    g = width * unit / (1 - width * unit)
    return g / 2 + (g if rounded_norms else 0.0) + 8 * unit


def nearest_of(
    points: np.ndarray, queries: np.ndarray, centre: np.ndarray, found: Candidates, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The k nearest candidates of each query by (distance, row).

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
        _refine, m, points, queries, centre, found.near, found.rows, found.limit, found.offset,
        found.error, squared, rows, proven,
    )  # fmt: skip
    return squared, rows, proven


def search_again(
    points: np.ndarray, queries: np.ndarray, centre: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest rows through float64 products, every row a candidate: (m, k) each."""
    n = len(points)
    squared, rows = np.empty((len(queries), k)), np.empty((len(queries), k), dtype=np.int64)
    step = max(1, BLOCK_VALUES // n)
    error = product_error(points.shape[1], 2.0**-53, rounded_norms=False)
    for start in range(0, len(queries), step):
        some = queries[start : start + step]
        moved = some - centre.astype(np.float64)
        near = np.empty((len(some), n))
        for low in range(0, n, BLOCK_ROWS):
            block = points[low : low + BLOCK_ROWS] - centre.astype(np.float64)
            near[:, low : low + BLOCK_ROWS] = squared_norms(block) - 2 * moved @ block.T
        everything = Candidates(
            near,
            np.tile(np.arange(n, dtype=np.int32), (len(some), 1)),
            np.full(len(some), np.inf),
            squared_norms(moved),
            error,
        )
        part = slice(start, start + len(some))
        squared[part], rows[part], _ = nearest_of(points, some, centre, everything, k)
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
    in_parts(_expand, m, squared, rows, query, members, starts, group, all_squared, all_rows)
    return all_squared, all_rows


@numba.njit(nogil=True, fastmath={"reassoc", "contract"})
def _squared(one: np.ndarray, other: np.ndarray) -> float:
    total = 0.0
    for column in range(one.shape[0]):
        difference = np.float64(one[column]) - np.float64(other[column])
        total += difference * difference
    return total


@compiled
def _refine(
    points: np.ndarray,
    queries: np.ndarray,
    centre: np.ndarray,
    near: np.ndarray,
    rows: np.ndarray,
    limit: np.ndarray,
    offset: np.ndarray,
    error: float,
    squared: np.ndarray,
    found: np.ndarray,
    proven: np.ndarray,
    low: int,
    high: int,
) -> None:
    k = squared.shape[1]
    for i in range(low, high):
        n_found = 0
        while n_found < near.shape[1] and rows[i, n_found] >= 0:
            n_found += 1
        if n_found < k:
            continue
        own = near[i, :n_found]
        # the k-th distance is at most the root `most` of D² = kth + error (2 |q| + D)², because
        # |x| <= |q| + D; a row within it has at most `cut` for its approximate distance
        norm = np.sqrt(_squared(queries[i], centre))
        kth = max(np.float64(np.partition(own, k - 1)[k - 1]) + offset[i], 0.0)
        half = 2 * norm * error
        most = (half + np.sqrt(half * half + (1 - error) * (2 * norm * half + kth))) / (1 - error)
        cut = most * most + error * (2 * norm + most) ** 2 - offset[i]
        kept = np.flatnonzero(own <= cut)
        exact = np.empty(len(kept))
        for t in range(len(kept)):
            exact[t] = _squared(points[rows[i, kept[t]]], queries[i])
        order = np.argsort(exact)
        # within a run of equal distances, by row
        for t in range(1, len(order)):
            place, spot = order[t], t
            while (
                spot > 0
                and exact[order[spot - 1]] == exact[place]
                and rows[i, kept[order[spot - 1]]] > rows[i, kept[place]]
            ):
                order[spot] = order[spot - 1]
                spot -= 1
            order[spot] = place
        for t in range(k):
            squared[i, t] = exact[order[t]]
            found[i, t] = rows[i, kept[order[t]]]
        proven[i] = limit[i] > cut


@compiled
def _expand(
    squared: np.ndarray,
    rows: np.ndarray,
    query: np.ndarray,
    members: np.ndarray,
    starts: np.ndarray,
    group: np.ndarray,
    all_squared: np.ndarray,
    all_rows: np.ndarray,
    low: int,
    high: int,
) -> None:
    k = all_squared.shape[1]
    for i in range(low, high):
        n_found = 0
        for t in range(rows.shape[1]):
            distance = squared[query[i], t]
            if n_found == k and distance > all_squared[i, k - 1]:
                break
            start = starts[rows[query[i], t]]
            for place in range(start, starts[rows[query[i], t] + 1]):
                row = members[place]
                if len(group) and group[row] == group[i]:
                    continue
                if n_found == k:
                    if row > all_rows[i, k - 1]:
                        break  # so are the others of this distinct row
                    spot = k - 1
                else:
                    spot = n_found
                    n_found += 1
                while (
                    spot > 0
                    and all_squared[i, spot - 1] == distance
                    and all_rows[i, spot - 1] > row
                ):
                    all_squared[i, spot] = distance
                    all_rows[i, spot] = all_rows[i, spot - 1]
                    spot -= 1
                all_squared[i, spot] = distance
                all_rows[i, spot] = row
