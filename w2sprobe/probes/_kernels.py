"""Compiled loops of the neighbour search and of the kNN vote.

All in one file: numba stores compiled code beside the file of a function, and does not see that a
function or tuple of another file, which it uses, has changed.

Each kernel works on the queries (or rows) from `low` to `high`, so that threads can share the work.
"""

from typing import NamedTuple

import numba
import numpy as np

from w2sprobe.probes._threads import compiled

STRIP = 16  # products tested at once: one or two vector registers


class NeighborCandidates(NamedTuple):
    """Candidates that a backend found for m queries, with approximate squared distances.

    Parameters
    ----------
    near : ndarray of float, shape (m, c)
        Squared distances less `offset`, up to rounding, in any order.
    rows : ndarray of int, shape (m, c)
        Their rows; -1 from the first unused column on.
    limit : ndarray of float, shape (m,)
        Rows that are not candidates have at least this `near`; inf if all rows are candidates.
    offset : ndarray of float64, shape (m,)
        |q|² where a backend leaves it out, as it does not change the order; else 0.
    relative, absolute : float
        |near + offset - squared distance| <= relative * (|x| + |q|)² + absolute, for centred x, q.
    """

    near: np.ndarray
    rows: np.ndarray
    limit: np.ndarray
    offset: np.ndarray
    relative: float
    absolute: float


class Nearest(NamedTuple):
    """The k nearest rows of m queries, ascending by (distance, row).

    Parameters
    ----------
    squared : ndarray of float64, shape (m, k)
        Squared distances, from differences in float64.
    rows : ndarray of int64, shape (m, k)
    proven : ndarray of bool, shape (m,)
        False: a row that is no candidate may be nearer, or there are fewer than k candidates.
    """

    squared: np.ndarray
    rows: np.ndarray
    proven: np.ndarray


class Copies(NamedTuple):
    """Which rows are copies of which distinct row.

    Parameters
    ----------
    query : ndarray of int, shape (m,)
        Number of each query among the distinct queries.
    members, starts : ndarray of int, shape (n,) and (number of distinct rows + 1,)
        Rows equal to distinct row r: members[starts[r]:starts[r + 1]], ascending.
    group : ndarray of int, shape (max(m, n),)
        Rows of a query's group are not its neighbours; empty: no row is left out.
    """

    query: np.ndarray
    members: np.ndarray
    starts: np.ndarray
    group: np.ndarray


class Reservoirs(NamedTuple):
    """The nearest rows so far of each of n rows, unsorted.

    Parameters
    ----------
    near, rows : ndarray of float32 and of int32, shape (n, capacity)
    counts : ndarray of int64, shape (n,)
        Used columns.
    limit : ndarray of float32, shape (n + STRIP,)
        A row with a smaller `near` enters; -inf beyond the last row.
    n_wanted : int
        Columns kept when a reservoir is full.
    """

    near: np.ndarray
    rows: np.ndarray
    counts: np.ndarray
    limit: np.ndarray
    n_wanted: int


class Block(NamedTuple):
    """Products of rows `top` to `top + height` with rows `left` to `left + width`."""

    products: np.ndarray
    top: int
    left: int
    height: int
    width: int


class Voters(NamedTuple):
    """Rows that may vote.

    Parameters
    ----------
    soft : ndarray of float64, shape (v, n)
        Soft labels of each label vector.
    keep : ndarray of bool, shape (v, n)
        Rows that vote in each label vector; empty: all do.
    group : ndarray of int, shape (n,)
        Rows of a query's own group do not vote; empty: all do.
    """

    soft: np.ndarray
    keep: np.ndarray
    group: np.ndarray


# without these two, the loop would not use vector registers; the sum is reordered in the same way
# for all rows, so that equal rows have equal distances
@numba.njit(nogil=True, fastmath={"reassoc", "contract"})
def squared_distance(x: np.ndarray, y: np.ndarray) -> float:
    """|x - y|² in float64, from differences: near rows do not cancel."""
    total = 0.0
    for column in range(x.shape[0]):
        difference = np.float64(x[column]) - np.float64(y[column])
        total += difference * difference
    return total


