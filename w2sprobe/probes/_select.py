"""Selection in compiled loops."""

import numpy as np

from w2sprobe.probes._threads import compiled


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
