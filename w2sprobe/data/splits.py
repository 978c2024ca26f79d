"""The four disjoint splits of a task, and the Parquet file that stores them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from w2sprobe.atomic import atomic_path
from w2sprobe.data.rows import Rows, join_rows
from w2sprobe.errors import IdMismatch, InputError, UnknownName, first_few
from w2sprobe.fingerprint import fingerprint_strings

SPLIT_NAMES = ("weak_train", "strong_train", "val", "test")
META = b"w2sprobe"  # key of the splits' metadata in the Parquet file

Count = int | float  # rows, or a fraction of those that a split can be cut from


@dataclass(frozen=True)
class SplitSizes:
    """Size of each split: number of rows (int) or fraction (float) of the rows.

    A fraction is of all rows of the task; if the source has its own test rows, of these for `test`
    and of the remaining rows for the other splits. For balanced splits, it is a fraction of twice
    the rarer label.

    Raises
    ------
    InputError
        Fewer than 2 rows, or a share outside (0, 1].
    """

    weak_train: Annotated[
        Count, Field(description="Training rows of the weak model, with true labels.")
    ]
    strong_train: Annotated[
        Count,
        Field(description="Rows that the weak model labels and the strong model learns from."),
    ]
    val: Annotated[Count, Field(description="Rows that select checkpoints.")]
    test: Annotated[Count, Field(description="Rows of the final scores.")]

    def __post_init__(self) -> None:
        for name, given in zip(SPLIT_NAMES, astuple(self), strict=True):
            size = int(given) if isinstance(given, Integral) else given  # also numpy's integers
            is_share = isinstance(size, float) and 0 < size <= 1
            if isinstance(given, bool) or not (is_share or (isinstance(size, int) and size >= 2)):
                raise InputError(
                    f"size {given!r} for {name}",
                    allowed="2 rows or more, or a share above 0 and up to 1.0, which is all",
                )
            object.__setattr__(self, name, size)

    def items(self) -> Iterator[tuple[str, Count]]:
        """Names and sizes, in the order of `SPLIT_NAMES`."""
        return zip(SPLIT_NAMES, astuple(self), strict=True)


@dataclass(frozen=True)
class Splits:
    """The four splits of a task: no row, group or text is in two of them.

    Parameters
    ----------
    weak_train : Rows
        Training rows of weak models.
    strong_train : Rows
        Training rows of strong models.
    dropped : dict of str to int
        Reason to number of rows that are in no split.
    about : dict
        Task, its fingerprint, split seed, prior and origin of the rows: JSON.
    """

    weak_train: Rows
    strong_train: Rows
    val: Rows
    test: Rows
    dropped: dict[str, int] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def sizes(self) -> SplitSizes:
        """Number of rows in each split."""
        return SplitSizes(*(len(rows) for _, rows in self.items()))

    @cached_property
    def stored(self) -> Rows:
        """Rows whose activations are extracted: students train, stop and are tested on them."""
        return join_rows(self.strong_train, self.val, self.test)

    @cached_property
    def blind(self) -> "Splits":
        """The same splits with all labels 0, for code that must not see the truth."""
        return replace(
            self,
            weak_train=self.weak_train.blind(),
            strong_train=self.strong_train.blind(),
            val=self.val.blind(),
            test=self.test.blind(),
        )

    def __getitem__(self, name: str) -> Rows:
        if name not in SPLIT_NAMES:
            raise UnknownName("split", name, SPLIT_NAMES)
        rows: Rows = getattr(self, name)
        return rows

    def items(self) -> Iterator[tuple[str, Rows]]:
        """Names and rows, in the order of `SPLIT_NAMES`."""
        return ((name, self[name]) for name in SPLIT_NAMES)

    def counts(self) -> dict[str, dict[str, int]]:
        """Rows of label 0 and of label 1 in each split."""
        return {
            name: {f"label_{label}": int((rows.labels == label).sum()) for label in (0, 1)}
            for name, rows in self.items()
        }

    def summary(self) -> dict[str, Any]:
        """Task name, counts of labels and groups per split, and dropped rows."""
        groups = {
            name: len(set(rows.groups.tolist()))
            for name, rows in self.items()
            if rows.groups is not None
        }
        return {
            "task": self.test.name,
            **self.about,
            "splits": self.counts(),
            "groups": groups,
            "dropped": self.dropped,
        }

    def columns_for(self, ids: Sequence[str]) -> dict[str, list[Any]]:
        """Label, split and text (or messages, as JSON) of these rows, in their order.

        Raises
        ------
        IdMismatch
            An id is in no split.
        """
        column = "messages" if self.test.chats else "text"
        known = {
            record["id"]: (int(label), name, record[column])
            for name, rows in self.items()
            for record, label in zip(rows.records(), rows.labels, strict=True)
        }
        if unknown := [name for name in ids if name not in known]:
            raise IdMismatch(
                f"ids that the task does not have: {first_few(unknown)}",
                advice="Name the task, sizes and seed that the activations were extracted for.",
            )
        values = zip(*(known[name] for name in ids), strict=True)
        return dict(zip(("label", "split", column), map(list, values), strict=True))

    def examples(self, n: int) -> dict[int, list[dict[str, str]]]:
        """The first n test rows of each label."""
        rows = self.test.records()
        return {
            label: [rows[row] for row in np.flatnonzero(self.test.labels == label)[:n]]
            for label in (0, 1)
        }

    def write(self, path: str | Path) -> None:
        """Write a Parquet file with columns id, text, label, group and split, atomically."""
        parts = [part for _, part in self.items()]
        columns: dict[str, Any] = {
            "id": [name for part in parts for name in part.ids.tolist()],
            "text": [text for part in parts for text in part.texts],
            "label": np.concatenate([part.labels for part in parts]),
            "split": [name for name, part in self.items() for _ in range(len(part))],
        }
        if self.test.groups is not None:
            columns["group"] = [
                name for part in parts if part.groups is not None for name in part.groups.tolist()
            ]
        table = pa.table(columns)
        meta = {
            "name": self.test.name,
            "dropped": self.dropped,
            "about": self.about,
            "rows": _rows_hash(table),
            **({"chats": True} if self.test.chats else {}),
        }
        table = table.replace_schema_metadata({META: json.dumps(meta).encode()})
        with atomic_path(Path(path)) as temporary:
            pq.write_table(table, temporary, compression="zstd")

    @classmethod
    def read(cls, path: str | Path) -> "Splits":
        """Read a file that `write` wrote.

        Raises
        ------
        InputError
            Missing file, another kind of file, or a file that was changed after it was written.
        """
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise InputError(f"cannot read splits {str(path)!r}: {error}") from error
        meta = (table.schema.metadata or {}).get(META)
        if meta is None:
            raise InputError(f"{str(path)!r} was not written as splits")
        try:
            known = json.loads(meta)
            whole = known["rows"] == _rows_hash(table)
        except (ValueError, KeyError, TypeError, AttributeError):
            whole = False
        if not whole:
            raise InputError(
                "splits were changed after they were written",
                where=str(path),
                advice="Use the original, or cut the task again: w2sprobe tasks split.",
            )
        rows = Rows(
            np.array(table["id"].to_pylist(), dtype=np.str_),
            table["text"].to_pylist(),
            table["label"].to_numpy(),
            np.array(table["group"].to_pylist(), dtype=np.str_)
            if "group" in table.column_names
            else None,
            known["name"],
            chats=known.get("chats", False),
        )
        split_of = np.array(table["split"].to_pylist(), dtype=np.str_)
        parts = {name: rows.select(np.flatnonzero(split_of == name)) for name in SPLIT_NAMES}
        return cls(**parts, dropped=known["dropped"], about=known["about"])


def _rows_hash(table: pa.Table) -> str:
    """Hash of all cells; AttributeError or KeyError if cells or columns are missing."""
    names = ["id", "text", "label", "split", *(["group"] if "group" in table.column_names else [])]
    return fingerprint_strings(
        *(
            [str(cell) if name == "label" else cell for cell in table[name].to_pylist()]
            for name in names
        )
    )


def is_splits_file(path: Path) -> bool:
    """Whether a file was written by `Splits.write`."""
    if path.suffix.lower() != ".parquet":
        return False
    try:
        return META in (pq.read_schema(path).metadata or {})
    except (OSError, pa.ArrowInvalid):
        return False
