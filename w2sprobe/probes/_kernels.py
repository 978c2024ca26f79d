"""Compiled loops of the neighbour search.

All in one file: numba keeps compiled code beside the file of a function and does not see that a
function in another file, which it calls, has changed.
"""

import numba
import numpy as np

from w2sprobe.probes._threads import compiled

STRIP = 16  # products that are tested at once, in one or two vector registers
SAMPLED = 17  # of a full reservoir, to find where to cut it


@numba.njit(nogil=True, fastmath={"reassoc", "contract"})
def squared_distance(one: np.ndarray, other: np.ndarray) -> float:
    """|one - other|² in float64; the order of the sum is the compiler's, the same for all rows."""
    total = 0.0
    for column in range(one.shape[0]):
        difference = np.float64(one[column]) - np.float64(other[column])
        total += difference * difference
    return total


@compiled
def refine(
    points: np.ndarray,
    queries: np.ndarray,
    centre: np.ndarray,
    scale: float,
    near: np.ndarray,
    rows: np.ndarray,
    limit: np.ndarray,
    offset: np.ndarray,
    error: float,
    tiny: float,
    squared: np.ndarray,
    found: np.ndarray,
    proven: np.ndarray,
    low: int,
    high: int,
) -> None:
    """Queries low to high of `_exact.nearest_of`."""
    k = squared.shape[1]
    for i in range(low, high):
        n_found = 0
        while n_found < near.shape[1] and rows[i, n_found] >= 0:
            n_found += 1
        if n_found < k:
            continue
        # the k-th distance is at most the root `most` of D² = kth + error (2 |q| + D)² + tiny,
        # because |x| <= |q| + D; a row within it has at most `cut` for its approximate distance
        norm = scale * np.sqrt(squared_distance(queries[i], centre))
        kth = max(np.float64(select(near, rows, i, n_found, k)) + offset[i], 0.0) + tiny
        half = 2 * norm * error
        most = (half + np.sqrt(half * half + (1 - error) * (2 * norm * half + kth))) / (1 - error)
        cut = most * most + error * (2 * norm + most) ** 2 + tiny - offset[i]
        n_sorted = 0
        for t in range(n_found):
            if near[i, t] > cut:
                continue
            row = rows[i, t]
            distance = squared_distance(points[row], queries[i])
            # insert by (distance, row); the farthest falls out
            spot = n_sorted
            if n_sorted == k:
                spot -= 1
                last = squared[i, spot]
                if distance > last or (distance == last and row > found[i, spot]):
                    continue
            else:
                n_sorted += 1
            while spot > 0 and (
                squared[i, spot - 1] > distance
                or (squared[i, spot - 1] == distance and found[i, spot - 1] > row)
            ):
                squared[i, spot] = squared[i, spot - 1]
                found[i, spot] = found[i, spot - 1]
                spot -= 1
            squared[i, spot] = distance
            found[i, spot] = row
        proven[i] = limit[i] > cut and n_sorted == k


