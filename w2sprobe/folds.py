"""Folds of cross-fitting: every probe holds out the same rows together."""

import numpy as np
from numpy.typing import ArrayLike

from w2sprobe.checks import optional_groups
from w2sprobe.errors import InputError

FOLDS = 5  # default number
FOLD_SEED = 0


def folds_of(n: int, cv: int, groups: ArrayLike | None = None) -> np.ndarray:
    """Assign n rows to folds of about equal size, shuffled with a fixed seed.

    Parameters
    ----------
    cv : int, in [2, n]
        Number of folds; with groups, at most the number of groups.
    groups : array_like, shape (n,), optional
        Strings or numbers; rows with the same value share a fold.

    Returns
    -------
    ndarray of int64, shape (n,)
        Fold of each row, in [0, cv).

    Raises
    ------
    InputError
        `cv` is out of range, or `groups` of another length.
    """
    from sklearn.model_selection import GroupKFold, KFold  # slow to load; configs import this file

    together = optional_groups(groups, n)
    most = n if together is None else int(together.max()) + 1
    if isinstance(cv, bool) or not isinstance(cv, (int, np.integer)) or not 2 <= cv <= most:
        raise InputError(
            f"cv is {cv!r}", allowed=f"2 to {most}, the {'rows' if together is None else 'groups'}"
        )
    kind = KFold if together is None else GroupKFold
    folds = np.empty(n, dtype=np.int64)
    splits = kind(int(cv), shuffle=True, random_state=FOLD_SEED).split(folds, groups=together)
    for number, (_, rows) in enumerate(splits):
        folds[rows] = number
    return folds
