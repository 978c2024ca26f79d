"""Per-row record of a curation or a prediction: old label, new label, reason."""

from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa

from w2sprobe.errors import InputError
from w2sprobe.labels import LabelTable
from w2sprobe.votes.curated import Curated

NEIGHBORS = pa.list_(pa.dictionary(pa.int32(), pa.string()))  # each id is held once
COLUMNS = pa.schema(
    [
        ("id", pa.string()),
        ("soft_label", pa.float64()),
        ("keep", pa.bool_()),
        ("old_label", pa.float64()),
        ("p", pa.float64()),
        ("confidence", pa.float64()),
        ("neighbor_ids", NEIGHBORS),
        ("probe", pa.string()),
        ("layer", pa.int64()),
        ("setting", pa.string()),
        ("value", pa.float64()),
        ("fold", pa.int64()),
        ("reason", pa.string()),
    ]
)


@dataclass(frozen=True)
class Origin:
    """Probe, layer and setting that a row's prediction comes from.

    Parameters
    ----------
    setting : str, optional
        Name of the probe's hyperparameter, such as "k" or "l2".
    value : float, optional
        Its value.
    """

    probe: str
    layer: int
    setting: str | None = None
    value: float | None = None


def provenance(
    curated: Curated, origin: Origin, *, neighbors: np.ndarray | None = None
) -> pa.Table:
    """Table of a curation, readable as a LabelTable.

    Parameters
    ----------
    origin : Origin
        Written to every row.
    neighbors : ndarray of int, shape (n, k), optional
        Positions of each row's neighbours, nearest first, if kNN left out single rows: the indices
        of `nearest_neighbors(X, k=k, exclude_self=True)`.

    Returns
    -------
    pyarrow.Table
        `COLUMNS`, rows in the order of the tables. soft_label and keep are those after the
        curation, old_label is from before; p is the probe's P(label = 1), confidence is
        max(p, 1 - p), in [0.5, 1]. Unknown values are null.

    Raises
    ------
    InputError
        `neighbors` has another number of rows, or a position out of range.
    """
    ids, p, n = curated.after.ids, curated.p, len(curated.after)
    if neighbors is not None:
        if neighbors.ndim != 2 or len(neighbors) != n or not neighbors.size:
            raise InputError(f"neighbors of shape {neighbors.shape}", allowed=f"({n}, k)")
        if neighbors.min() < 0 or neighbors.max() >= n:
            raise InputError(
                f"neighbors from {neighbors.min()} to {neighbors.max()}", allowed=f"0 to {n - 1}"
            )
    nulls = [None] * n
    columns = {
        "id": ids.tolist(),
        "soft_label": curated.after.soft_label,
        "keep": curated.after.keep,
        "old_label": curated.before.soft_label,
        "p": nulls if p is None else p,
        "confidence": nulls if p is None else np.maximum(p, 1 - p),
        "neighbor_ids": _neighbor_ids(ids, neighbors),
        "fold": nulls if curated.fold is None else curated.fold,
        "reason": list(curated.reason),
    }
    return _table(columns, origin)


def untouched(labels: LabelTable, curated: Curated, origin: Origin) -> pa.Table:
    """Table of the rows of `labels` that a curation did not cover, with their labels as before.

    Parameters
    ----------
    curated : Curated
        Curation of some of its rows.

    Returns
    -------
    pyarrow.Table
        `COLUMNS`; reason "not curated".
    """
    rest = labels.align(labels.ids[~np.isin(labels.ids, curated.after.ids)])
    reason = ("not curated",) * len(rest)
    return provenance(Curated(rest, rest, None, None, reason), origin)


def predictions(
    train: np.ndarray,
    p: np.ndarray,
    fold: np.ndarray | None,
    other: np.ndarray,
    q: np.ndarray,
    labels: LabelTable,
    origin: Origin,
    *,
    neighbors: np.ndarray | None = None,
) -> pa.Table:
    """Table of a probe's predictions, readable as a LabelTable.

    Parameters
    ----------
    train : ndarray of str, shape (n,)
        Ids of the training rows.
    p : ndarray of float64, shape (n,)
        Held-out P(label = 1) of the training rows.
    fold : ndarray of int64, shape (n,), optional
        Fold in which each was held out.
    other : ndarray of str, shape (m,)
        Ids of rows that the probe was not fitted on.
    q : ndarray of float64, shape (m,)
        P(label = 1) of these.
    labels : LabelTable
        For `old_label`, which is null for rows without a label.
    neighbors : ndarray of int, shape (n, k), optional
        Positions in `train` of each training row's neighbours, nearest first.

    Returns
    -------
    pyarrow.Table
        `COLUMNS`; soft_label equals p, keep is true.
    """
    ids, both = np.concatenate([train, other]), np.concatenate([p, q])
    known = dict(zip(labels.ids.tolist(), labels.soft_label.tolist(), strict=True))
    held_out = "predicted without its own label" if fold is None else "predicted by the other folds"
    folds = [None] * len(train) if fold is None else fold.tolist()
    columns = {
        "id": ids.tolist(),
        "soft_label": both,
        "keep": [True] * len(ids),
        "old_label": [known.get(name) for name in ids.tolist()],
        "p": both,
        "confidence": np.maximum(both, 1 - both),
        "neighbor_ids": pa.chunked_array(
            [_neighbor_ids(train, neighbors), pa.nulls(len(other), NEIGHBORS)]
        ),
        "fold": folds + [None] * len(other),
        "reason": [held_out] * len(train) + ["predicted"] * len(other),
    }
    return _table(columns, origin)


def _neighbor_ids(ids: np.ndarray, neighbors: np.ndarray | None) -> pa.Array:
    """Lists of neighbours' ids; nulls without neighbours."""
    if neighbors is None:
        return pa.nulls(len(ids), NEIGHBORS)
    n, k = neighbors.shape
    positions = pa.array(neighbors.ravel().astype(np.int32))
    names = pa.DictionaryArray.from_arrays(positions, pa.array(ids.tolist()))
    return pa.ListArray.from_arrays(pa.array(np.arange(n + 1) * k, pa.int32()), names)


def _table(columns: dict[str, object], origin: Origin) -> pa.Table:
    """Add the origin to every row and bring the columns into the order of `COLUMNS`."""
    n = len(columns["id"])  # type: ignore[arg-type]
    for field in fields(origin):
        columns[field.name] = [getattr(origin, field.name)] * n
    return pa.table({name: columns[name] for name in COLUMNS.names}, schema=COLUMNS)
