"""One row a row: what a curation made of it, on what ground."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from w2sprobe.curation.tables import Curated
from w2sprobe.errors import InputError

COLUMNS = pa.schema(
    [
        ("id", pa.string()),
        ("soft_label", pa.float64()),
        ("keep", pa.bool_()),
        ("old_label", pa.float64()),
        ("p", pa.float64()),
        ("confidence", pa.float64()),
        ("neighbor_ids", pa.list_(pa.string())),
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
    """Where the predictions of a curation come from.

    Parameters
    ----------
    probe : str
        Name, as in `w2sprobe.probes.make_probe`.
    layer : int
        Of the activations.
    setting : str, optional
        Name of the probe's setting, such as "k" or "l2".
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
    """Account of a curation, readable as a LabelTable.

    Parameters
    ----------
    curated : Curated
        Of `explain`.
    origin : Origin
        Written to every row.
    neighbors : ndarray of int, shape (n, k), optional
        Rows that voted on each row, nearest first: for a kNN probe without `cv`, the second answer
        of `probe.search(X, k=probe.n_neighbors, exclude_self=True)`.

    Returns
    -------
    pyarrow.Table
        `COLUMNS`, rows in the order of the tables. soft_label and keep are those after curation,
        old_label that before; p is the probe's P(label = 1) and confidence max(p, 1 - p), in
        [0.5, 1]; neighbor_ids, p, confidence, setting, value and fold are null where there is
        none.

    Raises
    ------
    InputError
        `neighbors` has another number of rows, or names one that there is not.
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
        "neighbor_ids": nulls if neighbors is None else ids[neighbors].tolist(),
        "probe": [origin.probe] * n,
        "layer": [origin.layer] * n,
        "setting": [origin.setting] * n,
        "value": [origin.value] * n,
        "fold": nulls if curated.fold is None else curated.fold,
        "reason": list(curated.reason),
    }
    return pa.table(columns, schema=COLUMNS)