@compiled
def count_out(
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
    """Queries low to high of `_exact.expand`."""
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


@compiled
def select(near: np.ndarray, rows: np.ndarray, i: int, n: int, keep: int) -> float:
    """Move the `keep` smallest of near[i, :n], and their rows, to the front; return the largest.

    Quickselect (Hoare 1961) with the middle element for a pivot: in place, and compiled in a
    fraction of the time that numpy's partition takes numba.
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
        if keep - 1 <= right:
            high = right
        elif keep - 1 >= left:
            low = left
        else:
            break
    largest = near[i, 0]
    for t in range(1, keep):
        largest = max(largest, near[i, t])
    return largest  # type: ignore[no-any-return]


@compiled
def scan_rows(
    products: np.ndarray,
    norms: np.ndarray,
    near: np.ndarray,
    rows: np.ndarray,
    counts: np.ndarray,
    limit: np.ndarray,
    keep: int,
    top: int,
    left: int,
    width: int,
    low: int,
    high: int,
) -> None:
    """Offer the products of rows low to high of a block to the reservoirs of those rows."""
    for r in range(low, high):
        i = top + r
        count, bound = counts[i], limit[i]
        for start in range(0, width, STRIP):
            some = 0
            for c in range(start, start + STRIP):
                some |= (norms[left + c] - np.float32(2) * products[r, c]) < bound
            if some:
                if count > near.shape[1] - STRIP:
                    count = thin(near, rows, limit, i, count, keep)
                    bound = limit[i]
                for c in range(start, start + STRIP):
                    value = norms[left + c] - np.float32(2) * products[r, c]
                    near[i, count] = value
                    rows[i, count] = left + c
                    count += value < bound  # without a branch: which ones pass is anyone's guess
        counts[i] = count


@compiled
def scan_columns(
    products: np.ndarray,
    norms: np.ndarray,
    near: np.ndarray,
    rows: np.ndarray,
    counts: np.ndarray,
    limit: np.ndarray,
    keep: int,
    top: int,
    left: int,
    height: int,
    low: int,
    high: int,
) -> None:
    """Offer a block's products to the reservoirs of its columns, strips low to high of them."""
    for start in range(low * STRIP, high * STRIP, STRIP):
        for r in range(height):
            norm = norms[top + r]
            some = 0
            for c in range(start, start + STRIP):
                some |= (norm - np.float32(2) * products[r, c]) < limit[left + c]
            if some:
                for c in range(start, start + STRIP):
                    value = norm - np.float32(2) * products[r, c]
                    j = left + c
                    if value < limit[j]:
                        near[j, counts[j]] = value
                        rows[j, counts[j]] = top + r
                        counts[j] += 1
                        if counts[j] == near.shape[1]:
                            counts[j] = thin(near, rows, limit, j, counts[j], keep)


@compiled
def thin(near: np.ndarray, rows: np.ndarray, limit: np.ndarray, i: int, n: int, keep: int) -> int:
    """Drop the farthest of a reservoir of n and lower its limit; return how many stay.

    At least `keep` stay, and not many more: the cut is a value of a small sorted sample whose rank
    is counted, which costs less than finding the exact one.
    """
    sample = np.empty(SAMPLED, dtype=near.dtype)
    for t in range(SAMPLED):
        value, spot = near[i, t * n // SAMPLED], t
        while spot > 0 and sample[spot - 1] > value:
            sample[spot] = sample[spot - 1]
            spot -= 1
        sample[spot] = value
    cut, count = sample[0], 0
    for t in range(SAMPLED * keep // n, SAMPLED):
        cut, count = sample[t], 0
        for place in range(n):
            count += near[i, place] <= cut
        if count >= keep:
            break
    most = min((keep + n) // 2, near.shape[1] - STRIP)
    if count < keep or count > most:  # ties, or an unlucky sample
        cut, count = select(near, rows, i, n, keep), keep
    else:
        stay = 0
        for place in range(n):
            near[i, stay], rows[i, stay] = near[i, place], rows[i, place]
            stay += near[i, stay] <= cut
    limit[i] = cut
    return count


@compiled
def vote(
    found: np.ndarray,
    soft: np.ndarray,
    keep: np.ndarray,
    group: np.ndarray,
    own: np.ndarray,
    counts: np.ndarray,
    votes: np.ndarray,
    short: np.ndarray,
    low: int,
    high: int,
) -> None:
    """Queries low to high of `knn._vote`: running means over neighbours, for each label vector."""
    for i in range(low, high):
        for vector in range(len(soft)):
            total, n_voted, place = 0.0, 0, 0
            for column in range(found.shape[1]):
                row = found[i, column]
                if keep.size and not keep[vector, row]:
                    continue
                if len(own) and group[row] == own[i]:
                    continue
                total += soft[vector, row]
                n_voted += 1
                while place < len(counts) and counts[place] == n_voted:
                    votes[vector, place, i] = total / n_voted
                    place += 1
                if place == len(counts):
                    break
            short[vector, i] = place < len(counts)
