"""A sweep in a folder: a file a layer, so that a killed one goes on where it stopped."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from w2sprobe.atomic import atomic_path, check_writable, write_json
from w2sprobe.cache import ActivationStore
from w2sprobe.devices import resolve_device
from w2sprobe.errors import InputError, first_few
from w2sprobe.labels import LabelTable
from w2sprobe.probing import ProbedRows
from w2sprobe.progress import progress_bar
from w2sprobe.searches import StoredSearch
from w2sprobe.sweeps.layer import sweep_layer
from w2sprobe.sweeps.problem import Problem
from w2sprobe.sweeps.selection import Selection, select
from w2sprobe.sweeps.settings import SweepSettings

NOTE, TABLE = "sweep.json", "sweep.parquet"


@dataclass(frozen=True)
class Sweep:
    """What a sweep gave.

    Parameters
    ----------
    table : pyarrow.Table
        A row for each layer, setting and set of rows that it is scored on; docs/file-formats.md.
    selections : list of Selection
    layers_computed : int
        Those that were not there yet.
    n_rows : dict of str to int
        Rows fitted on, filtered out, and scored in each split.
    """

    table: pa.Table
    selections: list[Selection]
    layers_computed: int
    n_rows: dict[str, int]


def sweep(
    store: ActivationStore,
    labels: LabelTable,
    rows: ProbedRows,
    out: str | Path,
    *,
    layers: Sequence[int],
    settings: SweepSettings,
    device: str = "auto",
) -> Sweep:
    """Fit and score every setting on every layer, one layer in memory at a time.

    Parameters
    ----------
    store : ActivationStore
    labels : LabelTable
        Weak labels of the training rows, and of others where they are to be compared; rows that a
        filter removed are neither fitted on nor scored.
    rows : ProbedRows
    out : str or Path
        Folder. Layers that are there, of the same rows, labels and settings, are not computed.
    layers : sequence of int
        Of the store.
    settings : SweepSettings
    device : str, default "auto"
        Of the logistic probes.

    Returns
    -------
    Sweep
        Also written to `out`, as `sweep.parquet` and `sweep.json`.

    Raises
    ------
    InputError
        Settings that the rows do not allow; `out` holds another sweep, or a file that is no layer.
    IdMismatch
        A row that is not in the labels or the store.
    OutputError
        `out` cannot be written to.
    """
    folder = Path(out)
    problem = Problem.of(labels, rows, settings)
    store.rows_of(np.concatenate([problem.train, *problem.other.values()]))
    resolve_device(device)
    check_writable(folder)
    identity = problem.identity(store, settings)
    _claim(folder / NOTE, identity)
    search = StoredSearch(store)
    missing = [layer for layer in layers if not _part(folder, layer).exists()]
    with progress_bar("layers", len(missing)) as advance:
        for layer in missing:
            part = sweep_layer(store, layer, problem, settings, search=search, device=device)
            _write(part, _part(folder, layer))
            advance(1)
    table = pa.concat_tables([_read(_part(folder, layer)) for layer in layers])
    _write(table, folder / TABLE)
    selections = select(table)
    n_rows = {
        "fitted": len(problem.train),
        "filtered_out": problem.n_filtered_out,
        "true_labels": int(problem.budget.sum()),
        **{name: len(ids) for name, ids in problem.other.items()},
    }
    write_json(
        folder / NOTE,
        {
            "identity": identity,
            "layers": list(layers),
            "n_rows": n_rows,
            "selections": [asdict(selection) for selection in selections],
        },
    )
    return Sweep(table, selections, len(missing), n_rows)


def _claim(note: Path, identity: dict[str, Any]) -> None:
    """Say whose layers these are, or refuse to add to those of another sweep."""
    if not note.exists():
        write_json(note, {"identity": identity})
        return
    try:
        there = json.loads(note.read_text(encoding="utf-8"))["identity"]
        differ = [name for name in identity if there.get(name) != identity[name]]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{str(note)!r} is not of a sweep: {error}") from error
    if differ:
        raise InputError(
            f"another sweep, which differs in {first_few(differ, limit=len(differ))}",
            where=str(note.parent),
            advice="Name another folder, or delete this one.",
        )


def _part(folder: Path, layer: int) -> Path:
    return folder / "layers" / f"{layer:03d}.parquet"


def _write(table: pa.Table, path: Path) -> None:
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(
            f"cannot read {str(path)!r}: {error}", advice="Delete it, and run the same again."
        ) from error
