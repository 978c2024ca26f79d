"""Local files: JSON, CSV or Parquet with the columns of a task, packed or not."""

import csv
import io
import json
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from w2sprobe.data.columns import (
    Cells,
    RawColumns,
    RecordColumns,
    check_columns,
    pick_columns,
    shown,
)
from w2sprobe.data.rows import SourceRows
from w2sprobe.errors import InputError
from w2sprobe.fingerprint import sha256_file

PACKED = {".gz": "gzip", ".zst": "zstd"}  # suffix to Arrow's name of the codec
FILE_KINDS = ".jsonl, .json, .csv, .tsv or .parquet, also with .gz or .zst after it"
MAX_CELL = 1 << 24  # characters; an unclosed quote must not swallow gigabytes
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
    return _kind(Path(name)) in READERS


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
    reader = READERS.get(_kind(path))
    if reader is None:
        raise InputError(f"task file {str(path)!r} is of unknown kind", allowed=FILE_KINDS)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"task file {str(path)!r} {what}", allowed="a file")
    raw = _read(reader, _Source(path))
    made_of = {"file": path.name, "sha256": sha256_file(path), "columns": list(raw.cells)}
    return check_columns(raw, made_of)


class _Source:
    """A file's bytes or lines, unpacked on the way."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.line = 0  # number of the last one that was read

    @property
    def codec(self) -> str | None:
        return PACKED.get(self.path.suffix.lower())

    def bytes(self) -> BinaryIO:
        if self.codec is None:
            return self.path.open("rb")
        stream = pa.input_stream(str(self.path), compression=self.codec)
        return io.BufferedReader(cast(io.RawIOBase, stream), 1 << 20)

    def text(self) -> TextIO:
        with self.bytes() as file:
            start = file.read(4)
        if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in start:
            raise InputError(
                "not UTF-8: the file begins as UTF-16 or UTF-32 does",
                where=f"{self.path}, line 1",
                advice="Save it as UTF-8, as with `iconv -f UTF-16 -t UTF-8`.",
            )
        # newline="": the csv module wants line ends as they are
        return io.TextIOWrapper(self.bytes(), encoding="utf-8-sig", newline="")

    def lines(self) -> Iterator[str]:
        with self.text() as file:
            for self.line, line in enumerate(file, start=1):
                yield line


def _read(reader: Callable[[_Source], RawColumns], source: _Source) -> RawColumns:
    try:
        return reader(source)
    except UnicodeDecodeError as error:
        raise _not_utf8(source) from error
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(source, error) from error


def _read_json(source: _Source) -> RawColumns:
    with source.text() as file:
        is_array = file.read(1 << 12).lstrip().startswith("[")
    return _read_json_array(source) if is_array else _read_json_lines(source)


def _read_json_lines(source: _Source) -> RawColumns:
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


def _read_json_array(source: _Source) -> RawColumns:
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


def _read_csv(source: _Source, *, delimiter: str = ",") -> RawColumns:
    limit = csv.field_size_limit(MAX_CELL)
    try:
        return _read_cells(source, delimiter)
    finally:
        csv.field_size_limit(limit)


def _read_cells(source: _Source, delimiter: str) -> RawColumns:
    path, starts, start = source.path, array("Q"), 1
    reader = csv.reader(source.lines(), strict=True, delimiter=delimiter)
    try:
        names = next(filter(None, reader), [])
        _check_delimiter(names, delimiter, path)
        cells: dict[str, Cells] = {name: [] for name in pick_columns(names, str(path))}
        places = [(names.index(name), column) for name, column in cells.items()]
        start = source.line + 1
        for record in reader:
            if record:
                if len(record) != len(names):
                    raise _uneven(len(record), len(names), f"{path}, line {start}")
                starts.append(start)
                for at, column in places:
                    column.append(record[at])
            start = source.line + 1
    except csv.Error as error:
        raise InputError(
            f"broken CSV: {error}",
            where=f"{path}, the row that starts in line {start}",
            advice="Is a quotation mark opened and not closed, or not doubled within a cell?",
        ) from error
    return RawColumns(
        cells, str(path), lambda row: f"{path}, data row {row + 1} (line {starts[row]})"
    )


def _check_delimiter(names: list[str], delimiter: str, path: Path) -> None:
    other = next((mark for mark in ";\t,|" if mark in names[0]), None) if len(names) == 1 else None
    if other is not None:
        raise InputError(
            f"a header of one column {shown(names[0])}",
            where=f"{path}, line 1",
            allowed=f"cells separated by {delimiter!r}",
            advice=f"Are they separated by {other!r}? Save the file with {delimiter!r}.",
        )


def _uneven(found: int, expected: int, where: str) -> InputError:
    return InputError(
        f"{found} cells where the header has {expected}",
        where=where,
        advice="Is a text with separators or line breaks without quotation marks?",
    )


def _read_parquet(source: _Source) -> RawColumns:
    path = source.path
    with pq.ParquetFile(_seekable(source), buffer_size=1 << 20) as file:
        names = pick_columns(file.schema_arrow.names, str(path))
        cells: dict[str, Cells] = {name: [] for name in names}
        for batch in file.iter_batches(batch_size=BATCH, columns=names):
            for name, column in cells.items():
                column.extend(_unpacked(batch.column(name), f"{path}, column {name}", len(column)))
    return RawColumns(cells, str(path), lambda row: f"{path}, data row {row + 1} (counted from 1)")


def _seekable(source: _Source) -> Any:
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
        row, byte = _first_undecodable(
            data or b"" for data in column.cast(pa.large_binary()).to_pylist()
        )
        raise InputError(
            f"not UTF-8: byte {byte:#04x}",
            where=f"{where}, data row {before + row} (counted from 1)",
            advice="Write the column as UTF-8 text.",
        ) from error


def _not_utf8(source: _Source) -> InputError:
    """Read once more, line by line, to say where: text is decoded in blocks."""
    with source.bytes() as file:
        line, byte = _first_undecodable(file)
    return InputError(
        f"not UTF-8: byte {byte:#04x}",
        where=f"{source.path}, line {line}",
        advice="Save the file as UTF-8, as with `iconv -f WINDOWS-1252 -t UTF-8`.",
    )


def _first_undecodable(pieces: Iterable[bytes]) -> tuple[int, int]:
    """Return the number of the first piece, from 1, that is not UTF-8, and the byte in its way."""
    for number, piece in enumerate(pieces, start=1):
        try:
            piece.decode()
        except UnicodeDecodeError as error:
            return number, piece[error.start]
    raise ValueError("all pieces are UTF-8")


def _unreadable(source: _Source, error: Exception) -> InputError:
    after = f", after line {source.line}" if source.line else ""
    return InputError(
        f"cannot be read: {error}",
        where=f"{source.path}{after}",
        advice="Is the file whole, and of the kind that its name says?",
    )


def _kind(path: Path) -> str:
    """Return the suffix that says what is in the file, without that of the packing."""
    unpacked = path.with_suffix("") if path.suffix.lower() in PACKED else path
    return unpacked.suffix.lower()


READERS: dict[str, Callable[[_Source], RawColumns]] = {
    ".jsonl": _read_json_lines,
    ".json": _read_json,
    ".csv": _read_csv,
    ".tsv": partial(_read_csv, delimiter="\t"),
    ".parquet": _read_parquet,
}
