"""Local files: JSON, CSV or Parquet with the columns of a task, packed or not."""

import json
import re
from array import array
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from w2sprobe.cells import Cells
from w2sprobe.data.columns import RawColumns, RecordColumns, check_columns, pick_columns
from w2sprobe.data.rows import SourceRows
from w2sprobe.errors import InputError
from w2sprobe.fingerprint import sha256_file
from w2sprobe.text_files import TextFile, first_undecodable, kind_of, read_csv

FILE_KINDS = ".jsonl, .json, .csv, .tsv or .parquet, also with .gz or .zst after it"
BATCH = 1 << 14  # rows of a Parquet file at a time
BEFORE_ITEMS = re.compile(r"[ \t\r\n]*\[[ \t\r\n]*(\][ \t\r\n]*)?")
AFTER_ITEM = re.compile(r"[ \t\r\n]*(,|\])[ \t\r\n]*")
END = re.compile(r"\Z")
EXPECTED = {BEFORE_ITEMS: "'['", AFTER_ITEM: "',' or ']'", END: "nothing after the array"}


def is_task_file(name: str) -> bool:
    """Whether a task's name is that of a file, by its suffix.

    >>> is_task_file("reviews.CSV.gz"), is_task_file("bigbench:multiemo")
    (True, False)
    """
    return kind_of(Path(name)) in READERS


def read_file(path: Path) -> SourceRows:
    """Read and check a file, every cell of it.

    Parameters
    ----------
    path : Path
        `.jsonl` (one object a line), `.json` (the same, or one array of objects), `.csv` or
        `.tsv` (with a header), `.parquet`; each may end in `.gz` or `.zst`. UTF-8. Columns text
        and label, optionally id, group and split ("train" or "test").

    Returns
    -------
    SourceRows
        A group of more than 64 characters is replaced by 32 hex digits of its SHA-256.

    Raises
    ------
    InputError
        No such file, another suffix, unreadable; a column or a cell that cannot be used: names the
        row, counted from 1, or the line.
    IdMismatch
        An id occurs twice.
    """
    reader = READERS.get(kind_of(path))
    if reader is None:
        raise InputError(f"task file {str(path)!r} is of unknown kind", allowed=FILE_KINDS)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"task file {str(path)!r} {what}", allowed="a file")
    source = TextFile(path)
    with source.reading():
        raw = reader(source)
    made_of = {"file": path.name, "sha256": sha256_file(path), "columns": list(raw.cells)}
    return check_columns(raw, made_of)


def _read_json(source: TextFile) -> RawColumns:
    with source.text() as file:
        is_array = file.read(1 << 12).lstrip().startswith("[")
    return _read_json_array(source) if is_array else _read_json_lines(source)


def _read_json_lines(source: TextFile) -> RawColumns:
    rows, numbers = RecordColumns(), array("Q")
    for line in source.lines():
        if line.isspace():
            continue
        try:
            record = json.loads(line.rstrip("\r\n"))
        except (ValueError, RecursionError) as error:  # ValueError: also an endless integer
            raise _broken_json(f"{source.path}, line {source.line}", error) from error
        rows.add(_object(record, f"{source.path}, line {source.line}"))
        numbers.append(source.line)
    return RawColumns(
        rows.present(str(source.path)),
        str(source.path),
        lambda row: f"{source.path}, line {numbers[row]}",
    )


def _read_json_array(source: TextFile) -> RawColumns:
    with source.text() as file:
        text = file.read()
    rows = RecordColumns()
    try:
        for number, item in enumerate(_items(text), start=1):
            rows.add(_object(item, f"{source.path}, item {number}"))
    except json.JSONDecodeError as error:
        raise _broken_json(f"{source.path}, line {error.lineno}", error) from error
    return RawColumns(
        rows.present(str(source.path)),
        str(source.path),
        lambda row: f"{source.path}, item {row + 1}",
    )


def _items(text: str) -> Iterator[Any]:
    """Items of one JSON array, one at a time: all of them as objects would be several times it."""
    decode = json.JSONDecoder().raw_decode
    match = _match(BEFORE_ITEMS, text, 0)
    at, is_open = match.end(), match[1] is None
    while is_open:
        try:
            item, at = decode(text, at)
        except json.JSONDecodeError:
            raise
        except (ValueError, RecursionError) as error:
            raise json.JSONDecodeError(str(error), text, at) from error
        yield item
        match = _match(AFTER_ITEM, text, at)
        at, is_open = match.end(), match[1] == ","
    _match(END, text, at)


def _match(pattern: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    match = pattern.match(text, at)
    if match is None:
        raise json.JSONDecodeError(f"Expecting {EXPECTED[pattern]}", text, at)
    return match


def _object(record: Any, where: str) -> Mapping[str, Any]:
    if isinstance(record, dict):
        return record
    raise InputError(
        f"a {type(record).__name__} where a row should be",
        where=where,
        allowed='objects, as in {"text": "...", "label": 1}',
        advice="One array of objects belongs in a file named .json, one object a line in .jsonl.",
    )


def _broken_json(where: str, error: ValueError | RecursionError) -> InputError:
    what = str(error)
    if isinstance(error, json.JSONDecodeError):
        what = f"{error.msg} at character {error.colno}"
    return InputError(
        f"broken JSON: {what}", where=where, advice="Mend it there, or write the file anew."
    )


def _read_csv(source: TextFile, *, delimiter: str = ",") -> RawColumns:
    path = source.path
    cells, starts = read_csv(source, partial(pick_columns, where=str(path)), delimiter=delimiter)
    return RawColumns(
        cells, str(path), lambda row: f"{path}, data row {row + 1} (line {starts[row]})"
    )


def _read_parquet(source: TextFile) -> RawColumns:
    path = source.path
    with pq.ParquetFile(_seekable(source), buffer_size=1 << 20) as file:
        names = pick_columns(file.schema_arrow.names, str(path))
        cells: dict[str, Cells] = {name: [] for name in names}
        for batch in file.iter_batches(batch_size=BATCH, columns=names):
            for name, column in cells.items():
                column.extend(_unpacked(batch.column(name), f"{path}, column {name}", len(column)))
    return RawColumns(cells, str(path), lambda row: f"{path}, data row {row + 1} (counted from 1)")


def _seekable(source: TextFile) -> Any:
    """Parquet is read from its end, so a packed one is unpacked in memory."""
    if source.codec is None:
        return source.path
    with source.bytes() as file:
        return pa.BufferReader(file.read())


def _unpacked(column: pa.Array, where: str, before: int) -> Cells:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        return cast(Cells, column.to_pylist())
    except UnicodeDecodeError as error:
        row, byte = first_undecodable(
            data or b"" for data in column.cast(pa.large_binary()).to_pylist()
        )
        raise InputError(
            f"not UTF-8: byte {byte:#04x}",
            where=f"{where}, data row {before + row} (counted from 1)",
            advice="Write the column as UTF-8 text.",
        ) from error


READERS: dict[str, Callable[[TextFile], RawColumns]] = {
    ".jsonl": _read_json_lines,
    ".json": _read_json,
    ".csv": _read_csv,
    ".tsv": partial(_read_csv, delimiter="\t"),
    ".parquet": _read_parquet,
}
