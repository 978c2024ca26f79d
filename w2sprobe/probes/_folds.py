"""The folds of every cross-fit in the house: the same rows together, whichever probe asks."""

import numpy as np
from sklearn.model_selection import GroupKFold, KFold

from w2sprobe.errors import InputError

FOLDS = 5  # of a cross-fit, where nobody says otherwise
FOLD_SEED = 0


def folds_of(n: int, cv: int, groups: np.ndarray | None = None) -> np.ndarray:
    """Number the fold of each of n rows: int64 in [0, cv), shape (n,), shuffled, of even size.

    Parameters
    ----------
    n : int
    cv : int, in [2, n], or up to the number of groups
    groups : ndarray of int, shape (n,), optional
        Rows of one value stay together.

    Returns
    -------
    ndarray of int64, shape (n,)

    Raises
    ------
    InputError
        `cv` is out of range.
    """
    most = n if groups is None else len(np.unique(groups))
    if isinstance(cv, bool) or not isinstance(cv, (int, np.integer)) or not 2 <= cv <= most:
        raise InputError(
            f"cv is {cv!r}", allowed=f"2 to {most}, the {'rows' if groups is None else 'groups'}"
        )
    kind = KFold if groups is None else GroupKFold
    folds = np.empty(n, dtype=np.int64)
    splits = kind(int(cv), shuffle=True, random_state=FOLD_SEED).split(folds, groups=groups)
    for number, (_, rows) in enumerate(splits):
        folds[rows] = number
    return folds
