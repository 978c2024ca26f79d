"""Rows that probes are fitted on, and rows that they are asked about."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from w2sprobe.cache import ActivationStore
from w2sprobe.data import Rows, Splits, truth_table
from w2sprobe.labels import LabelTable, read_truth


@dataclass(frozen=True)
class ProbedRows:
    """Training rows of probes, other rows, and the truth of both.

    Parameters
    ----------
    name : str
        Of the training rows, as results call them.
    train : ndarray of str, shape (n,)
        Ids.
    other : dict of str to ndarray of str
        Ids of other rows, by the names of their splits.
    truth : LabelTable, optional
        True labels, for scoring and for ceilings.
    groups : ndarray of int, shape (n,), optional
        Training rows of one value are held out together.
    """

    name: str
    train: np.ndarray
    other: dict[str, np.ndarray]
    truth: LabelTable | None = None
    groups: np.ndarray | None = None

    @classmethod
    def of_splits(cls, splits: Splits) -> "ProbedRows":
        """Strong-train rows, with validation and test rows as the others.

        Rows of a group of the task, and copies of a text, are one group.
        """
        train, others = splits.strong_train, {"val": splits.val, "test": splits.test}
        rows = cls.of_rows(train, others)
        return replace(rows, truth=truth_table(train, *others.values()))

    @classmethod
    def of_rows(cls, train: Rows, others: dict[str, Rows]) -> "ProbedRows":
        """Strong-train rows and others, without their truth; groups as in `of_splits`."""
        groups = _codes([" ".join(text.split()) for text in train.texts])
        if train.groups is not None:
            # both kinds as the two sides of a graph, whose links are the rows
            nodes = (groups, len(train) + _codes(train.groups))
            links = coo_array((np.ones(len(train)), nodes), (2 * len(train),) * 2)
            groups = _codes(connected_components(links, directed=False)[1][groups])
        return cls(
            "strong_train",
            train.ids,
            {name: rows.ids for name, rows in others.items()},
            groups=groups if groups.max() + 1 < len(train) else None,
        )

    @classmethod
    def of_labels(cls, path: Path, store: ActivationStore) -> "ProbedRows":
        """Rows of a label file, with the rows that only the store has as the others.

        The truth is that of the file's column `truth`, where it has one.
        """
        ids = LabelTable.read(path).ids
        return cls(
            "labelled",
            ids,
            {"unlabelled": store.ids[~np.isin(store.ids, ids)]},
            read_truth(path),
        )


def _codes(values: ArrayLike) -> np.ndarray:
    """Equal values as equal numbers, from 0 on."""
    codes: np.ndarray = np.unique(values, return_inverse=True)[1]
    return codes
