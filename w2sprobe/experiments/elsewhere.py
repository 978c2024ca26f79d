"""Predictions of an experiment's methods for the test rows of other tasks, and their file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from w2sprobe.atomic import atomic_path
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import TRANSFER_COLUMNS

TRANSFER = "transfer.parquet"


@dataclass(frozen=True)
class Elsewhere:
    """Test rows of another task, with each method's predictions.

    Parameters
    ----------
    task : str
        Name of the other task.
    ids : ndarray of str, shape (n,)
    labels : ndarray of int64, shape (n,)
        True labels.
    groups : ndarray of str, shape (n,), optional
    predictions : dict of str to ndarray of float64, shape (n,)
        By method.
    n_left_out : int
        Number of the task's test rows that share a text or group with rows that were learned from.
    """

    task: str
    ids: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None
    predictions: dict[str, np.ndarray]
    n_left_out: int

    def table(self) -> pa.Table:
        """Columns test_task, id, label, group, and one per method."""
        nothing = pa.nulls(len(self.ids), pa.string())
        return pa.table(
            {
                "test_task": [self.task] * len(self.ids),
                "id": self.ids.tolist(),
                "label": self.labels,
                "group": nothing if self.groups is None else self.groups.tolist(),
                **self.predictions,
            }
        )


def write_elsewhere(parts: Sequence[Elsewhere], folder: Path) -> None:
    """Write transfer.parquet; without other tasks, remove that of an earlier run."""
    if not parts:
        (folder / TRANSFER).unlink(missing_ok=True)
        return
    # a method that lacks predictions for one task has nulls there
    table = pa.concat_tables([part.table() for part in parts], promote_options="default")
    with atomic_path(folder / TRANSFER) as temporary:
        pq.write_table(table, temporary)


def read_elsewhere(folder: Path, left_out: Mapping[str, int]) -> tuple[Elsewhere, ...]:
    """Read transfer.parquet; without other tasks there is none.

    Parameters
    ----------
    left_out : mapping of str to int
        Number of rows that were left out, by other task.

    Raises
    ------
    InputError
        The file is missing or damaged.
    """
    if not left_out:
        return ()
    file = folder / TRANSFER
    try:
        table = pq.read_table(file)
        tasks = table["test_task"]
        return tuple(
            _read(name, table.filter(pc.equal(tasks, name)), n) for name, n in left_out.items()
        )
    except (OSError, pa.ArrowException, KeyError) as error:
        raise InputError(f"cannot read {str(file)!r}: {error}") from error


def _read(task: str, table: pa.Table, n_left_out: int) -> Elsewhere:
    has = [name for name in table.column_names if table[name].null_count < len(table)]
    columns = {name: table[name].to_numpy() for name in has}
    return Elsewhere(
        task,
        columns["id"].astype(str),
        columns["label"],
        columns["group"].astype(str) if "group" in columns else None,
        {name: values for name, values in columns.items() if name not in TRANSFER_COLUMNS},
        n_left_out,
    )
