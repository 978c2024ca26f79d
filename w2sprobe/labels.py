"""LabelTable: soft labels by row id. `align` is the only join in the program."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from w2sprobe.atomic import atomic_path
from w2sprobe.errors import IdMismatch, InputError, first_few

THRESHOLD = 0.5  # a hard label is soft_label > THRESHOLD


@dataclass(frozen=True)
class LabelTable:
    """Labels or predictions for rows known by their ids.

    Parameters
    ----------
    ids : ndarray of str, shape (n,)
        Unique.
    soft_label : ndarray of float64, shape (n,)
        P(label = 1), in [0, 1].
    keep : ndarray of bool, shape (n,), optional
        False: the row is filtered out of training. All kept by default.
    variance : ndarray of float64, shape (n,), optional
        Population variance of P(label = 1) over the members of an ensemble, at least 0. None where
        the labels are no ensemble's.

    Raises
    ------
    InputError
        Lengths differ, a soft label is not in [0, 1], or a variance is negative or not finite.
    IdMismatch
        An id occurs twice.
    """

    ids: np.ndarray
    soft_label: np.ndarray
    keep: np.ndarray
    variance: np.ndarray | None

    def __init__(
        self,
        ids: Sequence[str] | np.ndarray,
        soft_label: Sequence[float] | np.ndarray,
        keep: Sequence[bool] | np.ndarray | None = None,
        *,
        variance: Sequence[float] | np.ndarray | None = None,
        source: str = "",
    ) -> None:
        names = np.asarray(ids, dtype=np.str_)
        soft = np.asarray(soft_label, dtype=np.float64)
        kept = np.ones(len(names), dtype=bool) if keep is None else np.asarray(keep, dtype=bool)
        spread = None if variance is None else np.asarray(variance, dtype=np.float64)
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

    def align(self, ids: Sequence[str] | np.ndarray) -> "LabelTable":
        """Return the rows for `ids`, in their order; rows not asked for are left out.

        Raises
        ------
        IdMismatch
            An id is not in the table, or is asked for twice.
        """
        position = {name: row for row, name in enumerate(self.ids.tolist())}
        wanted = np.asarray(ids, dtype=np.str_).tolist()
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
        """Read what `write` wrote, or the same columns from a file that ends in .csv.

        A missing `keep` column means all kept, other columns stay out.

        Raises
        ------
        InputError
            No such file, not Parquet or CSV, a column is missing or of the wrong type, or a
            `keep` is empty.
        """
        table = _read_file(Path(path))
        missing = {"id", "soft_label"} - set(table.column_names)
        if missing:
            raise InputError(
                f"no column {first_few(sorted(missing))}",
                where=str(path),
                allowed="columns id, soft_label and optionally keep and variance; found "
                f"{table.column_names}",
            )
        numbers: dict[str, np.ndarray] = {}
        for name in {"soft_label", "variance"} & set(table.column_names):
            try:
                numbers[name] = np.asarray(table[name].to_pylist(), dtype=np.float64)
            except (TypeError, ValueError) as error:
                raise InputError(f"{name} is not numeric: {error}", where=str(path)) from error
        keep = table["keep"].to_numpy() if "keep" in table.column_names else None
        if keep is not None and table["keep"].null_count:
            raise InputError("keep is empty in some rows", where=str(path), allowed="true or false")
        return cls(
            [str(name) for name in table["id"].to_pylist()],
            numbers["soft_label"],
            keep,
            variance=numbers.get("variance"),
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
    table = _read_file(Path(path))
    if "truth" not in table.column_names:
        return None
    values = table["truth"].to_pylist()
    bad = [row for row, value in enumerate(values) if value not in (0, 1)]
    if bad:
        raise InputError(
            f"truth is {values[bad[0]]!r}, row {bad[0]}, id {str(ids[bad[0]])!r} "
            f"(and {len(bad) - 1} more)",
            where=str(path),
            allowed="0 or 1",
        )
    return LabelTable(ids, values)


def _read_file(path: Path) -> pa.Table:
    """Columns of a Parquet or CSV file of labels."""
    try:
        if path.suffix.lower() != ".csv":
            return pq.read_table(path)
        return pyarrow.csv.read_csv(
            path,
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                # an id such as 007 is no number
                column_types={"id": pa.string(), "soft_label": pa.float64(), "keep": pa.bool_()}
            ),
        )
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"cannot read label table {str(path)!r}: {error}") from error


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
