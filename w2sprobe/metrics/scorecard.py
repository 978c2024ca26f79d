"""What a filter did: rows removed, by label, and how many of them were wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from w2sprobe.errors import InputError
from w2sprobe.labels import THRESHOLD
from w2sprobe.metrics._checks import check_labels


@dataclass(frozen=True)
class Scorecard:
    """Counts and shares of one filter; hard labels are soft label > 0.5.

    A share of nothing is nan. The last four need the truth and are None without it.

    Parameters
    ----------
    n, removed : int
        Rows offered, and rows that were removed.
    removed_share : float
        removed / n.
    share_of_ones_before, share_of_ones_after : float
        Among all rows, and among the kept ones: the class balance that a student learns from.
    noise_before, noise_after : float, optional
        Share of wrong hard labels among all rows, and among the kept ones; a good filter lowers it.
    precision : float, optional
        Share of the removed rows that were wrong; a random filter has noise_before.
    recall : float, optional
        Share of the wrong rows that were removed; a random filter has removed_share.
    """

    n: int
    removed: int
    removed_share: float
    share_of_ones_before: float
    share_of_ones_after: float
    noise_before: float | None = None
    noise_after: float | None = None
    precision: float | None = None
    recall: float | None = None


def scorecard(keep: ArrayLike, soft_label: ArrayLike, truth: ArrayLike | None = None) -> Scorecard:
    """Count what a filter removed, and with the truth how much of it was wrong.

    Parameters
    ----------
    keep : array_like of bool, shape (n,)
        True: kept.
    soft_label : array_like of float, shape (n,)
        The labels that were filtered, in [0, 1].
    truth : array_like of 0 and 1, shape (n,), optional
        For evaluation only: no filter sees it.

    Raises
    ------
    InputError
        `keep` is not a mask, lengths differ, or a value is out of range.

    Examples
    --------
    >>> card = scorecard([True, False, True, True], [0.9, 0.8, 0.1, 0.7], truth=[1, 0, 0, 0])
    >>> card.removed, card.noise_before, card.precision, card.recall
    (1, 0.5, 1.0, 0.5)
    """
    kept = _check_mask(keep, "keep")
    hard = check_labels(soft_label, "soft_label", len(kept)) > THRESHOLD
    found: dict[str, float] = {}
    if truth is not None:
        wrong = hard != check_labels(truth, "truth", len(kept), hard=True)
        found = {
            "noise_before": _share(wrong),
            "noise_after": _share(wrong[kept]),
            "precision": _share(wrong[~kept]),
            "recall": _share(~kept[wrong]),
        }
    return Scorecard(
        n=len(kept),
        removed=int((~kept).sum()),
        removed_share=_share(~kept),
        share_of_ones_before=_share(hard),
        share_of_ones_after=_share(hard[kept]),
        **found,
    )


def overlap(keeps: Mapping[str, ArrayLike]) -> dict[tuple[str, str], float]:
    """Jaccard index of the rows that every two filters remove.

    Parameters
    ----------
    keeps : mapping of str to array_like of bool, shape (n,)
        Masks of the same rows, by the names of their filters.

    Returns
    -------
    dict of pairs of names to float
        Rows that both remove, as a share of those that either removes, in [0, 1]; 1 where neither
        removes any. Pairs in the order of `keeps`.

    Raises
    ------
    InputError
        Not a mask, or lengths differ.

    Examples
    --------
    >>> overlap({"a": [False, False, True], "b": [False, True, True]})
    {('a', 'b'): 0.5}
    """
    removed = {name: ~_check_mask(keep, name) for name, keep in keeps.items()}
    lengths = {name: len(mask) for name, mask in removed.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"masks of different lengths {lengths}", allowed="the same rows")
    return {
        (one, other): _jaccard(removed[one], removed[other])
        for one, other in combinations(removed, 2)
    }


def _jaccard(a: np.ndarray, b: np.ndarray) -> float:
    either = (a | b).sum()
    return float((a & b).sum() / either) if either else 1.0


def _check_mask(keep: ArrayLike, name: str) -> np.ndarray:
    mask = np.asarray(keep)
    if mask.ndim != 1 or mask.dtype != bool:
        raise InputError(
            f"{name} is {mask.dtype} of shape {mask.shape}", allowed="a mask: bool, (rows,)"
        )
    return mask


def _share(mask: np.ndarray) -> float:
    return float(mask.mean()) if mask.size else float("nan")
