"""Input validation of public functions: activations, labels, groups, hyperparameters."""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from w2sprobe.errors import InputError, first_few

Preprocess = Literal["none", "center", "standardize"]
MULTICLASS = "Only binary classification is supported. The type of the target is multiclass."


class NotNumeric(InputError, TypeError):
    """Values that are not numbers; scikit-learn expects a TypeError."""


def check_activations(X: ArrayLike, name: str = "X", width: int | None = None) -> np.ndarray:
    """Return a finite, C-contiguous float32 matrix; InputError names the first bad rows."""
    try:
        matrix = np.asarray(X)
    except ValueError as error:
        raise InputError(f"{name} is no matrix: {error}") from error
    if matrix.ndim != 2 or not matrix.size:
        raise InputError(f"{name} of shape {matrix.shape}", allowed="(rows, width), not empty")
    if width is not None and matrix.shape[1] != width:
        raise InputError(f"{name} of width {matrix.shape[1]}", allowed=f"{width}, as fitted")
    return _finite(matrix, name)


def check_features(estimator: Any, X: Any, *, fitting: bool, least: int = 1) -> np.ndarray:
    """`check_activations` for scikit-learn estimators, with number and names of the columns.

    Parameters
    ----------
    X : array_like of float, shape (n, d)
    fitting : bool
        True: set `n_features_in_`, and `feature_names_in_` if `X` is a data frame. False: compare
        with them.
    least : int, default 1
        Minimum number of rows.

    Returns
    -------
    ndarray of float32, shape (n, d)

    Raises
    ------
    InputError
        Not a matrix of finite real numbers, too few rows, other columns than were fitted.
    NotNumeric
        Not numbers.
    """
    from sklearn.utils.validation import validate_data  # slow to load; configs import this file

    try:
        matrix = validate_data(
            estimator,
            X,
            reset=fitting,
            dtype="numeric",
            ensure_all_finite=False,
            ensure_min_samples=least,
        )
    except TypeError as error:
        raise NotNumeric(str(error).rstrip(".")) from error
    except ValueError as error:
        raise InputError(str(error).rstrip(".")) from error
    return _finite(matrix, "X")


def check_labels(y: ArrayLike, n: int) -> np.ndarray:
    """Return soft labels as float64 (n,); InputError names the first bad rows."""
    try:
        soft = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"labels are not numeric: {error}", allowed="0 to 1") from error
    if soft.shape != (n,):
        raise InputError(f"labels of shape {soft.shape}", allowed=f"({n},), one per row")
    bad = np.flatnonzero(~((soft >= 0) & (soft <= 1)))
    if bad.size:
        raise InputError(
            f"label {float(soft[bad[0]])!r} in row {bad[0]} (and {bad.size - 1} more)",
            allowed="0 to 1, hard or continuous: P(label = 1)",
            advice=MULTICLASS if (soft == soft.round()).all() else "",
        )
    return soft


def check_label_vectors(y: ArrayLike, n: int) -> tuple[np.ndarray, bool]:
    """Return soft labels as float64 (v, n), and whether several vectors were given."""
    vectors = np.asarray(y)
    several = vectors.ndim == 2 and vectors.shape[1] == n
    if several and not len(vectors):
        raise InputError("no label vectors", allowed="at least one")
    soft = np.stack([check_labels(vector, n) for vector in (vectors if several else [vectors])])
    return soft, several


def check_keep(keep: ArrayLike, shape: tuple[int, int]) -> np.ndarray:
    """Return, as bool (v, n), which rows each label vector keeps; one mask serves all vectors."""
    mask = np.asarray(keep)
    if mask.shape not in (shape, shape[1:]):
        raise InputError(
            f"keep of shape {mask.shape}", allowed=f"{shape[1:]}, or {shape}: one per label vector"
        )
    if mask.dtype != bool:
        raise InputError(f"keep of {mask.dtype}", allowed="bool: True for rows that are used")
    return np.broadcast_to(mask, shape)


def check_target(y: ArrayLike, n: int) -> np.ndarray:
    """`check_labels` for scikit-learn estimators: accepts shape (n, 1), with a warning."""
    from sklearn.utils.validation import column_or_1d

    try:
        column = column_or_1d(y, warn=True)
    except ValueError as error:
        raise InputError(str(error).rstrip(".")) from error
    return check_labels(column, n)


def check_both_classes(soft: np.ndarray) -> None:
    """Refuse labels that are all 0 or all 1, which no linear probe can separate."""
    if soft.min() == soft.max() and soft[0] in (0, 1):
        raise InputError(f"one class: all labels are {soft[0]:g}", allowed="labels of both classes")


def check_k(k: int, name: str, most: int, of: str = "") -> int:
    """Return a number of neighbours in [1, most]; `of` names the rows that they are chosen from."""
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 1 <= k <= most:
        of = of or f"with {most} sample{'s' * (most != 1)} to choose from"
        raise InputError(f"{name} is {k!r}", allowed=f"1 to {most}, {of}")
    return int(k)


def check_l2(l2s: Any) -> np.ndarray:
    """Return penalties as float64, shape (p,)."""
    try:
        values = np.asarray(l2s, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"l2 is {l2s!r}", allowed="numbers above 0") from error
    if values.ndim != 1 or not values.size or not (np.isfinite(values) & (values > 0)).all():
        raise InputError(f"l2 is {l2s!r}", allowed="numbers above 0")
    return values


def check_groups(groups: ArrayLike, n: int) -> np.ndarray:
    """Return groups numbered from 0, shape (n,)."""
    values = np.asarray(groups)
    if values.shape != (n,):
        raise InputError(f"groups of shape {values.shape}", allowed=f"({n},), one per row")
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise InputError(f"groups has NaN in row {np.isnan(values).argmax()}")
    try:
        numbers: np.ndarray = np.unique(values, return_inverse=True)[1]
    except TypeError as error:
        raise InputError(f"groups of several types: {error}", allowed="one type") from error
    return numbers


def optional_groups(groups: ArrayLike | None, n: int) -> np.ndarray | None:
    """`check_groups` for optional groups."""
    return None if groups is None else check_groups(groups, n)


def n_left_out(groups: np.ndarray | None, *, itself: bool) -> int:
    """Largest number of rows that a row cannot have as neighbours: its group, itself, or none."""
    return int(itself) if groups is None else int(np.unique(groups, return_counts=True)[1].max())


def most_neighbors(keep: np.ndarray, groups: np.ndarray | None, *, itself: bool) -> int:
    """Number of kept rows, by a mask (n,), that every row can have as neighbours."""
    if not keep.any():
        return 0
    return int(keep.sum()) - n_left_out(None if groups is None else groups[keep], itself=itself)


def _finite(matrix: np.ndarray, name: str) -> np.ndarray:
    if matrix.dtype.kind == "c":
        raise InputError(f"{name} is complex", allowed="real numbers")
    try:
        with np.errstate(over="ignore"):  # values beyond float32 are reported as not finite
            matrix = np.ascontiguousarray(matrix, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is not numeric: {error}") from error
    # fast path: a finite sum means that all values of the row are finite
    with np.errstate(over="ignore", invalid="ignore"):
        suspicious = ~np.isfinite(matrix.sum(axis=1))
    bad = np.flatnonzero(suspicious)
    bad = bad[~np.isfinite(matrix[bad]).all(axis=1)]
    if bad.size:
        raise InputError(f"{name} is not finite in rows {first_few(bad.tolist())}: NaN or inf")
    return matrix
