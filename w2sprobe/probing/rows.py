"""Rows that probes are fitted on, and rows that they predict."""

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
    """Ids of training rows and of other rows, with the true labels of both.

    Parameters
    ----------
    name : str
        Name of the training rows in results.
    train : ndarray of str, shape (n,)
        Ids of the training rows.
    other : dict of str to ndarray of str
        Ids of rows that are only predicted, by split.
    truth : LabelTable, optional
        True labels, for scoring and for ceilings.
    groups : ndarray of int, shape (n,), optional
        Training rows with the same value are held out together.
    test_groups : ndarray of str, optional
        Groups of the rows of `other["test"]`, for intervals. None: these rows are independent.
    """

    name: str
    train: np.ndarray
    other: dict[str, np.ndarray]
    truth: LabelTable | None = None
    groups: np.ndarray | None = None
    test_groups: np.ndarray | None = None

    @classmethod
    def of_splits(cls, splits: Splits) -> "ProbedRows":
        """Strong-train rows as training rows; validation and test rows as rows to predict.

        Rows that share a group of the task or a text form one group.
        """
        train, others = splits.strong_train, {"val": splits.val, "test": splits.test}
        rows = cls.of_rows(train, others)
        truth = truth_table(train, *others.values())
        return replace(rows, truth=truth, test_groups=splits.test.groups)

    @classmethod
    def of_rows(cls, train: Rows, others: dict[str, Rows]) -> "ProbedRows":
        """`train` as training rows, `others` as rows to predict; without truth.

        Groups as in `of_splits`.
        """
        groups = _codes([" ".join(text.split()) for text in train.texts])
        if train.groups is not None:
            # A row is an edge between its text and its group: a connected component of this
            # bipartite graph is a set of rows that must not be divided between folds.
            ends = (groups, len(train) + _codes(train.groups))
            edges = coo_array((np.ones(len(train)), ends), (2 * len(train),) * 2)
            groups = _codes(connected_components(edges, directed=False)[1][groups])
        return cls(
            "strong_train",
            train.ids,
            {name: rows.ids for name, rows in others.items()},
            groups=groups if groups.max() + 1 < len(train) else None,
        )

    @classmethod
    def of_labels(cls, path: Path, store: ActivationStore) -> "ProbedRows":
        """Rows of a label file as training rows; all other rows of the store as rows to predict.

        True labels come from the file's column `truth`, if it has one.
        """
        ids = LabelTable.read(path).ids
        return cls(
            "labelled",
            ids,
            {"unlabelled": store.ids[~np.isin(store.ids, ids)]},
            read_truth(path),
        )


def _codes(values: ArrayLike) -> np.ndarray:
    """Number the distinct values from 0."""
    codes: np.ndarray = np.unique(values, return_inverse=True)[1]
    return codes
