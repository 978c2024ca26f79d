"""Tasks from local files: JSON, CSV or Parquet, also compressed.

The readers of pandas, pyarrow and datasets are not used for JSON and CSV: they read rows of uneven
length, bad quoting or UTF-16 without an error, or their error does not name the line.
"""

import json
import re
from array import array
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from w2sprobe.cells import Cells
from w2sprobe.data.columns import RawColumns, RecordColumns, check_columns, pick_columns
from w2sprobe.data.rows import SourceRows
from w2sprobe.errors import InputError
from w2sprobe.fingerprint import sha256_file
from w2sprobe.text_files import TextFile, first_undecodable, kind_of, read_csv

FILE_KINDS = ".jsonl, .json, .csv, .tsv or .parquet, also with .gz or .zst after it"
JSON_SPACE = re.compile(r"[ \t\r\n]*")


def is_task_file(name: str) -> bool:
    """Whether a task's name is a file name, judged by its suffix.

    >>> is_task_file("reviews.CSV.gz"), is_task_file("bigbench:multiemo")
    (True, False)
    """
    return kind_of(Path(name)) in READERS


def read_file(path: Path) -> SourceRows:
    """Read a task file and check every cell.

    Parameters
    ----------
    path : Path
        `.jsonl` (one object per line), `.json` (the same, or one array of objects), `.csv` or
        `.tsv` (with a header), `.parquet`; each may end in `.gz` or `.zst`. Text is UTF-8. Columns
        text (or messages: conversations, in CSV as JSON) and label, optionally id, group and split
        ("train" or "test").

    Raises
    ------
    InputError
        Missing or unreadable file, unknown suffix, missing column or invalid cell. Names the line,
        or the row counted from 1.
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
    columns, line_numbers = RecordColumns(), array("Q")
    for line in source.lines():
        if line.isspace():
            continue
        where = f"{source.path}, line {source.line}"
        try:
            record = json.loads(line.rstrip("\r\n"))
        except (ValueError, RecursionError) as error:  # ValueError: also an integer too long
            raise _broken_json(where, error) from error
        columns.add(_checked_object(record, where))
        line_numbers.append(source.line)
    return RawColumns(
        columns.present(str(source.path)),
        str(source.path),
        lambda row: f"{source.path}, line {line_numbers[row]}",
    )


def _read_json_array(source: TextFile) -> RawColumns:
    with source.text() as file:
        text = file.read()
    columns = RecordColumns()
    try:
        for number, item in enumerate(_array_items(text), start=1):
            columns.add(_checked_object(item, f"{source.path}, item {number}"))
    except json.JSONDecodeError as error:
        raise _broken_json(f"{source.path}, line {error.lineno}", error) from error
    return RawColumns(
        columns.present(str(source.path)),
        str(source.path),
        lambda row: f"{source.path}, item {row + 1}",
    )


def _array_items(text: str) -> Iterator[Any]:
    """Decode a JSON array item by item: all objects at once would need several times the memory."""
    decode = json.JSONDecoder().raw_decode
    at = _skip_space(text, text.index("[") + 1)
    is_closed = text.startswith("]", at)
    while not is_closed:
        try:
            item, at = decode(text, at)
        except json.JSONDecodeError:
            raise
        except (ValueError, RecursionError) as error:  # an integer too long, nested too deeply
            raise json.JSONDecodeError(str(error), text, at) from error
        yield item
        at = _skip_space(text, at)
        if text[at : at + 1] not in (",", "]"):
            raise json.JSONDecodeError("Expecting ',' or ']'", text, at)
        is_closed = text[at] == "]"
        if not is_closed:
            at = _skip_space(text, at + 1)
    if text[at + 1 :].strip():
        raise json.JSONDecodeError("Expecting nothing after the array", text, at + 1)


def _skip_space(text: str, at: int) -> int:
    match = JSON_SPACE.match(text, at)
    return match.end() if match else at


def _checked_object(record: Any, where: str) -> dict[str, Any]:
    if isinstance(record, dict):
        return record
    raise InputError(
        f"a {type(record).__name__} where a row should be",
        where=where,
        allowed='objects, as in {"text": "...", "label": 1}',
        advice="One array of objects belongs in a .json file, one object per line in a .jsonl one.",
    )


def _broken_json(where: str, error: ValueError | RecursionError) -> InputError:
    what = str(error)
    if isinstance(error, json.JSONDecodeError):
        what = f"{error.msg} at character {error.colno}"
    return InputError(
        f"broken JSON: {what}", where=where, advice="Correct it there, or write the file anew."
    )


def _read_csv(source: TextFile, *, delimiter: str = ",") -> RawColumns:
    path = source.path
    cells, starts = read_csv(source, partial(pick_columns, where=str(path)), delimiter=delimiter)
    return RawColumns(
        cells, str(path), lambda row: f"{path}, data row {row + 1} (line {starts[row]})"
    )


def _read_parquet(source: TextFile) -> RawColumns:
    path = source.path
    with pq.ParquetFile(_seekable(source)) as file:  # read_table makes columns of folder names, too
        names = pick_columns(file.schema_arrow.names, str(path))
        cells: dict[str, Cells] = {name: [] for name in names}
        for batch in file.iter_batches(columns=names):
            for name, column in cells.items():
                column += _cells(batch[name], f"{path}, column {name}", len(column))
    return RawColumns(cells, str(path), lambda row: f"{path}, data row {row + 1} (counted from 1)")


def _seekable(source: TextFile) -> Any:
    """Parquet is read from its end, so a compressed file is decompressed in memory."""
    if source.codec is None:
        return source.path
    with source.bytes() as file:
        return pa.BufferReader(file.read())


def _cells(column: pa.Array, where: str, rows_before: int) -> Cells:
    try:
        cells: Cells = column.to_pylist()
    except UnicodeDecodeError as error:
        raw = column.cast(pa.large_binary()).to_pylist()
        row, byte = first_undecodable(data or b"" for data in raw)
        raise InputError(
            f"not UTF-8: byte {byte:#04x}",
            where=f"{where}, data row {rows_before + row} (counted from 1)",
            advice="Write the column as UTF-8 text.",
        ) from error
    return cells


READERS: dict[str, Callable[[TextFile], RawColumns]] = {
    ".jsonl": _read_json_lines,
    ".json": _read_json,
    ".csv": _read_csv,
    ".tsv": partial(_read_csv, delimiter="\t"),
    ".parquet": _read_parquet,
}
