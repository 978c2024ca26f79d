"""Input validation for the public functions of this package."""

import numpy as np
import numpy.typing as npt

from w2sprobe.errors import InputError


def check_truth(truth: npt.ArrayLike) -> np.ndarray:
    """Return rows of class 1 as a mask; both classes must be there."""
    values = np.asarray(truth)
    if values.ndim != 1:
        raise InputError(f"truth has shape {values.shape}", allowed="(n,)")
    positive = np.asarray(values == 1)
    _refuse_first(values, ~(positive | (values == 0)), "truth", "0 and 1")
    if positive.all() or not positive.any():
        raise InputError(
            f"truth has one class in {len(values)} rows",
            allowed="rows of both classes",
            advice="AUC compares the two; score more rows.",
        )
    return positive


def check_soft_labels(soft_labels: npt.ArrayLike) -> np.ndarray:
    """Return soft labels among which a pair of a 1 and a 0 may occur."""
    q = np.asarray(soft_labels, dtype=np.float64)
    if q.ndim != 1:
        raise InputError(f"soft_labels has shape {q.shape}", allowed="(n,)")
    _refuse_first(q, ~((q >= 0) & (q <= 1)), "soft_labels", "0 to 1")
    if len(q) < 2 or (q == 0).all() or (q == 1).all():
        raise InputError(
            f"soft_labels of {len(q)} rows leave no chance of a pair of a 1 and a 0",
            allowed="2 rows or more, not all 0 and not all 1",
            advice="AUC compares the two; score more rows.",
        )
    return q


def check_scores(scores: npt.ArrayLike, name: str, n: int) -> np.ndarray:
    """Return finite numbers, one per row."""
    values = np.asarray(scores)
    if values.shape != (n,):
        raise InputError(f"{name} has shape {values.shape}", allowed=f"({n},), one per row")
    if values.dtype.kind not in "biuf":
        raise InputError(f"{name} has dtype {values.dtype}", allowed="numbers")
    _refuse_first(values, ~np.isfinite(values), name, "finite numbers")
    return values


def check_labels(labels: npt.ArrayLike, name: str, n: int, *, hard: bool = False) -> np.ndarray:
    """Return labels, each in [0, 1], or with `hard` either 0 or 1."""
    values = check_scores(labels, name, n)
    if hard:
        _refuse_first(values, ~np.isin(values, (0, 1)), name, "0 or 1")
    else:
        _refuse_first(values, (values < 0) | (values > 1), name, "0 to 1")
    return values


def check_probabilities(
    truth: npt.ArrayLike, p: npt.ArrayLike, name: str = "truth"
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of class 1 as a mask, and probabilities; one class alone is allowed."""
    labels = np.asarray(truth)
    if labels.ndim != 1 or not len(labels):
        raise InputError(f"{name} has shape {labels.shape}", allowed="(n,), at least one row")
    positive = check_labels(labels, name, len(labels), hard=True) == 1
    return positive, check_labels(p, "p", len(labels)).astype(np.float64)


def check_groups(groups: npt.ArrayLike, n: int) -> np.ndarray:
    """Return group names, one per row, of at least two groups."""
    values = np.asarray(groups)
    if values.shape != (n,):
        raise InputError(f"groups has shape {values.shape}", allowed=f"({n},), one per row")
    if len(np.unique(values)) < 2:
        raise InputError(
            "groups has 1 value", allowed="at least 2 groups", advice="Pass groups=None."
        )
    return values


def _refuse_first(values: np.ndarray, bad: np.ndarray, name: str, allowed: str) -> None:
    rows = np.flatnonzero(bad)
    if rows.size:
        raise InputError(
            f"{name} is {values.tolist()[rows[0]]!r}, row {rows[0]} (and {rows.size - 1} more)",
            allowed=allowed,
        )
