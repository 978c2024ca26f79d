"""LabelTable: soft labels by row id. `align` is the only join in the program."""

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
    """Labels or predictions for rows known by their ids.

    Columns are lists, arrays, series or columns of Arrow's; a cell means the same in each of them,
    in Parquet and in CSV (docs/file-formats.md).

    Parameters
    ----------
    ids : sequence of str or int, length n
        Unique; kept as text.
    soft_label : sequence of float, length n
        P(label = 1), in [0, 1]; kept as float64.
    keep : sequence of bool, length n, optional
        False: the row is filtered out of training. All kept by default.
    variance : sequence of float, length n, optional
        Population variance of P(label = 1) over the members of an ensemble, at least 0. None where
        the labels are no ensemble's.
    source : str, default ""
        Where the columns are from, for messages.

    Raises
    ------
    InputError
        Lengths differ; an id is empty or no name; a soft label is no number in [0, 1], `keep` is
        neither true nor false, a variance is negative or not finite.
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

        def place(row: int) -> str:
            name = f", id {str(names[row])!r}" if row < len(names) else ""
            return f"{_row(row, source)}{name}"

        soft = _numbers("soft_label", soft_label, place)
        spread = None if variance is None else _numbers("variance", variance, place)
        kept = np.ones(len(names), dtype=bool) if keep is None else _flags("keep", keep, place)
        if not names.shape == soft.shape == kept.shape:
            raise InputError(
                f"columns of different length: {len(names)} ids, {soft.shape} soft labels, "
                f"{kept.shape} keep",
                where=source,
            )
        if spread is not None and spread.shape != names.shape:
            raise InputError(
                f"columns of different length: {len(names)} ids, {spread.shape} variance",
                where=source,
            )
        _check_range("soft_label", soft, (soft >= 0) & (soft <= 1), "0 to 1", names, source)
        if spread is not None:
            sound = (spread >= 0) & (spread < np.inf)
            _check_range("variance", spread, sound, "0 or more, finite", names, source)
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
        """Return the rows for `ids`, in their order; rows not asked for are left out.

        Raises
        ------
        IdMismatch
            An id is not in the table, or is asked for twice.
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
        """Return a copy in which the rows of `other` take its labels, marks and variance.

        There is a variance if both tables have one: the spread of an ensemble says nothing of
        labels that have replaced its own.

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
        """Rows of all tables, one after the other; an id in two of them raises IdMismatch.

        There is a variance if all tables have one.
        """
        variances = [table.variance for table in tables if table.variance is not None]
        return cls(
            np.concatenate([table.ids for table in tables]),
            np.concatenate([table.soft_label for table in tables]),
            np.concatenate([table.keep for table in tables]),
            variance=np.concatenate(variances) if len(variances) == len(tables) else None,
        )

    def write(self, path: str | Path) -> None:
        """Write a Parquet file, atomically; a column `variance` only if there is one."""
        columns = {"id": self.ids.tolist(), "soft_label": self.soft_label, "keep": self.keep}
        if self.variance is not None:
            columns["variance"] = self.variance
        table = pa.table(columns)
        with atomic_path(Path(path)) as temporary:
            pq.write_table(table, temporary)

    @classmethod
    def read(cls, path: str | Path) -> "LabelTable":
        """Read what `write` wrote, or the same columns from a file that ends in .csv or .tsv.

        A missing `keep` column means all kept, other columns stay out.

        Raises
        ------
        InputError
            No such file, not Parquet or CSV, a column is missing, or a cell cannot be used: names
            row and value.
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
    """True labels that a label file carries beside the labels, for scoring alone.

    Parameters
    ----------
    path : str or Path
        With the columns of a LabelTable and, if there is truth, `truth`: 0 or 1.

    Returns
    -------
    LabelTable, optional
        Truth as soft_label; None without the column.

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
    """Columns of a Parquet or CSV file of labels, those of `wanted` that it has."""

    def pick(found: Sequence[str]) -> list[str]:
        missing = [name for name in REQUIRED if name not in found]
        if missing:
            raise InputError(
                f"no column {first_few(missing)}",
                where=str(path),
                allowed="columns id, soft_label and optionally keep and variance; found "
                f"{first_few(found, 12) or 'none'}",
            )
        picked = [name for name in wanted if name in found]
        doubled = [name for name in picked if list(found).count(name) > 1]
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


def _numbers(name: str, column: Any, place: Callable[[int], str]) -> np.ndarray:
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.kind in "fiub":
        return column.astype(np.float64)
    values = cells.converted(
        cells.as_cells(column, name),
        lambda found: set(map(type, found)) <= {float},
        partial(cells.number, name),
        place,
    )
    return np.array(values, dtype=np.float64)


def _flags(name: str, column: Any, place: Callable[[int], str]) -> np.ndarray:
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.kind == "b":
        return column.astype(bool)
    values = cells.converted(
        cells.as_cells(column, name),
        lambda found: set(map(type, found)) <= {bool},
        partial(cells.binary, name),
        place,
    )
    return np.array(values, dtype=bool)


def _check_range(
    name: str, values: np.ndarray, sound: np.ndarray, allowed: str, ids: np.ndarray, source: str
) -> None:
    bad = np.flatnonzero(~sound)
    if bad.size:
        row = int(bad[0])
        raise InputError(
            f"{name} out of range: {float(values[row])!r}, row {row}, id {str(ids[row])!r} "
            f"(and {bad.size - 1} more)",
            where=source,
            allowed=allowed,
        )
