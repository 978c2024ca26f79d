"""What the doors of this room check."""

import numpy as np
import numpy.typing as npt

from w2sprobe.errors import InputError


def check_truth(truth: npt.ArrayLike) -> np.ndarray:
    values = np.asarray(truth)
    if values.ndim != 1:
        raise InputError(f"truth has shape {values.shape}", allowed="(n,)")
    positive = np.asarray(values == 1)
    bad = np.flatnonzero(~(positive | (values == 0)))
    if bad.size:
        raise InputError(
            f"truth is {values.tolist()[bad[0]]!r}, row {bad[0]} (and {bad.size - 1} more)",
            allowed="0 and 1",
        )
    if positive.all() or not positive.any():
        raise InputError(
            f"truth has one class in {len(values)} rows",
            allowed="rows of both classes",
            advice="AUC compares the two; score more rows.",
        )
    return positive


def check_soft_labels(soft_labels: npt.ArrayLike) -> np.ndarray:
    q = np.asarray(soft_labels, dtype=np.float64)
    if q.ndim != 1:
        raise InputError(f"soft_labels has shape {q.shape}", allowed="(n,)")
    bad = np.flatnonzero(~((q >= 0) & (q <= 1)))
    if bad.size:
        raise InputError(
            f"soft_labels is {q.tolist()[bad[0]]!r}, row {bad[0]} (and {bad.size - 1} more)",
            allowed="0 to 1",
        )
    if len(q) < 2 or (q == 0).all() or (q == 1).all():
        raise InputError(
            f"soft_labels of {len(q)} rows leave no chance of a pair of a 1 and a 0",
            allowed="2 rows or more, not all 0 and not all 1",
            advice="AUC compares the two; score more rows.",
        )
    return q


def check_scores(scores: npt.ArrayLike, name: str, n: int) -> np.ndarray:
    values = np.asarray(scores)
    if values.shape != (n,):
        raise InputError(f"{name} has shape {values.shape}", allowed=f"({n},), one a row")
    if values.dtype.kind not in "biuf":
        raise InputError(f"{name} has dtype {values.dtype}", allowed="numbers")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise InputError(
            f"{name} is {values.tolist()[bad[0]]!r}, row {bad[0]} (and {bad.size - 1} more)",
            allowed="finite numbers",
        )
    return values


def check_groups(groups: npt.ArrayLike, n: int) -> np.ndarray:
    values = np.asarray(groups)
    if values.shape != (n,):
        raise InputError(f"groups has shape {values.shape}", allowed=f"({n},), one a row")
    if len(np.unique(values)) < 2:
        raise InputError(
            "groups has 1 value", allowed="at least 2 groups", advice="Pass groups=None."
        )
    return values
