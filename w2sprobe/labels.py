"""LabelTable: soft labels by row id. `align` is the only join in the package."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from w2sprobe import cells
from w2sprobe.atomic import atomic_path
from w2sprobe.errors import IdMismatch, InputError, first_few
from w2sprobe.text_files import TextFile, kind_of, read_csv

THRESHOLD = 0.5  # a hard label is soft_label > THRESHOLD
REQUIRED, OPTIONAL = ("id", "soft_label"), ("keep", "variance")
TRUTH = "truth"
SEPARATORS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class LabelTable:
    """Labels or predictions of rows, identified by id.

    Columns may be lists, arrays, series or Arrow columns. A cell means the same in each of them, in
    Parquet and in CSV (docs/file-formats.md).

    Parameters
    ----------
    ids : sequence of str or int, length n
        Unique; stored as text.
    soft_label : sequence of float, length n
        P(label = 1), in [0, 1]; stored as float64.
    keep : sequence of bool, length n, optional
        False: the row is filtered out of training. Default: all are kept.
    variance : sequence of float, length n, optional
        Population variance of P(label = 1) over the members of an ensemble, at least 0.
    source : str, default ""
        Name of the file that the columns come from, for error messages.

    Raises
    ------
    InputError
        Lengths differ; an empty or invalid id; a soft label outside [0, 1]; a `keep` that is
        neither true nor false; a variance that is negative or not finite.
    IdMismatch
        An id occurs twice.
    """

    ids: np.ndarray
    soft_label: np.ndarray
    keep: np.ndarray
    variance: np.ndarray | None

    def __init__(
        self,
        ids: Sequence[Any] | np.ndarray,
        soft_label: Sequence[Any] | np.ndarray,
        keep: Sequence[Any] | np.ndarray | None = None,
        *,
        variance: Sequence[Any] | np.ndarray | None = None,
        source: str = "",
    ) -> None:
        names = np.array(cells.as_names(ids, source or "ids"), dtype=np.str_)

        def position(row: int) -> str:
            name = f", id {str(names[row])!r}" if row < len(names) else ""
            return f"{_row(row, source)}{name}"

        soft = _numbers("soft_label", soft_label, position)
        kept = np.ones(len(names), dtype=bool) if keep is None else _flags("keep", keep, position)
        spread = None if variance is None else _numbers("variance", variance, position)
        for name, column in (("soft_label", soft), ("keep", kept), ("variance", spread)):
            if column is not None and column.shape != names.shape:
                raise InputError(
                    f"columns of different length: {len(names)} ids, {column.shape} {name}",
                    where=source,
                )
        in_range = (soft >= 0) & (soft <= 1)
        _check_range("soft_label", soft, in_range, "0 to 1", names, source)
        if spread is not None:
            in_range = (spread >= 0) & (spread < np.inf)
            _check_range("variance", spread, in_range, "0 or more, finite", names, source)
        unique, counts = np.unique(names, return_counts=True)
        if len(unique) < len(names):
            raise IdMismatch(f"doubled ids {first_few(unique[counts > 1].tolist())}", where=source)
        object.__setattr__(self, "ids", names)
        object.__setattr__(self, "soft_label", soft)
        object.__setattr__(self, "keep", kept)
        object.__setattr__(self, "variance", spread)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def hard_label(self) -> np.ndarray:
        """1 where soft_label > 0.5, else 0; int64, shape (n,)."""
        return (self.soft_label > THRESHOLD).astype(np.int64)

    def align(self, ids: Sequence[Any] | np.ndarray) -> "LabelTable":
        """Return the rows of `ids`, in their order.

        Raises
        ------
        IdMismatch
            An id is not in the table, or occurs twice in `ids`.
        """
        position = {name: row for row, name in enumerate(self.ids.tolist())}
        wanted = cells.as_names(ids, "the rows asked for")
        missing = [name for name in wanted if name not in position]
        if missing:
            raise IdMismatch(
                f"no label for ids {first_few(missing)}",
                advice="Were the labels made for the same task, sizes and seed?",
            )
        rows = np.array([position[name] for name in wanted], dtype=np.int64)
        return LabelTable(
            self.ids[rows],
            self.soft_label[rows],
            self.keep[rows],
            variance=None if self.variance is None else self.variance[rows],
        )

    def replace(self, other: "LabelTable") -> "LabelTable":
        """Return a copy that takes soft_label, keep and variance of the rows of `other` from it.

        It has a variance only if both tables have one: the variance of an ensemble does not
        describe labels that replaced those of the ensemble.

        Raises
        ------
        IdMismatch
            `other` has an id that this table lacks.
        """
        position = {name: row for row, name in enumerate(self.ids.tolist())}
        unknown = [name for name in other.ids.tolist() if name not in position]
        if unknown:
            raise IdMismatch(f"unknown ids {first_few(unknown)}")
        rows = [position[name] for name in other.ids.tolist()]
        soft, keep = self.soft_label.copy(), self.keep.copy()
        soft[rows], keep[rows] = other.soft_label, other.keep
        variance = None
        if self.variance is not None and other.variance is not None:
            variance = self.variance.copy()
            variance[rows] = other.variance
        return LabelTable(self.ids, soft, keep, variance=variance)

    @classmethod
    def concatenate(cls, tables: Sequence["LabelTable"]) -> "LabelTable":
        """Append tables that share no id; the result has a variance if all of them have one."""
        variances = [table.variance for table in tables if table.variance is not None]
        return cls(
            np.concatenate([table.ids for table in tables]),
            np.concatenate([table.soft_label for table in tables]),
            np.concatenate([table.keep for table in tables]),
            variance=np.concatenate(variances) if len(variances) == len(tables) else None,
        )

    def write(self, path: str | Path) -> None:
        """Write a Parquet file atomically, with a column `variance` if there is one.

        Raises
        ------
        InputError
            A name that `read` would take for a CSV file.
        """
        if Path(path).suffix.lower() in SEPARATORS:
            raise InputError(
                f"labels are written as Parquet, not to {str(path)!r}", allowed="a name in .parquet"
            )
        columns = {"id": self.ids.tolist(), "soft_label": self.soft_label, "keep": self.keep}
        if self.variance is not None:
            columns["variance"] = self.variance
        table = pa.table(columns)
        with atomic_path(Path(path)) as temporary:
            pq.write_table(table, temporary)

    @classmethod
    def read(cls, path: str | Path) -> "LabelTable":
        """Read a Parquet file, or a CSV file that ends in .csv or .tsv.

        Without a column `keep` all rows are kept; columns of other names are ignored.

        Raises
        ------
        InputError
            No such file, neither Parquet nor CSV, a missing column, or an invalid cell: names row
            and value.
        IdMismatch
            An id occurs twice.
        """
        columns = _read_file(Path(path), (*REQUIRED, *OPTIONAL))
        return cls(
            columns["id"],
            columns["soft_label"],
            columns.get("keep"),
            variance=columns.get("variance"),
            source=str(path),
        )


def read_truth(path: str | Path) -> LabelTable | None:
    """Read the column `truth` (0 or 1) of a label file, as soft labels; None without it.

    Raises
    ------
    InputError
        As `LabelTable.read`; a truth that is neither 0 nor 1.
    """
    ids = LabelTable.read(path).ids
    values = _read_file(Path(path), (*REQUIRED, TRUTH)).get(TRUTH)
    if values is None:
        return None
    truth = _flags(TRUTH, values, lambda row: f"{_row(row, str(path))}, id {str(ids[row])!r}")
    return LabelTable(ids, truth)


def _read_file(path: Path, wanted: Sequence[str]) -> dict[str, cells.Cells]:
    """Read those of the wanted columns that a Parquet or CSV file has."""

    def pick(header: Sequence[str]) -> list[str]:
        missing = [name for name in REQUIRED if name not in header]
        if missing:
            raise InputError(
                f"no column {first_few(missing)}",
                where=str(path),
                allowed="columns id, soft_label and optionally keep and variance; found "
                f"{first_few(header, 12) or 'none'}",
            )
        picked = [name for name in wanted if name in header]
        doubled = [name for name in picked if list(header).count(name) > 1]
        if doubled:
            raise InputError(f"doubled column {first_few(doubled)}", where=str(path))
        return picked

    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"label table {str(path)!r} {what}", allowed="a file of Parquet or CSV")
    separator = SEPARATORS.get(kind_of(path))
    try:
        if separator is not None:
            source = TextFile(path)
            with source.reading():
                return read_csv(source, pick, delimiter=separator)[0]
        table = pq.read_table(path)
        return {name: table[name].to_pylist() for name in pick(table.column_names)}
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read label table {str(path)!r}: {error}", allowed="a file of Parquet or CSV"
        ) from error


def _row(row: int, source: str) -> str:
    return f"{source}, row {row}" if source else f"row {row}"


def _numbers(name: str, column: Any, position: Callable[[int], str]) -> np.ndarray:
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.kind in "fiub":
        return column.astype(np.float64)
    values = cells.converted(
        cells.as_cells(column, name),
        lambda values: set(map(type, values)) <= {float},
        partial(cells.number, name),
        position,
    )
    return np.array(values, dtype=np.float64)


def _flags(name: str, column: Any, position: Callable[[int], str]) -> np.ndarray:
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.kind == "b":
        return column.astype(bool)
    values = cells.converted(
        cells.as_cells(column, name),
        lambda values: set(map(type, values)) <= {bool},
        partial(cells.binary, name),
        position,
    )
    return np.array(values, dtype=bool)


def _check_range(
    name: str, values: np.ndarray, in_range: np.ndarray, allowed: str, ids: np.ndarray, source: str
) -> None:
    bad = np.flatnonzero(~in_range)
    if bad.size:
        row = int(bad[0])
        raise InputError(
            f"{name} out of range: {float(values[row])!r}, row {row}, id {str(ids[row])!r} "
            f"(and {bad.size - 1} more)",
            where=source,
            allowed=allowed,
        )
