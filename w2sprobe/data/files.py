"""Local files: JSON lines, CSV or Parquet with columns text and label, optionally id and group."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from w2sprobe.errors import InputError

REQUIRED, OPTIONAL = ("text", "label"), ("id", "group")
LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}  # CSV has no numbers
MAX_CELL = 1 << 30  # characters of a CSV cell; the csv module stops at 2**17 unless told

Column = list[Any]


@dataclass(frozen=True)
class FileColumns:
    """Checked columns of equal length; None where the file has no such column."""

    texts: list[str]
    labels: list[int]
    ids: list[str] | None
    groups: list[str] | None

    @property
    def names(self) -> list[str]:
        """Columns that were read."""
        given = {"id": self.ids, "group": self.groups}
        return [*REQUIRED, *(name for name, column in given.items() if column is not None)]


def read_file(path: Path) -> FileColumns:
    """Read and check a file, every cell of it.

    Parameters
    ----------
    path : Path
        `.jsonl` or `.json` (one object a line), `.csv` (with a header) or `.parquet`; UTF-8.

    Returns
    -------
    FileColumns

    Raises
    ------
    InputError
        No such file, another suffix, unreadable; a missing column; a text that is empty or no
        text, a label other than 0 or 1, an empty id or group: names the data row, counted from 1.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"task file {str(path)!r} is of unknown kind", allowed=", ".join(READERS))
    if not path.is_file():
        raise InputError(f"no task file {str(path)!r}")
    try:
        columns = reader(path)
    except UnicodeDecodeError as error:
        raise InputError(
            f"not UTF-8: byte {error.object[error.start]:#04x}",
            where=str(path),
            advice="Save the file as UTF-8.",
        ) from error
    except (OSError, pa.ArrowInvalid, csv.Error) as error:
        raise InputError(f"cannot read task file {str(path)!r}: {error}") from error
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise InputError(
            f"no column {', '.join(map(repr, missing))}",
            where=str(path),
            allowed=f"columns text and label, optionally id and group; found {list(columns)}",
        )
    return FileColumns(
        texts=_convert(columns, "text", _text, path),
        labels=_convert(columns, "label", _label, path),
        ids=_convert(columns, "id", _key, path) if "id" in columns else None,
        groups=_convert(columns, "group", _key, path) if "group" in columns else None,
    )


def _read_json_lines(path: Path) -> dict[str, Column]:
    records = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(
                    f"broken JSON: {error.msg}",
                    where=f"{path}, line {number}",
                    allowed="one object a line",
                ) from error
            if not isinstance(record, dict):
                raise InputError(
                    f"a {type(record).__name__} where a row should be",
                    where=f"{path}, line {number}",
                    allowed='one object a line, as in {"text": "...", "label": 1}',
                )
            records.append(record)
    names = dict.fromkeys(name for record in records for name in record)
    return {name: [record.get(name) for record in records] for name in names}


def _read_csv(path: Path) -> dict[str, Column]:
    csv.field_size_limit(MAX_CELL)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        names = next(reader, [])
        if len(set(names)) < len(names):
            raise InputError(f"doubled column names: {names}", where=str(path))
        records = []
        for record in reader:
            if not record:
                continue
            if len(record) != len(names):
                raise InputError(
                    f"{len(record)} cells where the header has {len(names)}",
                    where=f"{path}, line {reader.line_num}",
                    advice="Is a text with commas or line breaks without quotes?",
                )
            records.append(record)
    return {name: [record[at] for record in records] for at, name in enumerate(names)}


def _read_parquet(path: Path) -> dict[str, Column]:
    file = pq.ParquetFile(path)
    names = file.schema_arrow.names
    table = file.read(columns=[name for name in (*REQUIRED, *OPTIONAL) if name in names])
    # names of columns that are not read are for the message about a missing one
    return {name: table[name].to_pylist() if name in table.column_names else [] for name in names}


READERS: dict[str, Callable[[Path], dict[str, Column]]] = {
    ".jsonl": _read_json_lines,
    ".json": _read_json_lines,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}


def _convert(
    columns: dict[str, Column], name: str, convert: Callable[[Any], Any], path: Path
) -> list[Any]:
    """Column `name`, converted; the first cell that cannot be is the user's to mend."""
    converted = []
    for row, value in enumerate(columns[name], start=1):
        try:
            converted.append(convert(value))
        except InputError as error:
            raise InputError(
                error.what,
                where=f"{path}, data row {row} (counted from 1)",
                allowed=error.allowed,
                advice=error.advice,
            ) from error
    return converted


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise InputError(f"text is {value!r}", allowed="a string")
    if not value.strip():
        raise InputError(
            f"empty text {value!r}", allowed="text", advice="Remove the row or fill it."
        )
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"text {value[:40]!r} holds half a surrogate pair", allowed="valid Unicode"
        ) from error
    return value


def _label(value: object) -> int:
    if isinstance(value, str) and value in LABELS:
        return LABELS[value]
    if isinstance(value, int | float) and value in (0, 1):
        return int(value)
    raise InputError(f"label is {value!r}", allowed="0 or 1")


def _key(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value.strip():
        return value
    raise InputError(
        f"id or group is {value!r}", allowed="a string that is not empty, or an integer"
    )