@compiled
def refine(
    points: np.ndarray,
    queries: np.ndarray,
    centre: np.ndarray,
    scale: float,
    candidates: NeighborCandidates,
    nearest: Nearest,
    low: int,
    high: int,
) -> None:
    """Find the nearest candidates by exact distances, and whether they are proven to be nearest.

    With e = `relative` and t = `absolute`, a row x at distance D from query q satisfies
    |near + offset - D²| <= e (|x| + |q|)² + t <= e (D + 2 |q|)² + t, because |x| <= D + |q|. Let
    K = max(k-th smallest near + offset, 0). The k candidates up to there have
    D² <= K + e (D + 2 |q|)² + t, so the true k-th distance is at most the larger root D* of that
    quadratic. Every row within D* has near <= cut = D*² + e (D* + 2 |q|)² + t - offset.
    Candidates above `cut` need no exact distance, and if `limit` is above `cut`, no row outside the
    candidates is nearer.
    """
    near, rows, limit, offset, relative, absolute = candidates
    squared, nearest_rows, proven = nearest
    k = squared.shape[1]
    for i in range(low, high):
        n_candidates = 0
        while n_candidates < near.shape[1] and rows[i, n_candidates] >= 0:
            n_candidates += 1
        if n_candidates < k:
            continue
        norm = scale * np.sqrt(squared_distance(queries[i], centre))
        kth = max(np.float64(select(near, rows, i, n_candidates, k)) + offset[i], 0.0) + absolute
        # larger root of (1 - e) D² - 4 e |q| D - (4 e |q|² + K + t) = 0
        half = 2 * norm * relative
        discriminant = half * half + (1 - relative) * (2 * norm * half + kth)
        farthest = (half + np.sqrt(discriminant)) / (1 - relative)
        cut = farthest * farthest + relative * (2 * norm + farthest) ** 2 + absolute - offset[i]
        n_sorted = 0
        for t in range(n_candidates):
            if near[i, t] > cut:
                continue
            row = rows[i, t]
            distance = squared_distance(points[row], queries[i])
            n_sorted = insert(squared, nearest_rows, i, n_sorted, distance, row)
        proven[i] = limit[i] > cut and n_sorted == k


@compiled
def insert(squared: np.ndarray, rows: np.ndarray, i: int, n: int, distance: float, row: int) -> int:
    """Insert into n entries sorted by (distance, row), dropping the last if there is no room."""
    slot = n
    if n == squared.shape[1]:
        slot -= 1
        if distance > squared[i, slot] or (distance == squared[i, slot] and row > rows[i, slot]):
            return n
    else:
        n += 1
    while slot > 0 and (
        squared[i, slot - 1] > distance
        or (squared[i, slot - 1] == distance and rows[i, slot - 1] > row)
    ):
        squared[i, slot] = squared[i, slot - 1]
        rows[i, slot] = rows[i, slot - 1]
        slot -= 1
    squared[i, slot] = distance
    rows[i, slot] = row
    return n


