"""Table of the differences of every task, for other programs."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from w2sprobe.atomic import atomic_path
from w2sprobe.comparison.compare import Comparison
from w2sprobe.errors import InputError

BY_METHOD = ("auc", "delta_auc", "delta_auc_se", "pgr", "own_gap", "own_pgr")  # of a task's row
LEFT_OUT = {"task", "n_seeds", "saturated", *BY_METHOD}  # of it in a file of differences
WRITERS: dict[str, Callable[..., None]] = {
    ".csv": pyarrow.csv.write_csv,
    ".parquet": pyarrow.parquet.write_table,
}


def check_differences_file(path: Path) -> None:
    """Refuse a file name that `write_differences` has no format for.

    Raises
    ------
    InputError
        It ends in neither .csv nor .parquet.
    """
    if path.suffix not in WRITERS:
        raise InputError(f"--out is {str(path)!r}", allowed="a file that ends in .csv or .parquet")


def write_differences(comparisons: Sequence[Comparison], path: Path) -> None:
    """Write one row per pair of models, method and task: scores, differences, whether it counts.

    Parameters
    ----------
    path : Path
        Ends in .csv or .parquet.

    Raises
    ------
    InputError
        There are no differences, or the file has another ending.
    """
    check_differences_file(path)
    rows = []
    for comparison in comparisons:
        tasks = {row.task: row for row in comparison.tasks}
        for pair in comparison.pairs:
            task = tasks[pair.task]
            rows.append(
                {
                    "task": pair.task,
                    "weak_model": comparison.weak_model,
                    "strong_model": comparison.strong_model,
                    "method": pair.method,
                    "against": comparison.against,
                    **task.model_dump(exclude=LEFT_OUT),
                    **{name: getattr(task, name)[pair.method] for name in BY_METHOD},
                    **pair.model_dump(exclude={"task", "method"}),
                }
            )
    if not rows:
        raise InputError(
            "no differences to write: no two methods share a task and seed",
            where=f"--out {str(path)!r}",
        )
    # from_pandas: what is not known is an empty cell, not the text nan
    table = pa.table(
        {name: pa.array([row[name] for row in rows], from_pandas=True) for name in rows[0]}
    )
    with atomic_path(path) as temporary:
        WRITERS[path.suffix](table, temporary)