@compiled
def select(near: np.ndarray, rows: np.ndarray, i: int, n: int, k: int) -> float:
    """Move the k smallest of near[i, :n], and their rows, to the front; return the largest of them.

    Quickselect (Hoare, "Algorithm 65: FIND", 1961) with the middle element as pivot. In place, and
    it compiles in a fraction of the time that numba takes for numpy's partition.
    """
    low, high = 0, n - 1
    while low < high:
        pivot = near[i, (low + high) // 2]
        left, right = low, high
        while left <= right:
            while near[i, left] < pivot:
                left += 1
            while near[i, right] > pivot:
                right -= 1
            if left <= right:
                near[i, left], near[i, right] = near[i, right], near[i, left]
                rows[i, left], rows[i, right] = rows[i, right], rows[i, left]
                left += 1
                right -= 1
        if k - 1 <= right:
            high = right
        elif k - 1 >= left:
            low = left
        else:
            break
    largest = near[i, 0]
    for t in range(1, k):
        largest = max(largest, near[i, t])
    return largest  # type: ignore[no-any-return]


@compiled
def expand_copies(
    squared: np.ndarray,
    rows: np.ndarray,
    copies: Copies,
    all_squared: np.ndarray,
    all_rows: np.ndarray,
    low: int,
    high: int,
) -> None:
    """From the nearest distinct rows (u, c) to the k nearest of all rows (m, k)."""
    query, members, starts, group = copies
    k = all_squared.shape[1]
    for i in range(low, high):
        n_found = 0
        for t in range(rows.shape[1]):
            distance = squared[query[i], t]
            if n_found == k and distance > all_squared[i, k - 1]:
                break
            distinct = rows[query[i], t]
            for member in range(starts[distinct], starts[distinct + 1]):
                row = members[member]
                if len(group) and group[row] == group[i]:
                    continue
                if n_found == k:
                    if row > all_rows[i, k - 1]:
                        break  # the other copies have larger row numbers still
                    slot = k - 1
                else:
                    slot = n_found
                    n_found += 1
                # distances arrive in order: only rows of equal distance may have to move
                while (
                    slot > 0
                    and all_squared[i, slot - 1] == distance
                    and all_rows[i, slot - 1] > row
                ):
                    all_squared[i, slot] = distance
                    all_rows[i, slot] = all_rows[i, slot - 1]
                    slot -= 1
                all_squared[i, slot] = distance
                all_rows[i, slot] = row


@compiled
def scan_rows(block: Block, norms: np.ndarray, reservoirs: Reservoirs, low: int, high: int) -> None:
    """Offer each row `low` to `high` of a block the columns as neighbours."""
    products, top, left, _, width = block
    near, rows, counts, limit, n_wanted = reservoirs
    for r in range(low, high):
        i = top + r
        count, bound = counts[i], limit[i]
        for start in range(0, width, STRIP):
            # most strips hold no neighbour: one vector test of the strip, then one by one
            any_below = 0
            for c in range(start, start + STRIP):
                any_below |= (norms[left + c] - np.float32(2) * products[r, c]) < bound
            if any_below:
                if count > near.shape[1] - STRIP:
                    bound = select(near, rows, i, count, n_wanted)
                    limit[i], count = bound, n_wanted
                for c in range(start, start + STRIP):
                    value = norms[left + c] - np.float32(2) * products[r, c]
                    near[i, count] = value
                    rows[i, count] = left + c
                    count += value < bound  # no branch: it would be mispredicted half of the time
        counts[i] = count


@compiled
def scan_columns(
    block: Block, norms: np.ndarray, reservoirs: Reservoirs, low: int, high: int
) -> None:
    """Offer each column of a block the rows as neighbours; `low` and `high` count strips."""
    products, top, left, height, _ = block
    near, rows, counts, limit, n_wanted = reservoirs
    for start in range(low * STRIP, high * STRIP, STRIP):
        for r in range(height):
            norm = norms[top + r]
            any_below = 0
            for c in range(start, start + STRIP):
                any_below |= (norm - np.float32(2) * products[r, c]) < limit[left + c]
            if any_below:
                for c in range(start, start + STRIP):
                    value = norm - np.float32(2) * products[r, c]
                    j = left + c
                    if value < limit[j]:
                        near[j, counts[j]] = value
                        rows[j, counts[j]] = top + r
                        counts[j] += 1
                        if counts[j] == near.shape[1]:
                            limit[j] = select(near, rows, j, counts[j], n_wanted)
                            counts[j] = n_wanted


@compiled
def vote(
    neighbors: np.ndarray,
    voters: Voters,
    own_group: np.ndarray,
    ks: np.ndarray,
    votes: np.ndarray,
    short: np.ndarray,
    low: int,
    high: int,
) -> None:
    """Running means of the neighbours' labels: `votes` (v, len(ks), m) for ascending `ks`.

    `short` (v, m) marks the queries that have fewer than max(ks) neighbours with a vote.
    """
    soft, keep, group = voters
    for i in range(low, high):
        for vector in range(len(soft)):
            total, n_voted, next_k = 0.0, 0, 0
            for column in range(neighbors.shape[1]):
                row = neighbors[i, column]
                if keep.size and not keep[vector, row]:
                    continue
                if len(own_group) and group[row] == own_group[i]:
                    continue
                total += soft[vector, row]
                n_voted += 1
                while next_k < len(ks) and ks[next_k] == n_voted:
                    votes[vector, next_k, i] = total / n_voted
                    next_k += 1
                if next_k == len(ks):
                    break
            short[vector, i] = next_k < len(ks)
